//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): join with one HTTP request.

use std::sync::Arc;

use tracing::Instrument;
use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ETAG,
    IF_MATCH, LINK, LOCATION, VARY,
};
use warp::http::{HeaderName, HeaderValue, Method, StatusCode};
use warp::path::Tail;
use warp::reply::{Reply, Response};

use crate::id::{ParticipantId, RoomId};
use crate::protocol::room::Limits;
use crate::room::notices;
use crate::room::{Departure, JoinRequest, NoticeReceiver, Reach, Roles, RoomHandle};

use super::app::App;
use super::error::ApiError;
use super::guard::names::display_name;
use super::guard::origin::Readers;
use super::limits::NOTICE_QUEUE;
use super::reply;
use super::request::Call;
use super::sdpfrag::{Fragment, OfferIce};
use super::sessions::{self, ResourceId, Session};

const SDP: &str = "application/sdp";
/// Tells a publisher its id in the room.
const PARTICIPANT: HeaderName = HeaderName::from_static("tessera-participant");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ENDPOINT_METHODS: &str = "POST, GET, HEAD, OPTIONS";
const SESSION_METHODS: &str = "PATCH, DELETE, GET, HEAD, OPTIONS";

/// Which of the two protocols is used. They differ in the direction of media only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// WHIP: the client publishes.
    Whip,
    /// WHEP: the client plays.
    Whep,
}

impl Flavour {
    fn base(self) -> &'static str {
        match self {
            Self::Whip => "/whip",
            Self::Whep => "/whep",
        }
    }

    fn transport(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }

    fn roles(self) -> Roles {
        match self {
            Self::Whip => Roles::Publish,
            Self::Whep => Roles::Play,
        }
    }

    /// Display name of a client that gives none.
    fn default_name(self) -> &'static str {
        match self {
            Self::Whip => "Publisher",
            Self::Whep => "Viewer",
        }
    }
}

/// Answers a request to a path below `/whip` or `/whep`.
pub(super) async fn handle(flavour: Flavour, path: Tail, call: Call) -> Response {
    // Many a client puts a slash behind the URL that it was given.
    let path = path.as_str();
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    let app = call.app.clone();
    let readers = Readers::from(&*app.config);
    let allowed = readers.cors(&call.headers);
    let only_reads = matches!(call.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let checked = if only_reads {
        Ok(())
    } else {
        readers.check(&call.headers)
    };
    let result = match (checked, segments.next(), segments.next(), segments.next()) {
        (Err(error), ..) => Err(error),
        (Ok(()), Some(room), None, None) => endpoint(flavour, room, call).await,
        (Ok(()), Some(room), Some(resource), None) => session(flavour, room, resource, call).await,
        _ => Err(ApiError::NotFound("session")),
    };
    with_cors(result.into_response(), allowed)
}

async fn endpoint(flavour: Flavour, room: &str, call: Call) -> Result<Response, ApiError> {
    match call.method {
        Method::OPTIONS => options(&call),
        Method::GET | Method::HEAD => RoomId::new(room)
            .map(|_| probed(flavour, &call.method))
            .map_err(ApiError::from),
        Method::POST => create(flavour, RoomId::new(room)?, call).await,
        _ => Err(ApiError::MethodNotAllowed(ENDPOINT_METHODS)),
    }
}

async fn session(
    flavour: Flavour,
    room: &str,
    resource: &str,
    call: Call,
) -> Result<Response, ApiError> {
    let id = ResourceId::from_path(resource);
    match call.method {
        Method::OPTIONS => Ok(preflight(SESSION_METHODS, "accept-patch", FRAGMENT)),
        Method::PATCH | Method::DELETE | Method::GET | Method::HEAD => {
            call.authorize_by_url()?;
            let session = call
                .app
                .sessions
                .get(flavour.base(), room, &id)
                .ok_or(ApiError::NotFound("session"))?;
            match call.method {
                Method::PATCH => patch(session, call).await,
                Method::DELETE => delete(&id, session, &call.app).await,
                _ => Ok(reply::empty(StatusCode::NO_CONTENT)),
            }
        }
        _ => Err(ApiError::MethodNotAllowed(SESSION_METHODS)),
    }
}

/// The response to `GET` and `HEAD` of an endpoint, which say nothing of the room. Clients probe with
/// them whether there is an endpoint, and players of what kind.
fn probed(flavour: Flavour, method: &Method) -> Response {
    match (flavour, method) {
        (Flavour::Whep, &Method::HEAD) => reply::body(StatusCode::OK, SDP, String::new()),
        _ => reply::empty(StatusCode::NO_CONTENT),
    }
}

async fn create(flavour: Flavour, room: RoomId, call: Call) -> Result<Response, ApiError> {
    call.require_type(SDP)?;
    call.app.meters.join(call.client)?;
    call.authorize_by_url()?;
    let token = call.query("token");
    let name = call.query("name");
    let name = display_name(name.as_deref().unwrap_or(flavour.default_name()))?;
    let limits = limits_of(&call)?;
    let own_voice = own_voice_of(flavour, &call)?;
    let (app, client) = (call.app.clone(), call.client);
    let offer = call.text().await?;
    if app.stopping.is_cancelled() {
        return Err(ApiError::ShuttingDown);
    }
    let ice = OfferIce::of(&offer);
    let (sender, notices) = notices::queue(NOTICE_QUEUE);
    let request = JoinRequest {
        client,
        name,
        resume: None,
        mode_override: None,
        limits,
        own_voice,
        reach: Reach::HttpOnly,
        offer,
        roles: flavour.roles(),
        notices: sender,
    };
    let (handle, joined) = app.registry.join(&room, request).await?;
    app.count_join(flavour.transport());

    let etag: Arc<str> = format!("\"{:032x}\"", rand::random::<u128>()).into();
    let session = Session {
        base: flavour.base(),
        room: handle,
        participant: joined.participant,
        etag: etag.clone(),
        offer: Arc::new(ice),
    };
    let id = ResourceId::random();
    let location = format!("{}/{room}/{}", flavour.base(), id.as_str());
    let location = with_token(location, token.as_deref());
    let user = format!("{room}/{}", joined.participant);
    remember(&app, flavour, id, session, notices);
    let mut response = created(&location, &etag, joined.answer);
    reply::set_header(&mut response, PARTICIPANT, &joined.participant.to_string());
    link(&mut response, &app, &user);
    Ok(response)
}

/// The participant in the query of a player, whose voice is the player's own: `?participant=p7`.
fn own_voice_of(flavour: Flavour, call: &Call) -> Result<Option<ParticipantId>, ApiError> {
    let text = call
        .query("participant")
        .filter(|_| flavour == Flavour::Whep);
    let id = text.map(ParticipantId::try_from).transpose();
    id.map_err(|_| ApiError::NotFound("participant"))
}

/// The URL of a session. To a client that gave its token in the query it has it, too: such a client
/// can set no header later on either.
fn with_token(location: String, token: Option<&str>) -> String {
    let Some(token) = token else {
        return location;
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .finish();
    format!("{location}?{query}")
}

/// The limits in the query of a player: `?maxBitrate=`, `?maxHeight=`, `?audioOnly=`.
fn limits_of(call: &Call) -> Result<Limits, ApiError> {
    let bad = |name: &str, text: &str| ApiError::BadMessage(format!("{name} cannot be {text:?}"));
    let number = |name: &str| {
        let text = call.query(name);
        let number = text.map(|text| text.parse().map_err(|_| bad(name, &text)));
        number.transpose()
    };
    let audio_only = match call.query("audioOnly").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(bad("audioOnly", other)),
    };
    Ok(Limits {
        max_bitrate: number("maxBitrate")?,
        max_height: number("maxHeight")?,
        audio_only,
    })
}

/// Keeps the session, with a task that removes it when the room ends it.
fn remember(
    app: &Arc<App>,
    flavour: Flavour,
    id: ResourceId,
    session: Session,
    notices: NoticeReceiver,
) {
    let span = tracing::info_span!(
        "participant",
        room = %session.room.id(),
        id = %session.participant,
        transport = flavour.transport(),
    );
    app.sessions.insert(id.clone(), session);
    let owner = app.clone();
    let task = async move {
        sessions::drain(notices).await;
        if owner.sessions.remove(&id).is_some() {
            owner.count_leave(flavour.transport(), "ended");
        }
    };
    app.tasks.spawn(task.instrument(span));
}

fn created(location: &str, etag: &str, answer: String) -> Response {
    let mut response = reply::body(StatusCode::CREATED, SDP, answer);
    reply::set_header(&mut response, LOCATION, location);
    reply::set_header(&mut response, ETAG, etag);
    response.headers_mut().insert(
        HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(FRAGMENT),
    );
    response
}

/// Adds the ICE servers as `Link` headers (RFC 9725 section 4.6).
fn link(response: &mut Response, app: &App, user: &str) {
    for link in app.ice.links(user) {
        reply::set_header(response, LINK, &link);
    }
}

/// The response to `OPTIONS` of the endpoint. It names the ICE servers to a client that may join,
/// for those that cannot change ICE servers after they have made an offer, but not in the preflight
/// that a browser sends by itself (RFC 9725 section 4.6).
fn options(call: &Call) -> Result<Response, ApiError> {
    let mut response = preflight(ENDPOINT_METHODS, "accept-post", SDP);
    let by_browser = call.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !by_browser && call.authorize_by_url().is_ok() {
        call.app.meters.join(call.client)?;
        // The participant who will join has no id yet.
        let user = format!("whip/{:016x}", rand::random::<u64>());
        link(&mut response, &call.app, &user);
    }
    Ok(response)
}

async fn patch(session: Session, call: Call) -> Result<Response, ApiError> {
    call.require_type(FRAGMENT)?;
    let (room, who) = (session.room.id(), session.participant);
    call.app.meters.trickle(room, who)?;
    check_if_match(call.header(IF_MATCH), &session.etag)?;
    let fragment = call.text().await?;
    tracing::trace!(%fragment, "trickled");
    match session.offer.read(&fragment)? {
        // RFC 9725 section 4.3.3.
        Fragment::Restart => Err(ApiError::IceRestartUnsupported),
        Fragment::Trickle(candidates) => {
            for (mid, candidate) in candidates {
                session
                    .room
                    .candidate(session.participant, mid, candidate)
                    .await;
            }
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
    }
}

/// Checks that a `PATCH` names the ICE session that it belongs to (RFC 9725 section 4.3.1), or any.
/// What it asks for is told by its credentials alone: clients send `*` with a trickle, too.
///
/// # Errors
/// [`ApiError::PreconditionRequired`] without the header, [`ApiError::PreconditionFailed`] for
/// another session.
fn check_if_match(given: Option<&str>, etag: &str) -> Result<(), ApiError> {
    match given.map(str::trim) {
        None => Err(ApiError::PreconditionRequired),
        Some("*") => Ok(()),
        Some(list) if list.split(',').any(|tag| tag.trim() == etag) => Ok(()),
        Some(_) => Err(ApiError::PreconditionFailed),
    }
}

async fn delete(id: &ResourceId, session: Session, app: &App) -> Result<Response, ApiError> {
    // Two clients may delete at once: for the second one it is gone.
    if app.sessions.remove(id).is_none() {
        return Err(ApiError::NotFound("session"));
    }
    app.count_leave(session.base.trim_start_matches('/'), "left");
    let room: RoomHandle = session.room;
    room.leave(session.participant, Departure::Left).await;
    Ok(reply::empty(StatusCode::OK))
}

/// The response to `OPTIONS`. The other headers of CORS are on every response to a page that may read
/// it.
fn preflight(methods: &'static str, accepts: &'static str, what: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, If-Match",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
        (HeaderName::from_static(accepts), what),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Adds the CORS headers that let a page of another origin read a response, if `allowed` is one.
fn with_cors(mut response: Response, allowed: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    // The same request of another page has another answer.
    headers.append(VARY, HeaderValue::from_static("origin"));
    let Some(allowed) = allowed else {
        return response;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "Location, ETag, Link, Accept-Patch, Accept-Post, Allow, Retry-After, \
             Tessera-Participant, WWW-Authenticate",
        ),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_judged_as_rfc_9725_says() {
        let etag = "\"abc\"";
        assert_eq!(check_if_match(Some("\"abc\""), etag), Ok(()));
        assert_eq!(check_if_match(Some("\"x\", \"abc\""), etag), Ok(()));
        assert_eq!(
            check_if_match(None, etag),
            Err(ApiError::PreconditionRequired)
        );
        assert_eq!(check_if_match(Some("*"), etag), Ok(()));
        // A weak tag never matches in If-Match (RFC 9110 section 13.1.1).
        for other in ["\"x\"", "abc", "W/\"abc\"", ""] {
            assert_eq!(
                check_if_match(Some(other), etag),
                Err(ApiError::PreconditionFailed),
                "{other}"
            );
        }
    }
}

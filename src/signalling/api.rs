//! The REST API below `/api/v1`.

use serde_json::Value;
use warp::http::header::LOCATION;
use warp::http::{Method, StatusCode};
use warp::path::Tail;
use warp::reply::{Reply, Response};

use crate::id::{ParticipantId, Role, RoomId};
use crate::protocol::rest::{CreateRoom, PatchParticipant, PatchRoom, PutHand, RoomResource};
use crate::protocol::room::{ByeReason, ParticipantState};
use crate::room::{Departure, Muter, Request, RoomError, RoomHandle, Wanted};

use super::error::ApiError;
use super::guard::names::display_name;
use super::guard::rights::{Right, Secrets};
use super::request::Call;
use super::{recordings, reply};

/// Answers a request to a path below `/api/v1`.
pub(super) async fn handle(path: Tail, call: Call) -> Response {
    let segments: Vec<&str> = path.as_str().split('/').collect();
    let result = match segments.as_slice() {
        ["rooms"] => rooms(call).await,
        ["rooms", room] => one_room(room, call).await,
        ["rooms", room, "stats"] => stats(room, call).await,
        ["recordings"] => recordings::all(call).await,
        ["rooms", room, "recordings"] => recordings::of_room(room, call).await,
        ["rooms", room, "recordings", id] => recordings::one(room, id, call).await,
        ["rooms", room, "recordings", id, "stop"] => recordings::stop(room, id, call).await,
        ["rooms", room, "recordings", id, "files", name] => {
            recordings::file(room, id, name, call).await
        }
        ["rooms", room, "participants", id] => participant(room, id, call).await,
        ["rooms", room, "participants", id, "hand"] => hand(room, id, call).await,
        ["turn"] => turn(&call),
        ["server"] => server(&call),
        _ => Err(ApiError::NotFound("resource")),
    };
    result.into_response()
}

async fn rooms(call: Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => {
            call.authorize(Right::Enter)?;
            Ok(reply::json(StatusCode::OK, &listed(&call)?))
        }
        Method::POST => {
            call.authorize_change(Right::Administer)?;
            let (app, client) = (call.app.clone(), call.client);
            let is_admin = Secrets::from(&*app.config).is_admin(call.bearer());
            // The id is checked first, so that a bad one is refused with its own code.
            let body: Value = call.json().await?;
            if let Some(id) = body.get("id").and_then(Value::as_str) {
                RoomId::new(id)?;
            }
            let wanted: CreateRoom = serde_json::from_value(body)
                .map_err(|error| ApiError::BadMessage(error.to_string()))?;
            let CreateRoom { id, mode, layout } = wanted;
            let make = || app.registry.create(&id, Wanted { mode, layout });
            let room = match is_admin {
                true => make()?,
                false => app.made_rooms.make(client, &app.registry, make)?,
            };
            let mut response = reply::json(StatusCode::CREATED, &resource(&room));
            let location = format!("/api/v1/rooms/{id}");
            reply::set_header(&mut response, LOCATION, &location);
            Ok(response)
        }
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),
    }
}

/// All rooms, or with `?room=` that one, if it runs. Unlike the resource of a room, whose absence is
/// an error, this can be asked by a page that wants to know whether anybody is there.
fn listed(call: &Call) -> Result<Vec<RoomResource>, ApiError> {
    let registry = &call.app.registry;
    let rooms = match call.query("room") {
        Some(room) => registry.get(&RoomId::new(&room)?).into_iter().collect(),
        None => registry.list(),
    };
    Ok(rooms.iter().map(resource).collect())
}

async fn one_room(room: &str, call: Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => {
            call.authorize(Right::Enter)?;
            let room = find(room, &call)?;
            Ok(reply::json(StatusCode::OK, &resource(&room)))
        }
        Method::PATCH => {
            call.authorize_change(Right::Administer)?;
            let room = find(room, &call)?;
            let wanted: PatchRoom = call.json().await?;
            if let Some(mode) = wanted.mode {
                room.ask(Request::Mode(mode)).await?;
            }
            if let Some(layout) = wanted.layout {
                room.ask(Request::Layout(layout)).await?;
            }
            Ok(reply::json(StatusCode::OK, &resource(&room)))
        }
        Method::DELETE => {
            call.authorize_change(Right::Administer)?;
            find(room, &call)?.close(ByeReason::RoomClosed).await;
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD, PATCH, DELETE")),
    }
}

async fn stats(room: &str, call: Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => {
            call.authorize(Right::Enter)?;
            let stats = find(room, &call)?.stats().await?;
            Ok(reply::json(StatusCode::OK, &stats))
        }
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD")),
    }
}

fn server(call: &Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => {
            call.authorize(Right::Enter)?;
            let report = call.app.registry.admission().report();
            Ok(reply::json(StatusCode::OK, &report))
        }
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD")),
    }
}

/// Needs the right to administer, unlike other reads: the response has the addresses of
/// participants.
fn turn(call: &Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => {
            call.authorize(Right::Administer)?;
            let turn = call.app.ice.allocations();
            let turn = turn.ok_or(ApiError::NotFound("TURN server"))?;
            Ok(reply::json(StatusCode::OK, &turn))
        }
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD")),
    }
}

async fn hand(room: &str, id: &str, call: Call) -> Result<Response, ApiError> {
    if call.method != Method::PUT {
        return Err(ApiError::MethodNotAllowed("PUT"));
    }
    call.authorize_change(Right::Administer)?;
    let room = find(room, &call)?;
    let id: ParticipantId = id.parse().map_err(|_| ApiError::NotFound("participant"))?;
    member(&room, id)?;
    let PutHand { raised } = call.json().await?;
    room.ask(Request::Hand(id, raised)).await?;
    Ok(reply::json(StatusCode::OK, &member(&room, id)?))
}

async fn participant(room: &str, id: &str, call: Call) -> Result<Response, ApiError> {
    if !matches!(call.method, Method::PATCH | Method::DELETE) {
        return Err(ApiError::MethodNotAllowed("PATCH, DELETE"));
    }
    call.authorize_change(Right::Administer)?;
    let room = find(room, &call)?;
    let id: ParticipantId = id.parse().map_err(|_| ApiError::NotFound("participant"))?;
    member(&room, id)?;
    if call.method == Method::PATCH {
        let wanted = call.json().await?;
        change(&room, id, wanted).await?;
        return Ok(reply::json(StatusCode::OK, &member(&room, id)?));
    }
    room.leave(id, Departure::Removed).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

async fn change(
    room: &RoomHandle,
    id: ParticipantId,
    wanted: PatchParticipant,
) -> Result<(), ApiError> {
    // All values are checked before anything is changed.
    let name = wanted.name.as_deref().map(display_name);
    if let Some(name) = name.transpose()? {
        room.ask(Request::Rename(id, name)).await?;
    }
    for (role, muted) in [
        (Role::Mic, wanted.mic_muted),
        (Role::Camera, wanted.camera_muted),
    ] {
        if let Some(muted) = muted {
            let (who, by) = (id, Muter::Operator);
            room.ask(Request::Mute {
                who,
                role,
                by,
                muted,
            })
            .await?;
        }
    }
    match wanted.pinned {
        Some(true) => room.ask(Request::Pin(Some(id))).await?,
        // Releasing one who is not pinned must not release whoever is.
        Some(false) if room.state().pinned == Some(id) => room.ask(Request::Pin(None)).await?,
        _ => {}
    }
    Ok(())
}

fn find(room: &str, call: &Call) -> Result<RoomHandle, ApiError> {
    let id = RoomId::new(room)?;
    call.app.registry.get(&id).ok_or(ApiError::NotFound("room"))
}

fn member(room: &RoomHandle, id: ParticipantId) -> Result<ParticipantState, ApiError> {
    room.state()
        .participants
        .iter()
        .find(|participant| participant.id == id)
        .cloned()
        .ok_or_else(|| RoomError::NoSuchParticipant(id).into())
}

fn resource(room: &RoomHandle) -> RoomResource {
    RoomResource {
        id: room.id().clone(),
        state: (*room.state()).clone(),
    }
}

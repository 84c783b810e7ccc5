//! Recordings in the REST API: begin, list, download, stop, delete.
//!
//! Recordings outlive their rooms, so only the id of a room is compared. The room itself is needed
//! to begin and to stop a recording.

use std::path::Path;

use form_urlencoded::byte_serialize;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Empty};
use sync_wrapper::SyncStream;
use tower_http::services::ServeFile;
use warp::http::header::{ACCEPT, CONTENT_DISPOSITION, LOCATION};
use warp::http::{Method, Request, StatusCode};
use warp::hyper::body::Bytes;
use warp::reply::{Reply, Response};

use crate::archive::Archive;
use crate::archive::events::is_file_name;
use crate::id::RoomId;
use crate::protocol::recording::{
    Recording, RecordingId, RecordingKind, RecordingPage, StartRecording,
};
use crate::room::RoomError;

use super::error::ApiError;
use super::guard::rights::Right;
use super::reply;
use super::request::Call;

/// Largest number of recordings on a page of a list, which is also the default.
const MAX_PAGE: usize = 100;

/// `/api/v1/recordings`: lists the recordings of all rooms.
pub(super) async fn all(call: Call) -> Result<Response, ApiError> {
    match call.method {
        Method::GET | Method::HEAD => list(&call, None),
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD")),
    }
}

/// `/api/v1/rooms/{room}/recordings`: lists the recordings of a room, and begins one.
pub(super) async fn of_room(room: &str, call: Call) -> Result<Response, ApiError> {
    let room = RoomId::new(room)?;
    match call.method {
        Method::GET | Method::HEAD => list(&call, Some(&room)),
        Method::POST => begin(room, call).await,
        _ => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),
    }
}

/// `/api/v1/rooms/{room}/recordings/{id}`: the file of a recording, or its metadata if the client
/// accepts `application/json` or it is one of tracks, which has many files. Deletes it, too.
pub(super) async fn one(room: &str, id: &str, call: Call) -> Result<Response, ApiError> {
    // Whether there is such a recording is not for everybody.
    match call.method {
        Method::GET | Method::HEAD => call.authorize_by_url()?,
        Method::DELETE => call.authorize_change(Right::Administer)?,
        _ => return Err(ApiError::MethodNotAllowed("GET, HEAD, DELETE")),
    }
    let archive = call.app.registry.archive()?.clone();
    let recording = find(&archive, room, id)?;
    match call.method {
        Method::DELETE => {
            let deleted = archive.delete(&recording.id).await;
            deleted.map_err(RoomError::from)?;
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        _ => {
            let json = call.header(ACCEPT).is_some_and(|accept| {
                let mut types = accept.split(',').map(str::trim);
                types.any(|kind| kind.starts_with("application/json"))
            });
            match json || recording.kind == RecordingKind::Tracks {
                true => Ok(reply::json(StatusCode::OK, &recording)),
                false => download(&archive.path(&recording), &recording.file, call).await,
            }
        }
    }
}

/// `/api/v1/rooms/{room}/recordings/{id}/files/{name}`: one file of a recording of tracks.
pub(super) async fn file(
    room: &str,
    id: &str,
    name: &str,
    call: Call,
) -> Result<Response, ApiError> {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(ApiError::MethodNotAllowed("GET, HEAD"));
    }
    call.authorize_by_url()?;
    let archive = call.app.registry.archive()?.clone();
    let recording = find(&archive, room, id)?;
    if recording.kind != RecordingKind::Tracks || !is_file_name(name) {
        return Err(ApiError::NotFound("file"));
    }
    let path = archive.path(&recording).join(name);
    download(&path, &format!("{id}-{name}"), call).await
}

/// `/api/v1/rooms/{room}/recordings/{id}/stop`: ends a recording and returns its metadata.
pub(super) async fn stop(room: &str, id: &str, call: Call) -> Result<Response, ApiError> {
    if call.method != Method::POST {
        return Err(ApiError::MethodNotAllowed("POST"));
    }
    call.authorize_change(Right::Enter)?;
    let archive = call.app.registry.archive()?.clone();
    let recording = find(&archive, room, id)?;
    let running = call.app.registry.get(&recording.room);
    let ended = match running {
        Some(room) => room.stop_recording(&archive, &recording.id).await,
        None => Err(RoomError::NoSuchRecording),
    };
    Ok(reply::json(StatusCode::OK, &ended?))
}

async fn begin(room: RoomId, call: Call) -> Result<Response, ApiError> {
    call.authorize_change(Right::Enter)?;
    let archive = call.app.registry.archive()?.clone();
    let running = call.app.registry.get(&room);
    let running = running.ok_or(ApiError::NotFound("room"))?;
    call.app.meters.recording(call.client)?;
    let StartRecording { subject } = call.json().await?;
    let recording = running.record(&archive, subject).await?;
    let mut response = reply::json(StatusCode::CREATED, &recording);
    let location = format!("/api/v1/rooms/{room}/recordings/{}", recording.id);
    reply::set_header(&mut response, LOCATION, &location);
    Ok(response)
}

fn list(call: &Call, room: Option<&RoomId>) -> Result<Response, ApiError> {
    call.authorize_by_url()?;
    let number = |name: &str, default: usize| match call.query(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::BadMessage(format!("{name} is not a whole number"))),
    };
    let (offset, limit) = (
        number("offset", 0)?,
        number("limit", MAX_PAGE)?.min(MAX_PAGE),
    );
    let recordings = call.app.registry.archive()?.list(room);
    let page = RecordingPage {
        total: recordings.len(),
        offset,
        recordings: recordings.into_iter().skip(offset).take(limit).collect(),
    };
    Ok(reply::json(StatusCode::OK, &page))
}

fn find(archive: &Archive, room: &str, id: &str) -> Result<Recording, ApiError> {
    let room = RoomId::new(room)?;
    // A text that cannot be an id is the id of no recording.
    let id = RecordingId::new(id).ok();
    id.and_then(|id| archive.get(&id))
        .filter(|recording| recording.room == room)
        .ok_or(ApiError::NotFound("recording"))
}

/// Serves a file, or the range of it that is asked for (RFC 9110 section 14). `name` is the file
/// name that is suggested to a client that saves it.
async fn download(path: &Path, name: &str, call: Call) -> Result<Response, ApiError> {
    let attach = call.query("download").is_some();
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = call.method;
    *request.headers_mut() = call.headers;
    let served = ServeFile::new(path)
        .try_call(request)
        .await
        .map_err(|error| RoomError::Internal(format!("{name}: {error}")))?;
    if served.status() == StatusCode::NOT_FOUND {
        return Err(ApiError::NotFound("file"));
    }
    let (parts, body) = served.into_parts();
    let chunks = SyncStream::new(body.into_data_stream().map_err(std::io::Error::other));
    let mut response = warp::reply::stream(chunks).into_response();
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    if attach {
        let name: String = byte_serialize(name.as_bytes()).collect();
        let disposition = format!("attachment; filename=\"{name}\"");
        reply::set_header(&mut response, CONTENT_DISPOSITION, &disposition);
    }
    Ok(response)
}

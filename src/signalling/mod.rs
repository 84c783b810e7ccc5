//! Everything that clients reach over HTTP: the WebSocket, WHIP and WHEP, the REST API, the page.
//! It reads and writes the JSON of [`crate::protocol`], whose values rooms and the archive make.
//!
//! A request passes `server` (connections) and `routes` (paths) to one handler:
//!
//! | handler | paths |
//! | --- | --- |
//! | `socket` | `/ws`, one task per connection |
//! | `whip` | `/whip`, `/whep`, one small task per session |
//! | `api` | `/api/v1` |
//! | `recordings` | `/api/v1/recordings` and those of a room |
//! | `assets` | `/`, `/r/{room}`, `/watch/{room}`, `/assets` |
//! | `refusal` | whatever else is opened in a browser |
//!
//! Handlers let in whom they may (`guard`, with the bounds of `limits`), check what a client sends
//! (`message`, `sdpfrag`), ask the room through [`crate::room::RoomHandle`], and refuse with an `error::ApiError`, which has a stable
//! code and an HTTP status. Nothing below this module gets unchecked text except the SDP and the
//! candidates.

mod api;
mod app;
mod assets;
mod error;
mod guard;
mod ice;
mod limits;
mod message;
mod recordings;
mod refusal;
mod reply;
mod request;
mod routes;
mod sdpfrag;
mod server;
mod sessions;
mod socket;
mod upgrade;
mod whip;

pub use crate::signalling::server::Server;

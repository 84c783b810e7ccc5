//! From an HTTP request to a WebSocket (RFC 6455 section 4), of which little is read as long as
//! nobody has joined over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use warp::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

use super::limits::{HARD_LIMIT, READ_BUFFER};
use super::reply;

/// A WebSocket of a client.
pub(super) type WebSocket = WebSocketStream<Throat<TokioIo<Upgraded>>>;

/// The value of `Sec-WebSocket-Accept` for a request that asks for a WebSocket; `None` for any other.
pub(super) fn accept_key(headers: &HeaderMap) -> Option<String> {
    let has = |name: HeaderName, token: &str| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| {
            let mut tokens = value.to_str().unwrap_or_default().split(',');
            tokens.any(|one| one.trim().eq_ignore_ascii_case(token))
        })
    };
    let asks =
        has(CONNECTION, "upgrade") && has(UPGRADE, "websocket") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    Some(derive_accept_key(key.as_bytes()))
}

/// The response that makes a WebSocket of the connection.
pub(super) fn switching(accept: &str) -> Response {
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply::set_header(&mut response, SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The WebSocket on a connection, once the response is out. `max_message` is the setting, in bytes.
///
/// # Errors
/// The connection ended meanwhile.
pub(super) async fn open(upgrade: OnUpgrade, max_message: usize) -> hyper::Result<WebSocket> {
    let upgraded = TokioIo::new(upgrade.await?);
    let limit = HARD_LIMIT.max(max_message);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let throat = Throat::new(upgraded, max_message + READ_BUFFER);
    Ok(WebSocketStream::from_raw_socket(throat, Role::Server, Some(config)).await)
}

/// A connection of which so many bytes are read for one message, until it is [widened](Self::widen):
/// up to what is read at a time ([`READ_BUFFER`]) more. It bounds what an unfinished message takes of
/// memory, and how many empty parts a message can have, which no limit of the message counts.
#[derive(Debug)]
pub(super) struct Throat<S> {
    stream: S,
    width: Width,
}

#[derive(Debug, Clone, Copy)]
enum Width {
    /// So many bytes a message, of which some are left.
    Narrow { bytes: usize, left: usize },
    /// As many as come.
    Wide,
}

impl<S> Throat<S> {
    /// Reads `bytes` for a message.
    fn new(stream: S, bytes: usize) -> Self {
        let width = Width::Narrow { bytes, left: bytes };
        Self { stream, width }
    }

    /// A message is through: the next one may be as large.
    pub(super) fn swallow(&mut self) {
        if let Width::Narrow { bytes, left } = &mut self.width {
            *left = *bytes;
        }
    }

    /// Reads whatever comes from here on.
    pub(super) fn widen(&mut self) {
        self.width = Width::Wide;
    }
}

/// A message is larger than what is read of one.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the message is too large for a client that has not joined")]
struct Choked;

/// Whether a WebSocket is at its end because a message is larger than what is read of one.
pub(super) fn is_oversize(error: &tungstenite::Error) -> bool {
    match error {
        tungstenite::Error::Capacity(_) => true,
        tungstenite::Error::Io(error) => error.get_ref().is_some_and(|error| error.is::<Choked>()),
        _ => false,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throat<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Width::Narrow { left: 0, .. } = self.width {
            return Poll::Ready(Err(io::Error::other(Choked)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Width::Narrow { left, .. } = &mut self.width {
            *left = left.saturating_sub(buffer.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throat<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn so_much_is_read_for_a_message_until_it_is_widened() {
        let mut throat = Throat::new(&[7_u8; 100][..], 10);
        let mut part = [0; 4];
        for _ in 0..3 {
            throat
                .read_exact(&mut part)
                .await
                .expect("within the limit");
        }
        let error = throat.read(&mut part).await.expect_err("12 of 10");
        assert!(is_oversize(&tungstenite::Error::Io(error)));
        throat.swallow();
        throat
            .read_exact(&mut part)
            .await
            .expect("the next message");
        throat.widen();
        let rest = throat.read_to_end(&mut Vec::new()).await;
        assert_eq!(rest.ok(), Some(84));
    }

    #[test]
    fn only_a_handshake_is_answered() {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value| {
            headers.insert(name, HeaderValue::from_static(value));
            accept_key(&headers)
        };
        assert_eq!(put(CONNECTION, "keep-alive, Upgrade"), None);
        assert_eq!(put(UPGRADE, "websocket"), None);
        assert_eq!(put(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="), None);
        // RFC 6455 section 1.3.
        let accept = put(SEC_WEBSOCKET_VERSION, "13");
        assert_eq!(accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(put(SEC_WEBSOCKET_VERSION, "8"), None);
    }
}

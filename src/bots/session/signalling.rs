//! The client's side of signalling: the WebSocket, WHIP and WHEP.

use futures::{SinkExt, StreamExt};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::bots::config::{BotConfig, Entry};
use crate::bots::error::BotError;
use crate::protocol::room::Limits;
use crate::protocol::{ClientMessage, ServerMessage};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is to be sent over a WebSocket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message of the protocol.
    Message(ClientMessage),
    /// Any text, such as no client should send.
    Text(String),
    /// Nothing: the TCP connection is reset.
    Abort,
}

/// A signalling WebSocket, served by a task that ends with the connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) outbox: mpsc::UnboundedSender<Outgoing>,
    pub(crate) inbox: mpsc::UnboundedReceiver<ServerMessage>,
}

impl Socket {
    /// Connects to the WebSocket of the server with this http(s) URL.
    pub(crate) async fn connect(server: &str) -> Result<Self, BotError> {
        let url = match server.strip_prefix("http") {
            Some(rest) => format!("ws{}/ws", rest.trim_end_matches('/')),
            None => return Err(BotError::BadServer(server.to_owned())),
        };
        let (stream, _) = tokio_tungstenite::connect_async(url).await?;
        let (outbox, orders) = mpsc::unbounded_channel();
        let (deliver, inbox) = mpsc::unbounded_channel();
        tokio::spawn(serve(stream, orders, deliver));
        Ok(Self { outbox, inbox })
    }
}

async fn serve(
    mut stream: Stream,
    mut orders: mpsc::UnboundedReceiver<Outgoing>,
    deliver: mpsc::UnboundedSender<ServerMessage>,
) {
    loop {
        tokio::select! {
            order = orders.recv() => {
                let text = match order {
                    Some(Outgoing::Message(message)) => match serde_json::to_string(&message) {
                        Ok(text) => text,
                        Err(error) => {
                            tracing::error!(%error, "a message has no JSON form");
                            continue;
                        }
                    },
                    Some(Outgoing::Text(text)) => text,
                    Some(Outgoing::Abort) => return reset(&stream),
                    None => {
                        // The owner is gone: nobody is left to tell of an error.
                        let _ = stream.close(None).await;
                        return;
                    }
                };
                if stream.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    // Nobody reads any more: what is left to do comes as an order.
                    Ok(message) => { let _ = deliver.send(message); }
                    Err(error) => tracing::warn!(%error, %text, "an unknown message"),
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// Makes the kernel send a TCP reset when the stream is dropped, as it does for a killed process
/// with unread data.
fn reset(stream: &Stream) {
    if let MaybeTlsStream::Plain(tcp) = stream.get_ref()
        && let Err(error) = tcp.set_zero_linger()
    {
        tracing::warn!(%error, "the connection closes instead of resetting");
    }
}

/// A WHIP or WHEP session.
#[derive(Debug)]
pub(crate) struct HttpSession {
    client: reqwest::Client,
    resource: reqwest::Url,
}

impl HttpSession {
    /// Posts the offer. Returns the session and the answer (RFC 9725 section 4.2).
    pub(crate) async fn open(
        config: &BotConfig,
        offer: String,
    ) -> Result<(Self, String), BotError> {
        let endpoint = match config.entry {
            Entry::Whip => "whip",
            Entry::Whep | Entry::WebSocket { .. } => "whep",
        };
        let server = config.server.trim_end_matches('/');
        let bad_server = |_| BotError::BadServer(config.server.clone());
        let mut url = reqwest::Url::parse(&format!("{server}/{endpoint}/{}", config.room))
            .map_err(bad_server)?;
        add_limits(&mut url, config.limits);
        let client = reqwest::Client::new();
        let mut request = client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/sdp")
            .body(offer);
        if let Some(token) = &config.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| url.join(location).ok());
        let body = response.text().await?;
        match (status, location) {
            (201, Some(resource)) => Ok((Self { client, resource }, body)),
            _ => Err(BotError::RefusedHttp { status, body }),
        }
    }

    /// Deletes the session's resource.
    pub(crate) async fn close(self) -> Result<(), BotError> {
        let response = self.client.delete(self.resource).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.text().await.unwrap_or_default();
        Err(BotError::RefusedHttp {
            status: status.as_u16(),
            body,
        })
    }
}

/// Puts the limits into the query of the URL.
fn add_limits(url: &mut reqwest::Url, limits: Limits) {
    let number = |name, number: Option<u32>| Some((name, number?.to_string()));
    let audio_only = limits.audio_only.then(|| ("audioOnly", "true".to_owned()));
    let pairs = [
        number("maxBitrate", limits.max_bitrate),
        number("maxHeight", limits.max_height),
        audio_only,
    ];
    for (name, value) in pairs.into_iter().flatten() {
        url.query_pairs_mut().append_pair(name, &value);
    }
}

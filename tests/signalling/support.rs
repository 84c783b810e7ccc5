//! A server on a port of its own, and clients that know what to expect of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tessera::config::{Config, MaxCores};
use tessera::net::MediaIps;
use tessera::room::Registry;
use tessera::signalling::Server;
use tessera::telemetry::Metrics;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

/// Longer than any wait of the server; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn registry(config: &Arc<Config>) -> Registry {
    gst::init().expect("GStreamer");
    Registry::new(Arc::clone(config), Arc::default())
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    http: Client,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            media_ips: MediaIps::Only(vec!["127.0.0.1".parse().unwrap()]),
            max_cores: MaxCores::Unlimited,
            ..Config::default()
        };
        config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let config = Arc::new(config);
        let metrics = Metrics::install().unwrap();
        let server = Server::bind(config.clone(), registry(&config), metrics)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        Self {
            address: server.local_addr(),
            task: tokio::spawn(server.run(stop.clone().cancelled_owned())),
            stop,
            http: Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.http.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) fn offer(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/sdp")
            .body("v=0\r\n")
    }

    pub(crate) async fn socket(&self) -> Socket {
        let (stream, _) = connect_async(format!("ws://{}/ws", self.address))
            .await
            .unwrap();
        Socket(stream)
    }

    /// The status a WebSocket upgrade from a page of that origin gets.
    pub(crate) async fn upgrade_from(&self, origin: &str) -> StatusCode {
        let mut request = format!("ws://{}/ws", self.address)
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok((_, response)) => response.status(),
            Err(tungstenite::Error::Http(response)) => response.status(),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message, or `None` at the close.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = timeout(PATIENCE, self.0.next()).await.expect("an answer");
            match frame?.unwrap() {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub(crate) async fn expect_error(&mut self, code: &str) {
        let message = self.next().await.expect("an error, not a close");
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["code"], code, "{message}");
    }

    pub(crate) async fn expect_bye(&mut self, reason: &str) {
        let message = self.next().await;
        assert_eq!(message, Some(json!({"type": "bye", "reason": reason})));
        assert_eq!(self.next().await, None, "closed after bye");
    }
}

pub(crate) fn join(change: impl FnOnce(&mut Value)) -> String {
    let mut join = json!({
        "type": "join", "version": 1, "room": "r1", "name": "Ann", "offer": "v=0\r\n",
        "tracks": [],
    });
    change(&mut join);
    join.to_string()
}

/// Checks that a response is that refusal, and returns its words.
pub(crate) async fn assert_error(response: Response, status: u16, code: &str) -> String {
    let url = response.url().clone();
    assert_eq!(response.status().as_u16(), status, "{url}");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], code, "{url}: {body}");
    let message = body["error"]["message"].as_str();
    message
        .unwrap_or_else(|| panic!("{url}: {body}"))
        .to_owned()
}

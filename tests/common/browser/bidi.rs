//! A client of WebDriver BiDi (W3C): commands over one WebSocket, answered by id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Longer than any wait a test asks a page for.
const PATIENCE: Duration = Duration::from_secs(60);

type Answer = Result<Value, String>;

#[derive(Debug, Default)]
struct Shared {
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    log: Vec<String>,
}

/// A connection to a browser.
#[derive(Debug)]
pub struct Bidi {
    out: mpsc::UnboundedSender<String>,
    shared: Arc<Mutex<Shared>>,
    next: AtomicU64,
    task: JoinHandle<()>,
}

impl Bidi {
    /// Connects to the WebSocket of a session, or of a browser that has none yet.
    pub async fn connect(url: &str) -> anyhow::Result<Arc<Self>> {
        // Screenshots are larger than the 16 MiB that are the default.
        let config = WebSocketConfig::default()
            .max_message_size(Some(64 << 20))
            .max_frame_size(Some(64 << 20));
        let (stream, _) = connect_async_with_config(url, Some(config), true)
            .await
            .with_context(|| format!("WebDriver BiDi at {url}"))?;
        let (out, messages) = mpsc::unbounded_channel();
        let shared = Arc::<Mutex<Shared>>::default();
        let task = tokio::spawn(converse(stream, messages, Arc::clone(&shared)));
        let next = AtomicU64::new(1);
        Ok(Arc::new(Self {
            out,
            shared,
            next,
            task,
        }))
    }

    /// Sends a command and waits for its result.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.shared.lock().unwrap().pending.insert(id, reply);
        let command = json!({"id": id, "method": method, "params": params});
        self.out
            .send(command.to_string())
            .ok()
            .with_context(|| format!("{method}: the browser is gone"))?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(result)) => result.map_err(|error| anyhow!("{method}: {error}")),
            Ok(Err(_)) => bail!("{method}: the browser went away"),
            Err(_) => bail!("{method}: no answer in {PATIENCE:?}"),
        }
    }

    /// What pages have written to the console and the exceptions nobody caught, so far.
    pub fn log(&self) -> Vec<String> {
        self.shared.lock().unwrap().log.clone()
    }
}

impl Drop for Bidi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    mut messages: mpsc::UnboundedReceiver<String>,
    shared: Arc<Mutex<Shared>>,
) {
    let (mut sink, mut source) = stream.split();
    loop {
        tokio::select! {
            Some(text) = messages.recv() => {
                if sink.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
            message = source.next() => match message {
                Some(Ok(Message::Text(text))) => shared.lock().unwrap().receive(&text),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    // Whoever still waits hears that nothing comes.
    shared.lock().unwrap().pending.clear();
}

impl Shared {
    fn receive(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return;
        };
        if message["method"] == "log.entryAdded" {
            let entry = &message["params"];
            let words = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
            let (level, kind, text) = (words("level"), words("type"), words("text"));
            self.log.push(format!("{level} ({kind}): {text}"));
        } else if let Some(reply) = message["id"]
            .as_u64()
            .and_then(|id| self.pending.remove(&id))
        {
            let answer = if message["type"] == "success" {
                Ok(message["result"].clone())
            } else {
                Err(format!("{}: {}", message["error"], message["message"]))
            };
            // The caller may have given up meanwhile.
            let _ = reply.send(answer);
        }
    }
}

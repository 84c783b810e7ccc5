//! Damaged messages over WebSockets: by strangers, by somebody who has joined and never connects, by a
//! connected member, and frames that are none.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tessera::bots::{Bot, BotConfig, VideoFormat};
use tessera::codec::VideoCodec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::Siege;
use crate::common::server::room;
use crate::draw::Draw;
use crate::offers;
use crate::report::Tally;
use crate::rest::connect;

/// Time between two messages: a little less than what a WebSocket may send.
const EACH: Duration = Duration::from_millis(25);
/// Messages of one WebSocket, at most.
const MESSAGES: usize = 100;

/// The messages of docs/PROTOCOL.md that clients send.
fn seeds() -> Vec<Value> {
    let text = include_str!("../../docs/PROTOCOL.md");
    let blocks = text.split("```json client\n").skip(1);
    let bodies = blocks.filter_map(|block| block.split("```").next());
    let seeds: Vec<Value> = bodies
        .map(|body| serde_json::from_str(body).expect("an example"))
        .collect();
    assert!(seeds.len() > 10, "{seeds:?}");
    seeds
}

/// A message, with damage or without.
fn message(draw: &mut Draw, seeds: &[Value]) -> String {
    let seed = draw.one(seeds).clone();
    match draw.percent(25) {
        true => seed.to_string(),
        false => draw.damaged_json(&seed),
    }
}

/// One that joins, perhaps with a damaged offer.
fn join(draw: &mut Draw, offers: &[String]) -> String {
    let offer = match draw.percent(60) {
        true => draw.one(offers).clone(),
        false => offers::damaged(draw, offers),
    };
    let tracks: Vec<Value> = offer.split("\nm=").skip(1).filter_map(track).collect();
    let join = json!({
        "type": "join", "version": 1, "room": "siege-1", "name": "Eve", "offer": offer,
        "tracks": tracks,
    });
    match draw.percent(85) {
        true => join.to_string(),
        false => draw.damaged_json(&join),
    }
}

/// What an m-line is for, as far as it says.
fn track(line: &str) -> Option<Value> {
    let mid = line.lines().find_map(|line| line.strip_prefix("a=mid:"))?;
    let role = match (line.starts_with("audio"), line.contains("a=recvonly")) {
        (true, true) => "mix-audio",
        (true, false) => "mic",
        (false, true) => "mix-video",
        (false, false) => "camera",
    };
    Some(json!({"mid": mid, "role": role}))
}

async fn open(siege: &Siege, draw: &mut Draw) -> Option<WebSocketStream<TcpStream>> {
    let stream = connect(draw.address(), siege.server.http).await.ok()?;
    let url = format!("ws://{}/ws", siege.server.http);
    client_async(url, stream)
        .await
        .ok()
        .map(|(socket, _)| socket)
}

/// Strangers, some of whom join.
pub(crate) async fn strangers(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let (seeds, offers) = (seeds(), offers::seeds());
    while !siege.stop.is_cancelled() {
        let Some(socket) = open(&siege, &mut draw).await else {
            sleep(EACH).await;
            continue;
        };
        let (mut to, mut from) = socket.split();
        let reader = tokio::spawn({
            let tally = Arc::clone(&tally);
            async move {
                while let Some(Ok(message)) = from.next().await {
                    let is_welcome = |text: &str| text.contains("\"type\":\"welcome\"");
                    if message.to_text().is_ok_and(is_welcome) {
                        tally.taken();
                    }
                }
            }
        });
        let joins_at = draw.below(10);
        for n in 0..MESSAGES {
            let message = match n == joins_at {
                true => Message::text(join(&mut draw, &offers)),
                false if draw.percent(5) => Message::binary(draw.noise(2000)),
                false if draw.percent(5) => Message::Ping(draw.noise(125).into()),
                false => Message::text(message(&mut draw, &seeds)),
            };
            tally.sent(1);
            if siege.stop.is_cancelled() || to.send(message).await.is_err() {
                break;
            }
            sleep(EACH).await;
        }
        if draw.percent(50) {
            let _ = to.close().await;
        }
        drop(to);
        reader.abort();
    }
}

/// A member with media, in a room of its own.
pub(crate) async fn connected(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let seeds = seeds();
    while !siege.stop.is_cancelled() {
        let config = BotConfig::new(&siege.server.url, room("siege-1"), "Trudy")
            .person(5, VideoFormat::sized(VideoCodec::Vp8, 160, 90))
            .with_slots(2);
        let Ok(bot) = Bot::join(config).await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        if bot.connected().await.is_ok() {
            tally.taken();
        }
        for _ in 0..4 * MESSAGES {
            tally.sent(1);
            let sent = bot.send_text(message(&mut draw, &seeds));
            if siege.stop.is_cancelled() || sent.is_err() {
                break;
            }
            sleep(EACH).await;
        }
        bot.kill().await;
    }
}

/// Bytes that are frames, or were.
pub(crate) async fn raw(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let (seeds, offers) = (seeds(), offers::seeds());
    while !siege.stop.is_cancelled() {
        sleep(2 * EACH).await;
        let Ok(mut stream) = connect(draw.address(), siege.server.http).await else {
            continue;
        };
        let mut hello = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            siege.server.http
        )
        .into_bytes();
        if draw.percent(15) {
            hello = draw.damaged(&hello);
        }
        let mut frames = Vec::new();
        for n in 0..=draw.below(6) {
            let text = match n {
                0 if draw.percent(50) => join(&mut draw, &offers),
                _ => message(&mut draw, &seeds),
            };
            let frame = frame(&mut draw, text.as_bytes());
            frames.extend(match draw.percent(60) {
                true => draw.damaged(&frame),
                false => frame,
            });
        }
        tally.sent(1);
        let tally = Arc::clone(&tally);
        // Until the server closes, or for a while.
        tokio::spawn(timeout(Duration::from_secs(3), async move {
            if stream.write_all(&hello).await.is_err() || stream.write_all(&frames).await.is_err() {
                return;
            }
            let mut answer = vec![0; 4096];
            if let Ok(n @ 1..) = stream.read(&mut answer).await
                && answer[..n].starts_with(b"HTTP/1.1 101 ")
            {
                tally.taken();
            }
            while stream.read(&mut answer).await.is_ok_and(|n| n > 0) {}
        }));
    }
}

/// A masked frame of any kind (RFC 6455 section 5.2).
fn frame(draw: &mut Draw, payload: &[u8]) -> Vec<u8> {
    let kind = *draw.one(&[0x81, 0x81, 0x81, 0x01, 0x80, 0x82, 0x88, 0x89, 0x8a, 0xc1]);
    let mask = draw.number().to_be_bytes();
    let mut frame = vec![kind];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        longer @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((longer as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

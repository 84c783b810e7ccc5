//! Damaged requests to every path of the server, over sockets of their own: a client of HTTP would
//! not send most of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Siege;
use crate::draw::Draw;
use crate::report::Tally;

/// Time between two requests.
const EACH: Duration = Duration::from_millis(20);
/// How long an answer is waited for: what is cut off gets none until the server gives up.
const ANSWER: Duration = Duration::from_secs(2);
/// Bytes that are read of an answer.
const READ: usize = 64 * 1024;

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "BREW",
];
const OTHERS: [&str; 8] = ["..", "%2e%2e", "", "p1", "siege-1", "%00", "*", "é"];

/// Every resource, with a body that it takes.
fn seeds() -> Vec<(&'static str, String, Value)> {
    let api = |path: &str| format!("/api/v1{path}");
    let record = json!({"format": "webm", "kind": "composite"});
    let mut seeds = vec![
        (
            "POST",
            api("/rooms"),
            json!({"id": "siege-1", "mode": "sfu", "layout": "grid"}),
        ),
        (
            "POST",
            api("/rooms"),
            json!({"id": "siege-3", "mode": "mcu"}),
        ),
        ("GET", api("/rooms"), Value::Null),
        ("GET", api("/rooms?room=siege-1"), Value::Null),
        ("GET", api("/rooms/siege-1"), Value::Null),
        (
            "PATCH",
            api("/rooms/siege-1"),
            json!({"mode": "mcu", "layout": "spotlight"}),
        ),
        ("PATCH", api("/rooms/siege-2"), json!({"mode": "p2p"})),
        ("DELETE", api("/rooms/siege-3"), Value::Null),
        ("GET", api("/rooms/siege-1/stats"), Value::Null),
        ("POST", api("/rooms/siege-1/recordings"), record),
        (
            "POST",
            api("/rooms/siege-1/recordings"),
            json!({"kind": "tracks"}),
        ),
        ("GET", api("/rooms/siege-1/recordings"), Value::Null),
        (
            "GET",
            api("/recordings?limit=2&state=finished"),
            Value::Null,
        ),
        (
            "POST",
            api("/rooms/siege-1/recordings/siege-1-20261121T101500Z-3f9a/stop"),
            Value::Null,
        ),
        (
            "DELETE",
            api("/rooms/siege-1/recordings/siege-1-20261121T101500Z-3f9a"),
            Value::Null,
        ),
        (
            "GET",
            api("/rooms/siege-1/recordings/siege-1-20261121T101500Z-3f9a/files/a.webm"),
            Value::Null,
        ),
        ("GET", api("/turn"), Value::Null),
        ("GET", api("/server"), Value::Null),
    ];
    for who in 1..4 {
        let path = api(&format!("/rooms/siege-1/participants/p{who}"));
        let patch = json!({"name": "Eve", "muted": {"mic": true}, "pinned": true});
        seeds.push(("PUT", format!("{path}/hand"), json!({"raised": true})));
        seeds.push(("PATCH", path.clone(), patch));
        seeds.push(("DELETE", path, Value::Null));
    }
    let pages = [
        "/",
        "/r/siege-1",
        "/watch/siege-1",
        "/recordings",
        "/assets/js/main.js",
    ];
    let open = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/ws",
        "/whip/siege-1",
        "/whep/siege-1/x",
    ];
    let reads = pages.into_iter().chain(open);
    seeds.extend(reads.map(|path| ("GET", path.to_owned(), Value::Null)));
    seeds
}

pub(crate) async fn run(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let seeds = seeds();
    while !siege.stop.is_cancelled() {
        let seed = draw.one(&seeds).clone();
        let request = request(&mut draw, &siege.server.http, seed);
        let from = draw.address();
        let (siege, tally) = (siege.clone(), Arc::clone(&tally));
        // Not one after the other: some get their answer late, and others not at all.
        tokio::spawn(async move {
            let Ok(mut stream) = connect(from, siege.server.http).await else {
                return;
            };
            tally.sent(1);
            let answer = timeout(ANSWER, exchange(&mut stream, &request)).await;
            let answer = answer.unwrap_or_default();
            let (status, body) = read(&answer);
            if (200..300).contains(&status) {
                tally.taken();
            }
            if is_undocumented(status, &body) {
                let request = String::from_utf8_lossy(&request).into_owned();
                siege.finds.add(format!("{status} {body} for\n{request}"));
            }
        });
        sleep(EACH).await;
    }
}

/// A connection of that address of this machine.
pub(crate) async fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

fn request(draw: &mut Draw, host: &SocketAddr, seed: (&str, String, Value)) -> Vec<u8> {
    let (mut method, mut path, body) = seed;
    if draw.percent(15) {
        method = *draw.one(&METHODS);
    }
    if draw.percent(30) {
        path = other_path(draw, &path);
    }
    let body = match &body {
        Value::Null if draw.percent(80) => String::new(),
        body if draw.percent(30) => body.to_string(),
        body => draw.damaged_json(body),
    };
    let kind = match draw.percent(90) {
        true => "application/json".to_owned(),
        false => draw.damaged_text("application/json"),
    };
    let mut length = body.len();
    if draw.percent(3) {
        length = draw.below(2 * length + 2);
    }
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    match draw.percent(20) {
        true => draw.damaged(request.as_bytes()),
        false => request.into_bytes(),
    }
}

fn other_path(draw: &mut Draw, path: &str) -> String {
    if draw.percent(50) {
        return draw.damaged_text(path).replace([' ', '\r', '\n'], "+");
    }
    let mut segments: Vec<&str> = path.split('/').collect();
    let at = draw.below(segments.len());
    match draw.percent(50) {
        true => segments[at] = *draw.one(&OTHERS),
        false => segments.insert(at, *draw.one(&OTHERS)),
    }
    segments.join("/")
}

/// What comes back until the server closes, or there is enough of it.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if stream.write_all(request).await.is_err() {
        return answer;
    }
    let mut part = vec![0; 8192];
    while answer.len() < READ {
        match stream.read(&mut part).await {
            Ok(n @ 1..) => answer.extend_from_slice(&part[..n]),
            _ => break,
        }
    }
    answer
}

/// The status and the body of an answer; 0 where there is none.
fn read(answer: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (
        status.and_then(|status| status.parse().ok()).unwrap_or(0),
        body.to_owned(),
    )
}

/// Whether an answer is one of the server's own faults, and not one of those that PROTOCOL.md has for
/// a server that is busy or out of space.
pub(crate) fn is_undocumented(status: u16, body: &str) -> bool {
    let says = |code: &str| body.contains(&format!("\"code\":\"{code}\""));
    match status {
        503 => !says("server_busy"),
        507 => !says("storage_full"),
        500.. => true,
        _ => false,
    }
}

/// Notes an answer that must not be, or that none came.
pub(crate) async fn check(siege: &Siege, what: &str, answer: reqwest::Result<reqwest::Response>) {
    match answer {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.text().await.unwrap_or_default();
            if is_undocumented(status, &body) {
                siege.finds.add(format!("{what}: {status} {body}"));
            }
        }
        Err(error) => siege.finds.add(format!("{what}: {error:?}")),
    }
}

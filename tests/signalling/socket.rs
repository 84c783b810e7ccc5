//! Over the WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, TestServer, join};

#[tokio::test]
async fn a_socket_survives_what_it_does_not_understand() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for (text, code) in [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        (r#"{"type":"dance"}"#, "bad_message"),
        (r#"{"type":"join"}"#, "bad_message"),
        (r#"{"type":"chat","text":"hello"}"#, "not_joined"),
        (
            r#"{"type":"candidate","mid":"0","candidate":null}"#,
            "not_joined",
        ),
        (
            &join(|join| join["version"] = json!(2)),
            "unsupported_version",
        ),
        (&join(|join| join["name"] = json!("  ")), "bad_name"),
        (
            &join(|join| join["name"] = json!("x".repeat(65))),
            "bad_name",
        ),
        (
            &join(|join| {
                join["tracks"] = json!([
                    {"mid": "0", "role": "mic"}, {"mid": "0", "role": "camera"},
                ]);
            }),
            "bad_tracks",
        ),
        (
            &join(|join| join["offer"] = json!("x".repeat(260 * 1024))),
            "too_large",
        ),
    ] {
        socket.send(text).await;
        socket.expect_error(code).await;
    }
    socket.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    socket.expect_error("bad_message").await;
    socket
        .0
        .send(Message::Ping("still there?".into()))
        .await
        .unwrap();
    loop {
        let frame = timeout(PATIENCE, socket.0.next()).await.unwrap();
        if let Message::Pong(data) = frame.unwrap().unwrap() {
            assert_eq!(&data[..], b"still there?");
            break;
        }
    }
    socket.send(r#"{"type":"leave"}"#).await;
    socket.expect_bye("left").await;
}

#[tokio::test]
async fn a_socket_that_only_sends_garbage_is_closed_with_a_reason() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for _ in 0..20 {
        socket.send("garbage").await;
        socket.expect_error("bad_message").await;
    }
    // Something sensible in between, and the count begins again.
    socket.send(r#"{"type":"chat","text":"hello"}"#).await;
    socket.expect_error("not_joined").await;
    for _ in 0..21 {
        socket.send("garbage").await;
        socket.expect_error("bad_message").await;
    }
    socket.expect_bye("protocol_error").await;
}

#[tokio::test]
async fn a_message_over_the_hard_limit_ends_the_socket_with_a_reason() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    // Only the head of a masked text frame (RFC 6455 section 5.2): its length is enough.
    let mut head = vec![0x81, 0x80 | 127];
    head.extend_from_slice(&(4 * 1024 * 1024 + 1_u64).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    socket.0.get_mut().write_all(&head).await.unwrap();
    socket.expect_error("too_large").await;
    socket.expect_bye("protocol_error").await;
}

#[tokio::test]
async fn messages_come_at_a_bounded_rate() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for _ in 0..400 {
        socket
            .0
            .feed(Message::text(r#"{"type":"chat","text":"x"}"#))
            .await
            .unwrap();
    }
    socket.0.flush().await.unwrap();
    let mut codes = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let message = socket.next().await.expect("an answer to each");
        *codes
            .entry(message["code"].as_str().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    assert!(codes["not_joined"] >= 200, "{codes:?}");
    assert!(codes["rate_limited"] > 0, "{codes:?}");
}

#[tokio::test]
async fn a_socket_that_never_joins_is_closed_with_a_reason() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.expect_bye("protocol_error").await;
}

#[tokio::test]
async fn foreign_pages_get_no_socket_unless_listed() {
    let server = TestServer::with(|config| {
        config.allowed_origins = vec!["https://meet.example".into()];
    })
    .await;
    let own = format!("http://{}", server.address);
    assert_eq!(server.upgrade_from(&own).await, 101);
    assert_eq!(server.upgrade_from("https://meet.example").await, 101);
    assert_eq!(server.upgrade_from("https://evil.example").await, 403);
    assert_eq!(server.upgrade_from("null").await, 403);
}

#[tokio::test]
async fn stopping_says_bye_and_ends_in_time() {
    let server = TestServer::start().await;
    let mut polite = server.socket().await;
    let _silent = server.socket().await; // never answers the close
    let half_a_request = TcpStream::connect(server.address).await.unwrap();
    half_a_request.try_write(b"GET / HT").unwrap();
    assert_eq!(server.get("/healthz").await.status(), 200);

    server.stop.cancel();
    polite.expect_bye("server_shutdown").await;
    timeout(Duration::from_secs(5), server.task)
        .await
        .expect("stopped in time")
        .unwrap();
    TcpStream::connect(server.address)
        .await
        .expect_err("nobody listens any more");
}

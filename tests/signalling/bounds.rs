//! How much strangers and members may, and that all others get in meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures::future::join_all;
use futures::{SinkExt, StreamExt, stream};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tessera::config::Config;
use tessera::process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, Socket, TestServer, assert_error, join};

const OFFER: &str = include_str!("../data/offers/f06-no-direction.sdp");

/// All that comes on a connection until its end. A reset is an end, too.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = timeout(PATIENCE, stream.read(&mut part))
        .await
        .expect("an end")
    {
        read.extend_from_slice(&part[..count]);
    }
    read
}

/// Nothing, half a head, half a body and what is kept alive: none stays for ever.
#[tokio::test]
async fn connections_on_which_nothing_comes_are_closed() {
    let server = TestServer::start().await;
    let ends = [
        ("", ""),
        ("GET /healthz HT", ""),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n", ""),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", "200 OK"),
        (
            "POST /api/v1/rooms HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{\"id\"",
            "too slowly",
        ),
    ];
    let ends = ends.map(|(sent, told)| async move {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let read = String::from_utf8(rest(&mut stream).await).unwrap();
        assert!(read.contains(told), "{sent:?}: {read}");
    });
    join_all(ends).await;
}

#[tokio::test]
async fn a_head_has_a_limit() {
    let server = TestServer::start().await;
    let ask = |bytes: usize| {
        let request = server.request(Method::GET, "/healthz");
        request.header("x-long", "x".repeat(bytes)).send()
    };
    assert_eq!(ask(16 * 1024).await.unwrap().status(), 200);
    assert_eq!(ask(40 * 1024).await.unwrap().status(), 431);
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let read = rest(&mut stream).await;
    // A server that speaks it begins with a SETTINGS frame, whose type is 4.
    assert!(
        read.is_empty() || read.starts_with(b"HTTP/1.1 4"),
        "{read:?}"
    );
}

async fn from(local: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Whether a connection is served.
async fn is_served(mut stream: TcpStream) -> bool {
    let asked = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    // A connection that the server has closed takes it or does not.
    let _ = stream.write_all(asked).await;
    rest(&mut stream).await.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_other_address_suffers() {
    process::raise_open_files().unwrap();
    let server = TestServer::start().await;
    // Each is known to be counted before the next one comes: it has been answered.
    let mut idle = Vec::new();
    for _ in 0..256 {
        let mut stream = from("127.0.0.1", server.address).await;
        let asked = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(asked).await.unwrap();
        let mut head = [0; 12];
        let read = timeout(PATIENCE, stream.read_exact(&mut head)).await;
        read.expect("an answer").unwrap();
        idle.push(stream);
    }
    assert!(!is_served(from("127.0.0.1", server.address).await).await);
    assert!(is_served(from("127.0.0.2", server.address).await).await);
    idle.pop();
    // The server sees the end a moment later.
    let again = async { while !is_served(from("127.0.0.1", server.address).await).await {} };
    timeout(PATIENCE, again).await.expect("a free place");

    // Behind a proxy all connections are of one address.
    let proxy = |config: &mut Config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    let server = TestServer::with(proxy).await;
    let idle = (0..300).map(|_| from("127.0.0.1", server.address));
    let _idle = join_all(idle).await;
    assert!(is_served(from("127.0.0.1", server.address).await).await);
}

/// The status of an upgrade, and its connection.
async fn upgrade(server: &TestServer, client: &str) -> (StatusCode, TcpStream) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asked = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {client}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    let read = timeout(PATIENCE, stream.read_exact(&mut head)).await;
    read.expect("an answer").unwrap();
    let status = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
    (StatusCode::from_u16(status).unwrap(), stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_do_not_join_are_few_from_one_address() {
    process::raise_open_files().unwrap();
    let proxy = |config: &mut Config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    let server = TestServer::with(proxy).await;
    let many = (0..80).map(|_| upgrade(&server, "198.51.100.7"));
    let many = join_all(many).await;
    let open = many.iter().filter(|(status, _)| *status == 101).count();
    let refused = many.iter().filter(|(status, _)| *status == 429).count();
    assert_eq!((open, refused), (64, 16));
    assert_eq!(upgrade(&server, "198.51.100.8").await.0, 101);
}

#[tokio::test]
async fn before_the_join_a_message_is_as_large_as_an_offer_and_no_larger() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for _ in 0..8 {
        // Each within the limit, and all together not.
        socket
            .send(join(|join| join["offer"] = json!("x".repeat(200_000))))
            .await;
        socket.expect_error("bad_offer").await;
    }
    let large = join(|join| join["offer"] = json!("x".repeat(1 << 20)));
    socket.send(large).await;
    socket.expect_error("too_large").await;
    socket.expect_bye("protocol_error").await;

    // One that never ends: empty parts, which add nothing to its size.
    let mut socket = server.socket().await;
    let stream = socket.0.get_mut();
    stream.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
    let part = [0x00, 0x80, 0, 0, 0, 0].repeat(100_000);
    // The end may come while it is being written.
    let _ = stream.write_all(&part).await;
    socket.expect_error("too_large").await;
}

#[tokio::test]
async fn pings_are_counted_as_messages() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for _ in 0..400 {
        socket.0.feed(Message::Ping("?".into())).await.unwrap();
    }
    for _ in 0..50 {
        let chat = Message::text(r#"{"type":"chat","text":"x"}"#);
        socket.0.feed(chat).await.unwrap();
    }
    socket.0.flush().await.unwrap();
    let codes = codes(&mut socket, 50).await;
    assert!(codes.contains_key("rate_limited"), "{codes:?}");
}

/// How often each code is among the next messages.
async fn codes(socket: &mut Socket, messages: usize) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    while codes.values().sum::<usize>() < messages {
        let message = socket.next().await.expect("an answer to each");
        let code = message["code"].as_str().unwrap_or_default();
        if !code.is_empty() {
            *codes.entry(code.to_owned()).or_insert(0) += 1;
        }
    }
    codes
}

/// A participant over a WebSocket, whose media never comes.
async fn member(server: &TestServer) -> Socket {
    let mut socket = server.socket().await;
    let offer = OFFER
        .replace("a=mid:0", "a=mid:0\r\na=sendonly")
        .replace("a=mid:1", "a=mid:1\r\na=sendonly");
    let join = join(|join| {
        join["offer"] = json!(offer);
        join["tracks"] = json!([{"mid": "0", "role": "mic"}, {"mid": "1", "role": "camera"}]);
    });
    socket.send(join).await;
    let welcome = socket.next().await.expect("a welcome");
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    socket
}

/// A thousand toggles at once: some are refused, and nobody is thrown out for them, not even who
/// reads nothing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn commands_of_a_member_come_at_a_bounded_rate_and_throw_nobody_out() {
    let server = TestServer::start().await;
    let mut silent = member(&server).await;
    let mut restless = member(&server).await;
    for n in 0..100 {
        let hand = json!({"type": "hand", "raised": n % 2 == 0});
        restless
            .0
            .feed(Message::text(hand.to_string()))
            .await
            .unwrap();
    }
    restless.send(r#"{"type":"chat","text":"done"}"#).await;
    let mut limited = 0;
    loop {
        let message = restless.next().await.expect("no end");
        match message["type"].as_str() {
            Some("error") => {
                assert_eq!(message["code"], "rate_limited");
                limited += 1;
            }
            Some("chat") => break,
            Some("bye") => panic!("{message}"),
            _ => {}
        }
    }
    assert!((1..=60).contains(&limited), "{limited} of 100");
    let heard = async {
        loop {
            let message = silent.next().await.expect("no end");
            assert_ne!(message["type"], "bye", "{message}");
            if message["type"] == "chat" {
                return;
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("the chat text");
}

async fn patch(server: &TestServer) -> Response {
    let request = server.request(Method::PATCH, "/api/v1/rooms/nobody");
    request
        .json(&json!({"layout": "grid"}))
        .send()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_over_rest_come_at_a_bounded_rate() {
    let server = TestServer::start().await;
    let answers = stream::iter(0..400)
        .map(|_| patch(&server))
        .buffer_unordered(20);
    let answers: Vec<Response> = answers.collect().await;
    let (limited, passed): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.status() == 429);
    assert!(passed.len() >= 100, "a burst: {}", passed.len());
    for answer in passed {
        assert_eq!(answer.status(), 404);
    }
    let wait = limited[0].headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u32>().unwrap() >= 1);
    for answer in limited {
        assert_error(answer, 429, "rate_limited").await;
    }
    // Who only reads is not held back.
    assert_eq!(server.get("/api/v1/rooms").await.status(), 200);
}

/// A request for the list of rooms by somebody behind the proxy.
async fn rooms(server: &TestServer, client: &str, token: &str) -> Response {
    let request = server.request(Method::GET, "/api/v1/rooms");
    let request = request.header("x-forwarded-for", client).bearer_auth(token);
    request.send().await.unwrap()
}

#[tokio::test]
async fn who_guesses_tokens_waits_and_those_behind_the_same_proxy_do_not() {
    let config = |config: &mut Config| {
        config.token = Some("right".into());
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    let server = TestServer::with(config).await;
    let (guesser, other) = ("198.51.100.7", "198.51.100.8");
    // Always the same wrong one is no guess.
    for _ in 0..30 {
        let refused = rooms(&server, guesser, "stale").await;
        assert_error(refused, 401, "unauthorized").await;
    }
    let mut waits = false;
    for n in 0..200 {
        let refused = rooms(&server, guesser, &format!("guess{n}")).await;
        waits = refused.status() == 429;
        if waits {
            assert!(n >= 9, "ten are looked at, the stale one among them: {n}");
            assert!(refused.headers().contains_key("retry-after"));
            assert_error(refused, 429, "rate_limited").await;
            break;
        }
    }
    assert!(waits, "200 guesses without a pause");
    // Over the WebSocket and WHIP, too.
    let whip = server
        .offer("/whip/r1?token=guess")
        .header("x-forwarded-for", guesser);
    assert_eq!(whip.send().await.unwrap().status(), 429);
    assert_eq!(rooms(&server, other, "right").await.status(), 200);
    assert_eq!(rooms(&server, other, "wrong").await.status(), 401);
}

/// What an attempt to make a room gets.
async fn make(server: &TestServer, client: &str, id: &str, token: &str) -> Response {
    let request = server.request(Method::POST, "/api/v1/rooms");
    let request = request.header("x-forwarded-for", client).bearer_auth(token);
    request.json(&json!({"id": id})).send().await.unwrap()
}

#[tokio::test]
async fn one_address_cannot_make_all_the_rooms_there_are() {
    let config = |config: &mut Config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.token = Some("token".into());
    };
    let server = TestServer::with(config).await;
    for n in 0..20 {
        let made = make(&server, "198.51.100.7", &format!("a{n}"), "token").await;
        assert_eq!(made.status(), 201, "{n}");
    }
    let refused = make(&server, "198.51.100.7", "a20", "token").await;
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_error(refused, 429, "rate_limited").await;
    assert_eq!(
        make(&server, "198.51.100.8", "b0", "token").await.status(),
        201
    );
    let delete = server.request(Method::DELETE, "/api/v1/rooms/a3");
    let deleted = delete.bearer_auth("token").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(
        make(&server, "198.51.100.7", "a20", "token").await.status(),
        201
    );

    let admin = |config: &mut Config| config.admin_token = Some("admin".into());
    let server = TestServer::with(admin).await;
    for n in 0..30 {
        let made = make(&server, "198.51.100.7", &format!("a{n}"), "admin").await;
        assert_eq!(made.status(), 201, "{n}");
    }
    let rooms: Value = server.get("/api/v1/rooms").await.json().await.unwrap();
    assert_eq!(rooms.as_array().map(Vec::len), Some(30));
}

#[tokio::test]
async fn names_that_cannot_be_seen_are_refused_everywhere() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for name in [
        "\u{202e}nnA",
        "\u{200b}",
        "\u{feff}Ann",
        "\u{3164}",
        "A\u{e0041}",
    ] {
        socket.send(join(|join| join["name"] = json!(name))).await;
        socket.expect_error("bad_name").await;
        let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let joined = server.offer(&format!("/whip/r1?name={name}")).send().await;
        assert_error(joined.unwrap(), 400, "bad_name").await;
    }
}

#[tokio::test]
async fn pages_are_part_of_no_other_page_and_tell_nobody_their_address() {
    let server = TestServer::start().await;
    for path in [
        "/",
        "/r/r1",
        "/watch/r1",
        "/nowhere",
        "/api/v1/rooms",
        "/healthz",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{path}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        let socket = format!("connect-src 'self' ws://{0} wss://{0};", server.address);
        for part in [
            &socket,
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {part} in {policy}");
        }
    }
}

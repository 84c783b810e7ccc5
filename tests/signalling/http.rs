//! Over plain HTTP: pages, operations, REST, WHIP and WHEP.

use std::path::Path;
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestServer, assert_error, join};

#[tokio::test]
async fn operators_see_that_it_lives() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.get("/readyz").await.status(), 200);
    server.get("/nowhere").await;
    let _socket = server.socket().await;
    let metrics = server.get("/metrics").await;
    assert!(
        metrics.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let text = metrics.text().await.unwrap();
    for series in [
        r#"tessera_errors_total{code="not_found"}"#,
        r#"tessera_http_requests_total{kind="read",status="200"}"#,
        "tessera_websockets_open",
    ] {
        assert!(text.contains(series), "{series} in\n{text}");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_say_so_in_json() {
    let server = TestServer::start().await;
    for path in [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/room",
        "/api/v1/rooms/r1",
        "/api/v1/rooms/r1/stats",
        "/api/v1/rooms/r1/recordings/x/y",
        "/api/v1/rooms/r1/participants/p1/x",
        "/whip/r1/x/y",
        "/assets/nothing.js",
        "/assets/media/bigbuckbunny.mp4",
        "/assets/..%2FCargo.toml",
        "/assets/%2e%2e/Cargo.toml",
    ] {
        assert_error(server.get(path).await, 404, "not_found").await;
    }
    for (method, path, allow) in [
        (Method::POST, "/", "GET, HEAD"),
        (Method::PUT, "/r/r1", "GET, HEAD"),
        (Method::POST, "/recordings", "GET, HEAD"),
        (Method::POST, "/healthz", "GET, HEAD"),
        (Method::DELETE, "/metrics", "GET, HEAD"),
        (Method::POST, "/ws", "GET"),
        (Method::DELETE, "/api/v1/rooms", "GET, HEAD, POST"),
        (Method::PUT, "/api/v1/rooms/r1", "GET, HEAD, PATCH, DELETE"),
        (Method::POST, "/api/v1/rooms/r1/stats", "GET, HEAD"),
        (
            Method::GET,
            "/api/v1/rooms/r1/participants/p1",
            "PATCH, DELETE",
        ),
        (Method::PUT, "/whip/r1", "POST, GET, HEAD, OPTIONS"),
        (
            Method::POST,
            "/whep/r1/x",
            "PATCH, DELETE, GET, HEAD, OPTIONS",
        ),
        (
            Method::PUT,
            "/whip/r1/x",
            "PATCH, DELETE, GET, HEAD, OPTIONS",
        ),
    ] {
        let response = server.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        assert_error(response, 405, "method_not_allowed").await;
    }
    let plain = server.get("/ws").await;
    assert_eq!(plain.headers()["upgrade"], "websocket");
    assert_error(plain, 426, "bad_message").await;
}

/// What browsers send for what is opened in a tab.
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn a_browser_gets_a_page_where_there_is_nothing_and_a_program_gets_json() {
    let server = TestServer::start().await;
    let open = |method: Method, path: &str| {
        let request = server.request(method, path).header("accept", HTML);
        async move { request.send().await.unwrap() }
    };
    let long = format!("/r/{}", "x".repeat(65));
    for (path, status, code) in [
        ("/nope", 404, "not_found"),
        ("/watch", 400, "bad_room_id"),
        ("/watch/", 400, "bad_room_id"),
        ("/r/", 400, "bad_room_id"),
        ("/r/foo%20bar", 400, "bad_room_id"),
        ("/r/%3Cscript%3Ealert(1)%3C%2Fscript%3E", 400, "bad_room_id"),
        (&long, 400, "bad_room_id"),
        ("/recordings/x", 404, "not_found"),
        ("/assets/nothing.html", 404, "not_found"),
    ] {
        let page = open(Method::GET, path).await;
        assert_eq!(page.status().as_u16(), status, "{path}");
        let headers = page.headers().clone();
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(headers["vary"], "accept");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        let text = page.text().await.unwrap();
        assert!(text.contains(r#"<a class="secondary" href="/">"#), "{text}");
        assert!(!text.contains("alert") && !text.contains("foo"), "{path}");
        // A program, and a form.
        assert_error(server.get(path).await, status, code).await;
    }
    assert_error(open(Method::POST, "/r/r1").await, 405, "method_not_allowed").await;
    for path in [
        "/api",
        "/api/v2/rooms",
        "/api/v1/rooms/r1",
        "/ws/x",
        "/metrics/x",
        "/whip/r1/x/y",
    ] {
        assert_error(open(Method::GET, path).await, 404, "not_found").await;
    }
    assert_error(open(Method::GET, "/ws").await, 426, "bad_message").await;
}

#[tokio::test]
async fn a_list_of_rooms_can_be_asked_for_one_that_may_not_be_there() {
    let server = TestServer::start().await;
    let list = |query: &'static str| {
        let answer = server.get(query);
        async move { answer.await.json::<Vec<Value>>().await.unwrap() }
    };
    for id in ["r1", "r2"] {
        let create = server.request(Method::POST, "/api/v1/rooms");
        let made = create.json(&json!({"id": id})).send().await.unwrap();
        assert_eq!(made.status(), 201);
    }
    assert_eq!(list("/api/v1/rooms").await.len(), 2);
    let one = list("/api/v1/rooms?room=r2").await;
    assert_eq!((one.len(), &one[0]["id"]), (1, &json!("r2")));
    assert_eq!(list("/api/v1/rooms?room=r3").await, Vec::<Value>::new());
    let bad = server.get("/api/v1/rooms?room=a%2Fb").await;
    assert_error(bad, 400, "bad_room_id").await;
}

#[tokio::test]
async fn a_room_id_with_a_slash_is_refused_everywhere() {
    let server = TestServer::start().await;
    for path in ["/r/a%2Fb", "/r/a/b", "/r/", "/r/a.b", "/api/v1/rooms/a%2Fb"] {
        assert_error(server.get(path).await, 400, "bad_room_id").await;
    }
    for path in ["/whip/a%2Fb", "/whep/a%2Fb", "/whip/"] {
        let response = server.offer(path).send().await.unwrap();
        assert_error(response, 400, "bad_room_id").await;
    }
    let create = server
        .request(Method::POST, "/api/v1/rooms")
        .json(&json!({"id": "a/b"}));
    assert_error(create.send().await.unwrap(), 400, "bad_room_id").await;
    let mut socket = server.socket().await;
    socket.send(join(|join| join["room"] = json!("a/b"))).await;
    socket.expect_error("bad_room_id").await;
}

#[tokio::test]
async fn pages_may_run_nothing_foreign() {
    let server = TestServer::start().await;
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/index.html");
    let expected = if index.exists() { 200 } else { 404 };
    for path in ["/", "/r/r1", "/watch/r1", "/recordings"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), expected, "{path}");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn rest_bodies_are_judged_before_anything_is_done() {
    let server = TestServer::start().await;
    assert_eq!(
        server
            .get("/api/v1/rooms")
            .await
            .json::<Value>()
            .await
            .unwrap(),
        json!([])
    );
    let post = || server.request(Method::POST, "/api/v1/rooms");
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"id":"r","x":1}"#,
        r#"{"id":"r","mode":"loud"}"#,
    ] {
        let response = post().body(body).send().await.unwrap();
        assert_error(response, 400, "bad_message").await;
    }
    let large = post().body("x".repeat(1 << 20)).send().await.unwrap();
    assert_error(large, 413, "too_large").await;
    let form = post().header("content-type", "text/plain").body("{}");
    assert_error(form.send().await.unwrap(), 415, "unsupported_media_type").await;
    let foreign = post().header("origin", "https://evil.example").body("{}");
    assert_error(foreign.send().await.unwrap(), 403, "origin_not_allowed").await;
}

#[tokio::test]
async fn whip_and_whep_refuse_what_is_no_offer() {
    let server = TestServer::start().await;
    for path in ["/whip/r1", "/whep/r1"] {
        let post = || server.request(Method::POST, path);
        let untyped = post().body("v=0\r\n").send().await.unwrap();
        assert_error(untyped, 415, "unsupported_media_type").await;
        let json = post().json(&json!({})).send().await.unwrap();
        assert_error(json, 415, "unsupported_media_type").await;
        let large = server.offer(path).body("a=x\r\n".repeat(200_000));
        assert_error(large.send().await.unwrap(), 413, "too_large").await;
        let named = server
            .offer(&format!("{path}?name=a%00b"))
            .send()
            .await
            .unwrap();
        assert_error(named, 400, "bad_name").await;
        for method in [Method::PATCH, Method::DELETE] {
            let gone = server
                .request(method, &format!("{path}/x"))
                .send()
                .await
                .unwrap();
            assert_error(gone, 404, "not_found").await;
        }
    }
}

#[tokio::test]
async fn two_hundred_joins_a_second_are_held_back_for_all_transports() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let begin = Instant::now();
    let mut passed = 0;
    for turn in 0..200 {
        let path = if turn % 2 == 0 {
            "/whip/r1"
        } else {
            "/whep/r1"
        };
        let response = server.offer(path).send().await.unwrap();
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            assert_error(response, 429, "rate_limited").await;
        } else {
            passed += 1;
        }
    }
    let refilled = (begin.elapsed().as_secs_f64() * 20.0).ceil() as usize;
    assert!(
        (40..=41 + refilled).contains(&passed),
        "{passed} passed, {refilled} refilled"
    );
    // The allowance is used up; what one tick refilled may let few through.
    let mut limited = false;
    for _ in 0..5 + refilled {
        socket.send(join(|_| {})).await;
        limited |= socket.next().await.unwrap()["code"] == "rate_limited";
    }
    assert!(limited, "the WebSocket has the same allowance");
    assert_eq!(server.get("/healthz").await.status(), 200);
}

/// The `Link` headers of an answer to `OPTIONS`.
async fn links(server: &TestServer, headers: &[(&'static str, &str)]) -> Vec<String> {
    let mut request = server.request(Method::OPTIONS, "/whip/r1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 204);
    let links = response.headers().get_all("link").iter();
    links
        .map(|link| link.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn ice_servers_are_told_before_an_offer_to_those_who_could_join() {
    let server = TestServer::with(|config| config.token = Some("s3cret".into())).await;
    let token = ("authorization", "Bearer s3cret");
    let links_with_token = links(&server, &[token]).await;
    let [stun, udp, tcp] = &links_with_token[..] else {
        panic!("{links_with_token:?}");
    };
    assert!(stun.starts_with("<stun:127.0.0.1:"), "{stun}");
    assert!(stun.ends_with(">; rel=\"ice-server\""), "{stun}");
    for (link, transport) in [(udp, "udp"), (tcp, "tcp")] {
        let url = format!("?transport={transport}>; rel=\"ice-server\"; username=\"");
        assert!(link.contains(&url), "{link}");
        assert!(link.ends_with("; credential-type=\"password\""), "{link}");
    }
    // RFC 9725 section 4.6: not in what a browser sends by itself.
    let preflight = [token, ("access-control-request-method", "POST")];
    for headers in [&[][..], &[("authorization", "Bearer guess")], &preflight] {
        assert_eq!(links(&server, headers).await, [""; 0], "{headers:?}");
    }
}

#[tokio::test]
async fn outside_turn_servers_get_credentials_made_with_their_secret() {
    let outside = |secret: Option<&str>| {
        let secret = secret.map(str::to_owned);
        move |config: &mut tessera::config::Config| {
            config.turn.built_in = tessera::config::BuiltIn::Off;
            config.turn.secret = secret;
            config.ice_servers = vec!["stun:a.example".into(), "turns:b.example".into()];
        }
    };
    let server = TestServer::with(outside(None)).await;
    let plain =
        ["<stun:a.example>", "<turns:b.example>"].map(|url| format!("{url}; rel=\"ice-server\""));
    assert_eq!(links(&server, &[]).await, plain);

    let server = TestServer::with(outside(Some("north"))).await;
    let told = links(&server, &[]).await;
    assert_eq!(told[..1], plain[..1]);
    let part = |name: &str| {
        let (_, rest) = told[1].split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let secret = tessera::turn::credentials::Secret::new("north");
    let (username, credential) = (part("username"), part("credential"));
    let (expected, user) = secret
        .look_up(&username, std::time::SystemTime::now())
        .unwrap();
    assert_eq!(credential, expected);
    assert!(user.starts_with("whip/"), "{user}");
    // With the one built in off, there is nothing to tell of it.
    assert_eq!(server.get("/api/v1/turn").await.status(), 404);
}

/// What has no path, as CONNECT has none, is answered as any other method that is not for a page.
#[tokio::test]
async fn a_request_without_a_path_is_refused() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for target in ["127.0.0.1:80", "siege:1"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer, b"HTTP/1.1 405");
        stream = TcpStream::connect(server.address).await.unwrap();
    }
}

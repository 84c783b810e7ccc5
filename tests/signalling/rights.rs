//! Who may: each route for each secret, the names by which a server may be asked, and pages of other
//! origins.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tessera::config::Config;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{TestServer, assert_error, join};

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Nothing.
    Open,
    /// To be let in.
    Enter,
    /// To administer.
    Administer,
}

/// Every route, with each method that it takes.
const ROUTES: &[(&str, &str, Door)] = &[
    ("GET", "/", Door::Open),
    ("GET", "/r/r1", Door::Open),
    ("GET", "/watch/r1", Door::Open),
    ("GET", "/recordings", Door::Open),
    ("GET", "/assets/js/main.js", Door::Open),
    ("GET", "/nowhere", Door::Open),
    ("GET", "/healthz", Door::Open),
    ("GET", "/readyz", Door::Open),
    ("GET", "/metrics", Door::Open),
    ("GET", "/ws", Door::Open),
    ("GET", "/whip/r1", Door::Open),
    ("HEAD", "/whep/r1", Door::Open),
    ("OPTIONS", "/whip/r1", Door::Open),
    ("OPTIONS", "/whep/r1/x", Door::Open),
    ("POST", "/whip/r1", Door::Enter),
    ("POST", "/whep/r1", Door::Enter),
    ("GET", "/whip/r1/x", Door::Enter),
    ("PATCH", "/whip/r1/x", Door::Enter),
    ("DELETE", "/whep/r1/x", Door::Enter),
    ("GET", "/api/v1/rooms", Door::Enter),
    ("GET", "/api/v1/rooms?room=r1", Door::Enter),
    ("GET", "/api/v1/rooms/r1", Door::Enter),
    ("GET", "/api/v1/rooms/nobody", Door::Enter),
    ("GET", "/api/v1/rooms/r1/stats", Door::Enter),
    ("GET", "/api/v1/server", Door::Enter),
    ("GET", "/api/v1/recordings", Door::Enter),
    ("GET", "/api/v1/rooms/r1/recordings", Door::Enter),
    ("POST", "/api/v1/rooms/r1/recordings", Door::Enter),
    ("GET", "/api/v1/rooms/r1/recordings/x", Door::Enter),
    ("GET", "/api/v1/rooms/r1/recordings/x/files/y", Door::Enter),
    ("POST", "/api/v1/rooms/r1/recordings/x/stop", Door::Enter),
    ("DELETE", "/api/v1/rooms/r1/recordings/x", Door::Administer),
    ("POST", "/api/v1/rooms", Door::Administer),
    ("PATCH", "/api/v1/rooms/r1", Door::Administer),
    ("DELETE", "/api/v1/rooms/r1", Door::Administer),
    (
        "PATCH",
        "/api/v1/rooms/r1/participants/p1",
        Door::Administer,
    ),
    (
        "DELETE",
        "/api/v1/rooms/r1/participants/p1",
        Door::Administer,
    ),
    (
        "PUT",
        "/api/v1/rooms/r1/participants/p1/hand",
        Door::Administer,
    ),
    ("GET", "/api/v1/turn", Door::Administer),
];

const TOKEN: &str = "to-enter";
const ADMIN: &str = "to-administer";
const WRONG: &str = "neither";

/// A server with these of its two secrets.
async fn server(token: bool, admin: bool) -> TestServer {
    TestServer::with(|config: &mut Config| {
        config.token = token.then(|| TOKEN.to_owned());
        config.admin_token = admin.then(|| ADMIN.to_owned());
    })
    .await
}

/// What becomes of a secret at a door: 401, 403, or nothing of the kind.
fn expected(door: Door, token: bool, admin: bool, shown: Option<&str>) -> Option<u16> {
    let needed = match door {
        Door::Open => false,
        Door::Enter => token,
        Door::Administer => token || admin,
    };
    match shown {
        _ if !needed => None,
        Some(ADMIN) if admin => None,
        Some(TOKEN) if token => (door == Door::Administer && admin).then_some(403),
        _ => Some(401),
    }
}

#[tokio::test]
async fn every_route_asks_for_what_it_needs_and_takes_nothing_less() {
    for (token, admin) in [(false, false), (true, false), (false, true), (true, true)] {
        let server = server(token, admin).await;
        for (method, path, door) in ROUTES {
            for shown in [None, Some(WRONG), Some(TOKEN), Some(ADMIN)] {
                let what = format!("{method} {path} with {shown:?} ({token}, {admin})");
                let method: Method = method.parse().unwrap();
                let mut request = match (method.as_str(), path.starts_with("/wh")) {
                    ("POST", true) => server.offer(path),
                    _ => server.request(method, path),
                };
                if let Some(shown) = shown {
                    request = request.bearer_auth(shown);
                }
                let response = request.send().await.unwrap();
                match expected(*door, token, admin, shown) {
                    Some(401) => {
                        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{what}");
                        assert_error(response, 401, "unauthorized").await;
                    }
                    Some(_) => _ = assert_error(response, 403, "forbidden").await,
                    None => {
                        let status = response.status().as_u16();
                        assert!(![401, 403, 429].contains(&status), "{what}: {status}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_socket_is_open_and_its_join_is_not() {
    for (token, admin) in [(false, true), (true, false), (true, true)] {
        let server = server(token, admin).await;
        let mut socket = server.socket().await;
        for shown in [None, Some(WRONG), Some(TOKEN), Some(ADMIN)] {
            socket.send(join(|join| join["token"] = json!(shown))).await;
            let refused = expected(Door::Enter, token, admin, shown);
            // The offer of this join is none.
            let code = refused.map_or("bad_offer", |_| "unauthorized");
            socket.expect_error(code).await;
        }
    }
}

/// What was recorded, and whether, is told by no difference between refusals.
#[tokio::test]
async fn a_refusal_does_not_tell_what_there_is() {
    let server = server(true, true).await;
    let make = server.request(Method::POST, "/api/v1/rooms");
    let made = make.bearer_auth(ADMIN).json(&json!({"id": "r1"}));
    assert_eq!(made.send().await.unwrap().status(), StatusCode::CREATED);
    let mut told = Vec::new();
    for path in ["rooms/r1", "rooms/r2", "rooms/r1/stats", "rooms/r2/stats"] {
        let refused = server.get(&format!("/api/v1/{path}")).await;
        told.push(assert_error(refused, 401, "unauthorized").await);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

async fn asked_as(server: &TestServer, host: &str, path: &str) -> Response {
    let request = server.request(Method::GET, path).header("host", host);
    request.send().await.unwrap()
}

/// The status that a WebSocket of a page which has bound this name to the server gets.
async fn upgrade_as(server: &TestServer, host: &str) -> StatusCode {
    let mut request = format!("ws://{}/ws", server.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("host", host.parse().unwrap());
    headers.insert("origin", format!("http://{host}").parse().unwrap());
    match connect_async(request).await {
        Ok((_, response)) => response.status(),
        Err(tungstenite::Error::Http(response)) => response.status(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_open_server_answers_to_no_name_that_anybody_can_bind_to_it() {
    let hosts = |config: &mut Config| config.allowed_hosts = vec!["meet.example".into()];
    let server = TestServer::with(hosts).await;
    let port = server.address.port();
    for (host, may) in [
        (format!("127.0.0.1:{port}"), true),
        ("[::1]".to_owned(), true),
        ("localhost:99".to_owned(), true),
        ("meet.example".to_owned(), true),
        (format!("evil.example:{port}"), false),
        ("www.meet.example".to_owned(), false),
    ] {
        for path in [
            "/",
            "/r/r1",
            "/api/v1/rooms",
            "/whip/r1",
            "/assets/js/main.js",
        ] {
            let answer = asked_as(&server, &host, path).await;
            match may {
                true => assert!(answer.status().is_success(), "{host}{path}"),
                false => _ = assert_error(answer, 403, "host_not_allowed").await,
            }
        }
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(
                asked_as(&server, &host, path).await.status(),
                200,
                "{host}{path}"
            );
        }
        let upgraded = upgrade_as(&server, &host).await;
        let status = if may { 101 } else { 403 };
        assert_eq!(upgraded.as_u16(), status, "{host}");
    }
    let join = server.offer("/whip/r1").header("host", "evil.example");
    assert_error(join.send().await.unwrap(), 403, "host_not_allowed").await;
}

/// With a token no page can do anything without knowing it, whatever its name.
#[tokio::test]
async fn a_server_with_a_token_answers_to_any_name() {
    let server = server(true, false).await;
    let rooms = asked_as(&server, "meet.example", "/api/v1/rooms").await;
    assert_error(rooms, 401, "unauthorized").await;
    assert_eq!(asked_as(&server, "meet.example", "/").await.status(), 200);
    assert_eq!(upgrade_as(&server, "meet.example").await, 101);
}

/// What a page of this origin may read of WHIP, and whether it may join.
async fn from_page(server: &TestServer, origin: &str) -> (Option<String>, u16) {
    let asked = server
        .request(Method::OPTIONS, "/whip/r1")
        .header("origin", origin)
        .header("access-control-request-method", "POST");
    let asked = asked.send().await.unwrap();
    assert_eq!(asked.status(), 204);
    let posted = server.offer("/whip/r1").bearer_auth(TOKEN);
    let posted = posted.header("origin", origin).send().await.unwrap();
    let allowed = |response: &Response| {
        let header = response.headers().get("access-control-allow-origin");
        header.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed(&asked), allowed(&posted), "{origin}");
    (allowed(&asked), posted.status().as_u16())
}

#[tokio::test]
async fn pages_of_other_origins_use_whip_where_a_token_or_a_list_lets_them() {
    let (one, other) = ("https://studio.example", "https://evil.example");
    let open = TestServer::start().await;
    assert_eq!(from_page(&open, one).await, (None, 403));
    let own = format!("http://{}", open.address);
    assert_eq!(from_page(&open, &own).await, (None, 400), "no offer");

    let listed = |config: &mut Config| config.allowed_origins = vec![one.into()];
    let listed = TestServer::with(listed).await;
    assert_eq!(from_page(&listed, one).await, (Some(one.into()), 400));
    assert_eq!(from_page(&listed, other).await, (None, 403));

    let token = server(true, false).await;
    for origin in [one, other, "null"] {
        assert_eq!(from_page(&token, origin).await, (Some("*".into()), 400));
    }
}

#[tokio::test]
async fn a_page_that_may_is_told_what_whip_takes() {
    let server = server(true, false).await;
    for (path, methods, accepts, what) in [
        (
            "/whip/r1",
            "POST, GET, HEAD, OPTIONS",
            "accept-post",
            "application/sdp",
        ),
        (
            "/whep/r1/x",
            "PATCH, DELETE, GET, HEAD, OPTIONS",
            "accept-patch",
            "application/trickle-ice-sdpfrag",
        ),
    ] {
        let response = server
            .request(Method::OPTIONS, path)
            .header("origin", "https://studio.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 204);
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["access-control-allow-methods"], methods);
        assert_eq!(headers[accepts], what);
        let allowed = headers["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("Authorization") && allowed.contains("If-Match"));
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        assert!(
            ["Location", "ETag", "Link"]
                .iter()
                .all(|name| exposed.contains(name))
        );
    }
}

#[tokio::test]
async fn what_is_relayed_is_told_with_the_token_only() {
    let server = server(true, false).await;
    let request = server.request(Method::GET, "/api/v1/turn");
    let response = request.bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let turn: serde_json::Value = response.json().await.unwrap();
    assert_eq!(turn, serde_json::json!({"allocations": []}));
}

//! WHIP and WHEP as clients use them who were written for other servers.

use std::sync::Arc;

use futures::future::join_all;
use reqwest::{Method, Response, StatusCode};
use tessera::config::Config;
use tessera::room::Registry;
use tessera::signalling::Server;
use tessera::telemetry::Metrics;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, TestServer, assert_error};

const OFFER: &str = include_str!("../data/offers/f06-no-direction.sdp");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const CANDIDATE: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
    a=candidate:1 1 udp 2122260223 127.0.0.1 61764 typ host\r\n";

async fn join(server: &TestServer, path: &str) -> Response {
    let request = server.request(Method::POST, path);
    let request = request.header("content-type", "application/sdp");
    request.body(OFFER).send().await.unwrap()
}

fn location(response: &Response) -> String {
    let location = response.headers()["location"].to_str();
    location.unwrap().to_owned()
}

async fn patch(server: &TestServer, path: &str, if_match: &str, body: String) -> Response {
    let request = server.request(Method::PATCH, path);
    let request = request
        .header("content-type", FRAGMENT)
        .header("if-match", if_match);
    request.body(body).send().await.unwrap()
}

/// Widely copied players send `If-Match: *` with every candidate.
#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_for_any_session_is_a_trickle_until_its_credentials_say_otherwise() {
    let server = TestServer::start().await;
    let session = location(&join(&server, "/whep/r1").await);
    let own = "a=ice-ufrag:Qm3k\r\na=ice-pwd:vR7tYc2LwXq9Zb4NsHd8Kf1P\r\n";
    for body in [CANDIDATE.to_owned(), format!("{own}{CANDIDATE}")] {
        let taken = patch(&server, &session, "*", body).await;
        assert_eq!(taken.status(), StatusCode::NO_CONTENT);
    }
    let other = format!("{}{CANDIDATE}", own.replace("Qm3k", "Xx00"));
    let restart = patch(&server, &session, "*", other).await;
    assert_error(restart, 422, "ice_restart_unsupported").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_and_sessions_may_be_probed() {
    let server = TestServer::start().await;
    for door in ["/whip/r1", "/whep/r1"] {
        let get = server.get(door).await;
        assert!(get.status().is_success(), "{door}: {}", get.status());
        assert_eq!(get.text().await.unwrap(), "");
        let session = location(&join(&server, &format!("{door}/")).await);
        let get = server.get(&format!("{session}/")).await;
        assert!(get.status().is_success(), "{session}: {}", get.status());
        assert_eq!(get.text().await.unwrap(), "");
        let gone = server.get(&format!("{door}/nobody")).await;
        assert_error(gone, 404, "not_found").await;
    }
    let head = server
        .request(Method::HEAD, "/whep/r1")
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["content-type"], "application/sdp");
}

/// Encoders and players that can be given a URL and no header.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_stand_in_the_url() {
    let token = |config: &mut Config| config.token = Some("se&am".into());
    let server = TestServer::with(token).await;
    assert_error(join(&server, "/whip/r1").await, 401, "unauthorized").await;
    assert_error(join(&server, "/whip/r1?token=x").await, 401, "unauthorized").await;
    let joined = join(&server, "/whip/r1?token=se%26am&name=Cam").await;
    assert_eq!(joined.status(), StatusCode::CREATED);
    let session = location(&joined);
    let ended = server
        .request(Method::DELETE, &session)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::OK, "{session}");
}

/// Who publishes with one connection and plays with another.
#[tokio::test(flavor = "multi_thread")]
async fn a_player_can_say_which_publisher_it_is() {
    let server = TestServer::start().await;
    let publisher = join(&server, "/whip/r1").await;
    let id = publisher.headers()["tessera-participant"].to_str().unwrap();
    let player = join(&server, &format!("/whep/r1?participant={id}")).await;
    assert_eq!(player.status(), StatusCode::CREATED);
    for stranger in ["p99", "nobody"] {
        let refused = join(&server, &format!("/whep/r1?participant={stranger}")).await;
        assert_error(refused, 404, "not_found").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_as_such() {
    let server = TestServer::start().await;
    let request = server.offer("/whip/r1").header("content-encoding", "gzip");
    let refused = request.send().await.unwrap();
    assert_eq!(refused.headers()["accept-encoding"], "identity");
    assert_error(refused, 415, "unsupported_media_type").await;
}

/// A hundred viewers behind one proxy are a hundred clients, if the proxy is known.
#[tokio::test(flavor = "multi_thread")]
async fn joins_are_limited_by_the_client_behind_a_trusted_proxy() {
    for (trusted, expected) in [("127.0.0.1", 100), ("192.0.2.0/24", 10)] {
        let proxy = |config: &mut Config| {
            config.joins_per_second = 5;
            config.trusted_proxies = vec![trusted.parse().unwrap()];
        };
        let server = TestServer::with(proxy).await;
        let joins = (0..100).map(|n| {
            let request = server.offer("/whip/r1");
            request
                .header("x-forwarded-for", format!("198.51.100.{n}"))
                .send()
        });
        let answers = futures::future::join_all(joins).await;
        let let_through = answers.into_iter().map(Result::unwrap);
        let let_through = let_through
            .filter(|answer| answer.status() != StatusCode::TOO_MANY_REQUESTS)
            .count();
        assert!(
            (expected..=expected + 15).contains(&let_through),
            "{trusted}: {let_through} of 100"
        );
    }
}

/// The system takes a burst of connections that the server has not looked at yet.
#[tokio::test]
async fn a_burst_of_connections_is_taken_before_it_is_looked_at() {
    const BURST: usize = 400;
    gst::init().unwrap();
    let mut config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
    let config = Arc::new(config);
    let registry = Registry::new(Arc::clone(&config), Arc::default());
    let metrics = Metrics::install().unwrap();
    // It never accepts.
    let server = Server::bind(config, registry, metrics).await.unwrap();
    let connects = (0..BURST).map(|_| TcpStream::connect(server.local_addr()));
    let burst = timeout(PATIENCE, join_all(connects)).await;
    let connected = burst.expect("all of them at once");
    assert!(connected.iter().all(Result::is_ok));
}

//! Joins on a machine that is out of something, and joins that never connect.

use std::process::Stdio;

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::support::{PATIENCE, TestServer};

/// An offer whose connection never comes up, for its credentials are made up.
const OFFER: &str = include_str!("../data/offers/f03-whep-audio-only-no-bundle.sdp");

/// A server in a process of its own, with so many file descriptors.
struct Process {
    child: Child,
    url: String,
    http: Client,
}

impl Process {
    async fn with_descriptors(limit: u32) -> Self {
        let serve = "exec \"$0\" serve --listen 127.0.0.1:0 --media-ip 127.0.0.1 \
                     --turn-listen 127.0.0.1:0 --joins-per-second 1000 --max-cores unlimited";
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {limit} && {serve}"))
            .arg(env!("CARGO_BIN_EXE_tessera"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("an address").expect("text").expect("a line");
        Self {
            child,
            url: line.trim_start_matches("listening on ").to_owned(),
            http: Client::builder().no_proxy().build().expect("a client"),
        }
    }

    async fn join(&self, room: &str) -> (StatusCode, Option<String>, Value) {
        let post = self.http.post(format!("{}/whep/{room}", self.url));
        let post = post.header("content-type", "application/sdp").body(OFFER);
        let response = post.send().await.expect("an answer");
        let location = response.headers().get("location").cloned();
        let location = location.and_then(|at| at.to_str().map(str::to_owned).ok());
        let status = response.status();
        let body = response.json().await.unwrap_or(Value::Null);
        (status, location, body)
    }

    async fn is_alive(&mut self) -> bool {
        let health = self.http.get(format!("{}/healthz", self.url)).send().await;
        health.is_ok_and(|response| response.status() == StatusCode::OK)
            && self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

#[tokio::test]
async fn joins_that_would_take_the_last_descriptors_are_refused_and_nobody_suffers() {
    let mut server = Process::with_descriptors(300).await;
    let mut sessions = Vec::new();
    let refused = loop {
        match server.join("r").await {
            (StatusCode::CREATED, Some(location), _) => sessions.push(location),
            (status, _, body) => break (status, body),
        }
        assert!(sessions.len() < 40, "nobody is ever refused");
    };
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.1);
    assert_eq!(refused.1["error"]["code"], "server_busy");
    let message = refused.1["error"]["message"].as_str().expect("a text");
    assert!(message.contains("descriptors"), "{message}");
    assert!(sessions.len() > 1, "some are taken");

    for _ in 0..30 {
        let (status, _, body) = server.join("other").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    }
    assert!(server.is_alive().await);
    for location in &sessions {
        let url = format!("{}{location}", server.url);
        let there = server.http.head(&url).send().await.expect("an answer");
        assert_eq!(there.status(), StatusCode::NO_CONTENT, "still served");
        let left = server.http.delete(&url).send().await.expect("an answer");
        assert_eq!(left.status(), StatusCode::OK);
    }
    let began = Instant::now();
    while server.join("r").await.0 != StatusCode::CREATED {
        assert!(began.elapsed() < PATIENCE, "nothing is given back");
    }
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn joins_of_one_address_that_never_connect_leave_room_for_others() {
    let server = TestServer::with(|config| {
        config.joins_per_second = 8;
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let join = async |client: &str| {
        let post = server.offer("/whep/r").header("x-forwarded-for", client);
        let response = post.body(OFFER).send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    };
    let began = Instant::now();
    let mut under_way = 0;
    let refused = loop {
        assert!(began.elapsed() < PATIENCE, "nobody is ever refused");
        match join("198.51.100.7").await {
            (StatusCode::CREATED, _) => under_way += 1,
            (StatusCode::TOO_MANY_REQUESTS, _) => {}
            (_, body) => break body,
        }
    };
    assert_eq!(refused["error"]["code"], "server_busy", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("this address"), "{message}");
    assert!(under_way >= tessera::admission::joins_by_address(8));
    let (status, body) = join("198.51.100.8").await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    server.stop.cancel();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
}

//! A server of the test's own: port 0, and media on 127.0.0.1 only but for browsers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tessera::admission::Admission;
use tessera::archive::Archive;
use tessera::config::{BuiltIn, Config, MaxCores};
use tessera::id::RoomId;
use tessera::media::gst::teardown;
use tessera::media::gst::template::Templates;
use tessera::room::Registry;
use tessera::signalling::Server;
use tessera::telemetry::Metrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::home;

/// Longer than anything here takes; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub struct TestServer {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    pub registry: Registry,
    /// Where STUN and TURN are, if they are on.
    pub turn: Option<SocketAddr>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TestServer {
    /// A server with the defaults, but for what must differ in tests.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::make(change, None).await
    }

    /// A server with the defaults, whose load is what it is told.
    pub async fn admitting(admission: &Admission) -> Self {
        Self::make(|_| {}, Some(admission.clone())).await
    }

    async fn make(change: impl FnOnce(&mut Config), admission: Option<Admission>) -> Self {
        gst::init().expect("GStreamer");
        let mut config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            media_ips: home::media_ips(),
            joins_per_second: 1000,
            // Bots are in the same process.
            max_cores: MaxCores::Unlimited,
            ..Config::default()
        };
        // Most tests have no use for it.
        config.turn.built_in = BuiltIn::Off;
        config.turn.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        change(&mut config);
        let config = Arc::new(config);
        let templates = Templates::load(config.pipelines.as_deref()).expect("templates");
        let templates = Arc::new(templates);
        let mut registry = Registry::new(Arc::clone(&config), Arc::clone(&templates));
        if let Some(folder) = &config.recordings {
            let archive = Archive::open(folder, config.recording_quotas, templates);
            registry = registry.with_archive(archive.await.expect("a folder"));
        }
        if let Some(admission) = admission {
            registry = registry.with_admission(admission);
        }
        let metrics = Metrics::install().expect("metrics");
        let server = Server::bind(config, registry.clone(), metrics)
            .await
            .expect("a free port");
        let url = format!("http://{}", server.local_addr());
        let turn = server.turn_addr();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Self {
            url,
            registry,
            turn,
            stop,
            task,
        }
    }

    /// Stops it and waits until it has, and every bot that was left or dropped before. Nothing of what
    /// it sent, or its bots, may have been sealed twice.
    pub async fn stop(self) {
        let sealed_elsewhere = metric(&self.url, "tessera_packets_kept_from_srtpenc_total").await;
        assert_eq!(sealed_elsewhere, 0.0, "webrtcbin seals media");
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server stops")
            .expect("the server does not panic");
        let left = tokio::task::spawn_blocking(|| teardown::settle(PATIENCE)).await;
        assert_eq!(left.expect("it is waited for"), 0, "pipelines do not end");
    }

    /// What `GET` of an API path answers.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url);
        let response = reqwest::get(url).await.expect("an answer");
        response.json().await.expect("JSON")
    }
}

/// The sum of a metric over all its labels, as Prometheus reads it; zero where nobody may read it.
pub async fn metric(url: &str, name: &str) -> f64 {
    let Ok(answer) = reqwest::get(format!("{url}/metrics")).await else {
        return 0.0;
    };
    let text = answer.text().await.unwrap_or_default();
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let values = text.lines().filter(of_name);
    values
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// A room id.
pub fn room(name: &str) -> RoomId {
    RoomId::new(name).expect("a room id")
}

//! The server that is measured: this program, in a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::protocol::rest::TurnResource;

/// How long the server may take to announce its address.
const STARTING: Duration = Duration::from_secs(30);

/// Its arguments: on loopback alone, with relays that may reach its own media.
const ARGUMENTS: [&str; 13] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--media-ip",
    "127.0.0.1",
    "--turn-listen",
    "127.0.0.1:0",
    "--turn-allow-peers",
    "127.0.0.1/32",
    "--joins-per-second",
    "1000",
    // No CPU saving: its full cost is to be measured.
    "--max-cores",
    "unlimited",
];

/// A running server, which is killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    client: reqwest::Client,
}

impl Server {
    pub(super) async fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .args(ARGUMENTS)
            .env("TESSERA_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the server does not start")?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut line = String::new();
        timeout(STARTING, BufReader::new(stdout).read_line(&mut line))
            .await
            .context("the server announces no address")??;
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .with_context(|| format!("unexpected first line {line:?}"))?
            .to_owned();
        Ok(Self {
            child,
            url,
            client: reqwest::Client::new(),
        })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).send();
        Ok(answer.await?.error_for_status()?.json().await?)
    }

    /// Packets and bytes of RTP received from each person so far.
    pub(super) async fn uplinks(&self, room: &str) -> Result<Vec<(u64, u64)>> {
        let stats = self.get(&format!("/api/v1/rooms/{room}/stats")).await?;
        let people = stats["participants"].as_array().cloned();
        let count = |person: &Value| {
            let uplinks = person["uplinks"].as_object().into_iter().flatten();
            uplinks.fold((0, 0), |(packets, bytes), (_, one)| {
                let read = |name: &str| one[name].as_u64().unwrap_or(0);
                (packets + read("packets"), bytes + read("bytes"))
            })
        };
        Ok(people.unwrap_or_default().iter().map(count).collect())
    }

    pub(super) async fn relays(&self) -> Result<TurnResource> {
        Ok(serde_json::from_value(self.get("/api/v1/turn").await?)?)
    }

    /// CPU time it has used, s, and its resident memory, bytes.
    pub(super) fn used(&self) -> Result<(f64, u64)> {
        let pid = self.child.id().context("the server has ended")?;
        let stat = procfs::process::Process::new(i32::try_from(pid)?)?.stat()?;
        let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        Ok((cpu, stat.rss * procfs::page_size()))
    }
}

/// CPU time, s, that the receiving and decoding threads of this process have used: those of jitter
/// buffers, on which decoders run, and libav's own.
pub(super) fn decoding() -> Result<f64> {
    let mut ticks = 0;
    // A thread that ends while it is read is one of a connection that closes.
    for task in procfs::process::Process::myself()?.tasks()?.flatten() {
        let Ok(stat) = task.stat() else { continue };
        if stat.comm.starts_with("rtpjitter") || stat.comm.starts_with("av:") {
            ticks += stat.utime + stat.stime;
        }
    }
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}

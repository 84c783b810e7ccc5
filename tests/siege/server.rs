//! The server, in a process of its own: what it holds is its own, and that it dies is seen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use parking_lot::Mutex;
use procfs::process::{FDTarget, Process};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tessera::config::{Setting, settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::server::PATIENCE;
use crate::turn::SECRET;

/// Lines of the log that are told when the server has died.
const TOLD: usize = 40;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) threads: usize,
    pub(crate) files: usize,
    /// Resident set, MiB.
    pub(crate) memory: u64,
}

/// A server that runs.
pub(crate) struct ServerProcess {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    pub(crate) http: SocketAddr,
    pub(crate) turn: SocketAddr,
    pid: i32,
    process: Mutex<Child>,
    client: reqwest::Client,
    folder: TempDir,
}

fn log_in(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

impl ServerProcess {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let log = std::fs::File::create(log_in(&folder)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
        for Setting { env, .. } in settings() {
            command.env_remove(env);
        }
        // Of this test, and no settings.
        for name in ["SOAK_SECONDS", "FUZZ_SEED", "QUIET_MACHINE"] {
            command.env_remove(format!("TESSERA_{name}"));
        }
        let loopback = ["--listen", "127.0.0.1:0", "--media-ip", "127.0.0.1"];
        let turn = ["--turn-listen", "127.0.0.1:0", "--turn-secret", SECRET];
        command
            .arg("serve")
            .args(loopback)
            .args(turn)
            .args(["--turn-allow-peers", "127.0.0.1/32"])
            .args(["--max-cores", "unlimited", "--recording-max-length", "1"])
            .arg("--recordings")
            .arg(folder.path().join("recordings"))
            .env_remove("TESSERA_LOG")
            .env("RUST_LOG", "warn,tessera=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut process = command.spawn().expect("the program starts");
        let out = process.stdout.take().expect("a pipe");
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line()).await;
        let line = line.expect("in time").expect("a pipe").expect("a line");
        let url = line.strip_prefix("listening on ").expect("an address");
        let http = url.strip_prefix("http://").and_then(|at| at.parse().ok());
        let pid = process.id().and_then(|id| i32::try_from(id).ok());
        Self {
            url: url.to_owned(),
            http: http.expect("an address"),
            turn: turn_of(&std::fs::read_to_string(log_in(&folder)).expect("a log")),
            pid: pid.expect("it runs"),
            process: Mutex::new(process),
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            folder,
        }
    }

    /// What it holds now.
    pub(crate) fn held(&self) -> Held {
        let process = Process::new(self.pid).expect("it runs");
        Held {
            threads: process.tasks().expect("tasks").count(),
            files: process.fd_count().expect("files"),
            memory: process.status().expect("status").vmrss.expect("vmrss") / 1024,
        }
    }

    /// The UDP ports of 127.0.0.1 that it has open.
    pub(crate) fn udp_ports(&self) -> Vec<u16> {
        let Ok(files) = Process::new(self.pid).and_then(|process| process.fd()) else {
            return Vec::new();
        };
        let sockets: Vec<u64> = files
            .flatten()
            .filter_map(|file| match file.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect();
        let open = procfs::net::udp().unwrap_or_default().into_iter();
        open.filter(|entry| sockets.contains(&entry.inode))
            .map(|entry| entry.local_address.port())
            .collect()
    }

    /// What the log says that must not be: a panic, or a check of GLib's or GStreamer's that failed.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read(log_in(&self.folder)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let is_one = |line: &str| line.contains("panicked at") || line.contains("CRITICAL");
        // What a panic says stands on the line behind.
        let pairs = lines.windows(2).filter(|pair| is_one(pair[0]));
        pairs.map(|pair| pair.join(": ")).collect()
    }

    /// How many threads it has of which name, without the numbers in it.
    pub(crate) fn threads(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        let process = Process::new(self.pid).expect("it runs");
        for task in process.tasks().expect("tasks").flatten() {
            // One may just have ended.
            if let Ok(stat) = task.stat() {
                let name = stat.comm.replace(|c: char| c.is_ascii_digit(), "");
                *names.entry(name).or_default() += 1;
            }
        }
        names
    }

    fn log(&self) -> String {
        let log = std::fs::read(log_in(&self.folder)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TOLD)..].join("\n")
    }

    /// Panics if the process has ended.
    pub(crate) fn assert_alive(&self) {
        if let Some(status) = self.process.lock().try_wait().expect("its status") {
            panic!("the server ended with {status}:\n{}", self.log());
        }
    }

    /// Panics if the server does not say that it lives.
    pub(crate) async fn assert_answers(&self) {
        let asked = self.client.get(format!("{}/healthz", self.url)).send();
        let answer = timeout(Duration::from_secs(10), asked).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer:\n{}", self.log()));
        let answer = answer.unwrap_or_else(|error| panic!("{error}:\n{}", self.log()));
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Stops it as an operator does, and waits until it has ended well.
    pub(crate) async fn stop(self) {
        let pid = Pid::from_raw(self.pid).expect("a process");
        kill_process(pid, Signal::TERM).expect("it runs");
        let log = self.log();
        let mut process = self.process.into_inner();
        let status = timeout(PATIENCE, process.wait()).await;
        let status = status.expect("the server stops").expect("its status");
        assert!(status.success(), "the server ended with {status}:\n{log}");
    }
}

/// Where TURN is, as the log says at the start.
fn turn_of(log: &str) -> SocketAddr {
    let at = log.split("TURN on ").nth(1).expect("TURN is on");
    let at = at
        .split([';', ' ', '\n'])
        .next()
        .and_then(|at| at.parse().ok());
    at.unwrap_or_else(|| panic!("no address of TURN in {log}"))
}

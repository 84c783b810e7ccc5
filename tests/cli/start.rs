//! What the program says when it starts, and why it does not.

use std::net::{SocketAddr, TcpListener};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tessera::bots::{Bot, BotConfig, Decode};
use tessera::config::{Setting, settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::disk::Disk;
use crate::common::recorded::folder;
use crate::common::server::{PATIENCE, room};

/// The program with these arguments and none of the settings of whoever runs the tests.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    command.args(arguments).kill_on_drop(true);
    for Setting { env, .. } in settings() {
        command.env_remove(env);
    }
    command.env_remove("TESSERA_LOG").env("RUST_LOG", "info");
    command
}

/// Ports of a test's own, and media on loopback.
const QUIET: [&str; 8] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--media-ip",
    "127.0.0.1",
    "--turn-listen",
    "127.0.0.1:0",
    "--max-cores=unlimited",
];

/// A server that runs.
struct Started {
    process: Child,
    url: String,
}

impl Started {
    async fn new(mut command: Command) -> Self {
        let spawned = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = spawned.expect("the program starts");
        let out = process.stdout.take().expect("a pipe");
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line()).await;
        let line = line
            .expect("in time")
            .expect("a readable pipe")
            .expect("a line");
        let url = line.strip_prefix("listening on ").expect("an address");
        Self {
            url: url.to_owned(),
            process,
        }
    }

    /// Stops it, and returns what it wrote to stderr.
    async fn stop(self) -> String {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it runs");
        let output = timeout(PATIENCE, self.process.wait_with_output()).await;
        let Output { status, stderr, .. } = output.expect("in time").expect("its output");
        let log = String::from_utf8(stderr).expect("UTF-8");
        assert!(status.success(), "{log}");
        log
    }
}

/// What the program says that does not start, and its status.
async fn refusal(mut command: Command) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.expect("it ends").expect("the program starts");
    assert_eq!(output.stdout, b"", "nothing was announced");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_says_in_one_line_what_it_is() {
    let films = folder();
    let mut command = program(&QUIET);
    command.arg("--recordings").arg(films.path());
    let server = Started::new(command).await;
    let http = server.url.trim_start_matches("http://").to_owned();
    let log = server.stop().await;
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("Tessera "))
        .collect();
    let [line] = lines[..] else {
        panic!("one line: {log}")
    };
    for part in [
        concat!("Tessera ", env!("CARGO_PKG_VERSION"), " on GStreamer 1."),
        &format!("HTTP on {http}; media on 127.0.0.1"),
        "TURN on 127.0.0.1:",
        &format!("recordings in {}", films.path().display()),
        "open to everybody",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }

    let mut command = program(&QUIET);
    command
        .env("TESSERA_TOKEN", "sesame")
        .args(["--turn", "off"]);
    let log = Started::new(command).await.stop().await;
    assert!(log.contains("a token is asked for"), "{log}");
    assert!(log.contains("TURN off; no recordings"), "{log}");
    assert!(
        !log.contains("sesame") && !log.contains("everybody"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_that_cannot_be_written_end_the_start() {
    let disk = Disk::new("16k");
    disk.make_read_only();
    let mut command = program(&QUIET);
    command
        .arg("--recordings")
        .arg(disk.path())
        .args(["--record", "mp4"]);
    let (status, words) = refusal(command).await;
    assert_eq!(status, Some(1), "{words}");
    let expected = format!(
        "tessera: the folder of recordings {}: no file can be written to it: ",
        disk.path().display()
    );
    assert!(words.contains(&expected), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_with_what_it_is_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = taken.local_addr().expect("bound");
    for (flag, purpose) in [("--turn-listen", "STUN and TURN"), ("--listen", "HTTP")] {
        let mut command = program(&["serve", "--media-ip", "127.0.0.1"]);
        let other = match flag {
            "--listen" => "--turn-listen",
            _ => "--listen",
        };
        command.args([other, "127.0.0.1:0", flag, &address.to_string()]);
        let (status, words) = refusal(command).await;
        assert_eq!(status, Some(1), "{words}");
        let expected = format!("tessera: cannot listen on {address} for {purpose}: Address");
        assert!(words.contains(&expected), "{words}");
        assert_eq!(
            words.matches("Address already in use").count(),
            1,
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_that_are_no_settings_are_named_in_one_warning() {
    let mut command = program(&QUIET);
    command.env("TESSERA_PORT_8080_TCP", "tcp://10.0.0.1:8080");
    command.env("TESSERA_TOKN", "sesame");
    let log = Started::new(command).await.stop().await;
    let named = |line: &&str| line.contains("TESSERA_");
    let lines: Vec<&str> = log.lines().filter(named).collect();
    let [line] = lines[..] else {
        panic!("one line: {log}")
    };
    assert!(line.contains("WARN"), "{line}");
    for name in ["TESSERA_PORT_8080_TCP", "TESSERA_TOKN"] {
        assert!(line.contains(name), "{line}");
    }
    assert!(!line.contains("sesame"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_filter_that_means_nothing_is_refused() {
    for (variable, filter) in [
        ("RUST_LOG", "debgu"),
        ("TESSERA_LOG", "tessera=loud"),
        ("RUST_LOG", "info,verbose"),
    ] {
        let mut command = program(&QUIET);
        command.env(variable, filter);
        let (status, words) = refusal(command).await;
        assert_eq!(status, Some(2), "{words}");
        assert!(words.starts_with("tessera: the log filter"), "{words}");
        assert!(words.contains(filter), "{words}");
        assert!(
            words.contains("off, error, warn, info, debug, trace"),
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_room_blame_nobody_else() {
    gst::init().expect("GStreamer");
    let server = Started::new(program(&QUIET)).await;
    // Ann stays while Ben comes: the room's task was started by her request.
    let mut bots = Vec::new();
    for name in ["Ann", "Ben"] {
        let config = BotConfig::new(&server.url, room("log"), name).decoding(Decode::No);
        let bot = Bot::join(config).await.expect("it joins");
        bot.connected().await.expect("a connection");
        bots.push(bot);
    }
    let log = server.stop().await;
    drop(bots);
    let of_the_room: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("room{id=log}"))
        .collect();
    for name in ["Ann", "Ben"] {
        let joins = |line: &&&str| line.contains("joins") && line.contains(name);
        assert_eq!(of_the_room.iter().filter(joins).count(), 1, "{log}");
    }
    for line in of_the_room {
        assert!(!line.contains("participant{"), "another's span: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_demo_for_the_lan_says_what_to_open_on_a_phone() {
    let mut command = program(&["demo", "--lan", "--listen", "127.0.0.1:0"]);
    command.args(["--turn", "off"]).stdout(Stdio::piped());
    let mut demo = command.stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    let mut said = Vec::new();
    while said.len() < 3 {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time");
        said.push(line.expect("a pipe").expect("a line"));
    }
    let port = said[0].strip_prefix("listening on http://0.0.0.0:");
    let port = port.expect("every address");
    assert_eq!(
        said[1],
        format!("open http://127.0.0.1:{port}/r/demo in a browser")
    );
    let on_a_phone = format!("open http://192.168.7.2:{port}/r/demo on a phone");
    assert!(said[2].starts_with(&on_a_phone), "{said:?}");
    assert!(said[2].contains("no camera"), "{said:?}");
    let page = reqwest::get(format!("http://192.168.7.2:{port}/r/demo")).await;
    assert!(page.expect("an answer").status().is_success());

    let (status, _) = refusal(program(&["serve", "--lan"])).await;
    assert_eq!(status, Some(2), "only the demo has it");
}

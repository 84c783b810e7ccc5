//! What strangers cost a server that runs by itself.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use procfs::process::Process;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use turn_server_proto::types::message::ALLOCATE;

use super::client::{Client, code, credential};

/// What every stranger may cost, bytes: less than an address and a nonce would take.
const EACH: u64 = 50;

/// A server, and where its TURN is. It ends when the child is dropped.
async fn serve(arguments: &[&str]) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--turn-listen",
            "127.0.0.1:0",
        ])
        .args(arguments)
        .env("RUST_LOG", "info")
        .env_remove("TESSERA_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let told = line.split_once("TURN on ");
            if let Some((_, rest)) = told {
                return rest.split([';', ',']).next().unwrap().parse().unwrap();
            }
        }
        panic!("the server ended");
    };
    let address = timeout(Duration::from_secs(60), find).await;
    // A process whose pipe is full stands still.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address.expect("the address of TURN"))
}

/// Resident memory of a server, bytes.
fn memory(server: &Child) -> u64 {
    let id = i32::try_from(server.id().expect("it runs")).unwrap();
    let status = Process::new(id).unwrap().status().unwrap();
    status.vmrss.unwrap() * 1024
}

/// Every request comes from a port of its own and is answered.
async fn ask(server: SocketAddr, requests: u32) {
    for _ in 0..requests {
        let stranger = Client::new(server, credential("nobody")).await;
        let answer = stranger.exchange(&Client::bare(ALLOCATE)).await;
        assert_eq!(code(&answer), 401);
    }
}

#[tokio::test]
async fn ten_thousand_strangers_leave_nothing_in_memory() {
    // The rate limit is out of the way: what is refused for it costs less than an answer.
    let (server, address) = serve(&["--turn-requests-per-second", "100000"]).await;
    // What is allocated once.
    ask(address, 1000).await;
    let before = memory(&server);
    ask(address, 10_000).await;
    let grown = memory(&server).saturating_sub(before);
    println!("{grown} bytes more after 10,000 requests, of {before}");
    assert!(grown < 10_000 * EACH, "{grown} bytes more");
}

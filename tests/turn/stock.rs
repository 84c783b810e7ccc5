//! Clients that others wrote: those of coturn.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::client::SECRET;
use super::server::server;

/// Longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program of coturn says, and whether it was content.
async fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output());
    let output = output.await.expect("an end");
    let output = output.unwrap_or_else(|error| panic!("{program} of the package coturn: {error}"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_stun_client_learns_its_address() {
    let server = server();
    let port = server.local_addr().port().to_string();
    let (_, text) = run("turnutils_stunclient", &["-p", &port, "127.0.0.1"]).await;
    assert!(text.contains("UDP reflexive addr: 127.0.0.1:"), "{text}");
}

/// Runs coturn's TURN client with two allocations that send to each other.
async fn exchange(server: SocketAddr, more: &[&str]) -> (bool, String) {
    let port = server.port().to_string();
    let arguments = [
        // Each other's peers; no RTCP, which would ask for two ports side by side.
        &["-y", "-c", "-n", "20", "-m", "2", "-l", "171", "-p", &port][..],
        more,
        &["127.0.0.1"],
    ];
    run("turnutils_uclient", &arguments.concat()).await
}

/// Whether all it sent has arrived.
fn whole(text: &str) -> bool {
    text.contains("Total lost packets 0 (0.000000%)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_turn_client_exchanges_packets_in_every_way() {
    let server = server();
    for way in [
        &["-W", SECRET, "-u", "ann"][..],
        // Send indications in place of channels.
        &["-W", SECRET, "-u", "ann", "-s"],
        // Over TCP to the server.
        &["-W", SECRET, "-u", "ann", "-t"],
    ] {
        let (_, text) = exchange(server.local_addr(), way).await;
        println!("{way:?}: {text}");
        assert!(whole(&text), "{way:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_turn_client_with_another_secret_is_refused() {
    let server = server();
    let (_, text) = exchange(server.local_addr(), &["-W", "south", "-u", "ann"]).await;
    assert!(!whole(&text), "{text}");
    assert!(text.contains("Cannot complete Allocation"), "{text}");
    assert!(server.allocations().is_empty());
}

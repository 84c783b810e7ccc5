//! The commands that make and unmake networks.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Where `ip netns` keeps the namespaces.
const NAMESPACES: &str = "/run/netns";

/// Runs a command that has nothing to say.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    read(program, arguments).map(drop)
}

/// What a command says.
pub fn read(program: &str, arguments: &[&str]) -> Result<String, String> {
    outcome(program, arguments, "")
}

/// Gives a command its input.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    outcome(program, arguments, input).map(drop)
}

fn outcome(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = execute(program, arguments, input).map_err(|error| format!("{program}: {error}"))?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => {
            let words = String::from_utf8_lossy(&stderr);
            let all = arguments.join(" ");
            Err(format!("`{program} {all}`: {}\n{input}", words.trim()))
        }
    }
}

fn execute(program: &str, arguments: &[&str], input: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Less than a pipe holds, so that writing it all first cannot block for ever.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// Takes 256 addresses that nothing else has, of those meant for measuring networks (RFC 2544
/// appendix C.2.2). Processes begin to look at different places, so that two that look at once
/// find different ones.
pub fn claim() -> Result<Ipv4Addr, String> {
    let taken = read("ip", &["-o", "-4", "addr"])?;
    let start = std::process::id() % 512;
    (0..512)
        .map(|n| (start + n) % 512)
        .map(|n| Ipv4Addr::new(198, 18 + (n >> 8) as u8, n as u8, 0))
        .find(|subnet| {
            let [a, b, c, _] = subnet.octets();
            !taken.contains(&format!(" {a}.{b}.{c}."))
        })
        .ok_or_else(|| "all of 198.18.0.0/15 is taken".to_owned())
}

/// Removes a namespace and ends what runs in it.
pub fn remove(namespace: &str) -> Result<(), String> {
    if !Path::new(NAMESPACES).join(namespace).exists() {
        return Ok(());
    }
    for pid in read("ip", &["netns", "pids", namespace])?.split_whitespace() {
        // An error if it has ended by itself by now.
        let _ = run("kill", &["-KILL", pid]);
    }
    run("ip", &["netns", "del", namespace])
}

/// Removes what tests left behind that were killed and could not.
pub fn sweep() -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("tessera-")
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&name)?;
        }
    }
    Ok(())
}

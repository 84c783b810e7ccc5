//! What a server process owes the system it runs on: file descriptors, the announcement of
//! its address, and an end in good order when it is asked to stop.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Raises the soft limit of open files to the hard one and returns it. A connected peer takes
/// about 19 file descriptors, so that the usual 1,024 end at 50 people.
///
/// # Errors
/// What the system says; the process goes on with the limit it has.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// The variable by which glibc limits its memory arenas.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts the program anew, in its place, with a limit on glibc's memory arenas, unless there
/// is one. A peer's threads come and go with it, each new thread may get an arena of its own,
/// and what they leave in them is never given back: 200 joins and leaves grew the process from
/// 123 to 274 MB without a limit, and from 92 to 99 MB with one. What is
/// allocated per packet comes from caches of each thread, which the limit leaves alone. It can only be set by
/// the environment a process starts with.
///
/// # Errors
/// The program cannot be started anew; it goes on as it is.
pub fn limit_memory_arenas() -> io::Result<()> {
    if std::env::var_os(ARENAS).is_some() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).env(ARENAS, "1").exec())
}

/// Writes the one line on `out` that scripts and tests wait for: with port 0 it is the only
/// way to learn where the server is.
///
/// # Errors
/// `out` is closed or full.
pub fn announce(mut out: impl Write, address: SocketAddr) -> io::Result<()> {
    writeln!(out, "listening on http://{address}")?;
    // Standard output is block-buffered when it is a pipe.
    out.flush()
}

/// The address to open in a browser on this machine: one bound to every address is reached
/// through loopback.
pub fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// The two signals that ask a server to stop.
#[derive(Debug)]
pub struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    /// Starts to listen for SIGINT and SIGTERM, which from now on no longer end the process
    /// by themselves. Call it before the address is announced: who reads the announcement may
    /// send a signal at once.
    ///
    /// # Errors
    /// The handlers cannot be installed. Needs a tokio runtime with IO.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them. A later call waits for the next.
    pub async fn received(&mut self) {
        let name = tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        };
        tracing::info!(signal = name, "asked to stop");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_is_one_line() {
        let mut out = Vec::new();
        announce(&mut out, SocketAddr::from(([127, 0, 0, 1], 4711))).expect("a vector takes it");
        assert_eq!(out, b"listening on http://127.0.0.1:4711\n");
    }

    #[test]
    fn a_wildcard_is_opened_through_loopback() {
        for (bound, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://[::1]:80"),
            ("192.0.2.7:81", "http://192.0.2.7:81"),
        ] {
            assert_eq!(local_url(bound.parse().expect("an address")), url);
        }
    }

    #[test]
    fn the_limit_of_open_files_is_the_hard_one_afterwards() {
        let raised = raise_open_files().expect("the soft limit can always be raised that far");
        let (soft, _hard) = rlimit::Resource::NOFILE.get().expect("a limit");
        assert_eq!(soft, raised);
    }
}

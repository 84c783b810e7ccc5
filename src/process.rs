//! The process and the operating system: file descriptors, memory arenas, the announcement of the
//! address, and the signals that ask it to stop.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Raises the soft limit of open files to the hard one, and returns it. A connected peer uses about
/// 19 file descriptors, so the usual limit of 1,024 would allow 50 participants.
///
/// # Errors
/// The error of the system. The limit is unchanged then.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// Largest number of threads for work that blocks: files, and offers that are read. More of it waits.
/// They start without asking for means, and so have to fit into what is kept free for that.
pub const MAX_BLOCKING_THREADS: usize = 48;

/// Environment variable with the limit of glibc's memory arenas.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Replaces the process by the same program with one memory arena of glibc, unless a limit is set.
///
/// The threads of a peer come and go with it. Each new thread may get an arena of its own, whose
/// memory is never returned to the system: 200 joins and leaves grew the process from 123 to 274 MB
/// without a limit, and from 92 to 99 MB with one. Allocations per packet come from per-thread
/// caches, which the limit does not affect. It can only be set by the environment that a process
/// starts with.
///
/// # Errors
/// The program cannot be executed. The process goes on without a limit.
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

/// Writes the address to `out`, in the one line that scripts and tests wait for. With port 0 it is
/// the only way to learn the port.
///
/// # Errors
/// What writing fails with: `out` is closed or full.
pub fn announce(mut out: impl Write, address: SocketAddr) -> io::Result<()> {
    writeln!(out, "listening on http://{address}")?;
    // Standard output is block-buffered when it is a pipe.
    out.flush()
}

/// The URL to open in a browser on this machine. A server bound to every address is reached through
/// loopback.
pub fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// SIGINT and SIGTERM, the signals that ask a server to stop.
#[derive(Debug)]
pub struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    /// Installs handlers for both signals, which from now on do not end the process by themselves.
    /// To be called before the address is announced: a script may send a signal right after. Needs
    /// a tokio runtime with I/O.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of the signals. A later call waits for the next one.
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

//! A server of a process of its own, and what it uses.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use procfs::process::Process;

/// A server of its own process.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts one, with `more` of the command line's options.
    pub(crate) fn start(more: &[&str]) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--media-ip",
                "127.0.0.1",
                "--joins-per-second",
                "1000",
                "--max-cores",
                "unlimited",
                "--max-participants",
                "100",
            ])
            .args(more)
            .env("TESSERA_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .context("the server does not start")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .with_context(|| format!("unexpected first line {line:?}"))?
            .to_owned();
        Ok(Self { child, url })
    }

    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_seconds(i32::try_from(self.child.id())?)
    }
}

/// The threads of a server.
#[allow(dead_code)]
pub(crate) struct Threads {
    pub(crate) count: usize,
    /// How often they were switched to another since they began.
    pub(crate) switches: u64,
}

impl Server {
    #[allow(dead_code)]
    pub(crate) fn threads(&self) -> Result<Threads> {
        let process = Process::new(i32::try_from(self.child.id())?)?;
        let (mut count, mut switches) = (0, 0);
        // Of one that has ended meanwhile there is nothing to read.
        for status in process
            .tasks()?
            .flatten()
            .filter_map(|task| task.status().ok())
        {
            count += 1;
            switches += status.voluntary_ctxt_switches.unwrap_or_default();
            switches += status.nonvoluntary_ctxt_switches.unwrap_or_default();
        }
        Ok(Threads { count, switches })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time a process has used, user and system.
pub(crate) fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = Process::new(pid)?.stat()?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

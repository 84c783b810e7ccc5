//! A bar on a terminal that says how far it is and how fast it goes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Characters of the bar.
const WIDTH: usize = 40;

/// Draws on standard error, and only where that is a terminal.
#[derive(Debug)]
pub struct Bar {
    began: Instant,
    drawn: Option<usize>,
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Bar {
    /// A bar that begins now.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            drawn: None,
        }
    }

    /// Shows that `done` of `total` is made.
    pub fn show(&mut self, done: Duration, total: Duration) {
        let mut out = io::stderr();
        if !out.is_terminal() {
            return;
        }
        let line = line(done, total, self.began.elapsed());
        // What is left of a longer line before is wiped.
        let wipe = self.drawn.replace(line.len()).unwrap_or_default();
        let _ = write!(out, "\r{line:<wipe$}");
        if done >= total {
            let _ = writeln!(out);
        }
        let _ = out.flush();
    }
}

fn line(done: Duration, total: Duration, took: Duration) -> String {
    let share = done.as_secs_f64() / total.as_secs_f64().max(1e-9);
    let share = share.clamp(0.0, 1.0);
    let full = (share * WIDTH as f64) as usize;
    let speed = done.as_secs_f64() / took.as_secs_f64().max(1e-9);
    let mut line = format!("[{:<WIDTH$}] {:3.0} %", "#".repeat(full), share * 100.0);
    if !took.is_zero() {
        let left = total.saturating_sub(done).as_secs_f64() / speed.max(1e-9);
        let _ = write!(line, ", {speed:.1} times real time, {left:.0} s to go");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is() {
        let s = Duration::from_secs;
        let half = line(s(30), s(60), s(10));
        assert!(half.starts_with("[####################                    ]  50 %"));
        assert!(half.ends_with("3.0 times real time, 10 s to go"), "{half}");
        assert!(line(s(60), s(60), s(10)).contains("100 %"));
        assert!(line(s(0), s(60), s(0)).ends_with("  0 %"));
    }
}

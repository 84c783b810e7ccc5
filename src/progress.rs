//! A bar on a terminal that says how far something is.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Characters of the bar.
const WIDTH: usize = 40;

/// Draws on standard error, and only where that is a terminal.
#[derive(Debug, Default)]
pub struct Bar {
    drawn: Option<usize>,
}

impl Bar {
    /// Whether it is drawn at all.
    pub fn is_seen() -> bool {
        io::stderr().is_terminal()
    }

    /// Shows that this share is done, from 0 to 1, and `note` behind it. The line ends with the
    /// whole.
    pub fn show(&mut self, share: f64, note: &str) {
        if !Self::is_seen() {
            return;
        }
        let line = line(share, note);
        // What is left of a longer line before is wiped.
        let wipe = self.drawn.replace(line.len()).unwrap_or_default();
        let mut out = io::stderr();
        let _ = write!(out, "\r{line:<wipe$}");
        if share >= 1.0 {
            let _ = writeln!(out);
        }
        let _ = out.flush();
    }
}

fn line(share: f64, note: &str) -> String {
    let share = share.clamp(0.0, 1.0);
    let full = (share * WIDTH as f64) as usize;
    let gap = if note.is_empty() { "" } else { ", " };
    format!(
        "[{:<WIDTH$}] {:3.0} %{gap}{note}",
        "#".repeat(full),
        share * 100.0
    )
}

/// What is left, by what a share took; `None` before there is one.
pub fn left(share: f64, took: Duration) -> Option<Duration> {
    let whole = took.as_secs_f64() / share;
    Duration::try_from_secs_f64(whole * (1.0 - share.min(1.0))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is() {
        let half = line(0.5, "10 s to go");
        assert_eq!(
            half,
            "[####################                    ]  50 %, 10 s to go"
        );
        assert!(line(1.0, "").ends_with("#] 100 %"));
        assert!(line(7.0, "").contains("100 %"));
        assert!(line(0.0, "").ends_with("  0 %"));
    }

    #[test]
    fn what_is_left_follows_from_what_it_took() {
        let s = Duration::from_secs;
        assert_eq!(left(0.25, s(10)), Some(s(30)));
        assert_eq!(left(1.0, s(10)), Some(s(0)));
        assert_eq!((left(0.0, s(10)), left(0.0, s(0))), (None, None));
    }
}

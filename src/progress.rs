//! A progress bar on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Width of the bar in characters.
const WIDTH: usize = 40;

/// A progress bar on standard error. Draws nothing if that is not a terminal.
#[derive(Debug, Default)]
pub struct Bar {
    /// Length of the last line in bytes.
    drawn: Option<usize>,
}

impl Bar {
    /// Whether standard error is a terminal, so that anything is drawn.
    pub(crate) fn is_visible() -> bool {
        io::stderr().is_terminal()
    }

    /// Redraws the bar with a share done from 0 to 1, followed by `note`. At 1 the line is ended.
    pub fn show(&mut self, share: f64, note: &str) {
        if !Self::is_visible() {
            return;
        }
        let line = line(share, note);
        // Spaces overwrite the rest of a longer line.
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

/// The time that remains if the rest takes as long, per share, as `share` took; `None` at share 0.
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

//! What times and rates on the real clock are held to: on a quiet machine (`make soak`) to what
//! people notice, on any other to what only a hang or a broken program misses. What they were is
//! printed everywhere.

use std::env;
use std::time::Duration;

/// How much slower than a quiet machine one may be that does other things too.
const SLACK: u32 = 10;
/// And the least that a gap or a delay is allowed there.
const LEAST: Duration = Duration::from_secs(5);

/// Says that the machine does nothing else.
const QUIET: &str = "TESSERA_QUIET_MACHINE";

fn quiet() -> bool {
    env::var_os(QUIET).is_some()
}

/// The longest gap or delay, which is `longest` on a quiet machine.
pub fn at_most(longest: Duration) -> Duration {
    if quiet() {
        return longest;
    }
    LEAST.max(longest * SLACK)
}

/// The lowest rate, which is `lowest` on a quiet machine, in its unit.
pub fn at_least(lowest: f64) -> f64 {
    if quiet() {
        return lowest;
    }
    lowest / f64::from(SLACK)
}

/// The least share of something that arrives, in percent, which is `lowest` on a quiet machine.
pub fn share(lowest: u64) -> u64 {
    if quiet() {
        return lowest;
    }
    lowest / 2
}

/// How far apart two things may be that belong together, which is `most` on a quiet machine, in its
/// unit.
pub fn apart(most: f64) -> f64 {
    if quiet() {
        return most;
    }
    most * 2.5
}

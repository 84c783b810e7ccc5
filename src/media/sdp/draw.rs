//! Draws values for tests, for as long as is asked for.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How long values are drawn, unless [`FUZZ_SECONDS`] says otherwise.
const FUZZ_TIME: Duration = Duration::from_secs(2);
/// Variable with the seconds that values are drawn, for a longer run.
const FUZZ_SECONDS: &str = "TESSERA_FUZZ_SECONDS";

/// Runs `check` on values of `strategy` until the time is over.
pub(crate) fn draw<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Clone,
{
    let seconds = std::env::var(FUZZ_SECONDS)
        .ok()
        .and_then(|text| text.parse().ok());
    let time = seconds.map_or(FUZZ_TIME, Duration::from_secs);
    let began = Instant::now();
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    while began.elapsed() < time {
        if let Err(error) = runner.run(&strategy, &check) {
            panic!("{error}");
        }
    }
}

//! What viewers are sent over links that were recorded: what a room's log says of them with
//! `RUST_LOG=tessera::link=trace`, from viewers of `network::rates` whose line of 300 kbit/s, or 150,
//! was made slow for some twenty seconds and then good again.

use std::time::Duration;

use tessera::layout::Size;
use tessera::media::bwe::ladder::{Ladder, Rung};
use tessera::media::bwe::trace::{TracedEstimate, replay};
use tessera::media::gst::template::Templates;

const AUDIO: u32 = 40_000;

fn ladder() -> Ladder {
    let canvas = Size {
        width: 1280,
        height: 720,
    };
    Templates::default().ladder(canvas, 30, 1_500_000)
}

/// When the line became slow, and where its viewer was ten seconds later and at the end.
fn check(trace: &str, fits: &[Rung]) {
    let moves = replay(trace, &ladder(), AUDIO).expect("a trace");
    println!("{moves:?}");
    let (began, _) = moves[0];
    let settled = moves
        .iter()
        .rfind(|(at, _)| *at <= began + Duration::from_secs(10));
    assert!(
        fits.contains(&settled.expect("the first one").1),
        "{moves:?}"
    );
    assert_eq!(moves.last().map(|(_, rung)| *rung), Some(Rung::TOP));
    assert!(moves.len() <= 6, "{moves:?}");
    assert_eq!(
        moves,
        replay(trace, &ladder(), AUDIO).expect("the same again")
    );
}

#[test]
fn a_recorded_line_of_300_kbits_is_fitted_and_left_again() {
    check(include_str!("../data/line-300.jsonl"), &[Rung(3)]);
}

#[test]
fn a_recorded_line_of_150_kbits_is_fitted_and_left_again() {
    check(include_str!("../data/line-150.jsonl"), &[Rung(4)]);
}

/// Its receiver was held up just when it became slow: for 0.6 s it seemed to carry a fifth of what it did.
#[test]
fn a_viewer_held_up_for_a_moment_has_no_stills_for_long() {
    let trace = include_str!("../data/line-150-held-up.jsonl");
    let moves = replay(trace, &ladder(), AUDIO).expect("a trace");
    println!("{moves:?}");
    let still = ladder().still();
    let (at, _) = *moves
        .iter()
        .find(|(_, to)| *to == still)
        .expect("it is taken for one that carries nothing");
    let next = moves.iter().find(|(then, _)| *then > at);
    let &(then, to) = next.expect("it is found to carry more");
    assert!(then - at < Duration::from_secs(1), "{moves:?}");
    assert_eq!(to, Rung(4), "{moves:?}");
}

#[test]
fn a_line_that_is_no_estimate_is_refused() {
    assert!(replay("{\"at_us\":1}", &ladder(), AUDIO).is_err());
    let line = include_str!("../data/line-300.jsonl")
        .lines()
        .next()
        .expect("a line");
    let heard: TracedEstimate = serde_json::from_str(line).expect("an estimate");
    assert_eq!(heard, TracedEstimate::new(heard.at(), &heard.estimate()));
    assert_eq!(heard.to_string(), line);
}

//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use super::*;
use crate::media::gst::template::Templates;

fn ladder(width: u32, height: u32, bitrate: u32) -> Ladder {
    let canvas = Size { width, height };
    Templates::default().ladder(canvas, 30, bitrate)
}

fn sizes(ladder: &Ladder) -> Vec<(u32, u32)> {
    let rungs = ladder.rungs();
    rungs.map(|(_, r)| (r.size.width, r.size.height)).collect()
}

#[test]
fn the_default_ladder_is_that_of_the_default_canvas() {
    let ladder = ladder(1280, 720, 1_500_000);
    let expected = [
        (1280, 720),
        (960, 540),
        (640, 360),
        (480, 270),
        (320, 180),
        (320, 180),
    ];
    assert_eq!(sizes(&ladder), expected);
    let bitrates: Vec<_> = ladder.rungs().map(|(_, r)| (r.least, r.most)).collect();
    assert_eq!(bitrates[0], (800_000, 1_500_000));
    assert!(bitrates.windows(2).all(|pair| pair[1].1 <= pair[0].1));
    // Before an upgrade the link has carried nearly as much on the rung below.
    let moving = &bitrates[..5];
    assert!(
        moving
            .windows(2)
            .all(|pair| pair[1].1 >= pair[0].0 / 100 * 112)
    );
    let still = ladder.spec(ladder.still()).unwrap();
    assert_eq!(still.pace, Pace::Still(Duration::from_secs(5)));
    assert_eq!(ladder.spec(ladder.still().below()), None);
    assert_eq!(ladder.spec(Rung(3)).unwrap().pace, Pace::Fps(20));
}

#[test]
fn other_canvases_keep_their_proportions() {
    let upright = sizes(&ladder(720, 1280, 1_500_000));
    assert_eq!(upright[..3], [(720, 1280), (540, 960), (360, 640)]);
    let square = sizes(&ladder(600, 600, 1_500_000));
    assert_eq!(square[..3], [(600, 600), (540, 540), (360, 360)]);
    let large = sizes(&ladder(1920, 1080, 4_000_000));
    assert_eq!(large[..3], [(1920, 1080), (1280, 720), (960, 540)]);
}

#[test]
fn a_small_or_cheap_canvas_has_fewer_rungs() {
    let small = ladder(320, 180, 300_000);
    assert_eq!(sizes(&small), [(320, 180), (320, 180)], "itself and still");
    // 960x540 would cost more than the canvas may.
    let cheap = sizes(&ladder(1280, 720, 800_000));
    assert_eq!(cheap[..2], [(1280, 720), (640, 360)]);
    let tiny = sizes(&ladder(160, 90, 300_000));
    assert_eq!(tiny, [(160, 90), (160, 90)]);
}

#[test]
fn limits_choose_the_best_rung_within_them() {
    let ladder = ladder(1280, 720, 1_500_000);
    let none = Limits::default();
    let height = |max| Limits {
        max_height: Some(max),
        ..none
    };
    let bitrate = |max| Limits {
        max_bitrate: Some(max),
        ..none
    };
    let audio_only = Limits {
        audio_only: true,
        ..none
    };
    for (limits, rung) in [
        (none, 0),
        (height(720), 0),
        (height(719), 1),
        (height(360), 2),
        (height(100), 5),
        (bitrate(1_540_000), 0),
        (bitrate(1_539_999), 1),
        (bitrate(300_000), 3),
        (bitrate(0), 5),
        (audio_only, 5),
    ] {
        assert_eq!(ladder.best(&limits, 40_000), Rung(rung), "{limits:?}");
    }
}

#[test]
fn nonsense_is_refused_in_words() {
    let text = include_str!("../../../../pipelines/renditions.toml");
    for (from, to, says) in [
        ("fps = 20", "fps = 0", "fps of rung 4 cannot be 0"),
        ("640x360", "640", "is no size"),
        (
            "[220_000, 500_000]",
            "[500_000, 220_000]",
            "bitrate of rung 3",
        ),
        ("every = 5", "every = 0", "every of still"),
        ("every = 5", "often = 5", "unknown field"),
    ] {
        let error = Renditions::parse(&text.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(says), "{to}: {error}");
    }
}

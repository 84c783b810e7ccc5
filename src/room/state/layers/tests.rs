use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const LAYER_SIZES: LayerSizes = LayerSizes {
    canvas: Size {
        width: 1280,
        height: 720,
    },
    fps: 30,
};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn target(height: u32, current: Option<usize>) -> LayerTarget {
    LayerTarget {
        height,
        max_bitrate: None,
        current,
        current_bitrate: None,
    }
}

fn three() -> Vec<Option<Encoding>> {
    (0..3).map(|n| Some(LAYER_SIZES.encoding(n, 3))).collect()
}

/// Three encodings that have flowed for long.
fn flowing() -> Layers {
    let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).expect("a rid"));
    let mut layers = Layers::new(rids.to_vec());
    for n in 0..3 {
        layers.begin(n, at(0));
    }
    layers
}

#[test]
fn a_tile_gets_the_smallest_that_is_large_enough() {
    for (height, expected) in [
        (0, 0),
        (180, 0),
        (190, 0),
        (240, 1),
        (360, 1),
        (390, 1),
        (500, 2),
        (720, 2),
        (2160, 2),
    ] {
        let chosen = choose_layer(&three(), target(height, None));
        assert_eq!(chosen, Some(expected), "{height}");
    }
    assert_eq!(choose_layer(&[], target(360, None)), None);
    assert_eq!(choose_layer(&[None, None], target(360, Some(1))), None);
}

#[test]
fn who_has_one_keeps_it_while_it_nearly_fits() {
    let chosen =
        |height, current| choose_layer(&three(), target(height, Some(current))).expect("there");
    assert_eq!(chosen(440, 1), 1, "80 percent");
    assert_eq!(chosen(460, 1), 2, "and less");
    assert_eq!(chosen(370, 2), 2, "the smaller one is not quite as large");
    assert_eq!(chosen(360, 2), 1, "now it is");
}

#[test]
fn a_link_carries_what_it_carries() {
    let [q, h, f] = [0, 1, 2].map(|n| LAYER_SIZES.encoding(n, 3).bitrate);
    let chosen = |max, current| {
        let max_bitrate = Some(max);
        choose_layer(
            &three(),
            LayerTarget {
                max_bitrate,
                ..target(720, current)
            },
        )
    };
    assert_eq!(chosen(f * 2, None), Some(2));
    assert_eq!(chosen(f, None), Some(1), "with something to spare");
    assert_eq!(chosen(f, Some(2)), Some(2), "but to keep it");
    assert_eq!(
        chosen(h, Some(2)),
        Some(1),
        "going down, all that fits does"
    );
    assert_eq!(
        chosen(h, Some(0)),
        Some(0),
        "going up, with something to spare"
    );
    assert_eq!(chosen(h - 1, Some(2)), Some(0));
    assert_eq!(chosen(q / 2, Some(1)), Some(0), "the least there is");
}

#[test]
fn an_encoding_that_falls_silent_is_left_at_once_and_taken_up_again_when_it_stays() {
    let mut layers = flowing();
    let mut current = None;
    let mut now = |layers: &Layers, ms| {
        current = layers.choose(target(720, current), LAYER_SIZES, at(ms));
        current
    };
    assert_eq!(now(&layers, 5_000), Some(2));
    layers.set_media(2, Media::Silent { since: at(6_000) });
    assert_eq!(now(&layers, 6_000), Some(1));
    layers.set_media(2, Media::Flowing { since: at(7_000) });
    assert_eq!(layers.settles_at(at(7_000)), Some(at(8_000)));
    assert_eq!(now(&layers, 7_900), Some(1));
    assert_eq!(now(&layers, 8_000), Some(2));
    for n in 0..3 {
        layers.set_media(n, Media::Silent { since: at(9_000) });
    }
    assert_eq!(now(&layers, 9_000), Some(2), "there is nothing better");
    assert_eq!(layers.media(), Media::Silent { since: at(9_000) });
    layers.set_media(0, Media::Flowing { since: at(9_500) });
    assert_eq!(now(&layers, 9_500), Some(0));
}

#[test]
fn those_that_begin_together_are_chosen_from_at_once() {
    let rids = ["q", "f"].map(|rid| Rid::new(rid).expect("a rid"));
    let mut layers = Layers::new(rids.to_vec());
    assert_eq!(layers.choose(target(720, None), LAYER_SIZES, at(0)), None);
    layers.begin(0, at(0));
    assert_eq!(
        layers.choose(target(720, None), LAYER_SIZES, at(0)),
        Some(0)
    );
    layers.begin(1, at(100));
    assert_eq!(
        layers.choose(target(720, Some(0)), LAYER_SIZES, at(100)),
        Some(1)
    );
}

#[test]
fn what_packets_say_of_their_size_counts() {
    let mut layers = flowing();
    // A sender who calls its largest the first.
    layers.set_height(0, 720);
    layers.set_height(2, 180);
    assert_eq!(
        layers.choose(target(180, None), LAYER_SIZES, at(5_000)),
        Some(2)
    );
    assert_eq!(
        layers.choose(target(720, None), LAYER_SIZES, at(5_000)),
        Some(0)
    );
}

#[test]
fn one_encoding_is_what_everybody_gets() {
    let mut layers = Layers::new(Vec::new());
    layers.begin(0, at(0));
    layers.set_media(0, Media::Silent { since: at(10) });
    assert_eq!(
        layers.choose(target(2160, None), LAYER_SIZES, at(20)),
        Some(0)
    );
    assert_eq!((layers.tap(0), layers.settles_at(at(0))), (1, None));
}

fn encodings() -> impl Strategy<Value = Vec<Option<Encoding>>> {
    let encoding = (1u32..1200, 1u32..3_000_000);
    let encoding = encoding.prop_map(|(height, bitrate)| Encoding { height, bitrate });
    vec(option::of(encoding), 0..4)
}

fn targets() -> impl Strategy<Value = LayerTarget> {
    let max = option::of(0u32..3_000_000);
    (0u32..1500, max, option::of(0usize..4)).prop_map(|(height, max_bitrate, current)| {
        LayerTarget {
            height,
            max_bitrate,
            current,
            current_bitrate: None,
        }
    })
}

proptest! {
    #[test]
    fn what_is_chosen_is_there_and_stays(layers in encodings(), target in targets()) {
        let Some(chosen) = choose_layer(&layers, target) else {
            prop_assert!(layers.iter().all(Option::is_none));
            return Ok(());
        };
        prop_assert!(layers[chosen].is_some());
        let again = LayerTarget { current: Some(chosen), ..target };
        prop_assert_eq!(choose_layer(&layers, again), Some(chosen), "it would go to and fro");
    }

    #[test]
    fn no_link_gets_more_than_it_carries_if_there_is_less(layers in encodings(), target in targets()) {
        let Some((chosen, max)) = choose_layer(&layers, target).zip(target.max_bitrate) else {
            return Ok(());
        };
        let chosen = layers[chosen].expect("there");
        let bitrates = layers.iter().flatten().map(|encoding| encoding.bitrate);
        prop_assert!(chosen.bitrate <= max || bitrates.min() == Some(chosen.bitrate));
    }

    #[test]
    fn large_enough_if_there_is_one_and_no_larger_than_it_must_be(
        layers in encodings(),
        height in 0u32..1500,
        current in option::of(0usize..4),
    ) {
        let Some(chosen) = choose_layer(&layers, target(height, current)) else {
            return Ok(());
        };
        let chosen = layers[chosen].expect("there").height;
        let heights = || layers.iter().flatten().map(|encoding| encoding.height);
        let enough = u64::from(chosen) * 100 >= u64::from(height) * KEEP_PERCENT;
        prop_assert!(enough || heights().max() == Some(chosen));
        let smaller = heights().filter(|other| *other < chosen);
        prop_assert!(smaller.max().is_none_or(|other| other < height), "too large for nothing");
    }

    #[test]
    fn a_larger_tile_never_gets_a_smaller_one(
        layers in encodings(),
        heights in (0u32..1500, 0u32..1500),
        current in option::of(0usize..4),
    ) {
        let small = choose_layer(&layers, target(heights.0.min(heights.1), current));
        let large = choose_layer(&layers, target(heights.0.max(heights.1), current));
        let height = |n: Option<usize>| n.and_then(|n| layers[n]).map(|encoding| encoding.height);
        prop_assert!(height(small) <= height(large));
    }
}

#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;

use super::*;
use crate::layout::{LayoutKind, Size};
use crate::protocol::room::MeasuredPaths;
use crate::topology::Mode;

fn ann() -> ParticipantId {
    ParticipantId::new(1)
}

fn bob() -> ParticipantId {
    ParticipantId::new(2)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A room of 640x360 whose left half is the one person's, and whose right half the other's.
fn room(left: ParticipantId, right: ParticipantId) -> RoomState {
    let tile = |participant, x| TileState {
        participant,
        role: Role::Camera,
        x,
        y: 90,
        w: 320,
        h: 180,
    };
    RoomState {
        mode: Mode::Mcu,
        layout: LayoutKind::Grid,
        canvas: Size {
            width: 640,
            height: 360,
        },
        pinned: None,
        participants: Vec::new(),
        tiles: vec![tile(left, 0), tile(right, 320)],
        paths: MeasuredPaths::default(),
        recordings: Vec::new(),
    }
}

/// A composite of half the canvas' size with a colour left and one right.
fn mix(left: usize, right: usize, at: u64) -> Picture {
    let [one, two] = [left, right].map(|i| Picture::solid(320, 180, palette::color(i)));
    let planes: Vec<Vec<u8>> = one
        .planes()
        .iter()
        .zip(two.planes())
        .enumerate()
        .map(|(i, (one, two))| {
            let width = if i == 0 { 320 } else { 160 };
            let rows = one.chunks(width).zip(two.chunks(width));
            rows.flat_map(|(one, two)| [&one[..width / 2], &two[width / 2..]].concat())
                .collect()
        })
        .collect();
    let planes = [
        (&planes[0][..], 320),
        (&planes[1][..], 160),
        (&planes[2][..], 160),
    ];
    Picture::from_planes(320, 180, planes, ms(at), 1).unwrap()
}

fn own(person: usize, at: u64) -> Picture {
    let mut picture = Picture::solid(320, 180, palette::color(person));
    picture.arrival = ms(at);
    picture
}

fn tone(person: usize, length: usize) -> Vec<f32> {
    let step = 2.0 * PI * palette::tone(person) / f64::from(RATE);
    (0..length)
        .map(|i| (0.06 * (step * i as f64).sin()) as f32)
        .collect()
}

#[test]
fn a_participant_is_followed_from_path_to_path() {
    let observer = Observer::default();
    observer.room(&room(ann(), bob()), ms(0));
    for at in (1000..2000).step_by(100) {
        observer.record_mix(&mix(0, 1, at));
    }
    for at in (2150..3000).step_by(50) {
        observer.record_picture(&own(0, at), Path::Forward, Contributor::always(Some(ann())));
    }
    let during = ms(1000)..ms(2950);
    let gap = observer.unseen(ann(), palette::color(0), during.clone());
    assert_eq!((gap.start, gap.length), (ms(1900), ms(250)));
    let gap = observer.unseen(bob(), palette::color(1), during.clone());
    assert_eq!((gap.start, gap.length), (ms(1900), ms(1050)));
    assert_eq!(observer.mixups(&[(ann(), 0), (bob(), 1)], during), []);
    let paths: Vec<_> = observer.detections(ann()).iter().map(|s| s.path).collect();
    assert_eq!(
        (paths[0], paths[paths.len() - 1]),
        (Path::Mix, Path::Forward)
    );
}

#[test]
fn a_wrong_colour_under_a_name_is_seen() {
    let observer = Observer::default();
    let people = [(ann(), 0), (bob(), 1)];
    observer.record_picture(
        &own(1, 500),
        Path::Forward,
        Contributor::always(Some(ann())),
    );
    observer.record_picture(
        &own(7, 520),
        Path::Forward,
        Contributor::always(Some(ann())),
    );
    let found = observer.mixups(&people, ms(0)..ms(1000));
    let wrong = Mixup {
        sense: Sense::Seen,
        at: ms(500),
        path: Path::Forward,
        name: ann(),
        was: 1,
    };
    assert_eq!(found, [wrong], "and nobody's colour is not somebody's");
    observer.record_picture(&own(0, 540), Path::Forward, Contributor::always(None));
    assert_eq!(observer.unattributed(), 1);
}

#[test]
fn tiles_and_pictures_travel_apart() {
    let observer = Observer::default();
    let people = [(ann(), 0), (bob(), 1)];
    observer.room(&room(ann(), bob()), ms(0));
    observer.record_mix(&mix(0, 1, 5000));
    observer.room(&room(bob(), ann()), ms(5010));
    // The picture of before is late; then comes that of now.
    observer.record_mix(&mix(0, 1, 5030));
    observer.record_mix(&mix(1, 0, 5060));
    let during = ms(4000)..ms(9000);
    assert_eq!(observer.mixups(&people, during.clone()), []);
    let gap = observer.unseen(ann(), palette::color(0), ms(5000)..ms(5060));
    assert_eq!(gap.length, ms(30));
    // But not for ever.
    observer.record_mix(&mix(0, 1, 8000));
    assert_eq!(observer.mixups(&people, during).len(), 2);
}

#[test]
fn a_frozen_tile_is_not_fresh() {
    let observer = Observer::default();
    for (at, drawn) in [(1000, 950), (1033, 950), (1066, 1010)] {
        let mut picture = Picture::solid(640, 360, palette::color(3));
        TimeCode::at(ms(drawn)).draw(&mut picture);
        picture.arrival = ms(at);
        observer.record_picture(&picture, Path::Mesh, Contributor::always(Some(bob())));
    }
    let detections = observer.detections(bob());
    let fresh: Vec<_> = detections.iter().map(|detection| detection.fresh).collect();
    assert_eq!(fresh, [true, false, true]);
    assert_eq!(detections[2].age, Some(ms(56)));
    let latency = observer.latency(Path::Mesh).unwrap();
    assert_eq!((latency.count, latency.p50, latency.max), (3, 56.0, 83.0));
    assert_eq!(observer.latency(Path::Mix), None);
}

const MIXED: Origin = Origin {
    path: Path::Mix,
    from: None,
    settled: true,
};

fn meshed() -> Origin {
    Origin {
        path: Path::Mesh,
        from: Some(ann()),
        settled: true,
    }
}

#[test]
fn sound_is_followed_from_path_to_path() {
    let observer = Observer::default();
    let chunk = tone(4, WINDOW);
    for at in (0..1000).step_by(20) {
        observer.record_sound(&chunk, ms(at), MIXED);
    }
    // Overlaps the mix, and is not heard before a page would play it.
    for at in (910..2010).step_by(20) {
        observer.record_sound(&chunk, ms(at), meshed());
    }
    let gap = observer.unheard(4, ms(0)..ms(2000));
    assert_eq!((gap.start, gap.length), (ms(1000), ms(1000)));
    assert_eq!(observer.unheard(5, ms(0)..ms(2000)).length, ms(2000));

    let observer = Observer::default();
    observer.play_mesh(true, ms(1050));
    for at in (0..1000).step_by(20) {
        observer.record_sound(&chunk, ms(at), MIXED);
    }
    for at in (910..2010).step_by(20) {
        observer.record_sound(&chunk, ms(at), meshed());
    }
    let gap = observer.unheard(4, ms(0)..ms(2000));
    assert_eq!((gap.start, gap.length), (ms(1000), ms(50)));
    let mixups = observer.mixups(&[(ann(), 3), (bob(), 4)], ms(0)..ms(2000));
    assert!(mixups.iter().all(|m| m.name == ann() && m.was == 1) && mixups.len() == 55);
}

#[test]
fn what_a_decoder_remembers_of_another_is_no_mixup() {
    let observer = Observer::default();
    let chunk = tone(4, WINDOW);
    for (at, settled) in [(0, true), (20, false), (40, true)] {
        let origin = Origin {
            settled,
            ..meshed()
        };
        observer.record_sound(&chunk, ms(at), origin);
    }
    let mixups = observer.mixups(&[(ann(), 3), (bob(), 4)], ms(0)..ms(100));
    let at: Vec<_> = mixups.iter().map(|mixup| mixup.at).collect();
    assert_eq!(at, [ms(0), ms(40)]);
}

#[test]
fn what_is_kept_is_bounded() {
    let observer = Observer::default();
    let picture = own(0, 0);
    for _ in 0..DETECTIONS + 10 {
        observer.record_picture(&picture, Path::Forward, Contributor::always(Some(ann())));
    }
    assert_eq!(observer.detections(ann()).len(), DETECTIONS);
    let silence = vec![0.0; WINDOW * 1000];
    for _ in 0..SOUNDS / 1000 + 2 {
        observer.record_sound(&silence, ms(0), MIXED);
    }
    assert_eq!(observer.sounds().len(), SOUNDS);
}

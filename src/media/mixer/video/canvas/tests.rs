//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use super::*;
use crate::id::Role;
use crate::media::gst::template::Templates;

const SIZE: Size = Size {
    width: 640,
    height: 360,
};

fn who() -> ParticipantId {
    ParticipantId::new(3)
}

/// The luma of a canvas with one tile on all of it.
fn drawn(role: Role, mark: Mark, name_plate: Option<&NamePlate>) -> Vec<u8> {
    drawn_in(whole(SIZE), role, mark, name_plate)
}

/// The same with the tile in that place.
fn drawn_in(rect: Rect, role: Role, mark: Mark, name_plate: Option<&NamePlate>) -> Vec<u8> {
    gst::init().unwrap();
    let mut canvas = Canvas::new(SIZE, 30, Fit::Contain, Box::new(|_| {})).unwrap();
    if let Some(name_plate) = name_plate {
        canvas.apply(Command::NamePlate(who(), Box::new(name_plate.clone())));
    }
    let source = SourceId {
        participant: who(),
        role,
    };
    let tile = Tile {
        source,
        rect,
        content: Content::Avatar,
        mark,
    };
    canvas.apply(Command::Scene(Scene { tiles: vec![tile] }));
    let frame = canvas.draw().unwrap();
    let map = frame.map_readable().unwrap();
    let stride = canvas.info.stride()[0] as usize;
    let rows = map.chunks(stride).take(SIZE.height as usize);
    rows.flat_map(|row| row[..SIZE.width as usize].to_vec())
        .collect()
}

/// The least rectangle around the samples that differ: left, top, right, bottom.
fn difference(one: &[u8], other: &[u8]) -> Option<[usize; 4]> {
    let width = SIZE.width as usize;
    let differs = |n: &usize| one[*n] != other[*n];
    let points: Vec<(usize, usize)> = (0..one.len())
        .filter(differs)
        .map(|n| (n % width, n / width))
        .collect();
    let (xs, ys) = (points.iter().map(|p| p.0), points.iter().map(|p| p.1));
    Some([xs.clone().min()?, ys.clone().min()?, xs.max()?, ys.max()?])
}

/// Samples as white as ink in the columns of a label.
fn ink(luma: &[u8], columns: std::ops::Range<usize>) -> usize {
    let width = SIZE.width as usize;
    let rows = luma.chunks(width).skip(SIZE.height as usize * 4 / 5);
    rows.flat_map(|row| row[columns.clone()].iter())
        .filter(|sample| **sample > 200)
        .count()
}

#[test]
fn whoever_is_muted_has_a_mark_before_the_name() {
    gst::init().unwrap();
    let name_plate = NamePlate::render(&Templates::default(), who(), "Ann").unwrap();
    let quiet = drawn(Role::Camera, Mark::None, Some(&name_plate));
    let muted = drawn(Role::Camera, Mark::Muted, Some(&name_plate));
    let [left, top, right, bottom] = difference(&quiet, &muted).unwrap();
    assert!(left < 40 && right < 160, "at the left: {left} to {right}");
    assert!(
        top > 288 && bottom < 360,
        "at the bottom: {top} to {bottom}"
    );
    // The mark stands where the name did, and the name is whole behind it.
    let (with, without) = (ink(&muted, 0..200), ink(&quiet, 0..200));
    assert!(with > without + 60, "{without} -> {with}");
    assert_eq!(
        difference(&quiet, &drawn(Role::Camera, Mark::None, Some(&name_plate))),
        None
    );
    // A name that is too long is cut, and not left out.
    let long = NamePlate::render(&Templates::default(), who(), &"Wm".repeat(32)).unwrap();
    for mark in [Mark::None, Mark::Muted] {
        assert!(ink(&drawn(Role::Camera, mark, Some(&long)), 300..600) > 100);
    }
    // Of who has no name yet, too.
    assert!(ink(&drawn(Role::Camera, Mark::Muted, None), 0..200) > 60);
}

#[test]
fn a_screen_says_whose_it_is() {
    gst::init().unwrap();
    let name_plate = NamePlate::render(&Templates::default(), who(), "Ann").unwrap();
    let camera = drawn(Role::Camera, Mark::None, Some(&name_plate));
    let screen = drawn(Role::Screen, Mark::None, Some(&name_plate));
    assert!(ink(&screen, 0..300) > 2 * ink(&camera, 0..300));
}

/// Of a tile beside a screen on a small canvas a label would leave nothing.
#[test]
fn a_label_leaves_the_upper_half_of_a_picture() {
    gst::init().unwrap();
    let name_plate = NamePlate::render(&Templates::default(), who(), "Ann").unwrap();
    let unnamed = NamePlate {
        label: Mask::default(),
        ..name_plate.clone()
    };
    for h in (16..120).step_by(2) {
        let rect = Rect {
            x: 0,
            y: 0,
            w: even(16 * h / 9),
            h,
        };
        let draw = |name_plate| drawn_in(rect, Role::Camera, Mark::None, Some(name_plate));
        let lower = difference(&draw(&unnamed), &draw(&name_plate));
        let lower = lower.map_or(h as usize, |[_, top, ..]| top);
        assert!(lower >= h as usize / 2 - 1, "{h}: {lower}");
    }
}

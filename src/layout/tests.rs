use super::*;

const HD: Size = Size {
    width: 1280,
    height: 720,
};

fn rect(x: u32, y: u32, w: u32, h: u32) -> Option<Rect> {
    Some(Rect { x, y, w, h })
}

#[derive(Deserialize)]
struct Scenes {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    canvas: Size,
    layout: LayoutKind,
    shown: Vec<Shown>,
    pinned: Option<ParticipantId>,
    last_speaker: Option<ParticipantId>,
    large: Option<usize>,
    tiles: Vec<Option<[u32; 4]>>,
}

#[derive(Deserialize)]
struct Shown {
    participant: ParticipantId,
    role: Role,
}

#[test]
fn scenes_are_those_of_the_page() {
    let text = include_str!("../../tests/data/scenes.json");
    let scenes: Scenes = serde_json::from_str(text).expect("scenes");
    assert!(scenes.cases.len() > 20);
    for case in scenes.cases {
        let sources = case.shown.iter().map(|shown| SourceId {
            participant: shown.participant,
            role: shown.role,
        });
        let shown: Vec<_> = sources.collect();
        let large = large(case.layout, &shown, case.pinned, case.last_speaker);
        assert_eq!(large, case.large, "{}", case.name);
        let all = tiles(case.canvas, case.layout, case.shown.len(), large);
        let all: Vec<_> = all
            .into_iter()
            .map(|tile| tile.map(|Rect { x, y, w, h }| [x, y, w, h]))
            .collect();
        assert_eq!(all, case.tiles, "{}", case.name);
    }
}

#[test]
fn names_and_sizes_are_read() {
    assert_eq!(
        "640x360".parse(),
        Ok(Size {
            width: 640,
            height: 360
        })
    );
    for bad in ["", "640", "x", "640x", "-2x4", "640 x 360", "1280x720x2"] {
        assert_eq!(bad.parse::<Size>(), Err(BadSize), "{bad}");
    }
    for kind in [LayoutKind::Grid, LayoutKind::Spotlight] {
        assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()));
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    for fit in [Fit::Contain, Fit::Cover] {
        assert_eq!(serde_json::to_value(fit).ok(), Some(fit.as_str().into()));
        assert_eq!(fit.as_str().parse(), Ok(fit));
    }
    assert_eq!("Grid".parse::<LayoutKind>(), Err(BadLayout));
    assert_eq!("fill".parse::<Fit>(), Err(BadFit));
}

#[test]
fn one_person_fills_the_canvas() {
    for kind in [LayoutKind::Grid, LayoutKind::Spotlight] {
        assert_eq!(tiles(HD, kind, 1, None), [rect(0, 0, 1280, 720)]);
        assert_eq!(tiles(HD, kind, 0, Some(3)), []);
    }
}

#[test]
fn two_stand_side_by_side_and_three_have_the_last_one_centred() {
    assert_eq!(
        tiles(HD, LayoutKind::Grid, 2, None),
        [rect(0, 180, 640, 360), rect(640, 180, 640, 360)]
    );
    assert_eq!(
        tiles(HD, LayoutKind::Grid, 3, None)[2],
        rect(320, 360, 640, 360)
    );
}

#[test]
fn tile_sizes_of_the_usual_rooms() {
    for (people, w, h) in [(4, 640, 360), (5, 426, 240), (9, 426, 240), (10, 320, 180)] {
        let tile = tiles(HD, LayoutKind::Grid, people, None)[0].expect("shown");
        assert_eq!((tile.w, tile.h), (w, h), "{people} people");
    }
    let all = tiles(HD, LayoutKind::Grid, 27, None);
    assert_eq!(all.iter().flatten().count(), 25);
    assert_eq!(all[24], rect(1024, 576, 256, 144));
    assert_eq!(all[25..], [None, None]);
}

#[test]
fn an_upright_canvas_stacks_landscape_tiles() {
    let phone = Size {
        width: 720,
        height: 1280,
    };
    assert_eq!(
        tiles(phone, LayoutKind::Grid, 2, None),
        [rect(0, 234, 720, 406), rect(0, 640, 720, 406)]
    );
    let spot = tiles(phone, LayoutKind::Spotlight, 3, Some(2));
    assert_eq!(spot[2], rect(0, 308, 720, 406));
    assert_eq!(spot[0], rect(0, 1050, 360, 202));
}

#[test]
fn a_spotlight_has_its_strip_on_the_right() {
    let all = tiles(HD, LayoutKind::Spotlight, 8, Some(1));
    assert_eq!(all[1], rect(0, 72, 1024, 576));
    assert_eq!(all[0], rect(1024, 0, 256, 144));
    assert_eq!(all[5], rect(1024, 576, 256, 144));
    assert_eq!(all[6..], [None, None]);
}

#[test]
fn fitting_a_camera_and_a_phone() {
    let tile = Size {
        width: 640,
        height: 360,
    };
    let same = fit(HD, tile, Fit::Contain);
    assert_eq!((same.scaled, same.x, same.y), (tile, 0, 0));
    let phone = Size {
        width: 720,
        height: 1280,
    };
    let barred = fit(phone, tile, Fit::Contain);
    assert_eq!((barred.scaled.width, barred.scaled.height), (202, 360));
    assert_eq!((barred.x, barred.y), (218, 0));
    let cut = fit(phone, tile, Fit::Cover);
    assert_eq!(cut.scaled, tile);
    assert_eq!(Some(cut.crop), rect(0, 436, 720, 406));
}

//! Assertions about what a bot sees and hears.

use tessera::bots::observe::probe::picture::{contained, inset, scaled};
use tessera::bots::observe::probe::{Picture, color, motion, tone};
use tessera::id::{ParticipantId, Role};
use tessera::layout::Rect;
use tessera::protocol::room::RoomState;

/// The largest mean error of a tile of the right colour, of 255. Less than what a wrong matrix
/// does to the palette.
pub const COLOR_ERROR: f64 = 6.0;

/// The same of a lone keyframe, which has few bits: what no eye takes for another colour.
pub const COARSE_COLOR_ERROR: f64 = 12.0;

/// How far an own tone has to be below the others, dB.
pub const OWN_TONE_DB: f64 = 30.0;

/// The faintest tone that counts as heard, dBFS.
pub const HEARD_DB: f64 = -50.0;

/// What is left out on each side of a tile: its edge, and the name on it; percent.
const MARGIN: u32 = 20;

/// Where a person's 16:9 camera stands in a picture, less a margin.
pub fn tile(picture: &Picture, room: &RoomState, who: ParticipantId) -> Result<Rect, String> {
    let tile = room
        .tiles
        .iter()
        .find(|tile| tile.participant == who && tile.role == Role::Camera)
        .ok_or_else(|| format!("{who} has no tile in {:?}", room.tiles))?;
    let rect = Rect {
        x: tile.x,
        y: tile.y,
        w: tile.w,
        h: tile.h,
    };
    let canvas = (room.canvas.width, room.canvas.height);
    let rect = scaled(rect, canvas, (picture.width, picture.height));
    Ok(inset(contained(rect, 16, 9), MARGIN))
}

/// Whether each person's colour stands in their tile, and there are no other tiles.
pub fn check_tiles(
    picture: &Picture,
    room: &RoomState,
    people: &[(ParticipantId, [u8; 3])],
) -> Result<(), String> {
    check_tiles_within(COLOR_ERROR, picture, room, people)
}

/// As [`check_tiles`], of a picture that may be coarser.
pub fn check_tiles_within(
    most: f64,
    picture: &Picture,
    room: &RoomState,
    people: &[(ParticipantId, [u8; 3])],
) -> Result<(), String> {
    if room.tiles.len() != people.len() {
        let (tiles, people) = (room.tiles.len(), people.len());
        return Err(format!("{tiles} tiles for {people} people"));
    }
    for (who, rgb) in people {
        let rect = tile(picture, room, *who)?;
        let error = color::error(picture, rect, *rgb)
            .ok_or_else(|| format!("{who}'s tile {rect:?} is not in the picture"))?;
        if error >= most {
            let mean = color::mean(picture, rect);
            return Err(format!("{who} is {mean:?}, not {rgb:?}: error {error:.1}"));
        }
    }
    Ok(())
}

/// Panics unless [`check_tiles`].
#[track_caller]
pub fn assert_tiles(picture: &Picture, room: &RoomState, people: &[(ParticipantId, [u8; 3])]) {
    if let Err(why) = check_tiles(picture, room, people) {
        panic!("{why}");
    }
}

/// Whether something moved in each person's tile from one picture to the other.
pub fn check_motion(
    from: &Picture,
    to: &Picture,
    room: &RoomState,
    people: &[ParticipantId],
) -> Result<(), String> {
    for who in people {
        let moved = motion::between(from, to, tile(to, room, *who)?)
            .ok_or("the pictures differ in size")?;
        if moved < 1.0 {
            return Err(format!("{who}'s tile stands still ({moved:.2})"));
        }
    }
    Ok(())
}

/// Panics unless [`check_motion`].
#[track_caller]
pub fn assert_motion(from: &Picture, to: &Picture, room: &RoomState, people: &[ParticipantId]) {
    if let Err(why) = check_motion(from, to, room, people) {
        panic!("{why}");
    }
}

/// Whether all tones of `heard` are in a sound, and those of `unheard` at least 30 dB fainter
/// than the faintest of them.
pub fn check_tones(sound: &[f32], heard: &[f64], unheard: &[f64]) -> Result<(), String> {
    let heard_db = tone::levels(sound, heard);
    let faintest = heard_db.iter().copied().fold(0.0, f64::min);
    if faintest < HEARD_DB {
        return Err(format!(
            "not all of {heard:?} Hz are heard: {heard_db:.1?} dB"
        ));
    }
    let limit = if heard.is_empty() { HEARD_DB } else { faintest } - OWN_TONE_DB;
    let unheard_db = tone::levels(sound, unheard);
    if unheard_db.iter().any(|db| *db > limit) {
        return Err(format!(
            "{unheard:?} Hz are heard at {unheard_db:.1?} dB, over {limit:.1} dB"
        ));
    }
    Ok(())
}

/// Panics unless [`check_tones`].
#[track_caller]
pub fn assert_tones(sound: &[f32], heard: &[f64], unheard: &[f64]) {
    if let Err(why) = check_tones(sound, heard, unheard) {
        panic!("{why}");
    }
}

//! People whose tracks are recorded, and what is in the files of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tessera::archive::events::{Event, LogEntry, RecordedTrack};
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::color;
use tessera::bots::observe::probe::picture::inset;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{self, LayoutKind, Size};
use tessera::media::gst::template::Templates;
use tessera::protocol::room::{RoomState, UplinkState};
use tessera::remix::{self, RemixOptions};

use crate::common::film;
use crate::common::look::{COLOR_ERROR, check_tones};
use crate::common::recorded::ask;
use crate::common::server::room;

pub(crate) async fn begin(url: &str, name: &str) -> String {
    let path = format!("/rooms/{name}/recordings");
    let body = json!({ "kind": "tracks" });
    let (status, recording) = ask(Method::POST, url, &path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{recording}");
    assert_eq!(recording["kind"], "tracks");
    recording["id"].as_str().expect("an id").to_owned()
}

/// The `n`-th person, with a colour in this codec and a tone of their own.
pub(crate) async fn person(url: &str, name: &str, n: usize, codec: VideoCodec) -> Bot {
    sized(url, name, n, VideoFormat::sized(codec, 320, 180)).await
}

/// The same, with pictures of another size.
pub(crate) async fn sized(url: &str, name: &str, n: usize, format: VideoFormat) -> Bot {
    let format = VideoFormat { fps: 15, ..format };
    let mut config = BotConfig::new(url, room(name), format!("Person {n}"))
        .person(n, format)
        .decoding(Decode::No)
        .with_slots(4);
    config.audio = AudioSource::Tone {
        hz: palette::tone(n) as u32,
        dbfs: -24,
    };
    Bot::join(config).await.expect("they join")
}

pub(crate) async fn live(bot: &Bot, n: usize) -> RoomState {
    let live = move |state: &RoomState| {
        let on = |camera| camera == UplinkState::Live;
        state.participants.len() == n && state.participants.iter().all(|p| on(p.camera))
    };
    bot.room_when("all to be live", live).await.expect("live")
}

pub(crate) fn tracks(lines: &[LogEntry]) -> Vec<&RecordedTrack> {
    let track = |line| match line {
        &LogEntry {
            event: Event::Track(ref track),
            ..
        } => Some(track),
        _ => None,
    };
    lines.iter().filter_map(track).collect()
}

pub(crate) fn of(tracks: &[&RecordedTrack], who: ParticipantId, role: Role) -> RecordedTrack {
    let is = |track: &&&RecordedTrack| track.participant == who && track.role == role;
    let mut found = tracks.iter().filter(is);
    let track = found
        .next()
        .unwrap_or_else(|| panic!("{who} {role} in {tracks:?}"));
    assert!(found.next().is_none(), "one file of {role} of {who}");
    (*track).clone()
}

/// The colour of a track is that of its person, from its first picture to its last.
pub(crate) fn check_picture(
    folder: &Path,
    track: &RecordedTrack,
    person: usize,
    fps: f64,
) -> Duration {
    let file = folder.join(&track.file);
    let pictures = film::pictures(&file);
    for picture in [
        &pictures[0],
        &pictures[pictures.len() / 2],
        &pictures[pictures.len() - 1],
    ] {
        let middle = inset(picture.bounds(), 20);
        let error = color::error(picture, middle, palette::color(person)).expect("inside");
        assert!(
            error < 2.0 * COLOR_ERROR,
            "{} is off by {error:.1}",
            track.file
        );
    }
    let length = film::length(&file);
    let pictures = pictures.len() as f64;
    let expected = length.as_secs_f64() * fps;
    assert!(
        (pictures - expected).abs() < 0.2 * expected + 2.0,
        "{pictures} pictures in {length:?} of {}",
        track.file
    );
    length
}

/// A track's sound is that of its person, without a hole.
pub(crate) fn check_sound(folder: &Path, track: &RecordedTrack, person: usize) -> Duration {
    let file = folder.join(&track.file);
    let sound = film::sound(&file);
    let half = sound.len() / 2;
    let window = &sound[half - film::RATE / 4..half + film::RATE / 4];
    let others: Vec<f64> = (0..4).filter(|n| *n != person).map(palette::tone).collect();
    assert_eq!(
        check_tones(window, &[palette::tone(person)], &others),
        Ok(()),
        "{}",
        track.file
    );
    film::length(&file)
}

pub(crate) fn codec(file: &Path) -> String {
    let probed = film::probe(file);
    let streams = probed["streams"].as_array().expect("streams");
    assert_eq!(streams.len(), 1, "one track in {}", file.display());
    streams[0]["codec_name"]
        .as_str()
        .expect("a codec")
        .to_owned()
}

/// How many packets are in a file.
pub(crate) fn packets(file: &Path) -> usize {
    film::packets(file).len()
}

pub(crate) async fn remixed(place: &Path, name: &str, size: Option<Size>) -> std::path::PathBuf {
    let output = place.join(name);
    let options = RemixOptions {
        folder: place.to_owned(),
        output: output.clone(),
        force: false,
        layout: Some(LayoutKind::Grid),
        size,
        fps: None,
        video_bitrate: None,
    };
    let made = remix::run(options, Arc::new(Templates::default()), |_, _| {});
    println!("{:?}", made.await.expect("a remix"));
    output
}

/// Who is to be seen in which tile and heard at a moment.
struct Moment<'a> {
    at: u64,
    seen: &'a [usize],
    heard: &'a [usize],
}

/// A remix shows and plays at each moment whom the events say.
pub(crate) async fn check_remix(
    place: &Path,
    lines: &[LogEntry],
    people: [ParticipantId; 3],
    (joined, muted, left): (u64, u64, u64),
) {
    assert!(people.is_sorted(), "tiles are in the order of joining");
    let end = lines.last().expect("events").at;
    let moment = |from: u64, to: u64, seen, heard| Moment {
        at: u64::midpoint(from, to),
        seen,
        heard,
    };
    let moments = [
        moment(0, 0, &[0, 1], &[]),
        moment(300, joined, &[0, 1], &[0, 1]),
        moment(joined, muted, &[0, 1, 2], &[0, 1, 2]),
        moment(muted + 800, left, &[0, 1, 2], &[1, 2]),
        moment(left + 800, end, &[0, 2], &[2]),
    ];
    let size = Size {
        width: 640,
        height: 360,
    };
    for name in ["remix.mp4", "remix.webm"] {
        let file = remixed(place, name, Some(size)).await;
        let codecs = match name {
            "remix.mp4" => ["h264", "aac"],
            _ => ["vp8", "opus"],
        };
        assert_eq!(film::codecs(&file), codecs);
        let length = film::length(&file).as_millis() as u64;
        assert!(length.abs_diff(end) < 200, "{length} ms of {end}");
        let (pictures, sound) = (film::pictures(&file), film::sound(&file));
        for moment in &moments {
            let at = Duration::from_millis(moment.at);
            let picture = pictures.iter().min_by_key(|one| one.arrival.abs_diff(at));
            let picture = picture.expect("pictures");
            let tiles = layout::tiles(size, LayoutKind::Grid, moment.seen.len(), None);
            for (person, rect) in moment.seen.iter().zip(tiles) {
                let rect = inset(rect.expect("a tile"), 20);
                let error = color::error(picture, rect, palette::color(*person));
                let error = error.expect("inside");
                assert!(
                    error < 2.0 * COLOR_ERROR,
                    "{person} at {at:?} of {name}: {error:.1}"
                );
            }
            let middle = moment.at as usize * film::RATE / 1000;
            let tone = |n: &usize| palette::tone(*n);
            let heard: Vec<f64> = moment.heard.iter().map(tone).collect();
            let unheard = (0..3).filter(|n| !moment.heard.contains(n));
            let unheard: Vec<f64> = unheard.map(palette::tone).collect();
            if !heard.is_empty() {
                let window = &sound[middle - film::RATE / 5..middle + film::RATE / 5];
                assert_eq!(
                    check_tones(window, &heard, &unheard),
                    Ok(()),
                    "{at:?} of {name}"
                );
            }
        }
    }
}

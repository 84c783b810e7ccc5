//! `tessera remix`: a film of a recording of tracks, made afterwards with the room's own layout,
//! canvas and sound mixer. It is driven by the time of the files and not by a clock, and so runs as
//! fast as the machine can.
//!
//! Threads: [`run`] needs a tokio runtime. The mixing runs on a blocking thread of that, which
//! waits for decoders and encoders.

mod error;
mod options;
mod replay;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::archive::events::{self, Event, LogEntry, RecordedTrack};
use crate::id::{Role, SourceId};
use crate::layout::{Fit, Size};
use crate::media::file::film_writer::FilmWriter;
use crate::media::file::recorder::RecorderError;
use crate::media::file::track_player::{
    FIRST_PICTURE_LEAD, PictureTrackPlayer, SoundTrackPlayer, TileSize,
};
use crate::media::gst::template::Templates;
use crate::media::mixer::offline::{BLOCK, OfflineMixer};
use crate::media::mixer::{MixerError, Scene};
use crate::remix::replay::RoomReplay;

pub use crate::remix::error::RemixError;
pub use crate::remix::options::RemixOptions;

/// A finished remix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remixed {
    /// The length of the film.
    pub length: Duration,
    /// How long it took to make.
    pub took: Duration,
}

/// Size, frame rate and fit of the composite.
#[derive(Debug, Clone, Copy)]
struct Canvas {
    size: Size,
    fps: u32,
    fit: Fit,
}

/// What has to happen before the frame of its time.
#[derive(Debug)]
enum Cue<'a> {
    Event(&'a Event),
    Open(&'a RecordedTrack),
    Close(SourceId, &'a str),
}

/// Makes the remix. `progress` is told how much of the film is made, and its length. Dropping the
/// future ends the work at the next frame and removes what was made.
///
/// # Errors
/// [`RemixError`]. The output file is then missing, or as it was before.
pub async fn run(
    options: RemixOptions,
    templates: Arc<Templates>,
    progress: impl FnMut(Duration, Duration) + Send + 'static,
) -> Result<Remixed, RemixError> {
    let began = std::time::Instant::now();
    let film = options.film()?;
    options.check_output()?;
    let folder = options.folder.clone();
    let lines = events::read(&folder)
        .map_err(|error| RemixError::NoRecording(folder.clone(), error.to_string()))?;
    let canvas = canvas(&lines, &options)
        .ok_or_else(|| RemixError::NoRecording(folder.clone(), "it has no beginning".to_owned()))?;
    let length = length(&lines).ok_or(RemixError::Empty)?;
    let disk = |error| RemixError::Disk(options.output.clone(), error);
    let partial = PartialFile::create(options.partial()).map_err(disk)?;
    let bitrate = options.bitrate(canvas.size, canvas.fps);
    let writer = FilmWriter::start(&templates, (film, &partial.0), canvas.fps, bitrate)?;
    let replay = RoomReplay::new(canvas.size, options.layout);
    let mixer = OfflineMixer::new(
        (canvas.size, canvas.fps, canvas.fit),
        Arc::clone(&templates),
        writer.picture().clone(),
        writer.sound().clone(),
    )?;
    let remixer = Remixer {
        folder,
        templates,
        canvas,
        replay,
        mixer,
        scene: Scene::default(),
        tiles: BTreeMap::new(),
        files: BTreeMap::new(),
        dropped: CancellationToken::new(),
    };
    let _waits = remixer.dropped.clone().drop_guard();
    // The decoders' pipelines are started on it, and report to the runtime.
    let runtime = tokio::runtime::Handle::current();
    let made = tokio::task::spawn_blocking(move || {
        let _entered = runtime.enter();
        remixer.make(&lines, length, writer, progress)
    });
    let made = made
        .await
        .map_err(|error| RecorderError::Failed(error.to_string()))?;
    made?.finish().await?;
    std::fs::rename(&partial.0, &options.output).map_err(disk)?;
    let took = began.elapsed();
    Ok(Remixed { length, took })
}

/// The canvas that is asked for, else that of the room. `None` if the event log has no beginning.
fn canvas(lines: &[LogEntry], options: &RemixOptions) -> Option<Canvas> {
    let begin = lines.iter().find_map(|line| match &line.event {
        Event::Begin {
            canvas, fps, fit, ..
        } => Some((*canvas, *fps, *fit)),
        _ => None,
    });
    let (size, fps, fit) = begin?;
    Some(Canvas {
        size: options.size.unwrap_or(size),
        fps: options.fps.unwrap_or(fps).clamp(1, 60),
        fit,
    })
}

/// The length of the recording, up to its last event; `None` if it is empty.
fn length(lines: &[LogEntry]) -> Option<Duration> {
    let last = lines.iter().map(|line| line.at).max()?;
    (last > 0).then(|| Duration::from_millis(last))
}

/// All cues in the order of their time, ms from the zero of the recording. A file is opened
/// somewhat before its first packet is due.
fn cues(lines: &[LogEntry]) -> Vec<(u64, Cue<'_>)> {
    let lead = u64::try_from(FIRST_PICTURE_LEAD.as_millis()).unwrap_or_default();
    let mut sources = BTreeMap::new();
    let mut cues = Vec::new();
    for line in lines {
        match &line.event {
            Event::Track(track) if events::is_file_name(&track.file) => {
                sources.insert(track.file.as_str(), source(track));
                cues.push((track.start.saturating_sub(lead), Cue::Open(track)));
            }
            Event::TrackEnd { file } => {
                if let Some(source) = sources.get(file.as_str()) {
                    cues.push((line.at, Cue::Close(*source, file)));
                }
            }
            event => cues.push((line.at, Cue::Event(event))),
        }
    }
    cues.sort_by_key(|(at, _)| *at);
    cues
}

fn source(track: &RecordedTrack) -> SourceId {
    SourceId {
        participant: track.participant,
        role: track.role,
    }
}

/// The work on a remix: what it mixes, and what is open.
struct Remixer {
    folder: PathBuf,
    templates: Arc<Templates>,
    canvas: Canvas,
    replay: RoomReplay,
    mixer: OfflineMixer,
    scene: Scene,
    /// The size of what is decoded of each picture.
    tiles: BTreeMap<SourceId, TileSize>,
    /// Which file each source is read from.
    files: BTreeMap<SourceId, String>,
    /// Cancelled when nobody waits for the remix any more.
    dropped: CancellationToken,
}

impl Remixer {
    /// Mixes the whole recording into the writer. Blocks.
    fn make(
        mut self,
        lines: &[LogEntry],
        length: Duration,
        writer: FilmWriter,
        mut progress: impl FnMut(Duration, Duration),
    ) -> Result<FilmWriter, RemixError> {
        let mut cues = cues(lines).into_iter().peekable();
        let end = gst::ClockTime::try_from(length).unwrap_or_default();
        let (mut frames, mut sound) = (0, gst::ClockTime::ZERO);
        let dropped = self.dropped.clone();
        let goes_on = || !writer.has_failed() && !dropped.is_cancelled();
        while goes_on() {
            let at = gst::ClockTime::SECOND * frames / u64::from(self.canvas.fps.max(1));
            if at >= end {
                break;
            }
            let mut changed = false;
            while let Some((_, cue)) = cues.next_if(|(due, _)| *due <= at.mseconds()) {
                self.take(&cue);
                changed = true;
            }
            if self.replay.pass(at.into()) || changed {
                self.set_scene();
            }
            self.mixer.frame(at);
            frames += 1;
            while sound < end && sound <= at {
                self.mixer.block(sound);
                sound += BLOCK;
            }
            if frames % u64::from(self.canvas.fps.max(1)) == 0 {
                progress(at.into(), length);
            }
        }
        while sound < end && goes_on() {
            self.mixer.block(sound);
            sound += BLOCK;
        }
        progress(length, length);
        Ok(writer)
    }

    fn take(&mut self, cue: &Cue<'_>) {
        match cue {
            Cue::Event(event) => {
                if let Event::Join {
                    participant, name, ..
                }
                | Event::Name { participant, name } = event
                {
                    self.mixer.set_name(*participant, name);
                }
                self.replay.apply(event);
            }
            Cue::Open(track) => {
                if let Err(error) = self.open(track) {
                    tracing::warn!(file = track.file, %error, "left out");
                }
            }
            Cue::Close(source, file) => {
                // Another file may have taken its place.
                if self.files.get(source).is_some_and(|open| open == file) {
                    self.files.remove(source);
                    self.tiles.remove(source);
                    self.mixer.remove_source(*source);
                    self.replay.record(*source, false);
                }
            }
        }
    }

    fn open(&mut self, track: &RecordedTrack) -> Result<(), MixerError> {
        let (id, path) = (source(track), self.folder.join(&track.file));
        let start = Duration::from_millis(track.start);
        match track.role {
            Role::Mic => {
                let voice = SoundTrackPlayer::open(&self.templates, &path, start)?;
                self.mixer.add_source(id, Box::new(voice));
            }
            _ => {
                let rect = self.scene.tile_of(id);
                let size = rect.map(|rect| Size {
                    width: rect.w,
                    height: rect.h,
                });
                let (codec, fit) = (track.codec, self.canvas.fit);
                let of = (codec, start);
                let (pictures, tile) =
                    PictureTrackPlayer::open(&self.templates, &path, of, (size, fit))?;
                self.tiles.insert(id, tile);
                self.mixer.add_source(id, Box::new(pictures));
            }
        }
        self.replay.record(id, true);
        self.files.insert(id, track.file.clone());
        Ok(())
    }

    fn set_scene(&mut self) {
        let scene = self.replay.scene();
        if scene == self.scene {
            return;
        }
        for tile in &scene.tiles {
            if let Some(wanted) = self.tiles.get(&tile.source) {
                wanted.set(Size {
                    width: tile.rect.w,
                    height: tile.rect.h,
                });
            }
        }
        self.scene = scene.clone();
        self.mixer.set_scene(scene);
    }
}

/// The file that is written before it is whole. Dropping it removes it, unless it has been renamed.
struct PartialFile(PathBuf);

impl PartialFile {
    /// Creates it, empty, so that a place that cannot be written to is known before the work.
    fn create(path: PathBuf) -> std::io::Result<Self> {
        std::fs::File::create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! A composite of a recording of tracks, made afterwards: the room's own layout, canvas and sound
//! mixer, driven by the time of the files and not by a clock, and so as fast as the machine can.
//!
//! Threads: [`run`] is for a tokio runtime; what mixes is a blocking thread of it, which waits for
//! decoders and encoders.

mod options;
mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::archive::events;
use crate::archive::events::{Event, LogEntry, RecordedTrack};
use crate::id::Role;
use crate::id::SourceId;
use crate::layout::{Fit, Size};
use crate::media::file::film_writer::FilmWriter;
use crate::media::file::recorder::RecorderError;
use crate::media::file::track_player::{LEAD, PictureReel, Tile, VoiceReel};
use crate::media::gst::template::Templates;
use crate::media::mixer::offline::{BLOCK, OfflineMixer};
use crate::media::mixer::{MixerError, Scene};
pub use crate::remix::options::RemixOptions;
use crate::remix::stage::Stage;

/// Why there is no remix.
#[derive(Debug, Error)]
pub enum RemixError {
    /// The folder has no events that can be read.
    #[error("{folder} is no recording of tracks: {reason}", folder = .0.display(), reason = .1)]
    NoRecording(PathBuf, String),
    /// Nothing was recorded.
    #[error("the recording is empty")]
    Empty,
    /// What it is to be written as is unknown.
    #[error("{0}: a remix is written as .mp4 or .webm")]
    Format(String),
    /// A decoder, an encoder or the canvas.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// Writing it.
    #[error(transparent)]
    Writing(#[from] RecorderError),
    /// The disk.
    #[error("{0}: {1}")]
    Disk(String, std::io::Error),
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remixed {
    /// How long it is.
    pub length: Duration,
    /// How long that took.
    pub took: Duration,
}

/// What the canvas is like.
#[derive(Debug, Clone, Copy)]
struct Canvas {
    size: Size,
    fps: u32,
    fit: Fit,
}

/// What is to happen before a frame, ms from the recording's zero.
#[derive(Debug)]
enum Cue<'a> {
    Event(&'a Event),
    Open(&'a RecordedTrack),
    Close(SourceId, &'a str),
}

/// Makes the remix. `progress` is told how much of it is made, and of how much. Dropping the future
/// ends the work at its next frame and removes what was made.
///
/// # Errors
/// [`RemixError`]; there is no file then, or the one that was there before.
pub async fn run(
    options: RemixOptions,
    templates: Arc<Templates>,
    progress: impl FnMut(Duration, Duration) + Send + 'static,
) -> Result<Remixed, RemixError> {
    let began = std::time::Instant::now();
    let film = options.film()?;
    let folder = options.folder.clone();
    let lines = events::read(&folder)
        .map_err(|error| RemixError::NoRecording(folder.clone(), error.to_string()))?;
    let canvas = canvas(&lines, &options)
        .ok_or_else(|| RemixError::NoRecording(folder.clone(), "it has no beginning".to_owned()))?;
    let length = length(&lines).ok_or(RemixError::Empty)?;
    let part = Part(options.part());
    let bitrate = options.bitrate(canvas.size, canvas.fps);
    let writer = FilmWriter::start(&templates, (film, &part.0), canvas.fps, bitrate)?;
    let stage = Stage::new(canvas.size, options.layout);
    let mixer = OfflineMixer::new(
        (canvas.size, canvas.fps, canvas.fit),
        Arc::clone(&templates),
        writer.picture().clone(),
        writer.sound().clone(),
    )?;
    let studio = Studio {
        folder,
        templates,
        canvas,
        stage,
        mixer,
        scene: Scene::default(),
        tiles: BTreeMap::new(),
        files: BTreeMap::new(),
        dropped: CancellationToken::new(),
    };
    let _waits = studio.dropped.clone().drop_guard();
    // The decoders' pipelines are started on it, and report to the runtime.
    let runtime = tokio::runtime::Handle::current();
    let made = tokio::task::spawn_blocking(move || {
        let _entered = runtime.enter();
        studio.make(&lines, length, writer, progress)
    });
    let made = made
        .await
        .map_err(|error| RecorderError::Failed(error.to_string()))?;
    made?.finish().await?;
    let disk = |error| RemixError::Disk(options.output.display().to_string(), error);
    std::fs::rename(&part.0, &options.output).map_err(disk)?;
    let took = began.elapsed();
    Ok(Remixed { length, took })
}

/// The canvas that is asked for, and where nothing is, that of the room.
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

/// How long the recording is: to its last event.
fn length(lines: &[LogEntry]) -> Option<Duration> {
    let last = lines.iter().map(|line| line.at).max()?;
    (last > 0).then(|| Duration::from_millis(last))
}

/// What happens when, in order.
fn cues(lines: &[LogEntry]) -> Vec<(u64, Cue<'_>)> {
    let lead = u64::try_from(LEAD.as_millis()).unwrap_or_default();
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

/// Where it is made.
struct Studio {
    folder: PathBuf,
    templates: Arc<Templates>,
    canvas: Canvas,
    stage: Stage,
    mixer: OfflineMixer,
    scene: Scene,
    /// The size of what is decoded of each picture.
    tiles: BTreeMap<SourceId, Tile>,
    /// Which file each source is read from.
    files: BTreeMap<SourceId, String>,
    /// Nobody waits for it any more.
    dropped: CancellationToken,
}

impl Studio {
    /// Makes all of it.
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
            if changed {
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
                self.stage.apply(event);
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
                    self.stage.record(*source, false);
                }
            }
        }
    }

    fn open(&mut self, track: &RecordedTrack) -> Result<(), MixerError> {
        let (id, path) = (source(track), self.folder.join(&track.file));
        let start = Duration::from_millis(track.start);
        match track.role {
            Role::Mic => {
                let voice = VoiceReel::open(&self.templates, &path, start)?;
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
                let (pictures, tile) = PictureReel::open(&self.templates, &path, of, (size, fit))?;
                self.tiles.insert(id, tile);
                self.mixer.add_source(id, Box::new(pictures));
            }
        }
        self.stage.record(id, true);
        self.files.insert(id, track.file.clone());
        Ok(())
    }

    fn set_scene(&mut self) {
        let scene = self.stage.scene();
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

/// The file that is written until it is whole. Dropping it removes it, if it has not been given its
/// own name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The name of the file that is written before it is whole.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

//! The canvas: one thread that, at the frame rate, puts the newest picture of every tile into
//! one I420 frame and hands it to the encoders.
//!
//! It reads the decoders instead of being driven by them, so a tile that is late, stalled or broken
//! costs the others nothing: its last picture stays, and is replaced by its avatar after a second.
//! A scene is applied between two frames, as a whole. Where nothing has changed since the last
//! frame that frame is sent again, without a copy, and less and less often where nobody speaks
//! either. A picture that resembles the drawn one is no change: senders repeat a still picture
//! again and again, a little different each time.
//!
//! It is not GStreamer's `compositor` because in 1.22 a pad without data delays the output to
//! the latency deadline, and pads cannot be added and removed safely while it runs.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use gst::prelude::*;
use gst_video::VideoFrameExt;

use super::colorimetry;
use super::encoder_input::EncoderInput;
use super::idle::{Activity, IdleRate};
use super::label;
use super::label::even;
use super::muted_mark;
use super::name_plate::NamePlate;
use super::picture::{Mask, Picture, PlaneMut, Surface, Yuv};
use super::read_frame::{ReadFrame, is_like, picture, readable, strides};
use super::scene::{Content, Mark, Scene, Tile};
use crate::id::ParticipantId;
use crate::id::SourceId;
use crate::layout::{self, Fit, Rect, Size};
use crate::media::bwe::ladder::Pace;
use crate::media::gst::pipeline::running_time;
use crate::media::mixer::output::Output;
use crate::media::mixer::source::SampleSource;
use crate::media::mixer::ticker::Ticker;
use crate::media::stream::cadence::Cadence;

/// Colour of the canvas behind and between tiles.
const GROUND: Yuv = Yuv([24, 129, 127]);
/// Colour of the outline around somebody who speaks: #58bcb0, as on the page.
const SPEAKING_OUTLINE: Yuv = Yuv([151, 138, 85]);
/// Width of the outline around a tile, pixels.
const OUTLINE_WIDTH: u32 = 4;

/// What the canvas is told. Commands are applied before the next frame, in order.
pub(crate) enum Command {
    Scene(Scene),
    AddSource(SourceId, Box<dyn SampleSource>),
    RemoveSource(SourceId),
    NamePlate(ParticipantId, Box<NamePlate>),
    ForgetNamePlate(ParticipantId),
    AddOutput(Output, EncoderInput),
    RemoveOutput(Output),
    /// Draws so many frames a second from now on.
    Fps(u32),
}

/// A decoded source that the canvas reads.
struct VideoInput {
    samples: Box<dyn SampleSource>,
    newest: Option<Arc<ReadFrame>>,
    /// The picture in the last composite.
    drawn: Option<Arc<ReadFrame>>,
    /// How often pictures come. A camera that has stopped is shown as an avatar.
    cadence: Cadence,
    /// Whether a picture of this decoder has come, and not only of the one that it replaced.
    begun: bool,
}

/// A tile with everything prepared that is drawn on it besides pictures.
struct PlacedTile {
    tile: Tile,
    /// Before the label; empty for who is not muted.
    muted: Mask,
    label: Mask,
    initials: Mask,
    ground: Yuv,
    shown: Shown,
}

/// What a tile showed in the last frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Picture,
    Avatar,
}

/// The canvas, with all state of its thread.
pub(crate) struct Canvas {
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
    fit: Fit,
    size: Size,
    tiles: Vec<PlacedTile>,
    sources: HashMap<SourceId, VideoInput>,
    name_plates: HashMap<ParticipantId, NamePlate>,
    outputs: HashMap<Output, EncoderInput>,
    last: Option<gst::Buffer>,
    /// Reduces the rate of a still composite; `None` offline, where every frame is needed.
    idle: Option<IdleRate>,
    painted: Box<dyn Fn(SourceId) + Send>,
}

/// Why a canvas cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("no canvas of {0:?}: {1}")]
pub struct CanvasError(Size, String);

/// The caps of the canvas's frames.
///
/// # Errors
/// [`CanvasError`] when there is no such video format.
pub(crate) fn caps(size: Size, fps: u32) -> Result<gst::Caps, CanvasError> {
    info(size, fps)?
        .to_caps()
        .map_err(|error| CanvasError(size, error.to_string()))
}

/// The frame rate in the caps of an output. For stills it is 1, because encoders know no lower one.
pub(crate) fn frame_rate(pace: Pace) -> u32 {
    match pace {
        Pace::Fps(fps) => fps,
        Pace::Still(_) => 1,
    }
}

/// The time between two frames at this frame rate.
pub(crate) fn period(fps: u32) -> gst::ClockTime {
    gst::ClockTime::SECOND / u64::from(fps.max(1))
}

fn info(size: Size, fps: u32) -> Result<gst_video::VideoInfo, CanvasError> {
    let fps = gst::Fraction::new(i32::try_from(fps).unwrap_or(30), 1);
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.width, size.height)
        .fps(fps)
        .par(gst::Fraction::new(1, 1))
        .colorimetry(&colorimetry::canvas())
        .build()
        .map_err(|error| CanvasError(size, error.to_string()))
}

impl Canvas {
    /// A canvas without tiles. `painted` is called on the canvas thread when a source's first
    /// picture has come, and must not block.
    ///
    /// # Errors
    /// [`CanvasError`] when there is no such video format or no memory for it.
    pub(crate) fn new(
        size: Size,
        fps: u32,
        fit: Fit,
        painted: Box<dyn Fn(SourceId) + Send>,
    ) -> Result<Self, CanvasError> {
        let info = info(size, fps)?;
        let failed = |error: &dyn std::fmt::Display| CanvasError(size, error.to_string());
        let caps = caps(size, fps)?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        let bytes = u32::try_from(info.size()).unwrap_or(u32::MAX);
        config.set_params(Some(&caps), bytes, 3, 0);
        pool.set_config(config).map_err(|error| failed(&error))?;
        pool.set_active(true).map_err(|error| failed(&error))?;
        Ok(Self {
            info,
            pool: pool.upcast(),
            fit,
            size,
            tiles: Vec::new(),
            sources: HashMap::new(),
            name_plates: HashMap::new(),
            outputs: HashMap::new(),
            last: None,
            idle: None,
            painted,
        })
    }

    /// Runs until the other end of `commands` is dropped. Call on a thread of its own.
    pub(crate) fn run(mut self, mut ticker: Ticker, commands: &mpsc::Receiver<Command>) {
        self.idle = Some(IdleRate::default());
        while let Some(at) = ticker.wait() {
            loop {
                match commands.try_recv() {
                    Ok(Command::Fps(fps)) => ticker.set_period(period(fps)),
                    Ok(command) => self.apply(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.tick(running_time(), at, ticker.period());
        }
    }

    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::Scene(scene) => {
                self.tiles = scene.tiles.into_iter().map(|t| self.place(t)).collect();
            }
            Command::AddSource(id, samples) => {
                // A decoder that replaces another one goes on from its last picture.
                let (newest, cadence) = match self.sources.remove(&id) {
                    Some(old) => (old.newest, old.cadence),
                    None => (None, Cadence::default()),
                };
                let source = VideoInput {
                    samples,
                    newest,
                    drawn: None,
                    cadence,
                    begun: false,
                };
                self.sources.insert(id, source);
            }
            Command::RemoveSource(id) => drop(self.sources.remove(&id)),
            Command::NamePlate(who, name_plate) => {
                self.name_plates.insert(who, *name_plate);
                let tiles = std::mem::take(&mut self.tiles);
                self.tiles = tiles.into_iter().map(|p| self.place(p.tile)).collect();
            }
            Command::ForgetNamePlate(who) => drop(self.name_plates.remove(&who)),
            Command::AddOutput(id, output) => drop(self.outputs.insert(id, output)),
            Command::RemoveOutput(id) => drop(self.outputs.remove(&id)),
            // Only concerns the ticker.
            Command::Fps(_) => return,
        }
        self.last = None;
    }

    /// Prepares what is drawn on a tile besides its picture.
    fn place(&self, tile: Tile) -> PlacedTile {
        let who = tile.source.participant;
        let blank = NamePlate::blank(who);
        let name_plate = self.name_plates.get(&who).unwrap_or(&blank);
        let height = (tile.rect.h / 11).clamp(16, 36) & !1;
        let widest = tile.rect.w.saturating_sub(3 * label::margin(height)) as usize;
        let initials = (tile.rect.h / 2).clamp(16, 240) & !1;
        let muted = match tile.mark {
            Mark::Muted => muted_mark::mask().scaled(height as usize, widest),
            Mark::None | Mark::Speaking => Mask::default(),
        };
        let label = match tile.source.is_screen() {
            true => &name_plate.screen_label,
            false => &name_plate.label,
        };
        let before = muted.width as u32 + label::gap(height) + 1;
        let room = match muted.width {
            0 => widest,
            _ => widest.saturating_sub(before as usize),
        };
        PlacedTile {
            label: label.scaled(height as usize, room),
            muted,
            initials: name_plate.initials.scaled(initials as usize, widest),
            ground: name_plate.ground,
            shown: Shown::Avatar,
            tile,
        }
    }

    /// Draws the frame of time `at` from the pictures there are `now`. Frames are `period` apart.
    pub(crate) fn tick(&mut self, now: gst::ClockTime, at: gst::ClockTime, period: gst::ClockTime) {
        let fresh = self.read_sources(now);
        let switched = self.choose_contents(now);
        let changed = fresh || switched || self.last.is_none();
        if changed {
            self.last = self.draw();
            for source in self.sources.values_mut() {
                source.drawn.clone_from(&source.newest);
            }
        }
        let spoken = self
            .tiles
            .iter()
            .any(|placed| placed.tile.mark == Mark::Speaking);
        let activity = match changed || spoken {
            true => Activity::Active,
            false => Activity::Still,
        };
        let Some(frame) = &self.last else {
            return;
        };
        let idle = self.idle.as_mut();
        if !idle.is_none_or(|idle| idle.is_due(at, period, activity)) {
            return;
        }
        for output in self.outputs.values_mut() {
            output.offer(frame, at, period);
        }
    }

    /// Takes the newest picture of every source. Returns whether a visible one is new and differs
    /// from the drawn one.
    fn read_sources(&mut self, now: gst::ClockTime) -> bool {
        let mut fresh = false;
        for (id, source) in &mut self.sources {
            let Some(sample) = source.samples.pull(now) else {
                continue;
            };
            if let Some(frame) = readable(&sample) {
                let visible = self.tiles.iter().any(|placed| placed.tile.source == *id);
                let stands = || {
                    let drawn = source.drawn.as_ref();
                    drawn.is_some_and(|drawn| is_like(drawn, &frame, *id))
                };
                fresh |= visible && !stands();
                source.newest = Some(Arc::new(frame));
                if !std::mem::replace(&mut source.begun, true) {
                    (self.painted)(*id);
                }
                source.cadence.arrived(now.into());
            }
        }
        fresh
    }

    /// Decides for each tile whether it shows a picture or an avatar. Returns whether one changed.
    fn choose_contents(&mut self, now: gst::ClockTime) -> bool {
        let mut changed = false;
        for placed in &mut self.tiles {
            let live = self.sources.get(&placed.tile.source).is_some_and(|source| {
                // A shared screen that does not change sends nothing for long stretches.
                let screen = placed.tile.source.is_screen();
                source.newest.is_some() && (screen || !source.cadence.is_over(now.into()))
            });
            let shown = match placed.tile.content {
                Content::Picture if live => Shown::Picture,
                _ => Shown::Avatar,
            };
            changed |= shown != placed.shown;
            placed.shown = shown;
        }
        changed
    }

    /// Draws a frame; `None` if there is no memory for one.
    fn draw(&self) -> Option<gst::Buffer> {
        let buffer = self.pool.acquire_buffer(None).ok()?;
        let mut frame = gst_video::VideoFrame::from_buffer_writable(buffer, &self.info).ok()?;
        let [y, u, v] = strides(frame.plane_stride())?;
        let [luma, blue, red, _] = frame.planes_data_mut();
        let plane = |data, stride| PlaneMut { data, stride };
        let mut surface = Surface {
            planes: [plane(luma, y), plane(blue, u), plane(red, v)],
            size: self.size,
        };
        surface.fill(whole(self.size), GROUND);
        for placed in &self.tiles {
            self.draw_tile(&mut surface, placed);
        }
        Some(frame.into_buffer())
    }

    fn draw_tile(&self, surface: &mut Surface<'_>, placed: &PlacedTile) {
        let rect = placed.tile.rect;
        let newest = self
            .sources
            .get(&placed.tile.source)
            .and_then(|source| source.newest.as_deref())
            .and_then(picture);
        match (placed.shown, newest) {
            (Shown::Picture, Some(picture)) => self.draw_picture(surface, rect, &picture),
            _ => {
                surface.fill(rect, placed.ground);
                let x = rect.w.saturating_sub(placed.initials.width as u32) / 2;
                let y = rect.h.saturating_sub(placed.initials.height as u32) / 2;
                surface.write(&placed.initials, even(rect.x + x), even(rect.y + y));
            }
        }
        label::draw(surface, rect, [&placed.muted, &placed.label]);
        if placed.tile.mark == Mark::Speaking {
            surface.outline(rect, OUTLINE_WIDTH, SPEAKING_OUTLINE);
        }
    }

    /// Copies a picture that already has the size of the tile, and scales any other.
    fn draw_picture(&self, surface: &mut Surface<'_>, rect: Rect, picture: &Picture<'_>) {
        let tile = Size {
            width: rect.w,
            height: rect.h,
        };
        let wide = tile.width.saturating_sub(picture.size.width);
        let high = tile.height.saturating_sub(picture.size.height);
        let within = picture.size.width <= tile.width && picture.size.height <= tile.height;
        // Rounding to even numbers may leave a pixel pair on the side that should touch.
        if within && (wide <= 2 || high <= 2) {
            let (x, y) = (rect.x + even(wide / 2), rect.y + even(high / 2));
            surface.copy(picture, x, y);
            return;
        }
        let placement = layout::fit(picture.size, tile, self.fit);
        let target = Rect {
            x: rect.x + placement.x,
            y: rect.y + placement.y,
            w: placement.scaled.width,
            h: placement.scaled.height,
        };
        surface.scale(picture, target);
    }
}

fn whole(size: Size) -> Rect {
    Rect {
        x: 0,
        y: 0,
        w: size.width,
        h: size.height,
    }
}

#[cfg(test)]
mod tests;

//! A bot's camera: what it plays, and how it follows the size that the server asks for (dynacast).

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::clip::{self, Clip};
use super::live::LiveSource;
use super::media_source::{ClipPlayer, MediaSource};
use super::pace;
use crate::bots::clock;
use crate::bots::error::BotError;
use crate::bots::source::settings::{VideoFormat, VideoSource};
use crate::layout::Size;

/// What plays into the media source.
#[derive(Debug)]
enum ActiveSource {
    Clip(Arc<ClipPlayer>),
    Live(Arc<LiveSource>),
}

/// Video that is ready to be played. It is prepared before the bot joins, because encoding is no
/// part of joining.
#[derive(Debug)]
pub(crate) enum PreparedVideo {
    /// Encoded already.
    Clip(Arc<Clip>),
    /// Encoded while it is sent.
    Live(Arc<LiveSource>),
}

impl PreparedVideo {
    /// Encodes a source, or starts its encoder; `None` if it has no video.
    pub(crate) async fn of(source: VideoSource) -> Result<Option<Self>, BotError> {
        match source {
            VideoSource::TimeCode { format, phase } => {
                let obtain = move || LiveSource::obtain(format, phase);
                tokio::task::spawn_blocking(obtain)
                    .await
                    .map_err(|e| BotError::media("time code", e))?
                    .map(|live| Some(Self::Live(live)))
            }
            _ => Ok(clip::video(source).await?.map(Self::Clip)),
        }
    }
}

/// A camera. It plays until it is dropped.
#[derive(Debug)]
pub(crate) struct Camera {
    media_source: Arc<MediaSource>,
    source: VideoSource,
    now: Mutex<(Option<VideoFormat>, ActiveSource)>,
}

impl Camera {
    /// A camera that plays from now on.
    pub(crate) fn start(
        media_source: Arc<MediaSource>,
        source: VideoSource,
        prepared: PreparedVideo,
    ) -> Arc<Self> {
        let feed = match prepared {
            PreparedVideo::Clip(clip) => {
                let offset = match source {
                    VideoSource::Film { offset, .. } => offset,
                    _ => Default::default(),
                };
                let begins = clip.begins(clock::now());
                let player = ClipPlayer::new(media_source.clone(), clip, offset);
                pace::schedule(&player, begins);
                ActiveSource::Clip(player)
            }
            PreparedVideo::Live(live) => {
                live.subscribe(&media_source);
                ActiveSource::Live(live)
            }
        };
        Arc::new(Self {
            media_source,
            source,
            now: Mutex::new((source.format(), feed)),
        })
    }

    /// Changes to the size and frame rate that the server asks for, though never beyond those that
    /// the bot was configured with, like a real camera.
    pub(crate) async fn follow(&self, size: Size, fps: u32) -> Result<(), BotError> {
        let Some(own) = self.source.format() else {
            return Ok(());
        };
        let wanted = VideoFormat {
            size: fitted(own.size, size),
            fps: fps.clamp(1, own.fps),
            ..own
        };
        if self.lock().0 == Some(wanted) {
            return Ok(());
        }
        let Some(prepared) = PreparedVideo::of(self.source.with_format(wanted)).await? else {
            return Ok(());
        };
        let mut now = self.lock();
        now.0 = Some(wanted);
        match (&mut now.1, prepared) {
            (ActiveSource::Clip(player), PreparedVideo::Clip(clip)) => player.change(clip),
            (ActiveSource::Live(live), PreparedVideo::Live(other)) => {
                live.unsubscribe(&self.media_source);
                other.subscribe(&self.media_source);
                *live = other;
            }
            // The kind follows from the source, which stays.
            (ActiveSource::Clip(_), PreparedVideo::Live(_))
            | (ActiveSource::Live(_), PreparedVideo::Clip(_)) => {}
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, (Option<VideoFormat>, ActiveSource)> {
        self.now.lock()
    }
}

/// The largest even size in the proportions of `own` that is larger than neither it nor `wanted`.
fn fitted(own: Size, wanted: Size) -> Size {
    let limit = Size {
        width: wanted.width.clamp(32, own.width.max(32)),
        height: wanted.height.clamp(32, own.height.max(32)),
    };
    let (width, height) = if limit.width * own.height <= limit.height * own.width {
        (limit.width, limit.width * own.height / own.width.max(1))
    } else {
        (limit.height * own.width / own.height.max(1), limit.height)
    };
    Size {
        width: width & !1,
        height: height & !1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_stays_and_the_size_never_grows() {
        let size = |width, height| Size { width, height };
        let own = size(640, 360);
        assert_eq!(fitted(own, size(1280, 720)), own);
        assert_eq!(fitted(own, size(320, 180)), size(320, 180));
        assert_eq!(fitted(own, size(426, 240)), size(426, 238));
        assert_eq!(fitted(own, size(640, 180)), size(320, 180));
    }
}

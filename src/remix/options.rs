//! The options of `tessera remix`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::RemixError;
use crate::codec::Film;
use crate::layout::{LayoutKind, Size};

/// Options of `tessera remix`.
#[derive(Debug, Clone, Args)]
pub struct RemixOptions {
    /// Folder of a recording of tracks
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// File to write, .mp4 (H.264 and AAC) or .webm (VP8 and Opus)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the output file if it is there
    #[arg(long)]
    pub force: bool,
    /// grid or spotlight, all the time. Default: what the room had at each moment
    #[arg(long, value_parser = layout)]
    pub layout: Option<LayoutKind>,
    /// Size of the picture, even numbers of pixels. Default: that of the room's composite
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub size: Option<Size>,
    /// Frames per second. Default: those of the room's composite
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fps: Option<u32>,
    /// Of the picture, kbit/s. Default: what its size asks for
    #[arg(long, value_name = "KBPS", value_parser = clap::value_parser!(u32).range(50..=50_000))]
    pub video_bitrate: Option<u32>,
}

impl RemixOptions {
    /// The container that the extension of the output file names.
    pub(super) fn film(&self) -> Result<Film, RemixError> {
        let extension = self.output.extension().and_then(|text| text.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("mp4") => Ok(Film::Mp4),
            Some("webm") => Ok(Film::Webm),
            _ => Err(RemixError::Format(self.output.display().to_string())),
        }
    }

    /// Refuses an output that is there, unless it may be replaced.
    pub(super) fn check_output(&self) -> Result<(), RemixError> {
        match std::fs::metadata(&self.output) {
            Ok(found) if found.is_dir() => {
                let is_folder = std::io::ErrorKind::IsADirectory.into();
                Err(RemixError::Disk(self.output.clone(), is_folder))
            }
            Ok(_) if !self.force => Err(RemixError::Exists(self.output.clone())),
            _ => Ok(()),
        }
    }

    /// The file that is written before it is whole.
    pub(super) fn partial(&self) -> PathBuf {
        partial_of(&self.output)
    }

    /// Bitrate of the picture, bit/s: as asked for, else 0.1 bit per pixel, between 150 kbit/s and
    /// 8 Mbit/s.
    pub(super) fn bitrate(&self, size: Size, fps: u32) -> u32 {
        let given = self.video_bitrate.map(|kbps| kbps.saturating_mul(1000));
        let pixels = u64::from(size.width) * u64::from(size.height) * u64::from(fps);
        let fitting = u32::try_from(pixels / 10).unwrap_or(u32::MAX);
        given.unwrap_or(fitting.clamp(150_000, 8_000_000))
    }
}

/// The name of a file while it is not whole yet.
fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn layout(text: &str) -> Result<LayoutKind, &'static str> {
    text.parse().map_err(|_| "it is grid or spotlight")
}

fn size(text: &str) -> Result<Size, &'static str> {
    let size: Option<Size> = text.parse().ok();
    let fits = |edge: u32| (16..=4096).contains(&edge) && edge.is_multiple_of(2);
    size.filter(|size| fits(size.width) && fits(size.height))
        .ok_or("it is like 1280x720, even numbers from 16 to 4096")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_there() {
        let hd = Size {
            width: 1280,
            height: 720,
        };
        assert_eq!(size("1280x720"), Ok(hd));
        for bad in [
            "",
            "1280",
            "1280x721",
            "0x0",
            "x",
            "1280x720x2",
            "9000x9000",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}

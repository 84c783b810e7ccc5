//! Where the tiles of a composite stand: `(canvas, people, kind) -> tiles`; pure.

use serde::{Deserialize, Serialize};

/// How tiles are arranged on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// Equal tiles, as large as they can be.
    Grid,
    /// One large tile (pinned, else a shared screen, else the last speaker), the others in a strip.
    Spotlight,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A rectangle in pixels; every edge is even, so that I420 chroma lines up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

/// How a picture of another aspect ratio is put in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it, with bars.
    Contain,
    /// The tile filled, the picture's edges cut.
    Cover,
}

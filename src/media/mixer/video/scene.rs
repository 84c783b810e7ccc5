//! What the canvas shows: plain values, decided by the room, applied between two frames.

use crate::id::SourceId;
use crate::layout::Rect;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The source's picture while it is fresh, its avatar otherwise.
    Picture,
    /// The avatar: there is no picture to wait for.
    Avatar,
}

/// A rectangle of the canvas and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The camera or screen.
    pub source: SourceId,
    /// Where, in canvas pixels.
    pub rect: Rect,
    /// Picture or avatar.
    pub content: Content,
    /// Marked as speaking.
    pub speaking: bool,
}

/// Everything on the canvas, in the order of drawing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// The tiles.
    pub tiles: Vec<Tile>,
}

impl Scene {
    /// Where a source is, if it has a tile.
    pub fn tile_of(&self, source: SourceId) -> Option<Rect> {
        let tile = self.tiles.iter().find(|tile| tile.source == source);
        tile.map(|tile| tile.rect)
    }
}

//! The scene that the canvas shows: plain values, decided by the room, applied between two frames.

use crate::id::SourceId;
use crate::layout::Rect;

/// What a tile shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The source's picture while it is fresh, its avatar otherwise.
    Picture,
    /// The avatar, because there is no picture to wait for.
    Avatar,
}

/// A rectangle of the canvas and the source that is shown in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The camera or shared screen that is shown.
    pub source: SourceId,
    /// Where it is, in pixels of the canvas.
    pub rect: Rect,
    /// Whether it shows a picture or an avatar.
    pub content: Content,
    /// How it is marked.
    pub mark: Mark,
}

/// What a tile says of the microphone of whoever is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// It is heard: the tile has an outline.
    Speaking,
    /// It is muted: the name has a mark before it.
    Muted,
}

/// Everything that is on the canvas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// The tiles in the order they are drawn.
    pub tiles: Vec<Tile>,
}

impl Scene {
    /// The rectangle of a source, if it has a tile.
    pub fn tile_of(&self, source: SourceId) -> Option<Rect> {
        let tile = self.tiles.iter().find(|tile| tile.source == source);
        tile.map(|tile| tile.rect)
    }
}

//! What is filmed and what it becomes.

use tessera::layout::Size;

pub(crate) const CANVAS: Size = Size {
    width: 1280,
    height: 720,
};

/// The film that cameras show.
pub(crate) fn film() -> String {
    format!(
        "{}/assets/media/bigbuckbunny.mp4",
        env!("CARGO_MANIFEST_DIR")
    )
}

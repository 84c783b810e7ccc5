//! The space that a recording's file reserves ahead of its media, where its chapters are written
//! once it has ended.

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReservedSpace {
    /// Byte offset of its beginning from that of the file.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

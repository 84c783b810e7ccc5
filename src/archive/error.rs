//! Why the archive refuses, and what of it clients are told.

use std::io;
use std::path::Path;

use thiserror::Error;

/// Why the archive refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// Less of the disk is free than the quota of recordings asks for.
    #[error("the disk of the recordings has {free} bytes left, {floor} have to stay free")]
    Full {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to stay free.
        floor: u64,
    },
    /// The folder cannot be read, made or written to.
    #[error("the folder of recordings {folder}: {reason}")]
    Unusable {
        /// Path of the folder.
        folder: String,
        /// The error of the system.
        reason: String,
    },
    /// The catalogue has no recording of that id.
    #[error("there is no such recording")]
    Unknown,
    /// The recording is being written, and has to be stopped before it can be deleted.
    #[error("the recording goes on: stop it first")]
    GoesOn,
}

/// The folder cannot be used, because of `error`.
pub(super) fn unusable(folder: &Path, error: &io::Error) -> ArchiveError {
    ArchiveError::Unusable {
        folder: folder.display().to_string(),
        reason: error.to_string(),
    }
}

/// `text` without the path of `folder`, as it was given and as the system writes it.
pub(super) fn without_folder(text: &str, folder: &Path) -> String {
    let known = [Some(folder.to_owned()), folder.canonicalize().ok()];
    let mut text = text.to_owned();
    for path in known.into_iter().flatten() {
        let path = path.to_string_lossy();
        if !["", ".", "/"].contains(&&*path) {
            text = text.replace(&format!("{path}/"), "");
            text = text.replace(&*path, "(here)");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_clients_do_not_say_where_the_folder_is() {
        let folder = Path::new("/srv/films");
        let text = "cannot write /srv/films/a.mp4: /srv/films is full";
        assert_eq!(
            without_folder(text, folder),
            "cannot write a.mp4: (here) is full"
        );
        assert_eq!(without_folder("a/b", Path::new("/")), "a/b");
    }
}

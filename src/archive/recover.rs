//! Makes whole what a server that was killed left behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use super::mp4;
use crate::media::recorder::{Container, RecorderError};
use crate::media::remux::remux;
use crate::media::template::Templates;

/// Why a file could not be repaired.
#[derive(Debug, Error)]
pub(super) enum RecoverError {
    /// It has no beginning.
    #[error("nothing had been written")]
    Empty,
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is in it.
    #[error(transparent)]
    Content(#[from] RecorderError),
}

/// Repairs a file in place. Returns how long it is, where that is known.
pub(super) async fn recover(
    templates: &Templates,
    container: Container,
    path: &Path,
) -> Result<Option<Duration>, RecoverError> {
    if std::fs::metadata(path)?.len() == 0 {
        return Err(RecoverError::Empty);
    }
    match container {
        Container::Mp4 => cut(path).map(|()| None),
        Container::Webm | Container::Ogg => {
            let copy = path.with_extension("part");
            let length = remux(templates, container, path, &copy).await;
            if length.is_err() {
                // What there is may play still: it is left as it is.
                let _ = std::fs::remove_file(&copy);
            }
            let length = length?;
            File::open(&copy)?.sync_all()?;
            std::fs::rename(&copy, path)?;
            Ok(Some(length))
        }
    }
}

/// Cuts an MP4 behind its last whole fragment.
fn cut(path: &Path) -> Result<(), RecoverError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let whole = mp4::whole_length(&mut file)?;
    if whole == 0 {
        return Err(RecoverError::Empty);
    }
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(())
}

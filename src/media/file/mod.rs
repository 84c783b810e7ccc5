//! Media in files: written while it comes, written anew, and played.

pub(crate) mod film_writer;
pub(crate) mod recorder;
pub(crate) mod remux;
pub(crate) mod track_player;

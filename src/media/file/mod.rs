//! Media in files: recorded, repaired, encoded and played back.

pub(crate) mod aac;
pub(crate) mod film_writer;
pub(crate) mod recorder;
pub(crate) mod remux;
pub(crate) mod track_player;

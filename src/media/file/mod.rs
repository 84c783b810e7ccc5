//! Media in files: written while it comes, written anew, and played.

pub mod film_writer;
pub mod recorder;
pub mod remux;
pub mod track_player;

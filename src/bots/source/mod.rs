//! What bots send: encoded once in a process, and paced by one thread.

pub(crate) mod camera;
pub(crate) mod clip;
pub(crate) mod corrupt;
pub(crate) mod encode;
pub(crate) mod level;
pub(crate) mod live;
pub(crate) mod media_source;
pub(crate) mod pace;
pub(crate) mod settings;

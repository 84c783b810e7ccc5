//! What the tests share. Each test file uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod bars;
pub mod browser;
pub mod claps;
pub mod disk;
pub mod film;
pub mod home;
pub mod look;
pub mod netns;
pub mod recorded;
pub mod reflector;
pub mod server;

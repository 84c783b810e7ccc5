//! Bots as instruments: what they see of themselves, of changing modes, and of a comparison.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod modes;
mod selftest;

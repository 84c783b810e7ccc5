//! Rooms over lines that lose packets, are slow, or change.
#![allow(clippy::unwrap_used)]

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod consent;
mod hour;
mod layers;
mod loss;
mod phone;
mod rates;
mod tracks;

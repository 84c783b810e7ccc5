//! The program as it is started: its settings, its commands, and how they fail.

#[path = "../common/mod.rs"]
mod common;
mod config;
mod doctor;
mod remix_failures;
mod start;

//! Bandwidth estimation, and what a viewer is sent because of it; pure. `docs/BWE.md` describes how
//! the parts work together, and lists their parameters.

pub(crate) mod bandwidth;
pub mod budget;
pub mod controller;
pub mod delay;
pub mod fec;
pub mod ladder;
pub(crate) mod layer_probe;
pub(crate) mod packet_train;
pub(crate) mod receive_log;
mod rendition_selector;
pub mod rr;
pub mod rtcp;
mod rung_probe;
pub mod trace;
pub(crate) mod twcc;
pub(crate) mod windowed_min;

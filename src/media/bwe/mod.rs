//! Bandwidth estimation, and what a viewer is sent by it; pure.

pub mod bandwidth;
pub mod budget;
pub mod controller;
pub mod delay;
pub mod fec;
pub mod ladder;
pub mod layer_probe;
pub(crate) mod packet_train;
pub mod rr;
pub mod rtcp;
mod rung_choice;
pub(crate) mod rung_probe;
pub mod trace;
pub mod twcc;
pub(crate) mod windowed_min;

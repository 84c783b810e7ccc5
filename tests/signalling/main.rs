//! What the signalling server says before anybody is in a room: paths, limits, refusals.
#![allow(clippy::unwrap_used)]

mod doors;
mod http;
mod means;
mod offers;
mod protocol_examples;
mod socket;
mod support;

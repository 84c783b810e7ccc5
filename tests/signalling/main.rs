//! What the signalling server says before anybody is in a room: paths, limits, refusals.
#![allow(clippy::unwrap_used)]

mod bounds;
mod doors;
mod http;
mod means;
mod offers;
mod protocol_examples;
mod rights;
mod socket;
mod support;

//! What holds for every input: pure code under random histories, and under recorded ones.

mod admission;
mod candidates;
mod congestion;
mod congestion_trace;
mod layout;
mod reporting_link;
mod rewrite;
mod room;
mod sound;
mod tone;

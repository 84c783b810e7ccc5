//! `tessera bots`: many bots at once and a report of what they saw; and the people of the demo.

pub(crate) mod demo;
pub(crate) mod report;
pub(crate) mod run;

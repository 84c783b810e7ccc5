//! Many bots at once, and the people of the demo.

pub(crate) mod demo;
pub mod report;
pub mod run;

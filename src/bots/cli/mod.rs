//! Many bots at once, and the people of the demo.

pub(crate) mod demo;
pub(crate) mod report;
pub(crate) mod run;

//! What every pipeline here shares: its guard, its templates, its end, and the elements there are.

pub mod pipeline;
pub mod plugins;
pub(crate) mod sps_probe;
pub mod teardown;
pub mod template;

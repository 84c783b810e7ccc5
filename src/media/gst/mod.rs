//! What every pipeline shares: the guard around it, its template, its teardown, buffers, and the
//! list of elements.

pub(crate) mod buffer;
pub mod pipeline;
pub mod plugins;
pub(crate) mod sps_probe;
pub mod teardown;
pub mod template;

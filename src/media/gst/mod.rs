//! What every pipeline shares: the guard around it, its template, its teardown, buffers, events,
//! and the list of elements.

pub(crate) mod buffer;
pub(crate) mod event;
pub mod pipeline;
pub mod plugins;
pub(crate) mod pool;
pub(crate) mod sps_probe;
pub mod teardown;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;

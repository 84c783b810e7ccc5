//! Drawing on I420: copies, fills, a rough scaler for the moments between two sizes, and text
//! masks. Plain slices in and out; pure.

mod mask;
mod planes;
mod surface;

pub(crate) use mask::Mask;
pub(crate) use planes::{Picture, Plane, PlaneMut, Yuv};
pub(crate) use surface::Surface;

#[cfg(test)]
mod tests;

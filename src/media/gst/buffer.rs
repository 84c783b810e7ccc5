//! Buffers with other bytes.

/// A buffer of these bytes, with the times, flags and metadata of another.
pub(crate) fn with_bytes(of: &gst::BufferRef, bytes: Vec<u8>) -> gst::Buffer {
    let mut other = gst::Buffer::from_mut_slice(bytes);
    if let Some(other) = other.get_mut() {
        // It fails only where memory is copied, which is not asked for.
        let _ = of.copy_into(other, gst::BUFFER_COPY_METADATA, ..);
    }
    other
}

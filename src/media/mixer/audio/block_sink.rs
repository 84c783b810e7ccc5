//! Where blocks of mixed sound go.

use super::mix::Frame;

/// The length of a block, which is that of an Opus frame, and the period of the sound mixer.
pub(crate) const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// Takes the blocks of one mix, of 20 ms of mono sound at 48 kHz each.
pub(crate) trait BlockSink: Send {
    /// Takes the block that begins at running time `at`. Called on the thread that mixes, and has to
    /// return long before the next block.
    fn push(&mut self, block: &Frame, at: gst::ClockTime);
}

/// Floats for a pipeline that makes something of them.
impl BlockSink for gst_app::AppSrc {
    fn push(&mut self, block: &Frame, at: gst::ClockTime) {
        let bytes: Vec<u8> = block
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(header) = buffer.get_mut() {
            header.set_pts(at);
            header.set_duration(PERIOD);
        }
        // A flushing one is going away.
        let _ = self.push_buffer(buffer);
    }
}

//! Discontinuous transmission (DTX) of a mix: while nobody speaks, hardly anything is sent.
//!
//! libopus has its own, which needs an analysis that costs as much as the encoding itself. Here it
//! is simple: a mix in which nobody is heard is zeros.

use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;

/// Packets of silence that are still sent before a pause: 200 ms, so that a breath is not a pause.
const HANGOVER_PACKETS: u32 = 10;

/// In a pause one packet of so many is sent, five a second. So a new receiver gets a first packet
/// soon, and a receiver that watches for silence does not take the pause for the end.
const KEEPALIVE_EVERY: u32 = 10;

/// What is done with a packet that the encoder made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// It is sent as it is.
    Send,
    /// Its first byte is sent: a frame of no bytes, which says that there is a pause.
    SendEmpty,
    /// It is left out.
    Suppress,
}

/// Counts the blocks of silence in a row.
#[derive(Debug, Default)]
struct Silence {
    /// Blocks of silence since the last one with sound.
    silent: u32,
}

impl Silence {
    /// Looks at the next block of samples.
    fn observe(&mut self, block: &[u8]) {
        self.silent = match block.iter().all(|byte| *byte == 0) {
            true => self.silent.saturating_add(1),
            false => 0,
        };
    }

    /// What to do with the packet that is made of it.
    fn action(&self) -> Action {
        match self.silent.checked_sub(HANGOVER_PACKETS + 1) {
            None => Action::Send,
            Some(paused) if paused % KEEPALIVE_EVERY == 0 => Action::SendEmpty,
            Some(_) => Action::Suppress,
        }
    }
}

/// Leaves out what `encoder` makes of lasting silence. Of the first packet of a pause its first
/// byte alone is sent: a frame of no bytes, by which a receiver tells a pause from loss (RFC 7587
/// section 3.1.3, RFC 6716 section 3.2.1). Packets are numbered behind it, so none seems to be
/// lost.
///
/// Silence is recognised in the encoder's input. Its output does not show it: of zeros it makes
/// three bytes as CELT, but thirty with forward error correction. It makes one packet of each
/// block, at once.
pub(crate) fn install(encoder: &gst::Element) {
    let (Some(input), Some(output)) = (encoder.static_pad("sink"), encoder.static_pad("src"))
    else {
        return;
    };
    // Only ever locked by the encoder's thread.
    let silence = Arc::new(Mutex::new(Silence::default()));
    let observed = Arc::clone(&silence);
    input.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(block)) = &info.data
            && let Ok(samples) = block.map_readable()
        {
            observed.lock().observe(&samples);
        }
        gst::PadProbeReturn::Ok
    });
    output.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(packet)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let action = silence.lock().action();
        match action {
            Action::Send => {}
            Action::SendEmpty => packet.make_mut().set_size(1),
            // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the buffer once more.
            Action::Suppress => return gst::PadProbeReturn::Handled,
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_late_ends_at_once_and_is_not_forgotten() {
        let mut silence = Silence::default();
        let mut next = |block: &[u8]| {
            silence.observe(block);
            silence.action()
        };
        let mut silent = |n: usize| -> Vec<Action> { (0..n).map(|_| next(&[0; 8])).collect() };
        assert_eq!(silent(10), [Action::Send; 10]);
        assert_eq!(silent(1), [Action::SendEmpty]);
        assert_eq!(silent(9), [Action::Suppress; 9]);
        assert_eq!(silent(2), [Action::SendEmpty, Action::Suppress]);
        assert_eq!(next(&[0, 0, 1, 0]), Action::Send);
        assert_eq!(next(&[0; 8]), Action::Send, "begins anew");
    }

    /// The encoder as the mix has it, protected or not: of zeros little is left.
    #[test]
    fn of_zeros_five_packets_a_second_are_left() {
        gst::init().expect("gst");
        few_are_left(false);
        few_are_left(true);
    }

    fn few_are_left(fec: bool) {
        let template = crate::media::gst::template::Templates::load(None).expect("templates");
        let values = [("bitrate", crate::media::gst::template::Value::Int(48_000))];
        let launch = template.fill("rendition-opus", &values).expect("filled");
        let pipeline = gst::parse::launch(&launch).expect("it parses");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let part = |name| pipeline.by_name(name).expect("it is there");
        let encoder = part("encoder");
        encoder.set_property("inband-fec", fec);
        encoder.set_property("packet-loss-percentage", if fec { 15 } else { 0 });
        install(&encoder);
        let input = part("in").downcast::<gst_app::AppSrc>().expect("an appsrc");
        let output = part("out")
            .downcast::<gst_app::AppSink>()
            .expect("an appsink");
        input.set_max_buffers(0);
        input.set_max_bytes(0);
        output.set_property("wait-on-eos", false);
        pipeline.set_state(gst::State::Playing).expect("it starts");
        for n in 0..150u64 {
            let mut block = gst::Buffer::from_mut_slice(vec![0u8; 960 * 4]);
            let header = block.get_mut().expect("ours");
            header.set_pts(gst::ClockTime::from_mseconds(20) * n);
            header.set_duration(gst::ClockTime::from_mseconds(20));
            input.push_buffer(block).expect("it takes them");
        }
        input.end_of_stream().expect("it ends");
        let mut packets = Vec::new();
        while let Ok(sample) = output.pull_sample() {
            let packet = sample.buffer_owned().expect("a packet");
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).expect("RTP");
            packets.push((rtp.seq(), rtp.timestamp(), rtp.payload_size()));
        }
        pipeline.set_state(gst::State::Null).expect("it ends");
        // Three seconds, of which the first fifth is sent.
        assert!((20..30).contains(&packets.len()), "{packets:?}");
        // The first is shorter, by what the encoder looks ahead.
        let steps = packets[1..].windows(2).map(|pair| (pair[0], pair[1]));
        for ((seq, timestamp, _), (next, later, size)) in steps {
            assert_eq!(next, seq.wrapping_add(1), "nothing seems lost");
            let expected = if size == 1 { [960, 9600] } else { [960, 960] };
            let step = later.wrapping_sub(timestamp);
            assert!(expected.contains(&step), "{step} in {packets:?}");
        }
    }
}

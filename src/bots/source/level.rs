//! The audio level of each packet, in its RTP header (RFC 6464), so that a server that forwards
//! audio knows who speaks without decoding it.
//!
//! GStreamer's own extension takes the level from a meta that only raw audio in the same pipeline
//! has. Here the level is known from the clip, and written into packets after the payloader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::encode::{Frame, PACKET, named};
use crate::bots::error::BotError;
use crate::bots::observe::probe::tone;

/// The URI of the header extension in SDP.
pub(crate) const URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// The id under which the extension is offered.
pub(crate) const ID: u8 = 1;

/// The level of silence, in -dBov.
pub(crate) const SILENCE: u8 = 127;

/// The level of the faintest sound that 16 bits can hold, in -dBov. What a decoder makes of silence
/// is fainter, and counts as silence.
const FAINTEST: u8 = 90;

/// Levels that wait for their packet. The payloader takes each frame at once, so one would do.
const WAITING: usize = 8;

/// Samples of a packet of 20 ms.
const SAMPLES: usize = 960;

/// Writes audio levels into the packets of one connection.
#[derive(Debug, Default)]
pub(crate) struct LevelWriter {
    /// The negotiated id; 0 while there is none.
    id: AtomicU8,
    waiting: Mutex<VecDeque<(gst::ClockTime, u8)>>,
}

impl LevelWriter {
    /// Writes levels from now on, under the negotiated id.
    pub(crate) fn set_id(&self, id: u8) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Says the level of the frame with that timestamp, before it is sent.
    pub(crate) fn announce(&self, pts: gst::ClockTime, level: u8) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == WAITING {
            waiting.pop_front();
        }
        waiting.push_back((pts, level));
    }

    /// The packet with its level; `None` if none is known or wanted.
    pub(crate) fn write(&self, packet: &gst::BufferRef) -> Option<gst::Buffer> {
        let id = self.id.load(Ordering::Relaxed);
        if id == 0 {
            return None;
        }
        let pts = packet.pts()?;
        let level = {
            let mut waiting = self.waiting.lock();
            let at = waiting.iter().position(|(other, _)| *other == pts)?;
            let (_, level) = waiting.drain(..=at).next_back()?;
            level
        };
        extended(packet, id, level)
    }
}

/// A copy of an RTP packet without extensions that has the audio level; its payload is shared.
fn extended(packet: &gst::BufferRef, id: u8, level: u8) -> Option<gst::Buffer> {
    let mut header = [0; 20];
    packet.copy_to_slice(0, &mut header[..12]).ok()?;
    // No CSRC and no extension yet, as the payloader makes them.
    if header[0] & 0x1f != 0 {
        return None;
    }
    header[0] |= 0x10;
    // RFC 8285 section 4.2: the one-byte form, one word; RFC 6464 section 3: V and the level.
    header[12..16].copy_from_slice(&[0xbe, 0xde, 0, 1]);
    header[16] = id << 4;
    header[17] = if level < SILENCE { 0x80 } else { 0 } | (level & 0x7f);
    let mut whole = gst::Buffer::from_slice(header);
    let payload = packet
        .copy_region(gst::BufferCopyFlags::MEMORY, 12..)
        .ok()?;
    {
        let whole = whole.get_mut()?;
        let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
        packet.copy_into(whole, kept, ..).ok()?;
    }
    whole.append(payload);
    Some(whole)
}

/// The level of each packet of a loop of Opus, in -dBov: 0 is the loudest, 127 silence. Blocks.
///
/// # Errors
/// That of the decoder.
pub(crate) fn measure(packets: &[Frame]) -> Result<Vec<u8>, BotError> {
    // Twice round, as the first time the decoder comes from silence and not from the loop's end.
    let sound = decode(packets.iter().chain(packets))?;
    let levels: Vec<u8> = sound.chunks_exact(SAMPLES).map(level_of).collect();
    if levels.len() < 2 * packets.len() {
        return Err(BotError::Media("the Opus decoder held sound back".into()));
    }
    Ok(levels[packets.len()..2 * packets.len()].to_vec())
}

fn level_of(samples: &[f32]) -> u8 {
    // The cast saturates, and a sound over full scale is 0.
    match (-tone::rms(samples)).round() as u8 {
        level @ 0..=FAINTEST => level,
        _ => SILENCE,
    }
}

fn decode<'a>(packets: impl Iterator<Item = &'a Frame>) -> Result<Vec<f32>, BotError> {
    let failed = |e: &dyn std::fmt::Display| BotError::Media(format!("measuring sound: {e}"));
    let launch = "appsrc name=in format=time ! \
         audio/x-opus,channel-mapping-family=0,channels=1,rate=48000 ! opusdec ! audioconvert ! \
         audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1 ! \
         appsink name=out sync=false wait-on-eos=false";
    let pipeline = gst::parse::launch(launch)
        .map_err(|e| failed(&e))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| failed(&"no pipeline"))?;
    let source = named::<gst_app::AppSrc>(&pipeline, "in")?;
    let sink = named::<gst_app::AppSink>(&pipeline, "out")?;
    source.set_max_bytes(0);
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| failed(&e))?;
    let mut at = gst::ClockTime::ZERO;
    for packet in packets {
        // Without the encoder's meta of what to cut off at the beginning, which RTP does not carry
        // either.
        let memory = gst::BufferCopyFlags::MEMORY;
        let copy = packet.buffer.copy_region(memory, ..);
        let mut buffer = copy.map_err(|e| failed(&e))?;
        let length = gst::ClockTime::try_from(PACKET).unwrap_or_default();
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(at);
            buffer.set_dts(None);
            buffer.set_duration(length);
        }
        at += length;
        source.push_buffer(buffer).map_err(|e| failed(&e))?;
    }
    source.end_of_stream().map_err(|e| failed(&e))?;
    let mut sound = Vec::new();
    let patience = gst::ClockTime::try_from(Duration::from_secs(10)).unwrap_or_default();
    while let Some(sample) = sink.try_pull_sample(patience) {
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok());
        if let Some(map) = map {
            let samples = map.chunks_exact(4);
            sound.extend(samples.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
    }
    // Nothing can be done about a failure to stop, and the sound is there.
    let _ = pipeline.set_state(gst::State::Null);
    Ok(sound)
}

/// The id under which an answer's audio m-line takes levels; `None` if it does not.
pub(crate) fn negotiated_id(answer: &gst_sdp::SDPMediaRef) -> Option<u8> {
    let mut extensions = answer.attributes().filter(|a| a.key() == "extmap");
    extensions.find_map(|attribute| {
        let (id, uri) = attribute.value()?.split_once(' ')?;
        let id = id.split('/').next()?.parse().ok()?;
        // 15 is reserved, and more needs the two-byte form.
        (uri.split(' ').next() == Some(URI) && (1..15).contains(&id)).then_some(id)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packet(pts: u64) -> gst::Buffer {
        let mut bytes = vec![0x80, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([9, 8, 7]);
        let mut buffer = gst::Buffer::from_slice(bytes);
        let pts = gst::ClockTime::from_mseconds(pts);
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    }

    #[test]
    fn the_level_is_where_others_look_for_it() {
        gst::init().unwrap();
        let writer = LevelWriter::default();
        writer.announce(gst::ClockTime::from_mseconds(20), 27);
        assert!(writer.write(&packet(20)).is_none(), "nobody agreed");
        writer.set_id(3);
        for level in [27, SILENCE] {
            writer.announce(gst::ClockTime::from_mseconds(40), level);
            let written = writer.write(&packet(40)).unwrap();
            assert_eq!(written.pts(), packet(40).pts());
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&written).unwrap();
            let voice = if level < SILENCE { 0x80 } else { 0 };
            assert_eq!(
                rtp.extension_onebyte_header(3, 0),
                Some(&[voice | level][..])
            );
            assert_eq!((rtp.seq(), rtp.timestamp(), rtp.ssrc()), (1, 2, 3));
            assert_eq!(rtp.payload().unwrap(), [9, 8, 7]);
        }
        assert!(writer.write(&packet(60)).is_none(), "of unknown level");
    }

    #[test]
    fn an_answer_says_whether_it_takes_levels() {
        gst::init().unwrap();
        let mut media = gst_sdp::SDPMedia::new();
        media.add_attribute("extmap", Some("4 urn:ietf:params:rtp-hdrext:sdes:mid"));
        assert_eq!(negotiated_id(&media), None);
        media.add_attribute("extmap", Some(&format!("2/sendonly {URI} vad=on")));
        assert_eq!(negotiated_id(&media), Some(2));
    }
}

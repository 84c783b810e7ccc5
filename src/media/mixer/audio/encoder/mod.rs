//! libopus as the encoder of one mix: blocks of 20 ms in, RTP out through a tap, made by the thread
//! that mixes. A mix in which nobody is heard is not encoded at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use opusic_c::{Application, Bandwidth, Bitrate, Channels, ErrorCode, InbandFec, SampleRate};

use super::block_sink::{BlockSink, PERIOD};
use super::dtx::{Action, Silence};
use super::mix::{FRAME, Frame};
use super::sound::LOOKAHEAD;
use crate::codec::Codec;
use crate::media::bwe::fec;
use crate::media::bwe::fec::Fec;
use crate::media::rtp::header::RtpHeader;
use crate::media::stream::tap::{Tap, TapInput};

/// Of 0 to 10: 0.009 core for a voice, against 0.016 at 9.
const COMPLEXITY: u8 = 5;
/// The payload type that the packets have before a slot gives them that of its line.
const PAYLOAD_TYPE: u8 = 97;
/// Bytes of the longest packet that libopus makes of 20 ms (RFC 6716 section 3.4), and some more.
const MAX_PACKET: usize = 1_500;

/// What an encoder is set to. Set on any thread, applied before the next block.
#[derive(Debug)]
pub(crate) struct EncoderSettings {
    /// Bit/s.
    bitrate: AtomicU32,
    fec: AtomicBool,
}

impl EncoderSettings {
    /// Encodes at `bitrate` bit/s from the next block on.
    pub(crate) fn set_bitrate(&self, bitrate: u32) {
        self.bitrate.store(bitrate, Ordering::Relaxed);
    }

    /// The bitrate in force, bit/s.
    pub(crate) fn bitrate(&self) -> u32 {
        self.bitrate.load(Ordering::Relaxed)
    }

    /// Switches forward error correction from the next packet on. The bitrate stays.
    pub(crate) fn set_fec(&self, fec: Fec) {
        self.fec.store(fec == Fec::On, Ordering::Relaxed);
    }

    /// The forward error correction in force.
    pub(crate) fn fec(&self) -> Fec {
        match self.fec.load(Ordering::Relaxed) {
            true => Fec::On,
            false => Fec::Off,
        }
    }
}

/// The encoder of one mix. Its packets are delivered on the thread that gives it blocks.
pub(crate) struct MixEncoder {
    encoder: opusic_c::Encoder,
    settings: Arc<EncoderSettings>,
    /// What the encoder was last told.
    applied: (u32, Fec),
    silence: Silence,
    /// First byte of the newest packet, which says its mode and length.
    toc: u8,
    packet: Box<[u8; MAX_PACKET]>,
    stream: RtpStream,
    output: TapInput,
}

/// The packets' numbers.
#[derive(Debug)]
struct RtpStream {
    ssrc: u32,
    seq: u16,
    /// Timestamp of running time zero.
    offset: u32,
    /// Whether the last block was sent.
    is_sending: bool,
}

impl MixEncoder {
    /// An encoder that makes `bitrate` bit/s, what sets it, and the tap that its packets leave by.
    ///
    /// # Errors
    /// [`ErrorCode`] when there is no memory for it.
    pub(crate) fn new(bitrate: u32) -> Result<(Self, Arc<EncoderSettings>, Tap), ErrorCode> {
        let mut encoder =
            opusic_c::Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Audio)?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_vbr(true)?;
        encoder.set_vbr_constraint(true)?;
        // Left to itself it leaves out what is above 8 kHz in speech modes, which have FEC.
        encoder.set_bandwidth(Bandwidth::Full)?;
        let settings = Arc::new(EncoderSettings {
            bitrate: AtomicU32::new(bitrate),
            fec: AtomicBool::new(false),
        });
        let (tap, output) = Tap::by_hand(Codec::Opus, PAYLOAD_TYPE);
        let mut made = Self {
            encoder,
            settings: Arc::clone(&settings),
            applied: (0, Fec::Off),
            silence: Silence::default(),
            toc: 0,
            packet: Box::new([0; MAX_PACKET]),
            stream: RtpStream {
                ssrc: rand::random_range(1..=u32::MAX),
                seq: rand::random(),
                offset: rand::random(),
                is_sending: false,
            },
            output,
        };
        made.apply()?;
        Ok((made, settings, tap))
    }

    fn apply(&mut self) -> Result<(), ErrorCode> {
        let wanted = (self.settings.bitrate(), self.settings.fec());
        let (bitrate, fec) = wanted;
        if bitrate != self.applied.0 {
            self.encoder.set_bitrate(Bitrate::Value(bitrate))?;
        }
        if fec != self.applied.1 {
            let (mode, loss) = match fec {
                Fec::Off => (InbandFec::Off, 0),
                Fec::On => (InbandFec::Mode1, fec::ASSUMED_LOSS_PERCENT),
            };
            self.encoder.set_inband_fec(mode)?;
            self.encoder.set_packet_loss(loss)?;
        }
        self.applied = wanted;
        Ok(())
    }

    /// The payload of the next packet, if one is sent.
    fn payload(&mut self, block: &Frame) -> Result<Option<&[u8]>, ErrorCode> {
        self.silence.observe(block);
        match self.silence.action() {
            Action::Suppress => Ok(None),
            Action::SendEmpty => Ok(Some(std::slice::from_ref(&self.toc))),
            Action::Send => {
                self.apply()?;
                let length = self
                    .encoder
                    .encode_float_to_slice(block, &mut self.packet[..])?;
                self.toc = self.packet[0];
                Ok(Some(&self.packet[..length]))
            }
        }
    }
}

impl BlockSink for MixEncoder {
    fn push(&mut self, block: &Frame, at: gst::ClockTime) {
        let stream = &self.stream;
        let header = RtpHeader {
            payload_type: PAYLOAD_TYPE,
            seq: stream.seq,
            timestamp: stream.offset.wrapping_add(in_samples(at)),
            // The first after a pause (RFC 7587 section 4.1).
            marker: !stream.is_sending,
            ssrc: stream.ssrc,
        };
        let packet = match self.payload(block) {
            Ok(payload) => payload.map(|payload| header.packet(payload)),
            Err(error) => {
                tracing::warn!(?error, "a block of sound is not encoded");
                None
            }
        };
        self.stream.is_sending = packet.is_some() && self.silence.action() == Action::Send;
        let Some(packet) = packet else {
            return;
        };
        self.stream.seq = self.stream.seq.wrapping_add(1);
        let mut packet = gst::Buffer::from_mut_slice(packet);
        if let Some(header) = packet.get_mut() {
            let lookahead = gst::ClockTime::try_from(LOOKAHEAD).unwrap_or_default();
            header.set_pts(at.saturating_sub(lookahead));
            header.set_duration(PERIOD);
        }
        self.output.push(std::slice::from_ref(&packet));
    }
}

/// A time in units of RTP timestamps; wraps.
fn in_samples(at: gst::ClockTime) -> u32 {
    // Rounded: three samples are 62.5 microseconds.
    let samples = (at.nseconds() / 1_000 * 48 + 500) / 1_000;
    (samples & u64::from(u32::MAX)) as u32
}

/// Samples of a block.
const _: () = assert!(
    FRAME == 960,
    "in_samples and the encoder take blocks of 20 ms"
);

#[cfg(test)]
mod tests;

//! libopus as the decoder of one voice. Its calls return at once, so it needs no thread of its own.

use opusic_c::{Channels, Decoder, ErrorCode, SampleRate};

/// Samples of the longest packet of Opus, 120 ms (RFC 6716 section 2.1.4), which is also the longest
/// loss that is concealed at once.
const LONGEST: usize = 5_760;

/// Channels that are decoded. Of two one is taken: their sum, which libopus makes of them if it is
/// asked for one, would be silence where one is the other upside down.
const CHANNELS: usize = 2;

/// Losses are concealed in multiples of so many samples: 2.5 ms.
const CONCEALED_BY: usize = 120;

/// A decoder of Opus to mono at 48 kHz.
pub(crate) struct VoiceDecoder {
    decoder: Decoder,
    stereo: Box<[f32; CHANNELS * LONGEST]>,
    mono: Vec<f32>,
}

impl std::fmt::Debug for VoiceDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceDecoder").finish_non_exhaustive()
    }
}

impl VoiceDecoder {
    /// A decoder that has heard nothing yet.
    ///
    /// # Errors
    /// [`ErrorCode`] when there is no memory for it.
    pub(crate) fn new() -> Result<Self, ErrorCode> {
        Ok(Self {
            decoder: Decoder::new(Channels::Stereo, SampleRate::Hz48000)?,
            stereo: Box::new([0.0; CHANNELS * LONGEST]),
            mono: Vec::with_capacity(2 * LONGEST),
        })
    }

    /// Decodes a packet of `samples` samples, before which `lost` samples are missing. What is
    /// missing is taken from the packet, if it says the one before once more (in-band FEC, RFC 6716
    /// section 2.1.7), and made up otherwise. Returns about `lost` and exactly `samples` samples;
    /// silence for a packet that cannot be decoded.
    pub(crate) fn decode(&mut self, lost: usize, samples: usize, packet: &[u8]) -> &[f32] {
        self.mono.clear();
        let lost = lost.min(LONGEST);
        self.run(lost - lost % CONCEALED_BY, packet, true);
        self.run(samples.min(LONGEST), packet, false);
        &self.mono
    }

    /// Appends `count` samples of what a packet says itself, or of what it says of the one before.
    fn run(&mut self, count: usize, packet: &[u8], before: bool) {
        if count == 0 {
            return;
        }
        let out = &mut self.stereo[..CHANNELS * count];
        let decoded = self.decoder.decode_float_to_slice(packet, out, before);
        let decoded = decoded.unwrap_or_default().min(count);
        let left = out.chunks_exact(CHANNELS).map(|pair| pair[0]);
        self.mono.extend(left.take(decoded));
        self.mono.extend(std::iter::repeat_n(0.0, count - decoded));
    }
}

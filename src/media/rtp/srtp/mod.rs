//! Packets are sealed on their way out and opened on their way in: SRTP and SRTCP (RFC 3711,
//! RFC 7714); pure.
//!
//! Two packets sealed with one keystream give both away. So a [`Sealer`] is made of keys that are
//! gone afterwards, there is one for a transport, and it seals no packet of a stream twice:
//! whatever comes with a sequence number that went out already, or is too old to know, is refused.
//! What is to be sent again goes out under another SSRC (RTX, RFC 4588).
//!
//! What comes is opened by an [`opener`], which keeps nothing of packets that are not authentic.

pub(crate) mod opener;

use std::collections::BTreeMap;

use bytes::BytesMut;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::default_provider;
use rtc_srtp::option::ContextOption;
use rtc_srtp::protection_profile::ProtectionProfile;
use thiserror::Error;

use super::header::ssrc_and_seq;

/// Packets of a stream that may leave out of order: those that are this much older than the newest
/// are refused.
const WINDOW: u64 = 1024;
/// Bits of a word of the window.
const WORD: u64 = u64::BITS as u64;

/// Why nothing can be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SrtpError {
    /// No profile goes by these names.
    #[error("no protection profile for cipher {cipher} and authentication {auth}")]
    Profile { cipher: String, auth: String },
    /// The keys are not of the length that the profile has, or the cipher is not there.
    #[error("keys of {bytes} bytes: {reason}")]
    Keys { bytes: usize, reason: String },
}

/// Master key, master salt and profile of one direction, as DTLS has agreed on them (RFC 5764).
pub(crate) struct SrtpKeys {
    profile: ProtectionProfile,
    /// The key and the salt behind it.
    master: Vec<u8>,
}

impl std::fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpKeys").finish_non_exhaustive()
    }
}

impl SrtpKeys {
    /// Key and salt in one, with the names that GStreamer has for the cipher and for the
    /// authentication, such as `aes-128-icm` and `hmac-sha1-80`.
    ///
    /// # Errors
    /// [`SrtpError::Profile`] for names of no profile that DTLS can agree on.
    pub(crate) fn new(cipher: &str, auth: &str, master: Vec<u8>) -> Result<Self, SrtpError> {
        let profile = match (cipher, auth) {
            ("aes-128-icm", "hmac-sha1-80") => ProtectionProfile::Aes128CmHmacSha1_80,
            ("aes-128-icm", "hmac-sha1-32") => ProtectionProfile::Aes128CmHmacSha1_32,
            ("aes-128-gcm", _) => ProtectionProfile::AeadAes128Gcm,
            ("aes-256-gcm", _) => ProtectionProfile::AeadAes256Gcm,
            _ => {
                return Err(SrtpError::Profile {
                    cipher: cipher.to_owned(),
                    auth: auth.to_owned(),
                });
            }
        };
        Ok(Self { profile, master })
    }

    /// Bytes of the authentication behind a packet of RTCP.
    fn rtcp_tag(&self) -> usize {
        self.profile.rtcp_auth_tag_len()
    }

    /// A context with these keys, which is good for one direction.
    fn context(
        &self,
        replay: Option<(ContextOption, ContextOption)>,
    ) -> Result<Context, SrtpError> {
        let wrong = |reason: String| SrtpError::Keys {
            bytes: self.master.len(),
            reason,
        };
        let (key, salt) = self
            .master
            .split_at_checked(self.profile.key_len())
            .ok_or_else(|| wrong("too short".to_owned()))?;
        let provider = default_provider().map_err(|error| wrong(error.to_string()))?;
        let (rtp, rtcp) = replay.unzip();
        Context::new(key, salt, self.profile, rtp, rtcp, provider.crypto())
            .map_err(|error| wrong(error.to_string()))
    }
}

/// Seals what one transport sends. There is one for a transport: it takes the keys.
pub(crate) struct Sealer {
    context: Context,
    /// What has been sealed of each SSRC.
    sent: BTreeMap<u32, Sent>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("streams", &self.sent.len())
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer that owns these keys.
    ///
    /// # Errors
    /// [`SrtpError::Keys`] when they do not fit their profile.
    pub(crate) fn new(keys: SrtpKeys) -> Result<Self, SrtpError> {
        let context = keys.context(None)?;
        Ok(Self {
            context,
            sent: BTreeMap::new(),
        })
    }

    /// Seals a packet of RTP. `None` for what is no packet, and for one whose number was sealed
    /// before or is [`WINDOW`] behind the newest.
    pub(crate) fn seal_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        let (ssrc, seq) = ssrc_and_seq(packet)?;
        if !self.sent.entry(ssrc).or_default().take(seq) {
            return None;
        }
        self.context.encrypt_rtp(packet).ok()
    }

    /// Seals a compound packet of RTCP, under the SSRC that it begins with.
    pub(crate) fn seal_rtcp(&mut self, compound: &[u8]) -> Option<BytesMut> {
        self.context.encrypt_rtcp(compound).ok()
    }
}

/// Which packets of a stream went out: the newest, and of those before it a window.
#[derive(Debug, Default)]
struct Sent {
    /// Index of the newest packet: its sequence number, and how often numbers have wrapped. `None`
    /// before the first.
    newest: Option<u64>,
    /// Of each index, modulo [`WINDOW`], whether it went out.
    window: [u64; (WINDOW / WORD) as usize],
}

impl Sent {
    /// Takes note of a packet that goes out now. `false` if it must not.
    fn take(&mut self, seq: u16) -> bool {
        let Some(newest) = self.newest else {
            self.newest = Some(seq.into());
            return self.mark(seq.into());
        };
        let ahead = seq.wrapping_sub(newest as u16).cast_signed();
        let Some(index) = newest.checked_add_signed(ahead.into()) else {
            return false;
        };
        if index + WINDOW <= newest {
            return false;
        }
        for skipped in newest + 1..=index.min(newest + WINDOW) {
            self.clear(skipped);
        }
        self.newest = Some(newest.max(index));
        self.mark(index)
    }

    /// Marks an index of the window; `false` if it was.
    fn mark(&mut self, index: u64) -> bool {
        let Some(word) = self.window.get_mut((index % WINDOW / WORD) as usize) else {
            return false;
        };
        let bit = 1 << (index % WORD);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn clear(&mut self, index: u64) {
        if let Some(word) = self.window.get_mut((index % WINDOW / WORD) as usize) {
            *word &= !(1 << (index % WORD));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn keys() -> SrtpKeys {
        SrtpKeys::new("aes-128-icm", "hmac-sha1-80", (0..30).collect()).expect("a profile")
    }

    fn packet(ssrc: u32, seq: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(seq.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend(b"payload");
        packet
    }

    #[test]
    fn no_packet_is_sealed_twice() {
        let mut sealer = Sealer::new(keys()).expect("they fit");
        let mut seal = |ssrc, seq| sealer.seal_rtp(&packet(ssrc, seq)).is_some();
        assert!(seal(1, 65_534) && seal(1, 65_535) && seal(1, 1));
        assert!(seal(1, 0), "out of order");
        assert!(!seal(1, 0) && !seal(1, 65_535) && !seal(1, 1));
        assert!(seal(2, 1), "another stream");
        assert!(seal(1, 1025), "which leaves no room for the first ones");
        assert!(!seal(1, 1) && seal(1, 2));
    }

    #[test]
    fn keys_must_fit_their_profile() {
        assert!(SrtpKeys::new("null", "null", Vec::new()).is_err());
        for bytes in [0, 15, 29, 31] {
            let keys = SrtpKeys::new("aes-128-icm", "hmac-sha1-80", vec![1; bytes]);
            assert!(Sealer::new(keys.expect("a profile")).is_err(), "{bytes}");
        }
    }

    proptest! {
        /// Whatever order packets come in, no index goes out twice.
        #[test]
        fn every_index_is_taken_once(steps in proptest::collection::vec(-1500i64..1500, 1..400)) {
            let (mut sent, mut gone) = (Sent::default(), BTreeSet::new());
            let mut index = 30_000i64;
            prop_assert!(sent.take(30_000));
            gone.insert(index);
            for step in steps {
                index = (index + step).max(0);
                if sent.take(index as u16) {
                    prop_assert!(gone.insert(index), "{index} went out twice");
                } else {
                    let newest = *gone.last().unwrap_or(&0);
                    let is_old = index + WINDOW as i64 <= newest;
                    prop_assert!(gone.contains(&index) || is_old, "{index} was new");
                }
            }
        }
    }
}

//! Messages of STUN and TURN in a byte stream (RFC 8656 section 2.1, section 12.5); pure.

use std::io;

use turn_server_proto::types::stun::message::MessageHeader;

/// Largest packet that is relayed, in bytes: that of a jumbo frame. Packets of WebRTC stay below
/// 1,500 bytes.
pub(super) const MAX_PACKET: usize = 9216;

/// Splits a byte stream into messages.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    /// Bytes received and not split off yet. The reader appends to it.
    pub(super) buffer: Vec<u8>,
}

impl Deframer {
    /// Takes the next whole message out of the buffer, without its padding; `None` until more bytes
    /// have come.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the next message is neither STUN nor ChannelData, or is
    /// longer than [`MAX_PACKET`].
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (length, padded) = match self.buffer[..] {
            [0..=3, _, high, low, ..] => {
                let length = MessageHeader::LENGTH + usize::from(u16::from_be_bytes([high, low]));
                (length, length)
            }
            // RFC 8656 section 12.5: over a stream they are padded to four bytes.
            [0x40..=0x7f, _, high, low, ..] => {
                let length = 4 + usize::from(u16::from_be_bytes([high, low]));
                (length, length.next_multiple_of(4))
            }
            [] | [0..=3 | 0x40..=0x7f, ..] => return Ok(None),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if length > MAX_PACKET {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.buffer.len() < padded {
            return Ok(None);
        }
        let mut message: Vec<u8> = self.buffer.drain(..padded).collect();
        message.truncate(length);
        Ok(Some(message))
    }
}

/// A message as it is sent over a stream: padded to a multiple of four bytes.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = message.to_vec();
    framed.resize(message.len().next_multiple_of(4), 0);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel_data(payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&[0x40, 0, length[0], length[1]], payload].concat()
    }

    #[test]
    fn other_streams_are_refused() {
        for bad in [
            &b"GET / HTTP/1.1"[..],
            &[0x80, 0, 0, 0],
            &[0x40, 0, 0xff, 0xff],
        ] {
            let mut deframer = Deframer {
                buffer: bad.to_vec(),
            };
            assert!(deframer.next().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
            step in 1usize..50,
        ) {
            let messages: Vec<_> = payloads.iter().map(|payload| channel_data(payload)).collect();
            let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            let mut deframer = Deframer::default();
            let mut split = Vec::new();
            for chunk in stream.chunks(step) {
                deframer.buffer.extend_from_slice(chunk);
                while let Some(message) = deframer.next().expect("good messages") {
                    split.push(message);
                }
            }
            prop_assert_eq!(split, messages);
            prop_assert!(deframer.buffer.is_empty());
        }
    }
}

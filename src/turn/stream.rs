//! Clients whose networks let no UDP out: TURN over TCP (RFC 8656 section 2.1).
//!
//! The stream is cut into the messages that would have been packets, and those go the same way.
//! Relays are UDP all the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use turn_server_proto::types::stun::message::MessageHeader;

use super::server::{LARGEST, Shared};
use super::table::Way;

/// How long a connection may be without an allocation.
const ALLOCATE_BY: Duration = Duration::from_secs(10);
/// How long an allocation may be silent: Refresh comes every few minutes.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// Messages that wait for a client before they are dropped.
const QUEUE: usize = 256;
/// Pause after a failed accept: without file descriptors, trying again at once is a busy loop.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections there may be besides those with an allocation.
const WAITING: usize = 64;

/// Accepts connections until the server stops.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, most: usize) {
    let places = Arc::new(Semaphore::new(most.saturating_add(WAITING)));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a TURN connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        // A connection too many is closed by being dropped.
        let place = places.clone().try_acquire_owned();
        if let (Ok(place), true) = (place, shared.strangers.admit(from.ip())) {
            let serving = serve(shared.clone(), stream, from);
            shared.tasks.spawn(async move {
                serving.await;
                drop(place);
            });
        }
    }
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream, from: SocketAddr) {
    // Media is late enough as it is.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (mut read, mut write) = stream.split();
    let (queue, mut queued) = mpsc::channel::<Vec<u8>>(QUEUE);
    let way = Way::Tcp(from, queue);
    let writing = async {
        while let Some(data) = queued.recv().await {
            write.write_all(&data).await?;
        }
        io::Result::Ok(())
    };
    let reading = async {
        let mut cutter = Cutter::default();
        loop {
            let limit = match shared.knows(&way) {
                true => SILENCE,
                false => ALLOCATE_BY,
            };
            let length = timeout(limit, read.read_buf(&mut cutter.buffer)).await??;
            if length == 0 {
                return io::Result::Ok(());
            }
            while let Some(message) = cutter.next()? {
                shared.packet(&way, &message);
            }
        }
    };
    let end = tokio::select! {
        () = shared.stop.cancelled() => Ok(()),
        end = writing => end,
        end = reading => end,
    };
    if let Err(error) = end {
        tracing::debug!(%error, %from, "a TURN connection failed");
    }
    shared.leave(&way);
}

/// Cuts a stream into messages; pure.
#[derive(Debug, Default)]
struct Cutter {
    buffer: Vec<u8>,
}

impl Cutter {
    /// The next whole message.
    ///
    /// # Errors
    /// What comes is neither STUN nor ChannelData, or is too long.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
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
        if length > LARGEST {
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

/// A message as it stands in a stream.
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
            let mut cutter = Cutter {
                buffer: bad.to_vec(),
            };
            assert!(cutter.next().is_err(), "{bad:?}");
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
            let mut cutter = Cutter::default();
            let mut cut = Vec::new();
            for chunk in stream.chunks(step) {
                cutter.buffer.extend_from_slice(chunk);
                while let Some(message) = cutter.next().expect("good messages") {
                    cut.push(message);
                }
            }
            prop_assert_eq!(cut, messages);
            prop_assert!(cutter.buffer.is_empty());
        }
    }
}

//! TURN over TCP (RFC 8656 section 2.1), for clients whose networks block UDP.
//!
//! The stream is split into the messages that would have been UDP packets, which are then handled
//! alike. Relays use UDP in either case.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::framing::Deframer;
use super::server::Shared;
use super::table::ClientPath;

/// Time within which a connection without an allocation must send something; it is closed after
/// that.
const UNALLOCATED_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which a connection with an allocation counts as dead if nothing has come. A client
/// refreshes its allocation every few minutes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Number of messages that may wait for a client to read; further ones are dropped.
const SEND_QUEUE: usize = 256;
/// Pause after a failed accept. Without it the loop would spin when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Number of connections without an allocation that are kept besides the largest number of
/// allocations.
const MAX_UNALLOCATED: usize = 64;

/// Accepts connections until the server stops. `max_allocations` is the limit of the server, which
/// bounds the number of connections.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, max_allocations: usize) {
    let slots = Arc::new(Semaphore::new(
        max_allocations.saturating_add(MAX_UNALLOCATED),
    ));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a TURN connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A connection too many is closed by being dropped.
        let slot = slots.clone().try_acquire_owned();
        if let (Ok(slot), true) = (slot, shared.unauthenticated.admit(from.ip())) {
            let serving = serve(shared.clone(), stream, from);
            shared.tasks.spawn(async move {
                serving.await;
                drop(slot);
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
    let (queue, mut queued) = mpsc::channel::<Vec<u8>>(SEND_QUEUE);
    let path = ClientPath::Tcp(from, queue);
    let writing = async {
        while let Some(data) = queued.recv().await {
            write.write_all(&data).await?;
        }
        io::Result::Ok(())
    };
    let reading = async {
        let mut deframer = Deframer::default();
        loop {
            let limit = match shared.has_allocation(&path) {
                true => IDLE_TIMEOUT,
                false => UNALLOCATED_TIMEOUT,
            };
            let length = timeout(limit, read.read_buf(&mut deframer.buffer)).await??;
            if length == 0 {
                return io::Result::Ok(());
            }
            while let Some(message) = deframer.next()? {
                shared.packet(&path, &message);
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
    shared.disconnected(&path);
}

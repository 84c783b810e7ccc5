//! Streams that rest and come back, with participants who take an RTCP BYE for the end of a stream,
//! as aiortc does and RFC 3550 section 6.3.7 allows.

use std::time::Duration;

use super::script::Script;
use crate::common::server::TestServer;

/// Joining, a rest of 20 s, and ten seconds to come back, for a machine with a lot to do.
const LONGEST: Duration = Duration::from_secs(180);

/// The mix while its viewers get forwarding, and while they want no picture or none that fits; a
/// camera that is muted; a screen that is shared late; and a room in which nobody is left.
#[tokio::test(flavor = "multi_thread")]
async fn no_rest_ends_a_stream() {
    let server = TestServer::with(|config| {
        config.canvas.width = 320;
        config.canvas.height = 180;
    })
    .await;
    let people = Script::python("rest.py", &[&server.url]);
    people.ends_within(LONGEST).await;
    server.stop().await;
}

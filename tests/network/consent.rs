//! Players who do not get what they are sent: it is not sent for ever.

use std::time::Duration;

use tessera::bots::{Bot, BotConfig, Decode, Entry, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::protocol::room::RoomState;
use tokio::time::{Instant, sleep, timeout};

use crate::common::bars::at_most;
use crate::common::netns::{Line, Network, NetworkServer, Way};
use crate::common::server::room;

/// How long somebody may be sent media who says of none that it arrives (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(30);
/// When libnice 0.1.21, that of Debian 12, notices by itself.
const LIBNICE: Duration = Duration::from_secs(50);

/// For what was sent as the session ended.
const UNDERWAY: Duration = Duration::from_secs(1);
/// How long it is watched afterwards that nothing is sent.
const WATCHED: Duration = Duration::from_secs(4);
/// More packets than TCP sends meanwhile, by which they have joined; of sound alone it would be fifty
/// a second.
const OTHERS: u64 = 20;
/// The fewest packets that were sent in vain, so that there is something to say of their end.
const IN_VAIN: u64 = 50;

async fn sends(server: &NetworkServer, line: Line<'_>) -> Bot {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    let sender = BotConfig::new(server.url(line), room("consent"), "Sender");
    let mut sender = sender.decoding(Decode::No).person(0, format);
    sender.interface = line.interface();
    Bot::join(sender).await.expect("they join")
}

async fn plays(server: &NetworkServer, line: Line<'_>) -> Bot {
    let player = BotConfig::new(server.url(line), room("consent"), "Player");
    let mut player = player.decoding(Decode::Video);
    player.entry = Entry::Whep;
    player.interface = line.interface();
    let player = Bot::join(player).await.expect("they join");
    player.picture().await.expect("they see something");
    player
}

/// Loses everything on these ways until the server has let go of who is on the line, and says how
/// long that took. From then on nothing is sent there.
async fn is_let_go(sender: &Bot, line: Line<'_>, ways: &[Way], left: usize) -> Duration {
    let began = Instant::now();
    for way in ways {
        line.lose(*way, 100);
    }
    let mut state = sender.room();
    let are_left = |state: &Option<RoomState>| {
        let state = state.as_ref();
        state.is_some_and(|state| state.participants.len() == left)
    };
    let longest = at_most(CONSENT).min(LIBNICE);
    // What is waited for is locked as long as it is kept.
    let is_gone = timeout(longest, state.wait_for(are_left)).await.is_ok();
    assert!(is_gone, "still there after {longest:?}");
    let after = began.elapsed();

    sleep(UNDERWAY).await;
    let sent = line.lost(Way::Down);
    assert!(sent > IN_VAIN, "{sent} packets were sent in vain");
    sleep(WATCHED).await;
    let more = line.lost(Way::Down) - sent;
    assert!(more < OTHERS, "{more} more packets are sent");
    after
}

/// One goes without a word. The other is there, and says so, but nothing reaches it: as if its NAT
/// had given it another port, and it did not nominate that.
#[tokio::test(flavor = "multi_thread")]
async fn who_gets_nothing_is_sent_nothing_after_a_while() {
    let network = Network::new(3);
    let server = network.serve(&[]).await;
    let [line, gone, deaf] = [0, 1, 2].map(|index| network.line(index));
    let sender = sends(&server, line).await;
    let players = [plays(&server, gone).await, plays(&server, deaf).await];
    let after = is_let_go(&sender, gone, &[Way::Up, Way::Down], 2).await;
    println!("who has gone is let go of after {after:.1?}");
    let after = is_let_go(&sender, deaf, &[Way::Down], 1).await;
    println!("whom nothing reaches is let go of after {after:.1?}");
    for player in players {
        player.kill().await;
    }
    sender.leave().await.expect("they leave");
    server.stop().await;
}

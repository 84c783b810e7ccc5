//! What a real browser makes of a line that loses packets.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, Path, VideoFormat, Voice, clock};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::topology::Mode;
use tokio::time::{sleep, timeout};

use crate::common::bars::share;
use crate::common::browser::{Page, Permission, alone};
use crate::common::netns::{Line, Network, Way};
use crate::common::server::{PATIENCE, room};

/// How long each mode is watched.
const WATCHED: Duration = Duration::from_secs(8);

/// Of packets, each way: a frame that is forwarded is in danger twice.
const LOSS_PERCENT: u32 = 5;

/// The least share of frames that arrives, percent.
const KEPT: u64 = 80;

/// What Chromium begins with, bit/s. It dares more only if it is told how its packets arrive.
const FIRST_ESTIMATE: u64 = 300_000;

/// Sums over the page's video streams.
const FIGURES: &str = "(async () => {
  const all = [...((await window.tessera.pc?.getStats())?.values() ?? [])];
  const sum = (type, name) => all.filter((s) => s.type === type && s.kind === 'video')
    .reduce((total, s) => total + (s[name] ?? 0), 0);
  return {
    decoded: sum('inbound-rtp', 'framesDecoded'),
    asked: sum('inbound-rtp', 'nackCount'),
    recovered: sum('inbound-rtp', 'retransmittedPacketsReceived'),
    freezes: sum('inbound-rtp', 'freezeCount'),
    sent: sum('outbound-rtp', 'framesSent'),
    askedOfIt: sum('outbound-rtp', 'nackCount'),
    resent: sum('outbound-rtp', 'retransmittedPacketsSent'),
  };
})()";

/// Of the page's sound: packets that said again what was in the one before, and how many of those
/// were of no use, for that one had come.
const SOUND: &str = "(async () => {
  const all = [...((await window.tessera.pc?.getStats())?.values() ?? [])];
  const sum = (name) => all.filter((s) => s.type === 'inbound-rtp' && s.kind === 'audio')
    .reduce((total, s) => total + (s[name] ?? 0), 0);
  return {
    packets: sum('packetsReceived'),
    lost: sum('packetsLost'),
    repeated: sum('fecPacketsReceived'),
    unused: sum('fecPacketsDiscarded'),
    concealed: sum('concealedSamples'),
    samples: sum('totalSamplesReceived'),
  };
})()";

/// Of packets on the way to a page that listens, percent.
const LOST_SOUND: u32 = 10;

/// How much the page dares to send, bit/s.
const ESTIMATE: &str = "[...((await window.tessera.pc?.getStats())?.values() ?? [])]
  .find((s) => s.type === 'candidate-pair' && s.nominated)?.availableOutgoingBitrate";

/// The page and the bot in one room, over one line.
struct Call<'a> {
    line: Line<'a>,
    page: Page,
    bot: Bot,
    ann: ParticipantId,
}

impl<'a> Call<'a> {
    async fn start(line: Line<'a>, url: &str) -> Self {
        let mut config = BotConfig::new(url, room("loss"), "Bot")
            .person(0, VideoFormat::new(VideoCodec::Vp8))
            .decoding(Decode::Both)
            .with_slots(2);
        config.interface = line.interface();
        let bot = Bot::join(config).await.unwrap();
        let page = Page::chromium_with("Ann", Permission::GrantedTo(url.to_owned())).await;
        page.join(url, "loss").await;
        let decodes = format!("(await {FIGURES}).decoded > 30");
        page.until("the bot's picture", &decodes).await;
        let both = bot.room_when("Ann", |room| room.participants.len() == 2);
        let people = both.await.unwrap().participants;
        let ann = people
            .iter()
            .find(|person| person.name == "Ann")
            .unwrap()
            .id;
        Self {
            line,
            page,
            bot,
            ann,
        }
    }

    /// Frames of the page that the bot has seen since.
    fn seen(&self, since: Duration, path: Path) -> u64 {
        let detections = self.bot.observer().detections(self.ann);
        let new = detections
            .iter()
            .filter(|s| s.at >= since && s.path == path);
        new.count() as u64
    }

    /// Frames that the bot has sent, and frames of the composite that it has decoded.
    fn counted(&self) -> (u64, u64) {
        let stats = self.bot.stats();
        let mix = stats.received.iter().find(|s| s.role == Role::MixVideo);
        (stats.frames_sent, mix.unwrap().decoded)
    }

    /// Changes the mode over a good line, and waits until media comes that way.
    async fn change(&self, mode: Mode, path: Path) {
        self.line.clear();
        self.bot.set_mode(mode).unwrap();
        let changed = clock::now();
        let mut changes = self.bot.observer().changes();
        let by_this_way = changes.wait_for(|_| self.seen(changed, path) > 30);
        let waited = timeout(PATIENCE, by_this_way).await;
        waited.expect("frames by the way of the mode").unwrap();
    }

    /// Both see enough of what there is to be seen.
    async fn survives(&self, mode: Mode, path: Path) {
        self.change(mode, path).await;
        self.line.lose(Way::Up, LOSS_PERCENT);
        self.line.lose(Way::Down, LOSS_PERCENT);
        let (before, start) = (self.page.evaluate(FIGURES).await, clock::now());
        let (sent_before, mixed_before) = self.counted();
        sleep(WATCHED).await;
        let now = self.page.evaluate(FIGURES).await;
        let (sent, mixed) = self.counted();
        let figure = |name: &str| now[name].as_u64().unwrap() - before[name].as_u64().unwrap();
        let to_page = match mode {
            Mode::Mcu => mixed - mixed_before,
            _ => sent - sent_before,
        };
        let (to_bot, from_page) = (self.seen(start, path), figure("sent"));
        println!(
            "{mode:?}: the page decoded {} frames of {to_page}, with {} NACKs and {} recovered, \
             {} freezes; the bot saw {to_bot} of {from_page}, with {} NACKs and {} sent again",
            figure("decoded"),
            figure("asked"),
            figure("recovered"),
            figure("freezes"),
            figure("askedOfIt"),
            figure("resent"),
        );
        assert!(
            figure("decoded") * 100 >= to_page * share(KEPT),
            "too little down"
        );
        assert!(to_bot * 100 >= from_page * share(KEPT), "too little up");
        assert!(figure("asked") > 0 && figure("recovered") > 0, "down");
        assert!(figure("askedOfIt") > 0 && figure("resent") > 0, "up");
    }
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn chromium_repairs_what_is_lost_both_ways() {
    let _alone = alone().await;
    let network = Network::new(1);
    let line = network.line(0);
    let server = network.serve(&["--mode", "sfu"]).await;
    let call = Call::start(line, &server.url(line)).await;
    // The reports of the arrival of its packets (transport-wide-cc) reach it.
    let estimate = format!("({ESTIMATE}) > {}", 2 * FIRST_ESTIMATE);
    call.page.until("an estimate", &estimate).await;
    call.survives(Mode::Sfu, Path::Forward).await;
    call.survives(Mode::Mcu, Path::Mix).await;
    let Call { page, bot, .. } = call;
    page.assert_no_errors();
    bot.leave().await.unwrap();
    drop(page);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn chromium_takes_lost_sound_from_the_next_packet() {
    let _alone = alone().await;
    let network = Network::new(2);
    let (line, others) = (network.line(0), network.line(1));
    let server = network.serve(&["--mode", "mcu"]).await;
    let joins = [Voice::Ada, Voice::Ben, Voice::Cleo].map(|voice| {
        let name = format!("{voice:?}");
        let mut config = BotConfig::new(server.url(others), room("loss"), name);
        config.interface = others.interface();
        config.audio = AudioSource::Speech(voice);
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.unwrap();
    let url = server.url(line);
    let page = Page::chromium_with("Ann", Permission::GrantedTo(url.clone())).await;
    page.join(&url, "loss").await;
    let hears = format!("(await {SOUND}).packets > 50");
    page.until("sound", &hears).await;
    let before = page.evaluate(SOUND).await;
    line.lose(Way::Down, LOST_SOUND);
    let mended = format!("(await {SOUND}).repeated - (await {SOUND}).unused >= 20");
    let within = 2 * PATIENCE;
    page.until_within("sound that was mended", &mended, within)
        .await;
    let now = page.evaluate(SOUND).await;
    println!("sound at first {before}, then {now}");
    assert_eq!(before["repeated"], 0, "nothing was lost yet");
    page.assert_no_errors();
    join_all(bots.into_iter().map(Bot::leave)).await;
    drop(page);
    server.stop().await;
}

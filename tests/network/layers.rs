//! Viewers of a camera in several encodings, on lines that carry little: that they get one that
//! fits, and the largest when the line is good again, and that nobody else notices.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tessera::bots::observe::palette;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, StreamStats, clock};
use tessera::id::{ParticipantId, Role};
use tessera::protocol::{ClientMessage, PictureSize};
use tokio::time::{Instant, sleep};

use crate::common::browser::{Page, Permission, alone};
use crate::common::netns::{Network, NetworkServer, Way};
use crate::common::server::{PATIENCE, room};

/// What the slow line carries, kbit/s.
const KBIT: u32 = 600;
/// The canvas, and with it the largest encoding; its half fits the slow line.
const LARGEST: (u32, u32) = (960, 540);

/// The lines. The browser could use any of them, and takes the first.
const CAMERA: usize = 0;
const VOICE: usize = 1;
const FREE: usize = 2;
const LIMITED: usize = 3;

/// In which a viewer is to have an encoding that fits.
const SETTLES: Duration = Duration::from_secs(10);
/// How long it is watched after that: long enough for more to be tried than the line carries.
const WATCHED: Duration = Duration::from_secs(40);
/// In which a viewer is to be back at the largest: that the line carries it is found out each 16
/// seconds, and each step up takes 3.
const RECOVERS: Duration = Duration::from_secs(40);
/// The longest pause in a picture.
const FREEZE: Duration = Duration::from_secs(1);
/// The longest time without the tone: the line's queue holds up sound by 0.2 s while more is tried.
const SILENCE: Duration = Duration::from_millis(400);
/// Keyframes that come with trying twice what the line does not carry.
const MOVED: u64 = 5;
/// What is said last is still on its way when it is asked for.
const UNDERWAY: Duration = Duration::from_millis(500);

/// The server's address that the page's media goes to.
const SERVER: &str = "(async () => {
  const stats = await window.tessera.pc.getStats();
  const pair = [...stats.values()].find((one) => one.type === 'candidate-pair' && one.nominated);
  return stats.get(pair?.remoteCandidateId)?.address;
})()";

/// What a viewer gets of the camera.
fn camera(bot: &Bot, who: ParticipantId) -> StreamStats {
    let mut received = bot.stats().received.into_iter();
    let forwarded = |one: &StreamStats| one.role == Role::ForwardVideo && one.from == Some(who);
    received.find(forwarded).unwrap()
}

fn size(stats: &StreamStats) -> (u32, u32) {
    stats.size.map_or((0, 0), |size| (size.width, size.height))
}

fn seen(bot: &Bot, who: ParticipantId) -> (u32, u32) {
    let mut received = bot.stats().received.into_iter();
    let forwarded = |one: &StreamStats| one.role == Role::ForwardVideo && one.from == Some(who);
    received.find(forwarded).map_or((0, 0), |one| size(&one))
}

/// Waits until a viewer sees the camera in a size; how long that took, if it did in time.
async fn sees(
    bot: &Bot,
    who: ParticipantId,
    within: Duration,
    right: impl Fn((u32, u32)) -> bool,
) -> Option<Duration> {
    let began = Instant::now();
    while !right(seen(bot, who)) {
        if began.elapsed() > within {
            return None;
        }
        sleep(Duration::from_millis(50)).await;
    }
    Some(began.elapsed())
}

/// A room with a browser's camera, a voice, and those who watch.
struct Call {
    network: Network,
    server: NetworkServer,
    page: Page,
    voice: Bot,
    viewers: Vec<Bot>,
    who: ParticipantId,
}

impl Call {
    /// All see the camera in its largest encoding.
    async fn start(watching: &[(usize, &str)]) -> Self {
        let network = Network::new(4);
        let canvas = format!("{}x{}", LARGEST.0, LARGEST.1);
        let server = network.serve(&["--mode", "sfu", "--canvas", &canvas]).await;
        let config = |line: usize, name: &str| {
            let mut config = BotConfig::new(server.url(network.line(line)), room("layers"), name);
            config.interface = network.line(line).interface();
            config.with_slots(2)
        };
        let mut voice = config(VOICE, "Voice").receiving(&[]);
        voice.audio = AudioSource::Tone {
            hz: palette::tone(0) as u32,
            dbfs: -24,
        };
        let voice = Bot::join(voice).await.unwrap();
        let join = |&(line, name): &(usize, &str)| {
            Bot::join(config(line, name).decoding(Decode::Both).telling_arrivals())
        };
        let viewers = join_all(watching.iter().map(join)).await;
        let viewers: Vec<Bot> = viewers.into_iter().map(Result::unwrap).collect();
        let url = server.url(network.line(CAMERA));
        let page = Page::chromium_with("Ann", Permission::GrantedTo(url.clone())).await;
        page.join(&url, "layers").await;
        let id = page.until("Ann", "probe.person('Ann')?.id").await;
        let who = id.as_str().unwrap().parse().unwrap();
        for bot in &viewers {
            let picture = PictureSize {
                participant: who,
                role: Role::Camera,
                height: LARGEST.1,
            };
            let pictures = vec![picture];
            bot.send(ClientMessage::Sizes { pictures }).unwrap();
        }
        let call = Self {
            network,
            server,
            page,
            voice,
            viewers,
            who,
        };
        for bot in &call.viewers {
            let largest = sees(bot, who, PATIENCE, |size| size == LARGEST).await;
            println!("{} has the largest after {largest:?}", bot.name());
            assert!(largest.is_some(), "{:?}", bot.stats().received);
        }
        // A browser dares to send more by and by.
        call.watch(Duration::from_secs(5)).await;
        let narrow = call.network.line(LIMITED).server().to_string();
        let by = call.page.evaluate(SERVER).await;
        assert_ne!(by, narrow, "the camera has a line of its own");
        call
    }

    async fn end(self) {
        self.page.assert_no_errors();
        for bot in self.viewers.into_iter().chain([self.voice]) {
            bot.leave().await.unwrap();
        }
        self.server.stop().await;
    }

    /// What is not as it should be for the first viewer while their line is narrow, and after that.
    async fn narrow(&self) -> Vec<&'static str> {
        let limited = &self.viewers[0];
        let limit = clock::now();
        self.network.line(LIMITED).limit(Way::Down, KBIT);
        let smaller = sees(limited, self.who, SETTLES, |size| size.1 < LARGEST.1).await;
        println!("smaller after {smaller:?}: {}", self.told().await);
        sleep(SETTLES.saturating_sub(clock::now() - limit)).await;
        self.figures(limited, limit);

        limited.reset_stats();
        let start = clock::now();
        let stalled = self.watch(WATCHED).await;
        let (got, silence) = self.figures(limited, start);
        self.network.line(LIMITED).clear();
        let back = sees(limited, self.who, RECOVERS, |size| size == LARGEST).await;
        println!("the largest again after {back:?}: {}", self.told().await);
        let checks = [
            (smaller.is_some(), "a smaller encoding soon"),
            (got.bitrate() < f64::from(KBIT) * 1000.0, "it fits"),
            (got.longest_gap < FREEZE + stalled, "it does not freeze"),
            (silence < SILENCE + stalled, "sound goes on"),
            (got.keyframes < MOVED, "it is not moved in vain"),
            (back.is_some(), "the largest again"),
        ];
        let wrong = checks.into_iter().filter(|(right, _)| !right);
        wrong.map(|(_, what)| what).collect()
    }

    /// What the server says of the viewers, for people who read the output of a failed test.
    async fn told(&self) -> String {
        let url = self.server.url(self.network.line(FREE));
        let answer = reqwest::get(format!("{url}/api/v1/rooms/layers/stats")).await;
        let stats: Value = answer.unwrap().json().await.unwrap();
        let people = stats["participants"].as_array().unwrap();
        let told = people
            .iter()
            .map(|p| format!("{}: {}", p["name"], p["link"]));
        told.collect::<Vec<_>>().join("; ")
    }

    /// What a viewer got since its figures were last reset, and the longest time without sound.
    fn figures(&self, bot: &Bot, start: Duration) -> (StreamStats, Duration) {
        let (name, stats) = (bot.name(), camera(bot, self.who));
        let silence = bot.observer().unheard(0, start..clock::now() - UNDERWAY);
        println!(
            "{name}: {:?}, {:.0} kbit/s, {:.1} frames/s, {} keyframes, {} packets lost, {:?} \
             without a frame and {:?} without sound at most",
            size(&stats),
            stats.bitrate() / 1000.0,
            stats.decoded as f64 / stats.measured.as_secs_f64(),
            stats.keyframes,
            stats.lost,
            stats.longest_gap,
            silence.length
        );
        (stats, silence.length)
    }

    /// Says what is seen each second. Gives the longest time by which that came late: for so long
    /// the machine had no time for any of it.
    async fn watch(&self, length: Duration) -> Duration {
        let end = Instant::now() + length;
        let mut stalled = Duration::ZERO;
        while Instant::now() < end {
            let began = Instant::now();
            let sizes: Vec<_> = self.viewers.iter().map(|bot| seen(bot, self.who)).collect();
            println!("{:?} {sizes:?} {}", clock::now(), self.told().await);
            sleep(Duration::from_secs(1)).await;
            stalled = stalled.max(began.elapsed().saturating_sub(Duration::from_secs(1)));
        }
        println!("the machine stood still for {stalled:?} at most");
        stalled
    }
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_slow_line_gets_an_encoding_that_fits_and_nobody_else_notices() {
    let _alone = alone().await;
    let call = Call::start(&[(LIMITED, "Limited"), (FREE, "Free")]).await;
    let (free, start) = (&call.viewers[1], clock::now());
    free.reset_stats();
    let mut wrong = call.narrow().await;
    let (got, silence) = call.figures(free, start);
    let checks = [
        (size(&got) == LARGEST, "the other keeps the largest"),
        (got.longest_gap < FREEZE, "and does not freeze"),
        (silence < SILENCE, "nor falls silent"),
    ];
    let more = checks.into_iter().filter(|(right, _)| !right);
    wrong.extend(more.map(|(_, what)| what));
    assert!(wrong.is_empty(), "not so: {wrong:?}");
    call.end().await;
}

/// Then the largest encoding stands in for the smaller ones: it becomes smaller itself.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_slow_line_to_the_only_viewer_makes_the_camera_smaller() {
    let _alone = alone().await;
    let call = Call::start(&[(LIMITED, "Limited")]).await;
    let wrong = call.narrow().await;
    assert!(wrong.is_empty(), "not so: {wrong:?}");
    call.end().await;
}

//! Viewers of a composite on lines that carry little: that they get a picture which fits, and the
//! whole one when the line is good again, and that nobody else notices.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::Picture;
use tessera::bots::{
    AudioSource, Bot, BotConfig, BotError, Decode, StreamStats, VideoFormat, VideoSource, clock,
};
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tokio::time::{Instant, sleep, timeout};

use crate::common::netns::{Network, NetworkServer, Way};
use crate::common::server::room;

/// What the slow lines carry, kbit/s: viewers 0, 1 and 2.
const RATES: [u32; 3] = [150, 300, 800];
/// A line that carries sound and hardly more.
const POOR: u32 = 70;

/// In which a viewer is to be on a rung that fits.
const SETTLES: Duration = Duration::from_secs(10);
/// How long it is watched there.
const WATCHED: Duration = Duration::from_secs(8);
/// In which a viewer is to be back at the top.
const RECOVERS: Duration = Duration::from_secs(30);
/// The longest pause in a picture.
const FREEZE: Duration = Duration::from_secs(1);
/// The same where nothing but reports tell of a link, one a second.
const FREEZE_REPORTED: Duration = Duration::from_secs(8);
/// In which such a viewer is to be back at the top.
const RECOVERS_REPORTED: Duration = Duration::from_secs(60);
/// The most packets of sound that such a viewer is missing, percent, from the moment when a line
/// becomes slow.
const LOST_FIRST_REPORTED: u64 = 30;
/// The longest pause between stills: they are drawn every five seconds, and one may go out at once
/// and the next over four, a packet at a time. A still that never came would make it ten.
const STILL: Duration = Duration::from_millis(9_900);
/// The most packets of sound, of 20 ms, that are missing in a row beyond what the machine keeps from
/// the viewer with a good line: a decoder conceals that.
const SILENCE: u64 = 5;
/// The least share of sound with the tone in it, percent of that of the viewer with a good line.
const HEARD: usize = 93;
/// The most packets of sound that are missing, percent, from the moment when a line becomes slow, as long as what was sent before is in the way.
const LOST_FIRST: u64 = 20;
/// The least share that the viewer with a good line keeps of its frames and bits, percent.
const KEPT: f64 = 90.0;
/// The canvas.
const TOP: (u32, u32) = (1280, 720);
/// The smallest picture.
const SMALLEST: (u32, u32) = (320, 180);

/// What a viewer got of the composite or the mix since its figures were last reset.
fn figures(bot: &Bot, role: Role) -> StreamStats {
    let received = bot.stats().received.into_iter();
    let mut received = received.filter(|stream| stream.role == role);
    received.next().expect("it receives that")
}

fn video(bot: &Bot) -> StreamStats {
    figures(bot, Role::MixVideo)
}

fn sound(bot: &Bot) -> StreamStats {
    figures(bot, Role::MixAudio)
}

fn size(stats: &StreamStats) -> (u32, u32) {
    stats.size.map_or((0, 0), |size| (size.width, size.height))
}

/// Frames a second and bit/s.
fn pace(stats: &StreamStats) -> (f64, f64) {
    let seconds = stats.measured.as_secs_f64();
    (stats.decoded as f64 / seconds, stats.bitrate())
}

async fn until_top(bot: &Bot) {
    let whole = |picture: &Picture| (picture.width, picture.height) == TOP;
    // It gives up sooner than a link may take to grow.
    loop {
        match bot.picture_when("the whole composite", whole).await {
            Ok(_) => return,
            Err(BotError::Deadline { .. }) => {}
            Err(error) => panic!("{}: {error}", bot.name()),
        }
    }
}

/// A room with one who sends, one who watches over a good line, and some whose lines will be slow.
struct Meeting {
    network: Network,
    server: NetworkServer,
    sender: Bot,
    free: Bot,
    slow: Vec<Bot>,
}

/// What a viewer with a good line has.
#[derive(Debug, Clone, Copy)]
struct Machine {
    /// Most packets of sound in a row that were missing.
    lost: u64,
    /// Longest time without a frame.
    freeze: Duration,
    /// Pieces of sound with the tone in them.
    pieces: usize,
}

impl Meeting {
    /// Everybody has joined and sees the whole composite. The viewers tell of their links as `tell`
    /// has it.
    async fn start(slow: usize, tell: impl Fn(BotConfig) -> BotConfig) -> Self {
        let network = Network::new(slow + 2);
        let server = network.serve(&["--mode", "mcu"]).await;
        let config = |line: usize, name: String| {
            let mut config = BotConfig::new(server.url(network.line(line)), room("rates"), name);
            config.interface = network.line(line).interface();
            config.with_slots(0)
        };
        let mut sending = config(slow + 1, "Sender".to_owned()).receiving(&[]);
        // A picture of one colour would fit through any line.
        sending.video = VideoSource::Film {
            format: VideoFormat::sized(VideoCodec::Vp8, 1280, 720),
            offset: Duration::ZERO,
        };
        sending.audio = AudioSource::Tone {
            hz: palette::tone(0) as u32,
            dbfs: -24,
        };
        let sender = Bot::join(sending).await.expect("the sender joins");
        let joins = (0..=slow).map(|i| {
            let config = config(i, format!("Viewer {i}"));
            Bot::join(tell(config.decoding(Decode::Both)))
        });
        let mut slow = try_join_all(joins).await.expect("everybody joins");
        let all = join_all(slow.iter().map(until_top));
        timeout(RECOVERS, all).await.expect("the whole composite");
        let free = slow.pop().expect("the last one");
        Self {
            network,
            server,
            sender,
            free,
            slow,
        }
    }

    /// Makes the lines slow, viewer for viewer, and waits until what follows has been done. Returns
    /// since when they are watched.
    async fn slow_down(&self, rates: &[u32], most_lost: u64) -> Duration {
        let all = self.slow.iter().chain([&self.free]);
        all.for_each(Bot::reset_stats);
        for (i, kbit) in rates.iter().enumerate() {
            self.network.line(i).limit(Way::Down, *kbit);
        }
        sleep(SETTLES).await;
        println!("settled:\n{}", self.told().await);
        for (bot, kbit) in self.slow.iter().zip(rates) {
            let (sound, video) = (sound(bot), video(bot));
            println!(
                "{kbit} kbit/s, at first: {} of {} packets of sound lost, {} in a row, {:?} without \
                 a frame at most",
                sound.lost,
                sound.packets + sound.lost,
                sound.lost_in_a_row,
                video.longest_gap
            );
            assert!(
                lost(&sound) <= most_lost,
                "too much sound is lost: {sound:?}"
            );
        }
        self.slow.iter().for_each(Bot::reset_stats);
        clock::now()
    }

    /// What the machine has kept from the viewer with a good line, at worst, since `start`; of sound
    /// since lines became slow.
    fn machine(&self, start: Duration) -> Machine {
        let sender = self.sender.id().expect("a WebSocket bot has an id");
        let detections = self.free.observer().detections(sender);
        let seen = detections.iter().map(|detection| detection.at);
        let seen: Vec<_> = seen.filter(|at| *at >= start).collect();
        let gaps = seen.windows(2).map(|pair| pair[1] - pair[0]);
        let machine = Machine {
            lost: sound(&self.free).lost_in_a_row,
            freeze: gaps.max().expect("it sees something"),
            pieces: pieces(&self.free, start),
        };
        println!("on the good line: {machine:?}");
        machine
    }

    /// Frames a second and bit/s of a viewer while all lines are good.
    async fn whole(viewer: &Bot) -> (f64, f64) {
        viewer.reset_stats();
        sleep(Duration::from_secs(5)).await;
        let (fps, bits) = pace(&video(viewer));
        println!("good lines: {fps:.1} frames/s, {:.0} kbit/s", bits / 1000.0);
        (fps, bits)
    }

    /// The lines are good again: what is wrong with how their viewers come back.
    async fn recover(&self, within: Duration) -> Vec<String> {
        let cleared = Instant::now();
        (0..self.slow.len()).for_each(|i| self.network.line(i).clear());
        let back = join_all(self.slow.iter().map(|bot| async move {
            let back = timeout(within, until_top(bot)).await;
            println!("{} at the top after {:?}", bot.name(), cleared.elapsed());
            back.is_ok()
        }))
        .await;
        match back.contains(&false) {
            true => vec![format!(
                "not all are back at the top: {}",
                self.told().await
            )],
            false => Vec::new(),
        }
    }

    /// What the server says of the viewers, for people who read the output of a failed test.
    async fn told(&self) -> String {
        let url = self.server.url(self.network.line(self.slow.len()));
        let answer = reqwest::get(format!("{url}/api/v1/rooms/rates/stats")).await;
        let stats: Value = answer.expect("an answer").json().await.expect("JSON");
        let people = stats["participants"].as_array().expect("participants");
        let told = people
            .iter()
            .map(|p| format!("{}: rung {}, link {}", p["name"], p["rung"], p["link"]));
        told.collect::<Vec<_>>().join("\n")
    }

    async fn end(self) {
        let bots = self.slow.into_iter().chain([self.free, self.sender]);
        join_all(bots.map(Bot::leave)).await;
        self.server.stop().await;
    }
}

/// In how many pieces of 20 ms a viewer has heard the tone since `start`.
fn pieces(bot: &Bot, start: Duration) -> usize {
    let sounds = bot.observer().sounds();
    let heard = sounds
        .iter()
        .filter(|sound| sound.start >= start && sound.tones & 1 == 1);
    heard.count()
}

/// The share of packets that are missing, percent.
fn lost(stats: &StreamStats) -> u64 {
    stats.lost * 100 / (stats.packets + stats.lost).max(1)
}

/// What is wrong with what a viewer on a line of `kbit` got in the time since `start`, beyond what
/// the machine did to one with a good line. The picture may stand still for `longest`.
fn complaints(
    bot: &Bot,
    kbit: u32,
    start: Duration,
    machine: Machine,
    longest: Duration,
) -> Vec<String> {
    let (video, sound, pieces) = (video(bot), sound(bot), pieces(bot, start));
    let (fps, bits) = pace(&video);
    let still = kbit == POOR;
    let figures = format!(
        "{kbit} kbit/s: {:?}, {fps:.1} frames/s, {:.0} kbit/s, {} of {} packets lost, {} keyframes, {:?} \
         without a frame at most, {} of {} packets of sound lost, {} in a row, the tone in {pieces} pieces",
        size(&video),
        bits / 1000.0,
        video.lost,
        video.packets + video.lost,
        video.keyframes,
        video.longest_gap,
        sound.lost,
        sound.packets + sound.lost,
        sound.lost_in_a_row
    );
    println!("{figures}");
    let demands = [
        (size(&video) != TOP, "is not sent the whole composite"),
        (
            video.longest_gap < longest + machine.freeze,
            "does not freeze",
        ),
        (!still || size(&video) == SMALLEST, "is sent stills"),
        (!still || fps < 1.0, "is sent no moving picture"),
        (bits < f64::from(kbit) * 1000.0, "fits"),
        (
            sound.lost_in_a_row <= machine.lost + SILENCE,
            "has no holes in the sound",
        ),
        (
            pieces * 100 >= machine.pieces * HEARD,
            "hears what was said",
        ),
    ];
    let unmet = demands.iter().filter(|(met, _)| !met);
    unmet
        .map(|(_, what)| format!("not so: {what}: {figures}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_lines_get_what_fits_and_nobody_else_notices() {
    let meeting = Meeting::start(RATES.len(), BotConfig::telling_arrivals).await;
    let free = &meeting.free;
    // The encoders have to find their rates first.
    sleep(Duration::from_secs(4)).await;
    let before = Meeting::whole(free).await;
    assert!(
        before.1 > 900_000.0,
        "the top needs more than any slow line"
    );

    let start = meeting.slow_down(&RATES, LOST_FIRST).await;
    sleep(WATCHED).await;
    println!("watched:\n{}", meeting.told().await);
    let machine = meeting.machine(start);
    let slow = meeting.slow.iter().zip(RATES);
    let mut wrong: Vec<String> = slow
        .flat_map(|(bot, kbit)| complaints(bot, kbit, start, machine, FREEZE))
        .collect();

    wrong.extend(meeting.recover(RECOVERS).await);
    let stats = video(free);
    let (fps, bits) = pace(&stats);
    println!(
        "the other viewer meanwhile: {fps:.1} frames/s, {:.0} kbit/s, {:?} without a frame at most",
        bits / 1000.0,
        stats.longest_gap
    );
    // The machine may have had more to do than before, or less.
    let after = Meeting::whole(free).await;
    let (least_fps, least_bits) = (before.0.min(after.0), before.1.min(after.1));
    if fps < least_fps * KEPT / 100.0 || bits < least_bits * KEPT / 100.0 {
        wrong.push("the other viewer notices".to_owned());
    }
    if size(&stats) != TOP || stats.longest_gap >= FREEZE {
        wrong.push(format!("the other viewer has a worse picture: {stats:?}"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    meeting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_for_sound_alone_has_a_picture_now_and_then() {
    let meeting = Meeting::start(1, BotConfig::telling_arrivals).await;
    let start = meeting.slow_down(&[POOR], LOST_FIRST).await;
    // Three stills.
    sleep(2 * WATCHED).await;
    println!("watched:\n{}", meeting.told().await);
    let machine = meeting.machine(start);
    let mut wrong = complaints(&meeting.slow[0], POOR, start, machine, STILL);
    wrong.extend(meeting.recover(RECOVERS).await);
    assert!(wrong.is_empty(), "{wrong:#?}");
    meeting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reception_reports_alone_find_what_fits() {
    let meeting = Meeting::start(RATES.len(), |config| config).await;
    meeting.slow_down(&RATES, LOST_FIRST_REPORTED).await;
    // Two reports more.
    sleep(SETTLES).await;
    meeting.slow.iter().for_each(Bot::reset_stats);
    let start = clock::now();
    sleep(2 * WATCHED).await;
    println!("watched:\n{}", meeting.told().await);
    let machine = meeting.machine(start);
    let slow = meeting.slow.iter().zip(RATES);
    let mut wrong: Vec<String> = slow
        .flat_map(|(bot, kbit)| complaints(bot, kbit, start, machine, FREEZE_REPORTED))
        .collect();
    wrong.extend(meeting.recover(RECOVERS_REPORTED).await);
    assert!(wrong.is_empty(), "{wrong:#?}");
    meeting.end().await;
}

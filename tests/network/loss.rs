//! Rooms on lines that lose packets: what is seen and heard, and that it is repaired.

use std::ops::Range;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::observe::palette;
use tessera::bots::{
    AudioSource, Bot, BotConfig, Decode, Path, StreamStats, VideoFormat, VideoSource, Voice, clock,
};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::topology::Mode;
use tokio::time::{Instant, sleep, timeout};

use crate::common::bars::{at_most, share};
use crate::common::netns::{Network, NetworkServer, Way};
use crate::common::server::{PATIENCE, room};

/// How long a room is watched.
const WATCHED: Duration = Duration::from_secs(8);

/// What is said last is still on its way when it is asked for.
const UNDERWAY: Duration = Duration::from_millis(500);

/// Two who send and two who receive, each with a line of their own. One sender's loses packets on
/// the way up, and one receiver's on the way down.
const LOSSY_SENDER: usize = 0;
const SENDER: usize = 1;
const RECEIVER: usize = 2;
const LOSSY_RECEIVER: usize = 3;

/// The least share of frames that arrives, percent.
const KEPT: u64 = 80;

/// The least share of sound in which a tone is heard, percent.
const HEARD: u64 = 93;

/// The least that is heard over good lines, in pieces of 20 ms: a tone is there at all.
const PIECES: usize = 200;

/// The longest time without a tone beyond what there is of that over good lines, where the machine is
/// busy with other things: of three lost packets in a row nothing is left at the end.
const SILENCE: Duration = Duration::from_millis(150);

/// Four people in a room.
struct Meeting {
    network: Network,
    server: NetworkServer,
    bots: Vec<Bot>,
    path: Path,
}

impl Meeting {
    /// Everybody has joined, and whoever receives sees both senders.
    async fn start(mode: Mode) -> Self {
        let network = Network::new(4);
        let (name, path) = match mode {
            Mode::Mcu => ("mcu", Path::Mix),
            _ => ("sfu", Path::Forward),
        };
        let server = network.serve(&["--mode", name]).await;
        let joins = (0..4).map(|i| Bot::join(person(&network, &server, i)));
        let bots = try_join_all(joins).await.expect("everybody joins");
        let meeting = Self {
            network,
            server,
            bots,
            path,
        };
        for receiver in [RECEIVER, LOSSY_RECEIVER] {
            for sender in [LOSSY_SENDER, SENDER] {
                meeting.sees(receiver, sender).await;
            }
        }
        meeting
    }

    fn id(&self, i: usize) -> ParticipantId {
        self.bots[i].id().expect("a WebSocket bot has an id")
    }

    async fn sees(&self, receiver: usize, sender: usize) {
        let mut changes = self.bots[receiver].observer().changes();
        let seen =
            changes.wait_for(|_| self.frames(receiver, sender, Duration::ZERO..clock::now()) > 0);
        let found = timeout(PATIENCE, seen).await;
        assert!(found.is_ok(), "{receiver} does not see {sender}");
    }

    /// How many different frames of a sender a receiver has seen.
    fn frames(&self, receiver: usize, sender: usize, during: Range<Duration>) -> usize {
        let detections = self.bots[receiver].observer().detections(self.id(sender));
        let seen = detections
            .iter()
            .filter(|s| during.contains(&s.at) && s.fresh && s.age.is_some());
        seen.count()
    }

    /// In how many pieces of sound a receiver has heard a sender, and the longest time without.
    fn heard(&self, sender: usize, receiver: usize, during: Range<Duration>) -> (usize, Duration) {
        let sounds = self.bots[receiver].observer().sounds();
        let with_tone = sounds
            .iter()
            .filter(|s| during.contains(&s.start) && s.origin.path == self.path)
            .filter(|s| s.tones >> sender & 1 == 1);
        let silence = self.bots[receiver]
            .observer()
            .unheard(sender, during.clone());
        (with_tone.count(), silence.length)
    }

    /// What the server says of lost packets on somebody's connection.
    async fn repair(&self, i: usize, count: &str) -> u64 {
        let url = self.server.url(self.network.line(SENDER));
        let answer = reqwest::get(format!("{url}/api/v1/rooms/loss/stats")).await;
        let stats: Value = answer
            .expect("an answer")
            .json()
            .await
            .expect("an answer in JSON");
        let people = stats["participants"].as_array().expect("participants");
        let name = format!("Person {i}");
        let person = people.iter().find(|person| person["name"] == name.as_str());
        person.expect("they are there")["repair"][count]
            .as_u64()
            .expect("a count")
    }

    /// How many keyframes the server has asked of senders.
    async fn keyframes_asked(&self) -> u64 {
        let url = self.server.url(self.network.line(SENDER));
        let answer = reqwest::get(format!("{url}/metrics")).await;
        let text = answer.expect("an answer").text().await.expect("metrics");
        let mut lines = text.lines();
        let count = lines
            .find_map(|line| line.strip_prefix("tessera_keyframe_requests_total{of=\"sender\"} "));
        count
            .and_then(|count| count.parse().ok())
            .expect("the metric")
    }

    async fn end(self) {
        self.network.line(LOSSY_SENDER).clear();
        self.network.line(LOSSY_RECEIVER).clear();
        join_all(self.bots.into_iter().map(Bot::leave)).await;
        self.server.stop().await;
    }
}

/// Who sends has a time code and a tone.
fn person(network: &Network, server: &NetworkServer, i: usize) -> BotConfig {
    let line = network.line(i);
    let name = format!("Person {i}");
    let mut config = BotConfig::new(server.url(line), room("loss"), name).with_slots(2);
    config.interface = line.interface();
    if ![LOSSY_SENDER, SENDER].contains(&i) {
        return config.decoding(Decode::Both);
    }
    config.video = VideoSource::TimeCode {
        format: VideoFormat::new(VideoCodec::Vp8),
        phase: 0,
    };
    config.audio = AudioSource::Tone {
        hz: palette::tone(i) as u32,
        dbfs: -24,
    };
    config
}

/// What a room has lost, and what it keeps.
struct Watch<'a> {
    meeting: &'a Meeting,
    sent_before: Vec<u64>,
    start: Duration,
}

impl<'a> Watch<'a> {
    fn start(meeting: &'a Meeting) -> Self {
        let sent = meeting.bots.iter().map(|bot| bot.stats().frames_sent);
        Self {
            meeting,
            sent_before: sent.collect(),
            start: clock::now(),
        }
    }

    /// Whether enough of what one sends gets to the other.
    fn check(&self, sender: usize, receiver: usize) -> Result<(), String> {
        let during = self.start..clock::now();
        let bots = &self.meeting.bots;
        let seen = self.meeting.frames(receiver, sender, during.clone());
        let of = (bots[sender].stats().frames_sent - self.sent_before[sender]) as usize;
        let spoken = during.start..during.end - UNDERWAY;
        let (pieces, pause) = self.meeting.heard(SENDER, RECEIVER, spoken.clone());
        let (heard, silence) = self.meeting.heard(sender, receiver, spoken);
        let figures = format!(
            "{sender} to {receiver}: {seen} of {of} frames, {heard} of {pieces} pieces of sound, \
             silent for {silence:?} at most"
        );
        println!("{figures}");
        let is_share =
            |part: usize, of: usize, least: u64| part * 100 >= of * share(least) as usize;
        let enough = is_share(seen, of, KEPT)
            && pieces >= PIECES
            && is_share(heard, pieces, HEARD)
            && silence <= pause + at_most(SILENCE);
        enough.then_some(()).ok_or(figures)
    }
}

/// A room keeps four frames of five, and its sound, with that many percent of packets lost both on
/// the way to the server and from it; and it does so by having them sent again.
async fn survives(mode: Mode, percent: u32) {
    let meeting = Meeting::start(mode).await;
    let Meeting { network, bots, .. } = &meeting;
    network.line(LOSSY_SENDER).lose(Way::Up, percent);
    network.line(LOSSY_RECEIVER).lose(Way::Down, percent);
    let watch = Watch::start(&meeting);
    sleep(WATCHED).await;

    let up = network.line(LOSSY_SENDER).lost(Way::Up);
    let down = network.line(LOSSY_RECEIVER).lost(Way::Down);
    println!("{mode:?}, {percent} %: {up} packets lost on the way up, {down} on the way down");
    let checks = [RECEIVER, LOSSY_RECEIVER].into_iter().flat_map(|receiver| {
        [
            watch.check(SENDER, receiver),
            watch.check(LOSSY_SENDER, receiver),
        ]
    });
    let complaints: Vec<String> = checks.filter_map(Result::err).collect();
    let sender = bots[LOSSY_SENDER].stats().repair;
    let receiver = bots[LOSSY_RECEIVER].stats().repair;
    let recovered = meeting.repair(LOSSY_SENDER, "recovered").await;
    let resent = meeting.repair(LOSSY_RECEIVER, "resent").await;
    let asked = meeting.keyframes_asked().await;
    let told = bots[LOSSY_SENDER].stats().key_requests + bots[SENDER].stats().key_requests;
    println!("keyframes: asked for {asked} times, senders were told {told} times");
    println!("up: {} sent again, {recovered} came", sender.resent);
    println!("down: {resent} sent again, {} came", receiver.recovered);
    assert!(complaints.is_empty(), "too little: {complaints:#?}");
    assert!(asked > 0 && told <= asked, "{told} of {asked} requests");
    assert!(up > 10 && down > 10, "the lines lose packets");
    assert!(sender.resent > 0 && recovered > 0, "nothing is mended up");
    assert!(resent > 0 && receiver.recovered > 0, "nor down");
    meeting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_survives_a_loss_of_5_percent() {
    survives(Mode::Sfu, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_survives_a_loss_of_10_percent() {
    survives(Mode::Sfu, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixing_survives_a_loss_of_5_percent() {
    survives(Mode::Mcu, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixing_survives_a_loss_of_10_percent() {
    survives(Mode::Mcu, 10).await;
}

/// The instrument itself: a line is as slow as it was told to be, and fast again afterwards.
#[tokio::test]
async fn a_line_has_the_rate_it_was_given() {
    const KBIT: u32 = 800;
    let network = Network::new(1);
    let server = network.serve(&[]).await;
    let line = network.line(0);
    let (client, page) = (reqwest::Client::new(), server.url(line));
    let download = async || {
        let (start, mut bytes) = (Instant::now(), 0);
        while bytes < 200_000 {
            let answer = client.get(&page).send().await.expect("the page");
            bytes += answer.bytes().await.expect("all of it").len();
        }
        bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1000.0
    };
    let free = download().await;
    line.limit(Way::Down, KBIT);
    let slow = download().await;
    line.clear();
    let cleared = download().await;
    println!("{free:.0}, {slow:.0} and {cleared:.0} kbit/s");
    assert!(slow < f64::from(KBIT) * 1.2, "{slow} kbit/s");
    assert!(
        free > 4.0 * slow && cleared > 4.0 * slow,
        "{free} {cleared} kbit/s"
    );
    server.stop().await;
}

/// Three who take turns in speaking, and two who hear the mix of them all, one of whom loses
/// packets.
struct Listening {
    network: Network,
    server: NetworkServer,
    bots: Vec<Bot>,
}

impl Listening {
    async fn start(tell: impl Fn(BotConfig) -> BotConfig) -> Self {
        let network = Network::new(2);
        let server = network.serve(&["--mode", "mcu"]).await;
        let join = |i: usize, line: usize, name: &str| {
            let line = network.line(line);
            let mut config = BotConfig::new(server.url(line), room("loss"), format!("{name} {i}"));
            config.interface = line.interface();
            config.with_slots(0)
        };
        let voices = [Voice::Ada, Voice::Ben, Voice::Cleo];
        let speakers = voices.into_iter().enumerate().map(|(i, voice)| {
            let mut speaker = join(i, 0, "Speaker");
            speaker.audio = AudioSource::Speech(voice);
            speaker
        });
        let listeners = [1, 0].into_iter().map(|line| {
            let listener = join(line, line, "Listener").decoding(Decode::Audio);
            tell(listener.with_inband_fec())
        });
        let joins = listeners.chain(speakers).map(Bot::join);
        let bots = try_join_all(joins).await.expect("everybody joins");
        Self {
            network,
            server,
            bots,
        }
    }

    /// Whether what both listeners hear has forward error correction: who speaks hears another
    /// mix.
    fn fec(stats: &Value) -> Option<bool> {
        let mut mixes = stats["renditions"].as_array()?.iter();
        let mix = mixes.find(|mix| mix["kind"] == "audio" && mix["without"].is_null())?;
        (mix["viewers"].as_u64()? >= 2).then_some(mix["fec"].as_bool()?)
    }

    async fn stats(&self) -> Value {
        let url = self.server.url(self.network.line(0));
        let answer = reqwest::get(format!("{url}/api/v1/rooms/loss/stats")).await;
        answer.expect("an answer").json().await.expect("JSON")
    }

    async fn until(&self, fec: bool) {
        let wanted = async {
            while Self::fec(&self.stats().await) != Some(fec) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let start = Instant::now();
        // It ends long after the last loss.
        let found = timeout(2 * PATIENCE, wanted).await;
        let took = start.elapsed().as_secs_f64();
        assert!(found.is_ok(), "FEC is not {fec}: {}", self.stats().await);
        println!("fec {fec} after {took:.1} s");
    }

    /// What came to the one who loses packets, from now on.
    async fn watch(&self) -> StreamStats {
        self.bots[0].reset_stats();
        sleep(2 * WATCHED).await;
        let sound = self.bots[0].incoming(Role::MixAudio, 0);
        sound.expect("sound").stats()
    }
}

/// A mix has forward error correction while one who hears it loses packets, by which most of what
/// is lost can be had from what comes; and none for a while after.
async fn sound_is_protected(tell: impl Fn(BotConfig) -> BotConfig) {
    let listening = Listening::start(tell).await;
    let line = listening.network.line(1);
    listening.until(false).await;
    line.lose(Way::Down, 10);
    listening.until(true).await;
    let sound = listening.watch().await;
    println!(
        "{} of {} packets lost, {} of them said again by the next; {:.1} kbit/s with headers",
        sound.lost,
        sound.lost + sound.packets,
        sound.said_again,
        sound.bitrate() / 1000.0
    );
    assert!(sound.lost > 20, "the line loses packets");
    // Those lost in pauses need not be said again, and one in ten of those who do is lost itself.
    assert!(sound.said_again * 100 > sound.lost * share(50), "{sound:?}");
    // What was lost is there all the same, mended or guessed.
    let all = sound.lost + sound.packets;
    assert!(sound.decoded * 100 >= all * share(97), "{sound:?}");
    line.clear();
    listening.until(false).await;
    join_all(listening.bots.into_iter().map(Bot::leave)).await;
    listening.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_protected_where_arrivals_tell_of_losses() {
    sound_is_protected(BotConfig::telling_arrivals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_protected_where_reports_tell_of_losses() {
    sound_is_protected(|config| config).await;
}

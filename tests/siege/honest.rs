//! Honest people, two in a mixed room and three in a forwarded one, and what they miss.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tessera::bots::observe::palette;
use tessera::bots::{
    AudioSource, Bot, BotConfig, Decode, Path, StreamStats, VideoFormat, VideoSource,
};
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::topology::Mode;

use crate::common::server::room;

/// The rooms that they are in.
pub(crate) const MIXED: &str = "honest-mixed";
pub(crate) const FORWARDED: &str = "honest-forwarded";

/// Bars of the histogram of gaps, ms.
const BARS: [u64; 5] = [100, 200, 300, 500, 1000];

/// Everybody honest.
pub(crate) struct Honest {
    bots: Vec<Bot>,
    ids: Vec<ParticipantId>,
    /// The longest gaps of each second, by what is missed.
    gaps: BTreeMap<&'static str, Vec<Duration>>,
}

fn person(url: &str, name: &str, i: usize) -> BotConfig {
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    let mut config = BotConfig::new(url, room(name), format!("Honest {i}"));
    config.video = VideoSource::TimeCode { format, phase: 0 };
    config.audio = AudioSource::Tone {
        hz: palette::tone(i) as u32,
        dbfs: -24,
    };
    // One of each room looks, too.
    config.telling_arrivals().decoding(match i {
        0 | 2 => Decode::Video,
        _ => Decode::No,
    })
}

impl Honest {
    /// Everybody has joined, and gets what they are to get.
    pub(crate) async fn join(url: &str) -> Self {
        let mixed = (0..2).map(|i| person(url, MIXED, i));
        let forwarded = (2..5).map(|i| person(url, FORWARDED, i).with_slots(4));
        let bots = try_join_all(mixed.chain(forwarded).map(Bot::join)).await;
        let bots = bots.expect("everybody joins");
        for bot in &bots {
            bot.connected().await.expect("a connection");
        }
        bots[2].set_mode(Mode::Sfu).expect("a WebSocket");
        for bot in &bots[2..] {
            let is_sfu = |room: &tessera::protocol::room::RoomState| room.mode == Mode::Sfu;
            bot.room_when("forwarding", is_sfu).await.expect("sfu");
        }
        let ids = bots.iter().map(|bot| bot.id().expect("an id")).collect();
        let mut honest = Self {
            bots,
            ids,
            gaps: BTreeMap::new(),
        };
        honest.until_all_is_there().await;
        honest.gaps.clear();
        honest
    }

    async fn until_all_is_there(&mut self) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        // Joins and the change of mode are over when nothing is late any more.
        for _ in 0..30 {
            second.tick().await;
            self.gaps.clear();
            self.note();
            let gaps = self.gaps.values().flatten();
            let is_even = gaps.clone().all(|gap| *gap < Duration::from_millis(500));
            if gaps.count() == self.streams() && is_even {
                return;
            }
        }
        panic!("not all of it comes: {}", self.figures());
    }

    /// Streams that honest people get of each other: the mix of two, and of three the two others.
    fn streams(&self) -> usize {
        2 * 2 + 3 * 2 * 2
    }

    /// Notes the longest gap of each stream since the last note.
    pub(crate) fn note(&mut self) {
        for (i, bot) in self.bots.iter().enumerate() {
            for stream in bot.stats().received {
                let what = match (i < 2, stream.path, stream.role.is_audio()) {
                    (true, Path::Mix, false) => "mixed picture",
                    (true, Path::Mix, true) => "mixed sound",
                    (false, Path::Forward, false) if self.is_honest(&stream) => "forwarded picture",
                    (false, Path::Forward, true) if self.is_honest(&stream) => "forwarded sound",
                    _ => continue,
                };
                self.gaps.entry(what).or_default().push(stream.longest_gap);
            }
            bot.reset_stats();
        }
    }

    fn is_honest(&self, stream: &StreamStats) -> bool {
        // Ids of the two rooms are each its own.
        let of_room = &self.ids[2..];
        stream.from.is_some_and(|from| of_room.contains(&from))
    }

    /// The longest gaps so far, on a line.
    pub(crate) fn figures(&self) -> String {
        let longest = |gaps: &[Duration]| gaps.iter().max().copied().unwrap_or_default();
        let figures = self
            .gaps
            .iter()
            .map(|(what, gaps)| format!("{what} {} ms", longest(gaps).as_millis()));
        figures.collect::<Vec<_>>().join(", ")
    }

    /// The longest gaps, and how many seconds had one of which length.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("longest gap in a second of a stream:");
        for (what, gaps) in &self.gaps {
            let longest = gaps.iter().max().copied().unwrap_or_default();
            let _ = write!(
                text,
                "\n  {what}: {} ms at most in {}",
                longest.as_millis(),
                gaps.len()
            );
            for bar in BARS {
                let over = gaps
                    .iter()
                    .filter(|gap| gap.as_millis() > bar.into())
                    .count();
                let _ = write!(text, ", {over} over {bar}");
            }
        }
        text
    }

    /// Panics if somebody has missed something for longer.
    pub(crate) fn assert_gaps(&self, most: Duration) {
        assert_eq!(self.gaps.len(), 4, "{}", self.summary());
        let mut gaps = self.gaps.values().flatten();
        assert!(gaps.all(|gap| *gap <= most), "{}", self.summary());
        for bot in &self.bots {
            let room = bot.room().borrow().clone().expect("a room");
            let own = bot.id().expect("an id");
            assert!(room.participants.iter().any(|p| p.id == own), "{room:?}");
        }
    }

    pub(crate) async fn leave(self) {
        for left in join_all(self.bots.into_iter().map(Bot::leave)).await {
            left.expect("they leave");
        }
    }
}

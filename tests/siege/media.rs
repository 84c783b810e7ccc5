//! A member of an honest room whose packets are damaged before they are encrypted: RTP of its own,
//! many times over, and RTCP of every kind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tessera::bots::{AudioSource, Bot, BotConfig, Sent, VideoFormat, VideoSource};
use tessera::codec::VideoCodec;
use tokio::time::{sleep, timeout};

use crate::Siege;
use crate::common::server::room;
use crate::draw::Draw;
use crate::report::Tally;

/// How long one member stays, at most.
const STAY: Duration = Duration::from_secs(20);
/// Copies of one packet that are sent, at most, each with damage of its own.
const COPIES: usize = 5;
/// Largest packet that is sent.
const LARGEST: usize = 4000;
/// The fixed header of RTP (RFC 3550 section 5.1).
const HEADER: usize = 12;

/// Members of a room, one after the other, each with another codec.
pub(crate) async fn run(siege: Siege, mut draw: Draw, tally: Arc<Tally>, name: &'static str) {
    let codecs = [VideoCodec::Vp8, VideoCodec::H264, VideoCodec::Vp9];
    let mut turn = draw.below(codecs.len());
    while !siege.stop.is_cancelled() {
        turn += 1;
        let format = VideoFormat::sized(codecs[turn % codecs.len()], 320, 180);
        let mut config = BotConfig::new(&siege.server.url, room(name), format!("Mallory {turn}"));
        config.video = VideoSource::Film {
            format,
            offset: Duration::from_secs(turn as u64),
        };
        config.audio = AudioSource::Tone { hz: 777, dbfs: -24 };
        // Refused where the server has enough to do with others of the siege.
        let Ok(bot) = Bot::join(config.with_slots(2).telling_arrivals()).await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        if bot.connected().await.is_ok() {
            tally.taken();
            let rework = Mutex::new(Rework::new(draw.fork()));
            let sent = Arc::clone(&tally);
            bot.rework_sent(move |kind, packet| {
                let made = rework.lock().of(kind, packet);
                sent.sent(made.len() as u64);
                made
            });
            // Evicted, it waits for its end all the same: that is part of it.
            let _ = timeout(STAY, siege.stop.cancelled()).await;
        }
        match draw.percent(70) {
            true => drop(bot.leave().await),
            false => bot.kill().await,
        }
    }
}

/// What is made of one member's packets.
struct Rework {
    draw: Draw,
    /// The next sequence number of each SSRC: with those of the copies in between, a receiver takes
    /// all of them for packets that were sent once and in order.
    next: HashMap<u32, u16>,
    /// SSRCs of its own, for feedback.
    own: u32,
}

impl Rework {
    fn new(draw: Draw) -> Self {
        Self {
            draw,
            next: HashMap::new(),
            own: 1,
        }
    }

    fn of(&mut self, kind: Sent, packet: &[u8]) -> Vec<Vec<u8>> {
        match kind {
            Sent::Rtp => self.rtp(packet),
            Sent::Rtcp => self.rtcp(packet),
        }
    }

    fn rtp(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let copies = 1 + self.draw.below(COPIES);
        let mut made = Vec::with_capacity(copies);
        for copy in 0..copies {
            let bytes = match copy == 0 && self.draw.percent(70) {
                true => packet.to_vec(),
                false => self.damaged_rtp(packet),
            };
            made.extend(self.in_order(bytes));
        }
        made
    }

    /// A packet with damage: mostly behind the header, for most of what a receiver does with a
    /// packet it does once it knows whose it is.
    fn damaged_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        let (header, payload) = packet.split_at(HEADER.min(packet.len()));
        match self.draw.below(12) {
            0 => self.draw.damaged(packet),
            1 => [header, &self.draw.noise(1200)].concat(),
            2 => [&self.draw.damaged(header), payload].concat(),
            _ => [header, &self.draw.damaged(payload)].concat(),
        }
    }

    /// The packet with its place in the sequence, now and then one that is far ahead. `None` where
    /// SRTP would not take it (RFC 3711 section 3.1 knows RTP of version 2 alone).
    fn in_order(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        bytes.truncate(LARGEST);
        if bytes.len() < HEADER {
            return None;
        }
        bytes[0] = bytes[0] & 0x3f | 0x80;
        let csrcs = 4 * usize::from(bytes[0] & 15);
        let extension = bytes[0] & 0x10 != 0;
        let words = bytes.get(HEADER + csrcs + 2..HEADER + csrcs + 4);
        let length = match (extension, words) {
            (false, _) => 0,
            (true, Some(words)) => 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]])),
            (true, None) => return None,
        };
        if bytes.len() < HEADER + csrcs + length {
            return None;
        }
        let own = u16::from_be_bytes([bytes[2], bytes[3]]);
        let ssrc = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let next = self.next.entry(ssrc).or_insert(own);
        let ahead = match self.draw.percent(1) {
            true => self.draw.below(3000) as u16,
            false => 0,
        };
        bytes[2..4].copy_from_slice(&next.wrapping_add(ahead).to_be_bytes());
        *next = next.wrapping_add(ahead + 1);
        Some(bytes)
    }

    fn rtcp(&mut self, compound: &[u8]) -> Vec<Vec<u8>> {
        let mut made = vec![compound.to_vec()];
        if let Some(&[a, b, c, d]) = compound.get(4..8) {
            self.own = u32::from_be_bytes([a, b, c, d]);
        }
        for _ in 0..COPIES {
            let seed = match self.draw.percent(30) {
                true => compound.to_vec(),
                false => self.feedback(),
            };
            let mut bytes = match self.draw.percent(25) {
                true => seed,
                false => self.draw.damaged(&seed),
            };
            bytes.truncate(LARGEST);
            // A header is what SRTCP needs.
            if bytes.len() >= 8 {
                made.push(bytes);
            }
        }
        made
    }

    /// One to three packets of RTCP, each of its own kind.
    fn feedback(&mut self) -> Vec<u8> {
        let mut compound = Vec::new();
        for _ in 0..=self.draw.below(3) {
            let words = self.packet();
            compound.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        compound
    }

    fn packet(&mut self) -> Vec<u32> {
        let own = self.own;
        let of = match self.draw.percent(50) {
            true => own,
            false => self.draw.number(),
        };
        let mut any = || self.draw.number();
        match any() % 10 {
            // Reports, of its own and of others (RFC 3550 section 6.4).
            0 => vec![0x81c9_0007, own, of, any(), any(), any(), any(), any()],
            1 => vec![0x80c8_0006, own, any(), any(), any(), any(), any()],
            // Feedback (RFC 4585, RFC 5104): NACK, PLI, FIR, transport-wide arrivals, REMB.
            2 => vec![0x81cd_0004, own, of, any(), any()],
            3 => vec![0x81ce_0002, own, of],
            4 => vec![0x84ce_0004, own, 0, of, any()],
            5 => vec![0x8fcd_0005, own, of, any(), any(), any()],
            6 => vec![0x8fce_0005, own, 0, 0x5245_4d42, any(), of],
            // BYE, APP, SDES with a name.
            7 => vec![0x81cb_0001, of],
            8 => vec![0x80cc_0003, own, 0x4142_4344, any()],
            _ => vec![0x81ca_0003, own, 0x0106_4142, 0x4344_4546],
        }
    }
}

//! Measures one topology: bots join a server of their own, and what travels is counted.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::count::{Counts, paths};
use super::probe::{Onset, likeness};
use super::report::{Counted, Freezes, Rates, Row};
use super::server::{Server, decoding};
use crate::bots::observe::probe::picture::{contained, scaled};
use crate::bots::observe::probe::{Histogram, Spread};
use crate::bots::source::settings::CLAP_EVERY;
use crate::bots::{
    AudioSource, Bot, BotConfig, Decode, Incoming, Path, StreamStats, VideoFormat, VideoSource,
    clock,
};
use crate::codec::VideoCodec;
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::{Rect, Size};
use crate::protocol::rest::AllocationResource;
use crate::protocol::room::{RoomState, TileState};
use crate::topology::{Mode, Topology};

/// The room that the bots join.
const ROOM: &str = "compare";
/// How long media may take to travel by the expected paths. After that it is measured as it is.
const SETTLING: Duration = Duration::from_secs(20);
/// Length of a look at which paths are in use, and age from which on a picture counts as outdated.
const LOOK: Duration = Duration::from_secs(1);
/// All paths by which a picture can come.
const PATHS: [Path; 3] = [Path::Mix, Path::Forward, Path::Mesh];

/// One measurement: a topology, with people and what they send.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The topology to measure.
    pub topology: Topology,
    /// The number of people.
    pub participants: usize,
    /// How long to measure, once media has settled.
    pub length: Duration,
    /// The size of the pictures that they send, pixels.
    pub size: Size,
    /// Frames per second that they send.
    pub fps: u32,
}

/// Measures a case on a server of its own, started from `program`. `progress` is told now and then
/// the share of the measurement that is done, 0 to 1.
///
/// # Errors
/// A server that does not start, a bot that cannot join or leave.
pub async fn run(
    program: &FilePath,
    case: Case,
    mut progress: impl FnMut(f64) + Send,
) -> Result<Row> {
    progress(0.0);
    let server = Server::start(program).await?;
    let mut bots = Vec::with_capacity(case.participants);
    for i in 0..case.participants {
        let bot = Bot::join(person(&server.url, case, i)?).await?;
        bot.connected().await?;
        bots.push(bot);
    }
    let first = bots.first().context("nobody takes part")?;
    first.set_mode(mode(case.topology))?;
    for bot in &bots {
        let there = |room: &RoomState| {
            room.participants.len() == case.participants && room.mode == mode(case.topology)
        };
        bot.room_when("mode", there).await?;
    }
    settle(&server, &bots, case).await?;
    let row = measure(&server, &bots, case, progress).await;
    let leaving = bots.into_iter().map(Bot::leave);
    for outcome in futures::future::join_all(leaving).await {
        outcome?;
    }
    row
}

fn mode(topology: Topology) -> Mode {
    match topology {
        Topology::P2p | Topology::Turn => Mode::P2p,
        Topology::Sfu | Topology::TurnSfu => Mode::Sfu,
        Topology::Mcu | Topology::TurnMcu => Mode::Mcu,
    }
}

fn is_relayed(topology: Topology) -> bool {
    matches!(
        topology,
        Topology::Turn | Topology::TurnSfu | Topology::TurnMcu
    )
}

/// The configuration of the `i`-th person. The first shows and sounds the clock, the others the
/// film.
fn person(url: &str, case: Case, i: usize) -> Result<BotConfig> {
    let format = VideoFormat {
        codec: VideoCodec::Vp8,
        size: case.size,
        fps: case.fps,
    };
    let mut config = BotConfig::new(url, RoomId::new(ROOM)?, format!("Person {}", i + 1))
        .with_slots(case.participants.saturating_sub(1))
        .decoding(Decode::Both);
    if is_relayed(case.topology) {
        config = config.relayed();
    }
    (config.video, config.audio) = match u32::try_from(i)? {
        0 => (
            VideoSource::TimeCode { format, phase: 0 },
            AudioSource::Clap,
        ),
        i => (
            VideoSource::Film {
                format,
                offset: Duration::from_millis(1_300) * i,
            },
            AudioSource::Silence,
        ),
    };
    Ok(config)
}

/// Waits until media travels by the expected paths, or [`SETTLING`] is over.
async fn settle(server: &Server, bots: &[Bot], case: Case) -> Result<()> {
    let deadline = Instant::now() + SETTLING;
    let expected = case.topology.paths(case.participants);
    while Instant::now() < deadline {
        let window = Window::open(server, bots).await?;
        sleep(LOOK).await;
        if paths(&window.close(server, bots).await?.counts) == expected {
            break;
        }
    }
    Ok(())
}

/// The counters at the start of a measurement.
struct Window {
    since: Duration,
    up: Vec<(u64, u64)>,
    relays: Vec<AllocationResource>,
}

/// What was counted between the start and the end of a measurement.
struct Closed {
    counts: Counts,
    up_bytes: u64,
}

impl Window {
    async fn open(server: &Server, bots: &[Bot]) -> Result<Self> {
        let relays = server.relays().await?.allocations;
        let up = server.uplinks(ROOM).await?;
        bots.iter().for_each(Bot::reset_stats);
        let since = clock::now();
        Ok(Self { since, up, relays })
    }

    async fn close(self, server: &Server, bots: &[Bot]) -> Result<Closed> {
        let seconds = clock::now().saturating_sub(self.since).as_secs_f64();
        let down: Vec<_> = bots.iter().map(received).collect();
        let relays = server.relays().await?.allocations;
        let up = server.uplinks(ROOM).await?;
        let before = self.up.into_iter().chain(std::iter::repeat((0, 0)));
        let moved: Vec<_> = up
            .iter()
            .zip(before)
            .map(|(now, was)| (now.0.saturating_sub(was.0), now.1.saturating_sub(was.1)))
            .collect();
        Ok(Closed {
            up_bytes: moved.iter().map(|(_, bytes)| bytes).sum(),
            counts: Counts {
                seconds,
                up: moved.iter().map(|(packets, _)| *packets).collect(),
                down,
                relays_before: self.relays,
                relays,
            },
        })
    }
}

/// What arrived at a bot, from the server and from other participants.
fn received(bot: &Bot) -> Vec<StreamStats> {
    let stats = bot.stats();
    let direct = stats.mesh.into_iter().flat_map(|with| with.received);
    stats.received.into_iter().chain(direct).collect()
}

/// All m-lines of a kind on which a bot receives.
fn lines(bot: &Bot, others: &[ParticipantId], audio: bool) -> Vec<Arc<Incoming>> {
    let roles = match audio {
        true => [Role::MixAudio, Role::ForwardAudio],
        false => [Role::MixVideo, Role::ForwardVideo],
    };
    let mut found = Vec::new();
    for role in roles {
        found.extend((0..).map_while(|n| bot.incoming(role, n).ok().cloned()));
    }
    for other in others {
        let direct = bot.mesh_incoming(*other).into_iter().flatten();
        found.extend(direct.filter(|line| line.role().is_audio() == audio));
    }
    found
}

async fn measure(
    server: &Server,
    bots: &[Bot],
    case: Case,
    mut progress: impl FnMut(f64) + Send,
) -> Result<Row> {
    let ids: Vec<_> = bots.iter().filter_map(Bot::id).collect();
    let claps = Arc::<Mutex<Vec<Duration>>>::default();
    let mut listeners = listeners(bots, &ids, &claps);
    let (cpu, _) = server.used()?;
    let decoded = decoding()?;
    let window = Window::open(server, bots).await?;
    let start = Instant::now();
    let mut likenesses = Vec::new();
    while start.elapsed() < case.length {
        sleep(LOOK.min(case.length.saturating_sub(start.elapsed()))).await;
        likenesses.extend(quality(bots, &ids));
        progress((start.elapsed().as_secs_f64() / case.length.as_secs_f64()).min(1.0));
    }
    let seconds = start.elapsed().as_secs_f64();
    let decode_cpu = (decoding()? - decoded) / seconds;
    let (cpu_after, memory) = server.used()?;
    let closed = window.close(server, bots).await?;
    listeners.shutdown().await;
    let mut ages = Histogram::default();
    for (bot, path) in bots
        .iter()
        .skip(1)
        .flat_map(|b| PATHS.map(|path| (b, path)))
    {
        ages.merge(&bot.observer().ages(path));
    }
    let people = case.participants as f64;
    let streams = || closed.counts.down.iter().flatten();
    let down: u64 = streams().map(|stream| stream.bytes).sum();
    let direct = streams().filter(|stream| stream.path == Path::Mesh);
    let up = closed.up_bytes + direct.map(|stream| stream.bytes).sum::<u64>();
    let rate = |bytes: u64| bytes as f64 * 8.0 / closed.counts.seconds / people;
    let claps = std::mem::take(&mut *claps.lock());
    Ok(Row {
        name: case.topology,
        participants: case.participants,
        paths: Counted {
            expected: case.topology.paths(case.participants),
            measured: paths(&closed.counts),
        },
        per_person: Rates {
            up_bps: rate(up),
            down_bps: rate(down),
        },
        server_cpu_cores: (cpu_after - cpu) / seconds,
        server_memory_bytes: memory,
        decode_cpu_cores: decode_cpu / people,
        latency_ms: ages.spread().map(Into::into),
        audio_latency_ms: Spread::of(claps).map(Into::into),
        freezes: freezes(streams()),
        ssim: (!likenesses.is_empty())
            .then(|| likenesses.iter().sum::<f64>() / likenesses.len() as f64),
    })
}

fn freezes<'a>(streams: impl Iterator<Item = &'a StreamStats>) -> Freezes {
    let videos = streams.filter(|s| !s.role.is_audio() && s.frames > 0);
    videos.fold(Freezes::default(), |all, s| Freezes {
        count: all.count + s.freezes,
        total_ms: all.total_ms + s.frozen.as_secs_f64() * 1000.0,
    })
}

/// A listener for each audio m-line of everybody but the first person, who claps.
fn listeners(
    bots: &[Bot],
    ids: &[ParticipantId],
    claps: &Arc<Mutex<Vec<Duration>>>,
) -> JoinSet<()> {
    let mut listeners = JoinSet::new();
    for bot in bots.iter().skip(1) {
        for line in lines(bot, ids, true) {
            listeners.spawn(listen(line, Arc::clone(claps)));
        }
    }
    listeners
}

/// Records how long after its start each clap is heard.
async fn listen(line: Arc<Incoming>, claps: Arc<Mutex<Vec<Duration>>>) {
    let mut sound = line.sound();
    let mut onset = Onset::default();
    loop {
        match sound.recv().await {
            Ok(chunk) => {
                let now = clock::now();
                if onset.begins(&chunk) {
                    let past = now.as_nanos() % CLAP_EVERY.as_nanos();
                    let age = Duration::from_nanos(u64::try_from(past).unwrap_or(0));
                    let mut claps = claps.lock();
                    claps.push(age);
                }
            }
            // What was missed may have been an onset: begin anew.
            Err(RecvError::Lagged(_)) => onset = Onset::default(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// How similar to the original the second person sees the first.
fn quality(bots: &[Bot], ids: &[ParticipantId]) -> Option<f64> {
    let (viewer, shown) = (bots.get(1)?, *ids.first()?);
    let room = viewer.room().borrow().clone()?;
    for line in lines(viewer, ids, false) {
        let Some(picture) = line.pictures().borrow().clone() else {
            continue;
        };
        // The newest picture of a way that is no longer used is an old one.
        if clock::now().saturating_sub(picture.arrival) > LOOK {
            continue;
        }
        let tile = match line.path() {
            Path::Mix => {
                let own = |t: &&TileState| t.participant == shown && t.role == Role::Camera;
                let Some(t) = room.tiles.iter().find(own) else {
                    continue;
                };
                let (x, y, w, h) = (t.x, t.y, t.w, t.h);
                let canvas = (room.canvas.width, room.canvas.height);
                let tile = scaled(Rect { x, y, w, h }, canvas, (picture.width, picture.height));
                contained(tile, 16, 9)
            }
            Path::Forward | Path::Mesh if picture.from == Some(shown) => picture.bounds(),
            Path::Forward | Path::Mesh => continue,
        };
        if let Some(found) = likeness(&picture, tile) {
            return Some(found);
        }
    }
    None
}

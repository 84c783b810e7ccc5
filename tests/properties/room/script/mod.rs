//! Histories: what people, networks, decoders and operators do to a room, at random.

mod act;

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tessera::admission::Pressure;
use tessera::codec::Container;
use tessera::codec::VideoCodec;
use tessera::id::{Mid, ParticipantId, Rid, Role};
use tessera::layout::{LayoutKind, Size};
use tessera::media::bwe::delay::{Estimate, Usage};
use tessera::media::bwe::fec::Fec;
use tessera::media::gst::template::Templates;
use tessera::protocol::recording::Subject;
use tessera::protocol::room::{ByeReason, Limits};
use tessera::room::state::{Lifetime, Settings};
use tessera::room::{Departure, Downlinks, Muter, Reach, Sends};
use tessera::topology::Mode;

use super::world::{Fault, Pace, World};

const UPLINKS: [Role; 3] = [Role::Mic, Role::Camera, Role::Screen];

/// Somebody, to be found when the time comes: mostly one of those present.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who(u8);

/// What somebody's offer has in it.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    uplinks: Vec<(Role, Sends)>,
    downlinks: Downlinks,
}

/// Somebody who wants in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guest {
    name: u8,
    reach: Reach,
    view: Option<Mode>,
}

impl Guest {
    pub(crate) fn new(name: u8, reach: Reach, view: Option<Mode>) -> Self {
        Self { name, reach, view }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Joins, is answered, connected, and sends on everything there is.
    Enter(Guest, Links),
    Join(Guest, Option<Who>),
    Answer(Who, Links),
    Connect(Who),
    PeerLost(Who, ByeReason),
    Begin(Who, Role, usize),
    Flow(Who, Role, usize),
    Silence(Who, Role, usize),
    Size(Who, Role, usize, u32),
    /// How high somebody draws the cameras of some people.
    Heights(Who, Vec<(Who, u32)>),
    /// Every uplink at once, as when a browser is killed.
    FreezeUp(Who),
    Heard(Who, bool),
    /// The packets of these say that they speak.
    Speaking(Vec<Who>),
    /// The share of packets lost on the way to somebody.
    Loss(Who, Option<f32>),
    /// The same share for some seconds, as links are looked at.
    LossFor(Who, f32, u8),
    SourceFails(Who, Role),
    OutputFails(u8),
    Leave(Who, Departure),
    SetMode(Mode),
    SetView(Who, Option<Mode>),
    /// Has some people directly.
    Limit(Who, Limits),
    Estimate(Who, Estimate),
    Press(Pressure),
    Mesh(Who, Vec<Who>),
    /// Has everybody directly.
    MeshWithAll(Who),
    /// Everybody has everybody.
    MeshUp,
    Counted(u8, u8),
    SetPace(Pace),
    /// Something that comes about is reported now, or once more.
    Report(u8),
    SetLayout(LayoutKind),
    Mute(Who, Role, Muter, bool),
    Pin(Option<Who>),
    Rename(Who, u8),
    Hand(Who, bool),
    Chat(Who),
    Signal(Who, Who),
    /// The room is to be recorded.
    Record(Subject),
    /// One of the recordings under way, or one that is not, is to end.
    StopRecording(u8),
    /// One of them cannot go on.
    RecorderEnds(u8),
    Close,
    Arm(Fault),
    /// Time passes, and is noticed.
    Pass(Duration),
    /// Time passes, and nobody looks until the next action.
    Jump(Duration),
}

impl Who {
    pub(crate) fn find(self, world: &World) -> ParticipantId {
        let here: Vec<ParticipantId> = world.peers.keys().copied().collect();
        let n = usize::from(self.0);
        match (n % 16, here.len()) {
            (0, _) | (_, 0) => ParticipantId::new(u32::from(self.0)),
            (_, len) => here[n % len],
        }
    }
}

fn who() -> impl Strategy<Value = Who> {
    any::<u8>().prop_map(Who)
}

fn role() -> impl Strategy<Value = Role> {
    select(&UPLINKS[..])
}

/// Of an uplink, mostly the first encoding, which all have.
fn layer() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0), 3 => 0usize..4]
}

/// The names of a camera's encodings, or none.
fn rids() -> impl Strategy<Value = Vec<Rid>> {
    let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).expect("a rid"));
    select(vec![vec![], vec![], rids[1..].to_vec(), rids.to_vec()])
}

fn video() -> impl Strategy<Value = VideoCodec> {
    prop_oneof![4 => Just(VideoCodec::Vp8), 1 => Just(VideoCodec::H264)]
}

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Mcu, Mode::Sfu, Mode::P2p])
}

fn own_mode() -> impl Strategy<Value = Option<Mode>> {
    let modes = vec![None, None, Some(Mode::Mcu), Some(Mode::Sfu)];
    prop_oneof![12 => select(modes), 1 => Just(Some(Mode::P2p))]
}

fn guest() -> impl Strategy<Value = Guest> {
    let reach = prop_oneof![9 => Just(Reach::Signalling), 1 => Just(Reach::HttpOnly)];
    let view = prop_oneof![4 => Just(None), 1 => own_mode()];
    (any::<u8>(), reach, view).prop_map(|(name, reach, view)| Guest::new(name, reach, view))
}

/// So many forward slots of each kind.
fn forwards(most: usize) -> impl Strategy<Value = (Vec<(Mid, VideoCodec)>, Vec<Mid>)> {
    let mid = |kind: &str, n: usize| Mid(format!("{kind}{n}"));
    let codecs = prop_oneof![
        4 => (0..=most).prop_map(|n| vec![VideoCodec::Vp8; n]),
        1 => vec(video(), 0..=most),
    ];
    (codecs, 0..=most).prop_map(move |(codecs, voices)| {
        let pictures = codecs.into_iter().enumerate();
        let pictures = pictures.map(|(n, codec)| (mid("v", n), codec)).collect();
        (pictures, (0..voices).map(|n| mid("a", n)).collect())
    })
}

fn links() -> impl Strategy<Value = Links> {
    let codec = select(vec![None, Some(VideoCodec::H264), Some(VideoCodec::Vp8)]);
    let roles = prop_oneof![
        3 => Just(UPLINKS.to_vec()),
        2 => subsequence(UPLINKS.to_vec(), 0..=3),
    ];
    (roles, video(), rids(), codec, any::<bool>(), forwards(4)).prop_map(
        |(roles, sent, rids, mix_video, mix_audio, (forward_video, forward_audio))| Links {
            uplinks: in_encodings(&roles, sent, &rids),
            downlinks: Downlinks {
                mix_video,
                mix_audio,
                mix_fec: Fec::On,
                forward_video,
                forward_audio,
            },
        },
    )
}

/// What a browser offers: everything, and some forward slots.
fn browser() -> impl Strategy<Value = Links> {
    let roles = prop_oneof![
        1 => Just(UPLINKS.to_vec()),
        2 => Just(UPLINKS[..2].to_vec()),
    ];
    let made =
        |(roles, sent, rids, (forward_video, forward_audio)): (Vec<Role>, _, Vec<Rid>, _)| Links {
            uplinks: in_encodings(&roles, sent, &rids),
            downlinks: Downlinks {
                mix_video: Some(VideoCodec::H264),
                mix_audio: true,
                mix_fec: Fec::On,
                forward_video,
                forward_audio,
            },
        };
    (roles, video(), rids(), forwards(7)).prop_map(made)
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (1u64..400).prop_map(Duration::from_millis),
        (400u64..5000).prop_map(Duration::from_millis),
        (1u64..60).prop_map(Duration::from_secs),
    ]
}

fn media() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (who(), role(), layer()).prop_map(|(w, r, n)| Action::Begin(w, r, n)),
        3 => (who(), role(), layer()).prop_map(|(w, r, n)| Action::Flow(w, r, n)),
        3 => (who(), role(), layer()).prop_map(|(w, r, n)| Action::Silence(w, r, n)),
        1 => (who(), role(), layer(), 0u32..800).prop_map(|(w, r, n, h)| Action::Size(w, r, n, h)),
        2 => (who(), vec((who(), 0u32..800), 0..4)).prop_map(|(w, all)| Action::Heights(w, all)),
        2 => who().prop_map(Action::FreezeUp),
        5 => (who(), any::<bool>()).prop_map(|(w, heard)| Action::Heard(w, heard)),
        3 => vec(who(), 0..4).prop_map(Action::Speaking),
        2 => (who(), proptest::option::of(0.0..0.3f32)).prop_map(|(w, l)| Action::Loss(w, l)),
        2 => (who(), 0.0..0.3f32, 1u8..12).prop_map(|(w, l, s)| Action::LossFor(w, l, s)),
        3 => (who(), role()).prop_map(|(w, r)| Action::SourceFails(w, r)),
        2 => any::<u8>().prop_map(Action::OutputFails),
        2 => select(vec![
            Fault::Mixer,
            Fault::Decoder,
            Fault::Encoder,
            Fault::Reader,
            Fault::Notices,
            Fault::Full,
        ])
        .prop_map(Action::Arm),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let bitrate = proptest::option::weighted(0.3, 0u32..2_000_000);
    let height = proptest::option::weighted(0.3, select(vec![90, 180, 360, 540, 719, 720, 1280]));
    (bitrate, height, proptest::bool::weighted(0.2)).prop_map(
        |(max_bitrate, max_height, audio_only)| Limits {
            max_bitrate,
            max_height,
            audio_only,
        },
    )
}

fn estimate() -> impl Strategy<Value = Estimate> {
    let usage = prop_oneof![2 => Just(Usage::Overuse), 1 => Just(Usage::Normal), 3 => Just(Usage::Underuse)];
    let probe_bitrate = proptest::option::of(0u32..10_000_000);
    let all = (
        0u32..2_500_000,
        0.0..0.5f32,
        0u64..500,
        usage,
        probe_bitrate,
    );
    all.prop_map(
        |(acked_bitrate, loss, queue, usage, probe_bitrate)| Estimate {
            acked_bitrate,
            loss,
            queue: Duration::from_millis(queue),
            usage,
            probe_bitrate,
        },
    )
}

/// What modes are about, and how fast media follows.
fn switching() -> impl Strategy<Value = Action> {
    let pace = prop_oneof![
        2 => Just(Pace::AtOnce),
        4 => (1u64..1800).prop_map(|ms| Pace::After(Duration::from_millis(ms))),
        1 => Just(Pace::Never),
    ];
    prop_oneof![
        4 => mode().prop_map(Action::SetMode),
        2 => (who(), own_mode()).prop_map(|(w, m)| Action::SetView(w, m)),
        3 => (who(), limits()).prop_map(|(w, limits)| Action::Limit(w, limits)),
        3 => select(Pressure::ALL.to_vec()).prop_map(Action::Press),
        4 => (who(), estimate()).prop_map(|(w, estimate)| Action::Estimate(w, estimate)),
        1 => (who(), vec(who(), 0..6)).prop_map(|(w, others)| Action::Mesh(w, others)),
        2 => who().prop_map(Action::MeshWithAll),
        1 => Just(Action::MeshUp),
        3 => pace.prop_map(Action::SetPace),
        4 => any::<u8>().prop_map(Action::Report),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(out, into)| Action::Counted(out, into)),
    ]
}

fn people() -> impl Strategy<Value = Action> {
    let departure = select(vec![
        Departure::Left,
        Departure::SignallingLost,
        Departure::SignallingLost,
        Departure::Removed,
    ]);
    let reason = select(vec![
        ByeReason::ConnectionFailed,
        ByeReason::FingerprintMismatch,
    ]);
    prop_oneof![
        8 => (guest(), links()).prop_map(|(guest, links)| Action::Enter(guest, links)),
        2 => (guest(), proptest::option::of(who())).prop_map(|(g, t)| Action::Join(g, t)),
        2 => (who(), links()).prop_map(|(w, links)| Action::Answer(w, links)),
        2 => who().prop_map(Action::Connect),
        1 => (who(), reason).prop_map(|(w, r)| Action::PeerLost(w, r)),
        2 => (who(), departure).prop_map(|(w, d)| Action::Leave(w, d)),
    ]
}

fn requests() -> impl Strategy<Value = Action> {
    let layout = select(vec![LayoutKind::Grid, LayoutKind::Spotlight]);
    let muter = select(vec![Muter::Owner, Muter::Operator]);
    let mixes = [Container::Mp4, Container::Webm, Container::Ogg].map(Subject::from);
    let subject = select([&mixes[..], &[Subject::Tracks]].concat());
    prop_oneof![
        6 => (who(), role(), muter, any::<bool>())
            .prop_map(|(w, r, by, muted)| Action::Mute(w, r, by, muted)),
        2 => layout.prop_map(Action::SetLayout),
        2 => proptest::option::of(who()).prop_map(Action::Pin),
        1 => (who(), any::<u8>()).prop_map(|(w, n)| Action::Rename(w, n)),
        1 => (who(), any::<bool>()).prop_map(|(w, raised)| Action::Hand(w, raised)),
        1 => who().prop_map(Action::Chat),
        1 => (who(), who()).prop_map(|(a, b)| Action::Signal(a, b)),
        3 => subject.prop_map(Action::Record),
        1 => any::<u8>().prop_map(Action::StopRecording),
        1 => any::<u8>().prop_map(Action::RecorderEnds),
    ]
}

pub(crate) fn history() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        60 => people(),
        80 => media(),
        40 => requests(),
        40 => switching(),
        40 => time().prop_map(Action::Pass),
        15 => time().prop_map(Action::Jump),
        1 => Just(Action::Close),
    ];
    vec(action, 1..70)
}

/// A crowd: more people than there is room for on a canvas.
pub(crate) fn crowd() -> impl Strategy<Value = Vec<Action>> {
    let enter = (guest(), links()).prop_map(|(guest, links)| Action::Enter(guest, links));
    let time = time().prop_map(Action::Pass);
    let after = prop_oneof![people(), media(), requests(), switching(), time];
    (vec(enter, 20..45), vec(after, 1..20)).prop_map(|(mut crowd, after)| {
        crowd.extend(after);
        crowd
    })
}

/// A few people with browsers, who change the mode more often than people do.
pub(crate) fn company() -> impl Strategy<Value = Vec<Action>> {
    let ann = (any::<u8>(), browser())
        .prop_map(|(name, links)| Action::Enter(Guest::new(name, Reach::Signalling, None), links));
    let moment = (0u64..2500).prop_map(Duration::from_millis);
    let heard = (who(), any::<bool>()).prop_map(|(w, heard)| Action::Heard(w, heard));
    let after = prop_oneof![
        16 => switching(),
        9 => moment.prop_map(Action::Pass),
        6 => heard,
        3 => requests(),
        2 => media(),
        1 => people(),
    ];
    (vec(ann, 1..7), vec(after, 1..50)).prop_map(|(mut people, after)| {
        people.extend(after);
        people
    })
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let size = |width, height| Size { width, height };
    (
        select(vec![1, 2, 4, 64]),
        prop_oneof![2 => Just(Mode::Mcu), 2 => Just(Mode::Sfu), 1 => Just(Mode::P2p)],
        select(vec![size(1280, 720), size(720, 1280), size(320, 180)]),
        select(vec![LayoutKind::Grid, LayoutKind::Spotlight]),
        select(vec![
            Lifetime::WhileUsed,
            Lifetime::UntilClosed,
            Lifetime::UntilClosed,
        ]),
    )
        .prop_map(
            |(max_participants, mode, canvas, layout, lifetime)| Settings {
                max_participants,
                canvas,
                fps: 30,
                ladder: Arc::new(Templates::default().ladder(canvas, 30, 1_500_000)),
                audio_bitrate: 40_000,
                mode,
                layout,
                lifetime,
                pressure: Pressure::None,
            },
        )
}

/// Uplinks with pictures in this codec.
pub(crate) fn in_codec(uplinks: &[Role], video: VideoCodec) -> Vec<(Role, Sends)> {
    in_encodings(uplinks, video, &[])
}

/// The same with a camera in these encodings.
pub(crate) fn in_encodings(
    uplinks: &[Role],
    video: VideoCodec,
    rids: &[Rid],
) -> Vec<(Role, Sends)> {
    let sends = |role| Sends {
        codec: (role != Role::Mic).then_some(video),
        rids: match role {
            Role::Camera => rids.to_vec(),
            _ => Vec::new(),
        },
    };
    uplinks.iter().map(|role| (*role, sends(*role))).collect()
}

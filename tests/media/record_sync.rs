//! Picture and sound of a recording belong together.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::json;
use tempfile::TempDir;
use tessera::bots::{AudioSource, Bot, BotConfig, Capture, Decode, VideoFormat, VideoSource};
use tessera::codec::VideoCodec;
use tessera::layout::Size;
use tessera::protocol::room::{RoomState, UplinkState};

use crate::common::bars;
use crate::common::claps::{claps, flashes, offsets};
use crate::common::recorded::{begin_as, folder, record_for, recording, stop};
use crate::common::server::{TestServer, room};

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How long picture and sound are watched; `SYNC_SECONDS` says otherwise.
fn sync_length() -> Duration {
    let given = std::env::var("SYNC_SECONDS").ok();
    Duration::from_secs(given.map_or(18, |given| given.parse().expect("seconds")))
}

/// What is seen and heard at one moment is so in the recording, at its start, when two have come
/// and when they have gone.
#[tokio::test(flavor = "multi_thread")]
async fn picture_and_sound_stay_together() {
    let clapping = Clapping::begin(1).await;
    let third = sync_length() / 3;
    record_for(third).await;
    let (url, format) = (&clapping.server.url, clapping.format);
    let mut guest = BotConfig::new(url, room("sync"), "Guest")
        .person(1, format)
        .decoding(Decode::No);
    guest.audio = AudioSource::Silence;
    let guests = (0..2).map(|_| Bot::join(guest.clone()));
    let guests = try_join_all(guests).await.expect("they join");
    clapping.all_live(3).await;
    record_for(third).await;
    join_all(guests.into_iter().map(Bot::leave)).await;
    record_for(third).await;

    let [offsets, as_opus] = clapping.end().await;
    let seconds = usize::try_from(sync_length().as_secs()).expect("few");
    assert!(offsets.len() >= seconds / 3, "{offsets:?}");
    // The median: where the machine stalls, sound is held longer at once, and its picture follows.
    for part in offsets.chunks(offsets.len().div_ceil(3)) {
        let apart = median(part);
        assert!(apart.abs() < bars::apart(40.0), "{apart} ms of {offsets:?}");
    }
    // AAC is as far from the picture as the Opus that it was made of.
    let lags = offsets.iter().zip(&as_opus).map(|(aac, opus)| aac - opus);
    let lag = median(&lags.collect::<Vec<_>>());
    // Each file begins with a keyframe of its own, and sound is looked at to 15 ms. What the encoder
    // adds is tested to 6 ms where nothing else moves (`aac_is_in_step_with_what_it_is_made_of`).
    assert!(lag.abs() < bars::apart(30.0), "AAC after Opus by {lag} ms");
    // A canvas of 30 frames a second shows something at once or 33 ms later, and at the same phase
    // until somebody comes or goes.
    let apart = offsets.iter().sum::<f64>() / offsets.len() as f64;
    // On average that is within 20 ms on a quiet machine; a busy one shows pictures later.
    println!("sound after picture: {apart} ms on average, of {offsets:?}");
    assert!(apart.abs() < bars::apart(40.0), "{apart} ms of {offsets:?}");
}

/// Sound that comes in bursts of 120 ms is held until the next one, and its picture with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_waits_for_sound_that_comes_in_bursts() {
    let clapping = Clapping::begin(6).await;
    record_for(Duration::from_secs(20)).await;
    let [offsets, _] = clapping.end().await;
    assert!(offsets.len() >= 8, "{offsets:?}");
    // How late either is is known from the sender reports of some seconds; and a picture stands for
    // 33 ms.
    let settled = &offsets[offsets.len() / 2..];
    let apart = settled.iter().sum::<f64>() / settled.len() as f64;
    assert!(apart.abs() < bars::apart(50.0), "{apart} ms of {offsets:?}");
}

/// Somebody who claps each second, on a recording.
struct Clapping {
    server: TestServer,
    folder: TempDir,
    format: VideoFormat,
    clapper: Bot,
    /// The same as MP4 with AAC and with Opus.
    ids: [String; 2],
}

impl Clapping {
    /// Begins to record. The sound goes out in bursts of so many packets.
    async fn begin(burst: usize) -> Self {
        let folder = folder();
        let record = recording(folder.path());
        let server = TestServer::with(|config| {
            record(config);
            // All of it is looked at, and five minutes are to fit into memory.
            config.canvas = Size {
                width: 640,
                height: 360,
            };
        })
        .await;
        let format = VideoFormat {
            fps: 25,
            ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
        };
        let mut clapper = BotConfig::new(&server.url, room("sync"), "Clapper").decoding(Decode::No);
        clapper.video = VideoSource::Clap { format };
        clapper.audio = AudioSource::Clap;
        clapper.sound_burst = burst;
        clapper.capture = Capture::Ignore;
        let clapper = Bot::join(clapper).await.expect("they join");
        wait_for_live(&clapper, 1).await;
        let begin = |audio| {
            let body = json!({ "format": "mp4", "audio": audio });
            begin_as(&server.url, "sync", body)
        };
        let ids = [begin("aac").await, begin("opus").await];
        Self {
            server,
            folder,
            format,
            clapper,
            ids,
        }
    }

    /// Waits until so many people are seen.
    async fn all_live(&self, n: usize) {
        wait_for_live(&self.clapper, n).await;
    }

    /// By how many ms the sound of each clap lies behind its picture, in each recording.
    async fn end(self) -> [Vec<f64>; 2] {
        let mut all = [const { Vec::new() }; 2];
        for (offsets_of, id) in all.iter_mut().zip(&self.ids) {
            let recording = stop(&self.server.url, "sync", id).await;
            let name = recording["file"].as_str().expect("a file");
            let file = self.folder.path().join(name);
            *offsets_of = offsets(&flashes(&file), &claps(&file));
            println!("sound after picture by {offsets_of:.0?} ms");
        }
        self.clapper.leave().await.expect("they leave");
        self.server.stop().await;
        all
    }
}

async fn wait_for_live(bot: &Bot, n: usize) {
    let live = move |state: &RoomState| state.tiles.len() == n && all_live(state);
    bot.room_when("all to be live", live).await.expect("live");
}

fn all_live(state: &RoomState) -> bool {
    state
        .participants
        .iter()
        .all(|p| p.camera == UplinkState::Live)
}

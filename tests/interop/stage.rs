//! A room with one bot, who watches what a client publishes or sends what it plays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::Picture;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::protocol::room::{ParticipantState, RoomState};

use super::media;
use crate::common::look::{assert_tiles, assert_tones, check_tiles, check_tones};
use crate::common::server::{TestServer, room};

/// The number of the bot in the palette.
const BOT: usize = 0;
/// The number of the client in the palette.
pub(crate) const CLIENT: usize = 1;

/// Long enough for a tone's level to mean something.
const LISTEN: Duration = Duration::from_millis(600);

/// A server, a room and a bot in it.
pub(crate) struct Stage {
    server: TestServer,
    bot: Bot,
    /// Where media comes and goes as files.
    folder: TempDir,
}

impl Stage {
    /// The bot watches, and sends nothing.
    pub(crate) async fn watched() -> Self {
        Self::open(|bot| bot).await
    }

    /// The bot sends, and its picture is in the mix.
    pub(crate) async fn sending() -> Self {
        let format = VideoFormat {
            fps: 15,
            ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
        };
        let stage = Self::open(|bot| bot.person(BOT, format)).await;
        let state = stage.live("Bot").await;
        stage.sees(&state, BOT).await;
        stage
    }

    async fn open(change: impl FnOnce(BotConfig) -> BotConfig) -> Self {
        let server = TestServer::with(|config| {
            config.canvas.width = 640;
            config.canvas.height = 360;
        })
        .await;
        let bot = BotConfig::new(&server.url, room("stage"), "Bot").decoding(Decode::Both);
        let bot = Bot::join(change(bot)).await.expect("the bot joins");
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            server,
            bot,
            folder,
        }
    }

    /// Where a client publishes.
    pub(crate) fn whip(&self) -> String {
        format!("{}/whip/stage?name=Client", self.server.url)
    }

    /// Where a client plays.
    pub(crate) fn whep(&self) -> String {
        format!("{}/whep/stage?name=Client", self.server.url)
    }

    /// Files of pictures and of sound.
    pub(crate) fn files(&self) -> [PathBuf; 2] {
        ["pictures", "sound"].map(|name| self.folder.path().join(name))
    }

    /// Files with the client's colour and tone.
    pub(crate) fn made(&self, codec: VideoCodec) -> [String; 2] {
        let [pictures, sound] = self.files();
        media::write(&pictures, &media::color(codec, CLIENT));
        media::write(&sound, &media::tone(CLIENT));
        [pictures, sound].map(shown)
    }

    /// Where a script is to write what it receives.
    pub(crate) fn wanted(&self) -> [String; 2] {
        self.files().map(shown)
    }

    /// Waits until the bot sees and hears what the client publishes.
    pub(crate) async fn sees_and_hears(&self) {
        let state = self.live("Client").await;
        self.sees(&state, CLIENT).await;
        let tone = [palette::tone(CLIENT)];
        let mut outcome = Ok(());
        for _ in 0..8 {
            let heard = self.bot.sound(LISTEN).await.expect("sound");
            outcome = check_tones(&heard, &tone, &[]);
            if outcome.is_ok() {
                break;
            }
        }
        outcome.expect("the client is heard");
    }

    /// Panics unless what a script has received by WHEP is what the bot sends.
    pub(crate) fn assert_received(&self, codec: VideoCodec) {
        let [pictures, sound] = self.files().map(|file| media::read(&file));
        self.assert_played(&media::pictures(codec, &pictures), &media::sound(&sound));
    }

    /// Panics unless that is what the bot sends.
    pub(crate) fn assert_played(&self, pictures: &[Picture], sound: &[f32]) {
        let state = self.bot.room().borrow().clone().expect("a room");
        let bot = [(self.bot.id().expect("an id"), palette::color(BOT))];
        assert_tiles(pictures.last().expect("a picture"), &state, &bot);
        let samples = (LISTEN.as_secs_f64() * 48_000.0) as usize;
        let last = sound.len().checked_sub(samples);
        let last = last.unwrap_or_else(|| panic!("{} samples", sound.len()));
        assert_tones(
            &sound[last..],
            &[palette::tone(BOT)],
            &[palette::tone(CLIENT)],
        );
    }

    /// Waits until the client has left, and closes all.
    pub(crate) async fn close(self) {
        let alone = |state: &RoomState| state.participants.len() == 1;
        let left = self.bot.room_when("the client to leave", alone).await;
        left.expect("`DELETE` ends a session");
        self.bot.leave().await.expect("the bot leaves");
        self.server.stop().await;
    }

    /// Waits until somebody's tile is the only one, and they speak. Each step on the way may take
    /// as long as a bot waits for anything.
    async fn live(&self, name: &'static str) -> RoomState {
        let is = |what: fn(&ParticipantState) -> bool| {
            move |state: &RoomState| state.participants.iter().any(|p| p.name == name && what(p))
        };
        self.room_when("join", is(|_| true)).await;
        self.room_when("connection", is(|who| who.connected)).await;
        self.room_when("voice", is(|who| who.speaking)).await;
        let alone = |state: &RoomState| {
            let who = state.participants.iter().find(|p| p.name == name);
            let tiles = state.tiles.iter().map(|tile| tile.participant);
            tiles.eq(who.map(|who| who.id))
        };
        self.room_when("lone tile", alone).await
    }

    async fn room_when(
        &self,
        what: &'static str,
        wanted: impl Fn(&RoomState) -> bool,
    ) -> RoomState {
        let state = self.bot.room_when(what, wanted).await;
        let last = self.bot.room().borrow().clone();
        state.unwrap_or_else(|error| panic!("{error}: {last:?}"))
    }

    /// Waits until the picture of the mix is one of a person of the palette.
    async fn sees(&self, state: &RoomState, person: usize) {
        let who: Vec<(ParticipantId, _)> = state
            .tiles
            .iter()
            .map(|tile| (tile.participant, palette::color(person)))
            .collect();
        let right = |picture: &Picture| check_tiles(picture, state, &who).is_ok();
        if self.bot.picture_when("the colour", right).await.is_err() {
            let picture = self.bot.picture().await.expect("a picture");
            assert_tiles(&picture, state, &who);
        }
    }
}

fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

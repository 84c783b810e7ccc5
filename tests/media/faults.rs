//! What one participant cannot do to the others.

use std::time::{Duration, Instant};

use futures::SinkExt;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tessera::bots::{Bot, BotConfig, BotError, CorruptMode, Entry, FingerprintMode};
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::protocol::ServerMessage;
use tessera::protocol::error::ErrorCode;
use tessera::protocol::room::{ByeReason, RoomState, UplinkState};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, client_async, connect_async};

use crate::common::bars::at_most;
use crate::common::server::{PATIENCE, TestServer, room};
use crate::members::{camera, frames, member, mix_video};

/// Longer than a frame of the others may be missing, whatever somebody does.
const LONGEST_GAP: Duration = Duration::from_millis(200);

fn live(state: &RoomState) -> usize {
    let on = |camera: &UplinkState| *camera == UplinkState::Live;
    state.participants.iter().filter(|p| on(&p.camera)).count()
}

/// Four people, one of whom sends ever more broken H.264 and is then gone without a word: the
/// others' composite has no hole, and the tile goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_stream_and_a_killed_sender_cost_nobody_a_frame() {
    let server = TestServer::start().await;
    let others = join_all((0..3).map(|i| member(&server, "faults", i))).await;
    let config =
        BotConfig::new(&server.url, room("faults"), "Broken").person(3, camera(VideoCodec::H264));
    let broken = Bot::join(config).await.expect("join");
    let who = broken.id().expect("an id");
    others[0]
        .room_when("four live cameras", |state| live(state) == 4)
        .await
        .expect("all are live");
    frames(&others[0], 30).await;
    others.iter().for_each(Bot::reset_stats);
    for mode in [CorruptMode::Flip, CorruptMode::Noise, CorruptMode::Truncate] {
        broken.corrupt(mode).expect("it has a camera");
        frames(&others[0], 45).await;
    }
    let killed = Instant::now();
    broken.kill().await;
    others[0]
        .room_when("the tile to be gone", |state| {
            state.tiles.iter().all(|tile| tile.participant != who)
        })
        .await
        .expect("the tile goes");
    assert!(
        killed.elapsed() < at_most(Duration::from_secs(5)),
        "{:?}",
        killed.elapsed()
    );
    frames(&others[0], 15).await;
    for bot in &others {
        let seen = mix_video(bot);
        assert!(seen.frames > 100, "{seen:?}");
        assert!(
            seen.longest_gap < at_most(LONGEST_GAP),
            "{}: {seen:?}",
            bot.name()
        );
        assert_eq!(seen.lost, 0, "{seen:?}");
    }
    join_all(others.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// webrtcbin does not compare certificates with the SDP: the server does.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_dtls_fingerprint_is_refused() {
    let server = TestServer::start().await;
    let honest = member(&server, "dtls", 0).await;
    let mut config =
        BotConfig::new(&server.url, room("dtls"), "Mallory").person(1, camera(VideoCodec::Vp8));
    config.fingerprint = FingerprintMode::Wrong;
    let liar = Bot::join(config).await.expect("the offer itself is fine");
    let mut notices = liar.notices();
    let farewell = async {
        loop {
            if let ServerMessage::Bye { reason } = notices.recv().await.expect("a message") {
                return reason;
            }
        }
    };
    let reason = timeout(PATIENCE, farewell).await.expect("bye comes");
    assert_eq!(reason, ByeReason::FingerprintMismatch);
    let state = honest
        .room_when("the liar to be gone", |state| state.participants.len() == 1)
        .await
        .expect("they are put out");
    assert_eq!(state.participants[0].name, "Member 0");
    honest.leave().await.expect("leave");
    server.stop().await;
}

/// A leaver's tile is gone with the very next state, and the picture follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_leavers_tile_is_gone_at_once() {
    let server = TestServer::start().await;
    let stays = member(&server, "leave", 0).await;
    let leaves = member(&server, "leave", 1).await;
    stays
        .room_when("two live", |state| live(state) == 2)
        .await
        .expect("live");
    let mut states = stays.room();
    states.mark_unchanged();
    leaves.leave().await.expect("leave");
    let gone = states.wait_for(|state| state.as_ref().is_some_and(|s| s.participants.len() == 1));
    let state = timeout(PATIENCE, gone)
        .await
        .expect("in time")
        .expect("open")
        .clone();
    assert_eq!(state.expect("a state").tiles.len(), 1);
    stays.leave().await.expect("leave");
    server.stop().await;
}

/// A raw WebSocket that sends what it likes.
struct Raw(
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
);

impl Raw {
    async fn connect(server: &TestServer) -> Self {
        let connected = Self::try_connect(server).await;
        connected.expect("a WebSocket")
    }

    /// The same; `None` if the server has enough of them from this address.
    async fn try_connect(server: &TestServer) -> Option<Self> {
        let url = format!("{}/ws", server.url.replace("http", "ws"));
        match connect_async(url).await {
            Ok((socket, _)) => Some(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => {
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Somebody for whom the kernel keeps little of what they have not read.
    async fn connect_narrow(server: &TestServer) -> Self {
        let address = server.url.trim_start_matches("http://");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let address = address.parse().expect("an address");
        let stream = socket.connect(address).await.expect("a connection");
        let url = format!("{}/ws", server.url.replace("http", "ws"));
        let stream = MaybeTlsStream::Plain(stream);
        let connected = client_async(url, stream).await;
        Self(connected.expect("a WebSocket").0)
    }

    /// Joins without ever bringing a connection up. Who it is in the room.
    async fn join(&mut self, room: &str) -> ParticipantId {
        let (offer, tracks) = offer(1, "opus");
        let fingerprint = ["AA"; 32].join(":");
        let offer = offer.replace("AA:BB", &fingerprint);
        self.say(joining(room, &offer, &tracks)).await;
        loop {
            if let ServerMessage::Welcome { participant, .. } = self.next().await {
                return participant;
            }
        }
    }

    async fn say(&mut self, text: impl Into<String>) {
        let message = Message::text(text.into());
        self.0.send(message).await.expect("the socket is open");
    }

    /// What the server says next.
    async fn next(&mut self) -> ServerMessage {
        let next = async {
            loop {
                let message = self.0.next().await.expect("open").expect("sound");
                if let Message::Text(text) = message {
                    return serde_json::from_str(&text).expect("the protocol");
                }
            }
        };
        timeout(PATIENCE, next).await.expect("something is said")
    }

    /// The next error's code; other messages are passed over.
    async fn error(&mut self) -> ErrorCode {
        loop {
            match self.next().await {
                ServerMessage::Error { code, .. } => return code,
                ServerMessage::Bye { reason } => panic!("bye: {reason:?}"),
                _ => {}
            }
        }
    }

    async fn refused(&mut self, offer: &str, tracks: Value) -> ErrorCode {
        self.refused_in("noise", offer, tracks).await
    }

    async fn refused_in(&mut self, room: &str, offer: &str, tracks: Value) -> ErrorCode {
        self.say(joining(room, offer, &tracks)).await;
        self.error().await
    }
}

fn joining(room: &str, offer: &str, tracks: &Value) -> String {
    let join = json!({
        "type": "join", "version": 1, "room": room, "name": "Noise", "token": null,
        "offer": offer, "tracks": tracks,
    });
    join.to_string()
}

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

/// A fingerprint that no certificate has.
const DIGEST: &str = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                      10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

/// An offer of `n` audio m-lines in a codec.
fn offer(n: usize, codec: &str) -> (String, Value) {
    let mids: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    let lines: String = mids
        .iter()
        .map(|mid| {
            format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendonly\r\n\
                 a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
                 a=fingerprint:sha-256 {DIGEST}\r\na=setup:actpass\r\na=rtcp-mux\r\n\
                 a=rtpmap:111 {codec}/48000/2\r\n"
            )
        })
        .collect();
    let tracks = mids
        .iter()
        .map(|mid| json!({"mid": mid, "role": "mic"}))
        .collect();
    let text = format!("{HEAD}a=group:BUNDLE {}\r\n{lines}", mids.join(" "));
    (text, Value::Array(tracks))
}

/// Every kind of bad input has its own clear error, and the room next door does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_and_the_room_next_door_goes_on() {
    let server = TestServer::with(|config| config.joins_per_second = 20).await;
    let neighbour = member(&server, "quiet", 0).await;
    neighbour.first_picture().await.expect("a picture");
    neighbour.reset_stats();

    let mut raw = Raw::connect(&server).await;
    for garbage in [
        "",
        "{",
        "[]",
        "null",
        "{\"type\":\"dance\"}",
        "{\"type\":\"join\"}",
    ] {
        raw.say(garbage).await;
        assert_eq!(raw.error().await, ErrorCode::BadMessage, "{garbage:?}");
    }
    let (good, mic) = offer(1, "opus");
    assert_eq!(
        raw.refused_in("a/b", &good, mic.clone()).await,
        ErrorCode::BadRoomId
    );
    let huge = format!("{good}{}", "a=x:y\r\n".repeat(150_000));
    assert_eq!(raw.refused(&huge, mic.clone()).await, ErrorCode::TooLarge);
    // Before a join that is the end of the connection.
    let mut raw = Raw::connect(&server).await;
    assert_eq!(raw.refused("hello", json!([])).await, ErrorCode::BadOffer);
    assert_eq!(raw.refused(HEAD, json!([])).await, ErrorCode::BadOffer);
    let (many, tracks) = offer(40, "opus");
    assert_eq!(raw.refused(&many, tracks).await, ErrorCode::TooManyMlines);
    let (strange, tracks) = offer(1, "speex");
    assert_eq!(
        raw.refused(&strange, tracks).await,
        ErrorCode::UnsupportedCodec
    );
    let camera = json!([{"mid": "0", "role": "camera"}]);
    assert_eq!(raw.refused(&good, camera).await, ErrorCode::BadTracks);
    let (two, tracks) = offer(2, "opus");
    let no_mid = two.replace("a=mid:0\r\n", "");
    assert_eq!(raw.refused(&no_mid, tracks).await, ErrorCode::BadOffer);

    let flood = (0..200).map(|_| async {
        match Raw::try_connect(&server).await {
            Some(mut raw) => raw.refused("hello", json!([])).await,
            None => ErrorCode::RateLimited,
        }
    });
    let codes = join_all(flood).await;
    let limited = codes
        .iter()
        .filter(|code| **code == ErrorCode::RateLimited)
        .count();
    assert!(
        limited > 100,
        "{limited} of 200 joins at once are held back"
    );

    frames(&neighbour, 30).await;
    let seen = mix_video(&neighbour);
    assert!(seen.longest_gap < at_most(LONGEST_GAP), "{seen:?}");
    assert_eq!(seen.lost, 0, "{seen:?}");
    let rooms = server.get("/api/v1/rooms").await;
    let names: Vec<_> = rooms
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| r["id"].clone())
        .collect();
    assert_eq!(names, ["quiet"], "no room is left of what was refused");
    neighbour.leave().await.expect("leave");
    server.stop().await;
}

/// Whoever sends as much as they may to somebody who does not read is refused most of it, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_signals_costs_its_sender_nothing_but_refusals() {
    const AT_ONCE: usize = 200;
    let server = TestServer::start().await;
    let mut idle = Raw::connect_narrow(&server).await;
    let to = idle.join("flood").await;
    let mut eager = Raw::connect(&server).await;
    eager.join("flood").await;

    let text = "x".repeat(60_000);
    let signal = json!({ "type": "signal", "to": to, "data": text }).to_string();
    // The join was one of those at once, and so is what marks the end.
    for _ in 2..AT_ONCE {
        let signal = Message::text(signal.clone());
        eager.0.feed(signal).await.expect("the socket is open");
    }
    eager.say("{").await;
    let mut refusals = 0;
    loop {
        match eager.error().await {
            ErrorCode::RateLimited => refusals += 1,
            ErrorCode::BadMessage => break,
            code => panic!("{code:?}"),
        }
    }
    println!("{refusals} of {} are refused", AT_ONCE - 2);
    // More than wait for anybody at most.
    assert!(refusals > 64, "{refusals}");
    server.stop().await;
}

/// A join without audio is fine (every m-line is optional); one of 17 for 16 places is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_room_says_so_and_audio_is_optional() {
    let server = TestServer::with(|config| config.max_participants = 2).await;
    let silent = |name: &str| {
        let mut config =
            BotConfig::new(&server.url, room("full"), name).person(0, camera(VideoCodec::Vp8));
        config.audio = tessera::bots::AudioSource::None;
        config
    };
    let bots = try_join_all(["One", "Two"].map(|name| Bot::join(silent(name))))
        .await
        .expect("both join");
    bots[0]
        .first_picture()
        .await
        .expect("a picture without a microphone");
    let refused = Bot::join(silent("Three")).await;
    assert!(
        matches!(
            refused,
            Err(BotError::Refused {
                code: ErrorCode::RoomFull,
                ..
            })
        ),
        "{refused:?}"
    );
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Everybody hears `bye` and all is torn down within 5 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_says_goodbye() {
    let server = TestServer::start().await;
    let bots = join_all((0..3).map(|i| member(&server, "stop", i))).await;
    let publisher =
        BotConfig::new(&server.url, room("stop"), "Web").person(3, camera(VideoCodec::Vp8));
    let publisher = Bot::join(publisher.entering(Entry::Whip))
        .await
        .expect("WHIP");
    bots[0]
        .room_when("four live", |state| live(state) == 4)
        .await
        .expect("live");
    let mut ears: Vec<_> = bots.iter().map(Bot::notices).collect();
    let began = Instant::now();
    server.stop().await;
    assert!(
        began.elapsed() < at_most(Duration::from_secs(5)),
        "{:?}",
        began.elapsed()
    );
    for ear in &mut ears {
        let goodbye = async {
            loop {
                if let ServerMessage::Bye { reason } = ear.recv().await.expect("a message") {
                    return reason;
                }
            }
        };
        let reason = timeout(PATIENCE, goodbye).await.expect("bye comes");
        assert_eq!(reason, ByeReason::ServerShutdown);
    }
    join_all(bots.into_iter().map(Bot::kill)).await;
    publisher.kill().await;
}

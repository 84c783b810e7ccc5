//! str0m (crates.io): WebRTC in Rust that does no input and output of its own. It takes ECDSA
//! certificates alone, as RFC 8827 section 6.5 asks for them.

use std::net::SocketAddr;
use std::time::Instant;

use ::str0m::change::{SdpAnswer, SdpPendingOffer};
use ::str0m::format::Codec;
use ::str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use ::str0m::net::{Protocol, Receive};
use ::str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use tessera::codec::VideoCodec;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};

use super::media::{self, FPS, PACKET, Units};
use super::stage::{CLIENT, Stage};
use crate::common::server::PATIENCE;

/// How much is received: a mix in which nothing moves has five pictures a second.
const PICTURES: usize = 10;
const PACKETS: usize = 100;

/// A session with a server.
struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    audio: Mid,
    video: Mid,
    /// Where it can be ended.
    location: Url,
}

impl Session {
    /// Offers both m-lines in this direction to a WHIP or WHEP endpoint, and connects.
    async fn join(url: &str, codec: VideoCodec, direction: Direction) -> Self {
        Self::join_saying(url, codec, direction, |offer| offer).await
    }

    /// The same, with an offer that says something else.
    async fn join_saying(
        url: &str,
        codec: VideoCodec,
        direction: Direction,
        saying: fn(String) -> String,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("its address");
        let config = RtcConfig::new().clear_codecs().enable_opus(true, false);
        let config = match codec {
            VideoCodec::H264 => config.enable_h264(true),
            VideoCodec::Vp8 => config.enable_vp8(true),
            VideoCodec::Vp9 => config.enable_vp9(true),
        };
        let mut rtc = config.build(Instant::now());
        let candidate = Candidate::host(address, "udp").expect("a candidate");
        rtc.add_local_candidate(candidate);
        let mut change = rtc.sdp_api();
        let audio = change.add_media(MediaKind::Audio, direction, None, None, None);
        let video = change.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = change.apply().expect("an offer");
        let (answer, location) = post(url, saying(offer.to_sdp_string())).await;
        let mut session = Self {
            rtc,
            socket,
            address,
            audio,
            video,
            location,
        };
        session.connect(pending, &answer).await;
        session
    }

    async fn connect(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("an answer");
        let accepted = self.rtc.sdp_api().accept_answer(pending, answer);
        accepted.expect("the answer fits");
        let connected = async {
            while !self.rtc.is_connected() {
                self.advance(None).await;
            }
        };
        let connected = timeout(PATIENCE, connected).await;
        connected.expect("ICE and DTLS come up");
    }

    /// Sends all there is to send, waits for a packet or until there is something to do, at the
    /// latest until `due`, and gives what has happened.
    async fn advance(&mut self, due: Option<Instant>) -> Vec<Event> {
        let mut events = Vec::new();
        let wake = loop {
            match self.rtc.poll_output().expect("str0m goes on") {
                Output::Timeout(at) => break at,
                Output::Transmit(packet) => {
                    let sent = self.socket.send_to(&packet.contents, packet.destination);
                    sent.await.expect("it is sent");
                }
                Output::Event(event) => {
                    let lost = Event::IceConnectionStateChange(IceConnectionState::Disconnected);
                    assert_ne!(event, lost, "the connection is lost");
                    events.push(event);
                }
            }
        };
        let wake = due.map_or(wake, |due| due.min(wake));
        let mut buffer = [0; 2000];
        let input = tokio::select! {
            received = self.socket.recv_from(&mut buffer) => {
                let (length, source) = received.expect("a packet");
                let receive = Receive {
                    proto: Protocol::Udp,
                    source,
                    destination: self.address,
                    contents: buffer[..length].try_into().expect("a known kind of packet"),
                };
                Input::Receive(Instant::now(), receive)
            }
            () = sleep_until(TokioInstant::from_std(wake)) => Input::Timeout(Instant::now()),
        };
        self.rtc.handle_input(input).expect("str0m takes it");
        events
    }

    /// Sends a picture or a packet of sound.
    fn write(&mut self, mid: Mid, time: MediaTime, data: &[u8]) {
        let writer = self.rtc.writer(mid).expect("an m-line to send on");
        let pt = writer.payload_params().next().expect("a codec").pt();
        let written = writer.write(pt, Instant::now(), time, data.to_vec());
        written.expect("it is sent");
    }

    /// Goes on from another port without knowing it, as behind a NAT that has forgotten the old one.
    async fn rebind(&mut self) {
        self.socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    }

    /// Waits for so many pictures.
    async fn pictures(&mut self, count: usize) {
        let mut seen = 0;
        let enough = async {
            while seen < count {
                let events = self.advance(None).await;
                let is_picture = |event: &&Event| matches!(event, Event::MediaData(media) if media.mid == self.video);
                seen += events.iter().filter(is_picture).count();
            }
        };
        let enough = timeout(PATIENCE, enough).await;
        enough.unwrap_or_else(|_| panic!("only {seen} pictures come"));
    }

    async fn leave(self) {
        let left = Client::new().delete(self.location).send().await;
        assert_eq!(left.expect("an answer").status(), StatusCode::OK);
    }
}

/// The answer to an offer, and where the session is.
async fn post(url: &str, offer: String) -> (String, Url) {
    let request = Client::new()
        .post(url)
        .header(CONTENT_TYPE, "application/sdp");
    let response: Response = request.body(offer).send().await.expect("an answer");
    let status = response.status();
    let location = response.headers().get(LOCATION).cloned();
    let base = response.url().clone();
    let body = response.text().await.expect("text");
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let location = location.expect("a location");
    let location = base.join(location.to_str().expect("text")).expect("a URL");
    (body, location)
}

/// Publishes pictures and sound over and over until told to stop.
async fn publish(url: String, codec: VideoCodec, mut stop: oneshot::Receiver<()>) {
    let (pictures, sound) = (media::color(codec, CLIENT), media::tone(CLIENT));
    let mut session = Session::join(&url, codec, Direction::SendOnly).await;
    let start = Instant::now();
    let (mut seen, mut heard) = (0, 0);
    while stop.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
        let picture_at = start + std::time::Duration::from_secs(1) * seen / FPS as u32;
        let packet_at = start + PACKET * heard;
        let due = picture_at.min(packet_at);
        if due > Instant::now() {
            session.advance(Some(due)).await;
        } else if packet_at <= picture_at {
            let time = MediaTime::new(u64::from(heard) * 960, Frequency::FORTY_EIGHT_KHZ);
            session.write(session.audio, time, unit(&sound, heard));
            heard += 1;
        } else {
            let time = MediaTime::from_90khz(u64::from(seen) * 90_000 / FPS);
            session.write(session.video, time, unit(&pictures, seen));
            seen += 1;
        }
    }
    session.leave().await;
}

fn unit(units: &Units, number: u32) -> &[u8] {
    &units[number as usize % units.len()]
}

/// Plays until there is enough to judge.
async fn play(url: &str, codec: VideoCodec) -> (Units, Units) {
    let mut session = Session::join(url, codec, Direction::RecvOnly).await;
    let (mut pictures, mut sound) = (Units::new(), Units::new());
    let enough = async {
        while pictures.len() < PICTURES || sound.len() < PACKETS {
            for event in session.advance(None).await {
                if let Event::MediaData(media) = event {
                    let video = media.params.spec().codec != Codec::Opus;
                    let units = if video { &mut pictures } else { &mut sound };
                    units.push(media.data.to_vec());
                }
            }
        }
    };
    let enough = timeout(PATIENCE, enough).await;
    let received = format!("{} pictures and {} packets", pictures.len(), sound.len());
    enough.unwrap_or_else(|_| panic!("only {received} come"));
    session.leave().await;
    (pictures, sound)
}

async fn is_seen_and_heard(codec: VideoCodec) {
    let stage = Stage::watched().await;
    let (stop, stopped) = oneshot::channel();
    let mut client = tokio::spawn(publish(stage.whip(), codec, stopped));
    tokio::select! {
        () = stage.sees_and_hears() => {}
        ended = &mut client => panic!("the client has ended: {ended:?}"),
    }
    stop.send(()).expect("it still publishes");
    client.await.expect("it leaves");
    stage.close().await;
}

async fn sees_and_hears(codec: VideoCodec) {
    let stage = Stage::sending().await;
    let (pictures, sound) = play(&stage.whep(), codec).await;
    stage.assert_played(&media::pictures(codec, &pictures), &media::sound(&sound));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_vp8() {
    is_seen_and_heard(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_h264() {
    is_seen_and_heard(VideoCodec::H264).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_vp8() {
    sees_and_hears(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_h264() {
    sees_and_hears(VideoCodec::H264).await;
}

/// An offer with names in place of addresses, as browsers make them while a page has no camera.
fn with_names(offer: String) -> String {
    let address = " 127.0.0.1 ";
    assert!(offer.contains(address), "{offer}");
    offer.replace(address, " 6ba7b810-9dad-11d1-80b4-00c04fd430c8.local ")
}

/// The server finds it by the checks that come from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_names_no_address_is_found() {
    let stage = Stage::sending().await;
    let (url, codec) = (stage.whep(), VideoCodec::Vp8);
    let joined = Session::join_saying(&url, codec, Direction::RecvOnly, with_names);
    let mut session = joined.await;
    session.pictures(PICTURES).await;
    session.leave().await;
    stage.close().await;
}

/// What is sent to the old port is lost: the server has to find the new one by the checks that come
/// from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_player_whose_nat_moves_it_goes_on() {
    let stage = Stage::sending().await;
    let mut session = Session::join(&stage.whep(), VideoCodec::Vp8, Direction::RecvOnly).await;
    session.pictures(PICTURES).await;
    for _ in 0..2 {
        session.rebind().await;
        session.pictures(PICTURES).await;
    }
    session.leave().await;
    stage.close().await;
}

//! Streams of a publisher that sends a camera in two encodings, with RTX, and a microphone.

use proptest::prelude::*;

use super::*;
use crate::codec::VideoCodec;
use crate::id::Role;
use crate::media::sdp::plan::{RoleSource, plan};

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:\
    17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
    a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\n\
    a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
    a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
    a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
    a=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n";

/// Most streams.
const LIMIT: u32 = 6;

/// What comes from the publisher, and what it has told its owner.
struct Publisher {
    ingress: Ingress,
    uplinks: Arc<Mutex<Vec<(Role, usize, Tap)>>>,
    _pipeline: gst::Pipeline,
}

impl Publisher {
    fn start() -> Self {
        gst::init().expect("GStreamer");
        let offer = Offer::parse(OFFER, 8).expect("a good offer");
        let codecs = [VideoCodec::H264, VideoCodec::Vp8];
        let lines = plan(&offer, &RoleSource::Publish, &codecs).expect("a plan");
        let pipeline = gst::Pipeline::new();
        let webrtc = gst::ElementFactory::make("webrtcbin").build();
        let webrtc = webrtc.expect("it is installed");
        pipeline.add(&webrtc).expect("a new element");
        let egress = Egress::install(&webrtc, LIMIT, None);
        let uplinks = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&uplinks);
        let on_event: OnPeerEvent = Arc::new(move |event| match event {
            PeerEvent::Uplink(role, encoding, tap) => told.lock().push((role, encoding, tap)),
            other => panic!("{other:?}"),
        });
        let described = (&offer, &lines[..]);
        let ingress = Ingress::new(&pipeline, &egress, described, LIMIT, &on_event);
        Self {
            ingress,
            uplinks,
            _pipeline: pipeline,
        }
    }

    fn send(&self, packet: Vec<u8>) {
        self.ingress.0.take(now(), BytesMut::from(&packet[..]));
    }

    /// The numbers of packets of an uplink from now on.
    fn numbers(&self, place: usize) -> (Arc<Mutex<Vec<u16>>>, impl Sized) {
        let numbers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&numbers);
        let (_, _, tap) = self.uplinks.lock()[place].clone();
        let link = tap.connect(Box::new(move |packets, _| {
            for packet in packets {
                let bytes = packet.map_readable().expect("bytes");
                let (header, _) = RtpHeader::parse(&bytes).expect("a packet");
                assert_eq!(header.payload_type, 96);
                seen.lock().push(header.seq);
            }
        }));
        (numbers, link)
    }

    fn told(&self) -> Vec<(Role, usize)> {
        let uplinks = self.uplinks.lock();
        uplinks
            .iter()
            .map(|(role, encoding, _)| (*role, *encoding))
            .collect()
    }

    fn counts(&self) -> RepairStats {
        let mut stats = RepairStats::default();
        self.ingress.count(&mut stats);
        stats
    }
}

/// A packet with these header extensions.
fn packet(
    (payload_type, ssrc, seq): (u8, u32, u16),
    extensions: &[(u8, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x90, payload_type];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 3_000).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    let mut elements = Vec::new();
    for (id, value) in extensions {
        elements.push(id << 4 | (value.len() as u8 - 1));
        elements.extend(*value);
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    packet.extend([0xbe, 0xde, 0, (elements.len() / 4) as u8]);
    packet.extend(elements);
    packet.extend(payload);
    packet
}

const CAMERA: &[u8] = b"1";
/// A packet of VP8 that begins no keyframe.
const VP8: &[u8] = &[0x10, 1, 2, 3];

#[test]
fn each_encoding_is_an_uplink_and_what_is_sent_again_finds_it() {
    let publisher = Publisher::start();
    let quarter = |seq| packet((96, 7, seq), &[(4, CAMERA), (10, b"q")], VP8);
    let full = |seq| packet((96, 8, seq), &[(4, CAMERA), (10, b"f")], VP8);
    publisher.send(quarter(1));
    publisher.send(full(1));
    assert_eq!(publisher.told(), [(Role::Camera, 0), (Role::Camera, 1)]);
    let (first, _link) = publisher.numbers(0);
    let (second, _other) = publisher.numbers(1);
    publisher.send(quarter(4));
    publisher.send(full(3));
    assert_eq!(first.lock().len() + second.lock().len(), 0, "they wait");
    let again = |ssrc, seq: u16, naming: &[(u8, &[u8])]| {
        packet(
            (97, ssrc, seq),
            naming,
            &[&seq.to_be_bytes()[..], VP8].concat(),
        )
    };
    // Both miss number 2: the encoding is named.
    publisher.send(again(17, 2, &[(4, CAMERA), (11, b"q")]));
    assert_eq!(*first.lock(), [2]);
    // One alone misses number 3, and is remembered then.
    publisher.send(again(17, 3, &[]));
    assert_eq!(*first.lock(), [2, 3, 4]);
    publisher.send(again(18, 2, &[(4, CAMERA)]));
    assert_eq!(*second.lock(), [2, 3]);
    // What has come does not come again.
    publisher.send(again(18, 2, &[]));
    publisher.send(full(3));
    assert_eq!(*second.lock(), [2, 3]);
    let counts = publisher.counts();
    assert_eq!((counts.asked, counts.recovered, counts.lost), (3, 3, 0));
}

#[test]
fn another_payload_type_among_the_numbers_of_a_stream_is_no_loss() {
    let publisher = Publisher::start();
    publisher.send(packet((96, 7, 1), &[(4, CAMERA), (10, b"q")], VP8));
    let (numbers, _link) = publisher.numbers(0);
    publisher.send(packet((100, 7, 2), &[], &[0; 10]));
    publisher.send(packet((96, 7, 3), &[], VP8));
    assert_eq!(*numbers.lock(), [3]);
    assert_eq!(publisher.counts().asked, 0);
}

#[test]
fn streams_of_no_uplink_and_too_many_are_not_begun() {
    let publisher = Publisher::start();
    // An m-line that is not there, an encoding that was not taken, a payload type of nobody.
    publisher.send(packet((96, 1, 1), &[(4, b"9")], VP8));
    publisher.send(packet((96, 1, 1), &[(4, CAMERA), (10, b"x")], VP8));
    publisher.send(packet((99, 1, 1), &[(4, CAMERA)], VP8));
    assert_eq!(publisher.told(), []);
    for ssrc in 10..100 {
        publisher.send(packet((96, ssrc, 1), &[(4, CAMERA), (10, b"q")], VP8));
        publisher.send(packet((97, 1_000 + ssrc, 1), &[(4, CAMERA)], VP8));
    }
    let state = publisher.ingress.0.state.lock();
    assert_eq!(state.streams.count(), LIMIT as usize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Packets that are lost, overtaken, doubled and sent again leave in order, and those alone are
    /// missing that never came.
    #[test]
    fn what_comes_leaves_in_order(
        fates in proptest::collection::vec(0u8..10, 10..120),
    ) {
        let publisher = Publisher::start();
        let begin = 65_500u16;
        publisher.send(packet((96, 7, begin), &[(4, CAMERA), (10, b"q")], VP8));
        let (numbers, _link) = publisher.numbers(0);
        let mut expected = Vec::new();
        let mut held_back = Vec::new();
        let last = fates.len() as u16;
        for (n, fate) in (1..=last).zip(fates) {
            let seq = begin.wrapping_add(n);
            let sent = packet((96, 7, seq), &[], VP8);
            match fate {
                0 if n != last => {
                    let again = [&seq.to_be_bytes()[..], VP8].concat();
                    held_back.push(packet((97, 17, n), &[(4, CAMERA)], &again));
                }
                1 if n != last => held_back.push(sent),
                2 => {
                    publisher.send(sent.clone());
                    publisher.send(sent);
                }
                _ => publisher.send(sent),
            }
            expected.push(seq);
            if n % 16 == 0 {
                held_back.drain(..).for_each(|packet| publisher.send(packet));
            }
        }
        held_back.drain(..).for_each(|packet| publisher.send(packet));
        prop_assert_eq!(&*numbers.lock(), &expected);
        prop_assert_eq!(publisher.counts().lost, 0);
    }

    /// No bytes panic.
    #[test]
    fn any_bytes_are_taken(packets in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..60), 0..40)
    ) {
        let publisher = Publisher::start();
        for (n, mut packet) in packets.into_iter().enumerate() {
            if let (Some(first), true) = (packet.first_mut(), n % 2 == 0) {
                *first = 0x80 | (*first & 0x3f);
            }
            publisher.send(packet);
        }
    }
}

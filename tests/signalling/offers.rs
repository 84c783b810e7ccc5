//! Offers as many kinds of clients write them, over WHIP and WHEP: what comes of each. Their ICE
//! credentials and fingerprints are made up, so that an answer is the end of it.

use reqwest::{Method, Response};

use crate::support::{TestServer, assert_error};

macro_rules! offer {
    ($name:literal) => {
        include_str!(concat!("../data/offers/", $name, ".sdp"))
    };
}

/// Offers that are answered: where they go, and the port of each m-line in the answer, 0 for one
/// that is not taken.
const ANSWERED: [(&str, &str, &str, &[u16]); 15] = [
    (
        "one m-line of video",
        "whip",
        offer!("f03-video-only-no-bundle"),
        &[9],
    ),
    (
        "one m-line of sound",
        "whep",
        offer!("f03-whep-audio-only-no-bundle"),
        &[9],
    ),
    (
        "a group of more",
        "whip",
        offer!("f04-bundle-names-absent-mid"),
        &[9],
    ),
    ("no direction", "whip", offer!("f06-no-direction"), &[9, 9]),
    (
        "no direction, played",
        "whep",
        offer!("f06-no-direction"),
        &[9, 9],
    ),
    (
        "one direction for all",
        "whip",
        offer!("f06-session-direction"),
        &[9, 9],
    ),
    (
        "a data channel",
        "whep",
        offer!("f07-whep-datachannel"),
        &[9, 9, 0],
    ),
    ("SAVP", "whip", offer!("f08-savp"), &[9, 9]),
    ("H.264 in mode 0", "whip", offer!("f09-h264-mode0"), &[9, 9]),
    (
        "H.264 without parameters",
        "whip",
        offer!("f09-h264-no-fmtp"),
        &[9, 9],
    ),
    (
        "a stopped m-line",
        "whip",
        offer!("f12-stopped-line"),
        &[9, 9, 0],
    ),
    (
        "SHA-1 before SHA-256",
        "whip",
        offer!("f13-sha1-first"),
        &[9, 9],
    ),
    (
        "lip sync before BUNDLE",
        "whip",
        offer!("f14-ls-first"),
        &[9, 9],
    ),
    ("a long name", "whip", offer!("f15-uuid-mid"), &[9, 9]),
    (
        "spaces at the ends",
        "whip",
        offer!("f16-trailing-spaces"),
        &[9, 9],
    ),
];

async fn post(server: &TestServer, path: &str, offer: &str) -> Response {
    let request = server.request(Method::POST, path);
    let request = request.header("content-type", "application/sdp");
    request.body(offer.to_owned()).send().await.unwrap()
}

/// Kind, port and profile of the m-lines of a description.
fn lines(sdp: &str) -> Vec<(&str, u16, &str)> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("m="));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0], words[1].parse().unwrap(), words[2])
        })
        .collect()
}

fn values<'a>(sdp: &'a str, attribute: &str) -> Vec<&'a str> {
    let prefix = format!("a={attribute}:");
    let lines = sdp.lines().map(str::trim_end);
    lines
        .filter_map(|line| line.strip_prefix(&prefix))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_say_an_offer_is_answered_in_its_own_terms() {
    let server = TestServer::with(|config| config.joins_per_second = 100).await;
    for (n, (what, door, offer, ports)) in ANSWERED.into_iter().enumerate() {
        let response = post(&server, &format!("/{door}/r{n}"), offer).await;
        let status = response.status();
        let answer = response.text().await.unwrap();
        assert_eq!(status, 201, "{what}: {answer}");
        let (asked, told) = (lines(offer), lines(&answer));
        let told_ports: Vec<u16> = told.iter().map(|line| line.1).collect();
        assert_eq!(told_ports, ports, "{what}: {answer}");
        for (asked, told) in asked.iter().zip(&told) {
            assert_eq!(
                (asked.0, asked.2),
                (told.0, told.2),
                "{what}: kind and profile"
            );
        }
        assert_eq!(values(offer, "mid"), values(&answer, "mid"), "{what}");
        let is_bundled = !values(offer, "group").is_empty();
        assert_eq!(
            !values(&answer, "group").is_empty(),
            is_bundled,
            "{what}: {answer}"
        );
        if answer.contains("H264/90000") {
            assert!(answer.contains("profile-level-id="), "{what}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_in_words() {
    let server = TestServer::with(|config| config.joins_per_second = 100).await;
    let whep_h264 = offer!("f09-h264-mode0").replace("sendonly", "recvonly");
    let two_certificates = offer!("f12-stopped-line").replacen(":03:", ":04:", 1);
    let two_certificates = two_certificates.replacen("sha-256 03:", "sha-256 05:", 1);
    for (door, offer, status, code, words) in [
        (
            "whip",
            offer!("f07-whep-datachannel"),
            400,
            "bad_offer",
            "neither audio nor video",
        ),
        (
            "whep",
            &whep_h264,
            422,
            "unsupported_codec",
            "packetization-mode",
        ),
        (
            "whip",
            offer!("f11-one-payload-type"),
            400,
            "bad_offer",
            "payload type 96",
        ),
        (
            "whep",
            offer!("f17-whep-inactive-video"),
            400,
            "bad_tracks",
            "wrong way",
        ),
        (
            "whip",
            &two_certificates,
            400,
            "bad_offer",
            "different fingerprints",
        ),
    ] {
        let offer = match (door, words) {
            ("whip", "neither audio nor video") => offer.replace("recvonly", "sendonly"),
            _ => offer.to_owned(),
        };
        let response = post(&server, &format!("/{door}/r1"), &offer).await;
        let message = assert_error(response, status, code).await;
        assert!(message.contains(words), "{words}: {message}");
    }
}

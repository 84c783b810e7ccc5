//! FFmpeg's WHIP muxer (from FFmpeg 8 on), by PyAV, which comes with aiortc.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use tessera::bots::observe::palette;
use tokio::time::sleep;

use super::script::Script;
use super::stage::{CLIENT, Stage};
use crate::common::server::PATIENCE;

/// A certificate and its key in files, as `openssl req` makes them: one that an FFmpeg with GnuTLS
/// makes by itself is on the curve P-224, which DTLS 1.2 of others refuses.
fn identity(folder: &Path) -> [String; 2] {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = CertificateParams::default().self_signed(&key);
    let certificate = certificate.expect("a certificate");
    let files = [
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ];
    files.map(|(name, text)| {
        let file = folder.join(name);
        fs::write(&file, text).expect("a file");
        file.to_str().expect("text").to_owned()
    })
}

/// After so long libnice of Debian 12 takes silence for an answer where it asks for consent.
const CONSENT: Duration = Duration::from_secs(50);

/// It answers no STUN request once it is connected, and stays all the same: it is sent nothing.
#[tokio::test(flavor = "multi_thread")]
async fn publishes() {
    let stage = Stage::watched().await;
    let folder = tempfile::tempdir().expect("a folder");
    let [certificate, key] = identity(folder.path());
    let rgb = palette::color(CLIENT).map(|value| value.to_string());
    let rgb = rgb.join(",");
    let hz = palette::tone(CLIENT).to_string();
    let whip = stage.whip();
    let arguments = [&whip, &certificate, &key, &rgb, &hz].map(String::as_str);
    let mut client = Script::python("ffmpeg.py", &arguments);
    client.during(stage.sees_and_hears()).await;
    // From GStreamer 1.24 on there is no way not to ask.
    if gst::version() < (1, 24, 0, 0) {
        client.during(sleep(CONSENT + PATIENCE / 3)).await;
        client.during(stage.sees_and_hears()).await;
    }
    client.stop().await;
    stage.close().await;
}

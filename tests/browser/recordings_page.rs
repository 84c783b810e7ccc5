//! The page that lists recordings.

use tempfile::TempDir;
use tessera::codec::{Container, MixFormat};
use tessera::id::ParticipantId;
use tessera::layout::Size;
use tessera::protocol::recording::{
    Marker, MarkerKind, Recording, RecordingId, RecordingKind, RecordingStatus,
};

use crate::common::browser::{Page, alone, key};
use crate::common::server::{TestServer, room};
use crate::looks::neat_shots;
use crate::record::{click, recording};

/// Entries without files, as a folder has them after some weeks.
fn many(folder: &TempDir, count: usize) {
    for n in 0..count {
        let id = RecordingId::new(format!("room-{n:02}")).unwrap();
        let format = [Container::Mp4, Container::Webm, Container::Ogg][n % 3];
        let (state, reason) = match n {
            20 => (
                RecordingStatus::Recovered,
                Some("the server ended without stopping it"),
            ),
            21 => (
                RecordingStatus::Failed,
                Some(
                    "the disk of the recordings has 524288000 bytes left, 1000000000 have to stay free",
                ),
            ),
            _ => (RecordingStatus::Finished, None),
        };
        let names = ["Ann Bergström", "Ben", "Ada Lovelace", "Cy", "Di"];
        let entry = Recording {
            file: format!("{id}.{}", format.extension()),
            id: id.clone(),
            room: room(
                [
                    "lapis-arcade-42",
                    "team",
                    "a-room-with-a-name-as-long-as-it-may-be-of-64-characters-and-so",
                ][n % 3],
            ),
            kind: RecordingKind::Composite,
            format,
            state,
            started: format!("2026-11-{:02}T09:{:02}:00.000Z", 1 + n, 2 * n),
            ended: Some(format!("2026-11-{:02}T10:30:00.000Z", 1 + n)),
            duration_ms: 97_000 * (n as u64 + 1).pow(2),
            bytes: 19_000_000 * (n as u64 + 1),
            size: format.codec().map(|_| Size {
                width: 1280,
                height: 720,
            }),
            video: format.codec(),
            audio: Some(MixFormat::from(format).sound()),
            participants: names[..=n % 5]
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            reason: reason.map(str::to_owned),
            tracks: Vec::new(),
            markers: (0..10 * n)
                .map(|at| Marker {
                    at_ms: 1_000 + 47_000 * at as u64,
                    kind: [MarkerKind::Join, MarkerKind::Speaker, MarkerKind::Leave][at % 3],
                    participant: ParticipantId::new(1 + at as u32 % 5),
                    name: names[at % 5].to_owned(),
                })
                .collect(),
        };
        let path = folder.path().join(format!("{id}.json"));
        std::fs::write(path, serde_json::to_vec(&entry).unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_page_of_recordings_asks_for_the_token_and_turns_its_pages() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    many(&folder, 24);
    let server = TestServer::with(|config| {
        recording(folder.path())(config);
        config.token = Some("s3cret".into());
    })
    .await;
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/recordings", server.url)).await;
    page.until("the question", "probe.shown('token-form')")
        .await;
    neat_shots(&page, "recordings-token").await;
    for (token, condition) in [
        (
            "wrong",
            "probe.text('archive-notice').includes('not this server')",
        ),
        ("s3cret", "document.querySelectorAll('.take').length === 20"),
    ] {
        let give = format!("void (document.getElementById('token').value = '{token}')");
        page.evaluate(&give).await;
        click(&page, "#token-form button").await;
        page.until(token, condition).await;
    }
    neat_shots(&page, "recordings").await;
    click(&page, "#older").await;
    page.until(
        "the rest",
        "document.querySelectorAll('.take').length === 4 \
         && probe.text('pages-text') === '21 to 24 of 24' && location.search === '?offset=20'",
    )
    .await;
    let link = "document.querySelector('.take a').getAttribute('href')";
    let link = page.evaluate(link).await;
    assert!(
        link.as_str().unwrap().ends_with("?download=1&token=s3cret"),
        "{link}"
    );
    // Its file is not there.
    click(&page, ".take__play").await;
    page.until(
        "words",
        "probe.text('player-notice').includes('cannot play')",
    )
    .await;
    neat_shots(&page, "player-fails").await;
    click(&page, "#player-close").await;
    click(&page, ".take [aria-label^=Delete]").await;
    neat_shots(&page, "confirm").await;
    page.assert_no_errors();
    server.stop().await;

    let off = TestServer::start().await;
    page.open(&format!("{}/recordings", off.url)).await;
    page.until(
        "words",
        "probe.text('archive-notice').includes('keeps no recordings')",
    )
    .await;
    page.join(&off.url, "off").await;
    page.pictured().await;
    page.press(['r', key::ENTER]).await;
    page.until(
        "the same words in the call",
        "probe.text('record-reason').includes('keeps no recordings')",
    )
    .await;
    off.stop().await;
}

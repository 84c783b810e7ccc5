//! Damaged offers over WHIP and WHEP, with what follows one that was taken: candidates, the end, or
//! nothing at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{sleep, timeout};

use crate::Siege;
use crate::common::server::PATIENCE;
use crate::draw::Draw;
use crate::report::Tally;
use crate::rest::{check, is_undocumented};

/// Time between two offers: each that is taken is a connection that the server makes.
const EACH: Duration = Duration::from_millis(150);

/// What a session says of its ICE.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) address: SocketAddr,
}

/// The newest session that waits for a connection.
#[derive(Default)]
pub(crate) struct Live(Mutex<Option<Session>>);

impl Live {
    pub(crate) fn newest(&self) -> Option<Session> {
        self.0.lock().clone()
    }
}

/// The offers that the project knows.
pub(crate) fn seeds() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/offers");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|file| file.expect("an entry").path())
        .collect();
    // In no order that a file system has: a seed draws the same again.
    files.sort();
    let read = |path| std::fs::read_to_string(path).expect("an offer");
    files.into_iter().map(read).collect()
}

/// An offer with damage, or now and then none.
pub(crate) fn damaged(draw: &mut Draw, seeds: &[String]) -> String {
    let seed = draw.one(seeds).clone();
    match draw.below(10) {
        0 => seed,
        1..4 => draw.damaged_text(&seed),
        _ => draw.damaged_lines(&seed),
    }
}

pub(crate) async fn run(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let seeds = seeds();
    let from: Vec<(IpAddr, Client)> = (0..8).map(|_| client(draw.address())).collect();
    while !siege.stop.is_cancelled() {
        let (_, client) = draw.one(&from);
        let door = *draw.one(&[
            "whip/siege-1",
            "whep/siege-1",
            "whip/siege-2",
            "whep/siege-2",
        ]);
        let offer = damaged(&mut draw, &seeds);
        let url = format!("{}/{door}", siege.server.url);
        let request = client.post(&url).header(CONTENT_TYPE, "application/sdp");
        tally.sent(1);
        match timeout(PATIENCE, request.body(offer.clone()).send()).await {
            Ok(Ok(response)) if response.status() == StatusCode::CREATED => {
                tally.taken();
                go_on(&siege, &mut draw, client, response).await;
            }
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                let body = response.text().await.unwrap_or_default();
                if is_undocumented(status, &body) {
                    siege
                        .finds
                        .add(format!("{door}: {status} {body} for\n{offer}"));
                }
            }
            Ok(Err(error)) => siege.finds.add(format!("{door}: {error:?} for\n{offer}")),
            Err(_) => siege.finds.add(format!("{door}: no answer for\n{offer}")),
        }
        sleep(EACH).await;
    }
}

fn client(address: IpAddr) -> (IpAddr, Client) {
    let client = Client::builder().no_proxy().local_address(address).build();
    (address, client.expect("a client"))
}

/// Candidates, damaged, and the end; of some sessions nobody says anything more.
async fn go_on(siege: &Siege, draw: &mut Draw, client: &Client, response: Response) {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|at| at.to_str().ok());
    let tag = response.headers().get(ETAG).cloned();
    let url = format!("{}{}", siege.server.url, location.expect("a location"));
    let answer = response.text().await.unwrap_or_default();
    *siege.live.0.lock() = session(&answer);
    if draw.percent(50) {
        let fragment = "a=ice-ufrag:Qm3k\r\na=ice-pwd:vR7tYc2LwXq9Zb4NsHd8Kf1P\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
            a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\n\
            a=candidate:2 1 udp 1694498815 192.0.2.7 40001 typ srflx raddr 10.0.0.1 rport 9\r\n\
            a=end-of-candidates\r\n";
        let fragment = match draw.percent(50) {
            true => draw.damaged_lines(fragment),
            false => draw.damaged_text(fragment),
        };
        let mut patch = client.patch(&url).body(fragment);
        patch = patch.header(CONTENT_TYPE, "application/trickle-ice-sdpfrag");
        if let Some(tag) = tag {
            patch = patch.header(IF_MATCH, tag);
        }
        check(siege, "PATCH of a session", patch.send().await).await;
    }
    if draw.percent(80) {
        check(
            siege,
            "DELETE of a session",
            client.delete(&url).send().await,
        )
        .await;
    }
}

fn session(answer: &str) -> Option<Session> {
    let of = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name));
    let candidate: Vec<&str> = of("a=candidate:")?.split(' ').collect();
    let ip: IpAddr = candidate.get(4)?.parse().ok()?;
    Some(Session {
        ufrag: of("a=ice-ufrag:")?.to_owned(),
        password: of("a=ice-pwd:")?.to_owned(),
        address: SocketAddr::new(ip, candidate.get(5)?.parse().ok()?),
    })
}

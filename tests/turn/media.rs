//! Whole calls through the TURN server built in, which counts what passes.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, Decode, Entry, Path, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::config::{BuiltIn, Config};
use tessera::protocol::rest::{AllocationResource, RelayedResource, TurnResource};
use tessera::topology::Mode;
use tokio::time::{interval, timeout};

use crate::common::browser::{Page, alone};
use crate::common::server::{PATIENCE, TestServer, room};

/// TURN on, and its relays may talk to the server's media on 127.0.0.1.
fn relaying(config: &mut Config) {
    config.turn.built_in = BuiltIn::On;
    config.turn.allowed_peers = vec!["127.0.0.1/32".parse().unwrap()];
}

fn person(server: &TestServer, room_name: &str, i: usize) -> BotConfig {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    BotConfig::new(&server.url, room(room_name), format!("Person {i}"))
        .person(i, format)
        .decoding(Decode::Both)
}

async fn allocations(server: &TestServer) -> Vec<AllocationResource> {
    let turn: TurnResource = serde_json::from_value(server.get("/api/v1/turn").await).unwrap();
    turn.allocations
}

/// Waits until the allocations are as wanted.
async fn allocations_when(
    server: &TestServer,
    what: &str,
    wanted: impl Fn(&[AllocationResource]) -> bool,
) -> Vec<AllocationResource> {
    let mut ticks = interval(Duration::from_millis(50));
    let look = async {
        loop {
            ticks.tick().await;
            let now = allocations(server).await;
            if wanted(&now) {
                return now;
            }
        }
    };
    match timeout(PATIENCE, look).await {
        Ok(now) => now,
        Err(_) => panic!("no {what}: {:#?}", allocations(server).await),
    }
}

/// More than the checks and handshakes that go over a path before media does.
const MEDIA: u64 = 60;

fn carries(traffic: u64) -> bool {
    traffic >= MEDIA
}

/// The flow of an allocation that media takes, if there is exactly one, and it goes both ways.
fn media(allocation: &AllocationResource) -> Option<&RelayedResource> {
    let mut flows = allocation
        .peers
        .iter()
        .filter(|flow| carries(flow.to_peer.packets) && carries(flow.from_peer.packets));
    flows.next().filter(|_| flows.next().is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_in_a_mixed_room_reach_it_through_relays_alone() {
    let server = TestServer::with(relaying).await;
    let joins = (0..2).map(|i| Bot::join(person(&server, "mix", i).relayed()));
    let bots = try_join_all(joins).await.unwrap();
    for bot in &bots {
        for (j, other) in bots.iter().enumerate() {
            bot.sees(other.id().unwrap(), palette::color(j), Path::Mix)
                .await
                .unwrap();
        }
    }
    let relayed = allocations_when(&server, "media on both relays", |now| {
        now.len() == 2 && now.iter().all(|one| media(one).is_some())
    })
    .await;
    let clients: Vec<SocketAddr> = relayed.iter().map(|one| one.client).collect();
    let relays: Vec<SocketAddr> = relayed.iter().flat_map(|one| one.relays.clone()).collect();
    for one in &relayed {
        let peer = media(one).unwrap().address;
        assert!(
            !clients.contains(&peer) && !relays.contains(&peer),
            "{one:?} is with the server's media"
        );
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_mesh_meet_relay_to_relay() {
    let server = TestServer::with(|config| {
        relaying(config);
        config.mode = Mode::P2p;
    })
    .await;
    let joins = (0..2).map(|i| Bot::join(person(&server, "mesh", i).relayed()));
    let bots = try_join_all(joins).await.unwrap();
    for (i, bot) in bots.iter().enumerate() {
        let other = 1 - i;
        bot.sees(bots[other].id().unwrap(), palette::color(other), Path::Mesh)
            .await
            .unwrap();
    }
    // Each has one for the server too, which nothing but checks and RTCP takes.
    let relays = |now: &[AllocationResource]| -> Vec<SocketAddr> {
        now.iter().flat_map(|one| one.relays.clone()).collect()
    };
    let now = allocations_when(&server, "media between relays", |now| {
        let relays = relays(now);
        let between = now
            .iter()
            .filter(|one| media(one).is_some_and(|flow| relays.contains(&flow.address)));
        between.count() == 2
    })
    .await;
    let users: Vec<_> = now
        .iter()
        .filter(|one| media(one).is_some_and(|flow| relays(&now).contains(&flow.address)))
        .map(|one| one.user.clone())
        .collect();
    for bot in &bots {
        let user = format!("mesh/{}", bot.id().unwrap());
        assert!(users.contains(&user), "{user} is not in {users:?}");
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_and_players_over_http_use_the_servers_of_link_headers() {
    let server = TestServer::with(relaying).await;
    let publisher = person(&server, "http", 0).entering(Entry::Whip).relayed();
    let player = person(&server, "http", 1).entering(Entry::Whep).relayed();
    let bots = try_join_all([publisher, player].map(Bot::join))
        .await
        .unwrap();
    bots[1].first_picture().await.unwrap();
    allocations_when(&server, "media on both relays", |now| {
        let flows = now.iter().flat_map(|one| &one.peers);
        let busy = |flow: &&RelayedResource| {
            carries(flow.to_peer.packets) || carries(flow.from_peer.packets)
        };
        flows.filter(busy).count() == 2
    })
    .await;
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Publishes over WHIP and gives the `Link` headers of the answer.
const PUBLISH: &str = "(async () => { \
    const pc = new RTCPeerConnection(); \
    pc.addTransceiver('audio', { direction: 'sendonly' }); \
    await pc.setLocalDescription(); \
    const headers = { 'content-type': 'application/sdp' }; \
    const body = pc.localDescription.sdp; \
    const answer = await fetch('/whip/relay', { method: 'POST', headers, body }); \
    pc.close(); \
    return answer.headers.get('link'); })()";

#[tokio::test(flavor = "multi_thread")]
async fn chromium_joins_a_mixed_room_through_a_relay_alone() {
    let _alone = alone().await;
    let server = TestServer::with(relaying).await;
    let bot = Bot::join(person(&server, "relay", 0)).await.unwrap();
    let page = Page::chromium("Ann").await;
    let url = format!("{}/r/relay?name=Ann&autojoin=1&relay=1", server.url);
    page.open(&url).await;
    page.pictured().await;
    page.until(
        "its camera in the room",
        "probe.person('Ann')?.camera === 'live' && probe.person('Ann')?.mic === 'live'",
    )
    .await;
    let kinds = page
        .evaluate(
            "(async () => [...(await tessera.pc.getStats()).values()] \
             .filter((one) => one.type === 'local-candidate').map((one) => one.candidateType))()",
        )
        .await;
    let kinds = kinds.as_array().unwrap();
    assert!(
        !kinds.is_empty() && kinds.iter().all(|kind| kind == "relay"),
        "{kinds:?}"
    );
    let id = page.until("its id", "probe.person('Ann')?.id").await;
    let user = format!("relay/{}", id.as_str().unwrap());
    allocations_when(&server, "media on the page's relays", |now| {
        // Where a machine has several interfaces Chromium has an allocation through each, and what
        // it sends may take another than what it gets: each side of ICE picks for itself.
        let own = now.iter().filter(|one| one.user == user);
        let flows: Vec<_> = own.flat_map(|one| &one.peers).collect();
        flows.iter().any(|flow| carries(flow.to_peer.packets))
            && flows.iter().any(|flow| carries(flow.from_peer.packets))
    })
    .await;
    let links = page.evaluate(PUBLISH).await;
    let links = links.as_str().unwrap();
    for part in [
        "<stun:127.0.0.1:",
        "?transport=udp>; rel=\"ice-server\"; username=\"",
        ":relay/p",
        "?transport=tcp>; rel=\"ice-server\"; username=\"",
        "credential-type=\"password\"",
    ] {
        assert!(links.contains(part), "no {part} in {links}");
    }
    page.screenshot("relay").await;
    page.assert_no_errors();
    drop(bot);
    server.stop().await;
}

//! Signals that people send each other through the server.

use futures::future::join_all;
use serde_json::json;
use tessera::bots::observe::palette;
use tessera::bots::{Bot, Path};
use tessera::id::ParticipantId;
use tessera::protocol::error::ErrorCode;
use tessera::protocol::room::ParticipantState;
use tessera::protocol::{ClientMessage, ServerMessage};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::common::server::{PATIENCE, TestServer};
use crate::modes::{id, people};

/// What the room says to somebody who sends signals it does not pass on.
async fn refusal(notices: &mut broadcast::Receiver<ServerMessage>) -> ErrorCode {
    let next = async {
        loop {
            match notices.recv().await {
                Ok(ServerMessage::Error { code, .. }) => return code,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a refusal")
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_go_to_members_of_the_room_and_nobody_else() {
    let server = TestServer::start().await;
    let bots = people(&server, "signals", 3).await;
    // The fourth of another room, whichever joined last: its number is not one of this room's.
    let others = people(&server, "elsewhere", 4).await;
    // Candidates go over the same WebSocket, within the same rate: not before all are connected.
    third_is_seen(&bots).await;
    let ours = |who: &ParticipantId| bots.iter().any(|bot| id(bot) == *who);
    let mut theirs = others.iter().map(id);
    let stranger = theirs.find(|who| !ours(who)).expect("one more than here");
    let signal = |to: ParticipantId, text: &str| ClientMessage::Signal {
        to,
        data: json!({ "text": text }),
    };
    let mut notices = bots[0].notices();
    for (to, text, code) in [
        (stranger, "hello".to_owned(), ErrorCode::NotFound),
        (id(&bots[0]), "hello".to_owned(), ErrorCode::BadMessage),
        (id(&bots[1]), "x".repeat(1 << 20), ErrorCode::TooLarge),
    ] {
        bots[0].send(signal(to, &text)).expect("an open WebSocket");
        assert_eq!(refusal(&mut notices).await, code, "to {to}");
    }

    // A thousand at once: some are refused, and the room goes on.
    let mut heard = bots[1].notices();
    for n in 0..1000 {
        let text = format!("number {n}");
        bots[0]
            .send(signal(id(&bots[1]), &text))
            .expect("an open WebSocket");
    }
    assert_eq!(refusal(&mut notices).await, ErrorCode::RateLimited);
    let passed_on = async {
        loop {
            if let Ok(ServerMessage::Signal { from, .. }) = heard.recv().await {
                return from;
            }
        }
    };
    let from = timeout(PATIENCE, passed_on)
        .await
        .expect("those within the rate");
    assert_eq!(from, id(&bots[0]));
    third_is_seen(&bots).await;
    join_all(bots.into_iter().chain(others).map(Bot::leave)).await;
    server.stop().await;
}

/// Waits until the first two of three see the third in a composite.
async fn third_is_seen(bots: &[Bot]) {
    for bot in &bots[..2] {
        let seen = bot.sees(id(&bots[2]), palette::color(2), Path::Mix).await;
        let room = bot.room().borrow().clone();
        seen.unwrap_or_else(|error| panic!("{}: {error}: {room:?}: {:?}", bot.name(), bot.stats()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_hand_is_seen_by_all_whoever_raised_it() {
    let server = TestServer::start().await;
    let bots = people(&server, "hands", 2).await;
    let ann = id(&bots[0]);
    let seen = |raised: bool| {
        bots[1].room_when("her hand", move |room| {
            let mut here = room.participants.iter();
            here.any(|one| one.id == ann && one.hand == raised)
        })
    };
    seen(false).await.expect("nobody raises a hand by joining");
    for raised in [true, false] {
        let hand = ClientMessage::Hand { raised };
        bots[0].send(hand).expect("an open WebSocket");
        seen(raised).await.expect("over the WebSocket");
    }
    let url = |who: &str| {
        let path = format!("/api/v1/rooms/hands/participants/{who}/hand");
        format!("{}{path}", server.url)
    };
    let put = |who: &str, body| {
        let request = reqwest::Client::new().put(url(who)).json(&body);
        async move { request.send().await.expect("an answer") }
    };
    let answer = put(&ann.to_string(), json!({ "raised": true })).await;
    let participant: ParticipantState = answer.json().await.expect("a participant");
    assert!(participant.id == ann && participant.hand);
    seen(true).await.expect("over REST");
    for (who, body, status) in [
        ("p99", json!({ "raised": true }), 404),
        (&*ann.to_string(), json!({ "raised": "yes" }), 400),
        (&*ann.to_string(), json!({ "lowered": true }), 400),
    ] {
        assert_eq!(put(who, body).await.status(), status, "{who}");
    }
    seen(true).await.expect("as it was");
}

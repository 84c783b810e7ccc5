//! The rules find what is planted for them, and nothing else.

use super::files::Files;
use super::graph::{arrow, circles};
use super::rules;
use super::source::{Usage, usage};

/// A house of these files below `src`.
fn house<const N: usize>(files: [(&str, &str); N]) -> Usage {
    let mut house = Files::from(files);
    let named = std::mem::take(&mut house.0).into_iter();
    house.0 = named
        .map(|(path, text)| (format!("src/{path}"), text))
        .collect();
    usage(&house)
}

fn arrows(usage: &Usage) -> Vec<String> {
    let all = usage.arrows.iter();
    all.map(|((from, to), names)| arrow((from, to), names))
        .collect()
}

const UP: &str = "src/room/state/view.rs -> src/signalling/message.rs (Message): \
    runs up from floor room to floor signalling";

#[test]
fn an_arrow_that_runs_up_is_found_however_it_is_written() {
    for view in [
        "use crate::signalling::message::Message;",
        "use crate::signalling::message::{self, Message};",
        "use crate::signalling::{message::{Message as Wire}};",
        "use crate::signalling::Message;",
        "use crate::signalling; fn f(m: signalling::Message) {}",
        "use crate::signalling::message; fn f() { message::Message::new() }",
        "fn f() { crate::signalling::message::Message::new() }",
        "fn f() { assert!(1 > 0, \"{}\", crate::signalling::message::Message::new()) }",
        "fn f() { use super::super::super::signalling::message::Message; }",
        "impl From<u8> for crate::signalling::Message {}",
        "use crate::signalling::message::*; fn f(m: Message) {}",
        "pub use crate::signalling::Message;",
        "mod inner { use crate::signalling::Message; }",
    ] {
        let usage = house([
            ("lib.rs", "pub mod room; pub mod signalling;"),
            ("room/mod.rs", "mod state;"),
            ("room/state/mod.rs", "mod view;"),
            ("room/state/view.rs", view),
            (
                "signalling/mod.rs",
                "pub mod message; pub use message::Message;",
            ),
            ("signalling/message.rs", "pub struct Message;"),
        ]);
        assert_eq!(rules::floors(&usage), [UP], "{view}");
    }
}

#[test]
fn arrows_down_and_within_are_fine() {
    let usage = house([
        (
            "lib.rs",
            "pub mod cli; pub mod room; pub mod media; pub mod id; pub mod protocol;",
        ),
        (
            "main.rs",
            "use tessera::room::Room; fn main() { tessera::cli::run() }",
        ),
        ("cli.rs", "pub fn run() { crate::room::Room::new() }"),
        ("id.rs", "pub struct Id;"),
        ("protocol/mod.rs", "use crate::id::Id;"),
        (
            "room/mod.rs",
            "pub use actor::Room; mod actor; mod handle; mod state;",
        ),
        (
            "room/actor/mod.rs",
            "use crate::media::peer::Peer; pub struct Room; use super::state::State;",
        ),
        ("room/handle.rs", "use super::actor::Room;"),
        ("room/state.rs", "pub struct State;"),
        ("media/mod.rs", "pub mod peer; pub mod stream;"),
        (
            "media/peer/mod.rs",
            "use crate::media::stream::Tap; pub struct Peer;",
        ),
        ("media/stream/mod.rs", "pub struct Tap; use crate::id::Id;"),
    ]);
    assert_eq!(rules::floors(&usage), Vec::<String>::new());
    assert_eq!(circles(&usage.arrows), Vec::<String>::new());
    assert_eq!(usage.arrows.len(), 9, "{:#?}", arrows(&usage));
}

#[test]
fn arrows_beside_and_within_a_folder_are_found() {
    let usage = house([
        (
            "lib.rs",
            "mod bots; mod remix; mod media; mod room; mod attic;",
        ),
        ("attic.rs", ""),
        ("bots/mod.rs", "use crate::remix::Film;"),
        ("remix/mod.rs", "pub struct Film;"),
        ("media/mod.rs", "pub mod gst; pub mod peer; pub mod odd;"),
        ("media/odd.rs", ""),
        ("media/gst/mod.rs", "use crate::media::peer::Peer;"),
        ("media/peer/mod.rs", "pub struct Peer;"),
        ("room/mod.rs", "mod actor; mod state;"),
        ("room/actor.rs", "pub struct Command;"),
        ("room/state.rs", "use super::actor::Command;"),
    ]);
    let wrong = [
        "src/attic.rs: stands on no floor (tests/architecture/floors.rs)",
        "src/media/odd.rs: stands on no floor (tests/architecture/floors.rs)",
        "src/bots/mod.rs -> src/remix/mod.rs (Film): \
            runs sideways from floor bots to floor remix",
        "src/media/gst/mod.rs -> src/media/peer/mod.rs (Peer): \
            runs up from floor gst to floor peer",
        "src/room/state.rs -> src/room/actor.rs (Command): \
            runs up from floor state to floor actor",
    ];
    assert_eq!(rules::floors(&usage), wrong);
}

#[test]
fn a_circle_is_told_with_all_its_arrows() {
    let usage = house([
        ("lib.rs", "mod room; mod id;"),
        ("id.rs", "pub struct Id;"),
        ("room/mod.rs", "mod a; mod b; mod c; mod d;"),
        ("room/a.rs", "use super::b::B; pub struct A;"),
        (
            "room/b.rs",
            "use super::c::C; pub struct B; use crate::id::Id;",
        ),
        ("room/c.rs", "use super::a::A; pub struct C;"),
        ("room/d.rs", "use super::a::A;"),
    ]);
    let circle = "3 files use each other in a circle:\
        \n    src/room/a.rs -> src/room/b.rs (B)\
        \n    src/room/b.rs -> src/room/c.rs (C)\
        \n    src/room/c.rs -> src/room/a.rs (A)";
    assert_eq!(circles(&usage.arrows), [circle]);
}

/// A child that uses its parent is in a circle with it if the parent uses it too, and not if the
/// parent declares it and shows what is in it.
#[test]
fn a_parent_that_shows_its_children_does_not_use_them() {
    let children = |parent: &str| {
        let usage = house([
            ("lib.rs", "mod room;"),
            ("room/mod.rs", parent),
            ("room/child.rs", "use super::Thing; pub struct Part(Thing);"),
        ]);
        circles(&usage.arrows).len()
    };
    assert_eq!(
        children("mod child; pub use child::Part; pub struct Thing;"),
        0
    );
    assert_eq!(
        children("mod child; pub(crate) use self::child::*; pub struct Thing;"),
        0
    );
    assert_eq!(
        children("mod child; use child::Part; pub struct Thing(Part);"),
        1
    );
    assert_eq!(children("mod child; pub struct Thing(child::Part);"), 1);
    assert_eq!(
        children("mod child; pub use child::Part; pub struct Thing(Part);"),
        1
    );
}

#[test]
fn tests_may_use_what_they_like() {
    let usage = house([
        ("lib.rs", "mod id; mod room;"),
        (
            "id.rs",
            "#[cfg(test)] mod tests { use crate::room::Room; } #[cfg(test)] mod more; mod id_tests; \
             #[cfg(test)] fn f() -> crate::room::Room {} struct Id; \
             impl Id { #[cfg(test)] fn f() { crate::room::Room } }",
        ),
        ("id/more.rs", "use crate::room::Room;"),
        ("id/id_tests.rs", "use crate::room::Room;"),
        ("room/mod.rs", "pub struct Room; mod tests;"),
        ("room/tests.rs", "use crate::nothing::Here;"),
    ]);
    assert_eq!(arrows(&usage), Vec::<String>::new());
}

#[test]
fn impurities_are_found() {
    let usage = house([
        ("lib.rs", "mod room; mod media; mod layout; mod turn;"),
        ("layout.rs", "use std::time::{Duration, Instant};"),
        ("media/mod.rs", "mod bwe; mod gst; mod rtp;"),
        (
            "media/bwe/mod.rs",
            "use crate::media::gst::Pipeline; fn f() { now() } fn now() {}",
        ),
        (
            "media/gst/mod.rs",
            "pub struct Pipeline; use gst::prelude::*;",
        ),
        (
            "media/rtp/mod.rs",
            "use gst_rtp::RTPBuffer; use std::time; fn f() { time::SystemTime::now() }",
        ),
        ("room/mod.rs", "mod state; mod actor;"),
        ("room/actor.rs", "use tokio::time::Instant;"),
        ("room/state/mod.rs", "fn f() { tokio::select! {} }"),
        ("turn.rs", "use std::time::Instant;"),
    ]);
    let wrong = [
        "src/layout.rs: pure code uses std::time::Instant",
        "src/media/rtp/mod.rs: pure code uses gst_rtp::RTPBuffer, std::time::SystemTime::now",
        "src/room/state/mod.rs: pure code uses tokio::select",
        "src/media/bwe/mod.rs -> src/media/gst/mod.rs (Pipeline): pure code uses pipelines",
    ];
    assert_eq!(rules::purity(&usage), wrong);
}

#[test]
fn users_of_the_settings_are_found() {
    let usage = house([
        ("lib.rs", "mod config; mod media; mod room; mod turn;"),
        (
            "config/mod.rs",
            "mod options; pub struct Config; pub struct TurnConfig;",
        ),
        ("config/options.rs", "use super::Config;"),
        ("media/mod.rs", "fn f(config: &crate::config::Config) {}"),
        ("room/mod.rs", "mod registry; mod actor;"),
        ("room/actor.rs", "use crate::config::{Config, TurnConfig};"),
        ("room/registry.rs", "use crate::config::Config;"),
        ("turn.rs", "use crate::config::TurnConfig;"),
    ]);
    let wrong = [
        "src/media/mod.rs -> src/config/mod.rs: uses `Config`",
        "src/room/actor.rs -> src/config/mod.rs: uses `Config`",
    ];
    assert_eq!(rules::settings(&usage), wrong);
}

#[test]
fn a_crowded_folder_is_found() {
    let mut files = Files::default();
    for n in 0..21 {
        files.0.insert(format!("src/room/{n}.rs"), String::new());
        files
            .0
            .insert(format!("src/room/state/{}.rs", n % 20), String::new());
    }
    let wrong = ["src/room: 21 files, 20 at most"];
    assert_eq!(rules::crowded(&files), wrong);
}

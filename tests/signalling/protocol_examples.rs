//! `docs/PROTOCOL.md` is true: every example in it is what the server's own types read and
//! write, and nothing the types know is missing from it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tessera::admission::LoadReport;
use tessera::archive::events::LogEntry;
use tessera::protocol::error::{ErrorBody, ErrorCode};
use tessera::protocol::mesh::MeshSignal;
use tessera::protocol::recording::StartRecording;
use tessera::protocol::recording::{Recording, RecordingPage};
use tessera::protocol::rest::{
    CreateRoom, PatchParticipant, PatchRoom, PutHand, RoomResource, TurnResource,
};
use tessera::protocol::room::{ByeReason, ParticipantState};
use tessera::protocol::{ClientMessage, ServerMessage};

const DOCUMENT: &str = include_str!("../../docs/PROTOCOL.md");

/// A fenced block tagged ```` ```json kind ````.
struct Example {
    kind: &'static str,
    text: &'static str,
}

fn examples() -> Vec<Example> {
    let mut blocks = DOCUMENT.split("\n```");
    blocks.next(); // before the first fence
    blocks
        .step_by(2) // every other piece lies between blocks
        .filter_map(|block| {
            let (tag, text) = block.split_once('\n')?;
            let kind = tag.strip_prefix("json ")?;
            Some(Example { kind, text })
        })
        .collect()
}

/// Reads and writes an example with type `T`.
fn round_trip<T: DeserializeOwned + Serialize>(text: &str) -> Value {
    let value: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    serde_json::to_value(value).unwrap()
}

/// An absent member and a null one mean the same in every message.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[test]
fn every_example_is_read_and_written_as_it_stands() {
    let examples = examples();
    assert!(
        examples.len() > 25,
        "found {} examples only",
        examples.len()
    );
    for Example { kind, text } in examples {
        let written = match kind {
            "client" => round_trip::<ClientMessage>(text),
            "server" => round_trip::<ServerMessage>(text),
            "mesh" => round_trip::<MeshSignal>(text),
            "rest-error" => round_trip::<ErrorBody>(text),
            "rest-room" => round_trip::<RoomResource>(text),
            "rest-rooms" => round_trip::<Vec<RoomResource>>(text),
            "rest-create-room" => round_trip::<CreateRoom>(text),
            "rest-patch-room" => round_trip::<PatchRoom>(text),
            "rest-put-hand" => round_trip::<PutHand>(text),
            "rest-patch-participant" => round_trip::<PatchParticipant>(text),
            "rest-participant" => round_trip::<ParticipantState>(text),
            "rest-server" => round_trip::<LoadReport>(text),
            "rest-turn" => round_trip::<TurnResource>(text),
            "rest-record" => round_trip::<StartRecording>(text),
            "rest-recording" => round_trip::<Recording>(text),
            "event" => round_trip::<LogEntry>(text),
            "rest-recordings" => round_trip::<RecordingPage>(text),
            other => panic!("no type for an example of kind {other:?}"),
        };
        let shown: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            without_nulls(written),
            without_nulls(shown),
            "{kind}:\n{text}"
        );
    }
}

/// The variants of an enum, from what serde says to one that does not exist.
fn variants<T: DeserializeOwned>(unknown: &str) -> BTreeSet<String> {
    let error = match serde_json::from_str::<T>(unknown) {
        Ok(_) => panic!("{unknown} was understood"),
        Err(error) => error.to_string(),
    };
    let (_, list) = error.split_once("expected one of ").unwrap();
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn types_shown(kind: &str) -> BTreeSet<String> {
    examples()
        .iter()
        .filter(|example| example.kind == kind)
        .map(|example| serde_json::from_str::<Value>(example.text).unwrap())
        .map(|value| value["type"].as_str().unwrap().to_owned())
        .collect()
}

/// The first cells of the rows of a table whose first header cell is `header`.
fn table(header: &str) -> BTreeSet<String> {
    let start = DOCUMENT.rfind(&format!("\n| {header} |")).unwrap();
    DOCUMENT[start + 1..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn every_message_has_an_example() {
    let unknown = r#"{"type":"?"}"#;
    assert_eq!(types_shown("client"), variants::<ClientMessage>(unknown));
    assert_eq!(types_shown("server"), variants::<ServerMessage>(unknown));
}

#[test]
fn every_code_and_reason_is_explained() {
    assert_eq!(table("code"), variants::<ErrorCode>("\"?\""));
    assert_eq!(table("reason"), variants::<ByeReason>("\"?\""));
}

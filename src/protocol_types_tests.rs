//! The types of the wire in TypeScript, for the type checker of the page's scripts. `make types`
//! writes them.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::{env, fs};

use ts_rs::{Config, TS, TypeVisitor};

use crate::{admission, protocol};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/client/types/protocol.d.ts"
);

/// Declarations by name, and what has been seen on the way to them.
struct Declarations {
    config: Config,
    seen: Vec<TypeId>,
    by_name: BTreeMap<String, String>,
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if self.seen.contains(&TypeId::of::<T>()) {
            return;
        }
        self.seen.push(TypeId::of::<T>());
        T::visit_dependencies(self);
        T::visit_generics(self);
        // Types of Rust itself have no path of their own.
        if T::output_path().is_some() {
            let text = format!("export {}\n", plain(&T::decl(&self.config)));
            let before = self.by_name.insert(T::ident(&self.config), text.clone());
            assert!(
                before.is_none_or(|before| before == text),
                "two types of one name: {text}"
            );
        }
    }
}

/// A declaration without the comments of its fields, which are for readers of the server's source,
/// and with each object of a union on a line of its own.
fn plain(declaration: &str) -> String {
    let mut parts = declaration.split("/**");
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").map_or(part, |(_, rest)| rest));
    }
    let words: Vec<_> = code.split_whitespace().collect();
    words.join(" ").replace(" | {", "\n  | {")
}

/// What the page sends and gets, and all that is in it.
fn render() -> String {
    let mut all = Declarations {
        // JSON has no other numbers.
        config: Config::default().with_large_int("number"),
        seen: Vec::new(),
        by_name: BTreeMap::new(),
    };
    all.visit::<protocol::ClientMessage>();
    all.visit::<protocol::ServerMessage>();
    all.visit::<protocol::mesh::MeshSignal>();
    all.visit::<protocol::error::ErrorBody>();
    all.visit::<protocol::rest::RoomResource>();
    all.visit::<protocol::recording::RecordingPage>();
    all.visit::<admission::LoadReport>();
    // Named in attributes alone.
    all.visit::<protocol::room::Limits>();
    let head = "// Written by `make types` from the server's types. Not to be changed by hand.\n";
    let texts: Vec<_> = all.by_name.into_values().collect();
    format!("{head}\n{}", texts.concat())
}

#[test]
fn the_types_of_the_page_are_those_of_the_server() {
    let types = render();
    if env::var_os("TESSERA_WRITE_TYPES").is_some() {
        fs::write(FILE, &types).expect("the file is written");
    }
    let written = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        types == written,
        "{FILE} is not up to date: run `make types`"
    );
}

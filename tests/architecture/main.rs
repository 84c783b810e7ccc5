//! The house stands: which file may use which, which code is pure, how full a folder may be, and
//! what the documents say of it.
//!
//! The sources are read as text and parsed, nothing is compiled and no GStreamer is needed. What may
//! be where stands in `floors`; how it is found out, in `source` and `page`; the rules, in `rules`
//! and, for documents, in `documents` and `bounds`.
//! Each test names everything that is wrong at once, so that its message serves as a list of work.

mod bounds;
mod documents;
mod files;
mod floors;
mod graph;
mod page;
mod planted;
mod planted_documents;
mod planted_page;
mod resolve;
mod rules;
mod source;
mod visit;

use files::Files;

#[track_caller]
fn assert_none(what: &str, violations: &[String]) {
    assert!(
        violations.is_empty(),
        "{what} ({} in all):\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn arrows_point_down() {
    let usage = source::usage(&Files::of("src", "rs"));
    assert_none("arrows that do not point down", &rules::floors(&usage));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let usage = source::usage(&Files::of("src", "rs"));
    assert_none("circles of files", &graph::circles(&usage.arrows));
}

#[test]
fn pure_code_knows_no_runtime_no_pipeline_and_no_clock() {
    let usage = source::usage(&Files::of("src", "rs"));
    assert_none("impurities", &rules::purity(&usage));
}

#[test]
fn only_the_top_of_the_house_reads_the_settings() {
    let usage = source::usage(&Files::of("src", "rs"));
    assert_none("users of `Config`", &rules::settings(&usage));
}

#[test]
fn scripts_of_the_page_import_from_below() {
    let files = Files::of("assets/js", "js");
    assert_none("imports", &rules::page(&page::imports(&files)));
}

#[test]
fn no_folder_is_crowded() {
    for (root, ending) in [("src", "rs"), ("assets/js", "js")] {
        let files = Files::of(root, ending);
        assert_none("folders", &rules::crowded(&files));
    }
}

#[test]
fn documents_name_what_exists() {
    let mut documents = documents::documents();
    assert_none("paths and links", &documents::missing(&documents));
    let of_parameters = ["docs/ARCHITECTURE.md", "docs/BWE.md"];
    documents
        .0
        .retain(|name, _| of_parameters.contains(&name.as_str()));
    let sources = Files::of("src", "rs");
    assert_none("names", &documents::unknown(&documents, &sources));
}

#[test]
fn bounds_are_as_they_are_told() {
    let documents = documents::documents();
    let [security, settings] = ["docs/SECURITY.md", "docs/CONFIGURATION.md"].map(|name| {
        let text = documents.0.get(name);
        text.unwrap_or_else(|| panic!("no {name}"))
    });
    assert!(bounds::count(security) > 20, "{}", bounds::count(security));
    let sources = Files::of("src", "rs");
    assert_none("bounds", &bounds::untrue(security, &sources, settings));
}

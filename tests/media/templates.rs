//! Every subgraph of `pipelines/` parses with GStreamer, and so does the ladder; an operator's own
//! take their place.

use tessera::layout::Size;
use tessera::media::bwe::ladder::Renditions;
use tessera::media::gst::pipeline::Pipeline;
use tessera::media::gst::template::{Templates, Value};

/// Something that fits each placeholder.
fn sample(placeholder: &str) -> Value {
    match placeholder {
        "width" => Value::Int(640),
        "height" => Value::Int(360),
        "bitrate" => Value::Int(500_000),
        "kbitrate" => Value::Int(500),
        "sound" => Value::Int(64_000),
        "cpu" => Value::Int(8),
        "keyframe" => Value::Int(300),
        "points" => Value::Int(20),
        "aac" => Value::Word("avenc_aac"),
        "decoder" => Value::Word("avdec_h264"),
        other => panic!("a placeholder that no test knows: {other}"),
    }
}

#[test]
fn a_folder_can_bring_its_own_ladder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("renditions.toml");
    let own = "rung = []\n[still]\nsize = \"160x90\"\nevery = 10\nbitrate = 4000\n";
    std::fs::write(&file, own).expect("written");
    let templates = Templates::load(Some(folder.path())).expect("it makes sense");
    let canvas = Size {
        width: 1280,
        height: 720,
    };
    let ladder = templates.ladder(canvas, 30, 1_000_000);
    assert_eq!(ladder.rungs().count(), 2, "the canvas and a still");
    std::fs::write(&file, own.replace("160x90", "big")).expect("written");
    let error = Templates::load(Some(folder.path())).expect_err("no size");
    assert!(error.to_string().contains("renditions.toml"), "{error}");
}

#[test]
fn the_built_in_ladder_is_taken() {
    let text = std::fs::read_to_string("pipelines/renditions.toml").expect("a file");
    assert!(text.starts_with("# "), "it says what it is");
    Renditions::parse(&text).expect("it makes sense");
}

#[test]
fn every_template_is_a_file_with_a_header_and_parses() {
    gst::init().expect("GStreamer");
    let templates = Templates::default();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files = std::fs::read_dir(folder).expect("pipelines/");
    let mut names: Vec<String> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "launch"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        templates.names(),
        "files and built-in templates are the same"
    );
    for name in &names {
        let placeholders = templates.placeholders(name);
        let header = std::fs::read_to_string(format!("pipelines/{name}.launch")).expect("a file");
        assert!(header.starts_with("# "), "{name} says what it is");
        for placeholder in &placeholders {
            let described = header
                .lines()
                .any(|line| line.starts_with('#') && line.contains(&format!("{{{placeholder}}}")));
            assert!(described, "{name} does not describe {{{placeholder}}}");
        }
        let values: Vec<(&str, Value)> = placeholders
            .iter()
            .map(|p| (p.as_str(), sample(p)))
            .collect();
        let text = templates
            .fill(name, &values)
            .expect("all placeholders have values");
        if let Err(error) = Pipeline::parse(name.as_str(), &text) {
            panic!("{name}: {error}");
        }
    }
}

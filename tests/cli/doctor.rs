//! `tessera doctor`, and `tessera serve` on a machine that lacks what is required.

use std::process::{Command, Output};

/// The program as on a machine without a single GStreamer plugin.
fn without_plugins(arguments: &[&str]) -> Output {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    command.args(arguments);
    for variable in ["GST_PLUGIN_PATH", "GST_PLUGIN_SYSTEM_PATH"] {
        // The second form takes precedence where the machine has it set.
        command.env(variable, empty.path());
        command.env(format!("{variable}_1_0"), empty.path());
    }
    for variable in ["GST_REGISTRY", "GST_REGISTRY_1_0"] {
        command.env(variable, empty.path().join("registry.bin"));
    }
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn doctor_finds_everything_required_on_a_machine_set_up_by_the_scripts() {
    let output = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .arg("doctor")
        .output()
        .expect("the program starts");
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}");
    assert!(table.starts_with("GStreamer 1."), "{table}");
    assert!(table.contains("video codec h264: yes"), "{table}");
    assert!(
        table
            .trim_end()
            .ends_with("everything that is required is here"),
        "{table}"
    );
}

#[test]
fn doctor_names_what_is_missing_and_where_to_get_it() {
    let output = without_plugins(&["doctor"]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    let row = table.lines().find(|line| line.starts_with("webrtcbin"));
    let row = row.expect("a row for webrtcbin");
    assert!(row.contains("MISSING"), "{row}");
    assert!(row.contains("gstreamer1.0-plugins-bad"), "{row}");
    assert!(table.contains("video codec h264: no"), "{table}");
}

#[test]
fn serve_refuses_to_start_with_the_words_of_doctor() {
    let serve = without_plugins(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(serve.status.code(), Some(1));
    assert_eq!(text(&serve.stdout), "", "nothing was announced");

    let complaint = text(&serve.stderr);
    let start = complaint
        .find("required GStreamer elements are missing:")
        .unwrap_or_else(|| panic!("no complaint in {complaint:?}"));
    let complaint = complaint[start..].trim_end();
    assert!(complaint.contains("nicesrc (ICE, receiving) is in gstreamer1.0-nice"));

    let doctor = text(&without_plugins(&["doctor"]).stdout);
    assert!(doctor.trim_end().ends_with(complaint), "{doctor}");
}

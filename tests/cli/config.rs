//! Settings: where they come from, which source wins, and what is refused.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::time::Duration;

use tessera::codec::Container;
use tessera::codec::VideoCodec;
use tessera::config::RecordingQuotas;
use tessera::config::{
    BuiltIn, Config, ConfigError, MaxCores, Options, Setting, TurnConfig, settings,
};
use tessera::layout::{Fit, LayoutKind, Size};
use tessera::net::MediaIps;
use tessera::protocol::recording::Subject;
use tessera::topology::Mode;

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tessera.toml");
    fs::write(&file, text).expect("it can be written");
    Config::load(Some(&file), Options::default())
}

fn refusal(text: &str) -> String {
    match from_file(text) {
        Ok(config) => panic!("{text} was taken: {config:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn nothing_given_is_the_default() {
    let config = Config::load(None, Options::default()).expect("the defaults are valid");
    assert_eq!(config, Config::default());
    assert_eq!(from_file("").expect("an empty file is valid"), config);
}

#[test]
fn a_file_can_set_everything() {
    let config = from_file(
        r#"
        listen = "[::1]:0"
        media-ip = ["192.0.2.7", "2001:db8::7"]
        media-ports = "50000-50999"
        public-ip = "198.51.100.7"
        pipelines = "."
        token = "s3cret"
        admin-token = "s3creter"
        trusted-proxy = ["10.0.0.0/8", "::1"]
        allowed-host = ["Meet.example.org.", "tessera"]
        allowed-origin = ["https://Meet.example.org"]
        ice-server = ["stun:stun.example.org:3478", "turns:turn.example.org?transport=tcp"]
        turn = "off"
        turn-listen = "192.0.2.7:5000"
        turn-relay-ports = "60000-60999"
        turn-secret = "north"
        turn-allow-peers = ["10.1.0.0/16", "192.0.2.9"]
        turn-max-allocations = 7
        turn-max-allocations-per-user = 3
        turn-requests-per-second = 9
        codecs = ["vp8", "vp9"]
        mode = "sfu"
        layout = "spotlight"
        fit = "cover"
        canvas = "640x360"
        fps = 25
        video-bitrate = 800000
        audio-bitrate = 32000
        recordings = "."
        record = "webm"
        recording-free-space = 5
        recording-max-length = 6
        recording-max-age = 7
        max-rooms = 2
        max-cores = "1.5"
        max-participants = 3
        joins-per-second = 4
        max-message = 65536
        max-mlines = 6
        "#,
    )
    .expect("every value is valid");
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let expected = Config {
        listen: SocketAddr::new(ip("::1"), 0),
        media_ips: MediaIps::Only(vec![ip("192.0.2.7"), ip("2001:db8::7")]),
        media_ports: Some((50_000, 50_999)),
        public_ip: Some(ip("198.51.100.7")),
        pipelines: Some(".".into()),
        token: Some("s3cret".into()),
        admin_token: Some("s3creter".into()),
        trusted_proxies: ["10.0.0.0/8", "::1"]
            .map(|network| network.parse().expect("a network"))
            .into(),
        allowed_hosts: vec!["meet.example.org".into(), "tessera".into()],
        allowed_origins: vec!["https://meet.example.org".into()],
        codecs: vec![VideoCodec::Vp8, VideoCodec::Vp9],
        mode: Mode::Sfu,
        layout: LayoutKind::Spotlight,
        fit: Fit::Cover,
        canvas: Size {
            width: 640,
            height: 360,
        },
        fps: 25,
        video_bitrate: 800_000,
        audio_bitrate: 32_000,
        recordings: Some(".".into()),
        record: Some(Subject::from(Container::Webm)),
        recording_quotas: RecordingQuotas {
            free_space: 5_000_000,
            max_length: Duration::from_secs(6 * 60),
            max_age: Some(Duration::from_secs(7 * 24 * 3600)),
        },
        max_rooms: 2,
        max_cores: MaxCores::Thousandths(1500),
        max_participants: 3,
        joins_per_second: 4,
        max_message: 65_536,
        max_mlines: 6,
        ice_servers: vec![
            "stun:stun.example.org:3478".into(),
            "turns:turn.example.org?transport=tcp".into(),
        ],
        turn: TurnConfig {
            built_in: BuiltIn::Off,
            listen: Some(SocketAddr::new(ip("192.0.2.7"), 5000)),
            relay_ports: Some((60_000, 60_999)),
            secret: Some("north".into()),
            allowed_peers: ["10.1.0.0/16", "192.0.2.9/32"]
                .map(|network| network.parse().expect("a network"))
                .into(),
            max_allocations: 7,
            max_allocations_per_user: 3,
            requests_per_second: 9,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn media_uses_every_address_and_loopback_where_only_this_machine_can_come() {
    let media_ips = |text: &str| from_file(text).expect(text).media_ips;
    let and = |last: u8| MediaIps::EveryAnd(Ipv4Addr::new(127, 0, 0, last).into());
    assert_eq!(media_ips(""), and(1));
    assert_eq!(media_ips("listen = '127.0.0.2:0'"), and(2));
    assert_eq!(media_ips("listen = '0.0.0.0:0'"), MediaIps::Every);
    assert_eq!(media_ips("public-ip = '198.51.100.7'"), MediaIps::Every);
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        assert_eq!(
            media_ips(&format!("listen = '{listen}'\nmedia-ip = ['127.0.0.1']")),
            MediaIps::Only(vec![Ipv4Addr::LOCALHOST.into()])
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_its_name_and_what_would_do() {
    for (line, setting, hint) in [
        ("listen = 'localhost'", "listen", "127.0.0.1:8080"),
        ("media-ip = ['0.0.0.0']", "media-ip", "one machine"),
        ("media-ip = ['eth0']", "media-ip", "192.0.2.7"),
        ("media-ports = '5'", "media-ports", "50000-50999"),
        ("media-ports = '9-5'", "media-ports", "lower one first"),
        ("media-ports = '0-5'", "media-ports", "1 to 65535"),
        ("media-ports = '5-65536'", "media-ports", "1 to 65535"),
        ("public-ip = '224.0.0.1'", "public-ip", "one machine"),
        ("pipelines = '/does/not/exist'", "pipelines", "folder"),
        ("token = ''", "token", "leave it out"),
        ("admin-token = ' '", "admin-token", "leave it out"),
        (
            "token = 'a'\nadmin-token = 'a'",
            "admin-token",
            "another secret",
        ),
        (
            "allowed-host = ['meet.example.org:80']",
            "allowed-host",
            "host alone",
        ),
        ("allowed-host = ['*']", "allowed-host", "host alone"),
        ("allowed-host = ['']", "allowed-host", "host alone"),
        ("trusted-proxy = ['proxy']", "trusted-proxy", "10.1.0.0/16"),
        (
            "allowed-origin = ['meet.example.org']",
            "allowed-origin",
            "https://",
        ),
        (
            "allowed-origin = ['https://a/b']",
            "allowed-origin",
            "without a path",
        ),
        (
            "allowed-origin = ['https://*.a']",
            "allowed-origin",
            "* for any",
        ),
        ("ice-server = ['stun.example.org']", "ice-server", "stun:"),
        (
            "ice-server = ['turn:u:p@a']",
            "ice-server",
            "without credentials",
        ),
        ("turn = 'yes'", "turn", "on or off"),
        ("turn-listen = '3478'", "turn-listen", "a port"),
        ("turn-relay-ports = '5'", "turn-relay-ports", "50000-50999"),
        ("turn-secret = ' '", "turn-secret", "leave it out"),
        (
            "turn-allow-peers = ['10.0.0.0/33']",
            "turn-allow-peers",
            "10.1.0.0/16",
        ),
        ("turn-max-allocations = 0", "turn-max-allocations", "from 1"),
        (
            "turn-max-allocations-per-user = 0",
            "turn-max-allocations-per-user",
            "from 1",
        ),
        (
            "turn-requests-per-second = 0",
            "turn-requests-per-second",
            "from 1",
        ),
        ("codecs = []", "codecs", "h264 or vp8"),
        ("codecs = ['vp9']", "codecs", "h264 or vp8"),
        ("codecs = ['av1']", "codecs", "h264, vp8 and vp9"),
        ("codecs = ['vp8', 'vp8']", "codecs", "once"),
        ("mode = 'mesh'", "mode", "mcu, sfu or p2p"),
        ("layout = 'tiles'", "layout", "grid or spotlight"),
        ("fit = 'stretch'", "fit", "contain or cover"),
        ("canvas = '1280'", "canvas", "1280x720"),
        ("canvas = '1279x720'", "canvas", "even"),
        ("canvas = '1280x88'", "canvas", "160x90"),
        ("canvas = '4096x2160'", "canvas", "3840x2160"),
        ("fps = 4", "fps", "5 to 60"),
        ("fps = 'thirty'", "fps", "a whole number from 5 to 60"),
        ("fps = -30", "fps", "5 to 60"),
        ("fps = 29.97", "fps", "5 to 60"),
        ("fps = [30]", "fps", "one value"),
        ("turn = true", "turn", "on or off"),
        ("media-ip = '192.0.2.7'", "media-ip", "a list"),
        ("media-ip = [1]", "media-ip", "a list"),
        ("token = true", "token", "in quotes"),
        ("recordings = false", "recordings", "in quotes"),
        ("mode = 2026-01-01", "mode", "in quotes"),
        ("[listen]", "listen", "one value"),
        ("fps = 61", "fps", "5 to 60"),
        ("video-bitrate = 99999", "video-bitrate", "100000"),
        ("audio-bitrate = 5999", "audio-bitrate", "6000"),
        ("record = 'mp4'", "record", "--recordings"),
        (
            "record = 'avi'\nrecordings = '.'",
            "record",
            "mp4, webm, ogg or tracks",
        ),
        ("record = 'mp3'", "record", "mp4, webm, ogg or tracks"),
        ("max-rooms = 0", "max-rooms", "from 1"),
        ("max-cores = '0'", "max-cores", "unlimited"),
        ("max-cores = 'some'", "max-cores", "0.01 to 4096"),
        ("max-participants = 0", "max-participants", "from 1"),
        ("joins-per-second = 0", "joins-per-second", "from 1"),
        ("max-message = 100", "max-message", "16384"),
        ("max-mlines = 257", "max-mlines", "256"),
    ] {
        let error = refusal(line);
        assert!(
            error.starts_with(&format!("{setting} cannot be ")),
            "{line}: {error}"
        );
        assert!(error.contains(hint), "{line}: {error}");
    }
}

#[test]
fn a_file_with_mistakes_is_refused_with_the_place() {
    let error = refusal("fps = 30\nmax-room = 5\n");
    assert!(
        error.contains("line 2") && error.contains("max-room"),
        "{error}"
    );
    let error = refusal("fps = 25\n\nmedia-ip = ['eth0']");
    assert!(error.contains("(line 3 of "), "{error}");
    let error = refusal("fps = 25\nmode =\n");
    assert!(
        error.contains("line 2") && error.contains("not TOML"),
        "{error}"
    );

    let missing = Config::load(Some("/does/not/exist.toml".as_ref()), Options::default());
    let error = missing.expect_err("there is no such file").to_string();
    assert!(error.contains("/does/not/exist.toml"), "{error}");
}

/// Runs `tessera serve` with settings it must refuse, so that it says which source won.
fn serve(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tessera.toml");
    fs::write(&path, file).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    command.arg("serve").arg("--config").arg(&path).args(flags);
    for Setting { env, .. } in settings() {
        command.env_remove(env);
    }
    command.envs(environment.iter().copied());
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    for (environment, flags, winner) in [
        (&[][..], &[][..], "fps cannot be \"61\""),
        (&[("TESSERA_FPS", "62")], &[], "fps cannot be \"62\""),
        (
            &[("TESSERA_FPS", "62")],
            &["--fps", "63"],
            "fps cannot be \"63\"",
        ),
    ] {
        let (status, error) = serve("fps = 61", environment, flags);
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains(winner), "{error}");
    }
}

#[test]
fn a_wrong_value_is_refused_in_the_same_words_wherever_it_stands() {
    let words = "fps cannot be \"thirty\": it is a whole number from 5 to 60";
    for (file, environment, flags) in [
        ("fps = 'thirty'", &[][..], &[][..]),
        ("", &[("TESSERA_FPS", "thirty")], &[]),
        ("", &[], &["--fps", "thirty"]),
    ] {
        let (status, error) = serve(file, environment, flags);
        assert_eq!(status, Some(2), "{error}");
        assert_eq!(error.matches(words).count(), 1, "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(error.contains("(line 1 of "), !file.is_empty(), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_said_once() {
    let (status, error) = serve("fps == 30", &[], &[]);
    assert_eq!((status, error.lines().count()), (Some(2), 1), "{error}");
    let gone = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["serve", "--config", "/does/not/exist.toml"])
        .output()
        .expect("the program starts");
    assert_eq!(gone.status.code(), Some(2));
    let error = String::from_utf8(gone.stderr).expect("UTF-8");
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}

#[test]
fn a_list_replaces_the_list_of_a_lower_source() {
    let file = "media-ip = ['127.0.0.1']\nfps = 61";
    let (_, error) = serve(file, &[("TESSERA_MEDIA_IP", "127.0.0.1,nowhere")], &[]);
    assert!(error.contains("media-ip cannot be \"nowhere\""), "{error}");
    let flags = ["--media-ip", "127.0.0.1", "--media-ip", "elsewhere"];
    let (_, error) = serve(file, &[("TESSERA_MEDIA_IP", "nowhere")], &flags);
    assert!(
        error.contains("media-ip cannot be \"elsewhere\""),
        "{error}"
    );
}

#[test]
fn help_shows_the_defaults_and_no_secret() {
    let output = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["serve", "--help"])
        .env("TESSERA_TOKEN", "hunter2")
        .output()
        .expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(help.contains("TESSERA_TOKEN"), "{help}");
    assert!(!help.contains("hunter2"), "{help}");
    assert!(help.contains("[default: 1280x720]"), "{help}");
}

/// A setting's row as docs/CONFIGURATION.md has it.
fn row(setting: &Setting) -> String {
    let Setting {
        flag,
        env,
        default,
        help,
    } = setting;
    let default = match default.as_str() {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    format!("| `{flag}` | `{env}` | {default} | {help} |")
}

#[test]
fn the_documentation_lists_every_setting_with_its_default() {
    let document = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/CONFIGURATION.md"
    ));
    let rows: Vec<String> = settings().iter().map(row).collect();
    let table: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    assert!(
        table == rows,
        "the table in docs/CONFIGURATION.md should be:\n{}",
        rows.join("\n")
    );
}

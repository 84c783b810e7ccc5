//! Logs and metrics: the tracing subscriber, the bridges from the logs of GLib and GStreamer, and
//! the Prometheus recorder.

use std::io::IsTerminal;
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

use metrics::{Unit, describe_counter, describe_gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Why logging or metrics could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The log filter does not parse.
    #[error("the log filter {filter:?} is not understood: {reason}")]
    BadFilter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it, for the operator.
        reason: String,
    },
    /// A tracing subscriber is installed already.
    #[error("logging is set up already")]
    LoggingTaken,
    /// Another metrics recorder is installed already.
    #[error("metrics are set up already: {0}")]
    MetricsTaken(String),
}

/// Environment variables with the filter of the log; the first that is set and not empty counts.
pub const FILTER_VARIABLES: [&str; 2] = ["TESSERA_LOG", "RUST_LOG"];

/// Sends the log of the program to stderr. The filter is that of `TESSERA_LOG`, else `RUST_LOG`,
/// else `level`, in the syntax of [`EnvFilter`]. SDP and candidates appear at `trace` only.
///
/// # Errors
/// [`TelemetryError::BadFilter`], and [`TelemetryError::LoggingTaken`] on a second call.
pub fn init_logging(level: &str) -> Result<(), TelemetryError> {
    let filter = FILTER_VARIABLES
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| level.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(parse_filter(&filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|_| TelemetryError::LoggingTaken)
}

/// Filter that silences libraries which log every packet they cannot parse, and open a span for
/// each. A filter of the operator that names one of them takes precedence.
const QUIET: &str = "stun_types=off,stun_proto=off,turn_types=off,turn_server_proto=off";

/// The levels of a filter, the quietest first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Targets that a filter may name without a level: the program and the bridges into its log.
const TARGETS: [&str; 3] = ["tessera", "gstreamer", "glib"];

fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let bad = |reason: String| TelemetryError::BadFilter {
        filter: filter.to_owned(),
        reason,
    };
    // Without the spaces that EnvFilter does not take.
    let directives = filter.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|one| !one.is_empty()).collect();
    if let Some(word) = directives.iter().find(|one| names_no_level(one)) {
        let (level, levels) = (word.rsplit('=').next().unwrap_or(word), LEVELS.join(", "));
        return Err(bad(format!(
            "{level} is no level; those are {levels}, and a part of the program has its own with \
             TARGET=LEVEL"
        )));
    }
    let whole = format!("{QUIET},{}", directives.join(","));
    EnvFilter::try_new(whole).map_err(|error| bad(error.to_string()))
}

/// Whether a directive has a word for its level that is none. [`EnvFilter`] takes a lone word that
/// is no level for a target, shows everything of that, and nothing of what was meant.
fn names_no_level(directive: &str) -> bool {
    let is_level = |word: &str| {
        let number = word.parse::<u8>().is_ok_and(|n| n <= 5);
        number || LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
    };
    let after_span = directive.rsplit(']').next().unwrap_or(directive);
    match (after_span.rsplit_once('='), directive.contains(']')) {
        (Some((_, level)), _) => !is_level(level),
        (None, true) => !after_span.is_empty(),
        (None, false) => {
            let root = directive.split("::").next().unwrap_or(directive);
            !is_level(directive) && !TARGETS.contains(&root)
        }
    }
}

/// Largest number of lines a second that GLib, and GStreamer, each may log as warnings and errors. A
/// peer can cause one with each packet that a decoder or a parser dislikes.
const LINES_PER_SECOND: u32 = 20;

/// Counts lines of a log by seconds, so that there are not too many of them; pure.
#[derive(Debug)]
struct LineRate {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl LineRate {
    const fn new() -> Self {
        Self {
            second: 0,
            lines: 0,
            left_out: 0,
        }
    }

    /// Whether there may be one more line in this second; if so, how many were left out before it.
    fn next(&mut self, second: u64) -> Option<u64> {
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Whether a line may be logged now; tells first how many could not be.
fn may_log(rate: &Mutex<LineRate>, of: &'static str) -> bool {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let left_out = rate.lock().next(BEGAN.elapsed().as_secs());
    if let Some(left_out @ 1..) = left_out {
        tracing::warn!(of, left_out, "more is logged than is told");
    }
    left_out.is_some()
}

/// Sends the log of GLib and the libraries on it to tracing, target `glib`, in place of stderr.
pub fn bridge_glib_log() {
    static RATE: Mutex<LineRate> = Mutex::new(LineRate::new());
    gst::glib::log_set_default_handler(|domain, level, text| {
        let domain = domain.unwrap_or_default();
        match level {
            // The last line of a process.
            gst::glib::LogLevel::Error => tracing::error!(target: "glib", domain, "{text}"),
            gst::glib::LogLevel::Critical if may_log(&RATE, "glib") => {
                tracing::error!(target: "glib", domain, "{text}");
            }
            // libnice warns of each relay that a closed connection leaves to expire.
            gst::glib::LogLevel::Warning if domain != "libnice" && may_log(&RATE, "glib") => {
                tracing::warn!(target: "glib", domain, "{text}");
            }
            _ => tracing::debug!(target: "glib", domain, "{text}"),
        }
    });
}

/// Sends the log of GStreamer to tracing, target `gstreamer`, in place of stderr: warnings and
/// errors, or what `GST_DEBUG` asks for. To be called once, after [`gst::init`].
pub fn bridge_gstreamer_log() {
    if std::env::var_os("GST_DEBUG").is_none() {
        gst::log::set_default_threshold(gst::DebugLevel::Warning);
    }
    gst::log::remove_default_log_function();
    static RATE: Mutex<LineRate> = Mutex::new(LineRate::new());
    // Runs on streaming threads. It must not block, nor log through GStreamer itself.
    gst::log::add_log_function(|category, level, file, function, line, object, message| {
        let object = object.map(ToString::to_string).unwrap_or_default();
        let text = message.get().unwrap_or_default();
        let category = category.name();
        macro_rules! forward {
            ($level:ident) => {
                tracing::$level!(
                    target: "gstreamer",
                    category,
                    object,
                    at = format_args!("{file}:{line} {function}"),
                    "{text}"
                )
            };
        }
        match level {
            // One level lower: GStreamer warns of normal events, such as a codec that is offered
            // and not accepted, or a peer that has left.
            gst::DebugLevel::Error if may_log(&RATE, "gstreamer") => forward!(warn),
            gst::DebugLevel::Error => forward!(debug),
            gst::DebugLevel::Warning => forward!(debug),
            gst::DebugLevel::Fixme | gst::DebugLevel::Info => forward!(info),
            gst::DebugLevel::Debug => forward!(debug),
            _ => forward!(trace),
        }
    });
}

/// The metrics of the process in the format of Prometheus. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder behind the `metrics` macros. Later calls return the same one.
    ///
    /// # Errors
    /// [`TelemetryError::MetricsTaken`] if another recorder is installed.
    pub fn install() -> Result<Self, TelemetryError> {
        static INSTALLED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        INSTALLED
            .get_or_init(|| {
                let recorder = PrometheusBuilder::new().build_recorder();
                let handle = recorder.handle();
                metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
                describe();
                Ok(handle)
            })
            .clone()
            .map(Self)
            .map_err(TelemetryError::MetricsTaken)
    }

    /// All metrics in the text exposition format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves the samples of histograms into their buckets. To be called every few seconds;
    /// otherwise they use memory until the next call of [`Metrics::render`].
    pub fn sweep(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    for (name, text) in [
        ("tessera_joins_total", "Joins accepted, by transport"),
        (
            "tessera_leaves_total",
            "Participants gone, by transport and reason",
        ),
        ("tessera_errors_total", "Refusals sent, by code"),
        (
            "tessera_keyframe_requests_total",
            "Keyframes asked for, by whom they were asked of: a sender or an encoder",
        ),
        (
            "tessera_keyframes_avoided_total",
            "Keyframe requests that a keyframe answered which others had asked for",
        ),
        (
            "tessera_joins_refused_total",
            "Joins refused because the machine has enough to do, by mode and reason",
        ),
        (
            "tessera_starts_refused_total",
            "Things not started because there is too little of something, by reason",
        ),
        (
            "tessera_decoded_pixels_total",
            "Pixels of the pictures decoded for composites",
        ),
        (
            "tessera_malformed_packets_total",
            "Packets of participants that no depayloader may be given",
        ),
        (
            "tessera_refused_packets_total",
            "RTP of more streams than a participant may have, and RTCP of which nothing is read",
        ),
        (
            "tessera_packets_kept_from_srtpenc_total",
            "Packets that webrtcbin would have sealed in place of the egress; stays at zero",
        ),
        (
            "tessera_over_budget_packets_total",
            "Packets kept from decoders because their sender asks too much of them",
        ),
        (
            "tessera_http_requests_total",
            "HTTP requests answered, by kind and status",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text) in [
        (
            "tessera_turn_packets_total",
            "Packets relayed by the TURN server, by direction",
        ),
        (
            "tessera_turn_dropped_total",
            "Packets the TURN server had no room for",
        ),
        ("tessera_turn_bindings_total", "STUN bindings answered"),
        (
            "tessera_turn_answers_total",
            "TURN requests answered, by error code, 0 for success",
        ),
        (
            "tessera_turn_rate_limited_total",
            "STUN and TURN requests without a credential that were one too many",
        ),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    describe_counter!(
        "tessera_turn_bytes_total",
        Unit::Bytes,
        "Payload relayed by the TURN server, by direction"
    );
    for (name, text) in [
        (
            "tessera_cpu_cores_used",
            "Cores in use, over the last seconds",
        ),
        ("tessera_cpu_cores_limit", "Cores the server may use"),
        (
            "tessera_pressure",
            "What is saved on: 0 nothing, 1 a third of the frames, 2 half of them, \
             3 the full size too, 4 sizes too",
        ),
        (
            "tessera_join_cost_cores",
            "Cores that one more person is taken to cost, by mode",
        ),
        (
            "tessera_means_free",
            "File descriptors, threads and bytes of memory that are free",
        ),
        ("tessera_joins_under_way", "Joins begun and not connected"),
        (
            "tessera_has_room",
            "Whether one more would be taken in, 1 or 0, by mode",
        ),
    ] {
        describe_gauge!(name, Unit::Count, text);
    }
    describe_gauge!(
        "tessera_turn_allocations",
        Unit::Count,
        "TURN allocations open now"
    );
    describe_gauge!(
        "tessera_websockets_open",
        Unit::Count,
        "Signalling WebSockets open now"
    );
    describe_counter!(
        "tessera_connections_refused_total",
        Unit::Count,
        "Connections closed at once because there were too many"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_off_and_told_of() {
        let mut rate = LineRate::new();
        let told = (0..1000).filter(|_| rate.next(7).is_some()).count();
        assert_eq!(told, LINES_PER_SECOND as usize);
        assert_eq!(rate.next(8), Some(1000 - u64::from(LINES_PER_SECOND)));
        assert_eq!(rate.next(8), Some(0));
    }

    #[test]
    fn metrics_are_installed_once_and_shared() {
        let one = Metrics::install().expect("the first");
        let other = Metrics::install().expect("the second");
        metrics::counter!("tessera_errors_total", "code" => "test_only").increment(3);
        for metrics in [one, other] {
            let text = metrics.render();
            assert!(
                text.contains(r#"tessera_errors_total{code="test_only"} 3"#),
                "{text}"
            );
            assert!(
                text.contains("# TYPE tessera_errors_total counter"),
                "{text}"
            );
        }
    }

    #[test]
    fn filters_are_checked() {
        assert!(parse_filter("info,tessera::room=trace").is_ok());
        let loud = parse_filter("info,stun_types=trace").expect("a filter");
        assert!(loud.to_string().contains("stun_types=trace"), "{loud}");
        for fine in [
            "debug",
            "WARN",
            "3",
            "",
            "info,",
            " info , hyper=debug",
            "tessera",
            "tessera::room",
            "[participant{id=p1}]=trace",
            "tessera[room]",
            "off,tessera[room{id=\"a\"}]=debug,glib=error",
        ] {
            assert!(parse_filter(fine).is_ok(), "{fine}");
        }
        for (bad, word) in [
            ("debgu", "debgu"),
            ("tessera=shouting", "shouting"),
            ("info,tessera::room=verbose", "verbose"),
            ("warning", "warning"),
            ("9", "9"),
            ("hyper", "hyper"),
            ("[room]=loud", "loud"),
            ("tessera=", "no level"),
            ("tessera[room=debug", "tessera[room"),
        ] {
            let error = parse_filter(bad).expect_err(bad).to_string();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}

//! What is in a recorded file, as ffmpeg and ffprobe see it, which share no code with the server, but
//! for layers of VP9.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use gst::prelude::*;
use serde_json::Value;
use tessera::bots::observe::probe::Picture;

/// Sound as it is decoded here, samples per second, mono.
pub const RATE: usize = 48_000;

fn run(program: &str, arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(program);
    for argument in arguments {
        match *argument {
            "FILE" => command.arg(file),
            other => command.arg(other),
        };
    }
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{program} (package ffmpeg): {error}"))
}

/// What ffprobe says of a file; panics if it finds anything amiss.
pub fn probe(file: &Path) -> Value {
    let arguments = [
        "-v",
        "warning",
        "-of",
        "json",
        "-show_format",
        "-show_streams",
        "FILE",
    ];
    let output = run("ffprobe", &arguments, file);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{}: {complaints}",
        file.display()
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The codecs of a file's streams, the picture first.
pub fn codecs(file: &Path) -> Vec<String> {
    let probed = probe(file);
    let streams = probed["streams"].as_array().expect("streams");
    let of = |kind: &'static str| streams.iter().filter(move |one| one["codec_type"] == kind);
    let name = |one: &Value| one["codec_name"].as_str().expect("a codec").to_owned();
    of("video").chain(of("audio")).map(name).collect()
}

/// The types of an MP4's outermost boxes, in order (ISO/IEC 14496-12 section 4.2).
pub fn boxes(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).expect("a file");
    let (mut types, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((head, _)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes(head[..4].try_into().expect("four bytes"));
        types.push(String::from_utf8_lossy(&head[4..]).into_owned());
        rest = rest.get((length as usize).max(8)..).unwrap_or_default();
    }
    types
}

/// The chapters of a file: when each begins, and what it is called.
pub fn chapters(file: &Path) -> Vec<(Duration, String)> {
    let arguments = ["-v", "warning", "-of", "json", "-show_chapters", "FILE"];
    let output = run("ffprobe", &arguments, file);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "{}: {complaints}", file.display());
    let probed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let chapters = probed["chapters"].as_array().expect("chapters").iter();
    let chapter = |one: &Value| {
        let start = one["start_time"].as_str().expect("a time");
        let start = start.parse().expect("seconds");
        let title = one["tags"]["title"].as_str().expect("a title");
        (Duration::from_secs_f64(start), title.to_owned())
    };
    chapters.map(chapter).collect()
}

/// How long a file is, by its header.
pub fn length(file: &Path) -> Duration {
    let probed = probe(file);
    let seconds = probed["format"]["duration"].as_str().expect("a duration");
    Duration::from_secs_f64(seconds.parse().expect("a number"))
}

/// How many pictures of a file can be decoded, whatever is amiss at its end.
pub fn playable(file: &Path) -> usize {
    let arguments = [
        "-v",
        "quiet",
        "-count_frames",
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        "FILE",
    ];
    let output = run("ffprobe", &arguments, file);
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse().unwrap_or_default()
}

/// Decodes a stream of a file whole; panics if ffmpeg finds anything amiss.
fn decode(file: &Path, arguments: &[&str]) -> Vec<u8> {
    let all = [&["-v", "warning", "-i", "FILE"], arguments, &["-"]].concat();
    let output = run("ffmpeg", &all, file);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{}: {complaints}",
        file.display()
    );
    output.stdout
}

/// Every picture of a file, with its time.
pub fn pictures(file: &Path) -> Vec<Picture> {
    let probed = probe(file);
    let streams = probed["streams"].as_array().expect("streams");
    let video = streams.iter().find(|one| one["codec_type"] == "video");
    let video = video.expect("a picture");
    let side = |name: &str| u32::try_from(video[name].as_u64().expect("a size")).expect("small");
    let (width, height) = (side("width"), side("height"));
    let raw = decode(
        file,
        &[
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            // Else two frames nearer than the rate makes likely have one time, and a warning.
            "-enc_time_base",
            "1/90000",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
        ],
    );
    let times = picture_times(file);
    let luma = (width * height) as usize;
    let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
    let whole = raw.chunks_exact(luma + 2 * chroma);
    assert_eq!(whole.len(), times.len(), "a time for each picture");
    let picture = |(n, (frame, at)): (usize, (&[u8], &Duration))| {
        let (y, rest) = frame.split_at(luma);
        let (u, v) = rest.split_at(chroma);
        let half = width.div_ceil(2) as usize;
        let planes = [(y, width as usize), (u, half), (v, half)];
        Picture::from_planes(width, height, planes, *at, n as u64).expect("whole planes")
    };
    whole.zip(&times).enumerate().map(picture).collect()
}

/// What ffprobe says, a line each, of one `entry` of all that is asked for.
fn entries<T: std::str::FromStr>(file: &Path, asked: &[&str], entry: &str) -> Vec<T> {
    let show = ["-show_entries", entry, "-of", "csv=p=0", "FILE"];
    let arguments = [&["-v", "error"], asked, &show].concat();
    let output = run("ffprobe", &arguments, file);
    let text = String::from_utf8(output.stdout).expect("numbers");
    let number = |line: &str| line.trim_end_matches(',').parse().ok();
    text.lines().filter_map(number).collect()
}

fn times(seconds: Vec<f64>) -> Vec<Duration> {
    let time = |at: f64| Duration::from_secs_f64(at.max(0.0));
    seconds.into_iter().map(time).collect()
}

const PICTURES: [&str; 2] = ["-select_streams", "v:0"];

fn picture_times(file: &Path) -> Vec<Duration> {
    times(entries(file, &PICTURES, "frame=best_effort_timestamp_time"))
}

/// The sound of a file from its beginning, silence where it begins later than the picture.
pub fn sound(file: &Path) -> Vec<f32> {
    let raw = decode(
        file,
        &[
            "-map",
            "0:a",
            "-af",
            // Without the second a packet that is missing moves what follows, up to 100 ms.
            "aresample=async=1:min_hard_comp=0.015:first_pts=0",
            "-f",
            "f32le",
            "-ac",
            "1",
            "-ar",
            "48000",
        ],
    );
    let sample = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    raw.chunks_exact(4).map(sample).collect()
}

/// The times of a file's packets, of a file with one stream.
pub fn packets(file: &Path) -> Vec<Duration> {
    times(entries(file, &[], "packet=pts_time"))
}

/// The width of each picture of a WebM of VP9 as libvpx decodes it, by GStreamer. FFmpeg's own decoder
/// shows each spatial layer as a picture.
pub fn vp9_widths(file: &Path) -> Vec<i32> {
    gst::init().expect("GStreamer");
    let launch = "filesrc name=file ! matroskademux ! vp9dec ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(launch).expect("a pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("file").expect("a source");
    source.set_property("location", file);
    let sink = pipeline.by_name("out").expect("a sink");
    let sink = sink.downcast::<gst_app::AppSink>().expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let samples = std::iter::from_fn(|| sink.pull_sample().ok());
    let width = |sample: gst::Sample| sample.caps()?.structure(0)?.get("width").ok();
    let widths = samples.filter_map(width).collect();
    pipeline.set_state(gst::State::Null).expect("it stops");
    widths
}

/// The widths of a file's pictures, each once, in the order in which they come.
pub fn widths(file: &Path) -> Vec<u32> {
    let mut widths: Vec<u32> = entries(file, &PICTURES, "frame=width");
    widths.dedup();
    widths
}

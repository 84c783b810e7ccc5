//! Which GStreamer elements Tessera needs, which it can do without, and what is here.
//!
//! Debian spreads the elements over a dozen packages, and a pipeline that misses one fails
//! late and obscurely. So the whole list is checked before anything starts, and `tessera
//! doctor` and `tessera serve` say the same words about it.

use std::fmt;

use gst::prelude::*;

use crate::codec::VideoCodec;

/// What follows if an element is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Tessera does not start without the element.
    Required,
    /// One feature is lost, named by [`Element::purpose`].
    Optional,
}

/// An element of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// The name of the factory, as in a pipeline description.
    pub name: &'static str,
    /// The plugin it comes in.
    pub plugin: &'static str,
    /// The package of Debian and Ubuntu that brings it, or where else to get it.
    pub package: &'static str,
    /// Whether Tessera starts without it.
    pub need: Need,
    /// What it is used for, as `tessera doctor` prints it.
    pub purpose: &'static str,
}

const CORE: &str = "libgstreamer1.0-0";
const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";
const NICE: &str = "gstreamer1.0-nice";
/// Pango's elements are in the package of the X ones, for no reason that shows.
const PANGO: &str = "gstreamer1.0-x";

const fn required(
    name: &'static str,
    plugin: &'static str,
    package: &'static str,
    purpose: &'static str,
) -> Element {
    Element {
        name,
        plugin,
        package,
        need: Need::Required,
        purpose,
    }
}

const fn optional(
    name: &'static str,
    plugin: &'static str,
    package: &'static str,
    purpose: &'static str,
) -> Element {
    Element {
        name,
        plugin,
        package,
        need: Need::Optional,
        purpose,
    }
}

/// Every element by name, in the order media passes them.
pub(crate) const ELEMENTS: &[Element] = &[
    required("webrtcbin", "webrtc", BAD, "WebRTC peers"),
    required("nicesrc", "nice", NICE, "ICE, receiving"),
    required("nicesink", "nice", NICE, "ICE, sending"),
    required("dtlsdec", "dtls", BAD, "DTLS, receiving"),
    required("dtlsenc", "dtls", BAD, "DTLS, sending"),
    required("srtpdec", "srtp", BAD, "SRTP, receiving"),
    required("srtpenc", "srtp", BAD, "SRTP, sending"),
    required(
        "rtpbin",
        "rtpmanager",
        GOOD,
        "RTP sessions and jitter buffers",
    ),
    required("rtpopusdepay", "rtp", GOOD, "Opus from RTP"),
    required("rtpopuspay", "rtp", GOOD, "Opus to RTP"),
    required("rtpvp8depay", "rtp", GOOD, "VP8 from RTP"),
    required("rtpvp8pay", "rtp", GOOD, "VP8 to RTP"),
    required("rtpvp9depay", "rtp", GOOD, "VP9 from RTP"),
    required("rtph264depay", "rtp", GOOD, "H.264 from RTP"),
    required("rtph264pay", "rtp", GOOD, "H.264 to RTP"),
    required("h264parse", "videoparsersbad", BAD, "H.264 framing"),
    required("vp9parse", "videoparsersbad", BAD, "VP9 framing"),
    required("opusparse", "opusparse", BAD, "Opus framing"),
    required("opusdec", "opus", BASE, "Opus decoding"),
    required("opusenc", "opus", BASE, "Opus encoding"),
    required("rtppcmudepay", "rtp", GOOD, "G.711 (mu-law) from RTP"),
    required("rtppcmupay", "rtp", GOOD, "G.711 (mu-law) to RTP"),
    required("rtppcmadepay", "rtp", GOOD, "G.711 (A-law) from RTP"),
    required("rtppcmapay", "rtp", GOOD, "G.711 (A-law) to RTP"),
    required("mulawdec", "mulaw", GOOD, "G.711 (mu-law) decoding"),
    required("mulawenc", "mulaw", GOOD, "G.711 (mu-law) encoding"),
    required("alawdec", "alaw", GOOD, "G.711 (A-law) decoding"),
    required("alawenc", "alaw", GOOD, "G.711 (A-law) encoding"),
    required("rtpg722depay", "rtp", GOOD, "G.722 from RTP"),
    required("rtpg722pay", "rtp", GOOD, "G.722 to RTP"),
    optional("avdec_g722", "libav", LIBAV, "G.722 decoding"),
    optional("avenc_g722", "libav", LIBAV, "G.722 encoding"),
    required("vp8dec", "vpx", GOOD, "VP8 decoding"),
    required("vp8enc", "vpx", GOOD, "VP8 encoding"),
    required("vp9dec", "vpx", GOOD, "VP9 decoding"),
    required("appsrc", "app", BASE, "media into a pipeline"),
    required("appsink", "app", BASE, "media out of a pipeline"),
    required("filesrc", "coreelements", CORE, "files, reading"),
    required("filesink", "coreelements", CORE, "files, writing"),
    required("mp4mux", "isomp4", GOOD, "MP4, writing"),
    required("qtdemux", "isomp4", GOOD, "MP4, reading"),
    required("matroskamux", "matroska", GOOD, "Matroska, writing"),
    required("webmmux", "matroska", GOOD, "WebM, writing"),
    required("matroskademux", "matroska", GOOD, "WebM, reading"),
    required("oggmux", "ogg", BASE, "Ogg, writing"),
    required("oggdemux", "ogg", BASE, "Ogg, reading"),
    required("identity", "coreelements", CORE, "places to look at media"),
    required("queue", "coreelements", CORE, "threads of their own"),
    required("capsfilter", "coreelements", CORE, "fixed formats"),
    required("videorate", "videorate", BASE, "constant frame rate"),
    required(
        "videoconvertscale",
        "videoconvertscale",
        BASE,
        "picture format and size",
    ),
    required("videocrop", "videocrop", GOOD, "pictures cut to their tile"),
    required("textoverlay", "pango", PANGO, "names on tiles"),
    required("videotestsrc", "videotestsrc", BASE, "background, avatars"),
    required("audioconvert", "audioconvert", BASE, "sound format"),
    required("audioresample", "audioresample", BASE, "sound at 48 kHz"),
    required("audiorate", "audiorate", BASE, "sound without gaps"),
    required("aacparse", "audioparsers", GOOD, "AAC framing"),
    required("audiotestsrc", "audiotestsrc", BASE, "silence, test tones"),
    optional("openh264enc", "openh264", BAD, "H.264 encoding (either)"),
    optional("x264enc", "x264", UGLY, "H.264 encoding (or); GPL"),
    optional("avdec_h264", "libav", LIBAV, "H.264 decoding (either)"),
    optional("openh264dec", "openh264", BAD, "H.264 decoding (or)"),
    optional("avenc_aac", "libav", LIBAV, "AAC encoding (either)"),
    optional("voaacenc", "voaacenc", BAD, "AAC encoding (or)"),
];

/// An element of the list and whether it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The element that was looked up.
    pub element: Element,
    /// Its plugin's version, or `None` if it is missing.
    pub version: Option<String>,
}

/// Which elements of the list are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    rows: Vec<Row>,
}

/// Looks every element up in GStreamer's registry. Call `gst::init` first.
pub fn survey() -> Survey {
    Survey::with(|name| {
        let factory = gst::ElementFactory::find(name)?;
        let plugin = factory.plugin()?;
        Some(plugin.version().to_string())
    })
}

/// The H.264 encoders that there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum H264Encoder {
    /// Cisco's openh264enc, at a third of VP8's cost.
    OpenH264,
    /// x264enc, under the GPL: better pictures at nearly twice openh264's cost.
    X264,
}

/// The H.264 encoder to use, the cheaper first. Call `gst::init` first.
pub(crate) fn h264_encoder() -> Option<H264Encoder> {
    let exists = |name| gst::ElementFactory::find(name).is_some();
    [
        ("openh264enc", H264Encoder::OpenH264),
        ("x264enc", H264Encoder::X264),
    ]
    .into_iter()
    .find_map(|(name, encoder)| exists(name).then_some(encoder))
}

/// The H.264 decoder element to use, the cheaper first. Call `gst::init` first.
pub(crate) fn h264_decoder() -> Option<&'static str> {
    ["avdec_h264", "openh264dec"]
        .into_iter()
        .find(|name| gst::ElementFactory::find(name).is_some())
}

/// The AAC encoders that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AacEncoder {
    /// FFmpeg's avenc_aac.
    Libav,
    /// The VisualOn encoder, voaacenc: cheaper, but dull, for it leaves high frequencies out.
    VisualOn,
}

impl AacEncoder {
    /// The name of its element.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Libav => "avenc_aac",
            Self::VisualOn => "voaacenc",
        }
    }

    /// Number of samples by which what is decoded is later than what was encoded.
    pub(crate) fn priming(self) -> u64 {
        match self {
            Self::Libav => 1024,
            Self::VisualOn => 1600,
        }
    }
}

/// The AAC encoder to use, the better first. Call `gst::init` first.
pub(crate) fn aac_encoder() -> Option<AacEncoder> {
    [AacEncoder::Libav, AacEncoder::VisualOn]
        .into_iter()
        .find(|encoder| gst::ElementFactory::find(encoder.element()).is_some())
}

/// The codecs among `wanted` that this machine can receive or send, in the same order.
/// Call `gst::init` first.
pub fn available_codecs(wanted: &[VideoCodec]) -> Vec<VideoCodec> {
    let survey = survey();
    let wanted = wanted.iter().copied();
    wanted.filter(|codec| survey.can(*codec)).collect()
}

impl Survey {
    /// A survey by another way of finding an element's version.
    pub(crate) fn with(version_of: impl Fn(&str) -> Option<String>) -> Self {
        let row = |element: &Element| Row {
            element: *element,
            version: version_of(element.name),
        };
        Self {
            rows: ELEMENTS.iter().map(row).collect(),
        }
    }

    /// The required elements that are missing; empty if Tessera can start.
    pub fn missing_required(&self) -> Vec<Element> {
        self.missing(Need::Required)
    }

    /// Whether a video codec can be used. H.264 needs one of its encoders and one of its decoders;
    /// what VP8 and VP9 need is required anyway.
    pub fn can(&self, codec: VideoCodec) -> bool {
        match codec {
            VideoCodec::H264 => {
                (self.has("openh264enc") || self.has("x264enc"))
                    && (self.has("avdec_h264") || self.has("openh264dec"))
            }
            VideoCodec::Vp8 => self.has("vp8enc") && self.has("vp8dec"),
            VideoCodec::Vp9 => self.has("vp9dec"),
        }
    }

    /// The table that `tessera doctor` prints, with [`Self::complaint`] or an all-clear below.
    pub fn render(&self) -> String {
        self.to_string()
    }

    /// Which required elements are missing, and the command that installs them; `None` if none is
    /// missing.
    pub fn complaint(&self) -> Option<String> {
        let missing = self.missing_required();
        if missing.is_empty() {
            return None;
        }
        let mut text = String::from("required GStreamer elements are missing:\n");
        for element in &missing {
            let Element {
                name,
                package,
                purpose,
                ..
            } = element;
            text += &format!("  {name} ({purpose}) is in {package}\n");
        }
        let mut packages: Vec<&str> = missing.iter().map(|element| element.package).collect();
        packages.sort_unstable();
        packages.dedup();
        text += &format!("install them with: apt-get install {}", packages.join(" "));
        Some(text)
    }

    fn missing(&self, need: Need) -> Vec<Element> {
        let missing = self.rows.iter().filter(|row| row.version.is_none());
        missing
            .map(|row| row.element)
            .filter(|element| element.need == need)
            .collect()
    }

    fn has(&self, name: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.element.name == name && row.version.is_some())
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:<9} {:<9} {:<32} package",
            "element", "need", "version", "for"
        )?;
        for Row { element, version } in &self.rows {
            let need = match element.need {
                Need::Required => "required",
                Need::Optional => "optional",
            };
            let version = version.as_deref().unwrap_or("MISSING");
            let Element {
                name,
                purpose,
                package,
                ..
            } = element;
            writeln!(
                f,
                "{name:<18} {need:<9} {version:<9} {purpose:<32} {package}"
            )?;
        }
        writeln!(f)?;
        for codec in [VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9] {
            let state = match (self.can(codec), codec) {
                (true, VideoCodec::Vp9) => "yes, decoded only",
                (true, _) => "yes",
                (false, VideoCodec::H264) => "no: it takes one of the encoders and one decoder",
                (false, _) => "no",
            };
            writeln!(f, "video codec {codec}: {state}")?;
        }
        match self.complaint() {
            Some(complaint) => write!(f, "\n{complaint}"),
            None => write!(f, "\neverything that is required is here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(hidden: &[&str]) -> Survey {
        Survey::with(|name| (!hidden.contains(&name)).then(|| "1.22.0".to_owned()))
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ELEMENTS.iter().map(|element| element.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_element_of_the_pipelines_is_looked_for() {
        gst::init().expect("GStreamer");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines");
        let files = std::fs::read_dir(folder).expect("pipelines");
        let paths = files.map(|file| file.expect("a file").path());
        let launches = paths.filter(|path| path.extension().is_some_and(|e| e == "launch"));
        let mut seen = 0;
        for path in launches {
            let text = std::fs::read_to_string(&path).expect("text");
            let code = text.lines().filter(|line| !line.starts_with('#'));
            for word in code.flat_map(str::split_whitespace) {
                if gst::ElementFactory::find(word).is_none() {
                    continue;
                }
                seen += 1;
                let listed = ELEMENTS.iter().any(|element| element.name == word);
                assert!(listed, "{word} of {}", path.display());
            }
        }
        assert!(seen > 100, "{seen} elements");
    }

    #[test]
    fn a_whole_machine_has_no_complaint() {
        let survey = without(&[]);
        assert_eq!(survey.complaint(), None);
        assert!(!survey.render().contains("MISSING"));
        assert!(survey.render().ends_with("is here"));
    }

    #[test]
    fn a_missing_plugin_is_named_with_its_package_once() {
        let survey = without(&["nicesrc", "nicesink", "vp8enc"]);
        let missing = survey.missing_required();
        let missing: Vec<&str> = missing.iter().map(|element| element.name).collect();
        assert_eq!(missing, ["nicesrc", "nicesink", "vp8enc"]);

        let complaint = survey.complaint().expect("three are missing");
        assert!(complaint.contains("nicesink (ICE, sending) is in gstreamer1.0-nice"));
        assert!(
            complaint.ends_with("apt-get install gstreamer1.0-nice gstreamer1.0-plugins-good"),
            "{complaint}"
        );
        assert!(survey.render().ends_with(&complaint));
    }

    #[test]
    fn a_missing_option_is_shown_but_no_complaint() {
        let survey = without(&["x264enc"]);
        assert_eq!(survey.complaint(), None);
        let table = survey.render();
        let line = table.lines().find(|line| line.starts_with("x264enc"));
        let line = line.expect("a row for x264enc");
        assert!(line.contains("MISSING") && line.contains("gstreamer1.0-plugins-ugly"));
    }

    #[test]
    fn h264_takes_one_encoder_and_one_decoder() {
        for (hidden, expected) in [
            (&["x264enc", "avdec_h264"][..], true),
            (&["openh264enc", "openh264dec"], true),
            (&["x264enc", "openh264enc"], false),
            (&["avdec_h264", "openh264dec"], false),
        ] {
            let survey = without(hidden);
            assert_eq!(survey.can(VideoCodec::H264), expected, "{hidden:?}");
            assert!(survey.can(VideoCodec::Vp8), "{hidden:?}");
        }
    }
}

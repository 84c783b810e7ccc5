//! The plan of the house. A name is a file or folder of `src` or, further down, of one of its folders.

/// The floors of `src` from top to bottom. What stands on a floor uses what is below it.
pub(crate) const FLOORS: &[&[&str]] = &[
    &["main", "cli"],
    &["compare", "bots", "signalling", "remix"],
    &["room", "turn"],
    &["archive"],
    &["media"],
    &["admission", "config"],
    &[
        "protocol",
        "codec",
        "layout",
        "topology",
        "id",
        "net",
        "telemetry",
        "process",
        "progress",
    ],
];

/// Who may use a neighbour on the same floor.
pub(crate) const NEIGHBOURS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("compare", &["bots"]),
    ("protocol", &["codec", "id", "layout", "topology"]),
    ("layout", &["id"]),
];

/// Floors within a folder of `src`. Here those on one floor may use each other.
pub(crate) const WITHIN: &[(&str, &[&[&str]])] = &[
    (
        "bots",
        &[
            &["mod", "cli"],
            &["session"],
            &["mesh"],
            &["rtc"],
            &["config"],
            &["source"],
            &["observe"],
            &["clock", "error"],
        ],
    ),
    (
        "media",
        &[
            &["mod", "peer", "mixer", "file", "fuzz"],
            &["stream"],
            &["bwe", "sdp", "rtp", "gst"],
        ],
    ),
    (
        "room",
        &[
            &["mod", "handle", "registry", "notices", "actor", "recording"],
            &["state"],
            &["error", "settings"],
        ],
    ),
];

/// Values in, values out: no runtime, no pipelines, and time is a parameter.
pub(crate) const PURE: &[&str] = &[
    "src/room/state",
    "src/media/rtp",
    "src/media/bwe",
    "src/layout",
    "src/topology",
];

/// What reads the settings of the whole program; all else is given the few that it needs.
pub(crate) const READS_CONFIG: &[&str] = &[
    "src/main",
    "src/cli",
    "src/signalling",
    "src/room/registry",
    "src/config",
];

/// The floors of the page's scripts. Neighbours meet in what is above or below both.
pub(crate) const PAGE_FLOORS: &[&[&str]] = &[
    &[
        "main.js",
        "missing-page.js",
        "recordings-page.js",
        "watch-page.js",
    ],
    &["ui"],
    &["call", "playback", "recordings", "watch"],
    &["base"],
];

/// So many files a folder holds at most: a newcomer reads the list at a glance.
pub(crate) const MOST_FILES: usize = 20;

/// Whether a file is `place` or lies in it, where a place is a path without an ending.
pub(crate) fn is_in(file: &str, place: &str) -> bool {
    let rest = file.strip_prefix(place);
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// What stands directly in `folder` and is or holds `file`: a name without its `.rs`.
pub(crate) fn part<'a>(file: &'a str, folder: &str) -> Option<&'a str> {
    let inside = file.strip_prefix(folder)?.strip_prefix('/')?;
    let first = inside.split_once('/').map_or(inside, |(first, _)| first);
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// Which floor a name stands on, from the top.
pub(crate) fn level(floors: &[&[&str]], name: &str) -> Option<usize> {
    floors.iter().position(|floor| floor.contains(&name))
}

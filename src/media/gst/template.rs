//! The static subgraphs of `pipelines/*.launch`: compiled in, overridable by a folder, filled
//! with typed parameters only. No text of a client ever gets into a description. The ladder of
//! renditions, `pipelines/renditions.toml`, comes the same way.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use thiserror::Error;

use crate::layout::Size;
use crate::media::bwe::ladder::{Ladder, LadderError, Renditions};

/// The built-in templates: (name, text).
const BUILT_IN: &[(&str, &str)] = &[
    (
        "ingest-vp8",
        include_str!("../../../pipelines/ingest-vp8.launch"),
    ),
    (
        "ingest-vp9",
        include_str!("../../../pipelines/ingest-vp9.launch"),
    ),
    (
        "ingest-h264",
        include_str!("../../../pipelines/ingest-h264.launch"),
    ),
    (
        "rendition-vp8",
        include_str!("../../../pipelines/rendition-vp8.launch"),
    ),
    (
        "rendition-h264",
        include_str!("../../../pipelines/rendition-h264.launch"),
    ),
    (
        "rendition-h264-x264",
        include_str!("../../../pipelines/rendition-h264-x264.launch"),
    ),
    (
        "record-mp4",
        include_str!("../../../pipelines/record-mp4.launch"),
    ),
    (
        "record-mp4-opus",
        include_str!("../../../pipelines/record-mp4-opus.launch"),
    ),
    (
        "record-webm",
        include_str!("../../../pipelines/record-webm.launch"),
    ),
    (
        "record-ogg",
        include_str!("../../../pipelines/record-ogg.launch"),
    ),
    (
        "remux-webm",
        include_str!("../../../pipelines/remux-webm.launch"),
    ),
    (
        "remux-ogg",
        include_str!("../../../pipelines/remux-ogg.launch"),
    ),
    (
        "remux-picture",
        include_str!("../../../pipelines/remux-picture.launch"),
    ),
    (
        "remux-voice",
        include_str!("../../../pipelines/remux-voice.launch"),
    ),
    (
        "track-vp8",
        include_str!("../../../pipelines/track-vp8.launch"),
    ),
    (
        "track-vp9",
        include_str!("../../../pipelines/track-vp9.launch"),
    ),
    (
        "track-h264",
        include_str!("../../../pipelines/track-h264.launch"),
    ),
    (
        "track-opus",
        include_str!("../../../pipelines/track-opus.launch"),
    ),
    (
        "reel-vp8",
        include_str!("../../../pipelines/reel-vp8.launch"),
    ),
    (
        "reel-vp9",
        include_str!("../../../pipelines/reel-vp9.launch"),
    ),
    (
        "reel-h264",
        include_str!("../../../pipelines/reel-h264.launch"),
    ),
    (
        "reel-opus",
        include_str!("../../../pipelines/reel-opus.launch"),
    ),
    (
        "remix-mp4",
        include_str!("../../../pipelines/remix-mp4.launch"),
    ),
    (
        "remix-mp4-x264",
        include_str!("../../../pipelines/remix-mp4-x264.launch"),
    ),
    (
        "remix-webm",
        include_str!("../../../pipelines/remix-webm.launch"),
    ),
    ("card", include_str!("../../../pipelines/card.launch")),
];

/// The built-in ladder of renditions, as TOML.
const RENDITIONS: &str = include_str!("../../../pipelines/renditions.toml");
/// The file of an override folder that replaces [`RENDITIONS`].
const RENDITIONS_FILE: &str = "renditions.toml";

/// A value for a placeholder: a number, or a word of this program. There is no variant for text
/// from outside.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A whole number, written in decimal.
    Int(u64),
    /// The name of an element or the nick of an enum.
    Word(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

/// Why a template cannot be loaded or filled.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// A file of the override folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path of the file.
        path: String,
        /// What the file system says.
        source: std::io::Error,
    },
    /// A file of the override folder has a name that no template has. The other text lists those
    /// there are.
    #[error("{0} is not the name of a pipeline; those are: {1}")]
    Unknown(String, String),
    /// The ladder of the override folder is not valid.
    #[error("{path}: {source}")]
    Ladder {
        /// The path of the file.
        path: String,
        /// What is wrong with the ladder.
        source: LadderError,
    },
    /// A placeholder got no value.
    #[error("pipeline template {template}: no value for {{{placeholder}}}")]
    Unfilled {
        /// The name of the template.
        template: String,
        /// The name of the placeholder.
        placeholder: String,
    },
}

/// All templates by name, and the ladder of renditions.
#[derive(Debug, Clone)]
pub struct Templates {
    texts: BTreeMap<String, String>,
    renditions: Renditions,
}

impl Default for Templates {
    fn default() -> Self {
        let texts = BUILT_IN
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        // A test parses it.
        let renditions = Renditions::parse(RENDITIONS).unwrap_or_default();
        Self { texts, renditions }
    }
}

impl Templates {
    /// The built-in templates, except for those that `folder` overrides.
    ///
    /// # Errors
    /// [`TemplateError`] when a file cannot be read, or its name is not that of a template.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut templates = Self::default();
        let Some(folder) = folder else {
            return Ok(templates);
        };
        let read = |source| TemplateError::Read {
            path: folder.display().to_string(),
            source,
        };
        for entry in std::fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "launch")
            {
                templates.override_with(&path)?;
            } else if path.file_name().is_some_and(|name| name == RENDITIONS_FILE) {
                templates.renditions = read_renditions(&path)?;
            }
        }
        Ok(templates)
    }

    fn override_with(&mut self, path: &Path) -> Result<(), TemplateError> {
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        if !self.texts.contains_key(&name) {
            return Err(TemplateError::Unknown(name, self.names().join(", ")));
        }
        self.texts.insert(name, read_file(path)?);
        Ok(())
    }

    /// The ladder for a canvas of this size, frame rate (1/s) and bitrate (bit/s).
    pub fn ladder(&self, canvas: Size, fps: u32, bitrate: u32) -> Ladder {
        Ladder::new(&self.renditions, canvas, fps, bitrate)
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.texts.keys().map(String::as_str).collect()
    }

    /// The placeholders in the text of a template, sorted, each once.
    pub fn placeholders(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let body = self.body(name);
        let mut text = body.as_str();
        while let Some((_, after)) = text.split_once('{') {
            let Some((placeholder, tail)) = after.split_once('}') else {
                break;
            };
            found.push(placeholder.to_owned());
            text = tail;
        }
        found.sort();
        found.dedup();
        found
    }

    /// The description of `name` with its `{placeholders}` filled.
    ///
    /// # Errors
    /// [`TemplateError::Unfilled`] when a placeholder has no value, and
    /// [`TemplateError::Unknown`] when there is no such template.
    pub fn fill(&self, name: &str, values: &[(&str, Value)]) -> Result<String, TemplateError> {
        if !self.texts.contains_key(name) {
            return Err(TemplateError::Unknown(
                name.to_owned(),
                self.names().join(", "),
            ));
        }
        let mut text = self.body(name);
        for (placeholder, value) in values {
            text = text.replace(&format!("{{{placeholder}}}"), &value.to_string());
        }
        match text.split_once('{') {
            None => Ok(text),
            Some((_, after)) => Err(TemplateError::Unfilled {
                template: name.to_owned(),
                placeholder: after.split('}').next().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// The text of a template without its comment lines.
    fn body(&self, name: &str) -> String {
        self.texts
            .get(name)
            .map(|text| {
                text.lines()
                    .filter(|line| !line.trim_start().starts_with('#'))
                    .collect::<Vec<_>>()
                    .join("\n")
            })
            .unwrap_or_default()
    }
}

fn read_file(path: &Path) -> Result<String, TemplateError> {
    std::fs::read_to_string(path).map_err(|source| TemplateError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn read_renditions(path: &Path) -> Result<Renditions, TemplateError> {
    let text = read_file(path)?;
    Renditions::parse(&text).map_err(|source| TemplateError::Ladder {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_named() {
        let error = Templates::default().fill("rendition-vp8", &[]).unwrap_err();
        assert!(matches!(error, TemplateError::Unfilled { .. }), "{error}");
    }

    #[test]
    fn a_folder_overrides_and_a_stranger_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("card.launch"), "# mine\nfakesink").unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        assert_eq!(templates.fill("card", &[]).unwrap(), "fakesink");
        std::fs::write(folder.path().join("crad.launch"), "fakesink").unwrap();
        assert!(matches!(
            Templates::load(Some(folder.path())),
            Err(TemplateError::Unknown(..))
        ));
    }
}

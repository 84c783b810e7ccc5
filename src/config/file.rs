//! The configuration file: TOML whose keys are the flags without their dashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

use super::error::{BadSetting, ConfigError};
use super::given::Given;
use super::options::Options;

/// A configuration file that has been read.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// The line of each key.
    lines: BTreeMap<String, usize>,
    pub(super) options: Options,
}

impl File {
    /// Reads the file. An unknown key is an error, so that a typing mistake cannot leave a limit
    /// unset unnoticed.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Syntax`], [`ConfigError::UnknownKey`] and
    /// [`ConfigError::Setting`].
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut given = parse(&text).map_err(|error| syntax(path, &text, &error))?;
        let lines = given.iter().map(|(key, one)| (key.clone(), one.line));
        let mut file = Self {
            path: path.to_owned(),
            lines: lines.collect(),
            options: Options::default(),
        };
        file.options = Options::take(&mut given).map_err(|bad| file.blame(bad))?;
        // The first in the file.
        match given.into_iter().min_by_key(|(_, given)| given.line) {
            Some((key, given)) => Err(ConfigError::UnknownKey {
                path: path.to_owned(),
                line: given.line,
                key,
            }),
            None => Ok(file),
        }
    }

    /// The error for a setting that this file gives a wrong value, with its place.
    pub(super) fn blame(&self, bad: BadSetting) -> ConfigError {
        let line = self.lines.get(bad.setting);
        let place = line.map(|line| format!(" (line {line} of {})", self.path.display()));
        ConfigError::Setting {
            bad,
            place: place.unwrap_or_default(),
        }
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Given>, toml::de::Error> {
    let table: BTreeMap<Spanned<String>, Value> = toml::from_str(text)?;
    let given = table.into_iter().map(|(key, value)| {
        let line = line_of(text, key.span().start);
        (key.into_inner(), Given { line, value })
    });
    Ok(given.collect())
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, start),
        reason: error.message().to_owned(),
    }
}

/// The line, counted from 1, of the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

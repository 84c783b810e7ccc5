//! The configuration file: TOML whose keys are the flags without their dashes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

use super::error::{BadSetting, ConfigError};
use super::options::Options;

/// What a file gives for one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    /// The line of the key, counted from 1.
    line: usize,
    value: Value,
}

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

/// How the value of a setting is written in a file.
pub(super) trait FileValue: Sized {
    /// The value of `setting`, whose kind of value the help text calls `kind`.
    ///
    /// # Errors
    /// It is written as something else.
    fn of(given: &Given, setting: &'static str, kind: &str) -> Result<Self, BadSetting>;
}

impl FileValue for String {
    fn of(given: &Given, setting: &'static str, kind: &str) -> Result<Self, BadSetting> {
        // What can be any text cannot be told from a mistake later.
        let free = matches!(kind, "DIR" | "SECRET");
        match &given.value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(_) | Value::Float(_) => Ok(given.value.to_string()),
            Value::Boolean(_) if !free => Ok(given.value.to_string()),
            other => {
                let shown = if kind == "SECRET" {
                    "..."
                } else {
                    &other.to_string()
                };
                let allowed = format!("it is one value in quotes, \"{kind}\"");
                Err(BadSetting::new(setting, shown, allowed))
            }
        }
    }
}

impl FileValue for PathBuf {
    fn of(given: &Given, setting: &'static str, kind: &str) -> Result<Self, BadSetting> {
        String::of(given, setting, kind).map(Self::from)
    }
}

impl FileValue for Vec<String> {
    fn of(given: &Given, setting: &'static str, kind: &str) -> Result<Self, BadSetting> {
        let refuse = |shown: &Value| {
            let allowed = format!("it is a list of texts in quotes, [\"{kind}\", ...]");
            let shown = shown.as_str().map_or(shown.to_string(), str::to_owned);
            BadSetting::new(setting, shown, allowed)
        };
        let list = given.value.as_array();
        let list = list.ok_or_else(|| refuse(&given.value))?;
        let text = |one: &Value| one.as_str().map(str::to_owned).ok_or_else(|| refuse(one));
        list.iter().map(text).collect()
    }
}

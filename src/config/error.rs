//! What can be wrong with the settings of an operator.

use std::fmt::Display;
use std::path::PathBuf;

use thiserror::Error;

/// Why the settings cannot be used. The text is for the operator.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("line {line} of the configuration file {path} is not TOML: {reason}")]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// The line of the mistake, counted from 1.
        line: usize,
        /// What was expected there.
        reason: String,
    },
    /// The file has a key that is no setting.
    #[error(
        "{key} is no setting (line {line} of {path}); `tessera serve --help` lists them, \
         and a key is a flag without its dashes"
    )]
    UnknownKey {
        /// Path of the file.
        path: PathBuf,
        /// The line of the key, counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// The value of a setting is not allowed.
    #[error("{bad}{place}")]
    Setting {
        /// The setting and what is allowed.
        bad: BadSetting,
        /// Where it stands, in brackets after a space; empty for a flag and the environment.
        place: String,
    },
}

/// A setting with a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{setting} cannot be {value:?}: {allowed}")]
pub struct BadSetting {
    /// Name of the setting: its flag without dashes, which is also its key in the file.
    pub setting: &'static str,
    /// The value that was given.
    pub value: String,
    /// What values are allowed, for the operator.
    pub allowed: String,
}

impl BadSetting {
    pub(super) fn new(
        setting: &'static str,
        value: impl Display,
        allowed: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }
}

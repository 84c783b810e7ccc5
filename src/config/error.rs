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
    /// The file is not TOML, has an unknown key, or a value of the wrong type.
    #[error("the configuration file {path} is not valid: {source}")]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Line and column of the mistake, and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// The value of a setting is not allowed.
    #[error(transparent)]
    Setting(#[from] BadSetting),
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

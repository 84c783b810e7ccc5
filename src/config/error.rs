//! What can be wrong with the settings of an operator.

use std::fmt::Display;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a type that no setting has.
    #[error("the configuration file {path} is not valid: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// A setting has a value it cannot have.
    #[error(transparent)]
    Setting(#[from] BadSetting),
}

/// A setting with a value it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{setting} cannot be {value:?}: {allowed}")]
pub struct BadSetting {
    /// The setting, by its flag without dashes, which is also its key in the file.
    pub setting: &'static str,
    /// What was given.
    pub value: String,
    /// What can be given instead.
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

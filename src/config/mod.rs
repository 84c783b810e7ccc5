//! One validated configuration from flags, `TESSERA_*`, and a TOML file.
//!
//! [`Options`] is the table of settings as an operator writes them: one field each, from
//! which the flag, the environment variable, the key in the file and the row in
//! `docs/CONFIGURATION.md` follow. [`Config`] is what the rest of the program sees, and holds
//! checked values only. Only the command line, the registry of rooms and signalling read all of
//! it; what is below them is given a narrow part, such as [`TurnConfig`].

mod error;
mod file;
mod given;
mod options;
mod turn;
mod validate;
mod values;

use std::path::Path;

use self::file::File;

pub use self::error::{BadSetting, ConfigError};
pub use self::options::{Options, Setting, settings, with_defaults_in_help};
pub use self::turn::{BadNetwork, BuiltIn, Network, TurnConfig};
pub use self::values::{Config, MaxCores, RecordingQuotas};

impl Config {
    /// The checked settings. Those given on the command line and in the environment take precedence
    /// over those of `file`, and those over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or a value is not allowed.
    pub fn load(file: Option<&Path>, given: Options) -> Result<Self, ConfigError> {
        let file = file.map(File::read).transpose()?;
        let below = file.as_ref().map(|file| file.options.clone());
        let options = given.clone().over(below.unwrap_or_default());
        Self::try_from(options).map_err(|bad| match file {
            Some(file) if !given.has(bad.setting) => file.blame(bad),
            _ => ConfigError::Setting {
                bad,
                place: String::new(),
            },
        })
    }
}

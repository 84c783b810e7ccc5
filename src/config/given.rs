//! The values of a configuration file, as its settings are written there.

use std::path::PathBuf;

use toml::Value;

use super::error::BadSetting;

/// What a file gives for one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    /// The line of the key, counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
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

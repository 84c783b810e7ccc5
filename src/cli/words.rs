//! What the command line says of what is wrong, once and in words.

use std::collections::BTreeSet;

use clap::Command;
use tessera::telemetry::FILTER_VARIABLES;

/// The error and its causes, each once: many errors say their cause themselves, and would say it
/// again in the chain.
pub(crate) fn whole(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Warns of environment variables that look like settings and are none of `program`'s. It is no error, for
/// orchestrators make up some, such as `TESSERA_PORT_8080_TCP` for a service of that name.
pub(super) fn warn_of_unknown_variables(program: &Command) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = unknown_variables(program, names);
    if !unknown.is_empty() {
        tracing::warn!(
            variables = unknown.join(", "),
            "environment variables that are no settings are ignored"
        );
    }
}

/// Those of `names` that begin like a setting and are none of `program`.
fn unknown_variables(program: &Command, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    collect(program, &mut known);
    known.extend(FILTER_VARIABLES.map(str::to_owned));
    let unknown = names.filter(|name| name.starts_with("TESSERA_") && !known.contains(name));
    let sorted: BTreeSet<String> = unknown.collect();
    sorted.into_iter().collect()
}

/// The variables of a command and those below it.
fn collect(command: &Command, into: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    into.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for below in command.get_subcommands() {
        collect(below, into);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_an_error_names_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read it: {source}")]
        struct Failed {
            source: std::io::Error,
        }
        let source = std::io::Error::other("it is gone");
        let failed: Result<(), _> = Err(Failed { source });
        let error = failed.context("no start").expect_err("it failed");
        assert_eq!(whole(&error), "no start: cannot read it: it is gone");
    }

    #[test]
    fn variables_that_are_no_settings_are_found() {
        let names = [
            "TESSERA_TOKN",
            "TESSERA_PORT_8080_TCP",
            "TESSERA_FPS",
            "TESSERA_CONFIG",
            "TESSERA_LOG",
            "PATH",
        ];
        let argument = |name, env| clap::Arg::new(name).env(env);
        let serve = Command::new("serve").arg(argument("fps", "TESSERA_FPS"));
        let program = Command::new("tessera")
            .arg(argument("config", "TESSERA_CONFIG"))
            .subcommand(serve);
        let unknown = unknown_variables(&program, names.map(str::to_owned).into_iter());
        assert_eq!(unknown, ["TESSERA_PORT_8080_TCP", "TESSERA_TOKN"]);
    }
}

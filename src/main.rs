//! The `tessera` program: arguments, logging, exit code.

mod cli;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = cli::Cli::from_process();
    // Standard output carries the address and reports; everything else goes to stderr.
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    cli::run(cli).unwrap_or_else(|error| {
        eprintln!("tessera: {error:#}");
        ExitCode::from(cli::status_of(&error))
    })
}

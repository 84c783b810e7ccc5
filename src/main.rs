//! The `tessera` program: arguments, logging, exit code.

mod cli;

use std::process::ExitCode;

use tessera::media::gst::teardown;
use tessera::telemetry;

fn main() -> ExitCode {
    let cli = cli::Cli::from_process();
    // Standard output carries the address and reports; everything else goes to stderr.
    if let Err(error) = telemetry::init_logging("info") {
        eprintln!("tessera: {error}");
        return ExitCode::from(2);
    }
    let status = cli::run(cli).unwrap_or_else(|error| {
        eprintln!("tessera: {error:#}");
        ExitCode::from(cli::status_of(&error))
    });
    teardown::settle(teardown::DEADLINE);
    status
}

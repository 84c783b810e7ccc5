//! The `tessera` program: arguments, logging, exit code.

mod cli;

use std::process::ExitCode;

use tessera::media::gst::teardown;
use tessera::telemetry;

fn main() -> ExitCode {
    let cli = cli::Cli::from_process();
    // Standard output carries the address and reports; everything else goes to stderr.
    let logs = telemetry::init_logging("info").map_err(Into::into);
    let status = logs.and_then(|()| cli::run(cli)).unwrap_or_else(|error| {
        eprintln!("tessera: {}", cli::whole(&error));
        ExitCode::from(cli::status_of(&error))
    });
    teardown::settle(teardown::DEADLINE);
    status
}

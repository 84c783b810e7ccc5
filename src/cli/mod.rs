//! The subcommands: their arguments, and those that are no server.

mod serve;
mod system;
mod words;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tessera::bots::{self, BotsOptions};
use tessera::compare::{self, CompareOptions};
use tessera::config::{self, ConfigError};
use tessera::media::gst::plugins;
use tessera::media::gst::template::Templates;
use tessera::process;
use tessera::progress::{Bar, left};
use tessera::remix::{self, RemixOptions};
use tessera::telemetry::TelemetryError;

use self::serve::{DemoArgs, ServeArgs};
use self::system::{raise_open_files, start_gstreamer};
use self::words::warn_of_unknown_variables;
pub(crate) use self::words::whole;

/// A WebRTC mixing server: one stream for every viewer, however many people are in the room
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Run the server with a room that three synthetic participants already fill
    Demo(DemoArgs),
    /// Send synthetic participants into a room of a running server
    Bots(BotsArgs),
    /// Measure the same call through P2P, TURN, SFU and MCU, on a server of its own
    Compare(CompareOptions),
    /// Make a film of a recording of tracks: everybody in one picture, as in the room
    Remix(RemixOptions),
    /// List the GStreamer elements that are needed, what is missing, and what brings it
    Doctor,
}

#[derive(Debug, Args)]
struct BotsArgs {
    #[command(flatten)]
    options: BotsOptions,
    /// Measure for --seconds, print what they saw, and leave; without it they stay until
    /// SIGINT or SIGTERM
    #[arg(long)]
    report: bool,
}

impl Cli {
    /// Parses the arguments of this process. Ends it if they are wrong or ask for help.
    pub(crate) fn from_process() -> Self {
        let command = Self::command()
            .mut_subcommand("serve", config::with_defaults_in_help)
            .mut_subcommand("demo", config::with_defaults_in_help);
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    if !matches!(cli.command, Command::Doctor) {
        limit_memory();
    }
    match cli.command {
        Command::Serve(args) => {
            warn_of_unknown_variables(&Cli::command());
            let config = serve::prepare(args)?;
            runtime()?.block_on(serve::serve(config))?;
        }
        Command::Demo(args) => {
            warn_of_unknown_variables(&Cli::command());
            let lan = args.lan;
            let config = serve::prepare(args.into())?;
            runtime()?.block_on(serve::demo(config, lan))?;
        }
        Command::Bots(args) => {
            raise_open_files();
            start_gstreamer()?;
            runtime()?.block_on(bots(args))?;
        }
        Command::Compare(options) => {
            raise_open_files();
            start_gstreamer()?;
            let report = runtime()?.block_on(compare::run(options))?;
            print!("{}", compare::table(&report));
        }
        Command::Remix(options) => {
            start_gstreamer()?;
            runtime()?.block_on(remix(options))?;
        }
        Command::Doctor => return doctor(),
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit status for an error: 2 for a wrong setting or log filter, as clap has it for arguments, and 1 for all
/// other errors.
pub(crate) fn status_of(error: &anyhow::Error) -> u8 {
    let is_setting = error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(TelemetryError::BadFilter { .. }));
    if is_setting { 2 } else { 1 }
}

/// Makes a remix, and shows its progress.
async fn remix(options: RemixOptions) -> Result<()> {
    let (templates, output) = (Arc::new(Templates::default()), options.output.clone());
    let (mut bar, began) = (Bar::default(), Instant::now());
    let progress = move |done: Duration, total: Duration| {
        let share = done.as_secs_f64() / total.as_secs_f64().max(1e-9);
        let took = began.elapsed();
        let speed = done.as_secs_f64() / took.as_secs_f64().max(1e-9);
        let left = left(share, took).unwrap_or_default().as_secs();
        bar.show(
            share,
            &format!("{speed:.1} times real time, {left} s to go"),
        );
    };
    let mut termination = process::Termination::listen().context("no signal handlers")?;
    let made = remix::run(options, templates, progress);
    let made = tokio::select! {
        made = made => made?,
        _ = termination.received() => bail!("ended before it was whole"),
    };
    let (length, took) = (made.length.as_secs_f64(), made.took.as_secs_f64());
    println!(
        "{}: {length:.1} s, made in {took:.1} s, {:.1} times real time",
        output.display(),
        length / took.max(1e-9)
    );
    Ok(())
}

fn doctor() -> Result<ExitCode> {
    start_gstreamer()?;
    let survey = plugins::survey();
    println!("{}\n\n{}", gst::version_string(), survey.render());
    let sound = survey.missing_required().is_empty();
    Ok(ExitCode::from(u8::from(!sound)))
}

/// Limits memory arenas. To be called before anything is started: it may replace the process.
fn limit_memory() {
    if let Err(error) = process::limit_memory_arenas() {
        tracing::warn!(%error, "memory arenas are not limited");
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(process::MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("no threads for the runtime")
}

/// Runs bots in a room, to measure or until a signal comes.
async fn bots(args: BotsArgs) -> Result<()> {
    if args.report {
        let report = bots::run(args.options).await?;
        println!("{report}");
        return Ok(());
    }
    let mut termination = process::Termination::listen().context("no signal handlers")?;
    let bots = bots::join_all(&args.options).await?;
    println!("{} bots are in room {}", bots.len(), args.options.room);
    termination.received().await;
    let leaving = bots.into_iter().map(bots::Bot::leave);
    for outcome in futures::future::join_all(leaving).await {
        outcome?;
    }
    Ok(())
}

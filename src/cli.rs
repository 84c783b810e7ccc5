//! The subcommands.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tessera::config::{self, Config, ConfigError, Options};
use tessera::id::RoomId;
use tessera::media::plugins;
use tessera::process;

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
    Demo(ServeArgs),
    /// Send synthetic participants into a room of a running server
    Bots(BotsArgs),
    /// List the GStreamer elements that are needed, what is missing, and what brings it
    Doctor,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// TOML file with settings; the environment and flags go before it
    #[arg(long, env = "TESSERA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct BotsArgs {
    /// The server's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// The room they join
    #[arg(long, value_name = "ROOM", default_value = "demo")]
    room: RoomId,
    /// How many join
    #[arg(long, value_name = "N", default_value_t = 3)]
    count: usize,
    /// How long they stay; until SIGINT or SIGTERM if left out
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Print what they received, and the server's load, when they leave
    #[arg(long)]
    report: bool,
}

impl Cli {
    /// The arguments of this process; ends it where they are wrong or ask for help.
    pub(crate) fn from_process() -> Self {
        let command = Self::command()
            .mut_subcommand("serve", config::with_defaults_in_help)
            .mut_subcommand("demo", config::with_defaults_in_help);
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => {
            let config = prepare(args)?;
            runtime()?.block_on(serve(config))?;
        }
        Command::Demo(args) => {
            let config = prepare(args)?;
            runtime()?.block_on(demo(config))?;
        }
        Command::Bots(args) => {
            raise_open_files();
            gst::init().context("GStreamer does not start")?;
            runtime()?.block_on(bots(args))?;
        }
        Command::Doctor => return doctor(),
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit status that goes with an error: 2 where the operator has to change what they
/// wrote, as clap has it, and 1 for everything else.
pub(crate) fn status_of(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() { 2 } else { 1 }
}

fn doctor() -> Result<ExitCode> {
    gst::init().context("GStreamer does not start")?;
    let survey = plugins::survey();
    println!("{}\n\n{}", gst::version_string(), survey.render());
    let sound = survey.missing_required().is_empty();
    Ok(ExitCode::from(u8::from(!sound)))
}

/// Everything that can be refused before a socket is opened.
fn prepare(args: ServeArgs) -> Result<Config> {
    let mut config = Config::load(args.config.as_deref(), args.options)?;
    raise_open_files();
    gst::init().context("GStreamer does not start")?;
    if let Some(complaint) = plugins::survey().complaint() {
        bail!("{complaint}");
    }
    let available = plugins::available_codecs(&config);
    let wanted = std::mem::replace(&mut config.codecs, available);
    for codec in wanted.iter().filter(|codec| !config.codecs.contains(codec)) {
        tracing::warn!(%codec, "codec not available here; `tessera doctor` says why");
    }
    if !config.codecs.iter().any(|codec| codec.is_encoded()) {
        bail!("none of the codecs asked for can be encoded here; `tessera doctor` says why");
    }
    Ok(config)
}

fn raise_open_files() {
    match process::raise_open_files() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no threads for the runtime")
}

/// Serves until SIGINT or SIGTERM.
async fn serve(config: Config) -> Result<()> {
    bail!(
        "cannot serve on {}: this build has no signalling",
        config.listen
    );
}

/// Serves like [`serve`], with three bots in the room `demo`.
async fn demo(config: Config) -> Result<()> {
    bail!("no demo on {}: this build has no signalling", config.listen);
}

/// Runs bots in a room until their time is up or a signal comes.
async fn bots(args: BotsArgs) -> Result<()> {
    bail!("this build has no bots to send: {args:?}");
}

//! `tessera serve` and `tessera demo`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use tessera::archive::Archive;
use tessera::bots;
use tessera::config::{Config, Options};
use tessera::id::RoomId;
use tessera::media::gst::plugins;
use tessera::media::gst::template::Templates;
use tessera::net::machine;
use tessera::process;
use tessera::room::Registry;
use tessera::signalling::Server;
use tessera::telemetry::Metrics;
use tokio::task::JoinHandle;

use super::system::{raise_open_files, start_gstreamer};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// TOML file with settings; the environment and flags go before it
    #[arg(long, env = "TESSERA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Listen on all addresses, whatever --listen says, for a phone in the same network, and print
    /// the address to open there
    #[arg(long)]
    pub(super) lan: bool,
}

impl From<DemoArgs> for ServeArgs {
    fn from(demo: DemoArgs) -> Self {
        demo.serve
    }
}

/// Loads the settings and starts GStreamer: all that can fail before a socket is opened.
pub(super) fn prepare(args: ServeArgs) -> Result<Config> {
    let mut config = Config::load(args.config.as_deref(), args.options)?;
    raise_open_files();
    start_gstreamer()?;
    if let Some(complaint) = plugins::survey().complaint() {
        bail!("{complaint}");
    }
    let available = plugins::available_codecs(&config.codecs);
    let wanted = std::mem::replace(&mut config.codecs, available);
    for codec in wanted.iter().filter(|codec| !config.codecs.contains(codec)) {
        tracing::warn!(%codec, "codec not available here; `tessera doctor` says why");
    }
    if !config.codecs.iter().any(|codec| codec.is_encoded()) {
        bail!("none of the codecs asked for can be encoded here; `tessera doctor` says why");
    }
    Ok(config)
}

/// A running server that has announced its address.
struct Running {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// Binds, says what it is, announces the address, and serves until SIGINT or SIGTERM.
async fn start(config: Config) -> Result<Running> {
    let templates = Templates::load(config.pipelines.as_deref())?;
    let templates = Arc::new(templates);
    let metrics = Metrics::install()?;
    let config = Arc::new(config);
    let mut registry = Registry::new(Arc::clone(&config), Arc::clone(&templates));
    if let Some(folder) = &config.recordings {
        let archive = Archive::open(folder, config.recording_quotas, templates);
        registry = registry.with_archive(archive.await?);
    }
    let mut termination = process::Termination::listen().context("no signal handlers")?;
    let server = Server::bind(Arc::clone(&config), registry, metrics).await?;
    let address = server.local_addr();
    let turn = server.turn_addr().zip(server.announced_turn_addr());
    tracing::info!("{}", introduction(&config, address, turn));
    process::announce(std::io::stdout(), address).context("cannot write to stdout")?;
    let serving = tokio::spawn(server.run(async move { termination.received().await }));
    Ok(Running { address, serving })
}

/// What this server is, in one line: versions, addresses, folder, and who may come in. `turn` is
/// where STUN and TURN listen, and the address that clients are told.
fn introduction(
    config: &Config,
    http: SocketAddr,
    turn: Option<(SocketAddr, SocketAddr)>,
) -> String {
    let ports = match config.media_ports {
        Some((low, high)) => format!("ports {low} to {high}"),
        None => "any port".to_owned(),
    };
    let told = config.public_ip.map(|ip| format!(", told as {ip}"));
    let turn = match turn {
        Some((listen, told)) if listen == told => format!("TURN on {listen}"),
        Some((listen, told)) => format!("TURN on {listen}, told as {told}"),
        None => "TURN off".to_owned(),
    };
    let recordings = match &config.recordings {
        Some(folder) => format!("recordings in {}", folder.display()),
        None => "no recordings".to_owned(),
    };
    let access = access(config);
    format!(
        "Tessera {} on {}: HTTP on {http}; media on {} ({ports}{}); {turn}; {recordings}; {access}",
        env!("CARGO_PKG_VERSION"),
        gst::version_string(),
        config.media_ips,
        told.unwrap_or_default(),
    )
}

/// Who may come in, who may administer, and by which names an open server may be asked.
fn access(config: &Config) -> String {
    let hosts = match config.allowed_hosts.as_slice() {
        [] => "at its addresses".to_owned(),
        names => format!("at its addresses and as {}", names.join(", ")),
    };
    match (&config.token, &config.admin_token) {
        (Some(_), Some(_)) => "a token is asked for, and another one to administer".to_owned(),
        (Some(_), None) => "a token is asked for, and whoever has it administers".to_owned(),
        (None, Some(_)) => format!("open to everybody {hosts}; a token is asked for to administer"),
        (None, None) => format!("open to everybody {hosts}, who administers as well"),
    }
}

/// Serves until SIGINT or SIGTERM.
pub(super) async fn serve(config: Config) -> Result<()> {
    let server = start(config).await?;
    server.serving.await.context("the server failed")
}

/// Serves like [`serve`], with three bots in the room `demo`, until SIGINT or SIGTERM. With `lan`
/// it listens on every address and says which one a phone can open.
pub(super) async fn demo(mut config: Config, lan: bool) -> Result<()> {
    if lan {
        config.listen.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }
    let server = start(config).await?;
    let room = RoomId::new("demo")?;
    let url = process::local_url(server.address);
    let bots = bots::demo(&url, &room)
        .await
        .context("the demo's participants cannot join")?;
    println!("open {url}/r/{room} in a browser");
    if lan {
        println!(
            "{}",
            invitation(machine::lan_address(), server.address.port(), &room)
        );
    }
    let outcome = server.serving.await.context("the server failed");
    // Not dropped earlier: a bot that is dropped vanishes from its room.
    drop(bots);
    outcome
}

/// What to open on a phone in the same network.
fn invitation(address: Option<IpAddr>, port: u16, room: &RoomId) -> String {
    match address {
        Some(ip) => format!(
            "open http://{}/r/{room} on a phone in the same network; it sees and hears the room, \
             but its browser gives no camera or microphone to a page without TLS",
            SocketAddr::new(ip, port)
        ),
        None => "this machine has no network in which a phone could reach it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tessera::net::MediaIps;

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_server_introduces_itself_in_one_line() {
        let mut config = Config {
            media_ips: MediaIps::Only(vec![[192, 0, 2, 7].into()]),
            ..Config::default()
        };
        let http = socket("127.0.0.1:8080");
        let line = introduction(&config, http, None);
        for part in [
            concat!("Tessera ", env!("CARGO_PKG_VERSION"), " on GStreamer 1."),
            "HTTP on 127.0.0.1:8080; media on 192.0.2.7 (any port); TURN off; no recordings; \
             open to everybody at its addresses, who administers as well",
        ] {
            assert!(line.contains(part), "{line}");
        }
        config.token = Some("sesame".to_owned());
        config.recordings = Some("/srv/films".into());
        config.media_ports = Some((50_000, 50_999));
        config.public_ip = Some([198, 51, 100, 7].into());
        let turn = (socket("0.0.0.0:3478"), socket("198.51.100.7:3478"));
        let line = introduction(&config, http, Some(turn));
        for part in [
            "(ports 50000 to 50999, told as 198.51.100.7)",
            "TURN on 0.0.0.0:3478, told as 198.51.100.7:3478",
            "recordings in /srv/films; a token is asked for, and whoever has it administers",
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("sesame") && !line.contains('\n'), "{line}");
        config.admin_token = Some("mellon".to_owned());
        let line = introduction(&config, http, None);
        assert!(line.ends_with("; a token is asked for, and another one to administer"));
        assert!(!line.contains("mellon"), "{line}");
        config.token = None;
        config.allowed_hosts = vec!["meet.example".to_owned()];
        let line = introduction(&config, http, None);
        let open = "; open to everybody at its addresses and as meet.example; \
                    a token is asked for to administer";
        assert!(line.ends_with(open), "{line}");
    }

    #[test]
    fn a_phone_is_told_an_address_and_that_it_has_no_camera() {
        let room = RoomId::new("demo").expect("an id");
        let line = invitation(Some([192, 0, 2, 7].into()), 8080, &room);
        assert!(
            line.starts_with("open http://192.0.2.7:8080/r/demo "),
            "{line}"
        );
        assert!(line.contains("no camera") && line.contains("TLS"), "{line}");
        let line = invitation(None, 8080, &room);
        assert!(line.contains("no network"), "{line}");
    }
}

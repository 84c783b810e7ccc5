//! A network of the test's own, in namespaces that go with it: a server behind a router, and to
//! it one line for each participant, which can be made to lose packets or to be slow.
//!
//! ```text
//!      the test's namespace          the router's            the server's
//!   bot 0, .2 ── line 0 ──────── .1         .5 ── trunk 0 ──────── .6
//!   bot 1, .10 ─ line 1 ──────── .9        .13 ── trunk 1 ──────── .14
//! ```
//!
//! Nothing is changed in the test's namespace but that it has the near ends of the lines, so
//! that bots and browsers need not know of any of this: a bot's address on its line
//! ([`Line::reach`]) is all it needs. The router is where packets are lost, for a packet that is
//! dropped where it is sent is an error that its sender hears of.
//!
//! Needs root, `ip` and `tc` (iproute2), and `nft` (nftables).

mod shell;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tessera::bots::NetworkInterface;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::server::PATIENCE;
use shell::{claim, feed, read, run};

/// Which way packets travel on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the participant to the server.
    Up,
    /// From the server to the participant.
    Down,
}

impl Way {
    /// The counter of what was lost, and the chain that decides on it.
    fn chain(self, line: usize) -> String {
        match self {
            Self::Up => format!("up{line}"),
            Self::Down => format!("down{line}"),
        }
    }

    /// The router's end that these packets leave it by.
    fn device(self, line: usize) -> String {
        match self {
            Self::Up => format!("trunk{line}"),
            Self::Down => format!("line{line}"),
        }
    }
}

/// Two namespaces and the lines between them and the test's. They go when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    subnet: Ipv4Addr,
    lines: usize,
}

/// One participant's line to the server.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    network: &'a Network,
    index: usize,
}

impl Network {
    /// A network with that many perfect lines.
    ///
    /// # Panics
    /// Where no namespaces can be had, saying why and what to do.
    pub fn new(lines: usize) -> Self {
        // For the bots: their server, which does it elsewhere, is in another process.
        gst::init().expect("GStreamer");
        Self::build(lines).unwrap_or_else(|why| {
            panic!(
                "a network namespace of the test's own cannot be had: {why}\n\
                 Tests of bad networks need root (CAP_SYS_ADMIN and CAP_NET_ADMIN), iproute2 and \
                 nftables: run them with `sudo make test`, and in a container with --privileged."
            )
        })
    }

    fn build(lines: usize) -> Result<Self, String> {
        assert!(
            (1..=30).contains(&lines),
            "30 lines fit into the addresses of a network"
        );
        if !rustix::process::geteuid().is_root() {
            return Err("this is not root".into());
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // From the search for free addresses until they are taken.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock();
        shell::sweep()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tessera-{}-{number}", std::process::id());
        // What is there already goes again if the rest cannot be made.
        let mut network = Self {
            name,
            subnet: Ipv4Addr::UNSPECIFIED,
            lines,
        };
        run("ip", &["netns", "add", &network.router()])?;
        run("ip", &["netns", "add", &network.server()])?;
        network.subnet = claim()?;
        network.wire()?;
        network.route()?;
        Ok(network)
    }

    fn router(&self) -> String {
        format!("{}-net", self.name)
    }

    fn server(&self) -> String {
        format!("{}-srv", self.name)
    }

    /// An address of the network by its last byte.
    fn address(&self, last: usize) -> Ipv4Addr {
        let [a, b, c, _] = self.subnet.octets();
        Ipv4Addr::new(a, b, c, u8::try_from(last).expect("a byte"))
    }

    /// The near end of a line; its name has at most 15 letters.
    fn near(&self, line: usize) -> String {
        let [_, b, c, _] = self.subnet.octets();
        format!("ts{b}-{c}-{line}")
    }

    /// Lays lines and trunks.
    fn wire(&self) -> Result<(), String> {
        let (router, server) = (self.router(), self.server());
        let (mut here, mut between, mut there) = (String::new(), String::new(), String::new());
        for (namespace, commands) in [(&router, &mut between), (&server, &mut there)] {
            writeln!(commands, "link set lo up").expect("memory");
            feed("ip", &["-n", namespace, "-batch", "-"], commands)?;
            commands.clear();
        }
        for line in 0..self.lines {
            // Without an address of IPv6, which would come a second or two later: to a browser that
            // is a change of networks, for which it gives up what it is loading.
            let near = self.near(line);
            let [us, gate, far, them] = [2, 1, 5, 6].map(|n| self.address(8 * line + n));
            let net = self.address(8 * line);
            let laid = writeln!(
                here,
                "link add {near} type veth peer name line{line} netns {router}\n\
                 link add trunk{line} netns {router} type veth peer name trunk{line} netns {server}\n\
                 addr add {us}/30 dev {near}\n\
                 link set {near} addrgenmode none\n\
                 link set {near} up"
            )
            .and_then(|()| {
                writeln!(
                    between,
                    "addr add {gate}/30 dev line{line}\n\
                     addr add {far}/30 dev trunk{line}\n\
                     link set line{line} up\n\
                     link set trunk{line} up"
                )
            })
            .and_then(|()| {
                writeln!(
                    there,
                    "addr add {them}/30 dev trunk{line}\n\
                     link set trunk{line} up\n\
                     route add {net}/30 via {far}"
                )
            });
            laid.expect("memory");
        }
        feed("ip", &["-batch", "-"], &here)?;
        feed("ip", &["-n", &router, "-batch", "-"], &between)?;
        feed("ip", &["-n", &server, "-batch", "-"], &there)?;
        let routes = (0..self.lines).map(|line| {
            let [gate, far_net] = [1, 4].map(|n| self.address(8 * line + n));
            format!("route add {far_net}/30 via {gate}\n")
        });
        feed("ip", &["-batch", "-"], &routes.collect::<String>())
    }

    /// Has the router pass on what belongs to a line, and nothing from one line to another: ICE
    /// would find that way, too.
    fn route(&self) -> Result<(), String> {
        let mut lines = String::new();
        for line in 0..self.lines {
            let [us, them] = [2, 6].map(|n| self.address(8 * line + n));
            for (way, from, to, source, target) in [
                (Way::Up, "line", "trunk", us, them),
                (Way::Down, "trunk", "line", them, us),
            ] {
                let chain = way.chain(line);
                writeln!(
                    lines,
                    "add counter ip lines {chain}\n\
                     add chain ip lines {chain}\n\
                     add rule ip lines {chain} accept\n\
                     add rule ip lines forward iifname {from}{line} oifname {to}{line} \
                     ip saddr {source} ip daddr {target} jump {chain}"
                )
                .expect("memory");
            }
        }
        let rules = format!(
            "add table ip lines\n\
             add chain ip lines forward {{ type filter hook forward priority 0; policy drop; }}\n\
             {lines}"
        );
        let router = self.router();
        let inside = ["netns", "exec", &router];
        feed("ip", &[&inside[..], &["nft", "-f", "-"]].concat(), &rules)?;
        let on = "echo 1 >/proc/sys/net/ipv4/ip_forward";
        run("ip", &[&inside[..], &["sh", "-c", on]].concat())
    }

    /// A participant's line.
    pub fn line(&self, index: usize) -> Line<'_> {
        assert!(index < self.lines, "there are {} lines", self.lines);
        Line {
            network: self,
            index,
        }
    }

    /// Starts `tessera serve` in the server's namespace, reached over every line.
    pub async fn serve(&self, options: &[&str]) -> NetworkServer {
        let server = self.server();
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &server])
            .arg(env!("CARGO_BIN_EXE_tessera"))
            .args(["serve", "--listen", "0.0.0.0:0"])
            // The tests and the bots have the same cores.
            .args(["--max-cores", "unlimited"])
            .args(options);
        for line in 0..self.lines {
            let address = self.line(line).server();
            command.arg("--media-ip").arg(address.to_string());
        }
        NetworkServer::start(command).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // At once: the kernel gets round to those of a namespace when the next test runs, whose
        // browser would take that for a change of networks.
        for line in 0..self.lines {
            // An error if it was never laid.
            let _ = run("ip", &["link", "del", &self.near(line)]);
        }
        // The namespaces take their devices with them.
        for namespace in [self.router(), self.server()] {
            if let Err(why) = shell::remove(&namespace) {
                eprintln!("{namespace} stays behind: {why}");
            }
        }
    }
}

impl Line<'_> {
    /// The participant's address.
    pub fn client(&self) -> IpAddr {
        self.network.address(8 * self.index + 2).into()
    }

    /// The server's address on this line.
    pub fn server(&self) -> IpAddr {
        self.network.address(8 * self.index + 6).into()
    }

    /// Where the media of a bot on this line may go.
    pub fn interface(&self) -> Option<NetworkInterface> {
        Some(NetworkInterface::Address(self.client()))
    }

    /// Loses that many percent of all packets, at random, from now on.
    pub fn lose(&self, way: Way, percent: u32) {
        let chain = way.chain(self.index);
        let loss = match percent {
            0 => String::new(),
            // nft takes no number for all.
            100.. => format!("add rule ip lines {chain} counter name {chain} drop\n"),
            _ => format!(
                "add rule ip lines {chain} numgen random mod 100 < {percent} \
                 counter name {chain} drop\n"
            ),
        };
        let rules = format!(
            "flush chain ip lines {chain}\n\
             {loss}\
             add rule ip lines {chain} accept\n"
        );
        self.inside(&["nft", "-f", "-"], &rules);
    }

    /// How many packets have been lost so far.
    pub fn lost(&self, way: Way) -> u64 {
        let chain = way.chain(self.index);
        let router = self.network.router();
        let list = ["nft", "list", "counter", "ip", "lines", &chain];
        let text = read("ip", &[&["netns", "exec", &router][..], &list[..]].concat())
            .expect("the counter");
        let mut words = text.split_whitespace().skip_while(|w| *w != "packets");
        let packets = words.nth(1).and_then(|count| count.parse().ok());
        packets.unwrap_or_else(|| panic!("no count in {text:?}"))
    }

    /// Lets no more through than that from now on: a queue of a fifth of a second, as that of a
    /// home router, and beyond that loss.
    pub fn limit(&self, way: Way, kbit: u32) {
        let router = self.network.router();
        let (device, rate) = (way.device(self.index), format!("{kbit}kbit"));
        let queue = ["rate", &rate, "burst", "3000", "latency", "200ms"];
        let replace = ["-n", &router, "qdisc", "replace", "dev", &device, "root"];
        run("tc", &[&replace[..], &["tbf"], &queue[..]].concat()).expect("a slow line");
    }

    /// A perfect line again.
    pub fn clear(&self) {
        let router = self.network.router();
        for way in [Way::Up, Way::Down] {
            self.lose(way, 0);
            // An error where it was not slow.
            let device = way.device(self.index);
            let _ = run(
                "tc",
                &["-n", &router, "qdisc", "del", "dev", &device, "root"],
            );
        }
    }

    fn inside(&self, command: &[&str], input: &str) {
        let router = self.network.router();
        let all = [&["netns", "exec", &router][..], command].concat();
        feed("ip", &all, input).expect("a change of the line");
    }
}

/// A server in its namespace.
#[derive(Debug)]
pub struct NetworkServer {
    process: Child,
    port: u16,
}

impl NetworkServer {
    async fn start(mut command: Command) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = spawned.expect("tessera starts");
        let out = process.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(out).lines();
        let first = timeout(PATIENCE, lines.next_line())
            .await
            .expect("the server says where it listens")
            .expect("a readable pipe")
            .expect("a server that does not end at once");
        let port = first.rsplit(':').next().and_then(|port| port.parse().ok());
        Self {
            process,
            port: port.unwrap_or_else(|| panic!("no port in {first:?}")),
        }
    }

    /// Its `http://` address on a line.
    pub fn url(&self, line: Line<'_>) -> String {
        format!("http://{}:{}", line.server(), self.port)
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Stops it as an operator does, and waits until it has ended well.
    pub async fn stop(mut self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), Signal::TERM).expect("it runs");
        let status = timeout(PATIENCE, self.process.wait())
            .await
            .expect("the server stops")
            .expect("its status");
        assert!(status.success(), "the server ended with {status}");
    }
}

//! A network of the test's own in which browsers find what they find at home: an address that is
//! not loopback, and a default route. Nothing leaves it.
//!
//! A stock browser needs both. Firefox uses no loopback for media, and before a page has the camera
//! it uses the address of the default route alone.
//!
//! A test is in there with everything it starts, for threads and processes inherit the network of
//! the thread that starts them:
//!
//! ```ignore
//! #[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
//! ```
//!
//! That makes the attribute take its runtime from here, whose threads all enter. The tests of a
//! process share one network, which ends with the process. Needs root and `ip` (iproute2).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tessera::net::MediaIps;

// What the attribute of tokio looks for beside the runtime, in those tests that use it.
#[allow(unused_imports)]
pub use tokio::pin;

/// Stands for `tokio::runtime`.
pub mod runtime {
    /// Makes runtimes whose threads are in the network of the test.
    #[derive(Debug)]
    pub struct Builder;

    impl Builder {
        /// The builder of tokio, and the thread that asks enters, too.
        #[allow(clippy::new_ret_no_self)]
        pub fn new_multi_thread() -> tokio::runtime::Builder {
            super::enter();
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.on_thread_start(super::enter);
            builder
        }
    }
}

/// One machine with one cable. Both of its ends are here, so that it is up. Without addresses of
/// IPv6, which would come a second or two later: to a browser that is a change of networks, for
/// which it gives up what it is loading.
const SETUP: &str = "set -e
ip link set lo up
ip link add lan type veth peer name router
ip link set lan addrgenmode none
ip link set router addrgenmode none
ip link set router up
ip addr add 192.168.7.2/24 dev lan
ip link set lan up
ip route add default via 192.168.7.1
echo ready
read -r end || true";

/// The network of this process, once a test has asked for it.
static HOME: OnceLock<File> = OnceLock::new();

/// Addresses for the media of a server: what it has by default at home, loopback alone elsewhere.
pub fn media_ips() -> MediaIps {
    match HOME.get() {
        Some(_) => MediaIps::default(),
        None => MediaIps::Only(vec![std::net::Ipv4Addr::LOCALHOST.into()]),
    }
}

/// Moves the thread into the network of this process.
fn enter() {
    let home = HOME.get_or_init(|| {
        build().unwrap_or_else(|why| {
            panic!(
                "a network namespace of the test's own cannot be had: {why}\n\
                 Tests with browsers need root (CAP_SYS_ADMIN and CAP_NET_ADMIN) and iproute2: \
                 run them with `sudo make test`, and in a container with --privileged."
            )
        })
    });
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("a thread may change its network");
}

fn build() -> Result<File, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("this is not root".into());
    }
    // It becomes the shell, so that the namespace is that of its id.
    let mut shell = Command::new("unshare")
        .args(["--net", "sh", "-c", SETUP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    let mut said = String::new();
    if let Some(out) = shell.stdout.take() {
        let read = BufReader::new(out).read_line(&mut said);
        read.map_err(|error| error.to_string())?;
    }
    let namespace = File::open(format!("/proc/{}/ns/net", shell.id()));
    // Its standard input ends here, and it with that. The open file keeps the namespace.
    let end = shell
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    match said.trim() {
        "ready" => namespace.map_err(|error| error.to_string()),
        _ => Err(String::from_utf8_lossy(&end.stderr).trim().to_owned()),
    }
}

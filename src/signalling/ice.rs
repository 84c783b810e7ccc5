//! The ICE servers clients are told, with credentials of their own.

use std::io;
use std::time::SystemTime;

use crate::config::{BuiltIn, Config};
use crate::protocol::IceServer;
use crate::protocol::rest::{AllocationResource, RelayedResource, TrafficResource, TurnResource};
use crate::turn::credentials::{self, Secret};
use crate::turn::{Allocation, HostAddresses, PeerTraffic, TrafficCount, Turn};

/// The servers built in and configured.
pub(super) struct IceServers {
    /// URLs that everybody is told as they are.
    open: Vec<String>,
    /// URLs of TURN that take a credential made with the secret.
    guarded: Vec<String>,
    secret: Secret,
    /// The server built in, which runs as long as this lives.
    turn: Option<Turn>,
}

impl IceServers {
    /// Starts the server built in, unless that is off, and takes the outside ones.
    ///
    /// # Errors
    /// What binding the built-in server's address fails with.
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        let given = config.turn.secret.as_deref().map(Secret::new);
        let (mut open, mut guarded) = (Vec::new(), Vec::new());
        let secret = given.clone().unwrap_or_else(Secret::random);
        let turn = match config.turn.built_in {
            BuiltIn::On => Some(start_turn(config, secret.clone())?),
            BuiltIn::Off => None,
        };
        if let Some(turn) = &turn {
            let (stun_urls, turn_urls) = turn.urls();
            open.extend(stun_urls);
            guarded.extend(turn_urls);
        }
        for url in &config.ice_servers {
            // Without a secret that both know there is no credential to give.
            match given.is_some() && url.starts_with("turn") {
                true => guarded.push(url.clone()),
                false => open.push(url.clone()),
            }
        }
        Ok(Self {
            open,
            guarded,
            secret,
            turn,
        })
    }

    /// What `user` is told.
    pub(super) fn of(&self, user: &str) -> Vec<IceServer> {
        let mut servers: Vec<IceServer> = self
            .open
            .iter()
            .map(|url| IceServer {
                urls: vec![url.clone()],
                username: None,
                credential: None,
            })
            .collect();
        if !self.guarded.is_empty() {
            let expires = SystemTime::now() + credentials::LIFETIME;
            let credential = self.secret.issue(user, expires);
            servers.push(IceServer {
                urls: self.guarded.clone(),
                username: Some(credential.username),
                credential: Some(credential.password),
            });
        }
        servers
    }

    /// The same as values of `Link` headers (RFC 9725 section 4.6).
    pub(super) fn links(&self, user: &str) -> Vec<String> {
        let link = |server: &IceServer, url: &String| {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
                // Neither has a character that would have to be escaped: digits, a room's and a
                // participant's id; base64.
                link.push_str(&format!(
                    "; username=\"{username}\"; credential=\"{credential}\"; \
                     credential-type=\"password\""
                ));
            }
            link
        };
        let servers = self.of(user);
        let links = servers
            .iter()
            .flat_map(|server| server.urls.iter().map(move |url| link(server, url)));
        links.collect()
    }

    /// What the server built in is doing; `None` if there is none.
    pub(super) fn relayed(&self) -> Option<TurnResource> {
        let allocations = self.turn.as_ref()?.allocations();
        let traffic = |count: TrafficCount| TrafficResource {
            packets: count.packets,
            bytes: count.bytes,
        };
        let peer = |one: &PeerTraffic| RelayedResource {
            address: one.peer,
            to_peer: traffic(one.to_peer),
            from_peer: traffic(one.from_peer),
        };
        let resource = |allocation: Allocation| AllocationResource {
            user: allocation.user,
            client: allocation.client,
            relays: allocation.relays,
            peers: allocation.peers.iter().map(peer).collect(),
        };
        Some(TurnResource {
            allocations: allocations.into_iter().map(resource).collect(),
        })
    }

    /// The server built in.
    pub(super) fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }
}

/// Starts the built-in TURN server on the addresses that the settings give this machine.
fn start_turn(config: &Config, secret: Secret) -> io::Result<Turn> {
    let host = HostAddresses {
        local: config.media_ips.first().copied(),
        public: config.public_ip,
    };
    Turn::start(&config.turn, host, secret)
        .map_err(|error| io::Error::new(error.kind(), format!("STUN and TURN: {error}")))
}

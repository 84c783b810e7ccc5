//! The ICE servers that clients are told of, with a credential for each client.

use std::time::SystemTime;

use crate::config::{BuiltIn, Config};
use crate::net::BindError;
use crate::protocol::IceServer;
use crate::protocol::rest::{AllocationResource, RelayedResource, TrafficResource, TurnResource};
use crate::turn::credentials::{self, Secret};
use crate::turn::{Allocation, HostAddresses, PeerTraffic, TrafficCount, Turn};

/// The built-in STUN and TURN server, and the configured ones.
pub(super) struct IceServers {
    /// URLs without a credential.
    open: Vec<String>,
    /// URLs of TURN servers that accept credentials made with the secret.
    guarded: Vec<String>,
    secret: Secret,
    /// The built-in server. It stops when this is dropped.
    turn: Option<Turn>,
}

impl IceServers {
    /// Starts the built-in server, unless it is off, and adds the configured ones.
    ///
    /// # Errors
    /// [`BindError`] with the address of the built-in server.
    pub(super) fn start(config: &Config) -> Result<Self, BindError> {
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
            // Without a shared secret there is no credential to give.
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

    /// The servers for `user`, with a credential that names them.
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

    /// The servers for `user` as values of `Link` headers (RFC 9725 section 4.6).
    pub(super) fn links(&self, user: &str) -> Vec<String> {
        let link = |server: &IceServer, url: &String| {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
                // Neither has a character to escape: digits and ids; base64.
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

    /// The allocations of the built-in server; `None` if it is off.
    pub(super) fn allocations(&self) -> Option<TurnResource> {
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

    /// The built-in server; `None` if it is off.
    pub(super) fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }
}

/// Starts the built-in TURN server on the addresses that the settings give this machine.
fn start_turn(config: &Config, secret: Secret) -> Result<Turn, BindError> {
    let host = HostAddresses {
        local: config.media_ips.first_given(),
        public: config.public_ip,
    };
    Turn::start(&config.turn, host, secret)
}

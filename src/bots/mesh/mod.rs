//! A bot as a member of a mesh (mode `p2p`): carries out what [`self::core`] decides.
//!
//! One task decides. Each connection has a task of its own, which takes commands in their order and
//! ends when the channel of its commands is closed.

pub(crate) mod core;
pub(crate) mod flow;
pub(crate) mod peer;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use self::core::{Action, Generation, Input, MeshCore, Opening};
use self::flow::Flow;
use self::peer::{DescribedPeer, Lines, MeshPeer, MeshSetup};
use super::clock;
use super::error::BotError;
use super::rtc::connection::{Candidate, ConnectionState};
use super::rtc::receive::Incoming;
use crate::id::{Mid, ParticipantId};
use crate::protocol::mesh::{MeshCandidate, MeshDescription, MeshDescriptionKind, MeshSignal};
use crate::protocol::{ClientMessage, IceServer, ServerMessage};

/// How often the core is told what arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What a connection is told to do.
enum LinkCommand {
    Accept(String),
    Candidate(Option<Mid>, String),
}

/// What a connection reports.
enum LinkEvent {
    Say(MeshSignal),
    Up,
    Lost,
}

/// An event, with the connection that reports it.
type LinkReport = (ParticipantId, Generation, LinkEvent);

/// A connection as other tasks see it.
#[derive(Debug)]
pub(crate) struct MeshLink {
    pub(crate) lines: Lines,
    pub(crate) peer: Weak<MeshPeer>,
}

/// The connections with other members, shared with those who read figures.
#[derive(Debug, Default)]
pub(crate) struct MeshLinks {
    links: Mutex<BTreeMap<ParticipantId, MeshLink>>,
    /// The tasks of connections; they end when their pipelines are torn down.
    pub(crate) tasks: TaskTracker,
    pub(crate) receiving: watch::Sender<Vec<ParticipantId>>,
}

impl MeshLinks {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<ParticipantId, MeshLink>> {
        self.links.lock()
    }

    /// Lets nothing leave the machine any more: neither media nor RTCP nor DTLS.
    pub(crate) fn silence(&self) {
        let peers: Vec<_> = self.lock().values().map(|link| link.peer.clone()).collect();
        for peer in peers.iter().filter_map(Weak::upgrade) {
            peer.silence();
        }
    }

    fn flows(&self, now: Duration) -> BTreeMap<ParticipantId, Flow> {
        let age = |line: &Arc<Incoming>| {
            // Counts from a keyframe on: nothing before can be decoded.
            let begun = line.first().borrow().is_some();
            let last = line.last_packet().filter(|_| begun);
            last.map(|last| now.saturating_sub(last))
        };
        let flow = |MeshLink { lines, .. }: &MeshLink| {
            let [mic, camera, screen] = lines;
            Flow {
                mic: age(mic),
                camera: age(camera),
                screen: age(screen),
            }
        };
        let links = self.lock();
        links
            .iter()
            .map(|(with, link)| (*with, flow(link)))
            .collect()
    }
}

/// A member of a mesh: runs the core and its connections.
pub(crate) struct MeshMember {
    pub(crate) own: ParticipantId,
    pub(crate) setup: Arc<MeshSetup>,
    /// Sends a message to the server.
    pub(crate) send: Box<dyn Fn(ClientMessage) + Send + Sync>,
    pub(crate) links: Arc<MeshLinks>,
    /// Whether the server delivers all it should at that instant, see
    /// [`server_ready`](crate::bots::session::server_ready).
    pub(crate) server_ready: Box<dyn Fn(Duration) -> bool + Send + Sync>,
}

/// The commands of each connection.
type Commands = BTreeMap<ParticipantId, mpsc::UnboundedSender<LinkCommand>>;

impl MeshMember {
    /// Takes part until the server says `bye` or `inbox` is closed.
    pub(crate) async fn run(self, mut inbox: mpsc::UnboundedReceiver<ServerMessage>) {
        let mut core = MeshCore::new(self.own);
        let mut servers = Vec::new();
        let mut commands = Commands::new();
        let (events, mut reports) = mpsc::unbounded_channel::<LinkReport>();
        let mut polls = interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let input = tokio::select! {
                message = inbox.recv() => match message {
                    None | Some(ServerMessage::Bye { .. }) => break,
                    Some(ServerMessage::Welcome { ice_servers, .. }) => {
                        servers = ice_servers;
                        continue;
                    }
                    Some(ServerMessage::Room(room)) => Input::Room(room),
                    Some(ServerMessage::Signal { from, data }) => {
                        match serde_json::from_value(data) {
                            Ok(signal) => Input::Signal(from, signal),
                            Err(error) => {
                                tracing::debug!(%from, %error, "a signal of no mesh");
                                continue;
                            }
                        }
                    }
                    Some(_) => continue,
                },
                Some((with, generation, event)) = reports.recv() => {
                    if core.generation(with) != Some(generation) {
                        continue;
                    }
                    match event {
                        LinkEvent::Say(signal) => {
                            self.signal(with, &signal);
                            continue;
                        }
                        LinkEvent::Up => Input::Up(with, generation),
                        LinkEvent::Lost => Input::Lost(with, generation),
                    }
                }
                _ = polls.tick(), if core.is_busy() => {
                    let now = clock::now();
                    let flows = self.links.flows(now);
                    Input::Poll { flows, server_ready: (self.server_ready)(now) }
                }
            };
            for action in core.step(clock::now(), input) {
                self.carry_out(action, &servers, &mut commands, &events);
            }
        }
        self.links.lock().clear();
    }

    fn carry_out(
        &self,
        action: Action,
        servers: &[IceServer],
        commands: &mut Commands,
        events: &mpsc::UnboundedSender<LinkReport>,
    ) {
        // A connection that has ended by itself takes no more commands, and has reported that.
        let command = |commands: &Commands, with, command| {
            let _ = commands.get(&with).map(|commands| commands.send(command));
        };
        match action {
            Action::Open(with, generation, opening) => {
                let (send, receive) = mpsc::unbounded_channel();
                let lines = self.setup.lines(with);
                let link = MeshLink {
                    lines: lines.clone(),
                    peer: Weak::new(),
                };
                self.links.lock().insert(with, link);
                commands.insert(with, send);
                let task = LinkTask {
                    with,
                    generation,
                    setup: self.setup.clone(),
                    servers: servers.to_vec(),
                    links: self.links.clone(),
                    events: events.clone(),
                };
                self.links.tasks.spawn(task.run(opening, lines, receive));
            }
            Action::Accept(with, sdp) => command(commands, with, LinkCommand::Accept(sdp)),
            Action::Candidate(with, mid, line) => {
                command(commands, with, LinkCommand::Candidate(mid, line));
            }
            Action::Close(with) => {
                commands.remove(&with);
                self.links.lock().remove(&with);
            }
            Action::SayDone(with) => self.signal(with, &MeshSignal::Done(true)),
            Action::Report(receiving) => {
                self.links.receiving.send_replace(receiving.clone());
                (self.send)(ClientMessage::Mesh { receiving });
            }
            Action::Play(plays) => self.setup.observer.play_mesh(plays, clock::now()),
        }
    }

    fn signal(&self, to: ParticipantId, signal: &MeshSignal) {
        match serde_json::to_value(signal) {
            Ok(data) => (self.send)(ClientMessage::Signal { to, data }),
            Err(error) => tracing::error!(%error, "a signal has no JSON form"),
        }
    }
}

/// The task of one connection.
struct LinkTask {
    with: ParticipantId,
    generation: Generation,
    setup: Arc<MeshSetup>,
    servers: Vec<IceServer>,
    links: Arc<MeshLinks>,
    events: mpsc::UnboundedSender<LinkReport>,
}

impl LinkTask {
    async fn run(
        self,
        opening: Opening,
        lines: Lines,
        commands: mpsc::UnboundedReceiver<LinkCommand>,
    ) {
        if let Err(error) = self.serve(opening, lines, commands).await {
            tracing::warn!(with = %self.with, %error, "a connection of a mesh failed");
            self.tell(LinkEvent::Lost);
        }
    }

    fn tell(&self, event: LinkEvent) {
        // Nobody listens any more when the bot has gone.
        let _ = self.events.send((self.with, self.generation, event));
    }

    async fn serve(
        &self,
        opening: Opening,
        lines: Lines,
        mut commands: mpsc::UnboundedReceiver<LinkCommand>,
    ) -> Result<(), BotError> {
        let (kind, described) = self.describe(opening, lines.clone()).await?;
        let DescribedPeer {
            peer,
            sdp,
            mids,
            mut candidates,
        } = described;
        let peer = Arc::new(peer);
        if let Some(link) = self.links.lock().get_mut(&self.with)
            && Arc::ptr_eq(&link.lines[0], &lines[0])
        {
            link.peer = Arc::downgrade(&peer);
        }
        let description = MeshDescription { kind, sdp };
        self.tell(LinkEvent::Say(MeshSignal::Description(description)));
        let listening = tokio::spawn(peer.connection.listen());
        let mut states = peer.connection.state.clone();
        let outcome = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => break Ok(()),
                    Some(LinkCommand::Accept(sdp)) => {
                        if let Err(error) = peer.accept(&sdp).await {
                            break Err(error);
                        }
                    }
                    Some(LinkCommand::Candidate(mid, line)) => candidate(&peer, &mids, mid, &line),
                },
                Some(candidate) = candidates.recv() => self.trickle(&mids, candidate),
                Ok(()) = states.changed() => {
                    let state = *states.borrow_and_update();
                    match state {
                        ConnectionState::Connected => {
                            peer.open();
                            self.tell(LinkEvent::Up);
                        }
                        ConnectionState::Failed | ConnectionState::Closed => {
                            break Err(BotError::ConnectionFailed);
                        }
                        _ => {}
                    }
                }
            }
        };
        listening.abort();
        peer.shut();
        let gone = peer.connection.gone();
        drop(peer);
        gone.await;
        outcome
    }

    /// Makes the connection, and its offer or answer.
    async fn describe(
        &self,
        opening: Opening,
        lines: Lines,
    ) -> Result<(MeshDescriptionKind, DescribedPeer), BotError> {
        let (setup, servers) = (&self.setup, &self.servers);
        Ok(match opening {
            Opening::Offer => {
                let made = MeshPeer::offer(setup, servers, lines).await?;
                (MeshDescriptionKind::Offer, made)
            }
            Opening::Answer(offer) => {
                let made = MeshPeer::answer(setup, servers, lines, &offer).await?;
                (MeshDescriptionKind::Answer, made)
            }
        })
    }

    fn trickle(&self, mids: &[Mid], (index, candidate): Candidate) {
        let sdp_mid = mids.get(index as usize).cloned();
        let candidate = MeshCandidate { candidate, sdp_mid };
        self.tell(LinkEvent::Say(MeshSignal::Candidate(Some(candidate))));
    }
}

/// Gives a connection a candidate. One without an m-line goes to the first, which carries all
/// (BUNDLE).
fn candidate(peer: &MeshPeer, mids: &[Mid], mid: Option<Mid>, line: &str) {
    let index = mids.iter().position(|own| Some(own) == mid.as_ref());
    let index = u32::try_from(index.unwrap_or(0)).unwrap_or(0);
    if !line.is_empty() {
        peer.connection.add_candidate(index, line);
    }
}

//! What a member of a mesh does when: `(now, Input) -> Vec<Action>`, without clock, socket or
//! pipeline. The rules are those of `docs/PROTOCOL.md`, "Peer to peer".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::flow::{Flow, sends};
use crate::id::{Mid, ParticipantId};
use crate::protocol::mesh::{MeshDescription, MeshDescriptionKind, MeshSignal};
use crate::protocol::room::{ParticipantState, RoomState};
use crate::topology::Mode;

/// How long a connection may take to come up, or be without a packet, before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after it was given up a connection is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long after a change of mode connections are kept for members who still need them.
const GRACE: Duration = Duration::from_secs(5);

/// How long the server has to deliver everything before the mesh is let go of: a mix begins before
/// everybody is in it again.
const SERVER_READY_FOR: Duration = Duration::from_millis(500);

/// Counts connections, to tell one with a participant from the next one with them.
pub(crate) type Generation = u64;

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// The server described the room.
    Room(RoomState),
    /// Another member said something.
    Signal(ParticipantId, MeshSignal),
    /// A connection came up.
    Up(ParticipantId, Generation),
    /// A connection failed, or the other side closed it.
    Lost(ParticipantId, Generation),
    /// Time has passed: how long ago media came on each connection, and whether the server delivers
    /// all it should.
    Poll {
        flows: BTreeMap<ParticipantId, Flow>,
        server_ready: bool,
    },
}

/// How a connection begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It makes an offer.
    Offer,
    /// It answers this offer.
    Answer(String),
}

/// What the member has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make a connection, and send its description and candidates.
    Open(ParticipantId, Generation, Opening),
    /// Give a connection the answer to its offer.
    Accept(ParticipantId, String),
    /// Give a connection a candidate of the other side.
    Candidate(ParticipantId, Option<Mid>, String),
    /// End a connection.
    Close(ParticipantId),
    /// Tell the other side that its media is no longer needed.
    SayDone(ParticipantId),
    /// Tell the server from whom media arrives.
    Report(Vec<ParticipantId>),
    /// From now on the page would play the mesh, or no longer would.
    Play(bool),
}

/// A connection with another member.
#[derive(Debug)]
struct LinkState {
    generation: Generation,
    /// When its last packet came; until it is up, when it was opened.
    alive: Duration,
    /// When it came up.
    up: Option<Duration>,
    /// Its offer has not been answered yet.
    offering: bool,
    /// The other side's offer is ignored, and so are the candidates that go with it.
    ignoring: bool,
    /// The DTLS certificate of the other side's description.
    fingerprint: Option<String>,
    done_said: bool,
    done_heard: bool,
}

/// The state of a member of a mesh.
#[derive(Debug)]
pub(crate) struct MeshCore {
    own: ParticipantId,
    room: Option<RoomState>,
    links: BTreeMap<ParticipantId, LinkState>,
    retry: BTreeMap<ParticipantId, Duration>,
    generations: Generation,
    reported: BTreeSet<ParticipantId>,
    playing: bool,
    /// When the room left mode `p2p`.
    left: Option<Duration>,
    /// Since when the server has delivered everything.
    server_ready: Option<Duration>,
}

impl MeshCore {
    pub(crate) fn new(own: ParticipantId) -> Self {
        Self {
            own,
            room: None,
            links: BTreeMap::new(),
            retry: BTreeMap::new(),
            generations: 0,
            reported: BTreeSet::new(),
            playing: false,
            left: None,
            server_ready: None,
        }
    }

    /// Whether [`Input::Poll`] can have an effect.
    pub(crate) fn is_busy(&self) -> bool {
        self.meshed() || !self.links.is_empty()
    }

    /// The generation of the connection with a participant, if there is one.
    pub(crate) fn generation(&self, with: ParticipantId) -> Option<Generation> {
        self.links.get(&with).map(|link| link.generation)
    }

    /// Takes an input in, and says what to do.
    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Room(room) => self.room(now, room, &mut actions),
            Input::Signal(from, signal) => self.signal(now, from, signal, &mut actions),
            Input::Up(with, generation) => {
                if let Some(link) = self.current(with, generation) {
                    (link.up, link.alive) = (Some(now), now);
                }
            }
            Input::Lost(with, generation) => {
                if self.current(with, generation).is_some() {
                    self.give_up(now, with, &mut actions);
                }
            }
            Input::Poll {
                flows,
                server_ready,
            } => self.poll(now, &flows, server_ready, &mut actions),
        }
        self.offer(now, &mut actions);
        actions
    }

    fn meshed(&self) -> bool {
        self.room
            .as_ref()
            .is_some_and(|room| room.mode == Mode::P2p)
    }

    fn members(&self) -> BTreeSet<ParticipantId> {
        let members = self.room.iter().flat_map(|room| &room.participants);
        members.map(|member| member.id).collect()
    }

    fn current(&mut self, with: ParticipantId, generation: Generation) -> Option<&mut LinkState> {
        let link = self.links.get_mut(&with);
        link.filter(|link| link.generation == generation)
    }

    /// The members with whom a connection is wanted; none if this one does not take part itself.
    fn wanted(&self) -> Vec<ParticipantId> {
        let Some(room) = self.room.as_ref().filter(|room| room.mode == Mode::P2p) else {
            return Vec::new();
        };
        let takes_part = |member: &&ParticipantState| member.connected && !member.viewer;
        let members = room.participants.iter().filter(takes_part);
        let mut ids: Vec<_> = members.map(|member| member.id).collect();
        let before = ids.len();
        ids.retain(|id| *id != self.own);
        if ids.len() == before {
            ids.clear();
        }
        ids
    }

    fn room(&mut self, now: Duration, room: RoomState, actions: &mut Vec<Action>) {
        let was = self.meshed();
        self.room = Some(room);
        match (was, self.meshed()) {
            (false, true) => self.left = None,
            (true, false) => {
                self.left = Some(now);
                self.server_ready = None;
                self.reported.clear();
                self.retry.clear();
                // A `done` after an earlier change does not count for this one.
                for link in self.links.values_mut() {
                    (link.done_said, link.done_heard) = (false, false);
                }
            }
            _ => {}
        }
        let members = self.members();
        let gone = self.links.keys().filter(|with| !members.contains(with));
        for with in gone.copied().collect::<Vec<_>>() {
            self.close(with, actions);
        }
    }

    /// Of two members the one with the larger number offers: the one who joined later.
    fn offer(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for with in self.wanted() {
            let waits = self.retry.get(&with).is_some_and(|at| now < *at);
            if self.own > with && !self.links.contains_key(&with) && !waits {
                self.open(now, with, Opening::Offer, None, actions);
            }
        }
    }

    fn open(
        &mut self,
        now: Duration,
        with: ParticipantId,
        opening: Opening,
        fingerprint: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        self.generations += 1;
        self.retry.remove(&with);
        let link = LinkState {
            generation: self.generations,
            alive: now,
            up: None,
            offering: opening == Opening::Offer,
            ignoring: false,
            fingerprint,
            done_said: false,
            done_heard: false,
        };
        self.links.insert(with, link);
        actions.push(Action::Open(with, self.generations, opening));
    }

    fn close(&mut self, with: ParticipantId, actions: &mut Vec<Action>) {
        if self.links.remove(&with).is_some() {
            actions.push(Action::Close(with));
        }
    }

    fn give_up(&mut self, now: Duration, with: ParticipantId, actions: &mut Vec<Action>) {
        self.close(with, actions);
        self.retry.insert(with, now + RETRY);
    }

    fn signal(
        &mut self,
        now: Duration,
        from: ParticipantId,
        signal: MeshSignal,
        actions: &mut Vec<Action>,
    ) {
        match signal {
            MeshSignal::Description(description) => self.described(now, from, description, actions),
            MeshSignal::Candidate(candidate) => {
                let link = self.links.get(&from).filter(|link| !link.ignoring);
                if let (Some(_), Some(candidate)) = (link, candidate) {
                    let (mid, line) = (candidate.sdp_mid, candidate.candidate);
                    actions.push(Action::Candidate(from, mid, line));
                }
            }
            MeshSignal::Done(done) => {
                if let Some(link) = self.links.get_mut(&from) {
                    link.done_heard = done;
                    if link.done_said && link.done_heard {
                        self.close(from, actions);
                    }
                }
            }
        }
    }

    fn described(
        &mut self,
        now: Duration,
        from: ParticipantId,
        MeshDescription { kind, sdp }: MeshDescription,
        actions: &mut Vec<Action>,
    ) {
        let polite = self.own > from;
        let theirs = fingerprint(&sdp);
        let expected = self.meshed() && self.members().contains(&from);
        match (kind, self.links.get_mut(&from)) {
            (MeshDescriptionKind::Answer, Some(link)) if link.offering => {
                (link.offering, link.ignoring) = (false, false);
                link.fingerprint = theirs;
                actions.push(Action::Accept(from, sdp));
            }
            (MeshDescriptionKind::Offer, Some(link)) if link.offering && !polite => {
                link.ignoring = true;
            }
            (MeshDescriptionKind::Offer, Some(link))
                if !link.offering && link.fingerprint == theirs =>
            {
                // Connections are never renegotiated.
                tracing::debug!(%from, "an offer for a connection that is there");
            }
            (MeshDescriptionKind::Offer, _) if expected => {
                self.close(from, actions);
                self.open(now, from, Opening::Answer(sdp), theirs, actions);
            }
            _ => tracing::debug!(%from, ?kind, "a description that is not expected"),
        }
    }

    fn poll(
        &mut self,
        now: Duration,
        flows: &BTreeMap<ParticipantId, Flow>,
        server_ready: bool,
        actions: &mut Vec<Action>,
    ) {
        self.server_ready = server_ready.then(|| self.server_ready.unwrap_or(now));
        let server_ready = self
            .server_ready
            .is_some_and(|since| now >= since + SERVER_READY_FOR);
        if self.meshed() {
            self.expire(now, flows, actions);
            self.report(now, flows, server_ready, actions);
        } else if let Some(left) = self.left {
            self.wind_down(now, left, server_ready, actions);
        }
    }

    /// Gives up connections that do not come up or have fallen silent.
    fn expire(
        &mut self,
        now: Duration,
        flows: &BTreeMap<ParticipantId, Flow>,
        actions: &mut Vec<Action>,
    ) {
        for (with, link) in &mut self.links {
            let flow = flows.get(with).copied().unwrap_or_default();
            // A member who sends nothing, as far as the room knows, may be silent.
            let sends = self
                .room
                .as_ref()
                .is_some_and(|room| sends(room, *with).any());
            if link.up.is_some() && (!sends || flow.is_alive()) {
                link.alive = now;
            }
        }
        let dead = self.links.iter().filter(|(_, l)| now >= l.alive + PATIENCE);
        for with in dead.map(|(with, _)| *with).collect::<Vec<_>>() {
            self.give_up(now, with, actions);
        }
    }

    fn report(
        &mut self,
        now: Duration,
        flows: &BTreeMap<ParticipantId, Flow>,
        server_ready: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(room) = &self.room else { return };
        let receiving: BTreeSet<_> = self
            .links
            .iter()
            .filter(|(with, link)| {
                let flow = flows.get(with).copied().unwrap_or_default();
                let up = link.up.map(|since| now.saturating_sub(since));
                up.is_some_and(|up| sends(room, **with).arrives(flow, up))
            })
            .map(|(with, _)| *with)
            .collect();
        let wanted = self.wanted();
        let covers = !wanted.is_empty() && wanted.iter().all(|with| receiving.contains(with));
        if receiving != self.reported {
            actions.push(Action::Report(receiving.iter().copied().collect()));
            self.reported = receiving;
        }
        // When somebody joins or is lost, the mesh is played on until the server delivers again.
        let plays = covers || (self.playing && !server_ready);
        self.play(plays, actions);
    }

    fn play(&mut self, plays: bool, actions: &mut Vec<Action>) {
        if self.playing != plays {
            self.playing = plays;
            actions.push(Action::Play(plays));
        }
    }

    /// After the room has left mode `p2p`: says `done` once the server delivers, and ends
    /// connections that neither side needs.
    fn wind_down(
        &mut self,
        now: Duration,
        left: Duration,
        server_ready: bool,
        actions: &mut Vec<Action>,
    ) {
        if server_ready {
            self.play(false, actions);
            for (with, link) in &mut self.links {
                if !link.done_said {
                    link.done_said = true;
                    actions.push(Action::SayDone(*with));
                }
            }
        }
        let over = now >= left + GRACE;
        let ended = self
            .links
            .iter()
            .filter(|(_, link)| over || (link.done_said && link.done_heard));
        for with in ended.map(|(with, _)| *with).collect::<Vec<_>>() {
            self.close(with, actions);
        }
        if self.links.is_empty() {
            self.play(false, actions);
        }
    }
}

/// The first DTLS certificate fingerprint of a description.
fn fingerprint(sdp: &str) -> Option<String> {
    let mut lines = sdp.lines();
    let found = lines.find_map(|line| line.strip_prefix("a=fingerprint:"));
    found.map(|value| value.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests;

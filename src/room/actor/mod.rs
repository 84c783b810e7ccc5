//! One task per room: the only place where a room's effects happen. It owns the peers, the
//! mixer and the queue to each participant's signalling, feeds everything that happens to
//! [`State`] as an input, and carries out what comes back. It takes no decision of its own.

pub(crate) mod active_speakers;
pub(crate) mod commands;
pub(crate) mod connection;
pub(crate) mod joins;
pub(crate) mod negotiation;
pub(crate) mod notices;
pub(crate) mod stats;
pub(crate) mod steps;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::active_speakers::PacketSpeakers;
use self::connection::Connection;
use self::negotiation::Answered;

use super::error::RoomError;
use super::handle::{Command, JoinError, JoinReply, JoinRequest, Reply};
use super::notices::Notice;
use super::recording::Recorders;
use super::settings::RoomSettings;
use super::state::wiring::{Downlink, Feed};
use super::state::{Effect, Input, RequestId, State};
use crate::admission::{Admission, Grant};
use crate::archive::Archive;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role, RoomId};
use crate::media::bwe::trace;
use crate::media::bwe::trace::TracedEstimate;
use crate::media::gst::template::Templates;
use crate::media::mixer::{Mixer, MixerEvent, SoundEvent};
use crate::media::peer::event::{Loss, PeerEvent};
use crate::protocol::recording::RecordingId;
use crate::protocol::room::{ByeReason, Level, RoomState};
use crate::protocol::stats::RoomStats;

/// Interval at which taps and peers are checked for silence and speech.
const LIVENESS: Duration = Duration::from_millis(100);

/// Links are read at one in so many of the checks at interval [`LIVENESS`]: every 200 ms.
const ESTIMATES: u32 = 2;

/// What all rooms of a server share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<RoomSettings>,
    pub(crate) templates: Arc<Templates>,
    pub(crate) archive: Option<Archive>,
    pub(crate) admission: Admission,
}

/// An event from a peer, the mixer or a recording. The `u64` is the serial number of the peer or
/// mixer: events of a former one are dropped.
pub(crate) enum Event {
    Answered(ParticipantId, u64, Result<Box<Answered>, RoomError>),
    Peer(ParticipantId, u64, PeerEvent),
    Mixer(u64, MixerEvent),
    Opened(ParticipantId, u64, Downlink, Feed),
    RecorderEnds(RecordingId),
}

/// Who waits for the answer to a request.
pub(crate) enum Waiting {
    /// With what the server has granted it, once it has.
    Join(Box<JoinRequest>, JoinReply, Option<Grant>),
    Plain(Reply<()>),
    /// Nobody: the answer is dropped.
    Nobody,
}

/// Everything that the room's task owns.
pub(crate) struct Actor {
    id: RoomId,
    shared: Shared,
    state: State,
    began: Instant,
    inputs: VecDeque<Input>,
    connections: HashMap<ParticipantId, Connection>,
    waiting: HashMap<RequestId, Waiting>,
    closing: Vec<oneshot::Sender<()>>,
    mixer: Option<Mixer>,
    mixer_serial: u64,
    serial: u64,
    events: mpsc::UnboundedSender<Event>,
    publish: watch::Sender<Arc<RoomState>>,
    recorders: Recorders,
    rates: stats::Rates,
    packet_speakers: PacketSpeakers,
    checks: u32,
    /// Number of level messages so far.
    levels_told: u32,
    over: bool,
}

impl Actor {
    pub(crate) fn new(
        id: RoomId,
        shared: Shared,
        state: State,
        publish: watch::Sender<Arc<RoomState>>,
    ) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, inbox) = mpsc::unbounded_channel();
        let actor = Self {
            id,
            shared,
            state,
            began: Instant::now(),
            inputs: VecDeque::new(),
            connections: HashMap::new(),
            waiting: HashMap::new(),
            closing: Vec::new(),
            mixer: None,
            mixer_serial: 0,
            serial: 0,
            events,
            publish,
            recorders: Recorders::default(),
            rates: stats::Rates::default(),
            packet_speakers: PacketSpeakers::default(),
            checks: 0,
            levels_told: 0,
            over: false,
        };
        (actor, inbox)
    }

    /// Runs until the room has ended.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        tracing::info!("room opens");
        let mut pressure = self.shared.admission.watch();
        if *pressure.borrow() != self.state.pressure() {
            pressure.mark_changed();
        }
        // Not at once: an empty room ends at its first input, and the participant it is made for
        // has yet to join.
        let mut liveness = tokio::time::interval_at(Instant::now() + LIVENESS, LIVENESS);
        liveness.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.over {
            let deadline = self.deadline();
            tokio::select! {
                Some(command) = commands.recv() => self.command(command),
                Some(event) = events.recv() => self.event(event),
                _ = liveness.tick() => self.check_liveness(),
                Ok(()) = pressure.changed() => {
                    let now = *pressure.borrow_and_update();
                    self.inputs.push_back(Input::Pressed(now));
                }
                () = tokio::time::sleep_until(deadline) => self.inputs.push_back(Input::Tick),
            }
            self.settle();
        }
        // A join that comes as the room ends is handed back, for the room of that name that
        // follows.
        commands.close();
        while let Ok(command) = commands.try_recv() {
            if let Command::Join(request, reply) = command {
                let _ = reply.send(Err(JoinError::RoomGone(request)));
            }
        }
        for closed in self.closing.drain(..) {
            let _ = closed.send(());
        }
        tracing::info!("room closes");
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn deadline(&self) -> Instant {
        let idle = Duration::from_secs(3600);
        let next = self.state.next_deadline(self.now());
        next.map_or_else(|| Instant::now() + idle, |at| self.began + at)
    }

    /// Feeds all queued inputs to the state and carries out the effects, until no input is left.
    fn settle(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            for effect in self.state.handle(self.now(), input) {
                self.carry_out(effect);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Answered(who, serial, outcome) => {
                if let Some(connection) = self
                    .connections
                    .get_mut(&who)
                    .filter(|m| m.serial == serial)
                {
                    self.inputs.push_back(connection.answered(who, outcome));
                }
            }
            Event::Peer(who, serial, event) => {
                if self
                    .connections
                    .get(&who)
                    .is_some_and(|m| m.serial == serial)
                {
                    self.peer_event(who, event);
                }
            }
            Event::Opened(who, serial, slot, feed) => {
                if let Some(connection) = self
                    .connections
                    .get_mut(&who)
                    .filter(|m| m.serial == serial)
                {
                    if let Some(slot) = connection.slot(slot) {
                        slot.settle();
                    }
                    self.inputs.push_back(Input::SlotOpened(who, slot, feed));
                }
            }
            Event::RecorderEnds(id) => self.inputs.push_back(Input::RecorderEnds(id)),
            Event::Mixer(serial, event) => {
                if self.mixer.is_some() && serial == self.mixer_serial {
                    self.mixer_event(event);
                }
            }
        }
    }

    fn peer_event(&mut self, who: ParticipantId, event: PeerEvent) {
        let input = match event {
            PeerEvent::Connected => {
                if let Some(connection) = self.connections.get_mut(&who) {
                    connection.has_connected();
                }
                Input::Connected(who)
            }
            PeerEvent::Candidate(mid, candidate) => {
                self.tell(who, Notice::Candidate(mid, Some(candidate)));
                return;
            }
            PeerEvent::Uplink(role, n, tap) => {
                if let Some(connection) = self.connections.get_mut(&who) {
                    connection.add_flow(role, n, tap);
                }
                Input::UplinkBegan(who, role, n)
            }
            PeerEvent::Lost(loss) => {
                tracing::info!(participant = %who, ?loss, "connection lost");
                let reason = match loss {
                    Loss::Fingerprint => ByeReason::FingerprintMismatch,
                    Loss::Transport | Loss::Pipeline(_) => ByeReason::ConnectionFailed,
                };
                Input::PeerLost(who, reason)
            }
        };
        self.inputs.push_back(input);
    }

    fn mixer_event(&mut self, event: MixerEvent) {
        let input = match event {
            MixerEvent::Sound(SoundEvent::Heard(who, heard)) => Input::Heard(who, heard),
            MixerEvent::Sound(SoundEvent::Began(participant)) => {
                let role = Role::Mic;
                Input::SourceMixed(SourceId { participant, role })
            }
            MixerEvent::Sound(SoundEvent::Levels(levels)) => {
                let level = |(participant, dbov): (_, f32)| Level {
                    participant,
                    // Digits cost bytes, and no meter shows them.
                    dbov: dbov.round(),
                };
                self.tell_levels(levels.into_iter().map(level).collect());
                return;
            }
            MixerEvent::Painted(source) => Input::SourceMixed(source),
            MixerEvent::SourceFailed(source, error) => {
                tracing::info!(%source, error, "cannot be decoded");
                Input::SourceFailed(source)
            }
            MixerEvent::OutputFailed(output, error) => {
                tracing::error!(?output, error, "encoder failed");
                if let Some(mixer) = &mut self.mixer {
                    mixer.drop_output(output);
                }
                Input::OutputFailed(output)
            }
        };
        self.inputs.push_back(input);
    }

    fn check_liveness(&mut self) {
        for (who, connection) in &mut self.connections {
            self.inputs.extend(connection.check_liveness(*who));
        }
        self.checks = self.checks.wrapping_add(1);
        if self.checks.is_multiple_of(ESTIMATES) {
            self.look_at_links();
        }
        if let Some(paths) = self
            .rates
            .sample(&self.connections, self.mixer.as_ref(), &self.state)
        {
            self.inputs.push_back(Input::Counted(paths));
        }
        if self.mixer.is_none() {
            let live = |who| self.state.has_live_voice(who);
            let news = self.packet_speakers.listen(&self.connections, live);
            self.inputs.extend(news);
            let levels = self.packet_speakers.levels(&self.connections);
            if !levels.is_empty() {
                self.tell_levels(levels.into());
            }
        }
    }

    /// Reports to the state the estimates of links that can change anything (most carry the best
    /// anyway), and the loss of those who hear a mix.
    fn look_at_links(&mut self) {
        let now = self.now();
        for (who, connection) in &self.connections {
            let estimate = connection.estimate();
            if let Some(estimate) = &estimate {
                let heard = TracedEstimate::new(now, estimate);
                tracing::trace!(target: trace::TARGET, participant = %who, %heard);
            }
            if connection.hears_mix() {
                let loss = connection.loss(estimate.as_ref());
                self.inputs.push_back(Input::Loss(*who, loss));
            }
            if let Some(estimate) = estimate
                && self.state.cares(*who, &estimate)
            {
                self.inputs.push_back(Input::Estimated(*who, estimate));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit(request, mode) => {
                let outcome = self.admit(request, mode);
                self.inputs.push_back(Input::Admitted(request, outcome));
            }
            Effect::Settle(request, outcome) => self.settle_request(request, outcome),
            Effect::StartPeer(request, who) => self.start_peer(request, who),
            Effect::StopPeer(who) => {
                if self.connections.remove(&who).is_some() {
                    tracing::info!(participant = %who, "leaves");
                }
            }
            Effect::Bye(who, reason) => {
                if let Some(connection) = self.connections.get_mut(&who) {
                    connection.say_bye(who, reason);
                }
            }
            Effect::Publish(published) => {
                self.publish.send_replace(Arc::clone(&published));
                self.recorders.note(&published);
                for who in self.connections.keys().copied().collect::<Vec<_>>() {
                    self.tell(who, Notice::Room(Arc::clone(&published)));
                }
            }
            Effect::TellChat(to, from, text) => {
                for who in to {
                    self.pass_on(from, who, Notice::Chat(from, Arc::clone(&text)));
                }
            }
            Effect::TellSignal(to, from, data) => {
                self.pass_on(from, to, Notice::Signal(from, data));
            }
            Effect::Media(step) => self.run_step(step),
            Effect::Forget(source) => {
                let connection = self.connections.get(&source.participant);
                let flows = connection
                    .into_iter()
                    .flat_map(|connection| &connection.flows);
                let of_source = flows.filter(|((role, _), _)| *role == source.role);
                of_source.for_each(|(_, flow)| flow.tap.forget());
            }
            Effect::SendAgain(who, bytes) => {
                if let Some(connection) = self.connections.get(&who) {
                    connection.send_again(bytes);
                }
            }
            Effect::Closed => {
                self.mixer = None;
                self.over = true;
            }
        }
    }

    fn stats(&self) -> RoomStats {
        let connections: BTreeMap<ParticipantId, &Connection> =
            self.connections.iter().map(|(who, m)| (*who, m)).collect();
        stats::report(
            &self.id,
            &self.state,
            &connections,
            self.mixer.as_ref(),
            &self.rates,
        )
    }
}

//! Carries out what the room decides, and refuses whatever could not be carried out.

use std::collections::BTreeMap;

use tessera::admission::Busy;
use tessera::id::{ParticipantId, Role, SourceId};
use tessera::media::mixer::{Content, Output, Scene};
use tessera::media::stream::slot::Handoff;
use tessera::protocol::room::ByeReason;
use tessera::room::Departure;
use tessera::room::state::wiring::{Downlink, Feed, LevelRate, Step};
use tessera::room::state::{Effect, Input, RequestId};

use super::{Decoder, Fault, Mixer, Peer, Slot, World};
use crate::room::model::Outcome;

impl World {
    pub(super) fn carry_out(&mut self, effect: Effect, expected: &Outcome) {
        match effect {
            Effect::Settle(request, answer) => {
                let asked = self.waiting.remove(&request);
                let asked = asked.unwrap_or_else(|| panic!("{request} is answered twice"));
                let accepted = matches!(asked, Input::Join { .. }) && answer.is_ok();
                assert!(!accepted, "a join is accepted by its peer only");
            }
            Effect::Admit(request, _) => {
                let outcome = match self.faults.remove(&Fault::Full) {
                    true => Err(Busy::Cpu),
                    false => Ok(()),
                };
                self.inputs.push_back(Input::Admitted(request, outcome));
            }
            Effect::StartPeer(request, who) => self.start_peer(request, who, expected),
            Effect::StopPeer(who) => {
                let peer = self.peers.remove(&who).expect("stopped once");
                assert!(peer.bye.is_some(), "{who} is let go without a bye");
                self.holding.retain(|(viewer, _), _| *viewer != who);
                self.handovers.forget(who);
                self.forget_slots(who);
            }
            Effect::Bye(who, reason) => {
                let peer = self.peers.get_mut(&who).expect("somebody to take leave of");
                assert_eq!(peer.bye.replace(reason), None, "a second bye");
            }
            Effect::Publish(view) => {
                self.published = Some(view);
                for who in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.tell(who);
                }
            }
            Effect::TellChat(to, from, _) => {
                assert!(
                    self.peers.contains_key(&from),
                    "{from} is not here to speak"
                );
                assert_eq!(to, self.peers.keys().copied().collect::<Vec<_>>());
            }
            Effect::TellSignal(to, ..) => self.tell(to),
            Effect::Media(step) => self.wire(step),
            Effect::Forget(source) => assert!(self.peers.contains_key(&source.participant)),
            Effect::SendAgain(who, bytes) => {
                assert!(bytes > 0, "nothing to send");
                assert!(self.peers.contains_key(&who), "packets for nobody");
            }
            Effect::Closed => {
                assert!(
                    self.mixer.is_none() && self.peers.is_empty(),
                    "something still runs"
                );
                self.over = true;
            }
        }
    }

    fn start_peer(&mut self, request: RequestId, who: ParticipantId, expected: &Outcome) {
        let asked = self.waiting.remove(&request);
        assert!(
            matches!(asked, Some(Input::Join { .. })),
            "{request} is no join"
        );
        let replaced = expected.gone.contains(&(who, ByeReason::Replaced));
        assert!(
            replaced || who.ordinal() > self.highest,
            "{who} has been somebody else"
        );
        self.highest = self.highest.max(who.ordinal());
        let peer = Peer {
            bye: None,
            answered: false,
            slots: BTreeMap::new(),
            taps: BTreeMap::new(),
            capture: None,
            table: None,
            wanted: true,
            pacing: None,
            levels: LevelRate::Full,
        };
        let old = self.peers.insert(who, peer);
        assert!(old.is_none(), "{who} has two peers");
    }

    fn tell(&mut self, who: ParticipantId) {
        assert!(self.peers.contains_key(&who), "nobody to tell: {who}");
        if self.faults.remove(&Fault::Reader) {
            self.inputs
                .push_back(Input::PeerLost(who, ByeReason::TooSlow));
        } else if self.faults.remove(&Fault::Notices) {
            self.inputs
                .push_back(Input::Leave(who, Departure::SignallingLost));
        }
    }

    fn wire(&mut self, step: Step) {
        match step {
            Step::StartMixer => self.start_mixer(),
            Step::StopMixer => {
                assert!(self.mixer.take().is_some(), "no mixer to stop");
                self.forget_mixed();
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(|slot| !matches!(slot.fed, Some(Feed::Output(_)))),
                    "fed from a mixer that has ended"
                );
                self.recorders.values_mut().for_each(|fed| *fed = [None; 2]);
            }
            Step::Feed(who, slot, feed, change) => self.feed(who, slot, feed, change),
            Step::Pace(who, pacing) => {
                let peer = self.peers.get_mut(&who).expect("somebody to send to");
                assert!(peer.slots.contains_key(&Downlink::Video), "no composite");
                assert_ne!(peer.pacing, pacing, "{who} is sent like this already");
                peer.pacing = pacing;
            }
            Step::Levels(who, rate) => {
                let peer = self.peers.get_mut(&who).expect("somebody to tell");
                assert_ne!(peer.levels, rate, "{who} is told like this already");
                peer.levels = rate;
            }
            Step::SetFec(output, protection) => {
                assert!(matches!(output, Output::Sound(_)), "{output:?} is no sound");
                let mixer = self.mixer();
                assert!(mixer.outputs.contains(&output), "{output:?} does not run");
                let old = mixer.fec.insert(output, protection);
                assert_ne!(old.unwrap_or_default(), protection, "{output:?} has this");
            }
            Step::Slots(who, table) => {
                let peer = self.peers.get_mut(&who).expect("somebody to tell");
                assert_ne!(
                    peer.table.as_ref(),
                    Some(&table),
                    "{who} knows this already"
                );
                peer.table = Some(table);
                self.tell(who);
            }
            Step::Uplinks(who, wanted) => {
                let peer = self.peers.get_mut(&who).expect("somebody to tell");
                assert_ne!(peer.wanted, wanted, "{who} knows this already");
                peer.wanted = wanted;
                self.tell(who);
            }
            Step::Capture(who, capture) => {
                self.peers.get_mut(&who).expect("a sender").capture = Some(capture);
                self.tell(who);
            }
            Step::StopOutput(output) => {
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(|slot| slot.fed != Some(Feed::Output(output))),
                    "{output:?} is in use"
                );
                let mut fed = self.recorders.values().flatten();
                assert!(
                    fed.all(|fed| *fed != Some(output)),
                    "{output:?} is recorded"
                );
                assert!(
                    self.mixer().outputs.remove(&output),
                    "{output:?} does not run"
                );
                self.mixer().fec.remove(&output);
            }
            Step::SetBitrate(output, bitrate) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let settings = &self.model.settings;
                match output {
                    Output::Video { rung, .. } => {
                        let spec = *settings.ladder.spec(rung).expect("a rung");
                        assert_eq!(spec.clamp(bitrate), bitrate, "within {spec:?}");
                    }
                    Output::Sound(_) => {
                        let sound = settings.audio_bitrate / 2..=settings.audio_bitrate;
                        assert!(sound.contains(&bitrate), "{bitrate} bit/s of sound");
                    }
                }
            }
            Step::StartOutput(output) => {
                assert!(
                    self.mixer().outputs.insert(output),
                    "{output:?} runs already"
                );
                if !self.mixer().broken && self.faults.remove(&Fault::Encoder) {
                    self.inputs.push_back(Input::OutputFailed(output));
                }
            }
            Step::AddSource(source, layer) => self.add_source(source, layer),
            Step::RemoveSource(source) => {
                let mixer = self.mixer();
                let mut tiles = mixer.scene.tiles.iter();
                let seen = tiles.any(|t| t.source == source && t.content == Content::Picture);
                assert!(!seen, "{source} is on the canvas");
                assert!(
                    mixer.sources.remove(&source).is_some(),
                    "{source} is not decoded"
                );
            }
            Step::SetName(who, name) => {
                let old = self.mixer().names.insert(who, name.clone());
                assert_ne!(old, Some(name), "{who} has this name already");
            }
            Step::ForgetName(who) => {
                let mixer = self.mixer();
                let mut tiles = mixer.scene.tiles.iter();
                assert!(
                    tiles.all(|t| t.source.participant != who),
                    "{who} is on the canvas"
                );
                assert!(mixer.names.remove(&who).is_some(), "{who} has no name");
            }
            Step::SetScene(scene) => self.set_scene(scene),
            Step::SetPressure(pressure) => {
                let old = std::mem::replace(&mut self.mixer().pressure, pressure);
                assert_ne!(old, pressure, "the mixer knows this already");
            }
            Step::StartRecorder(id) => {
                let old = self.recorders.insert(id.clone(), [None; 2]);
                assert_eq!(old, None, "{id} is being recorded already");
            }
            Step::FeedRecorder(id, output) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let fed = self.recorders.get_mut(&id).expect("a recorder");
                let place = usize::from(matches!(output, Output::Sound(_)));
                assert_ne!(fed[place], Some(output), "it is recorded already");
                fed[place] = Some(output);
            }
            Step::Track(id, source, feed) => {
                assert!(self.recorders.contains_key(&id), "{id} is not recorded");
                let key = (id, source);
                let before = match feed {
                    Some(feed) => self.tracks.insert(key, feed),
                    None => self.tracks.remove(&key),
                };
                assert_ne!(before, feed, "{source} is recorded already, or no more");
            }
            Step::StopRecorder(id) => {
                self.tracks.retain(|(of, _), _| *of != id);
                assert!(self.recorders.remove(&id).is_some(), "{id} is not recorded");
            }
        }
    }

    fn start_mixer(&mut self) {
        assert!(self.mixer.is_none(), "there is a mixer already");
        let broken = self.faults.remove(&Fault::Mixer);
        let mixer = Mixer {
            broken,
            ..Mixer::default()
        };
        self.mixer = Some(mixer);
        self.model.mixer_listens(self.now);
        if broken {
            self.inputs.push_back(Input::MixerFailed);
        }
    }

    fn mixer(&mut self) -> &mut Mixer {
        self.mixer.as_mut().expect("a mixer runs")
    }

    fn add_source(&mut self, source: SourceId, layer: usize) {
        let SourceId { participant, role } = source;
        let peer = self.peers.get(&participant).expect("somebody who sends");
        let tap = *peer.taps.get(&(role, layer)).expect("a tap to decode");
        assert!(tap > 0, "{source} has no tap yet");
        let dead = !self.mixer().broken && self.faults.remove(&Fault::Decoder);
        if dead {
            self.inputs.push_back(Input::SourceFailed(source));
        }
        let decoder = Decoder {
            layer,
            tap,
            dead,
            told: false,
            mixed: None,
        };
        let old = self.mixer().sources.insert(source, decoder);
        assert!(
            old.is_none_or(|old| old.dead || (old.layer, old.tap) != (layer, tap)),
            "{source} for nothing"
        );
        if role == Role::Mic && !dead && !self.mixer().broken {
            self.comes(Input::SourceMixed(source));
        }
    }

    fn feed(&mut self, who: ParticipantId, slot: Downlink, feed: Option<Feed>, change: Handoff) {
        match feed {
            None => {}
            Some(Feed::Output(output)) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let fits = matches!(
                    (slot, output),
                    (Downlink::Video, Output::Video { .. }) | (Downlink::Audio, Output::Sound(_))
                );
                assert!(fits, "{output:?} in {slot:?}");
            }
            Some(Feed::Uplink { source, layer, tap }) => {
                self.can_forward(who, slot, source, (layer, tap));
            }
        }
        let peer = self.peers.get_mut(&who).expect("a peer to feed");
        let state = peer.slots.get_mut(&slot).expect("a slot to feed");
        assert_ne!(state.fed, feed, "fed already");
        let paced = peer.pacing.is_some();
        if let Some(feed) = feed {
            let expected = expected_change(state.fed, feed, paced);
            assert_eq!(change, expected, "{:?} to {feed:?} of {who}", state.fed);
        }
        let goes_on = match (state.fed, feed) {
            // Another encoding of the same picture: the one before goes on until it is there.
            (
                Some(Feed::Uplink { source, layer, .. }),
                Some(Feed::Uplink {
                    source: s,
                    layer: l,
                    ..
                }),
            ) => source == s && layer != l,
            _ => false,
        };
        *state = Slot {
            fed: feed,
            opened: state.opened.filter(|_| goes_on),
        };
        let broken = self.mixer.as_ref().is_some_and(|mixer| mixer.broken);
        let dead = broken && matches!(feed, Some(Feed::Output(_)));
        if let Some(feed) = feed.filter(|_| !dead) {
            self.comes(Input::SlotOpened(who, slot, feed));
        }
    }

    /// An uplink goes to others only, as what it is, and from the newest tap.
    fn can_forward(
        &self,
        who: ParticipantId,
        slot: Downlink,
        source: SourceId,
        (layer, tap): (usize, u32),
    ) {
        let SourceId { participant, role } = source;
        assert_ne!(participant, who, "{who} gets their own {role}");
        let taps = &self.peers[&participant].taps;
        let newest = taps.get(&(role, layer));
        assert_eq!(newest, Some(&tap), "the newest tap of {source}");
        assert!(tap > 0, "{source} has no tap yet");
        let codec = self.model.people[&participant].uplinks[&role].codec;
        let downlinks = &self.model.people[&who].downlinks;
        match slot {
            Downlink::ForwardAudio(_) => assert_eq!(role, Role::Mic, "in {slot:?}"),
            Downlink::ForwardVideo(n) => {
                let known = Some(downlinks.forward_video[n].1);
                assert!(role != Role::Mic && codec == known, "{source} in {slot:?}");
            }
            Downlink::Video | Downlink::Audio => panic!("{source} in {slot:?}"),
        }
    }

    fn set_scene(&mut self, scene: Scene) {
        let mut mixed = Vec::new();
        let mixer = self.mixer();
        for tile in &scene.tiles {
            let who = tile.source.participant;
            assert!(
                mixer.names.contains_key(&who),
                "{who} has a tile and no name"
            );
            match mixer.sources.get_mut(&tile.source) {
                Some(decoder) => {
                    if !decoder.told && !decoder.dead && !mixer.broken {
                        mixed.push(Input::SourceMixed(tile.source));
                    }
                    decoder.told = true;
                }
                None => assert_eq!(tile.content, Content::Avatar, "{} is dark", tile.source),
            }
        }
        mixer.scene = scene;
        mixed.into_iter().for_each(|input| self.comes(input));
    }
}

/// How a slot gets from one feed to the next: the old one goes on while the new one is the same
/// picture or comes from the mixer, unless it is in the way on a link that is limited.
fn expected_change(before: Option<Feed>, feed: Feed, paced: bool) -> Handoff {
    match (before, feed) {
        (
            Some(Feed::Output(Output::Video { rung: before, .. })),
            Feed::Output(Output::Video { rung, .. }),
        ) if paced && rung > before => Handoff::AtOnce,
        (_, Feed::Output(_)) => Handoff::WhenReady,
        (
            Some(Feed::Uplink {
                source: before,
                layer: old,
                ..
            }),
            Feed::Uplink { source, layer, .. },
        ) if before == source && old != layer => Handoff::WhenReady,
        _ => Handoff::AtOnce,
    }
}

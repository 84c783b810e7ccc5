//! Which rung of the ladder each viewer of the composite is on, and the bitrates at which the
//! renditions are encoded; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::delivery_path::{MediaKind, Route};
use super::participant::Participant;
use super::pressure::RecordedOutputs;
use super::wiring::{Downlink, Feed, Rate, Wiring};
use super::{Settings, State};
use crate::codec::VideoCodec;
use crate::id::ParticipantId;
use crate::media::bwe::controller::{Budget, upper_median};
use crate::media::bwe::ladder::{Pace, Rung};
use crate::media::mixer::Output;
use crate::media::stream::pacer::Pacing;
use crate::protocol::recording::RecordingId;

/// Share of a rendition's bitrate that a viewer's link must carry for them to stay on it. With less
/// they move to the rung below.
const STAY_SHARE: f64 = 0.8;
/// Share of a rendition's bitrate that a viewer's link must carry for them to move to it. More than
/// [`STAY_SHARE`], so that nobody moves to and fro.
const JOIN_SHARE: f64 = 0.95;
/// Smallest relative change of a rendition's bitrate that is made. Smaller ones are not worth a new
/// setting of the encoder.
const MIN_RATE_CHANGE: f64 = 0.05;
/// Bitrate of the sound mix on a weak link, bit/s. It leaves half as much again to the smallest
/// picture, and speech is hardly worse.
const WEAK_LINK_AUDIO_BITRATE: u32 = 24_000;
/// Bitrate below which a link is weak, bit/s including RTP, UDP and IP headers. Sound for it is
/// encoded at [`WEAK_LINK_AUDIO_BITRATE`], and levels are told less often.
const WEAK_LINK: f64 = 180_000.0;
/// A mix that is encoded for a weak link stays so until every link of its listeners carries this,
/// bit/s with all headers.
const WEAK_LINK_RECOVERED: f64 = 240_000.0;
/// Longest time for which the pacer holds a packet of a moving picture back.
const MAX_PACING_DELAY: Duration = Duration::from_secs(2);

/// A viewer of the composite.
struct Viewer {
    who: ParticipantId,
    codec: VideoCodec,
    rung: Rung,
    /// What their link carries of the picture, bit/s; `None` without a limit.
    budget: Option<f64>,
}

impl State {
    /// The rendition that each viewer of the composite should get.
    pub(crate) fn desired_renditions(&self) -> BTreeMap<ParticipantId, Output> {
        let recorded = self.recorded_outputs();
        let mut viewers = self.viewers(&recorded);
        for (rung, spec) in self.settings.ladder.rungs() {
            let below = rung.below();
            if below >= self.settings.ladder.still() {
                // There is no moving picture below.
                break;
            }
            for codec in [VideoCodec::H264, VideoCodec::Vp8] {
                let here = |viewer: &&Viewer| viewer.rung == rung && viewer.codec == codec;
                let output = Output::Video { codec, rung };
                // A recording is a viewer whose link carries anything.
                let recordings = recorded.values().filter(|used| **used == output);
                let watching = viewers.iter().filter(here).map(|viewer| viewer.budget);
                let mut budgets: Vec<_> = watching.chain(recordings.map(|_| None)).collect();
                let most = f64::from(spec.most);
                let Some(shared) = upper_median(&mut budgets) else {
                    continue;
                };
                let shared = shared.map_or(most, |bits| bits.min(most));
                for viewer in viewers.iter_mut().filter(|viewer| here(&&**viewer)) {
                    let fed = self.feed_of(viewer.who, Downlink::Video);
                    let least = match fed == Some(Feed::Output(output)) {
                        true => shared * STAY_SHARE,
                        false => shared * JOIN_SHARE,
                    };
                    if viewer.budget.is_some_and(|bits| bits < least) {
                        viewer.rung = below;
                    }
                }
            }
        }
        viewers
            .into_iter()
            .map(|viewer| {
                let Viewer {
                    who, codec, rung, ..
                } = viewer;
                let rung = self.permitted(codec, rung, &recorded);
                let rung = self.nearest_that_works(codec, rung);
                (who, Output::Video { codec, rung })
            })
            .collect()
    }

    fn viewers(&self, recorded: &RecordedOutputs) -> Vec<Viewer> {
        let viewer = |(who, participant): (&ParticipantId, &Participant)| {
            let codec = participant.downlinks.mix_video?;
            participant.picture_path.uses(Route::Mix).then(|| Viewer {
                who: *who,
                codec,
                rung: self.permitted(codec, self.rung_of(participant), recorded),
                budget: participant
                    .link
                    .budget()
                    .for_picture(self.sound_of(*who, participant)),
            })
        };
        self.participants.iter().filter_map(viewer).collect()
    }

    /// The best rung for a participant by the limits they asked for and by their link.
    fn rung_of(&self, participant: &Participant) -> Rung {
        let Settings {
            ladder,
            audio_bitrate,
            ..
        } = &self.settings;
        let wanted = ladder.best(&participant.limits, *audio_bitrate);
        wanted.max(participant.link.rung())
    }

    /// Bitrate of the sound mix that a participant gets now, bit/s.
    fn sound_of(&self, who: ParticipantId, participant: &Participant) -> u32 {
        self.sound_in(&self.wired, who, participant)
    }

    /// Bitrate of the sound mix that a participant gets by `wiring`, bit/s; 0 without a slot for
    /// it.
    fn sound_in(&self, wiring: &Wiring, who: ParticipantId, participant: &Participant) -> u32 {
        let rate = match wiring.feeds.get(&(who, Downlink::Audio)) {
            Some(Feed::Output(mix)) => wiring.rate_of(*mix),
            _ => None,
        };
        match participant.downlinks.mix_audio {
            true => rate.unwrap_or(self.settings.audio_bitrate),
            false => 0,
        }
    }

    /// Bitrate of the sound mix that a participant would get on a weak link, bit/s; 0 without a
    /// slot for it.
    pub(crate) fn min_sound_of(&self, participant: &Participant) -> u32 {
        match participant.downlinks.mix_audio {
            true => self.weak_link_audio_bitrate(),
            false => 0,
        }
    }

    fn weak_link_audio_bitrate(&self) -> u32 {
        self.settings.audio_bitrate.min(WEAK_LINK_AUDIO_BITRATE)
    }

    /// Participants with a weak link, on which each packet counts.
    pub(crate) fn weak_links(&self) -> BTreeSet<ParticipantId> {
        let weak =
            |participant: &Participant| participant.link.budget() < Budget::Limited(WEAK_LINK);
        let people = self
            .participants
            .iter()
            .filter(|(_, participant)| weak(participant));
        people.map(|(who, _)| *who).collect()
    }

    /// Bitrate at which an output is encoded now, bit/s. `None` if it does not run.
    fn rate_of(&self, output: Output) -> Option<u32> {
        self.wired.rate_of(output)
    }

    /// `rung`, or the nearest one whose encoder has not just failed: first below, then above.
    pub(crate) fn nearest_that_works(&self, codec: VideoCodec, rung: Rung) -> Rung {
        let works = |rung: &Rung| {
            let output = Output::Video { codec, rung: *rung };
            !self.failed_outputs.contains_key(&output)
        };
        let ladder = &self.settings.ladder;
        let below = ladder.rungs().map(|(r, _)| r).filter(|r| *r >= rung);
        let above = ladder.rungs().map(|(r, _)| r).rev().filter(|r| *r < rung);
        below.chain(above).find(works).unwrap_or(rung)
    }

    /// The bitrate of each output, given who gets which. An output that nobody gets keeps its
    /// bitrate.
    pub(crate) fn desired_rates<'a>(
        &self,
        outputs: impl Iterator<Item = &'a Output>,
        feeds: &BTreeMap<(ParticipantId, Downlink), Output>,
        recorded: &BTreeMap<(RecordingId, MediaKind), Output>,
    ) -> BTreeMap<Output, Rate> {
        let rate = |output: &Output| {
            let fed = |(_, fed): &(_, &Output)| *fed == output;
            let mut fed = feeds.iter().filter(fed).map(|((who, _), _)| *who);
            let recordings = recorded.values().filter(|used| *used == output).count();
            let rate = match output {
                Output::Video { rung, .. } => {
                    self.picture_rate(*output, *rung, &mut fed, recordings)?
                }
                Output::Sound(_) => self.sound_rate(*output, &mut fed),
            };
            Some((*output, rate))
        };
        outputs.filter_map(rate).collect()
    }

    /// The bitrate of a sound mix: that of its weakest listener. A second encoding for the others
    /// would cost more than they lose.
    fn sound_rate(&self, mix: Output, heard_by: &mut dyn Iterator<Item = ParticipantId>) -> Rate {
        let (full, lean) = (self.settings.audio_bitrate, self.weak_link_audio_bitrate());
        let weak = match self.rate_of(mix) {
            Some(was) if was < full => WEAK_LINK_RECOVERED,
            _ => WEAK_LINK,
        };
        let is_weak = |participant: &Participant| participant.link.budget() < Budget::Limited(weak);
        let mut people = heard_by.filter_map(|who| self.participants.get(&who));
        Rate {
            now: if people.any(is_weak) { lean } else { full },
            first: full,
        }
    }

    fn picture_rate(
        &self,
        output: Output,
        rung: Rung,
        watched_by: &mut dyn Iterator<Item = ParticipantId>,
        recordings: usize,
    ) -> Option<Rate> {
        let spec = self.settings.ladder.spec(rung)?;
        let was = self.rate_of(output);
        let mut budgets: Vec<Option<f64>> = watched_by
            .filter_map(|who| Some((who, self.participants.get(&who)?)))
            .map(|(who, participant)| {
                participant
                    .link
                    .budget()
                    .for_picture(self.sound_of(who, participant))
            })
            .chain(std::iter::repeat_n(None, recordings))
            .collect();
        let wanted = match upper_median(&mut budgets) {
            None => was.unwrap_or(spec.most),
            Some(None) => spec.most,
            Some(Some(bits)) => spec.clamp(bits as u32),
        };
        let is_end = wanted == spec.least || wanted == spec.most;
        let little = |was: u32| {
            let change = f64::from(wanted.abs_diff(was));
            !is_end && change < MIN_RATE_CHANGE * f64::from(was)
        };
        Some(Rate {
            now: was.filter(|was| little(*was)).unwrap_or(wanted),
            first: spec.most,
        })
    }

    /// The rung of the composite that a participant gets; `None` if they do not get it.
    pub(crate) fn watched_rung(&self, who: ParticipantId) -> Option<Rung> {
        match self.feed_of(who, Downlink::Video)? {
            Feed::Output(Output::Video { rung, .. }) => Some(rung),
            _ => None,
        }
    }

    /// Pacing of the composite by `next`, per participant. Without an entry, packets go out as they
    /// come.
    pub(crate) fn desired_pacing(&self, next: &Wiring) -> BTreeMap<ParticipantId, Pacing> {
        let composite = |participant: &Participant| participant.downlinks.mix_video.is_some();
        let viewers = self
            .participants
            .iter()
            .filter(|(_, participant)| composite(participant));
        let pacing = viewers.filter_map(|(who, participant)| {
            let pacing = self.pacing_in(next, *who, participant)?;
            Some((*who, pacing))
        });
        pacing.collect()
    }

    fn pacing_in(
        &self,
        next: &Wiring,
        who: ParticipantId,
        participant: &Participant,
    ) -> Option<Pacing> {
        let rate = participant
            .link
            .pace(self.sound_in(next, who, participant))?;
        let rung = match next.feeds.get(&(who, Downlink::Video)) {
            Some(Feed::Output(Output::Video { rung, .. })) => Some(*rung),
            _ => None,
        };
        let spec = rung.and_then(|rung| self.settings.ladder.spec(rung));
        Some(match spec.map(|spec| spec.pace) {
            // There is time until the next one, and no hurry for which sound should suffer. A line
            // for sound alone is long in draining, and drops packets as large as a picture's until
            // it has.
            Some(Pace::Still(every)) => Pacing {
                rate: if participant.link.is_draining() {
                    0
                } else {
                    rate
                },
                within: every * 4 / 5,
            },
            Some(Pace::Fps(_)) | None => Pacing {
                rate,
                within: MAX_PACING_DELAY,
            },
        })
    }

    /// What a participant may be sent by their link; [`Budget::Free`] for an unknown one.
    pub fn budget_of(&self, who: ParticipantId) -> Budget {
        let participant = self.participants.get(&who);
        participant.map_or(Budget::Free, |participant| participant.link.budget())
    }

    /// Number of slots that an encoding of the mixer feeds.
    pub(crate) fn viewers_of(&self, output: Output) -> usize {
        let fed = self.wired.feeds.values();
        fed.filter(|feed| **feed == Feed::Output(output)).count()
    }
}

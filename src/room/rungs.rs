//! Which rung of the ladder each viewer of the composite is on; pure.

use super::person::Person;
use super::state::{Settings, State};
use super::wiring::Feed;
use crate::media::ladder::Rung;
use crate::media::mixer::Output;

impl State {
    /// The rung somebody should be on.
    pub(super) fn rung_of(&self, person: &Person) -> Rung {
        let Settings {
            ladder,
            audio_bitrate,
            ..
        } = &self.settings;
        ladder.best(&person.limits, *audio_bitrate)
    }

    /// How many slots an encoding feeds.
    pub(super) fn viewers_of(&self, output: Output) -> usize {
        let fed = self.wired.feeds.values();
        fed.filter(|feed| **feed == Feed::Output(output)).count()
    }
}

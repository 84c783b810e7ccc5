//! Discontinuous transmission (DTX) of a mix: while nobody speaks, hardly anything is sent.
//!
//! libopus has its own, which needs an analysis that costs as much as the encoding itself. Here it
//! is simple: a mix in which nobody is heard is zeros. Of the first packet of a pause its first byte
//! alone is sent: a frame of no bytes, by which a receiver tells a pause from loss (RFC 7587 section
//! 3.1.3, RFC 6716 section 3.2.1). Packets are numbered behind it, so none seems to be lost. Pure.
//!
//! Silence is recognised in what the encoder is given, and is not encoded. Packets would not show
//! it: of zeros libopus makes three bytes as CELT, but thirty with forward error correction.

/// Packets of silence that are still sent before a pause: 200 ms, so that a breath is not a pause.
const HANGOVER_PACKETS: u32 = 10;

/// Amplitude below which a sample is silence: half of the least that 16 bits can say. What is left of
/// a voice that was subtracted is less.
const INAUDIBLE: f32 = 0.5 / 32_768.0;

/// In a pause one packet of so many is sent, five a second. So a new receiver gets a first packet
/// soon, and a receiver that watches for silence does not take the pause for the end.
const KEEPALIVE_EVERY: u32 = 10;

/// What is done with a packet that the encoder made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is sent as it is.
    Send,
    /// Its first byte is sent: a frame of no bytes, which says that there is a pause.
    SendEmpty,
    /// It is left out.
    Suppress,
}

/// Counts the blocks of silence in a row.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    /// Blocks of silence since the last one with sound.
    silent: u32,
}

impl Silence {
    /// Looks at the next block of samples.
    pub(crate) fn observe(&mut self, block: &[f32]) {
        self.silent = match block.iter().all(|sample| sample.abs() < INAUDIBLE) {
            true => self.silent.saturating_add(1),
            false => 0,
        };
    }

    /// What to do with the packet that is made of it.
    pub(crate) fn action(&self) -> Action {
        match self.silent.checked_sub(HANGOVER_PACKETS + 1) {
            None => Action::Send,
            Some(paused) if paused % KEEPALIVE_EVERY == 0 => Action::SendEmpty,
            Some(_) => Action::Suppress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_late_ends_at_once_and_is_not_forgotten() {
        let mut silence = Silence::default();
        let mut next = |block: &[f32]| {
            silence.observe(block);
            silence.action()
        };
        let mut silent = |n: usize| -> Vec<Action> { (0..n).map(|_| next(&[0.0; 8])).collect() };
        assert_eq!(silent(10), [Action::Send; 10]);
        assert_eq!(silent(1), [Action::SendEmpty]);
        assert_eq!(silent(9), [Action::Suppress; 9]);
        assert_eq!(silent(2), [Action::SendEmpty, Action::Suppress]);
        assert_eq!(next(&[0.0, 0.0, 1e-4, 0.0]), Action::Send);
        assert_eq!(next(&[0.0; 8]), Action::Send, "begins anew");
    }
}

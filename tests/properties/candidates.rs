//! Who is decoded, under random levels: never more than there are places, and nobody who speaks waits
//! for one that is free.

use proptest::collection::vec;
use proptest::prelude::*;
use tessera::media::mixer::audio::candidates::{CANDIDATE, Claim, MAX_VOICES, Standing, choose};

/// What one person does in a beat.
#[derive(Debug, Clone, Copy)]
enum Packet {
    /// Nothing comes.
    None,
    /// A packet of this level, -dBov.
    Says(u8),
    /// A packet that says nothing.
    Unsaid,
}

fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        1 => Just(Packet::None),
        4 => (0u8..=127).prop_map(Packet::Says),
        4 => (90u8..=127).prop_map(Packet::Says),
    ]
}

/// People who say nothing send packets that say nothing.
fn people() -> impl Strategy<Value = Vec<Vec<Packet>>> {
    let says = vec(packet(), 1..200);
    let silent = vec(
        prop_oneof![Just(Packet::None), Just(Packet::Unsaid)],
        1..200,
    );
    vec(prop_oneof![4 => says, 1 => silent], 1..30)
}

struct Room(Vec<(Claim, bool)>);

impl Room {
    /// One beat, in which everybody who is decoded and loud is heard if `honest`.
    fn beat(&mut self, packets: &[Packet], honest: bool) -> Vec<(Standing, bool)> {
        for ((claim, _), packet) in self.0.iter_mut().zip(packets) {
            match packet {
                Packet::None => {}
                Packet::Says(level) => claim.packet(Some(*level)),
                Packet::Unsaid => claim.packet(None),
            }
        }
        let standings: Vec<(Standing, bool)> = self
            .0
            .iter()
            .map(|(claim, decoded)| (claim.standing(false), *decoded))
            .collect();
        let chosen = choose(&standings);
        let mut all = Vec::new();
        for (n, (claim, decoded)) in self.0.iter_mut().enumerate() {
            *decoded = chosen[n];
            let heard = honest && *decoded && matches!(standings[n].0, Standing::Loud(_));
            claim.beat(*decoded, heard);
            all.push((standings[n].0, *decoded));
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_more_than_six_are_decoded_besides_those_who_say_nothing(
        people in people(), honest in any::<bool>(),
    ) {
        let mut room = Room(vec![(Claim::default(), false); people.len()]);
        for beat in 0..people.iter().map(Vec::len).max().unwrap_or_default() {
            let now: Vec<Packet> = people
                .iter()
                .map(|packets| packets.get(beat).copied().unwrap_or(Packet::None))
                .collect();
            let all = room.beat(&now, honest);
            let by_level = all.iter().filter(|(s, decoded)| *decoded && *s != Standing::Unsaid);
            prop_assert!(by_level.count() <= MAX_VOICES);
            for (standing, decoded) in &all {
                match standing {
                    Standing::Unsaid => prop_assert!(decoded),
                    Standing::Silent => prop_assert!(!decoded),
                    _ => {}
                }
            }
            // Nobody is left out for somebody of lower standing.
            let lowest = all.iter().filter(|(_, decoded)| *decoded).map(|(s, _)| class(*s)).min();
            let left_out = all.iter().filter(|(s, d)| !d && *s != Standing::Silent);
            for (standing, _) in left_out {
                prop_assert!(Some(class(*standing)) <= lowest);
            }
        }
    }

    /// Whatever was before, with their first loud packet, as long as fewer than six others speak.
    #[test]
    fn a_speaker_is_a_candidate_with_their_first_packet(
        people in vec(vec(packet(), 60..100), 1..12),
        others in 0usize..MAX_VOICES,
        level in 0u8..(-CANDIDATE) as u8,
    ) {
        let mut room = Room(vec![(Claim::default(), false); people.len()]);
        let beats = people.iter().map(Vec::len).min().unwrap_or_default();
        for beat in 0..beats {
            let now: Vec<Packet> = people.iter().map(|packets| packets[beat]).collect();
            room.beat(&now, true);
        }
        // It is quiet until all have been forgotten, but for as many as do not fill the places.
        let others = others.min(people.len() - 1);
        let now: Vec<Packet> = (0..people.len())
            .map(|n| Packet::Says(if n < others { 20 } else { 127 }))
            .collect();
        for _ in 0..60 {
            room.beat(&now, true);
        }
        let mut now = now;
        *now.last_mut().expect("somebody") = Packet::Says(level);
        let all = room.beat(&now, true);
        prop_assert!(all.last().is_some_and(|(_, decoded)| *decoded), "{all:?}");
    }
}

/// A standing without its level.
fn class(standing: Standing) -> u8 {
    match standing {
        Standing::Silent => 0,
        Standing::Doubted(_) => 1,
        Standing::Recent => 2,
        Standing::Loud(_) => 3,
        Standing::Heard => 4,
        Standing::Unsaid => 5,
    }
}

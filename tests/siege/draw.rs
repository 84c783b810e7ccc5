//! What is drawn: damage to bytes, to text and to JSON, all of it from one seed.

use std::net::{IpAddr, Ipv4Addr};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::damage::{Damage, KINDS};

/// Numbers at the edges of types.
const NUMBERS: [i64; 10] = [
    0,
    -1,
    1,
    255,
    65_535,
    65_536,
    0x7fff_ffff,
    0x1_0000_0000,
    i64::MAX,
    i64::MIN,
];

/// One source of chance.
pub(crate) struct Draw(StdRng);

impl Draw {
    /// The `number`-th of those that a seed makes.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(StdRng::seed_from_u64(
            seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// Another one, so that what goes on beside does not change what is drawn here.
    pub(crate) fn fork(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.0.random()))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n.max(1))
    }

    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_ratio(percent, 100)
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.0.random()
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn noise(&mut self, most: usize) -> Vec<u8> {
        let mut noise = vec![0; self.below(most)];
        self.0.fill(&mut noise[..]);
        noise
    }

    /// One of a few addresses of this machine, each a client of its own to the server.
    pub(crate) fn address(&mut self) -> IpAddr {
        let last = u8::try_from(1 + self.below(8)).expect("a small number");
        Ipv4Addr::new(127, 0, 77, last).into()
    }

    /// Bytes with one to four damages.
    pub(crate) fn damaged(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let damage = Damage {
                kind: self.0.random_range(0..KINDS),
                at: [self.number() as usize, self.number() as usize],
                byte: self.0.random(),
            };
            damage.apply(&mut bytes);
        }
        bytes
    }

    /// Lines of which some are gone, said twice, swapped, or have another number in them.
    pub(crate) fn damaged_lines(&mut self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..=self.below(4) {
            if lines.is_empty() {
                break;
            }
            let (one, other) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(5) {
                0 => drop(lines.remove(one)),
                1 => lines.insert(other, lines[one].clone()),
                2 => lines.swap(one, other),
                3 => lines[one] = self.renumbered(&lines[one].clone()),
                _ => lines[one] = self.damaged_text(&lines[one].clone()),
            }
        }
        lines.join("\r\n") + "\r\n"
    }

    /// Text with damages, read as UTF-8 again.
    pub(crate) fn damaged_text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.damaged(text.as_bytes())).into_owned()
    }

    /// The text with another number in place of one of its own.
    fn renumbered(&mut self, text: &str) -> String {
        let digits = |c: char| c.is_ascii_digit();
        let Some(from) = text.find(digits) else {
            return text.to_owned();
        };
        let until = text[from..]
            .find(|c| !digits(c))
            .map_or(text.len(), |n| from + n);
        let number = *self.one(&NUMBERS);
        format!("{}{number}{}", &text[..from], &text[until..])
    }

    /// JSON in which one value is another, or its text damaged.
    pub(crate) fn damaged_json(&mut self, seed: &Value) -> String {
        if self.percent(30) {
            return self.damaged_text(&seed.to_string());
        }
        let mut value = seed.clone();
        let place = self.place_in(&mut value);
        *place = self.other(place);
        value.to_string()
    }

    /// Some value within a value.
    fn place_in<'a>(&mut self, value: &'a mut Value) -> &'a mut Value {
        let within = match value {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if within == 0 || self.percent(10) {
            return value;
        }
        let n = self.below(within);
        let below = match value {
            Value::Object(fields) => fields.values_mut().nth(n),
            Value::Array(items) => items.get_mut(n),
            _ => None,
        };
        self.place_in(below.expect("one of those within"))
    }

    fn other(&mut self, value: &Value) -> Value {
        match (self.below(9), value) {
            (0, _) => Value::Null,
            (1, _) => json!(self.percent(50)),
            (2, _) => json!(self.one(&NUMBERS)),
            (3, _) => json!([value, value]),
            (4, _) => json!({"type": value}),
            (5, _) => json!("x".repeat(self.below(70_000))),
            (6, _) => json!("\u{202e}\u{0}\u{feff}é😀"),
            (_, Value::String(text)) if self.percent(50) => json!(self.damaged_text(text)),
            (_, Value::String(text)) => json!(self.renumbered(text)),
            (_, Value::Number(_)) => json!(f64::from(self.number()) / 3.0),
            _ => json!(""),
        }
    }
}

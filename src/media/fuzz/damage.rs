//! What is done to the bytes of a seed: pure, whatever draws it.

/// Kinds of [`Damage`].
pub const KINDS: u8 = 7;
/// Bytes from which on a seed does not grow any more.
const LARGE: usize = 64 * 1024;

/// One change of some bytes. Any values are good.
#[derive(Debug, Clone, Copy)]
pub struct Damage {
    /// A byte set, a bit flipped, a stretch left out, said twice, put elsewhere or cut off, or a byte
    /// put in; one of [`KINDS`].
    pub kind: u8,
    /// Where, and the other end of a stretch; each is taken within the bytes.
    pub at: [usize; 2],
    /// The byte, or the bit.
    pub byte: u8,
}

impl Damage {
    /// Changes `bytes`; without any it does nothing.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let [one, other] = self.at.map(|at| at % bytes.len());
        let (from, to) = (one.min(other), one.max(other));
        match self.kind % KINDS {
            0 => bytes[one] = self.byte,
            1 => bytes[one] ^= 1 << (self.byte % 8),
            2 => drop(bytes.drain(from..to)),
            3 if bytes.len() < LARGE => {
                let stretch = bytes[from..to].to_vec();
                bytes.splice(to..to, stretch);
            }
            4 => bytes.rotate_left(one),
            5 => bytes.truncate(one),
            _ => bytes.insert(one, self.byte),
        }
    }
}

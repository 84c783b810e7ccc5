//! Modes and the path arithmetic that goes with them; pure.

use serde::{Deserialize, Serialize};

/// How a room's media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decoded, composited and mixed here (RFC 7667 section 3.6, Topo-Mixer).
    Mcu,
    /// Packets forwarded unchanged (RFC 7667 section 3.7, Topo-SFM).
    Sfu,
    /// Between the participants themselves; the server only signals.
    P2p,
}

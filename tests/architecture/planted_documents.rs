//! What documents name wrongly is found, and nothing else.

use super::documents::{missing, unknown};
use super::files::Files;

#[test]
fn what_is_not_there_is_found() {
    let documents = Files::from([
        (
            "docs/BWE.md",
            "`src/lib.rs` `media/bwe` `bwe/nothing` [a](TURN.md#a) [b](NONE.md)\n\
             ```\n`src/none.rs`\n```\n`Step::Feed` `Step::Go` `DWELL` `REST` `x::y`",
        ),
        ("docs/PROTOCOL.md", "`rooms/stats` [c](https://example.org)"),
    ]);
    assert_eq!(
        missing(&documents),
        [
            "docs/BWE.md: no bwe/nothing",
            "docs/BWE.md: a link to NONE.md, which is not there"
        ]
    );
    let sources = Files::from([(
        "src/room/state/wiring.rs",
        "enum Step {\n    Feed(u8),\n}\nconst DWELL: u8 = 1;",
    )]);
    let unknown = unknown(&documents, &sources);
    assert_eq!(
        unknown,
        ["docs/BWE.md: no Step::Go", "docs/BWE.md: no REST"]
    );
}

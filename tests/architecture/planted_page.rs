//! The rules of the page find what is planted for them, and nothing else.

use super::files::Files;
use super::page::imports;
use super::rules;

fn page<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
    let mut page = Files::from(files);
    let named = std::mem::take(&mut page.0).into_iter();
    page.0 = named
        .map(|(path, text)| (format!("assets/js/{path}"), text))
        .collect();
    rules::page(&imports(&page))
}

#[test]
fn an_import_from_above_or_beside_is_found_however_it_is_written() {
    for import in [
        "import { Chat } from '../ui/chat.js';",
        "import {\n  Chat,\n} from \"../ui/chat.js\";",
        "import '../ui/chat.js';",
        "export { Chat } from '../ui/chat.js';",
        "const { Chat } = await import('../ui/chat.js');",
        "/* it's */ import '../ui/chat.js'; // import '../main.js'",
    ] {
        let wrong = page([("call/peer.js", import), ("ui/chat.js", "")]);
        let up = "assets/js/call/peer.js -> assets/js/ui/chat.js: \
            runs up from floor call to floor ui";
        assert_eq!(wrong, [up], "{import}");
    }
    let wrong = page([(
        "call/a.js",
        "import '../playback/b.js'; import '../c.js'; import './d.js'",
    )]);
    let beside = [
        "assets/js/call/a.js -> assets/js/c.js: c.js stands on no floor",
        "assets/js/call/a.js -> assets/js/playback/b.js: \
            runs sideways from floor call to floor playback",
    ];
    assert_eq!(wrong, beside);
}

#[test]
fn a_circle_of_scripts_is_found() {
    let wrong = page([
        ("main.js", "import './ui/a.js';"),
        ("ui/a.js", "import './b.js'; import '../base/dom.js';"),
        ("ui/b.js", "import './a.js';"),
    ]);
    let circle = "2 files use each other in a circle:\
        \n    assets/js/ui/a.js -> assets/js/ui/b.js (./b.js)\
        \n    assets/js/ui/b.js -> assets/js/ui/a.js (./a.js)";
    assert_eq!(wrong, [circle]);
}

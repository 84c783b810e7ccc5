//! What may be a display name; pure.
//!
//! A name that looks like another one, or like none, makes its bearer pass for somebody else. What
//! is refused is what cannot be seen or moves what stands beside it: control characters, marks of
//! direction, line ends, and most of what Unicode calls `Default_Ignorable_Code_Point` (Unicode
//! 16.0, `DerivedCoreProperties.txt`). What joins the letters of some scripts and the parts of an
//! emoji stays allowed, beside something that is seen.

use std::ops::RangeInclusive;

use crate::signalling::error::ApiError;

/// Longest display name that is accepted, in characters.
pub(in crate::signalling) const NAME_LIMIT: usize = 64;

/// What no name has. Control characters (`char::is_control`) are not repeated here.
const REFUSED: &[RangeInclusive<char>] = &[
    '\u{ad}'..='\u{ad}',       // soft hyphen
    '\u{34f}'..='\u{34f}',     // combining grapheme joiner
    '\u{61c}'..='\u{61c}',     // Arabic letter mark
    '\u{115f}'..='\u{1160}',   // Hangul fillers
    '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
    '\u{180e}'..='\u{180e}',   // Mongolian vowel separator
    '\u{200b}'..='\u{200b}',   // zero width space
    '\u{200e}'..='\u{200f}',   // left-to-right and right-to-left mark
    '\u{2028}'..='\u{202e}', // line and paragraph separator, embeddings and overrides of direction
    '\u{2060}'..='\u{206f}', // word joiner, invisible operators, isolates of direction
    '\u{3164}'..='\u{3164}', // Hangul filler
    '\u{feff}'..='\u{feff}', // byte order mark
    '\u{ffa0}'..='\u{ffa0}', // halfwidth Hangul filler
    '\u{fff0}'..='\u{fffc}', // specials: interlinear annotation, object replacement
    '\u{1bca0}'..='\u{1bca3}', // shorthand format controls
    '\u{1d173}'..='\u{1d17a}', // musical format controls
    '\u{e0000}'..='\u{e00ff}', // tags
    '\u{e01f0}'..='\u{e0fff}', // reserved for more of these
];

/// What is allowed beside something that is seen, and cannot be seen itself.
const UNSEEN: &[RangeInclusive<char>] = &[
    '\u{180b}'..='\u{180f}',   // Mongolian variation selectors
    '\u{200c}'..='\u{200d}',   // zero width non-joiner and joiner
    '\u{2800}'..='\u{2800}',   // a Braille pattern without dots
    '\u{fe00}'..='\u{fe0f}',   // variation selectors
    '\u{e0100}'..='\u{e01ef}', // variation selectors of ideographs
];

/// The display name in `text`, without the white space around it.
///
/// # Errors
/// [`ApiError::BadName`] unless it has 1 to 64 characters, all of them allowed and one of them seen.
pub(in crate::signalling) fn display_name(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    let fits = (1..=NAME_LIMIT).contains(&name.chars().count());
    let is_in = |table: &[RangeInclusive<char>], c| table.iter().any(|range| range.contains(&c));
    let is_refused = |c: char| c.is_control() || is_in(REFUSED, c);
    let is_seen = |c: char| !c.is_whitespace() && !is_in(UNSEEN, c);
    if fits && !name.chars().any(is_refused) && name.chars().any(is_seen) {
        Ok(name.to_owned())
    } else {
        Err(ApiError::BadName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_people_pass() {
        for name in [
            "Ann \u{e4}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}", // Persian, with a non-joiner
            "\u{5d3}\u{5d5}\u{5d3}",
            "\u{91c}\u{94d}\u{200d}\u{91e}",
            "\u{d55c}\u{ae00}",
            "\u{1f469}\u{200d}\u{1f4bb}",
            "\u{2764}\u{fe0f}",
            "O\u{2019}Neil \u{2013} 3",
            &"\u{1f600}".repeat(64),
        ] {
            assert_eq!(display_name(name), Ok(name.to_owned()), "{name:?}");
        }
        assert_eq!(display_name("  Ann\u{3000}"), Ok("Ann".into()));
    }

    #[test]
    fn what_is_unseen_or_turns_the_line_does_not() {
        for bad in [
            "",
            "   ",
            "\u{a0}\u{3000}",
            "a\u{0}b",
            "a\nb",
            "a\u{1b}[2J",
            "\u{202e}nnA",
            "Ann\u{202c}",
            "Ann\u{2066}x\u{2069}",
            "Ann\u{200f}",
            "Ann\u{61c}",
            "\u{200b}\u{200b}",
            "A\u{200b}nn",
            "\u{200d}",
            "\u{200c}\u{200d}\u{fe0f}",
            "\u{feff}Ann",
            "\u{3164}",
            "\u{1160}\u{115f}",
            "\u{ffa0}",
            "\u{2800}\u{2800}",
            "Ann\u{e0041}",
            "\u{1f3f4}\u{e0067}\u{e007f}",
            "a\u{2028}b",
            "a\u{2029}b",
            "Ann\u{2060}",
            "A\u{ad}nn",
            &"x".repeat(65),
        ] {
            assert_eq!(display_name(bad), Err(ApiError::BadName), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_trimmed_and_passes_again(text in "\\PC{0,70}") {
            if let Ok(name) = display_name(&text) {
                prop_assert_eq!(name.trim(), &name);
                prop_assert_eq!(display_name(&name), Ok(name));
            }
        }
    }
}

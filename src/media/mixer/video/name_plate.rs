//! The name plate of a participant: the label with their name, and the initials and the colour of
//! their avatar. Drawn once per name by Pango, through `pipelines/card.launch`.

use std::time::Duration;

use gst::prelude::*;

use super::picture::{Mask, Plane, Yuv};
use crate::id::ParticipantId;
use crate::layout::Size;
use crate::media::gst::pipeline::{Pipeline, PipelineError};
use crate::media::gst::template::{Templates, Value};

/// How long a text may take to be drawn. It takes milliseconds, except on a machine in trouble.
const DEADLINE: Duration = Duration::from_secs(2);

/// Background colours of avatars, RGB: dark enough for white letters, and easy to tell apart.
const PALETTE: [[u8; 3]; 10] = [
    [0x2f, 0x5d, 0x8a],
    [0x8a, 0x3b, 0x4a],
    [0x3b, 0x7a, 0x57],
    [0x6b, 0x4a, 0x8f],
    [0x9a, 0x62, 0x2c],
    [0x2b, 0x78, 0x83],
    [0x83, 0x3f, 0x78],
    [0x5d, 0x6b, 0x2f],
    [0x4a, 0x52, 0x9a],
    [0x7a, 0x50, 0x42],
];

/// A participant's label, initials and colour.
#[derive(Debug, Clone)]
pub(crate) struct NamePlate {
    /// The name, in one line.
    pub label: Mask,
    /// Whose the screen is, in one line.
    pub screen_label: Mask,
    /// One or two letters of the name.
    pub initials: Mask,
    /// The colour behind the initials.
    pub ground: Yuv,
}

impl NamePlate {
    /// Draws the name plate of `who`, called `name`. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`PipelineError`] when the template does not run; use [`NamePlate::blank`] then.
    pub(crate) fn render(
        templates: &Templates,
        who: ParticipantId,
        name: &str,
    ) -> Result<Self, PipelineError> {
        let label = Size {
            width: 1024,
            height: 40,
        };
        let initials = Size {
            width: 512,
            height: 200,
        };
        Ok(Self {
            label: text(templates, name, label, 20)?,
            screen_label: text(templates, &format!("{name}\u{2019}s screen"), label, 20)?,
            initials: text(templates, &self::initials(name), initials, 96)?,
            ground: ground(who),
        })
    }

    /// A name plate with a colour and without text.
    pub(crate) fn blank(who: ParticipantId) -> Self {
        Self {
            label: Mask::default(),
            screen_label: Mask::default(),
            initials: Mask::default(),
            ground: ground(who),
        }
    }
}

fn ground(who: ParticipantId) -> Yuv {
    let index = who.ordinal() as usize % PALETTE.len();
    Yuv::from_rgb(PALETTE.get(index).copied().unwrap_or_default())
}

/// The first letters of the first and the last word of a name, in capitals.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    first
        .into_iter()
        .chain(last)
        .flat_map(char::to_uppercase)
        .collect()
}

/// Draws one line of text as a mask.
fn text(templates: &Templates, line: &str, size: Size, points: u64) -> Result<Mask, PipelineError> {
    let description = templates
        .fill(
            "card",
            &[
                ("width", Value::Int(u64::from(size.width))),
                ("height", Value::Int(u64::from(size.height))),
                ("points", Value::Int(points)),
            ],
        )
        .unwrap_or_default();
    let pipeline = Pipeline::parse("card", &description)?;
    // textoverlay reads its text as Pango markup.
    let markup = gst::glib::markup_escape_text(line);
    pipeline
        .element::<gst::Element>("text")?
        .set_property("text", markup.as_str());
    let sink = pipeline.element::<gst_app::AppSink>("out")?;
    let start = || PipelineError::Start {
        label: "card".to_owned(),
    };
    pipeline
        .gst()
        .set_state(gst::State::Playing)
        .map_err(|_| start())?;
    let deadline = gst::ClockTime::try_from(DEADLINE).unwrap_or(gst::ClockTime::SECOND);
    let sample = sink.try_pull_sample(deadline).ok_or_else(start)?;
    let buffer = sample.buffer().ok_or_else(start)?;
    let map = buffer.map_readable().map_err(|_| start())?;
    // GRAY8 rows are padded to a multiple of four; every width here is one already.
    let plane = Plane {
        data: &map,
        stride: size.width as usize,
    };
    Ok(Mask::trimmed(plane, size))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An appsink that waits for its reader at the end of the stream made this hang.
    #[test]
    fn many_cards_at_once_are_all_drawn() {
        gst::init().unwrap();
        let draw = |ordinal| {
            let templates = Templates::default();
            for round in 0..30 {
                let name = format!("Guest {round}");
                let name_plate =
                    NamePlate::render(&templates, ParticipantId::new(ordinal), &name).unwrap();
                assert!(name_plate.label.width > 0);
            }
        };
        std::thread::scope(|scope| {
            for ordinal in 0..8 {
                scope.spawn(move || draw(ordinal));
            }
        });
    }

    #[test]
    fn initials_are_of_the_first_and_last_word() {
        assert_eq!(initials("Ann"), "A");
        assert_eq!(initials("ann marie lee"), "AL");
        assert_eq!(initials("  "), "");
        assert_eq!(initials("élan"), "É");
    }

    #[test]
    fn text_becomes_ink_and_markup_stays_text() {
        gst::init().unwrap();
        let templates = Templates::default();
        let who = ParticipantId::new(1);
        let plain = NamePlate::render(&templates, who, "Ann").unwrap();
        assert!(
            plain.label.width > 20 && plain.initials.width > 20,
            "{plain:?}"
        );
        let longer = NamePlate::render(&templates, who, "<b>Ann</b> & co").unwrap();
        assert!(longer.label.width > plain.label.width * 2);
    }
}

//! Reserves bytes for chapters. They are known when a recording ends, and belong at the beginning
//! of its file, which is written first. So a muxer is given filler to write there, which is
//! replaced.

use gst::prelude::*;

use crate::codec::Container;
use crate::media::gst::pipeline::{Pipeline, PipelineError};

/// Number of bytes that are reserved in a file.
pub(crate) const RESERVED: usize = 32_000;

/// Has the muxer of a pipeline that has not started leave [`RESERVED`] bytes: in `moov/udta` of an
/// MP4, in `Chapters` of a WebM. Does nothing for an Ogg, which has no place for chapters.
///
/// # Errors
/// [`PipelineError::NoElement`] when the pipeline has no such muxer.
pub(crate) fn reserve(container: Container, pipeline: &Pipeline) -> Result<(), PipelineError> {
    let nothing = " ".repeat(RESERVED);
    match container {
        Container::Mp4 => {
            let mux = pipeline.element::<gst::Element>("mux")?;
            if let Some(tags) = mux.dynamic_cast_ref::<gst::TagSetter>() {
                tags.add_tag::<gst::tags::Comment>(&nothing.as_str(), gst::TagMergeMode::Replace);
            }
        }
        Container::Webm => {
            let mux = pipeline.element::<gst::Element>("mux")?;
            if let Some(contents) = mux.dynamic_cast_ref::<gst::TocSetter>() {
                contents.set_toc(Some(&contents_of(&nothing)));
            }
        }
        Container::Ogg => {}
    }
    Ok(())
}

/// A table of contents with one chapter.
fn contents_of(title: &str) -> gst::Toc {
    let mut tags = gst::TagList::new();
    tags.make_mut()
        .add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
    let mut chapter = gst::TocEntry::new(gst::TocEntryType::Chapter, "chapter");
    let writable = chapter.make_mut();
    writable.set_start_stop_times(0, 1);
    writable.set_tags(tags);
    let mut edition = gst::TocEntry::new(gst::TocEntryType::Edition, "edition");
    let writable = edition.make_mut();
    writable.set_start_stop_times(0, 1);
    writable.append_sub_entry(chapter);
    let mut contents = gst::Toc::new(gst::TocScope::Global);
    contents.make_mut().append_entry(edition);
    contents
}

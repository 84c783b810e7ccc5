//! The element `poolsrc`: what is pushed into it goes on its way on a thread of the [pool](super).
//!
//! It stands where an `appsrc` would that is live, has a limit, and drops what is oldest, but for the
//! thread. Whether buffers reach it in order is the matter of whoever pushes. It runs once: a pipeline that
//! has been stopped does not begin anew.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::Mutex;

use super::{Task, Turn, Work};

/// The name of the element in pipelines.
const NAME: &str = "poolsrc";
/// Time after which a turn ends: enough for the packets of a picture and for a small picture, and no more
/// than one of those that take longer.
const TURN: Duration = Duration::from_millis(2);
/// Packets of one picture that go on before its last is there.
const MAX_HELD: usize = 64;

/// Most that waits in a source. Beyond any of them the oldest goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) buffers: usize,
    pub(crate) bytes: usize,
    /// From the oldest to the newest.
    pub(crate) time: gst::ClockTime,
}

impl Limits {
    /// No limit at all.
    pub(crate) const NONE: Self = Self {
        buffers: usize::MAX,
        bytes: usize::MAX,
        time: gst::ClockTime::MAX,
    };
}

/// Whether what is pushed is to go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is.
    Never,
    /// It may wait for what is pushed next: it is not the last packet of its picture.
    UntilNext,
}

/// Makes the element known to GStreamer, which has to be initialised.
pub(crate) fn register() {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        let registered =
            gst::Element::register(None, NAME, gst::Rank::NONE, PoolSrc::static_type());
        if let Err(error) = registered {
            tracing::error!(%error, "{NAME} is not registered");
        }
    });
}

glib::wrapper! {
    /// The source. Cloning shares it. Usable on any thread.
    pub struct PoolSrc(ObjectSubclass<imp::PoolSrc>) @extends gst::Element, gst::Object;
}

impl PoolSrc {
    /// The pad that buffers leave by.
    pub(crate) fn pad(&self) -> &gst::Pad {
        &self.imp().pad
    }

    /// Sets what may wait.
    pub(crate) fn limit(&self, limits: Limits) {
        self.imp().queue.lock().limits = limits;
    }

    /// Sets the caps of what is pushed from now on.
    pub(crate) fn set_caps(&self, caps: &gst::Caps) {
        self.imp().queue.lock().caps = Some(caps.clone());
    }

    /// Pushes a buffer. Does not block. What cannot leave, because the pipeline does not run, is dropped.
    pub(crate) fn push(&self, buffer: gst::Buffer, hold: Hold) {
        let is_due = self.imp().queue.lock().push(buffer, hold);
        if is_due && let Some(task) = self.imp().task.get() {
            task.wake();
        }
    }

    /// The time from the oldest buffer that waits to the newest.
    pub(crate) fn waiting(&self) -> gst::ClockTime {
        self.imp().queue.lock().time()
    }
}

/// Whether buffers may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Not before the pipeline runs, nor when it has ended or failed.
    Shut,
    Open,
}

/// A buffer, and the caps that begin with it.
#[derive(Debug)]
struct Item {
    caps: Option<gst::Caps>,
    buffer: gst::Buffer,
}

/// What waits.
#[derive(Debug)]
struct Queue {
    flow: Flow,
    limits: Limits,
    items: VecDeque<Item>,
    bytes: usize,
    /// Caps that the next buffer begins with.
    caps: Option<gst::Caps>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            flow: Flow::Shut,
            limits: Limits::NONE,
            items: VecDeque::new(),
            bytes: 0,
            caps: None,
        }
    }
}

impl Queue {
    /// Adds a buffer. Returns whether something is to go on.
    fn push(&mut self, buffer: gst::Buffer, hold: Hold) -> bool {
        if self.flow == Flow::Shut {
            return false;
        }
        // What was held belongs to the picture before.
        let last = self.items.back().map(|item| item.buffer.pts());
        let is_next = last.is_some_and(|pts| pts != buffer.pts());
        self.bytes += buffer.size();
        let caps = self.caps.take();
        self.items.push_back(Item { caps, buffer });
        while self.is_over() {
            self.pop();
        }
        hold == Hold::Never || is_next || self.items.len() >= MAX_HELD
    }

    fn is_over(&self) -> bool {
        let Limits {
            buffers,
            bytes,
            time,
        } = self.limits;
        // One is never too much.
        let is_more = self.items.len() > buffers || self.bytes > bytes || self.time() > time;
        self.items.len() > 1 && is_more
    }

    /// Drops the oldest buffer. Its caps are those of the next.
    fn pop(&mut self) {
        let Some(dropped) = self.take() else {
            return;
        };
        match self.items.front_mut() {
            Some(next) if next.caps.is_none() => next.caps = dropped.caps,
            Some(_) => {}
            None => self.caps = self.caps.take().or(dropped.caps),
        }
    }

    fn take(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.buffer.size();
        Some(item)
    }

    fn time(&self) -> gst::ClockTime {
        let pts = |item: Option<&Item>| item.and_then(|item| item.buffer.pts());
        let ends = pts(self.items.front()).zip(pts(self.items.back()));
        ends.map_or(gst::ClockTime::ZERO, |(oldest, newest)| {
            newest.saturating_sub(oldest)
        })
    }

    fn shut(&mut self) {
        self.flow = Flow::Shut;
        self.items.clear();
        self.bytes = 0;
    }
}

/// Pushes on what waits.
struct Pushing {
    queue: Arc<Mutex<Queue>>,
    element: glib::WeakRef<PoolSrc>,
}

impl Work for Pushing {
    fn turn(&self) -> Turn {
        let Some(element) = self.element.upgrade() else {
            return Turn::Done;
        };
        let began = Instant::now();
        while began.elapsed() < TURN {
            let item = self.queue.lock().take();
            let Some(item) = item else {
                return Turn::Done;
            };
            if let Err(error) = element.imp().push_on(item) {
                self.queue.lock().shut();
                // The other two mean that the pipeline is going away.
                if !matches!(error, gst::FlowError::Flushing | gst::FlowError::Eos) {
                    gst::element_error!(element, gst::StreamError::Failed, ["{error}"]);
                }
                return Turn::Done;
            }
        }
        Turn::More
    }
}

mod imp {
    use super::*;

    #[derive(Debug)]
    pub struct PoolSrc {
        pub(super) pad: gst::Pad,
        pub(super) queue: Arc<Mutex<Queue>>,
        pub(super) task: OnceLock<Arc<Task>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for PoolSrc {
        const NAME: &'static str = "TesseraPoolSrc";
        type Type = super::PoolSrc;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = class.pad_template("src");
            let builder = match &template {
                Some(template) => gst::Pad::builder_from_template(template),
                None => gst::Pad::builder(gst::PadDirection::Src).name("src"),
            };
            let pad = builder.query_function(answer).build();
            Self {
                pad,
                queue: Arc::default(),
                task: OnceLock::new(),
            }
        }
    }

    impl ObjectImpl for PoolSrc {
        fn constructed(&self) {
            self.parent_constructed();
            let element = self.obj();
            element.set_element_flags(gst::ElementFlags::SOURCE);
            if let Err(error) = element.add_pad(&self.pad) {
                tracing::error!(%error, "{NAME} has no pad");
            }
            let work = Pushing {
                queue: Arc::clone(&self.queue),
                element: element.downgrade(),
            };
            let _ = self.task.set(Task::new(Box::new(work)));
        }
    }

    impl GstObjectImpl for PoolSrc {}

    impl ElementImpl for PoolSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
            Some(METADATA.get_or_init(|| {
                gst::subclass::ElementMetadata::new(
                    "Source on a pool of threads",
                    "Source",
                    "Pushes what an application gives it, on a thread that many of them share",
                    "Tessera",
                )
            }))
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
            TEMPLATES.get_or_init(|| {
                let any = gst::Caps::new_any();
                let (direction, presence) = (gst::PadDirection::Src, gst::PadPresence::Always);
                let template = gst::PadTemplate::new("src", direction, presence, &any);
                template.into_iter().collect()
            })
        }

        fn change_state(
            &self,
            transition: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            if transition == gst::StateChange::PausedToReady {
                self.queue.lock().shut();
            }
            let changed = self.parent_change_state(transition)?;
            if transition == gst::StateChange::ReadyToPaused {
                self.queue.lock().flow = Flow::Open;
            }
            Ok(changed)
        }
    }

    impl PoolSrc {
        pub(super) fn push_on(&self, item: Item) -> Result<(), gst::FlowError> {
            let Item { caps, buffer } = item;
            if self
                .pad
                .sticky_event::<gst::event::StreamStart>(0)
                .is_none()
            {
                let id = self.pad.create_stream_id(&*self.obj(), None);
                let group = gst::GroupId::next();
                let begin = gst::event::StreamStart::builder(&id).group_id(group);
                self.pad.push_event(begin.build());
            }
            if let Some(caps) = caps {
                self.pad.push_event(gst::event::Caps::new(&caps));
            }
            if self.pad.sticky_event::<gst::event::Segment>(0).is_none() {
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                self.pad.push_event(gst::event::Segment::new(&segment));
            }
            self.pad.push(buffer).map(drop)
        }
    }

    /// Answers that what comes is live: a decoder that heard otherwise would wait for more pictures.
    fn answer(pad: &gst::Pad, parent: Option<&gst::Object>, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
            return true;
        }
        gst::Pad::query_default(pad, parent, query)
    }
}

#[cfg(test)]
mod tests;

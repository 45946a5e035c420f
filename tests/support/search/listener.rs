//! A subscriber for every level.

use std::{
    cell::Cell,
    error::Error,
    fmt::{Debug, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Searches every event, and every span with fields that are recorded later.
#[derive(Default)]
pub(super) struct Listener {
    spans: AtomicU64,
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        super::note_crate(metadata.target());
        Interest::always()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        search(Some(attributes.metadata()), |line| attributes.record(line));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        search(None, |line| values.record(line));
    }

    fn event(&self, event: &Event<'_>) {
        search(Some(event.metadata()), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn search(metadata: Option<&Metadata<'_>>, record: impl FnOnce(&mut Line)) {
    thread_local! {
        static BUFFER: Cell<String> = const { Cell::new(String::new()) };
    }
    // Taken instead of borrowed, because formatting a value may log.
    let mut line = Line(BUFFER.take());
    line.0.clear();
    if let Some(metadata) = metadata {
        let _ = write!(line.0, "{} {}:", metadata.target(), metadata.name());
    }
    record(&mut line);
    super::search(&line.0);
    BUFFER.set(line.0);
}

/// The text of a span or an event in every form that a subscriber may write.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?} {value:#?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            super::note_crate(value);
        }
        let _ = write!(self.0, " {field}={value}");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let _ = write!(self.0, " {field}=");
        let mut next = Some(value);
        while let Some(error) = next {
            let _ = write!(self.0, "{error} {error:?} {error:#?} ");
            next = error.source();
        }
    }
}

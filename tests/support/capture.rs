//! A subscriber that records the spans and events of one thread.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

type Fields = BTreeMap<&'static str, String>;

/// A span or an event.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    /// The index of the parent span.
    pub(crate) parent: Option<usize>,
    pub(crate) fields: Fields,
    pub(crate) closed: bool,
}

impl Recorded {
    fn new(metadata: &'static Metadata<'static>, parent: Option<usize>) -> Self {
        Self {
            name: metadata.name(),
            level: *metadata.level(),
            target: metadata.target(),
            parent,
            fields: Fields::new(),
            closed: false,
        }
    }

    /// Returns the value of a field, or an empty text if it was not recorded.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Default)]
pub(crate) struct Capture {
    spans: Arc<Mutex<Vec<Recorded>>>,
    events: Arc<Mutex<Vec<Recorded>>>,
}

impl Capture {
    /// Records on this thread until the guard is dropped.
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let subscriber = Registry::default().with(capture.clone());
        (capture, tracing::subscriber::set_default(subscriber))
    }

    /// Returns all spans, in the order in which they began.
    pub(crate) fn spans(&self) -> Vec<Recorded> {
        self.spans.lock().unwrap().clone()
    }

    pub(crate) fn named(&self, name: &str) -> Vec<Recorded> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Returns the events of this crate, in order.
    pub(crate) fn events(&self) -> Vec<Recorded> {
        self.events_of("clerk_actor_tokens")
    }

    pub(crate) fn events_of(&self, target: &str) -> Vec<Recorded> {
        let mut events = self.events.lock().unwrap().clone();
        events.retain(|event| event.target == target);
        events
    }
}

#[derive(Clone, Copy)]
struct Index(usize);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent();
        let parent = parent.and_then(|it| it.extensions().get::<Index>().map(|index| index.0));
        let mut recorded = Recorded::new(attributes.metadata(), parent);
        attributes.record(&mut Visitor(&mut recorded.fields));
        let mut spans = self.spans.lock().unwrap();
        span.extensions_mut().insert(Index(spans.len()));
        spans.push(recorded);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Index(index) = *context.span(id).unwrap().extensions().get().unwrap();
        values.record(&mut Visitor(&mut self.spans.lock().unwrap()[index].fields));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let parent = context.event_span(event);
        let parent = parent.and_then(|it| it.extensions().get::<Index>().map(|index| index.0));
        let mut recorded = Recorded::new(event.metadata(), parent);
        event.record(&mut Visitor(&mut recorded.fields));
        self.events.lock().unwrap().push(recorded);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Index(index) = *context.span(&id).unwrap().extensions().get().unwrap();
        self.spans.lock().unwrap()[index].closed = true;
    }
}

struct Visitor<'a>(&'a mut Fields);

impl Visitor<'_> {
    fn record(&mut self, field: &Field, value: String) {
        let recorded = self.0.entry(field.name()).or_default();
        // OpenTelemetry's SDK keeps both values of an attribute that is recorded twice, except `otel.…`.
        if recorded.is_empty() || field.name().starts_with("otel.") {
            *recorded = value;
        } else {
            *recorded = format!("{recorded} and again {value}");
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // OpenTelemetry has no unsigned numbers and would export one as text.
        self.record(field, format!("{value}u64"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, format!("{value:?}"));
    }
}

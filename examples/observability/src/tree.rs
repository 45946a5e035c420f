//! Spans as a tree of text.

use std::fmt::Write;

use opentelemetry::{
    SpanId,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

/// The attributes that are printed. The others are the same in all spans.
const SHOWN: [&str; 7] = [
    "http.response.status_code",
    "error.type",
    "http.request.resend_count",
    "clerk.attempts",
    "clerk.outcome",
    "clerk.error.code",
    "clerk.settle.end",
];

/// Formats one line a span, indented below its parent, with its links after a `~`.
pub fn tree(spans: &[SpanData]) -> String {
    let mut text = String::new();
    let is_root = |span: &&SpanData| spans.iter().all(|it| id(it) != span.parent_span_id);
    for root in spans.iter().filter(is_root) {
        branch(&mut text, spans, root, 0);
    }
    text
}

fn branch(text: &mut String, spans: &[SpanData], span: &SpanData, depth: usize) {
    line(text, spans, span, depth);
    for child in spans.iter().filter(|it| it.parent_span_id == id(span)) {
        branch(text, spans, child, depth + 1);
    }
}

fn line(text: &mut String, spans: &[SpanData], span: &SpanData, depth: usize) {
    let name = format!("{:indent$}{}", "", span.name, indent = 2 * depth);
    let time = span.end_time.duration_since(span.start_time);
    let milliseconds = time.unwrap_or_default().as_secs_f64() * 1e3;
    let status = match span.status {
        Status::Error { .. } => "error",
        Status::Ok => "ok",
        Status::Unset => "-",
    };
    let kind = match span.span_kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        _ => "",
    };
    let short = short(id(span));
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{short}  {name:<54} {kind:<6} {milliseconds:>6.1} ms  {status:<5}"
    );
    for key in SHOWN {
        let shown = span.attributes.iter().find(|it| it.key.as_str() == key);
        if let Some(shown) = shown {
            let _ = write!(text, "  {key}={}", shown.value);
        }
    }
    for link in span.links.iter() {
        let to = link.span_context.span_id();
        let name = spans.iter().find(|it| id(it) == to);
        let name = name.map_or("", |it| &it.name);
        let _ = write!(text, "  ~ {} {name}", self::short(to));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

/// Returns the beginning of an id, enough for a few spans.
fn short(id: SpanId) -> String {
    id.to_string().chars().take(4).collect()
}

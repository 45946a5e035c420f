//! Spans as a tree of text.

use std::fmt::Write;

use opentelemetry::{
    SpanId,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

/// What a line tells, if its span does; the rest is the same in all of them.
const TOLD: [&str; 7] = [
    "http.response.status_code",
    "error.type",
    "http.request.resend_count",
    "clerk.attempts",
    "clerk.outcome",
    "clerk.error.code",
    "clerk.settle.end",
];

/// One line a span, indented below its parent. What it is linked to stands behind a `~`.
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
    // Nothing that is written to a string fails.
    let _ = write!(
        text,
        "{short}  {name:<54} {kind:<6} {milliseconds:>6.1} ms  {status:<5}"
    );
    for key in TOLD {
        let told = span.attributes.iter().find(|it| it.key.as_str() == key);
        if let Some(told) = told {
            let _ = write!(text, "  {key}={}", told.value);
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

/// Enough of an id to tell a handful apart.
fn short(id: SpanId) -> String {
    id.to_string().chars().take(4).collect()
}

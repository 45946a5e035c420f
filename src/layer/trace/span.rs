//! Creates the span of a call or an attempt.

use std::{fmt, sync::Arc};

use tracing::{Level, Span, field::Empty, level_filters::LevelFilter, span};

use super::SpanContext;
use crate::telemetry::{METERED, TARGET, names};

/// How to create a span.
#[derive(Clone)]
pub(crate) enum MakeSpan {
    None,
    At(Level),
    By(Arc<dyn Fn(&SpanContext<'_>) -> Span + Send + Sync>),
}

impl MakeSpan {
    /// Returns whether spans or metrics can be on.
    pub(crate) fn is_on(&self) -> bool {
        let is_traced = match self {
            Self::None => false,
            Self::At(level) => *level <= LevelFilter::current(),
            Self::By(_) => true,
        };
        METERED || is_traced
    }

    pub(crate) fn make(
        &self,
        context: &SpanContext<'_>,
        default: fn(Level, &SpanContext<'_>) -> Span,
    ) -> Span {
        match self {
            Self::None => Span::none(),
            Self::At(level) => default(*level, context),
            Self::By(make) => make(context),
        }
    }
}

impl Default for MakeSpan {
    fn default() -> Self {
        Self::At(Level::INFO)
    }
}

impl fmt::Debug for MakeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::At(level) => write!(f, "At({level})"),
            Self::By(_) => f.write_str("By(..)"),
        }
    }
}

/// Creates a span at a level known at run time. The macro of `tracing` requires a constant.
macro_rules! at_level {
    ($level:expr, $name:literal, $($fields:tt)*) => {
        match $level {
            Level::ERROR => span!(target: TARGET, Level::ERROR, $name, $($fields)*),
            Level::WARN => span!(target: TARGET, Level::WARN, $name, $($fields)*),
            Level::INFO => span!(target: TARGET, Level::INFO, $name, $($fields)*),
            Level::DEBUG => span!(target: TARGET, Level::DEBUG, $name, $($fields)*),
            Level::TRACE => span!(target: TARGET, Level::TRACE, $name, $($fields)*),
        }
    };
}

// All numbers are signed, because `tracing-opentelemetry` exports unsigned ones as text.

pub(crate) fn call_span(level: Level, context: &SpanContext<'_>) -> Span {
    at_level!(
        level,
        "call",
        otel.name = context.span_name(),
        otel.kind = "internal",
        otel.status_code = Empty,
        clerk.operation = context.kind().as_str(),
        actor_token.id = context.actor_token_id(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        clerk.outcome = Empty,
        clerk.attempts = Empty,
        clerk.error.code = Empty,
        clerk.trace_id = Empty
    )
}

pub(crate) fn attempt_span(level: Level, context: &SpanContext<'_>) -> Span {
    at_level!(
        level,
        "attempt",
        otel.name = context.span_name(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = names(context.kind()).method,
        url.template = context.url_template(),
        server.address = context.server_address(),
        server.port = context.server_port().map(i64::from),
        http.request.resend_count = context.resend_count().map(i64::from),
        actor_token.id = context.actor_token_id(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        clerk.outcome = Empty,
        clerk.error.code = Empty,
        clerk.trace_id = Empty
    )
}

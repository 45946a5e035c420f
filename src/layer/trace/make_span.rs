//! [`MakeSpan`], how a span begins.

use std::{fmt, sync::Arc};

use tracing::{Level, Span, field::Empty, level_filters::LevelFilter, span};

use super::Facts;
use crate::telemetry::{METHOD, TARGET, operation};

/// How the span of a call or an attempt begins.
#[derive(Clone)]
pub(crate) enum MakeSpan {
    None,
    At(Level),
    By(Arc<dyn Fn(&Facts<'_>) -> Span + Send + Sync>),
}

impl MakeSpan {
    pub(crate) fn by<F>(make: F) -> Self
    where
        F: Fn(&Facts<'_>) -> Span + Send + Sync + 'static,
    {
        Self::By(Arc::new(make))
    }

    /// Whether anybody may look at what it begins; a glance, for those that are not looked at.
    pub(crate) fn is_of_interest(&self) -> bool {
        match self {
            Self::None => false,
            Self::At(level) => *level <= LevelFilter::current(),
            Self::By(_) => true,
        }
    }

    pub(crate) fn of_call(&self, facts: &Facts<'_>) -> Span {
        self.make(facts, call_span)
    }

    pub(crate) fn of_attempt(&self, facts: &Facts<'_>) -> Span {
        self.make(facts, attempt_span)
    }

    fn make(&self, facts: &Facts<'_>, at: impl FnOnce(Level, &Facts<'_>) -> Span) -> Span {
        match self {
            Self::None => Span::none(),
            Self::At(level) => at(*level, facts),
            Self::By(make) => make(facts),
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

/// The level of a span is a constant of the place where it is made.
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

// What the macros are given is evaluated only when the span is enabled. OpenTelemetry has no unsigned
// numbers, and `tracing-opentelemetry` exports them as text: all numbers are signed, here and where
// they are recorded.

fn call_span(level: Level, facts: &Facts<'_>) -> Span {
    at_level!(
        level,
        "call",
        otel.name = facts.span_name(),
        otel.kind = "internal",
        otel.status_code = Empty,
        clerk.operation = operation(facts.kind()),
        actor_token.id = facts.actor_token_id(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        clerk.outcome = Empty,
        clerk.attempts = Empty,
        clerk.error.code = Empty,
        clerk.trace_id = Empty
    )
}

fn attempt_span(level: Level, facts: &Facts<'_>) -> Span {
    at_level!(
        level,
        "attempt",
        otel.name = facts.span_name(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = METHOD,
        url.template = facts.url_template(),
        server.address = facts.server_address(),
        server.port = facts.server_port().map(i64::from),
        http.request.resend_count = facts.resend_count().map(i64::from),
        actor_token.id = facts.actor_token_id(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        clerk.outcome = Empty,
        clerk.error.code = Empty,
        clerk.trace_id = Empty
    )
}

//! How an [`Error`] reads.

use std::fmt;

use super::{Error, ErrorKind};
use crate::Outcome;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(inner.kind.sentence())?;
        match (inner.status, inner.kind) {
            (None, _) => {}
            // The head of the answer had come by then.
            (Some(status), ErrorKind::Timeout | ErrorKind::Transport) => {
                write!(f, " after {status}")?;
            }
            (Some(status), _) => write!(f, " {status}")?,
        }
        if let Some(first) = inner
            .clerk_errors
            .as_ref()
            .and_then(|body| body.errors.first())
        {
            match first.code.as_str() {
                "" => write!(f, ": {first}")?,
                code => write!(f, ", {code}: {first}")?,
            }
        }
        if let Some(detail) = &inner.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(wait) = inner.retry_after {
            write!(f, "; try again in {wait:?}")?;
        }
        if let Some(id) = &inner.actor_token_id {
            write!(f, "; the token is {id}")?;
        }
        if let Some(trace_id) = self.trace_id() {
            write!(f, " (trace id {trace_id})")?;
        }
        let says_so = matches!(
            inner.kind,
            ErrorKind::InvalidRequest | ErrorKind::Key | ErrorKind::Connect
        );
        match inner.outcome {
            Outcome::NotSent if says_so => {}
            Outcome::NotSent => f.write_str("; nothing was sent")?,
            Outcome::Rejected => {}
            Outcome::Unknown if says_so => {
                f.write_str("; an earlier attempt may have taken effect")?;
            }
            Outcome::Unknown => f.write_str("; it may have taken effect")?,
            Outcome::Applied => f.write_str("; it has taken effect")?,
        }
        match inner.attempts {
            0 => {}
            1 if inner.kind != ErrorKind::Timeout => {}
            attempts => write!(f, " (attempt {attempts})")?,
        }
        if inner.out_of_budget {
            f.write_str("; not retried, for the budget of retries is used up")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &inner.kind)
            .field("outcome", &inner.outcome)
            .field("attempts", &inner.attempts);
        for (name, is_so) in [
            ("permanent", inner.permanent),
            ("settling", inner.settling),
            ("out_of_budget", inner.out_of_budget),
        ] {
            if is_so {
                debug.field(name, &true);
            }
        }
        let mut optional = |name: &str, value: Option<&dyn fmt::Debug>| {
            if let Some(value) = value {
                debug.field(name, value);
            }
        };
        optional("status", inner.status.as_ref().map(|it| it as _));
        optional(
            "clerk_errors",
            inner.clerk_errors.as_ref().map(|it| it as _),
        );
        optional("trace_id", self.trace_id().as_ref().map(|it| it as _));
        optional("retry_after", inner.retry_after.as_ref().map(|it| it as _));
        optional(
            "actor_token_id",
            inner.actor_token_id.as_ref().map(|it| it as _),
        );
        optional(
            "exposed_until",
            inner.exposed_until.as_ref().map(|it| it as _),
        );
        optional("detail", inner.detail.as_ref().map(|it| it as _));
        optional("source", inner.source.as_ref().map(|it| it as _));
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_what_is_special_and_nothing_that_is_not_so() {
        let plain = || Error::new(ErrorKind::Connect, Outcome::NotSent);
        assert_eq!(
            format!("{:?}", plain()),
            "Error { kind: Connect, outcome: NotSent, attempts: 0 }"
        );
        let mut special = plain().permanent(true).with_settling(true);
        special.mark_out_of_budget();
        let shown = format!("{special:?}");
        let told = "permanent: true, settling: true, out_of_budget: true";
        assert!(shown.contains(told), "{shown}");
    }
}

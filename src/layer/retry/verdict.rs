//! Whether a failed attempt may be followed by another.

use http::StatusCode;

use crate::{BoxError, Error, ErrorKind, OperationKind, Outcome, RetryConfig};

/// What to do after a failed attempt, as far as its evidence goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Another attempt may follow, if number, time and budget allow it.
    Retry,
    /// The failure is the call's last word.
    Stop,
}

pub(super) fn verdict(error: &BoxError, kind: OperationKind, config: &RetryConfig) -> Verdict {
    // An error that nobody typed tells nothing.
    let typed = error.downcast_ref::<Error>();
    let settled = config.retry_settled_timeouts && typed.is_some_and(Error::is_settling);
    let retry = match typed.map_or(Outcome::Unknown, Error::outcome) {
        Outcome::NotSent => {
            let repeats =
                |error: &Error| error.is_permanent() || error.kind() == ErrorKind::Overloaded;
            config.retry_connection_errors && !typed.is_some_and(repeats)
        }
        Outcome::Rejected => typed.is_some_and(|error| is_worth_repeating(error.status())),
        Outcome::Unknown => match kind {
            OperationKind::Create => settled || config.replay_unknown_create,
            OperationKind::Revoke => true,
        },
        Outcome::Applied => settled,
    };
    if retry { Verdict::Retry } else { Verdict::Stop }
}

/// A refusal that says "not now" or "not here"; without a status it is one of HTTP/2's.
fn is_worth_repeating(status: Option<StatusCode>) -> bool {
    const NOT_NOW: [StatusCode; 3] = [
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_none_or(|status| NOT_NOW.contains(&status))
}

#[cfg(test)]
mod tests {
    use Verdict::{Retry, Stop};

    use super::*;
    use crate::ClerkErrors;

    fn both(error: impl Fn() -> Error) -> [Verdict; 2] {
        [OperationKind::Create, OperationKind::Revoke]
            .map(|kind| verdict(&error().into(), kind, &RetryConfig::default()))
    }

    fn status(status: u16) -> [Verdict; 2] {
        let status = StatusCode::from_u16(status).unwrap();
        both(|| Error::api(status, ClerkErrors::default()))
    }

    #[test]
    fn the_table_holds() {
        let of = |kind, outcome| both(move || Error::new(kind, outcome));
        assert_eq!(of(ErrorKind::Connect, Outcome::NotSent), [Retry, Retry]);
        assert_eq!(of(ErrorKind::Transport, Outcome::Rejected), [Retry, Retry]);
        assert_eq!(of(ErrorKind::Transport, Outcome::Unknown), [Stop, Retry]);
        assert_eq!(of(ErrorKind::Timeout, Outcome::Unknown), [Stop, Retry]);
        assert_eq!(
            of(ErrorKind::UnreadableAnswer, Outcome::Applied),
            [Stop, Stop]
        );
        let certificate = || Error::new(ErrorKind::Connect, Outcome::NotSent).permanent(true);
        assert_eq!(both(certificate), [Stop, Stop]);
        for code in [421, 425, 429] {
            assert_eq!(status(code), [Retry, Retry], "{code}");
        }
        for code in [400, 401, 402, 403, 404, 408, 409, 413, 415, 422] {
            assert_eq!(status(code), [Stop, Stop], "{code}");
        }
        for code in [500, 502, 503, 504] {
            assert_eq!(status(code), [Stop, Retry], "{code}");
        }
    }

    #[test]
    fn an_untyped_error_counts_as_unknown() {
        let error = BoxError::from("a layer's own");
        assert_eq!(
            verdict(&error, OperationKind::Create, &RetryConfig::default()),
            Stop
        );
        assert_eq!(
            verdict(&error, OperationKind::Revoke, &RetryConfig::default()),
            Retry
        );
    }

    #[test]
    fn only_whoever_asks_for_it_replays_an_unknown_create() {
        let error = BoxError::from("a layer's own");
        let config = RetryConfig::default().replay_unknown_create(true);
        assert_eq!(verdict(&error, OperationKind::Create, &config), Retry);
    }
}

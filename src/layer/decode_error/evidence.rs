//! Types the error of an attempt, and finds the outcome that it proves.

use std::{error::Error as StdError, io, iter};

use tokio::runtime::TryCurrentError;

use crate::{
    BoxError, Error, ErrorKind, OperationKind, Outcome,
    layer::{collect_body::CollectBodyError, refusal::NO_RUNTIME, timeout::TimedOut},
    response_head::trace_id,
    text::presentable,
};

/// Types the error of an attempt without a response. `sent` is the operation if the body was taken.
pub(super) fn classify(error: BoxError, sent: Option<OperationKind>) -> Error {
    match error.downcast::<Error>() {
        Ok(typed) => {
            let outcome = believed(typed.outcome(), sent);
            typed.with_outcome(outcome)
        }
        Err(error) => {
            let typed = describe(&*error, sent);
            if error.is::<TimedOut>() {
                // Its text is already in the typed error.
                typed
            } else if typed.kind() == ErrorKind::Foreign {
                typed.with_source(error)
            } else {
                typed.with_source(Sources::of(&*error))
            }
        }
    }
}

/// Returns the outcome that the [`Error`] of a layer below proves. Only the API knows whether a create that
/// was sent minted a token.
pub(super) fn believed(outcome: Outcome, sent: Option<OperationKind>) -> Outcome {
    match sent {
        Some(OperationKind::Create) => outcome.max(Outcome::Unknown),
        _ => outcome,
    }
}

/// Types an error of another type, without its source.
pub(super) fn describe(error: &(dyn StdError + 'static), sent: Option<OperationKind>) -> Error {
    let outcome = match sent {
        Some(_) => Outcome::Unknown,
        None => Outcome::NotSent,
    };
    if let Some(cut) = error.downcast_ref::<CollectBodyError>() {
        return Error::new(ErrorKind::UnreadableResponse, outcome)
            .with_status(cut.head().status)
            .with_trace_id(trace_id(&cut.head().headers));
    }
    if let Some(time) = error.downcast_ref::<TimedOut>() {
        return Error::new(ErrorKind::Timeout, outcome)
            .permanent(time.limit().is_zero())
            .with_detail(time.to_string());
    }
    let facts = ErrorFacts::of(error);
    let kind = if facts.refused_handshake {
        ErrorKind::Connect
    } else if facts.runtime {
        ErrorKind::Runtime
    } else if facts.timed_out {
        ErrorKind::Timeout
    } else if facts.connect {
        ErrorKind::Connect
    } else if facts.exchange {
        ErrorKind::Transport
    } else {
        ErrorKind::Foreign
    };
    // If a create was taken, a failure to connect is that of another exchange.
    let is_taken = sent == Some(OperationKind::Create);
    let outcome = if facts.refused_handshake {
        Outcome::NotSent
    } else if facts.connect || facts.never_written {
        if is_taken { outcome } else { Outcome::NotSent }
    } else if facts.refused_by_peer {
        outcome.min(Outcome::Rejected)
    } else {
        outcome
    };
    let typed = Error::new(kind, outcome).permanent(facts.permanent);
    match facts.cause {
        Some(cause) => typed.with_detail(cause),
        None => typed,
    }
}

/// The facts that the known types in the chain of an error's sources show.
#[derive(Default)]
struct ErrorFacts {
    /// There is no tokio runtime.
    runtime: bool,
    /// The connect phase failed.
    connect: bool,
    /// The connect phase or the connection timed out.
    timed_out: bool,
    /// Another attempt would fail in the same way.
    permanent: bool,
    /// The transport wrote nothing of the request.
    never_written: bool,
    /// The peer refused the HTTP/2 stream without processing it.
    refused_by_peer: bool,
    /// A connection failed.
    exchange: bool,
    /// The server refused the TLS handshake after the request was written, so it did not read it.
    refused_handshake: bool,
    /// The cause, for the error message.
    cause: Option<String>,
}

/// Returns the error and its sources.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| {
        // `io::Error::source` skips the error that it wraps.
        let io = error.downcast_ref::<io::Error>();
        let wrapped = io.and_then(io::Error::get_ref);
        wrapped.map(|error| error as _).or_else(|| error.source())
    })
}

/// The texts of a transport's error and its sources, at most 16. They are cleaned, because a peer can choose
/// parts of them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Sources(String);

impl Sources {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut texts: Vec<_> = chain(error).take(16).map(text).collect();
        // `io::Error` has the text of the error that it wraps.
        texts.dedup();
        Self(texts.join(": "))
    }
}

/// Returns the text of one error without its sources. Of a GOAWAY, which may hold any data, only the reason.
fn text(error: &(dyn StdError + 'static)) -> String {
    #[cfg(feature = "transport")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        if let (true, Some(reason)) = (error.is_go_away(), error.reason()) {
            return format!("GOAWAY: {reason}");
        }
    }
    presentable(error.to_string())
}

impl ErrorFacts {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut facts = Self::default();
        for error in chain(error) {
            facts.exchange |= error.is::<io::Error>();
            if error.is::<TryCurrentError>() {
                (facts.runtime, facts.permanent) = (true, true);
                facts.cause.get_or_insert_with(|| NO_RUNTIME.into());
            }
            facts.note(error);
        }
        facts
    }

    #[cfg(feature = "transport")]
    fn note(&mut self, error: &(dyn StdError + 'static)) {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            self.exchange = true;
            self.connect |= error.is_connect();
        }
        if let Some(error) = error.downcast_ref::<crate::transport::pool::PoolError>() {
            self.exchange = true;
            self.connect |= error.is_connect();
            self.never_written |= !error.may_have_been_sent();
            if !self.connect {
                self.note_refusal(error);
            }
        }
        self.connect |= error.is::<crate::transport::ConnectError>();
        if self.connect {
            self.note_connecting(error);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            self.exchange = true;
            self.never_written |= error.is_canceled();
            self.note_refusal(error);
            if error.is_timeout() {
                self.timed_out = true;
                self.cause
                    .get_or_insert_with(|| "the server did not reply to a ping".into());
            }
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // A GOAWAY is reported only to streams above the last one that the peer processes.
            let refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            self.refused_by_peer |= error.is_remote() && refused;
        }
    }

    /// Notes the failure of a connection whose server refused the TLS handshake. The transports of this crate use
    /// [`io::ErrorKind::ConnectionRefused`] after connecting for nothing else.
    #[cfg(feature = "transport")]
    fn note_refusal(&mut self, error: &(dyn StdError + 'static)) {
        if let Some(refusal) = error.source().filter(|source| is_refused(*source)) {
            (self.refused_handshake, self.permanent) = (true, true);
            self.cause = Some(text(refusal));
        }
    }

    #[cfg(feature = "transport")]
    fn note_connecting(&mut self, error: &(dyn StdError + 'static)) {
        use crate::transport::{ConnectError, handshake_failure};

        let cause = if let Some(failure) = error.downcast_ref::<ConnectError>() {
            self.timed_out |= matches!(failure, ConnectError::TimedOut(_));
            self.permanent |= failure.is_permanent();
            failure.to_string()
        } else if let Some(error) = error.downcast_ref::<rustls::Error>() {
            // A connection that broke is an I/O error.
            let (reason, is_permanent) = handshake_failure(error);
            self.permanent |= is_permanent;
            reason
        } else if error.to_string() == "dns error" {
            "the host name could not be resolved".into()
        } else if is_refused(error) {
            "the server refuses connections".into()
        } else {
            return;
        };
        self.cause.get_or_insert(cause);
    }

    #[cfg(not(feature = "transport"))]
    fn note(&mut self, _: &(dyn StdError + 'static)) {}
}

#[cfg(feature = "transport")]
fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

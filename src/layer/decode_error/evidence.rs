//! What an error from below proves about the request that met it.

use std::{error::Error as StdError, io};

use super::answer::trace_id;
use crate::{
    ActorToken, BoxError, Error, ErrorKind, OperationKind, Outcome,
    layer::{collect_body::CollectBodyError, timeout::TimedOut},
    runtime::NoRuntime,
};

/// The error of an attempt that ended without an answer. `sent` is what it may have sent; if that is
/// nothing, nothing came of it.
pub(super) fn classify(error: BoxError, sent: Option<OperationKind>) -> Error {
    match error.downcast::<Error>() {
        Ok(typed) => {
            let outcome = believed(typed.outcome(), sent);
            typed.with_outcome(outcome)
        }
        Err(error) => {
            let typed = describe(&*error, sent);
            // What these have to say, the typed error says itself.
            if error.is::<TimedOut>() || error.is::<NoRuntime>() {
                typed
            } else {
                typed.with_source(error)
            }
        }
    }
}

/// What an outcome is worth that a layer below told, and not the answer to all that was sent. Of a create
/// that was, only the API can say that it minted nothing.
pub(super) fn believed(outcome: Outcome, sent: Option<OperationKind>) -> Outcome {
    match sent {
        Some(OperationKind::Create) => outcome.max(Outcome::Unknown),
        _ => outcome,
    }
}

/// The error of another type, without its source.
pub(super) fn describe(error: &(dyn StdError + 'static), sent: Option<OperationKind>) -> Error {
    let outcome = match sent {
        Some(_) => Outcome::Unknown,
        None => Outcome::NotSent,
    };
    if let Some(cut) = error.downcast_ref::<CollectBodyError>() {
        let (status, trace_id) = (cut.head().status, trace_id(&cut.head().headers));
        let id = ActorToken::salvage_id(cut.expose_prefix());
        let applied = if id.is_some() {
            Outcome::Applied
        } else {
            Outcome::Unknown
        };
        return Error::new(ErrorKind::UnreadableAnswer, applied)
            .with_actor_token_id(id)
            .with_status(status)
            .with_trace_id(trace_id);
    }
    if let Some(time) = error.downcast_ref::<TimedOut>() {
        return Error::new(ErrorKind::Timeout, outcome)
            .permanent(time.limit().is_zero())
            .with_detail(time.to_string());
    }
    let facts = Facts::of(error);
    let kind = match facts {
        Facts { runtime: true, .. } => ErrorKind::Runtime,
        Facts {
            timed_out: true, ..
        } => ErrorKind::Timeout,
        Facts { connect: true, .. } => ErrorKind::Connect,
        Facts { exchange: true, .. } => ErrorKind::Transport,
        _ => ErrorKind::Foreign,
    };
    let outcome = match facts {
        Facts { connect: true, .. }
        | Facts {
            never_written: true,
            ..
        } => match sent {
            // Then it speaks of another exchange than the one that took the body.
            Some(OperationKind::Create) => outcome,
            _ => Outcome::NotSent,
        },
        Facts {
            refused_by_peer: true,
            ..
        } => outcome.min(Outcome::Rejected),
        _ => outcome,
    };
    let typed = Error::new(kind, outcome).permanent(facts.permanent);
    match facts.cause {
        Some(cause) => typed.with_detail(cause),
        None => typed,
    }
}

/// What the chain of an error's sources tells. Types that are not known tell nothing.
#[derive(Default)]
struct Facts {
    /// The runtime of the caller lacks something.
    runtime: bool,
    /// The connect phase failed.
    connect: bool,
    /// Time ran out for the connect phase or the connection.
    timed_out: bool,
    /// Another attempt would only repeat it.
    permanent: bool,
    /// hyper gave the request back before it wrote any of it.
    never_written: bool,
    /// The peer said, in HTTP/2's own words, that it did not process the stream.
    refused_by_peer: bool,
    /// It is an error of a connection, whatever else.
    exchange: bool,
    /// What exactly went wrong, in words for whoever configured the client.
    cause: Option<String>,
}

impl Facts {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut facts = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            facts.exchange |= error.is::<io::Error>();
            facts.note_runtime(error);
            facts.note(error);
            // An `io::Error` hides the error that it was made of from `source`.
            let wrapped = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = wrapped.map(|error| error as _).or_else(|| error.source());
        }
        facts
    }

    fn note_runtime(&mut self, error: &(dyn StdError + 'static)) {
        if let Some(missing) = error.downcast_ref::<NoRuntime>() {
            self.runtime = true;
            self.permanent = true;
            self.cause.get_or_insert_with(|| missing.to_string());
        }
    }

    #[cfg(feature = "transport")]
    fn note(&mut self, error: &(dyn StdError + 'static)) {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            self.exchange = true;
            self.connect |= error.is_connect();
        }
        if error.is::<tokio::runtime::TryCurrentError>() {
            self.runtime = true;
            self.permanent = true;
            self.cause
                .get_or_insert_with(|| NoRuntime::Missing.to_string());
        }
        if let Some(error) = error.downcast_ref::<crate::transport::pool::PoolError>() {
            self.exchange = true;
            self.connect |= error.is_connect();
        }
        if self.connect {
            self.note_connecting(error);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            self.exchange = true;
            self.never_written |= error.is_canceled();
            if error.is_timeout() {
                self.timed_out = true;
                self.cause
                    .get_or_insert_with(|| "the server did not reply to a ping".into());
            }
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // A GOAWAY reaches only the streams above the last one that the peer will answer.
            let refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            self.refused_by_peer |= error.is_remote() && refused;
        }
    }

    #[cfg(feature = "transport")]
    fn note_connecting(&mut self, error: &(dyn StdError + 'static)) {
        use crate::transport::ConnectTimedOut;

        // Before what is behind it, in which the server has no part.
        #[cfg(feature = "proxy")]
        if let Some(failure) = error.downcast_ref::<crate::transport::NoTunnel>() {
            self.permanent |= failure.is_permanent();
            self.cause.get_or_insert_with(|| failure.to_string());
            return;
        }
        let cause = if let Some(time) = error.downcast_ref::<ConnectTimedOut>() {
            self.timed_out = true;
            time.to_string()
        } else if let Some(error) = error.downcast_ref::<rustls::Error>() {
            // TLS that was spoken and found wrong stays wrong; a connection that broke is an io
            // error.
            self.permanent = true;
            match error {
                rustls::Error::InvalidCertificate(_) => "the server's certificate is not trusted",
                _ => "the server does not speak TLS, or none that fits",
            }
            .into()
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

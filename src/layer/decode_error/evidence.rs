//! What an error from below proves about the request that met it.

use std::{error::Error as StdError, io};

use super::answer::trace_id;
use crate::{
    BoxError, Error, ErrorKind, Outcome,
    layer::{collect_body::CollectBodyError, timeout::TimedOut},
};

/// The error of an attempt that ended without an answer. `taken` tells whether the transport has
/// the request body; if not, it can have sent nothing.
pub(super) fn classify(error: BoxError, taken: bool) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let outcome = if taken {
        Outcome::Unknown
    } else {
        Outcome::NotSent
    };
    if let Some(cut) = error.downcast_ref::<CollectBodyError>() {
        let (status, trace_id) = (cut.head().status, trace_id(&cut.head().headers));
        return Error::new(ErrorKind::UnreadableAnswer, Outcome::Applied)
            .with_status(status)
            .with_trace_id(trace_id)
            .with_source(error);
    }
    if let Some(time) = error.downcast_ref::<TimedOut>() {
        return Error::new(ErrorKind::Timeout, outcome).with_detail(time.to_string());
    }
    let facts = Facts::of(&*error);
    let kind = match facts {
        Facts {
            connect_timed_out: true,
            ..
        } => ErrorKind::Timeout,
        Facts { connect: true, .. } => ErrorKind::Connect,
        _ => ErrorKind::Transport,
    };
    let outcome = if facts.connect {
        Outcome::NotSent
    } else {
        outcome
    };
    Error::new(kind, outcome)
        .permanent(facts.permanent)
        .with_source(error)
}

/// What the chain of an error's sources tells.
#[derive(Default)]
struct Facts {
    connect: bool,
    connect_timed_out: bool,
    permanent: bool,
}

impl Facts {
    fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut facts = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            facts.note(error);
            // An `io::Error` hides the error that it was made of from `source`.
            let wrapped = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = wrapped.map(|error| error as _).or_else(|| error.source());
        }
        facts
    }

    #[cfg(feature = "transport")]
    fn note(&mut self, error: &(dyn StdError + 'static)) {
        use crate::transport::ConnectTimedOut;

        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            self.connect |= error.is_connect();
        }
        self.connect_timed_out |= error.is::<ConnectTimedOut>();
        // TLS that was spoken and found wrong stays wrong; a connection that broke is an io error.
        self.permanent |= self.connect && error.is::<rustls::Error>();
    }

    #[cfg(not(feature = "transport"))]
    fn note(&mut self, _: &(dyn StdError + 'static)) {}
}

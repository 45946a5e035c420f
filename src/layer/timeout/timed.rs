//! [`Timed`], what has a time that can be bounded.

use std::time::Duration;

use tokio::time::Instant;

use super::Scope;
use crate::{ActorTokenRequest, Body};

/// A request whose time can be bounded. Implemented by [`ActorTokenRequest`] and
/// `http::Request<Body>`; sealed.
pub trait Timed: sealed::Timed {}

impl<R: sealed::Timed> Timed for R {}

pub(super) mod sealed {
    use super::{Duration, Instant, Scope};

    pub trait Timed {
        const SCOPE: Scope;

        /// The limit that the request itself asks for.
        fn own_limit(&self) -> Option<Duration>;

        /// Notes when its time is over, if ever, where layers further down must know. Else the time
        /// begins with the first wait, so that what is ready at once costs no look at the clock.
        fn begin(&mut self, limit: Duration) -> Option<Option<Instant>>;
    }
}

impl sealed::Timed for ActorTokenRequest {
    const SCOPE: Scope = Scope::Call;

    fn own_limit(&self) -> Option<Duration> {
        self.call().options().and_then(|options| options.timeout)
    }

    fn begin(&mut self, limit: Duration) -> Option<Option<Instant>> {
        let deadline = Instant::now().checked_add(limit);
        self.call_mut().set_deadline(deadline);
        Some(deadline)
    }
}

impl sealed::Timed for http::Request<Body> {
    const SCOPE: Scope = Scope::Attempt;

    fn own_limit(&self) -> Option<Duration> {
        self.body()
            .content()
            .options()
            .and_then(|options| options.attempt_timeout)
    }

    fn begin(&mut self, _: Duration) -> Option<Option<Instant>> {
        None
    }
}

//! [`Facts`], what a span may tell of a call or an attempt when it begins.

use std::fmt;

use http::{Extensions, Request};

use super::Servers;
#[cfg(doc)]
use crate::layer::{TraceCallLayer, TraceLayer};
use crate::{ActorTokenRequest, Operation, OperationKind, Payload, telemetry};

/// What a span may tell of a call or an attempt when it begins, for those who make spans of their
/// own by [`TraceLayer::make_span`] or [`TraceCallLayer::make_span`]. Nothing in it is secret, except
/// what the caller put into the [`extensions`](Self::extensions).
#[derive(Clone, Copy)]
pub struct Facts<'a>(Of<'a>);

#[derive(Clone, Copy)]
enum Of<'a> {
    Call(&'a ActorTokenRequest),
    Attempt {
        request: &'a Request<Payload>,
        servers: &'a Servers,
    },
}

impl<'a> Facts<'a> {
    pub(crate) fn of_call(request: &'a ActorTokenRequest) -> Self {
        Self(Of::Call(request))
    }

    pub(super) fn of_attempt(request: &'a Request<Payload>, servers: &'a Servers) -> Self {
        Self(Of::Attempt { request, servers })
    }

    /// Which operation it is.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self.0 {
            Of::Call(request) => request.operation().kind(),
            Of::Attempt { request, .. } => request.body().kind(),
        }
    }

    /// The name of the span, for `otel.name`: of a call `actor_tokens.create` or
    /// `actor_tokens.revoke`, of an attempt its method and [`url_template`](Self::url_template).
    #[must_use]
    pub fn span_name(&self) -> &'static str {
        match self.0 {
            Of::Call(_) => telemetry::call_name(self.kind()),
            Of::Attempt { .. } => telemetry::attempt_name(self.kind()),
        }
    }

    /// The path under the base URL without its id: `/actor_tokens` or
    /// `/actor_tokens/{actor_token_id}/revoke`.
    #[must_use]
    pub fn url_template(&self) -> &'static str {
        telemetry::url_template(self.kind())
    }

    /// How many attempts of the call went before this one; `None` for the first, and for a call.
    #[must_use]
    pub fn resend_count(&self) -> Option<u32> {
        let Of::Attempt { request, .. } = self.0 else {
            return None;
        };
        let before = request.body().attempts();
        (before > 0).then_some(before)
    }

    /// The host that the attempt goes to, without brackets; `None` for a call, and where the
    /// [`TraceLayer`] was told none.
    #[must_use]
    pub fn server_address(&self) -> Option<&'a str> {
        self.server().map(|(host, _)| host)
    }

    /// The port that the attempt goes to.
    #[must_use]
    pub fn server_port(&self) -> Option<u16> {
        self.server().map(|(_, port)| port)
    }

    /// The token that is to be revoked.
    #[must_use]
    pub fn actor_token_id(&self) -> Option<&'a str> {
        match self.0 {
            Of::Call(request) => match request.operation() {
                Operation::Create(_) => None,
                Operation::Revoke(id) => Some(id.as_str()),
            },
            Of::Attempt { request, .. } => match request.body().kind() {
                OperationKind::Create => None,
                OperationKind::Revoke => {
                    let path = request.uri().path().strip_suffix("/revoke")?;
                    path.rsplit('/').next()
                }
            },
        }
    }

    /// What the caller put into the request for its layers.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        match self.0 {
            Of::Call(request) => request.extensions(),
            Of::Attempt { request, .. } => request.extensions(),
        }
    }

    pub(super) fn server(&self) -> Option<(&'a str, u16)> {
        match self.0 {
            Of::Call(_) => None,
            Of::Attempt { request, servers } => servers.of(request),
        }
    }
}

impl fmt::Debug for Facts<'_> {
    /// Shows the name; the request's headers and extensions may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("span_name", &self.span_name())
            .finish_non_exhaustive()
    }
}

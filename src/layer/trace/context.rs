//! The data for the span of a call or an attempt.

use http::{Extensions, Request};
use tokio::time::Instant;

#[cfg(doc)]
use crate::layer::{TraceCallLayer, TraceLayer};
use crate::{ActorTokenRequest, BaseUrl, Operation, OperationKind, Payload, telemetry};

/// The data of a call or an attempt for [`TraceLayer::make_span`] and [`TraceCallLayer::make_span`].
///
/// Only the [`extensions`](Self::extensions) may contain secrets.
#[derive(Clone, Copy, Debug)]
pub struct SpanContext<'a> {
    pub(super) kind: OperationKind,
    span_name: &'static str,
    resend_count: Option<u32>,
    pub(super) server: Option<(&'a str, u16)>,
    actor_token_id: Option<&'a str>,
    extensions: &'a Extensions,
    /// The deadline of the call, in the span of an attempt.
    pub(super) deadline: Option<Instant>,
}

impl<'a> SpanContext<'a> {
    pub(crate) fn of_call(request: &'a ActorTokenRequest) -> Self {
        let operation = request.operation();
        let kind = operation.kind();
        Self {
            kind,
            span_name: telemetry::names(kind).call,
            resend_count: None,
            server: None,
            actor_token_id: match operation {
                Operation::Create(_) => None,
                Operation::Revoke(id) => Some(id.as_str()),
            },
            extensions: request.extensions(),
            deadline: None,
        }
    }

    pub(super) fn of_attempt(request: &'a Request<Payload>, servers: &'a Servers) -> Self {
        let payload = request.body();
        let (kind, before) = (payload.kind(), payload.attempts());
        let options = payload.options();
        Self {
            kind,
            span_name: telemetry::names(kind).attempt,
            resend_count: (before > 0).then_some(before),
            server: servers.find(options.and_then(|options| options.base_url.as_ref())),
            actor_token_id: id_in(request.uri().path()),
            extensions: request.extensions(),
            deadline: payload.deadline(),
        }
    }

    /// Returns the operation.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// Returns the value of `otel.name`: `actor_tokens.create` or `actor_tokens.revoke` for a call, the
    /// method and [`url_template`](Self::url_template) for an attempt.
    pub fn span_name(&self) -> &'static str {
        self.span_name
    }

    /// Returns `/actor_tokens` or `/actor_tokens/{actor_token_id}/revoke`.
    pub fn url_template(&self) -> &'static str {
        telemetry::names(self.kind).url_template
    }

    /// Returns the number of earlier attempts. `None` for the first attempt and for a call.
    pub fn resend_count(&self) -> Option<u32> {
        self.resend_count
    }

    /// Returns the host of the API, without brackets. `None` for a call, and for a server that the
    /// [`TraceLayer`] does not know.
    pub fn server_address(&self) -> Option<&'a str> {
        self.server.map(|(host, _)| host)
    }

    /// Returns the port of the API, as for [`server_address`](Self::server_address).
    pub fn server_port(&self) -> Option<u16> {
        self.server.map(|(_, port)| port)
    }

    /// Returns the id of the token to revoke.
    pub fn actor_token_id(&self) -> Option<&'a str> {
        self.actor_token_id
    }

    /// Returns the extensions of the request.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

fn id_in(path: &str) -> Option<&str> {
    path.strip_suffix("/revoke")?.rsplit('/').next()
}

/// The base URLs of the client. Spans and metrics leave out any other server, so that callers cannot
/// create an unlimited number of label values.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    pub(super) base: Option<BaseUrl>,
    pub(super) allowed: Vec<BaseUrl>,
}

impl Servers {
    /// Returns host and port for a request with this base URL of its own.
    fn find(&self, own: Option<&BaseUrl>) -> Option<(&str, u16)> {
        let mut known = self.base.iter().chain(&self.allowed);
        let server = match own {
            None => self.base.as_ref(),
            Some(own) => known.find(|known| known.has_same_authority(own)),
        };
        server.map(BaseUrl::server)
    }
}

//! Separates compensating revokes from the calls of a row.
//!
//! A lost create is revoked in the background. In a row about a create, these requests do not reach the scripted
//! peer. [`Split`] responds to them and records them.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorToken, ActorTokenId, Body, BoxError, Error, OperationKind, Outcome,
    layer::settle::{SettleEnd, SettleEvent},
};
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::time::Instant;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use super::script::Op;

/// The header with the number of a call within its row.
pub(crate) const CALL: HeaderName = HeaderName::from_static("x-call");

/// The requests and reports of a row.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The call and the start of each attempt, without compensating revokes.
    pub(crate) attempts: Mutex<Vec<(usize, Instant)>>,
    /// The ids in compensating revokes.
    pub(crate) revoked: Mutex<Vec<String>>,
    /// The settle events: the end and the id of the token.
    pub(crate) reported: Mutex<Vec<(SettleEnd, Option<String>)>>,
}

impl Log {
    pub(crate) fn note(&self, event: &SettleEvent) {
        let id = event.actor_token_id().map(ToString::to_string);
        self.reported.lock().unwrap().push((event.end(), id));
    }
}

type TransportBody = UnsyncBoxBody<Bytes, BoxError>;

/// Sends the requests of a row over its transport, and responds to compensating revokes.
#[derive(Clone)]
pub(crate) struct Split {
    op: Op,
    inner: BoxCloneSyncService<Request<Body>, Response<TransportBody>, BoxError>,
    log: Arc<Log>,
}

impl Split {
    pub(crate) fn new<S, B>(op: Op, transport: S) -> (Self, Arc<Log>)
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let log = Arc::<Log>::default();
        let boxed = transport
            .map_response(|response: Response<B>| {
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            })
            .map_err(Into::into);
        let split = Self {
            op,
            inner: BoxCloneSyncService::new(boxed),
            log: Arc::clone(&log),
        };
        (split, log)
    }
}

impl Split {
    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }
}

impl Service<Request<Body>> for Split {
    type Response = Response<TransportBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<TransportBody>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.op == Op::Create && request.body().kind() == OperationKind::Revoke {
            let id = request.uri().path().rsplit('/').nth(1).unwrap_or_default();
            let response = format!(r#"{{"id":"{id}","status":"revoked"}}"#);
            self.log.revoked.lock().unwrap().push(id.to_owned());
            let _sent = request.into_body().into_bytes();
            let body = Full::from(response).map_err(Into::into).boxed_unsync();
            return async { Ok(Response::new(body)) }.boxed();
        }
        let call = request.headers().get(CALL);
        let call = call.and_then(|call| call.to_str().ok()?.parse().ok());
        let mut attempts = self.log.attempts.lock().unwrap();
        attempts.push((call.unwrap_or_default(), Instant::now()));
        drop(attempts);
        self.inner.call(request)
    }
}

/// Checks that each token that may have been minted and was not returned was revoked or reported once, and that no
/// other token was.
pub(crate) fn settled(
    op: Op,
    results: &[Result<ActorToken, Error>],
    log: &Log,
) -> Result<(), String> {
    let (revoked, reported) = (log.revoked.lock().unwrap(), log.reported.lock().unwrap());
    let lost: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .filter(|error| op == Op::Create && error.outcome() >= Outcome::Unknown)
        .collect();
    let is_reported = |id: &str| reported.iter().any(|(_, it)| it.as_deref() == Some(id));
    let salvaged = lost.iter().filter_map(|error| error.actor_token_id());
    let mut reported_as_revoked: Vec<_> = reported
        .iter()
        .filter(|(end, _)| *end == SettleEnd::Revoked)
        .filter_map(|(_, id)| id.clone())
        .collect();
    // A token of another user is reported in addition to the create.
    let own = reported
        .iter()
        .filter(|(end, _)| *end != SettleEnd::Foreign);
    let mut revoked = revoked.clone();
    reported_as_revoked.sort();
    revoked.sort();
    if own.count() != lost.len()
        || reported_as_revoked != revoked
        || !salvaged.map(ActorTokenId::as_str).all(is_reported)
    {
        let (lost, reported) = (lost.len(), &*reported);
        return Err(format!(
            "{lost} lost, revoked {revoked:?}, reported {reported:?}"
        ));
    }
    Ok(())
}

//! [`Obligation`], a token that must be returned, revoked or reported. One file, so that every way to end it
//! is read together.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRAILER, TRANSFER_ENCODING},
};
use tokio::{runtime::Handle, time::Instant};

use super::{
    SettleEnd, SettleEvent,
    settler::{Permit, Settler},
};
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, BaseUrl, Body, BoxError, CreateActorToken, Error,
    ErrorKind, Outcome, Payload,
    actor_token::Guard,
    call::Attempt,
    layer::{collect_body::CollectBodyError, decode_error, no_runtime},
    lock,
};

/// The result of the exchange below Settle.
pub(super) type Collected = Result<Response<Bytes>, BoxError>;

/// A token that must be returned, revoked or reported.
///
/// It begins when a create is admitted. It ends once: if the caller has the token or none was minted, else by
/// [`settle`](Self::settle). If a panic or the end of its runtime drops it before, it reports the token.
pub(super) struct Obligation {
    settler: Arc<Settler>,
    /// The runtime to settle on if there is no current one.
    runtime: Handle,
    evidence: Evidence,
    /// The create; `None` if only its token is known.
    create: Option<(Attempt, Payload)>,
    lifetime: Duration,
    origin: Origin,
    permit: Option<Permit>,
    ended: bool,
}

/// The knowledge about a token.
enum Evidence {
    /// The create is in flight.
    Exchange,
    /// The create failed with this outcome.
    Failure(Outcome),
    /// The bytes of a 200, or the beginning of them.
    Response(Bytes),
    Token {
        id: ActorTokenId,
        /// The latest time at which the token expires.
        expiry: Option<Instant>,
        /// The token belongs to another user than the create's.
        is_foreign: bool,
    },
}

/// The conclusion from the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// No token can be used.
    Nothing,
    /// The token must be revoked.
    Revoke,
    /// The token belongs to another user than the create's.
    Foreign,
    /// A token may exist, and no more can be learned.
    Unknown,
    /// A token may exist, and the rest of the response can show it.
    Pending,
}

/// The parts of a create that the revoke of its token repeats.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    pub(crate) base_url: Option<BaseUrl>,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
}

impl Origin {
    /// Returns the request that revokes a token.
    pub(crate) fn revoke(&self, id: ActorTokenId) -> ActorTokenRequest {
        let mut request = ActorTokenRequest::revoke(id);
        request.headers = without_body_headers(self.headers.clone());
        request.extensions.clone_from(&self.extensions);
        match &self.base_url {
            Some(base_url) => request.base_url(base_url.clone()),
            None => request,
        }
    }
}

/// Removes the headers that describe a body, because a revoke has none.
pub(crate) fn without_body_headers(mut headers: HeaderMap) -> HeaderMap {
    const ABOUT_A_BODY: [HeaderName; 6] = [
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        EXPECT,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    for name in ABOUT_A_BODY {
        headers.remove(name);
    }
    headers
}

impl Obligation {
    /// Learns the result of the exchange.
    fn learn(&mut self, result: &Collected) {
        let (Evidence::Exchange, Some((attempt, payload))) = (&self.evidence, &self.create) else {
            return;
        };
        self.evidence = match result {
            Ok(response) if response.status() == StatusCode::OK => {
                Evidence::Response(response.body().clone())
            }
            Ok(response) => Evidence::Failure(attempt.outcome_of(response.status())),
            Err(error) => match error.downcast_ref::<CollectBodyError>() {
                Some(error) => Evidence::Response(error.expose_prefix().clone()),
                None => Evidence::Failure(decode_error::outcome(error, attempt, payload)),
            },
        };
    }

    fn identify(&mut self, id: ActorTokenId, is_foreign: bool) {
        self.evidence = Evidence::Token {
            id,
            expiry: Instant::now().checked_add(self.lifetime),
            is_foreign,
        };
    }

    /// Judges the evidence. Withdraws a body that was not sent.
    fn judge(&mut self) -> Verdict {
        let (attempt, payload) = match (&self.evidence, &self.create) {
            (Evidence::Failure(outcome), _) => return Verdict::of_failure(*outcome),
            (Evidence::Token { is_foreign, .. }, _) if *is_foreign => return Verdict::Foreign,
            (Evidence::Token { .. }, _) => return Verdict::Revoke,
            (_, None) => return Verdict::Unknown,
            (_, Some(create)) => create,
        };
        let (response, is_pending) = match &self.evidence {
            Evidence::Response(bytes) => (bytes.clone(), false),
            _ if attempt.withdraw() => return Verdict::Nothing,
            _ => match attempt.failed_head() {
                Some(head) => return Verdict::of_failure(attempt.outcome_of(head.status)),
                None => (attempt.received(), true),
            },
        };
        let Some(found) = ActorToken::salvage(&response) else {
            return match is_pending {
                true => Verdict::Pending,
                false => Verdict::of_failure(attempt.outcome_of(StatusCode::OK)),
            };
        };
        let is_foreign = found.is_about_another_user(payload);
        if is_pending && !is_foreign {
            attempt.record.note_lost(&found.id);
        }
        self.identify(found.id, is_foreign);
        match is_foreign {
            true => Verdict::Foreign,
            false => Verdict::Revoke,
        }
    }

    /// Revokes the token in the background, or reports it. An expired token needs neither.
    fn settle(mut self) {
        match self.judge() {
            Verdict::Revoke if self.has_expired() => self.ended = true,
            Verdict::Revoke => {
                let (settler, runtime) = (Arc::clone(&self.settler), self.runtime.clone());
                settler.spawn(&runtime, self.revoke());
            }
            verdict => self.end(verdict),
        }
    }

    /// Returns the token's id and the latest time at which it expires, if its id is known.
    fn token(&self) -> Option<(&ActorTokenId, Option<Instant>)> {
        match &self.evidence {
            Evidence::Token { id, expiry, .. } => Some((id, *expiry)),
            _ => None,
        }
    }

    fn has_expired(&self) -> bool {
        let expiry = self.token().and_then(|(_, expiry)| expiry);
        expiry.is_some_and(|expiry| expiry <= Instant::now())
    }

    fn revoke_request(&self) -> Option<ActorTokenRequest> {
        self.token().map(|(id, _)| self.origin.revoke(id.clone()))
    }

    /// Revokes the token and reports its end. Stops at the limit of a drain.
    async fn revoke(mut self) {
        let Some(request) = self.revoke_request() else {
            return;
        };
        self.permit = None;
        let cut = self.settler.cut();
        let revoked = cut.run_until_cancelled(self.settler.revoke(request)).await;
        let (end, error) = match revoked {
            None => (SettleEnd::NotRevoked, None),
            Some(Ok(_)) => (SettleEnd::Revoked, None),
            Some(Err(error)) => match error.kind() {
                ErrorKind::AlreadyRevoked => (SettleEnd::Revoked, None),
                ErrorKind::AlreadyAccepted => (SettleEnd::Accepted, Some(error)),
                // A 200 named this token, even if the rest of it is unreadable.
                _ if self.is_applied(&error) => (SettleEnd::Revoked, None),
                _ => (SettleEnd::NotRevoked, Some(error)),
            },
        };
        self.report(end, error);
    }

    fn is_applied(&self, error: &Error) -> bool {
        let is_this = |(id, _)| error.actor_token_id() == Some(id);
        error.outcome() == Outcome::Applied && self.token().is_some_and(is_this)
    }

    /// Ends the obligation without a revoke.
    fn end(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Nothing => self.ended = true,
            Verdict::Revoke => self.report(SettleEnd::NotRevoked, None),
            Verdict::Foreign => {
                self.report(SettleEnd::Foreign, None);
                // The response is not the one to this create, which may have minted a token too.
                self.evidence = Evidence::Failure(Outcome::Unknown);
                self.report(SettleEnd::Unknown, None);
            }
            Verdict::Unknown | Verdict::Pending => self.report(SettleEnd::Unknown, None),
        }
    }

    fn report(&mut self, end: SettleEnd, error: Option<Error>) {
        self.ended = true;
        let token = self.token();
        let expiry = token.and_then(|(_, expiry)| expiry);
        let left = expiry.map_or(self.lifetime, |expiry| {
            expiry.saturating_duration_since(Instant::now())
        });
        let exposed_until = match end {
            SettleEnd::Revoked | SettleEnd::Accepted => None,
            _ => SystemTime::now().checked_add(left),
        };
        self.settler.report(&SettleEvent {
            end,
            actor_token_id: token.map(|(id, _)| id.clone()),
            exposed_until,
            error: error.map(Arc::new),
            extensions: self.origin.extensions.clone(),
        });
    }
}

impl Verdict {
    fn of_failure(outcome: Outcome) -> Self {
        match outcome.is_without_effect() {
            true => Self::Nothing,
            false => Self::Unknown,
        }
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if !self.ended {
            let verdict = self.judge();
            self.end(verdict);
        }
    }
}

/// The [`Guard`] of a token, which owns its obligation until the token is claimed.
pub(crate) struct TokenGuard(Mutex<Option<Obligation>>);

impl TokenGuard {
    /// Begins the obligation of a create, or refuses it before anything is sent.
    pub(super) fn of_create(
        settler: &Arc<Settler>,
        request: &Request<Body>,
    ) -> Result<Arc<Self>, Error> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let permit = settler.admit()?;
        let payload = request.body().payload.clone();
        let attempt = request.body().attempt_handle();
        let lifetime = attempt.record.lifetime();
        let obligation = Obligation {
            settler: Arc::clone(settler),
            runtime,
            evidence: Evidence::Exchange,
            lifetime: lifetime.unwrap_or(CreateActorToken::DEFAULT_LIFE),
            origin: Origin {
                base_url: payload.options().and_then(|it| it.base_url.clone()),
                headers: request.headers().clone(),
                extensions: request.extensions().clone(),
            },
            create: Some((attempt, payload)),
            permit: Some(permit),
            ended: false,
        };
        Ok(Arc::new(Self(Mutex::new(Some(obligation)))))
    }

    /// Guards a token that no Settle layer guards.
    pub(crate) fn of_token(
        settler: Arc<Settler>,
        runtime: Handle,
        id: ActorTokenId,
        lifetime: Duration,
        origin: Origin,
    ) -> Self {
        let mut obligation = Obligation {
            settler,
            runtime,
            evidence: Evidence::Exchange,
            create: None,
            lifetime,
            origin,
            permit: None,
            ended: false,
        };
        obligation.identify(id, false);
        Self(Mutex::new(Some(obligation)))
    }

    /// Learns the result of the exchange.
    pub(super) fn learn(&self, result: &Collected) {
        self.with(|obligation| obligation.learn(result));
    }

    /// Returns whether the rest of the response can show a token.
    pub(super) fn is_pending(&self) -> bool {
        self.with(|obligation| obligation.judge() == Verdict::Pending)
            .unwrap_or(false)
    }

    /// Returns the settler and the runtime to follow the exchange with.
    pub(super) fn background(&self) -> Option<(Arc<Settler>, Handle)> {
        self.with(|it| (Arc::clone(&it.settler), it.runtime.clone()))
    }

    /// Changes the obligation, unless it has ended.
    fn with<T>(&self, change: impl FnOnce(&mut Obligation) -> T) -> Option<T> {
        let mut obligation = lock(&self.0);
        obligation.as_mut().filter(|it| !it.ended).map(change)
    }

    /// Takes the obligation, unless it has ended. Dropping it reports the token.
    pub(super) fn take(&self) -> Option<Obligation> {
        lock(&self.0).take_if(|it| !it.ended)
    }
}

impl Guard for TokenGuard {
    fn identify(&self, id: &ActorTokenId) {
        self.with(|obligation| {
            obligation.identify(id.clone(), false);
            // The create is no longer in flight.
            obligation.permit = None;
        });
    }

    fn claim(&self) {
        // The caller's extensions are dropped outside of the lock, because they may run any code.
        let extensions = self.with(|obligation| {
            obligation.ended = true;
            mem::take(&mut obligation.origin.extensions)
        });
        drop(extensions);
    }

    fn settle(&self) {
        if let Some(obligation) = self.take() {
            obligation.settle();
        }
    }

    fn revoke_request(&self) -> Option<ActorTokenRequest> {
        self.with(|obligation| match obligation.has_expired() {
            true => None,
            false => obligation.revoke_request(),
        })?
    }
}

impl Drop for TokenGuard {
    fn drop(&mut self) {
        let Some(mut obligation) = self.take() else {
            return;
        };
        let is_delivered = matches!(obligation.evidence, Evidence::Token { .. });
        if is_delivered && !obligation.settler.config.revoke_unread {
            obligation.ended = true;
        } else {
            obligation.settle();
        }
    }
}

//! [`Obligation`], a token that must be returned, revoked or reported. All its transitions are in this file.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
};

/// The result of the exchange below Settle.
pub(super) type Collected = Result<Response<Bytes>, BoxError>;

/// A token that must be returned, revoked or reported.
///
/// It begins when a create is admitted and ends exactly once: by [`discharge`](Self::discharge) when the
/// caller has the token or none was minted, or by [`settle`](Self::settle). Dropped before that, by a
/// panic or with its runtime, it reports the token.
pub(super) struct Obligation {
    settler: Arc<Settler>,
    /// The runtime to settle on if the token is lost outside of any.
    runtime: Handle,
    evidence: Evidence,
    /// The create; `None` if only its token is known.
    create: Option<Create>,
    lifetime: Duration,
    origin: Origin,
    permit: Option<Permit>,
    ended: bool,
}

struct Create {
    attempt: Attempt,
    payload: Payload,
}

/// What is known of a token.
enum Evidence {
    /// The create is in flight.
    Exchange,
    /// The create failed with this outcome.
    Failure(Outcome),
    /// The bytes of a 200, or the beginning of them.
    Response(Bytes),
    Token {
        id: ActorTokenId,
        /// When the token expires at the latest.
        expiry: Option<Instant>,
        /// The token belongs to a user who was not asked for.
        is_foreign: bool,
    },
}

/// What the evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No token can be used.
    Nothing,
    /// The token must be revoked.
    Revoke,
    /// The token belongs to a user who was not asked for.
    Foreign,
    /// A token may exist, and nothing more can be learned.
    Unknown,
    /// A token may exist, and the rest of the response will say.
    Pending,
}

/// The parts of a create that its revoke needs, to arrive at the same place.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    pub(crate) base_url: Option<BaseUrl>,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
}

impl Origin {
    /// Makes the request that revokes a token.
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
    /// Begins the obligation of a create, or refuses it before anything is sent.
    fn of_create(settler: &Arc<Settler>, request: &Request<Body>) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let permit = settler.admit()?;
        let payload = request.body().payload().clone();
        let attempt = request.body().attempt_handle();
        let lifetime = attempt.record().lifetime();
        Ok(Self {
            settler: Arc::clone(settler),
            runtime,
            evidence: Evidence::Exchange,
            lifetime: lifetime.unwrap_or(CreateActorToken::DEFAULT_LIFE),
            origin: Origin {
                base_url: payload.options().and_then(|it| it.base_url.clone()),
                headers: request.headers().clone(),
                extensions: request.extensions().clone(),
            },
            create: Some(Create { attempt, payload }),
            permit: Some(permit),
            ended: false,
        })
    }

    /// Begins the obligation of a token that was minted by now.
    fn of_token(
        settler: Arc<Settler>,
        runtime: Handle,
        id: ActorTokenId,
        lifetime: Duration,
        origin: Origin,
    ) -> Self {
        Self {
            settler,
            runtime,
            evidence: Evidence::Token {
                id,
                expiry: Instant::now().checked_add(lifetime),
                is_foreign: false,
            },
            create: None,
            lifetime,
            origin,
            permit: None,
            ended: false,
        }
    }

    /// Learns how the exchange ended.
    fn learn(&mut self, result: &Collected) {
        let (Evidence::Exchange, Some(Create { attempt, payload })) =
            (&self.evidence, &self.create)
        else {
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

    /// Judges the evidence. A body that was not sent by now never will be.
    fn judge(&mut self) -> Verdict {
        let create = match (&self.evidence, &self.create) {
            (Evidence::Failure(outcome), _) => return Verdict::of_failure(*outcome),
            (Evidence::Token { is_foreign, .. }, _) if *is_foreign => return Verdict::Foreign,
            (Evidence::Token { .. }, _) => return Verdict::Revoke,
            (_, None) => return Verdict::Unknown,
            (_, Some(create)) => create,
        };
        let attempt = &create.attempt;
        let (response, is_pending) = match &self.evidence {
            Evidence::Response(bytes) => (bytes.clone(), false),
            _ if attempt.withdraw() => return Verdict::Nothing,
            _ => match attempt.head() {
                Some(head) if head.status != StatusCode::OK => {
                    return Verdict::of_failure(attempt.outcome_of(head.status));
                }
                _ => (attempt.received(), true),
            },
        };
        let Some(found) = ActorToken::salvage(&response) else {
            return match is_pending {
                true => Verdict::Pending,
                false => Verdict::of_failure(attempt.outcome_of(StatusCode::OK)),
            };
        };
        let is_foreign = create.payload.is_about_another_user(&found);
        if is_pending && !is_foreign {
            attempt.record().note_lost(&found.id);
        }
        self.identify(found.id, is_foreign);
        if is_foreign {
            Verdict::Foreign
        } else {
            Verdict::Revoke
        }
    }

    /// Ends the obligation: no token was minted, or the caller has it.
    fn discharge(&mut self) {
        self.ended = true;
    }

    /// Revokes the token in the background, or reports it. A token that has expired is left alone.
    fn settle(mut self) {
        match self.judge() {
            Verdict::Revoke if self.has_expired() => self.discharge(),
            Verdict::Revoke => {
                let (settler, runtime) = (Arc::clone(&self.settler), self.runtime.clone());
                settler.spawn(&runtime, self.revoke());
            }
            verdict => self.end(verdict),
        }
    }

    fn has_expired(&self) -> bool {
        let Evidence::Token { expiry, .. } = &self.evidence else {
            return false;
        };
        expiry.is_some_and(|expiry| expiry <= Instant::now())
    }

    fn revoke_request(&self) -> Option<ActorTokenRequest> {
        match &self.evidence {
            Evidence::Token { id, .. } => Some(self.origin.revoke(id.clone())),
            _ => None,
        }
    }

    /// Revokes the token, or reports it if that fails or draining takes too long.
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
                // The API sent a 200 about this token, even if the rest of it is unreadable.
                _ if self.is_applied(&error) => (SettleEnd::Revoked, None),
                _ => (SettleEnd::NotRevoked, Some(error)),
            },
        };
        self.report(end, error);
    }

    fn is_applied(&self, error: &Error) -> bool {
        let is_this = |found: &ActorTokenId| matches!(&self.evidence, Evidence::Token { id, .. } if id == found);
        error.outcome() == Outcome::Applied && error.actor_token_id().is_some_and(is_this)
    }

    /// Ends the obligation by a verdict, without revoking anything.
    fn end(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Nothing => self.ended = true,
            Verdict::Revoke => self.report(SettleEnd::NotRevoked, None),
            Verdict::Foreign => {
                self.report(SettleEnd::Foreign, None);
                // The response is not that of this create, whose own token may exist.
                self.evidence = Evidence::Failure(Outcome::Unknown);
                self.report(SettleEnd::Unknown, None);
            }
            Verdict::Unknown | Verdict::Pending => self.report(SettleEnd::Unknown, None),
        }
    }

    fn report(&mut self, end: SettleEnd, error: Option<Error>) {
        self.ended = true;
        let (id, expiry) = match &self.evidence {
            Evidence::Token { id, expiry, .. } => (Some(id.clone()), *expiry),
            _ => (None, None),
        };
        let left = expiry.map_or(self.lifetime, |expiry| {
            expiry.saturating_duration_since(Instant::now())
        });
        let exposed_until = match end {
            SettleEnd::Revoked | SettleEnd::Accepted => None,
            _ => SystemTime::now().checked_add(left),
        };
        self.settler.report(&SettleEvent {
            end,
            actor_token_id: id,
            exposed_until,
            error: error.map(Arc::new),
            extensions: self.origin.extensions.clone(),
        });
    }
}

impl Verdict {
    fn of_failure(outcome: Outcome) -> Self {
        if outcome.is_without_effect() {
            Self::Nothing
        } else {
            Self::Unknown
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

/// The [`Guard`] of a token: owns its obligation until the token is claimed.
///
/// It is made with its obligation when a create begins, because to move one takes 60 instructions.
pub(crate) struct TokenGuard(Mutex<Option<Obligation>>);

impl TokenGuard {
    /// Begins the obligation of a create, or refuses it before anything is sent.
    pub(super) fn of_create(
        settler: &Arc<Settler>,
        request: &Request<Body>,
    ) -> Result<Arc<Self>, Error> {
        let obligation = Obligation::of_create(settler, request)?;
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
        let obligation = Obligation::of_token(settler, runtime, id, lifetime, origin);
        Self(Mutex::new(Some(obligation)))
    }

    /// Learns how the exchange ended.
    pub(super) fn learn(&self, result: &Collected) {
        self.with(|obligation| obligation.learn(result));
    }

    /// Returns whether a token may exist of which the rest of the response will say more.
    pub(super) fn is_pending(&self) -> bool {
        self.with(|obligation| obligation.judge() == Verdict::Pending)
            .unwrap_or(false)
    }

    /// Returns what follows the exchange in the background, and where.
    pub(super) fn background(&self) -> Option<(Arc<Settler>, Handle)> {
        self.with(|obligation| (Arc::clone(&obligation.settler), obligation.runtime.clone()))
    }

    /// Reports the token without revoking it.
    pub(super) fn report(&self) {
        drop(self.take());
    }

    /// Changes the obligation, unless it has ended.
    fn with<T>(&self, change: impl FnOnce(&mut Obligation) -> T) -> Option<T> {
        let mut obligation = self.lock();
        obligation.as_mut().filter(|it| !it.ended).map(change)
    }

    /// Takes the obligation, unless it has ended.
    fn take(&self) -> Option<Obligation> {
        self.lock().take_if(|it| !it.ended)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Obligation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        // What the caller put there is dropped now, and outside of the lock.
        let extensions = self.with(|obligation| {
            obligation.discharge();
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
        if is_delivered && !obligation.settler.revokes_unread() {
            obligation.discharge();
        } else {
            obligation.settle();
        }
    }
}

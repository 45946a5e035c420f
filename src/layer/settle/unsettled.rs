//! [`Unsettled`], a credential that may exist and that nobody answers for yet.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, Request,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRAILER, TRANSFER_ENCODING},
};
use serde::Deserialize;
use tokio::{runtime::Handle, time::Instant};

use super::{
    SettleEnd, SettleEvent,
    settler::{Settler, unless},
};
use crate::{
    ActorToken, ActorTokenId, ActorTokenRequest, BaseUrl, Body, CreateActorToken, Error, ErrorKind,
    Outcome, call::CallOptions,
};

/// A credential that may exist and that nobody answers for yet. It meets exactly one end; dropped
/// before that, by a panic or with its runtime, it is reported.
pub(crate) struct Unsettled {
    settler: Arc<Settler>,
    /// Where it is settled, if it is lost where there is no runtime.
    runtime: Handle,
    /// The body of the create, which says whose token it is.
    asked: Bytes,
    life: Duration,
    origin: Origin,
    id: Option<ActorTokenId>,
    /// When it can be used no more at the latest, once it is known to exist.
    expiry: Option<Instant>,
    ended: bool,
}

/// What a create carried that its revoke must carry, too, to come to the same place.
#[derive(Clone, Default)]
pub(crate) struct Origin(Option<Box<Carried>>);

#[derive(Clone)]
struct Carried {
    base_url: Option<BaseUrl>,
    headers: HeaderMap,
    extensions: Extensions,
}

/// Takes out what says something of a body: a revoke has none.
pub(crate) fn take_body_headers(headers: &mut HeaderMap) {
    const OF_A_BODY: [HeaderName; 6] = [
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        EXPECT,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    for name in OF_A_BODY {
        headers.remove(name);
    }
}

impl Origin {
    pub(crate) fn new(
        options: Option<&CallOptions>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        let base_url = options.and_then(|options| options.base_url.as_ref());
        let plain = base_url.is_none() && headers.is_empty() && extensions.is_empty();
        Self((!plain).then(|| {
            Box::new(Carried {
                base_url: base_url.cloned(),
                headers: headers.clone(),
                extensions: extensions.clone(),
            })
        }))
    }

    /// A revoke that comes to the same place.
    fn revoke(&self, id: ActorTokenId) -> ActorTokenRequest {
        let mut request = ActorTokenRequest::revoke(id);
        if let Some(carried) = self.0.as_deref() {
            request.headers_mut().clone_from(&carried.headers);
            take_body_headers(request.headers_mut());
            request.extensions_mut().clone_from(&carried.extensions);
            if let Some(base_url) = &carried.base_url {
                request = request.base_url(base_url.clone());
            }
        }
        request
    }

    fn into_extensions(self) -> Extensions {
        self.0
            .map_or_else(Extensions::new, |carried| carried.extensions)
    }
}

impl Unsettled {
    /// What `request` may mint.
    pub(super) fn of_request(
        settler: Arc<Settler>,
        runtime: Handle,
        request: &Request<Body>,
    ) -> Self {
        let body = request.body();
        let life = body.progress().life();
        Self {
            settler,
            runtime,
            asked: body.bytes().clone(),
            life: life.unwrap_or(CreateActorToken::DEFAULT_LIFE),
            origin: Origin::new(
                body.content().options(),
                request.headers(),
                request.extensions(),
            ),
            id: None,
            expiry: None,
            ended: false,
        }
    }

    /// A token that was minted by now, and lives this long.
    pub(crate) fn of_token(
        settler: Arc<Settler>,
        runtime: Handle,
        id: ActorTokenId,
        life: Duration,
        origin: Origin,
    ) -> Self {
        let mut unsettled = Self {
            settler,
            runtime,
            asked: Bytes::new(),
            life,
            origin,
            id: None,
            expiry: None,
            ended: false,
        };
        unsettled.identify(id);
        unsettled
    }

    /// The same once more, or another one of the same request while neither is identified.
    pub(super) fn again(&self) -> Self {
        Self {
            settler: Arc::clone(&self.settler),
            runtime: self.runtime.clone(),
            asked: self.asked.clone(),
            life: self.life,
            origin: self.origin.clone(),
            id: self.id.clone(),
            expiry: self.expiry,
            ended: false,
        }
    }

    pub(super) fn settler(&self) -> &Arc<Settler> {
        &self.settler
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// It was minted by now, and is known by this id.
    pub(super) fn identify(&mut self, id: ActorTokenId) {
        self.id = Some(id);
        self.expiry = Instant::now().checked_add(self.life);
    }

    /// Notes what `answer` tells. Returns the end that it meets unless it is revoked.
    pub(super) fn learn(&mut self, answer: &[u8]) -> SettleEnd {
        let Some(found) = ActorToken::salvage(answer) else {
            return SettleEnd::Unknown;
        };
        self.id = Some(found.id);
        match found.user_id {
            Some(user_id) if !self.is_for(&user_id) => SettleEnd::Foreign,
            _ => SettleEnd::NotRevoked,
        }
    }

    /// The request that revokes it, if its id is known.
    pub(crate) fn revoke_request(&self) -> Option<ActorTokenRequest> {
        self.id.clone().map(|id| self.origin.revoke(id))
    }

    /// Whether it can be used no more, whatever the clocks of others say.
    pub(crate) fn has_expired(&self) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= Instant::now())
    }

    /// Nothing was minted, or somebody answers for it.
    pub(crate) fn nothing(mut self) {
        self.note_nothing();
    }

    /// The same, where it stands.
    pub(super) fn note_nothing(&mut self) {
        self.ended = true;
    }

    /// Settles it by what came of the answer. If that names a token that must be revoked, that is
    /// left to do.
    pub(super) fn judged_by(mut self, answer: &[u8]) -> Option<Self> {
        match self.learn(answer) {
            SettleEnd::NotRevoked => return Some(self),
            end => self.end(end, None),
        }
        None
    }

    /// Whether the create asked for a token of this user.
    fn is_for(&self, user_id: &str) -> bool {
        #[derive(Deserialize)]
        struct Asked {
            user_id: String,
        }
        // A body of another form than ours says nothing against it.
        serde_json::from_slice::<Asked>(&self.asked).map_or(true, |asked| asked.user_id == user_id)
    }

    /// Revokes it in the background.
    pub(crate) fn revoke(self) {
        let (settler, runtime) = (Arc::clone(&self.settler), self.runtime.clone());
        let cut = settler.cut();
        settler.spawn(&runtime, self.revoked(cut));
    }

    /// Revokes it, unless `cut` comes first.
    pub(super) async fn revoked(self, cut: impl Future<Output = ()>) {
        let Some(request) = self.revoke_request() else {
            return self.end(SettleEnd::Unknown, None);
        };
        match unless(cut, self.settler.revoke(request)).await {
            Some(Ok(_)) => self.end(SettleEnd::Revoked, None),
            Some(Err(error)) => match error.kind() {
                ErrorKind::AlreadyRevoked => self.end(SettleEnd::Revoked, None),
                // The API answered 200 about this very token, whatever became of the rest of it.
                _ if error.outcome() == Outcome::Applied
                    && error.actor_token_id() == self.id.as_ref() =>
                {
                    self.end(SettleEnd::Revoked, None);
                }
                ErrorKind::AlreadyAccepted => self.end(SettleEnd::Accepted, Some(error)),
                _ => self.end(SettleEnd::NotRevoked, Some(error)),
            },
            None => self.end(SettleEnd::NotRevoked, None),
        }
    }

    pub(super) fn end(mut self, end: SettleEnd, error: Option<Error>) {
        self.report(end, error);
    }

    fn report(&mut self, end: SettleEnd, error: Option<Error>) {
        self.ended = true;
        let left = self.expiry.map_or(self.life, |expiry| {
            expiry.saturating_duration_since(Instant::now())
        });
        let exposed_until = match end {
            SettleEnd::Revoked | SettleEnd::Accepted => None,
            _ => SystemTime::now().checked_add(left),
        };
        self.settler.report(&SettleEvent {
            end,
            actor_token_id: self.id.take(),
            exposed_until,
            error,
            extensions: std::mem::take(&mut self.origin).into_extensions(),
        });
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.ended {
            let end = match self.id {
                Some(_) => SettleEnd::NotRevoked,
                None => SettleEnd::Unknown,
            };
            self.report(end, None);
        }
    }
}

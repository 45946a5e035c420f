//! Stamps the principal, the reason and the policy of a create into the claims of the actor.
//!
//! A token that was never accounted for can still be attributed, because Clerk copies the claims into
//! the token and into every session JWT. `sub` is never changed.
//!
//! | claim | value |
//! |---|---|
//! | `call` | the [`CallId`] |
//! | `by` | the id of the [`Principal`], if there is one |
//! | `iss` | the issuer: the name of this gateway |
//! | `policy` | the version of the loaded policy, if there is one |
//! | `reason` | the [`Reason`], if there is one, cut so that the claims fit [`MAX_BYTES`] as a JSON object |
//!
//! A caller that sends one of the first four itself is refused with 422. The header of the reason is not
//! sent to the API. The layer also takes the [`Reason`] out of the extensions of the request:
//! [`Reason::of`] still returns it below.
//!
//! # Position
//!
//! An observer layer, below Audit, which creates the [`CallId`], and above
//! [`AuthorizeLayer`](crate::AuthorizeLayer), which checks the reason. Without Audit this layer creates
//! the id. It works at the call level, too.
//!
//! # Example
//!
//! ```
//! use clerk_actor_tokens::{Actor, ActorTokenRequest, ClientBuilder, CreateActorToken, sandbox::Sandbox};
//! use clerk_actor_tokens_policy::{AttributionLayer, Principal, Reason};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), clerk_actor_tokens::BoxError> {
//! let sandbox = Sandbox::new();
//! let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
//!     .observe_layer(AttributionLayer::new("support-gateway"))
//!     .build()?;
//!
//! let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
//! let mut request = ActorTokenRequest::create(create);
//! request.extensions_mut().insert(Principal::new("user_admin"));
//! request.extensions_mut().insert(Reason::new("ticket 4711"));
//! client.send(request).await?;
//!
//! let ledger = sandbox.ledger();
//! let claims = ledger.minted().next().ok_or("nothing minted")?.actor().claims();
//! assert_eq!((&claims["by"], &claims["iss"]), (&"user_admin".into(), &"support-gateway".into()));
//! assert_eq!(claims["reason"], "ticket 4711");
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! The layer does not wait. Dropping the future drops the inner future.
//!
//! # Errors
//!
//! [`Error::refused`] with 422 and the code [`ClerkError::FORM_PARAM_UNKNOWN`] for a reserved claim, or
//! [`ClerkError::FORM_PARAM_VALUE_INVALID`] for a claim `reason` that is not a text, and for claims that
//! do not fit even without a reason: the id of a principal is never cut. `meta.param_name` names the
//! claim. Errors of the inner service pass unchanged.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use clerk_actor_tokens::{ActorTokenRequest, ClerkError, ClerkErrors, Error, Operation};
use http::StatusCode;
use serde_json::{Map, Value};
use tower_layer::Layer;
use tower_service::Service;

pub use crate::future::ResponseFuture;
use crate::{
    CallId, Principal, Reason, SharedPolicy,
    context::CallContext,
    future::take_ready,
    telemetry::{self, Facts, Stage},
};

/// The longest JSON object of the claims that are stamped, in bytes.
pub const MAX_BYTES: usize = 256;

/// The claims that a caller may not send.
const RESERVED: [&str; 4] = ["call", "by", "policy", "iss"];

/// Ends a reason that was cut.
const CUT: char = '…';

/// Layer of [`Attribution`].
#[derive(Clone, Debug)]
pub struct AttributionLayer {
    issuer: Arc<str>,
    policy: Option<SharedPolicy>,
}

impl AttributionLayer {
    /// Stamps `issuer` as the claim `iss`, such as the name or the URL of the gateway.
    pub fn new(issuer: impl Into<Arc<str>>) -> Self {
        Self {
            issuer: issuer.into(),
            policy: None,
        }
    }

    /// Also stamps the version of `policy`. A call that runs while the policy is replaced may be decided by
    /// the policy that follows the stamped one.
    #[must_use]
    pub fn policy(mut self, policy: SharedPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Adds the call id, and stamps the claims of a create.
    fn stamp(&self, request: &mut ActorTokenRequest) -> Result<(), Error> {
        let reason = Reason::of(request);
        request.headers_mut().remove(Reason::HEADER);
        request.extensions_mut().remove::<Reason>();
        let call = CallId::of(request.extensions()).unwrap_or_else(CallId::create);
        CallContext::of_call(call, request.extensions_mut()).reason = Some(reason.clone());
        let principal: Option<&Principal> = request.extensions().get();
        let by = principal.map(|principal| Arc::clone(&principal.id));
        if let Operation::Create(create) = request.operation_mut() {
            let policy = self.policy.as_ref().map(SharedPolicy::current);
            let stamps = [
                ("call", Some(call.to_string())),
                ("by", by.as_deref().map(String::from)),
                ("iss", Some(String::from(&*self.issuer))),
                ("policy", policy.map(|policy| policy.version().to_owned())),
            ];
            let claims = create.actor_mut().claims_mut();
            check(claims)?;
            stamp(claims, stamps, reason.as_ref())?;
        }
        Ok(())
    }
}

/// Refuses claims that a caller may not send.
fn check(claims: &Map<String, Value>) -> Result<(), Error> {
    if let Some(name) = RESERVED.into_iter().find(|it| claims.contains_key(*it)) {
        let sentence = format!("The claim {name} of the actor is set by the gateway.");
        return Err(refused(ClerkError::FORM_PARAM_UNKNOWN, name, sentence));
    }
    match claims.get(Reason::CLAIM) {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(refused(
            ClerkError::FORM_PARAM_VALUE_INVALID,
            Reason::CLAIM,
            "The claim reason of the actor must be a text.".into(),
        )),
    }
}

fn refused(code: &'static str, claim: &str, sentence: String) -> Error {
    let entry = ClerkError::new(code, "invalid claim", sentence)
        .with_meta("param_name", format!("actor.{claim}"));
    Error::refused(StatusCode::UNPROCESSABLE_ENTITY, ClerkErrors::new(entry))
}

/// Adds these claims, and the reason cut so that it fits beside them.
fn stamp(
    claims: &mut Map<String, Value>,
    stamps: [(&str, Option<String>); 4],
    reason: Option<&Reason>,
) -> Result<(), Error> {
    // The braces, and for each member the quotes of its name, a colon and a comma.
    let mut used = "{}".len();
    for (name, value) in stamps {
        if let Some(value) = value {
            used += name.len() + json_len(&value) + "\"\":,".len();
            claims.insert(name.into(), value.into());
        }
    }
    // The last member has no comma.
    if used - 1 > MAX_BYTES {
        let sentence = format!(
            "The claims of the call have {used} bytes, at most {MAX_BYTES} are allowed. The id of the principal is too long."
        );
        return Err(refused(
            ClerkError::FORM_PARAM_VALUE_INVALID,
            "by",
            sentence,
        ));
    }
    let room = MAX_BYTES.saturating_sub(used + Reason::CLAIM.len() + "\"\":".len());
    match reason.and_then(|reason| cut(reason.as_str(), room)) {
        Some(reason) => _ = claims.insert(Reason::CLAIM.into(), reason.into()),
        None => _ = claims.remove(Reason::CLAIM),
    }
    Ok(())
}

/// Returns the longest beginning of `text` that has at most `room` bytes as JSON.
fn cut(text: &str, room: usize) -> Option<String> {
    if json_len(text) <= room {
        return Some(text.to_owned());
    }
    let mut room = room.checked_sub("\"\"".len() + CUT.len_utf8())?;
    let fits = |c: &char| {
        let left = room.checked_sub(escaped_len(c.encode_utf8(&mut [0; 4])));
        room = left.unwrap_or_default();
        left.is_some()
    };
    let start: String = text.chars().take_while(fits).collect();
    (!start.is_empty()).then(|| format!("{start}{CUT}"))
}

fn json_len(text: &str) -> usize {
    "\"\"".len() + escaped_len(text)
}

/// Returns the length of a text in JSON, as serde_json writes it, without allocating it.
fn escaped_len(text: &str) -> usize {
    let is_escaped = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let extra = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        _ => "u0000".len(),
    };
    let extra: usize = text.bytes().filter(is_escaped).map(extra).sum();
    text.len() + extra
}

impl<S> Layer<S> for AttributionLayer {
    type Service = Attribution<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Attribution { inner, layer }
    }
}

/// Stamps the claims of the actor, see the [module](self).
#[derive(Clone, Debug)]
pub struct Attribution<S> {
    inner: S,
    layer: AttributionLayer,
}

impl<S> Service<ActorTokenRequest> for Attribution<S>
where
    S: Service<ActorTokenRequest, Error: From<Error>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ActorTokenRequest) -> Self::Future {
        match self.layer.stamp(&mut request) {
            Ok(()) => ResponseFuture::called(self.inner.call(request)),
            Err(error) => {
                // Releases the reserved readiness, such as a concurrency permit.
                drop(take_ready(&mut self.inner));
                telemetry::refused(Stage::Attribution, "claims", Facts::of(&request));
                ResponseFuture::refused(error.into())
            }
        }
    }
}

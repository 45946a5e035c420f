//! The policy layers, each alone over a service that is ready at once, and all of them in the stack.

use std::{hint::black_box, mem, num::NonZeroU32, time::Duration};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, BoxError, CreateActorToken, Error, layer::TypedErrorLayer,
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuditBarrierLayer, AuditLayer, AuthorizeLayer, GateLayer, Limit, LimitBy,
    MemoryGate, MemoryRateLimitStore, Policy, Principal, RateLimitLayer, Reason, SharedPolicy,
    audit::MemorySink,
};
use http::StatusCode;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::{
    Calls,
    layers::{Tokens, attempts, payloads, reading},
    samples::{ADMIN_ID, MINTED},
    stack::{builder, create},
    transport::InMemory,
};

const REASON: &str = "ticket 4711: cannot log in";

/// Returns a create with a principal and a reason.
fn asked() -> ActorTokenRequest {
    by_principal(create())
}

/// Returns the same create as the layers send it.
fn stamped() -> ActorTokenRequest {
    let mut create = create().session_max_duration(Duration::from_secs(600));
    let claims = create.actor_mut().claims_mut();
    for (name, value) in [
        ("call", "0193792a5c3e7c3e8f3e7c3e8f3e7c3e"),
        ("by", ADMIN_ID),
        ("iss", "support-gateway"),
        ("policy", "2026-11-30"),
        ("reason", REASON),
    ] {
        claims.insert(name.into(), value.into());
    }
    by_principal(create)
}

fn by_principal(create: CreateActorToken) -> ActorTokenRequest {
    let mut request = ActorTokenRequest::create(create);
    let principal = Principal::new(ADMIN_ID).via("console").group("support");
    request.extensions_mut().insert(principal);
    request.extensions_mut().insert(Reason::new(REASON));
    request
}

fn policy() -> SharedPolicy {
    let policy: Result<Policy, _> = toml::from_str(
        r#"
        version = "2026-11-30"
        lifetime = { default = 300, longest = 900 }
        session = { default = 600, longest = 1800 }
        reason = { min_length = 10 }
        actors = { allow = ["group:support"] }
        subjects = { deny = ["user_ceo"] }
        "#,
    );
    SharedPolicy::new(policy.expect("a policy"))
}

fn attributing(policy: SharedPolicy) -> AttributionLayer {
    AttributionLayer::new("support-gateway").policy(policy)
}

/// Two limits that refuse nothing.
fn limiting() -> RateLimitLayer<MemoryRateLimitStore> {
    let limit = |by| Limit::new(by, NonZeroU32::MAX, Duration::from_secs(1));
    let limits = [LimitBy::Actor, LimitBy::Global].map(limit);
    RateLimitLayer::new(MemoryRateLimitStore::new(), limits)
}

/// An audit whose sink outlives the run, because dropping its entries is no part of a call.
fn auditing() -> AuditLayer<MemorySink> {
    let sink = MemorySink::new();
    mem::forget(sink.clone());
    AuditLayer::new(sink)
}

fn gating() -> GateLayer<MemoryGate> {
    GateLayer::new(MemoryGate::new(), "production")
}

fn creates<S>(service: S) -> Calls
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>> + 'static,
{
    reading(service, asked, |token| {
        black_box(token.expose_url());
    })
}

/// Creates tokens through a layer alone.
fn through<L>(layer: L) -> Calls
where
    L: Layer<Tokens<Error>>,
    L::Service: Service<ActorTokenRequest, Response = ActorToken, Error: Into<BoxError>> + 'static,
{
    creates(layer.layer(Tokens::new()))
}

pub(crate) fn no_layer() -> Calls {
    through(Identity::new())
}

pub(crate) fn attribution() -> Calls {
    through(attributing(policy()))
}

pub(crate) fn authorize() -> Calls {
    through(AuthorizeLayer::new(policy()))
}

pub(crate) fn rate_limit() -> Calls {
    through(limiting())
}

/// Measured together, because the barrier writes to the audit above.
pub(crate) fn audit() -> Calls {
    let barrier = AuditBarrierLayer::new().layer(Tokens::<Error>::new());
    creates(auditing().layer(TypedErrorLayer::new().layer(barrier)))
}

pub(crate) fn gate() -> Calls {
    payloads(gating().layer(attempts()))
}

/// Returns the same creates through the whole stack without policy layers.
pub(crate) fn none() -> Calls {
    let stack = builder(InMemory::responding(StatusCode::OK, MINTED)).service();
    creates(stack.expect("a stack"))
}

/// Returns creates with the claims and lifetimes that the layers set, through the stack without them.
pub(crate) fn by_hand() -> Calls {
    let stack = builder(InMemory::responding(StatusCode::OK, MINTED)).service();
    let read = |token: &ActorToken| _ = black_box(token.expose_url());
    reading(stack.expect("a stack"), stamped, read)
}

/// Returns creates through the whole stack with all policy layers.
pub(crate) fn all() -> Calls {
    let (policy, audit) = (policy(), auditing());
    let stack = builder(InMemory::responding(StatusCode::OK, MINTED))
        .on_settle(audit.on_settle())
        .observe_layer(audit.policy(policy.clone()))
        .observe_layer(attributing(policy.clone()))
        .call_layer(AuthorizeLayer::new(policy))
        .call_layer(limiting())
        .call_layer(AuditBarrierLayer::new())
        .attempt_layer(gating())
        .service();
    creates(stack.expect("a stack"))
}

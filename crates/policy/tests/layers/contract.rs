//! Every layer keeps tower's contract: it calls the instance that it polled ready, and a refusal releases
//! the readiness.

use std::{fmt::Debug, future::ready};

use clerk_actor_tokens::{
    ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError, CreateActorToken, Error,
    OperationKind, Payload, TokenResponse,
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, Gate, GateLayer, Limit, LimitBy, MemoryGate,
    MemoryRateLimitStore, Principal, RateLimitLayer, gate::Scope,
};
use futures_util::poll;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::{
    probe::{Probe, check},
    setup::{HOUR, SECOND, actor, by, call, create, policy, revoke, soon},
};

fn token(_: ActorTokenRequest) -> Result<ActorToken, BoxError> {
    Ok(ActorToken::new("act_1".parse()?, ActorTokenStatus::Revoked))
}

fn encoded() -> Request<Payload> {
    Request::new(Payload::new(OperationKind::Create, "{}"))
}

fn responded(_: Request<Payload>) -> Result<Response<TokenResponse>, BoxError> {
    Ok(Response::new(TokenResponse::new("{}")))
}

fn attribution() -> AttributionLayer {
    AttributionLayer::new("gateway")
}

fn rate_limit(calls: u32) -> RateLimitLayer<MemoryRateLimitStore> {
    let limit = Limit::new(LimitBy::Global, calls.try_into().unwrap(), HOUR);
    RateLimitLayer::new(MemoryRateLimitStore::new(), [limit])
}

#[tokio::test(start_paused = true)]
async fn layers_call_the_instance_that_was_ready() {
    for request in [call, revoke] {
        check(attribution().layer(Probe::new(token)), request).await;
        let authorize = AuthorizeLayer::new(policy(""));
        check(authorize.layer(Probe::new(token)), request).await;
        check(rate_limit(100).layer(Probe::new(token)), request).await;
    }
    // At the observers.
    let typed = |request| token(request).map_err(|_| unreachable!());
    check(
        attribution().layer(Probe::<fn(_) -> Result<_, Error>>::new(typed)),
        call,
    )
    .await;

    let gate = MemoryGate::new();
    let layer = GateLayer::new(gate.clone(), "account");
    check(layer.layer(Probe::new(responded)), encoded).await;
    gate.close(
        &Scope::new("account", OperationKind::Create),
        0,
        Some(SECOND),
    );
    check(layer.layer(Probe::new(responded)), encoded).await;
}

#[tokio::test(start_paused = true)]
async fn layers_are_ready_only_when_the_service_below_is() {
    async fn check<S: Service<R, Error: Debug>, R>(mut service: S) {
        assert!(poll!(std::pin::pin!(service.ready())).is_pending());
        service.ready().await.unwrap();
    }
    check(attribution().layer(Probe::<fn(_) -> Result<_, BoxError>>::new(token))).await;
    check(AuthorizeLayer::new(policy("")).layer(Probe::new(token))).await;
    check(rate_limit(1).layer(Probe::new(token))).await;
    let gate = GateLayer::new(MemoryGate::new(), "account");
    check(gate.layer(Probe::new(responded))).await;
}

/// Checks that a refused request releases the only permit, also while the handle exists.
async fn assert_released<S, R>(mut service: S, refused: R, passed: R)
where
    S: Service<R> + Clone,
    S::Error: Debug,
    S::Response: Debug,
{
    let mut other = service.clone();
    service.ready().await.unwrap();
    // The future that was refused exists as well.
    let mut future = std::pin::pin!(service.call(refused));
    (&mut future).await.unwrap_err();
    soon(other.ready()).await.unwrap();
    soon(other.call(passed)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusal_releases_the_reserved_readiness() {
    let one =
        |layer: ConcurrencyLimitLayer| layer.layer(service_fn(|request| ready(token(request))));
    let limited = || one(ConcurrencyLimitLayer::new(1));
    let reserved = CreateActorToken::new("user_subject", actor().claim("by", "me"));
    let reserved = by(Principal::new("user_admin"), reserved);
    assert_released(attribution().layer(limited()), reserved, call()).await;
    let anonymous = ActorTokenRequest::create(create());
    let authorize = AuthorizeLayer::new(policy(""));
    assert_released(authorize.layer(limited()), anonymous, call()).await;
    let exhausted = rate_limit(1).layer(limited());
    exhausted.clone().oneshot(call()).await.unwrap();
    assert_released(exhausted, call(), revoke()).await;

    let gate = MemoryGate::new();
    gate.close(&Scope::new("account", OperationKind::Create), 0, Some(HOUR));
    let below = ConcurrencyLimitLayer::new(1).layer(service_fn(|it| ready(responded(it))));
    let gated = GateLayer::new(gate, "account").layer(below);
    let revoke = Request::new(Payload::new(OperationKind::Revoke, ""));
    assert_released(gated, encoded(), revoke).await;
}

#[tokio::test]
async fn dropped_call_releases_the_reserved_readiness() {
    let below = ConcurrencyLimitLayer::new(1).layer(service_fn(|request| ready(token(request))));
    let mut authorize = AuthorizeLayer::new(policy("")).layer(below.clone());
    drop(authorize.ready().await.unwrap().call(call()));
    let mut limited = rate_limit(1).layer(below);
    drop(soon(limited.ready()).await.unwrap().call(call()));
    assert!(
        soon(limited.ready())
            .await
            .unwrap()
            .call(call())
            .await
            .is_ok()
    );
}

#[test]
fn layers_and_services_can_be_shared_by_threads() {
    fn assert_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let below = Probe::<fn(_) -> Result<_, BoxError>>::new(token);
    let authorize = AuthorizeLayer::new(policy(""));
    assert_shared(&authorize);
    assert_shared(&authorize.layer(attribution().layer(rate_limit(1).layer(below))));
    let gate = GateLayer::new(MemoryGate::new(), "account");
    assert_shared(&gate);
    assert_shared(&gate.layer(Probe::<fn(_) -> Result<_, BoxError>>::new(responded)));
}

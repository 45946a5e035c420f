//! Authorize applies decisions and fails closed.

use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{
    ActorTokenRequest, BoxError, Client, CreateActorToken, Error, ErrorKind, Outcome,
    sandbox::Sandbox,
};
use clerk_actor_tokens_policy::{
    AuthorizeLayer, Authorizer, SharedPolicy,
    authorize::{Ask, Decision, Denial, Narrowing, UNAVAILABLE},
};
use futures_util::{FutureExt, poll};
use http::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::setup::{SECOND, actor, call, create, over, policy, revoke, rule};

/// Decides by a function.
struct By<F>(F);

impl<F> Authorizer for By<F>
where
    F: Fn(Ask<'_>) -> Result<Decision, BoxError> + Send + Sync + 'static,
{
    async fn authorize(&self, ask: Ask<'_>) -> Result<Decision, BoxError> {
        (self.0)(ask)
    }
}

fn allowing(narrowing: Narrowing) -> impl Authorizer {
    By(move |_: Ask<'_>| Ok(Decision::Allow(narrowing)))
}

fn denying(rule: &'static str) -> impl Authorizer {
    By(move |_: Ask<'_>| Ok(Decision::Deny(Denial::new(rule, "No."))))
}

fn client(sandbox: &Sandbox, authorizer: impl Authorizer) -> Client {
    let layer = AuthorizeLayer::new(authorizer);
    over(sandbox).call_layer(layer).build().unwrap()
}

#[track_caller]
fn assert_refused(error: &Error, status: StatusCode, name: &str) {
    assert_eq!(
        (error.kind(), error.outcome(), error.attempts()),
        (ErrorKind::Refused, Outcome::NotSent, 0)
    );
    assert_eq!((error.status(), rule(error)), (Some(status), name));
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn denial_returns_its_rule_and_its_sentence() {
    let denial = Denial::new("office_hours", "Support is closed until eight.");
    assert_eq!(denial.rule(), "office_hours");
    assert_eq!(denial.sentence(), "Support is closed until eight.");
}

#[tokio::test]
async fn allowed_create_is_sent_and_denied_create_is_not() {
    let sandbox = Sandbox::new();
    let allowed = client(&sandbox, allowing(Narrowing::default()));
    assert!(allowed.send(call()).await.is_ok());
    let denied = client(&sandbox, denying("office_hours"));
    let error = denied.send(call()).await.unwrap_err();
    assert_refused(&error, StatusCode::FORBIDDEN, "office_hours");
    assert_eq!(error.code(), Some(Denial::CODE));
    assert_eq!(sandbox.ledger().minted().len(), 1);
}

#[tokio::test]
async fn revokes_pass_unless_all_operations_are_asked_about() {
    let sandbox = Sandbox::new();
    let denied = client(&sandbox, denying("none"));
    // The sandbox has no such token: the revoke was sent.
    assert_eq!(
        denied.send(revoke()).await.unwrap_err().kind(),
        ErrorKind::Api
    );
    let layer = AuthorizeLayer::new(denying("none")).all_operations();
    let denied = over(&sandbox).call_layer(layer).build().unwrap();
    let error = denied.send(revoke()).await.unwrap_err();
    assert_refused(&error, StatusCode::FORBIDDEN, "none");
}

#[tokio::test]
async fn authorizer_that_fails_refuses_the_call() {
    let sandbox = Sandbox::new();
    let failing = client(&sandbox, By(|_: Ask<'_>| Err("directory down".into())));
    let error = failing.send(call()).await.unwrap_err();
    assert_refused(&error, StatusCode::SERVICE_UNAVAILABLE, "authorizer.error");
    assert_eq!(error.code(), Some(UNAVAILABLE));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "directory down");
    assert_eq!(sandbox.requests(), 0);
}

#[tokio::test]
async fn authorizer_that_panics_refuses_the_call() {
    let sandbox = Sandbox::new();
    let panicking = client(&sandbox, By(|_: Ask<'_>| panic!("a panic of the test")));
    let error = panicking.send(call()).await.unwrap_err();
    assert_refused(&error, StatusCode::SERVICE_UNAVAILABLE, "authorizer.panic");
    assert_eq!(sandbox.requests(), 0);
}

#[test]
fn call_outside_of_a_runtime_is_refused() {
    let inner = tower::service_fn(|_: ActorTokenRequest| ready(Ok::<_, Error>(())));
    let allowing = allowing(Narrowing::default());
    let mut service = AuthorizeLayer::new(allowing).layer(inner);
    let error = service.call(call()).now_or_never().unwrap().unwrap_err();
    assert_refused(
        &error,
        StatusCode::SERVICE_UNAVAILABLE,
        "authorizer.runtime",
    );
}

#[test]
fn rules_in_memory_decide_outside_of_a_runtime() {
    fn check(authorizer: impl Authorizer, expected: &str) {
        let inner = tower::service_fn(|_: ActorTokenRequest| ready(Ok::<_, Error>(())));
        let mut service = AuthorizeLayer::new(authorizer).layer(inner);
        let decided = service.call(call()).now_or_never().unwrap();
        assert_eq!(decided.as_ref().map_or_else(rule, |()| ""), expected);
    }
    let denying = || policy("subjects = { deny = ['*'] }");
    check(policy(""), "");
    check(Arc::new(denying()), "subjects.deny");
    check(SharedPolicy::new(denying()), "subjects.deny");
    check((policy(""), SharedPolicy::new(policy(""))), "");
    check((policy(""), denying()), "subjects.deny");
    check((denying(), policy("")), "subjects.deny");
}

/// An authorizer that never decides, and shows whether its future was dropped.
#[derive(Default)]
struct Stuck {
    begun: AtomicU32,
    dropped: Arc<AtomicBool>,
}

struct NoteDrop(Arc<AtomicBool>);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Authorizer for Stuck {
    async fn authorize(&self, _: Ask<'_>) -> Result<Decision, BoxError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _note = NoteDrop(Arc::clone(&self.dropped));
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn authorizer_that_takes_too_long_refuses_the_call_after_two_seconds() {
    let sandbox = Sandbox::new();
    let stuck = client(&sandbox, Stuck::default());
    let begun = Instant::now();
    let error = stuck.send(call()).await.unwrap_err();
    assert_refused(
        &error,
        StatusCode::SERVICE_UNAVAILABLE,
        "authorizer.timeout",
    );
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(sandbox.requests(), 0);

    let layer = AuthorizeLayer::new(Stuck::default()).timeout(5 * SECOND);
    let patient = over(&sandbox).call_layer(layer).build().unwrap();
    let begun = Instant::now();
    assert!(patient.send(call()).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn dropped_call_drops_the_authorizer_and_sends_nothing() {
    let sandbox = Sandbox::new();
    let stuck = Arc::new(Stuck::default());
    let client = client(&sandbox, Arc::clone(&stuck));
    let mut sent = Box::pin(client.send(call()));
    while stuck.begun.load(Ordering::SeqCst) == 0 {
        assert!(poll!(&mut sent).is_pending());
        tokio::task::yield_now().await;
    }
    drop(sent);
    while !stuck.dropped.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert_eq!(sandbox.requests(), 0);
}

/// Returns the lifetimes of the token that a create with these minted.
async fn minted(
    authorizer: impl Authorizer,
    create: CreateActorToken,
) -> (Option<Duration>, Option<Duration>) {
    let sandbox = Sandbox::new();
    let client = client(&sandbox, authorizer);
    let mut request = call();
    *request.operation_mut() = ActorTokenRequest::create(create).operation().clone();
    client.send(request).await.unwrap();
    let ledger = sandbox.ledger();
    let entry = ledger.minted().next().unwrap();
    let lifetime = entry.expires_at().duration_since(entry.created_at()).ok();
    (lifetime, entry.session_max_duration())
}

#[tokio::test]
async fn policy_sets_default_and_longest_lifetimes() {
    let secs = |secs| Some(Duration::from_secs(secs));
    let of = |create| minted(policy(""), create);
    assert_eq!(of(create()).await, (secs(300), secs(600)));
    let long = create()
        .expires_in(9000 * SECOND)
        .session_max_duration(9000 * SECOND);
    assert_eq!(of(long).await, (secs(900), secs(1200)));
    let short = create()
        .expires_in(10 * SECOND)
        .session_max_duration(20 * SECOND);
    assert_eq!(of(short).await, (secs(10), secs(20)));
}

#[tokio::test]
async fn pair_allows_what_both_allow_with_the_lower_lifetimes() {
    let sandbox = Sandbox::new();
    let minute = Narrowing::default().lifetime(60 * SECOND);
    let lowered = minted((policy(""), allowing(minute)), create()).await;
    assert_eq!(lowered, (Some(60 * SECOND), Some(600 * SECOND)));

    let unreached = || By(|_: Ask<'_>| panic!("the second one was asked"));
    let error = client(&sandbox, (denying("first"), unreached()))
        .send(call())
        .await;
    assert_eq!(rule(&error.unwrap_err()), "first");
    let second = (allowing(minute), denying("second"));
    let error = client(&sandbox, second).send(call()).await.unwrap_err();
    assert_eq!(rule(&error), "second");
    let denying = policy("subjects = { deny = ['*'] }");
    for (first, second) in [(policy(""), denying.clone()), (denying, policy(""))] {
        let error = client(&sandbox, (first, Arc::new(second)))
            .send(call())
            .await;
        assert_eq!(rule(&error.unwrap_err()), "subjects.deny");
    }
    assert_eq!(sandbox.requests(), 0);
    let both = (policy(""), SharedPolicy::new(policy("")));
    assert!(client(&sandbox, both).send(call()).await.is_ok());
}

#[tokio::test]
async fn replaced_policy_decides_about_the_next_call() {
    let sandbox = Sandbox::new();
    let shared = SharedPolicy::new(policy(""));
    let client = client(&sandbox, shared.clone());
    assert!(client.send(call()).await.is_ok());
    shared.replace(policy("subjects = { deny = ['user_subject'] }"));
    let error = client.send(call()).await.unwrap_err();
    assert_refused(&error, StatusCode::FORBIDDEN, "subjects.deny");
}

proptest! {
    #[test]
    fn narrowing_never_raises_a_lifetime(
        set in prop::option::of(1_u64..10_000),
        limits in prop::collection::vec(prop::option::of(1_u64..10_000), 1..4),
    ) {
        let narrowing = limits.iter().flatten().fold(Narrowing::default(), |narrowing, limit| {
            let limit = Duration::from_secs(*limit);
            narrowing.and(Narrowing::default().lifetime(limit).session_lifetime(limit))
        });
        let mut create = CreateActorToken::new("user_subject", actor());
        if let Some(set) = set {
            let set = Duration::from_secs(set);
            create = create.expires_in(set).session_max_duration(set);
        }
        let narrowed = narrowing.apply(&create);
        prop_assert!(narrowed.validate().is_ok());
        let lowest = |default: u64| limits.iter().flatten().copied().chain([set.unwrap_or(default)]).min();
        let seconds = |time: Option<Duration>, default| time.map_or(default, |time| time.as_secs());
        prop_assert_eq!(Some(seconds(narrowed.lifetime(), 3600)), lowest(3600));
        prop_assert_eq!(Some(seconds(narrowed.session_lifetime(), 1800)), lowest(1800));
    }
}

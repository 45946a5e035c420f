//! The spans as OpenTelemetry's SDK exports them: names, kinds, parents, links and attributes, by the
//! conventions for HTTP clients.

use std::collections::{BTreeMap, HashSet};

use clerk_actor_tokens::{Error, sandbox::Sandbox};
use observability::{Desk, Scene, Telemetry, tree};
use opentelemetry::{
    SpanId, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

const CREATE: &str = "POST /actor_tokens";
const REVOKE: &str = "POST /actor_tokens/{actor_token_id}/revoke";
const ERROR: Status = Status::Error {
    // The conventions want none if other attributes have the reason.
    description: std::borrow::Cow::Borrowed(""),
};

/// All spans of a scene, in the order in which they began.
struct Played(Vec<SpanData>);

async fn played(scene: Scene) -> (Played, Result<(), Error>) {
    let sandbox = Sandbox::new();
    let sandbox = match scene {
        Scene::Refused => sandbox.quota(0),
        _ => sandbox,
    };
    let (telemetry, subscriber, _) = Telemetry::new().unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let result = Desk::new(sandbox).unwrap().play(scene).await;
    (Played(telemetry.spans()), result)
}

impl Played {
    fn named<const N: usize>(&self, name: &str) -> [&SpanData; N] {
        let spans: Vec<_> = self.0.iter().filter(|span| span.name == name).collect();
        let count = spans.len();
        spans
            .try_into()
            .unwrap_or_else(|_| panic!("{count} spans {name}, not {N}"))
    }

    fn children(&self, parent: &SpanData) -> Vec<&SpanData> {
        let id = parent.span_context.span_id();
        let children = self.0.iter().filter(|span| span.parent_span_id == id);
        children.collect()
    }
}

fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    let found = span.attributes.iter().find(|it| it.key.as_str() == key);
    found.map(|it| &it.value)
}

#[track_caller]
fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
    assert_eq!(
        child.span_context.trace_id(),
        parent.span_context.trace_id()
    );
}

/// Checks all attributes but the random ids, and that each occurs once.
#[track_caller]
fn assert_attributes(span: &SpanData, wanted: &[(&str, Value)]) {
    let told: BTreeMap<_, _> = span
        .attributes
        .iter()
        .map(|it| (it.key.as_str(), it.value.clone()))
        .collect();
    assert_eq!(told.len(), span.attributes.len(), "{:?}", span.attributes);
    let told: Vec<_> = told
        .into_iter()
        .filter(|(key, _)| !["actor_token.id", "clerk.trace_id"].contains(key))
        .collect();
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(|(key, _)| *key);
    assert_eq!(told, wanted, "{}", span.name);
}

fn text(key: &'static str, value: &'static str) -> (&'static str, Value) {
    (key, value.into())
}

fn number(key: &'static str, value: i64) -> (&'static str, Value) {
    (key, value.into())
}

/// Returns the attributes that an attempt begins with, and `more`.
fn attempt(template: &'static str, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let mut attributes = vec![
        text("http.request.method", "POST"),
        text("url.template", template),
        text("server.address", "api.clerk.com"),
        number("server.port", 443),
    ];
    attributes.extend_from_slice(more);
    attributes
}

fn create(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    attempt("/actor_tokens", more)
}

fn revoke(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    attempt("/actor_tokens/{actor_token_id}/revoke", more)
}

#[tokio::test(start_paused = true)]
async fn success_is_a_call_with_one_attempt() {
    let (played, result) = played(Scene::Success).await;
    result.unwrap();

    let [desk] = played.named("Success");
    let [call] = played.named("actor_tokens.create");
    assert_child(call, desk);
    assert_eq!(
        (&call.span_kind, &call.status),
        (&SpanKind::Internal, &Status::Unset)
    );
    assert_attributes(
        call,
        &[
            text("clerk.operation", "create"),
            number("clerk.attempts", 1),
            text("clerk.outcome", "ok"),
        ],
    );

    let [attempt] = played.named(CREATE);
    assert_child(attempt, call);
    assert_eq!(
        (&attempt.span_kind, &attempt.status),
        (&SpanKind::Client, &Status::Unset)
    );
    assert_attributes(
        attempt,
        &create(&[
            number("http.response.status_code", 200),
            text("clerk.outcome", "ok"),
        ]),
    );
    assert_eq!(played.0.len(), 4, "and the sandbox");
}

#[tokio::test(start_paused = true)]
async fn retried_rate_limit_is_a_call_with_two_attempts() {
    let (played, result) = played(Scene::RateLimited).await;
    result.unwrap();

    let [call] = played.named("actor_tokens.create");
    assert_eq!(call.status, Status::Unset);
    assert_attributes(
        call,
        &[
            text("clerk.operation", "create"),
            number("clerk.attempts", 2),
            text("clerk.outcome", "ok"),
        ],
    );

    let [first, second] = played.named(CREATE);
    assert_child(first, call);
    assert_child(second, call);
    assert_eq!(
        (&first.span_kind, &first.status),
        (&SpanKind::Client, &ERROR)
    );
    assert_attributes(
        first,
        &create(&[
            number("http.response.status_code", 429),
            text("error.type", "429"),
            text("clerk.outcome", "rejected"),
            text("clerk.error.code", "too_many_requests"),
        ]),
    );
    assert_eq!(
        (&second.span_kind, &second.status),
        (&SpanKind::Client, &Status::Unset)
    );
    assert_attributes(
        second,
        &create(&[
            number("http.request.resend_count", 1),
            number("http.response.status_code", 200),
            text("clerk.outcome", "ok"),
        ]),
    );
}

#[tokio::test(start_paused = true)]
async fn timeout_has_no_status_code() {
    let (played, result) = played(Scene::Timeout).await;
    assert!(result.unwrap_err().is_timeout());

    let [call] = played.named("actor_tokens.create");
    assert_eq!(call.status, ERROR);
    assert_attributes(
        call,
        &[
            text("clerk.operation", "create"),
            number("clerk.attempts", 1),
            text("clerk.outcome", "unknown"),
            text("error.type", "timeout"),
        ],
    );

    let [attempt] = played.named(CREATE);
    assert_child(attempt, call);
    assert_eq!(
        (&attempt.span_kind, &attempt.status),
        (&SpanKind::Client, &ERROR)
    );
    assert_attributes(
        attempt,
        &create(&[
            text("clerk.outcome", "unknown"),
            text("error.type", "timeout"),
        ]),
    );
}

#[tokio::test(start_paused = true)]
async fn refusal_has_status_and_code() {
    let (played, result) = played(Scene::Refused).await;
    result.unwrap_err();

    let refused = [
        number("http.response.status_code", 422),
        text("error.type", "422"),
        text("clerk.outcome", "rejected"),
        text("clerk.error.code", "impersonation_limit_exceeded"),
    ];
    let [call] = played.named("actor_tokens.create");
    assert_eq!(
        (&call.span_kind, &call.status),
        (&SpanKind::Internal, &ERROR)
    );
    let of_call = [
        text("clerk.operation", "create"),
        number("clerk.attempts", 1),
    ];
    assert_attributes(call, &[&of_call[..], &refused].concat());

    let [attempt] = played.named(CREATE);
    assert_child(attempt, call);
    assert_eq!(
        (&attempt.span_kind, &attempt.status),
        (&SpanKind::Client, &ERROR)
    );
    assert_attributes(attempt, &create(&refused));
    let trace_id = attribute(attempt, "clerk.trace_id");
    assert!(trace_id.is_some());
    assert_eq!(trace_id, attribute(call, "clerk.trace_id"));
}

#[tokio::test(start_paused = true)]
async fn lost_create_is_settled_in_a_new_trace_that_links_to_the_attempt() {
    let (played, _) = played(Scene::Timeout).await;

    let [lost] = played.named(CREATE);
    let [settle] = played.named("actor_tokens.settle");
    assert_eq!(settle.parent_span_id, SpanId::INVALID);
    assert_ne!(settle.span_context.trace_id(), lost.span_context.trace_id());
    let links: Vec<_> = settle.links.iter().map(|it| &it.span_context).collect();
    assert_eq!(links, [&lost.span_context]);
    assert_eq!(
        (&settle.span_kind, &settle.status),
        (&SpanKind::Internal, &Status::Unset)
    );
    assert_attributes(settle, &[text("clerk.settle.end", "revoked")]);

    let [attempt] = played.named(REVOKE);
    assert_child(attempt, settle);
    assert_eq!(
        (&attempt.span_kind, &attempt.status),
        (&SpanKind::Client, &Status::Unset)
    );
    assert_attributes(
        attempt,
        &revoke(&[
            number("http.response.status_code", 200),
            text("clerk.outcome", "ok"),
        ]),
    );
    let id = attribute(settle, "actor_token.id");
    assert!(id.is_some());
    assert_eq!(id, attribute(attempt, "actor_token.id"));
}

#[tokio::test(start_paused = true)]
async fn unread_ticket_is_settled_with_a_link_to_the_span_that_dropped_it() {
    let (played, result) = played(Scene::Unread).await;
    result.unwrap();

    let [desk] = played.named("Unread");
    let [settle] = played.named("actor_tokens.settle");
    assert_eq!(settle.parent_span_id, SpanId::INVALID);
    let links: Vec<_> = settle.links.iter().map(|it| &it.span_context).collect();
    assert_eq!(links, [&desk.span_context]);
    let [attempt] = played.named(REVOKE);
    assert_child(attempt, settle);
}

#[tokio::test(start_paused = true)]
async fn revoke_after_a_lost_response_succeeds_by_a_refused_attempt() {
    let (played, result) = played(Scene::Convergence).await;
    result.unwrap();

    let [call] = played.named("actor_tokens.revoke");
    assert_eq!(call.status, Status::Unset);
    let [lost, refused] = played.named(REVOKE);
    assert_child(lost, call);
    assert_child(refused, call);
    assert_eq!((&lost.status, &refused.status), (&ERROR, &ERROR));
    assert_attributes(
        lost,
        &revoke(&[
            text("error.type", "transport"),
            text("clerk.outcome", "unknown"),
        ]),
    );
    assert_attributes(
        refused,
        &revoke(&[
            number("http.request.resend_count", 1),
            number("http.response.status_code", 400),
            text("error.type", "already_revoked"),
            text("clerk.outcome", "rejected"),
            text("clerk.error.code", "actor_token_cannot_be_revoked_code"),
        ]),
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_its_own_traceparent() {
    for scene in Scene::ALL {
        let (played, _) = played(scene).await;
        let is_attempt = |span: &&SpanData| span.span_kind == SpanKind::Client;
        let attempts: Vec<_> = played.0.iter().filter(is_attempt).collect();
        assert!(!attempts.is_empty(), "{scene:?}");
        for attempt in attempts {
            let children = played.children(attempt);
            let [served] = children.as_slice() else {
                panic!("{scene:?}: {children:?}");
            };
            assert_child(served, attempt);
            assert!(served.parent_span_is_remote);
            assert_eq!(
                (served.name.as_ref(), &served.span_kind),
                ("sandbox", &SpanKind::Server)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_span_follows_the_conventions_and_has_no_secret() {
    for scene in Scene::ALL {
        let (played, _) = played(scene).await;
        for span in &played.0 {
            let keys: HashSet<_> = span.attributes.iter().map(|it| &it.key).collect();
            assert_eq!(keys.len(), span.attributes.len(), "{span:?}");
            assert!(keys.iter().all(|key| !key.as_str().starts_with("otel.")));
            // An error has a type, and only an error has one.
            let has_type = attribute(span, "error.type").is_some();
            assert_eq!(has_type, span.status == ERROR, "{span:?}");
            if span.span_kind == SpanKind::Client {
                let [method, template] = ["http.request.method", "url.template"].map(|key| {
                    let value = attribute(span, key).expect(key);
                    value.as_str().into_owned()
                });
                assert_eq!(span.name, format!("{method} {template}"));
            }
        }
        let told = format!("{:?}", played.0);
        for secret in ["user_subject", "user_admin", "sk_test", "eyJ", "ticket="] {
            assert!(!told.contains(secret), "{scene:?}: {secret}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tree_has_one_line_for_each_span() {
    for scene in Scene::ALL {
        let (played, _) = played(scene).await;
        let tree = tree(&played.0);
        assert_eq!(tree.lines().count(), played.0.len(), "{tree}");
    }
}

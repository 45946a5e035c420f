//! Calls and attempts are measured under a bounded number of names, and gauges return to zero.
#![cfg(feature = "metrics")]

mod support {
    pub(crate) mod measured;
    pub(crate) mod response;
    pub(crate) mod scripted;
}

use std::{
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Body, BoxError, Client, ClientBuilder, CreateActorToken, SecretKey,
    describe_metrics,
};
use futures_util::{FutureExt, poll};
use http::Request;
use metrics::{Unit, with_local_recorder};
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use support::{
    measured::{self, Measured},
    response::{FullResponse, response},
    scripted::Scripted,
};
use tower::service_fn;

const MINTED: &str = r#"{"id":"act_marker","user_id":"user_marker","status":"pending"}"#;
const REVOKED: &str = r#"{"id":"act_marker","status":"revoked"}"#;
const S: Duration = Duration::from_secs(1);

fn key() -> SecretKey {
    SecretKey::new("sk_test_marker").unwrap()
}

fn scripted(responses: impl IntoIterator<Item = FullResponse>) -> Client {
    let transport = Scripted::new(responses);
    ClientBuilder::over(key(), transport).build().unwrap()
}

fn silent() -> Client {
    let transport = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        pending::<Result<FullResponse, BoxError>>().await
    });
    ClientBuilder::over(key(), transport).build().unwrap()
}

fn create() -> ActorTokenRequest {
    ActorTokenRequest::create(CreateActorToken::new(
        "user_marker",
        Actor::new("user_marker"),
    ))
}

fn revoke() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_marker".parse().unwrap())
}

/// Returns the metrics since the last snapshot, and checks that no name and no label holds an id.
fn measured(snapshotter: &Snapshotter) -> Measured {
    let all = measured::measured(snapshotter, "");
    let names = format!("{:?}", all.keys());
    assert!(!names.contains("marker"), "{names}");
    all
}

/// Runs `future` on a runtime with a paused clock, and returns the snapshotter of its recorder.
fn recorded<F: Future>(future: impl FnOnce(Snapshotter) -> F) -> Snapshotter {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    with_local_recorder(&recorder, || {
        runtime.block_on(future(recorder.snapshotter()));
    });
    recorder.snapshotter()
}

fn while_recording<F: Future>(future: impl FnOnce(Snapshotter) -> F) -> Measured {
    measured(&recorded(future))
}

#[track_caller]
fn assert_measured<const N: usize>(all: &Measured, wanted: [(&str, &[f64]); N]) {
    let all: Vec<_> = all.iter().map(|(k, v)| (k.as_str(), &v[..])).collect();
    assert_eq!(all, wanted);
}

#[test]
fn call_with_a_retry_is_counted_with_its_attempts_and_durations() {
    let limited = response(429, &[("retry-after", "1")], "");
    let client = scripted([limited, response(200, &[], MINTED)]);
    let all = while_recording(|_| async move { client.send(create()).await.unwrap() });
    assert_measured(
        &all,
        [
            (
                "clerk.actor_tokens.attempts operation=create outcome=ok",
                &[1.0],
            ),
            (
                "clerk.actor_tokens.attempts operation=create outcome=rejected",
                &[1.0],
            ),
            (
                "clerk.actor_tokens.calls operation=create outcome=ok",
                &[1.0],
            ),
            (
                "clerk.actor_tokens.calls_in_flight operation=create",
                &[0.0],
            ),
            (
                "clerk.actor_tokens.retries operation=create reason=429",
                &[1.0],
            ),
            ("clerk.actor_tokens.retry_budget", &[9.1]),
            (
                "http.client.request.duration error.type=429 http.request.method=POST http.response.status_code=429 server.address=api.clerk.com server.port=443 url.template=/actor_tokens",
                &[0.0],
            ),
            (
                "http.client.request.duration http.request.method=POST http.response.status_code=200 server.address=api.clerk.com server.port=443 url.template=/actor_tokens",
                &[0.0],
            ),
        ],
    );
}

#[test]
fn duration_is_in_seconds_and_ends_with_its_attempt() {
    let all = while_recording(|_| async {
        silent().send(create()).await.unwrap_err();
    });
    let timed_out = "http.client.request.duration error.type=timeout http.request.method=POST server.address=api.clerk.com server.port=443 url.template=/actor_tokens";
    let [seconds] = all[timed_out][..] else {
        panic!("{all:?}");
    };
    assert!((10.0..10.1).contains(&seconds), "{seconds}");
    let call = "clerk.actor_tokens.calls error.type=timeout operation=create outcome=unknown";
    assert_eq!(all[call], [1.0]);
}

#[test]
fn revoke_is_measured_under_its_template() {
    let client = scripted([response(200, &[], REVOKED)]);
    let all = while_recording(|_| async move { client.send(revoke()).await.unwrap() });
    let template = "url.template=/actor_tokens/{actor_token_id}/revoke";
    assert!(all.keys().any(|name| name.contains(template)), "{all:?}");
}

#[test]
fn budget_gauge_ignores_the_retries_of_settling() {
    let busy = || response(429, &[("retry-after", "0")], "");
    // The ticket is dropped unread. The revoke of its token is retried without the budget.
    let ticket = r#","token":"eyJ","url":"https://clerk.example/?ticket=eyJ"}"#;
    let minted = response(200, &[], MINTED.replace('}', ticket));
    let client = scripted([busy(), busy(), minted, busy(), response(200, &[], REVOKED)]);
    let all = while_recording(|_| async move {
        drop(client.send(create()).await.unwrap());
        assert_eq!(client.drain(S * 60).await.counts().revoked, 1);
    });
    assert_eq!(all["clerk.actor_tokens.retry_budget"], [8.1]);
}

#[test]
fn token_that_may_be_live_is_counted_as_a_possible_orphan() {
    let minted = || {
        let ticket = r#","token":"eyJ","url":"https://clerk.example/?ticket=eyJ"}"#;
        response(200, &[], MINTED.replace('}', ticket))
    };
    let accepted = r#"{"errors":[{"code":"actor_token_cannot_be_revoked_code","long_message":"Actor token cannot be revoked because its status is accepted."}]}"#;
    for (responses, end, orphans) in [
        (vec![minted(), response(200, &[], REVOKED)], "revoked", 0.0),
        (vec![minted(), response(403, &[], "")], "not_revoked", 1.0),
        (
            vec![minted(), response(400, &[], accepted)],
            "accepted",
            1.0,
        ),
        (vec![response(503, &[], "")], "unknown", 1.0),
    ] {
        let all = while_recording(|_| async {
            describe_metrics();
            let client = scripted(responses);
            drop(client.send(create()).await);
            client.drain(S * 600).await;
        });
        assert_eq!(all[&format!("clerk.actor_tokens.settled end={end}")], [1.0]);
        assert_eq!(
            all["clerk.actor_tokens.orphans_possible"],
            [orphans],
            "{end}"
        );
    }
}

const IN_FLIGHT: &str = "clerk.actor_tokens.calls_in_flight operation=create";

#[test]
fn cancelled_call_is_no_longer_in_flight() {
    let all = while_recording(|snapshotter| async move {
        let client = silent();
        let mut call = Box::pin(client.send(create()));
        assert!(poll!(&mut call).is_pending());
        assert_eq!(measured(&snapshotter)[IN_FLIGHT], [1.0]);
    });
    // A snapshot resets the gauge, so this value is relative to the previous one.
    assert_eq!(all[IN_FLIGHT], [-1.0]);
    let call = "clerk.actor_tokens.calls error.type=cancelled operation=create outcome=unknown";
    assert_eq!(all[call], [1.0]);
    let attempt = "clerk.actor_tokens.attempts operation=create outcome=cut";
    assert_eq!(all[attempt], [1.0]);
}

#[test]
fn panicking_call_is_no_longer_in_flight() {
    let transport = service_fn(|_: Request<Body>| async {
        assert!(std::hint::black_box(false), "panic in the transport");
        Ok::<_, BoxError>(response(200, &[], MINTED))
    });
    let client = ClientBuilder::over(key(), transport).build().unwrap();
    let all = while_recording(|_| async move {
        let call = AssertUnwindSafe(|| client.send(create()).now_or_never());
        catch_unwind(call).unwrap_err();
    });
    assert_eq!(all[IN_FLIGHT], [0.0]);
}

#[test]
fn number_of_names_does_not_grow_with_calls() {
    let all = while_recording(|_| async {
        for call in 0..50 {
            let refused = format!(
                r#"{{"errors":[{{"code":"marker_{call}"}}],"clerk_trace_id":"marker_{call}"}}"#
            );
            let client = scripted([response(422, &[], refused)]);
            let id = format!("act_marker{call}").parse().unwrap();
            let elsewhere = format!("https://marker{call}.example");
            let request = ActorTokenRequest::revoke(id).timeout(S);
            client.send(request.clone()).await.unwrap_err();
            client.send(request.base_url(elsewhere)).await.unwrap_err();
        }
    });
    // One for a refusal by the API, and one for a refusal by the client.
    let of = |name: &str| all.keys().filter(|key| key.starts_with(name)).count();
    assert_eq!(of("clerk.actor_tokens.calls "), 2);
    assert_eq!(of("clerk.actor_tokens.attempts "), 2);
    assert_eq!(of("http.client.request.duration "), 2);
}

#[test]
fn every_metric_has_a_description_and_a_unit() {
    let client = scripted([response(503, &[], ""), response(200, &[], REVOKED)]);
    let snapshotter = recorded(|_| async move {
        describe_metrics();
        client.send(revoke()).await.unwrap();
    });
    for (key, unit, description, _) in snapshotter.snapshot().into_vec() {
        let name = key.key().name();
        assert!(description.is_some_and(|it| !it.is_empty()), "{name}");
        let wanted = match name {
            "http.client.request.duration" => Unit::Seconds,
            _ => Unit::Count,
        };
        assert_eq!(unit, Some(wanted), "{name}");
    }
}

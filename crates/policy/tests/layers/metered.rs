//! Decisions are counted under a bounded number of labels.
#![cfg(feature = "metrics")]

use std::time::Duration;

use clerk_actor_tokens::{
    ActorTokenRequest, Client, RetryConfig,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore,
    RateLimitLayer, describe_metrics,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::{runtime::Builder, time::advance};

use crate::setup::{HOUR, call, create, over, policy};

/// Returns the labels and values of a metric.
fn values(snapshotter: &Snapshotter, name: &str) -> Vec<String> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    let mut values: Vec<_> = metrics
        .filter(|(key, ..)| key.key().name() == name)
        .map(|(key, _, _, value)| {
            let labels = key.key().labels();
            let labels: Vec<_> = labels
                .map(|it| format!("{}={}", it.key(), it.value()))
                .collect();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(level) => level.to_string(),
                DebugValue::Histogram(_) => String::new(),
            };
            format!("{} {value}", labels.join(" "))
        })
        .collect();
    values.sort();
    values
}

/// Records the metrics of calls through a gate, on a paused clock.
fn gated(
    account: &'static str,
    calls: impl AsyncFnOnce(Sandbox, Client, &Snapshotter),
) -> Snapshotter {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::new();
            let client = over(&sandbox)
                .retry(RetryConfig::disabled())
                .attempt_layer(GateLayer::new(MemoryGate::new(), account))
                .build()
                .unwrap();
            calls(sandbox, client, &snapshotter).await;
        });
    });
    snapshotter
}

#[test]
fn gate_shows_its_level_until_it_is_open_again() {
    gated("production", async |sandbox, client, snapshotter| {
        let level = || values(snapshotter, "clerk.actor_tokens.policy.gate_level");
        let token = client.send(call()).await.unwrap();
        // Not revoked, which would take the fault.
        token.expose_url();
        assert!(level().is_empty());
        for expected in 1..=2 {
            let retry_after = Duration::from_secs(1);
            sandbox.inject(Fault::RateLimited { retry_after });
            client.send(call()).await.unwrap_err();
            let expected = format!("account=production operation=create {expected}");
            assert_eq!(level(), [expected]);
        }
        advance(HOUR).await;
        client.send(call()).await.unwrap();
        assert_eq!(level(), ["account=production operation=create 0"]);
    });
}

#[test]
fn closings_and_waits_of_the_gate_are_measured() {
    let snapshotter = gated("account", async |sandbox, client, _| {
        let retry_after = Duration::from_secs(1);
        sandbox.inject(Fault::RateLimited { retry_after });
        client.send(call()).await.unwrap_err();
        client.send(call()).await.unwrap().expose_url();
    });
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let mut measured: Vec<_> = snapshot
        .filter_map(|(key, _, _, value)| {
            let name = key.key().name();
            let name = name.strip_prefix("clerk.actor_tokens.policy.gate_")?;
            match value {
                DebugValue::Counter(count) => Some(format!("{name} {count}")),
                DebugValue::Histogram(waits) => Some(format!("{name} {} times", waits.len())),
                DebugValue::Gauge(_) => None,
            }
        })
        .collect();
    measured.sort();
    assert_eq!(measured, ["closed 1", "wait 1 times"]);
}

#[test]
fn decisions_are_counted_by_layer_and_rule() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limit = Limit::new(LimitBy::Actor, 2.try_into().unwrap(), HOUR);
            let client = over(&Sandbox::new())
                .observe_layer(AttributionLayer::new("gateway"))
                .call_layer(AuthorizeLayer::new(policy("")))
                .call_layer(RateLimitLayer::new(MemoryRateLimitStore::new(), [limit]))
                .attempt_layer(GateLayer::new(MemoryGate::new(), "account"))
                .build()
                .unwrap();
            for _ in 0..3 {
                _ = client.send(call()).await;
            }
            _ = client.send(ActorTokenRequest::create(create())).await;
        });
    });
    let counted = values(&snapshotter, "clerk.actor_tokens.policy.decisions");
    assert_eq!(
        counted,
        [
            "layer=authorize decision=passed 3",
            "layer=authorize decision=refused rule=principal 1",
            "layer=gate decision=passed 2",
            "layer=rate_limit decision=passed 2",
            "layer=rate_limit decision=refused rule=actor 1",
        ]
    );
}

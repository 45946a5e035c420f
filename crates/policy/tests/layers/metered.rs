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
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use tokio::{runtime::Builder, time::advance};

use crate::{
    measured::measured,
    setup::{HOUR, call, create, over, policy},
};

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
        let level = || measured(snapshotter, "clerk.actor_tokens.policy.gate_level");
        let is = |level| {
            [(
                "account=production operation=create".to_owned(),
                vec![level],
            )]
            .into()
        };
        let token = client.send(call()).await.unwrap();
        // Not revoked, which would take the fault.
        token.expose_url();
        assert!(level().is_empty());
        for expected in [1.0, 2.0] {
            let retry_after = Duration::from_secs(1);
            sandbox.inject(Fault::RateLimited { retry_after });
            client.send(call()).await.unwrap_err();
            assert_eq!(level(), is(expected));
        }
        advance(HOUR).await;
        client.send(call()).await.unwrap();
        assert_eq!(level(), is(0.0));
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
    let mut all = measured(&snapshotter, "clerk.actor_tokens.policy.gate_");
    assert_eq!(all.remove("closed operation=create"), Some(vec![1.0]));
    let waits = all.remove("wait operation=create").unwrap();
    assert_eq!(waits.len(), 1);
    let rest: Vec<_> = all.keys().collect();
    assert_eq!(rest, ["level account=account operation=create"]);
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
    let counted = measured(&snapshotter, "clerk.actor_tokens.policy.decisions");
    let counted: Vec<_> = counted.iter().map(|(k, v)| (&**k, v[0])).collect();
    assert_eq!(
        counted,
        [
            ("decision=passed layer=authorize", 3.0),
            ("decision=passed layer=gate", 2.0),
            ("decision=passed layer=rate_limit", 2.0),
            ("decision=refused layer=authorize rule=principal", 1.0),
            ("decision=refused layer=rate_limit rule=actor", 1.0),
        ]
    );
}

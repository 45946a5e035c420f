//! Decisions are counted under a bounded number of labels.
#![cfg(feature = "metrics")]

use clerk_actor_tokens::{ActorTokenRequest, sandbox::Sandbox};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuthorizeLayer, GateLayer, Limit, LimitBy, MemoryGate, MemoryRateLimitStore,
    RateLimitLayer, describe_metrics,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::runtime::Builder;

use crate::setup::{HOUR, call, create, over, policy};

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
    let mut counted: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| {
            let key = key.key().clone();
            let labels: Vec<_> = key
                .labels()
                .map(|it| format!("{}={}", it.key(), it.value()))
                .collect();
            let is_ours = key.name() == "clerk.actor_tokens.policy.decisions";
            match value {
                DebugValue::Counter(count) if is_ours => {
                    Some(format!("{} {count}", labels.join(" ")))
                }
                _ => None,
            }
        })
        .collect();
    counted.sort();
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

//! Events of the gate and of the rate limits, with their times.

use clerk_actor_tokens::{
    RetryConfig,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_policy::{GateLayer, MemoryGate};

use crate::{
    capture::Capture,
    rate_limit::limited,
    setup::{SECOND, call, over},
};

#[tokio::test(start_paused = true)]
async fn gate_and_rate_limit_log_what_they_do_and_for_how_long() {
    let (capture, _guard) = Capture::begin();
    let (sandbox, gate) = (Sandbox::new(), MemoryGate::new());
    let client = |patience| {
        let layer = GateLayer::new(gate.clone(), "account").jitter(SECOND * 0);
        over(&sandbox)
            .retry(RetryConfig::disabled())
            .call_layer(limited(100).1)
            .attempt_layer(layer.patience(patience))
            .build()
            .unwrap()
    };
    let retry_after = SECOND;
    sandbox.inject(Fault::RateLimited { retry_after });
    client(SECOND).send(call()).await.unwrap_err();
    client(SECOND / 2).send(call()).await.unwrap_err();
    client(SECOND).send(call()).await.unwrap().expose_url();

    let events = capture.events_of("clerk_actor_tokens_policy").into_iter();
    let events = events.map(|event| {
        let times = [event.field("retry_after_ms"), event.field("wait_ms")].concat();
        (event.field("message").to_owned(), times)
    });
    let given_back = "nothing was sent, the units of the rate limits are given back";
    let expected = [
        ("rate limited, the gate closes", "1000"),
        ("the attempt was refused", "1000"),
        (given_back, ""),
        ("the gate is closed, the attempt waits", "1000"),
    ];
    assert_eq!(
        events.collect::<Vec<_>>(),
        expected.map(|(message, time)| (message.to_owned(), time.to_owned()))
    );
}

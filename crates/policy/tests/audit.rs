//! x
use clerk_actor_tokens::{ClientBuilder, sandbox::Sandbox};
use clerk_actor_tokens_policy::audit::{AuditBarrierLayer, AuditLayer, MemorySink};
#[tokio::test]
async fn x() {
    let (sandbox, sink) = (Sandbox::new(), MemorySink::new());
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .observe_layer(AuditLayer::new(sink.clone()))
        .call_layer(AuditBarrierLayer::new())
        .build()
        .unwrap();
    client.revoke("act_1").await.unwrap_err();
    for e in sink.entries() {
        println!("{}", serde_json::to_string(&e).unwrap());
    }
}

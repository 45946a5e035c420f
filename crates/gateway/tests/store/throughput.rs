//! Measures audited calls: `cargo test --release --test store throughput -- --ignored --nocapture`.

use clerk_actor_tokens_gateway::store::verify;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{AuditRecord, AuditSink, Begin},
};
use tokio::time::Instant;

use crate::{Setup, create, returned};

const CALLERS: usize = 64;
const CALLS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and proves nothing"]
async fn calls_with_three_durable_entries_each() {
    let setup = Setup::new();
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let writer = setup.store.writer();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            for number in 0..CALLS {
                let begun = Instant::now();
                let begin = Begin::of(&create());
                let mut record = writer.begin(CallId::create(), begin).await.unwrap();
                record.sending().await.unwrap();
                let token = format!("act_{caller}_{number}");
                record.end(returned(&token)).await.unwrap();
                latencies.push(begun.elapsed());
            }
            latencies
        })
    });
    let mut latencies = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        latencies.extend(caller.await.unwrap());
    }
    let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    latencies.sort();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize];
    println!(
        "{rate:.0} calls/s with {CALLERS} in flight, p50 {:?}, p99 {:?}",
        at(0.5),
        at(0.99)
    );
    let begun = Instant::now();
    let records = verify(&setup.path(), None).unwrap().records;
    println!("verified {records} records in {:?}", begun.elapsed());
    assert_eq!(records, (CALLERS * CALLS * 3) as u64);
}

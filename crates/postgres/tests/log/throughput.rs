//! Measures begins and audited calls: `cargo test --release --test log throughput -- --ignored --nocapture`.

use clerk_actor_tokens_policy::{
    AuditSink, CallId,
    audit::{AuditRecord, Begin},
};
use clerk_actor_tokens_postgres::Writer;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::{Server, create, returned};

async fn call(writer: &Writer, token: &str, is_whole: bool) {
    let mut record = writer
        .begin(CallId::create(), Begin::of(&create()))
        .await
        .unwrap();
    if is_whole {
        record.sending().await.unwrap();
        record.end(returned(token)).await.unwrap();
    }
}

async fn measure(callers: usize, calls: usize, is_whole: bool) {
    let server = Server::start();
    let store = server.connect().await;
    let begun = Instant::now();
    let each = (0..callers).map(|caller| {
        let writer = store.writer();
        tokio::spawn(async move {
            for number in 0..calls {
                call(&writer, &format!("act_{caller}_{number}"), is_whole).await;
            }
        })
    });
    for done in join_all(each).await {
        done.unwrap();
    }
    let rate = (callers * calls) as f64 / begun.elapsed().as_secs_f64();
    let sql = "SELECT count(*)::float8 / count(DISTINCT xmin::text) FROM records";
    let batch: f64 = server.admin().await.value(sql, &[]).await;
    let what = if is_whole { "calls" } else { "begins" };
    println!("{rate:.0} {what}/s with {callers} in flight, {batch:.1} entries a commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and proves nothing"]
async fn begins_and_calls_alone_and_together() {
    measure(1, 500, true).await;
    measure(64, 50, true).await;
    measure(64, 100, false).await;
    measure(1, 500, false).await;
}

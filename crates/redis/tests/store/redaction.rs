//! Ids of users and credentials are neither in keys and values nor in events.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::OperationKind;
use clerk_actor_tokens_policy::{
    Gate, RateLimitStore,
    gate::Scope,
    rate_limit::{Cell, Taken},
};
use clerk_actor_tokens_redis::{RedisGate, RedisRateLimitStore};
use tracing_subscriber::fmt;

use crate::server::{Server, until};

const SECRET: &str = "user_2abcSECRET";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn ids_are_neither_in_redis_nor_in_events() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    // For all threads: one without a subscriber could turn off an event for good by meeting it first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let debug = runtime.block_on(play());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "limits are shared",
        "limits are local",
        "the gate closes",
        "decided without Redis",
    ] {
        assert!(log.contains(expected), "{expected:?} is not in {log}");
    }
    assert!(!log.contains(SECRET), "{log}");
    assert!(!debug.contains(SECRET), "{debug}");
}

/// Returns what `Debug` and Redis show.
async fn play() -> String {
    let mut server = Server::start();
    let redis = server.connect().await;
    let store = RedisRateLimitStore::new(&redis);
    let gate = RedisGate::new(&redis);
    let scope = Scope::new(SECRET, OperationKind::Create);
    let cell = Cell::new(SECRET, Duration::from_secs(3600), 1);
    let Taken::Yes(receipt) = store.take(&[cell]).await.unwrap() else {
        panic!("refused");
    };
    gate.close(&scope, 0, Some(Duration::from_secs(60)));
    until(async || server.count("hset") > 0).await;
    let passed = gate.pass(&scope, Duration::ZERO).await.unwrap();
    let mut shown = format!("{redis:?} {store:?} {receipt:?} {gate:?} {passed:?}");
    let mut admin = server.admin();
    for key in crate::limits::keys(&server) {
        let value: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut admin).unwrap();
        shown += &format!("{key} {}", String::from_utf8_lossy(&value));
    }
    server.kill();
    until(async || !redis.is_available()).await;
    _ = store.take(&[cell]).await.unwrap();
    shown
}

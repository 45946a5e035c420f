//! Key rotation and key providers that fail.

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use clerk_actor_tokens::{BoxError, KeyProvider, KeySource, RotatingKey, SecretKey};

use Step::{Request, Write};

use super::settings::success;
use crate::harness::{
    caller::{Caller, key},
    checks::{check, status, timed_out},
    row::{Row, row},
    run::{NS, OK, RJ},
    script::{Step, http1},
};

/// Returns another key each time.
#[derive(Default)]
struct Rotating(AtomicU32);

impl KeyProvider for Rotating {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(SecretKey::new(format!("sk_test_MARKER{number}"))?)
    }
}

/// Fails.
struct Failing;

impl KeyProvider for Failing {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Err("no key".into())
    }
}

/// Never returns a key.
struct Hanging;

impl KeyProvider for Hanging {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        pending().await
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let from = |key: fn() -> KeySource| Caller {
        key,
        ..Caller::default()
    };
    let rotating = || from(|| KeySource::provider(Rotating::default()));
    let refusal = r#"{"errors":[{"code":"clerk_key_invalid"}]}"#;
    let refused = || vec![Request, Write(http1(401, "", refusal))];
    vec![
        row("a refused key", refused(), (RJ, 1), (RJ, 1)).also(status(401)),
        row("two refused keys", refused(), (RJ, 2), (RJ, 2))
            .with_caller(rotating())
            .also(status(401))
            // Each was sent once.
            .also(check(|run| {
                let heads = run.seen.heads.lock().unwrap();
                let sent = |key| heads.iter().filter(|head| head.contains(key)).count();
                match (sent("MARKER0"), sent("MARKER1")) {
                    (1, 1) => Ok(()),
                    sent => Err(format!("the keys were sent {sent:?} times")),
                }
            })),
        row(
            "a refused key, then an accepted one",
            refused(),
            (OK, 2),
            (OK, 2),
        )
        .then(success())
        .with_caller(rotating()),
        row(
            "a refused key that is not rotated",
            refused(),
            (RJ, 1),
            (RJ, 1),
        )
        .with_caller(from(|| RotatingKey::new(key()).into())),
        row("a key provider that fails", success(), (NS, 0), (NS, 0))
            .with_caller(from(|| KeySource::provider(Failing))),
        row("a key provider that hangs", success(), (NS, 0), (NS, 0))
            .with_caller(from(|| KeySource::provider(Hanging)))
            .also(timed_out(true)),
    ]
}

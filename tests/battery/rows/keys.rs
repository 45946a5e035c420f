//! Keys that change, or cannot be had.

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use clerk_actor_tokens::{BoxError, KeyProvider, KeySource, RotatingKey, SecretKey};

use Step::{Request, Write};

use super::calls::well;
use crate::harness::{
    caller::{Caller, key},
    checks::{check, status, timed_out},
    row::{Row, row},
    run::{NS, OK, RJ},
    script::{Step, http1},
};

/// Hands out a key of its own every time it is asked.
#[derive(Default)]
struct Vault(AtomicU32);

impl KeyProvider for Vault {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(SecretKey::new(format!("sk_test_MARKER{number}"))?)
    }
}

/// Has no key.
struct Sealed;

impl KeyProvider for Sealed {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Err("the vault is sealed".into())
    }
}

/// Never comes to a key.
struct Stuck;

impl KeyProvider for Stuck {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        pending().await
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let from = |key: fn() -> KeySource| Caller {
        key,
        ..Caller::default()
    };
    let vault = || from(|| KeySource::provider(Vault::default()));
    let refusal = r#"{"errors":[{"code":"clerk_key_invalid"}]}"#;
    let refused = || vec![Request, Write(http1(401, "", refusal))];
    vec![
        row("a key that is refused", refused(), (RJ, 1), (RJ, 1)).also(status(401)),
        row("keys that are all refused", refused(), (RJ, 2), (RJ, 2))
            .by(vault())
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
            "a key that is refused, another that is not",
            refused(),
            (OK, 2),
            (OK, 2),
        )
        .then(well())
        .by(vault()),
        row(
            "a key that could be replaced, but is not",
            refused(),
            (RJ, 1),
            (RJ, 1),
        )
        .by(from(|| RotatingKey::new(key()).into())),
        row("no key to be had", well(), (NS, 0), (NS, 0)).by(from(|| KeySource::provider(Sealed))),
        row("a key that never comes", well(), (NS, 0), (NS, 0))
            .by(from(|| KeySource::provider(Stuck)))
            .also(timed_out(true)),
    ]
}

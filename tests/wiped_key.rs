//! The text of a key is wiped from memory. The test searches the memory of its own process.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use clerk_actor_tokens::{
    Body, BoxError, ClientBuilder, KeyProvider, KeySource, RotatingKey, SecretKey,
};
use http::{Request, Response, header::AUTHORIZATION};

/// A part of every key, masked so that the search does not find this constant.
const MASKED: &[u8] = &[0x1f; 64];
const MASK: u8 = 0x55;

/// Returns the text of a key, with spare capacity.
fn text(prefix: &str) -> String {
    let mut text = String::with_capacity(1000);
    text.push_str(prefix);
    (0..300).for_each(|_| text.push(char::from(MASKED[0] ^ MASK)));
    text
}

/// Returns how often the masked part occurs in the writable memory of this process, stacks excluded.
fn copies() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let name = line.split_whitespace().nth(5).unwrap_or_default();
        if !matches!(name, "" | "[heap]") {
            continue;
        }
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut equal = 0;
        let mut page = [0; 4096];
        for at in (from..to).step_by(page.len()) {
            if memory.read_exact_at(&mut page, at).is_err() {
                break;
            }
            for byte in &mut page {
                equal = if *byte ^ MASK == MASKED[0] {
                    equal + 1
                } else {
                    0
                };
                found += usize::from(equal == MASKED.len());
                *byte = 0;
            }
        }
    }
    found
}

struct Provider;

impl KeyProvider for Provider {
    async fn key(&self) -> Result<SecretKey, BoxError> {
        Ok(SecretKey::new(text("sk_test_"))?)
    }
}

async fn revoke(source: impl Into<KeySource>) {
    let transport = tower::service_fn(|request: Request<Body>| async move {
        assert_eq!(request.headers()[AUTHORIZATION].len(), 315);
        let _taken = request.into_body().into_bytes();
        Ok::<_, BoxError>(Response::new(
            r#"{"id":"act_1","status":"revoked"}"#.to_owned(),
        ))
    });
    let client = ClientBuilder::over(source, transport).build().unwrap();
    client.revoke("act_1").await.unwrap();
}

#[tokio::test]
async fn key_is_wiped_when_its_last_copy_is_dropped() {
    let key = SecretKey::new(text("sk_test_")).unwrap();
    assert!(copies() > 0, "the search found no live key");
    drop(key.clone());
    drop(key);
    assert_eq!(copies(), 0, "a key");

    assert!(SecretKey::new(text("pk_test_")).is_err());
    assert!(SecretKey::new(text("sk_test_ ")).is_err());
    assert_eq!(copies(), 0, "a text that is no key");

    let key = RotatingKey::new(SecretKey::new(text("sk_test_")).unwrap());
    revoke(key.clone()).await;
    key.replace(SecretKey::new("sk_test_1").unwrap());
    assert_eq!(copies(), 0, "a key that was replaced");

    revoke(SecretKey::new(text("sk_test_")).unwrap()).await;
    revoke(KeySource::provider(Provider)).await;
    assert_eq!(copies(), 0, "the key of a client that was dropped");
}

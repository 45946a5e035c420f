//! [`Cached`], the key of a [`KeyProvider`] until the API refuses it.

use std::{future::Future, pin::Pin, sync::Arc};

use http::HeaderValue;
use tokio::sync::{Mutex, watch};

use super::{KeyProvider, bearer};
use crate::{BoxError, SecretKey};

type KeyFuture = Pin<Box<dyn Future<Output = Result<SecretKey, BoxError>> + Send>>;

/// The key of a [`KeyProvider`] until the API refuses it.
pub(super) struct Cached {
    read: Box<dyn Fn() -> KeyFuture + Send + Sync>,
    value: watch::Sender<Option<HeaderValue>>,
    /// Locked by the one call that reads the key. If that call is dropped, the next one reads it.
    reading: Mutex<()>,
}

impl Cached {
    pub(super) fn new(provider: impl KeyProvider) -> Self {
        let provider = Arc::new(provider);
        Self {
            read: Box::new(move || {
                let provider = Arc::clone(&provider);
                Box::pin(async move { provider.key().await })
            }),
            value: watch::Sender::new(None),
            reading: Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Option<HeaderValue> {
        self.value.borrow().clone()
    }

    pub(super) async fn fetch(&self) -> Result<HeaderValue, BoxError> {
        let _reading = self.reading.lock().await;
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let value = bearer(&(self.read)().await?);
        self.value.send_replace(Some(value.clone()));
        Ok(value)
    }

    /// Drops `refused` from the cache, unless another key has replaced it.
    pub(super) fn forget(&self, refused: &HeaderValue) {
        self.value.send_if_modified(|value| {
            let is_refused = value.as_ref() == Some(refused);
            if is_refused {
                *value = None;
            }
            is_refused
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Returns `sk_1`, `sk_2`, …, each after a permit of the gate.
    struct Counting {
        reads: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
    }

    impl KeyProvider for Counting {
        async fn key(&self) -> Result<SecretKey, BoxError> {
            let number = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.acquire().await?.forget();
            Ok(SecretKey::new(format!("sk_{number}"))?)
        }
    }

    fn counting(open: usize) -> (Arc<Cached>, Arc<AtomicU32>, Arc<Semaphore>) {
        let (reads, gate) = (Arc::<AtomicU32>::default(), Arc::new(Semaphore::new(open)));
        let provider = Counting {
            reads: Arc::clone(&reads),
            gate: Arc::clone(&gate),
        };
        (Arc::new(Cached::new(provider)), reads, gate)
    }

    #[tokio::test]
    async fn many_calls_read_the_key_once() {
        let (cached, reads, gate) = counting(0);
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let cached = Arc::clone(&cached);
                tokio::spawn(async move { cached.fetch().await.unwrap() })
            })
            .collect();
        gate.add_permits(1);
        for call in calls {
            assert_eq!(call.await.unwrap(), "Bearer sk_1");
        }
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn call_dropped_while_it_reads_the_key_does_not_block_others() {
        let (cached, reads, gate) = counting(0);
        let mut dropped = Box::pin(cached.fetch());
        assert!(futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        gate.add_permits(1);
        assert_eq!(cached.fetch().await.unwrap(), "Bearer sk_2");
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn only_the_refused_key_is_dropped() {
        let (cached, reads, _gate) = counting(9);
        let first = cached.fetch().await.unwrap();
        cached.forget(&first);
        let second = cached.fetch().await.unwrap();
        // A late refusal of the first key does not drop the second.
        cached.forget(&first);
        assert_eq!(cached.current(), Some(second));
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }
}

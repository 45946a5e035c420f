//! What a [`KeyProvider`] handed out, kept until it is refused.

use std::{
    future::Future,
    pin::Pin,
    sync::{PoisonError, RwLock},
};

use http::HeaderValue;
use tokio::sync::Mutex;

use super::{KeyProvider, bearer};
use crate::{BoxError, SecretKey};

type KeyFuture<'a> = Pin<Box<dyn Future<Output = Result<SecretKey, BoxError>> + Send + 'a>>;

/// A [`KeyProvider`] behind a pointer. Boxing costs only where the provider is asked.
trait DynProvider: Send + Sync {
    fn key(&self) -> KeyFuture<'_>;
}

impl<P: KeyProvider> DynProvider for P {
    fn key(&self) -> KeyFuture<'_> {
        Box::pin(KeyProvider::key(self))
    }
}

pub(super) struct Cached {
    provider: Box<dyn DynProvider>,
    value: RwLock<Option<HeaderValue>>,
    /// Held by the one call that asks. If that call is dropped, the next in line asks.
    asking: Mutex<()>,
}

impl Cached {
    pub(super) fn new(provider: impl KeyProvider) -> Self {
        Self {
            provider: Box::new(provider),
            value: RwLock::default(),
            asking: Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Option<HeaderValue> {
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) async fn fetch(&self) -> Result<HeaderValue, BoxError> {
        let _asking = self.asking.lock().await;
        if let Some(value) = self.current() {
            return Ok(value);
        }
        let value = bearer(&self.provider.key().await?);
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Some(value.clone());
        Ok(value)
    }

    /// Forgets `refused`, unless another key has taken its place meanwhile.
    pub(super) fn forget(&self, refused: &HeaderValue) {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if value.as_ref() == Some(refused) {
            *value = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::*;

    /// Hands out `sk_1`, `sk_2`, … each when the gate lets it.
    struct Counting {
        asked: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
    }

    impl KeyProvider for Counting {
        async fn key(&self) -> Result<SecretKey, BoxError> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.acquire().await?.forget();
            Ok(SecretKey::new(format!("sk_{number}"))?)
        }
    }

    fn counting(open: usize) -> (Arc<Cached>, Arc<AtomicU32>, Arc<Semaphore>) {
        let (asked, gate) = (Arc::<AtomicU32>::default(), Arc::new(Semaphore::new(open)));
        let provider = Counting {
            asked: Arc::clone(&asked),
            gate: Arc::clone(&gate),
        };
        (Arc::new(Cached::new(provider)), asked, gate)
    }

    #[tokio::test]
    async fn many_calls_ask_once() {
        let (cached, asked, gate) = counting(0);
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
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_asks_blocks_nobody() {
        let (cached, asked, gate) = counting(0);
        let mut dropped = Box::pin(cached.fetch());
        assert!(futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        gate.add_permits(1);
        assert_eq!(cached.fetch().await.unwrap(), "Bearer sk_2");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn only_the_key_that_was_refused_is_forgotten() {
        let (cached, asked, _gate) = counting(9);
        let first = cached.fetch().await.unwrap();
        cached.forget(&first);
        let second = cached.fetch().await.unwrap();
        // Late news of the first key's refusal does not cost the second.
        cached.forget(&first);
        assert_eq!(cached.current(), Some(second));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

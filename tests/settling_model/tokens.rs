//! The calls in flight, and the tokens that they returned.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use clerk_actor_tokens::{ActorToken, Error, ErrorKind, Lease, Ticket};
use tokio::time::Instant;

use crate::{program::Use, support::shown::shown, world::World};

pub(crate) type CallFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A call in flight, or a token.
pub(crate) enum Slot {
    Create(usize, CallFuture<Result<ActorToken, Error>>),
    Lease(usize, CallFuture<Result<Lease, Error>>),
    Revoke(HeldToken, CallFuture<Result<(), Error>>),
    Token(HeldToken, ActorToken),
    Leased(HeldToken, Lease),
}

/// A token that a caller holds.
#[derive(Clone)]
pub(crate) struct HeldToken {
    call: usize,
    id: String,
    expiry: Instant,
}

impl World {
    /// Polls a call in flight, once or to its end. A call that panics is dropped.
    pub(crate) async fn proceed(&mut self, slot: Slot, to_end: bool) {
        match slot {
            Slot::Create(call, mut future) => match poll(&mut future, to_end).await {
                Polled::Pending => self.slots.push(Slot::Create(call, future)),
                Polled::Ready(Ok(token)) => {
                    let held = self.held(call, &token);
                    if token.ticket().is_none() {
                        // A token without a credential cannot be used, so it needs no end.
                        self.results[call].returned = Some(held.id.clone());
                    }
                    self.slots.push(Slot::Token(held, token));
                }
                Polled::Ready(Err(error)) => self.failed(call, error),
                Polled::Panicked => {}
            },
            Slot::Lease(call, mut future) => match poll(&mut future, to_end).await {
                Polled::Pending => self.slots.push(Slot::Lease(call, future)),
                Polled::Ready(Ok(lease)) => {
                    self.shown += &format!("{lease:?}");
                    let held = self.held(call, lease.token());
                    self.slots.push(Slot::Leased(held, lease));
                }
                Polled::Ready(Err(error)) => self.failed(call, error),
                Polled::Panicked => {}
            },
            Slot::Revoke(held, mut future) => match poll(&mut future, to_end).await {
                Polled::Pending => self.slots.push(Slot::Revoke(held, future)),
                Polled::Ready(Ok(())) => self.results[held.call].ended = Some(held.id),
                Polled::Ready(Err(error)) => {
                    self.shown += &shown(&error);
                    if error.kind() == ErrorKind::AlreadyAccepted || held.has_expired() {
                        self.results[held.call].ended = Some(held.id);
                    }
                }
                Polled::Panicked => self.release(&held),
            },
            other => self.slots.push(other),
        }
    }

    pub(crate) fn use_token(&mut self, slot: Slot, action: Use) {
        match (slot, action) {
            (Slot::Token(held, token), Use::Keep) => {
                let read = token.ticket().map(Ticket::expose_url);
                assert!(read.is_none_or(|url| url.is_some_and(|it| it.contains(&held.id))));
                self.results[held.call].returned = Some(held.id);
            }
            (Slot::Token(held, token), Use::DropOneOfTwo) => {
                let other = token.clone();
                drop(token);
                self.slots.push(Slot::Token(held, other));
            }
            (Slot::Leased(held, lease), Use::Keep) => {
                drop(lease.keep());
                self.results[held.call].returned = Some(held.id);
            }
            (Slot::Leased(held, lease), Use::Revoke) => {
                self.slots
                    .push(Slot::Revoke(held, Box::pin(lease.revoke())));
            }
            (slot, _) => self.drop(slot),
        }
    }

    pub(crate) fn drop(&mut self, slot: Slot) {
        match &slot {
            Slot::Token(held, _) | Slot::Leased(held, _) | Slot::Revoke(held, _) => {
                self.release(held);
            }
            Slot::Create(..) | Slot::Lease(..) => {}
        }
        drop(slot);
    }

    /// Records the end of a token that expired before its holder dropped it.
    fn release(&mut self, held: &HeldToken) {
        let result = &mut self.results[held.call];
        if held.has_expired() && result.returned.is_none() {
            result.ended = Some(held.id.clone());
        }
    }

    fn failed(&mut self, call: usize, error: Error) {
        self.shown += &shown(&error);
        self.results[call].error = Some(error);
    }

    fn held(&mut self, call: usize, token: &ActorToken) -> HeldToken {
        self.shown += &format!("{token:?}");
        let lifetime = self.plans.lock().unwrap()[call].lifetime;
        let expiry = Instant::now() + lifetime.unwrap_or(Duration::from_secs(3600));
        let id = token.id().to_string();
        HeldToken { call, id, expiry }
    }
}

impl HeldToken {
    fn has_expired(&self) -> bool {
        self.expiry <= Instant::now()
    }
}

impl Slot {
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self, Self::Create(..) | Self::Lease(..) | Self::Revoke(..))
    }
}

enum Polled<T> {
    Pending,
    Ready(T),
    Panicked,
}

async fn poll<T>(future: &mut CallFuture<T>, to_end: bool) -> Polled<T> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) if to_end => Poll::Pending,
            Ok(Poll::Pending) => Poll::Ready(Polled::Pending),
            Ok(Poll::Ready(output)) => Poll::Ready(Polled::Ready(output)),
            Err(_) => Poll::Ready(Polled::Panicked),
        },
    )
    .await
}

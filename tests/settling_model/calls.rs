//! What callers do with what is on its way, and with what they got.

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

pub(crate) type Deed<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) enum Slot {
    Create(usize, Deed<Result<ActorToken, Error>>),
    Lease(usize, Deed<Result<Lease, Error>>),
    Revoke(Held, Deed<Result<(), Error>>),
    Token(Held, ActorToken),
    Leased(Held, Lease),
}

/// A credential that somebody has.
#[derive(Clone)]
pub(crate) struct Held {
    call: usize,
    id: String,
    expiry: Instant,
}

impl World {
    /// Polls what is on its way, once or to its end. One that panics is dropped.
    pub(crate) async fn proceed(&mut self, slot: Slot, to_end: bool) {
        match slot {
            Slot::Create(call, mut deed) => match poll(&mut deed, to_end).await {
                Polled::Pending => self.slots.push(Slot::Create(call, deed)),
                Polled::Ready(Ok(token)) => {
                    let held = self.held(call, &token);
                    if token.ticket().is_none() {
                        // Without a credential nobody could use it, and nothing can get lost.
                        self.answers[call].returned = Some(held.id.clone());
                    }
                    self.slots.push(Slot::Token(held, token));
                }
                Polled::Ready(Err(error)) => self.failed(call, error),
                Polled::Panicked => {}
            },
            Slot::Lease(call, mut deed) => match poll(&mut deed, to_end).await {
                Polled::Pending => self.slots.push(Slot::Lease(call, deed)),
                Polled::Ready(Ok(lease)) => {
                    self.shown += &format!("{lease:?}");
                    let held = self.held(call, lease.token());
                    self.slots.push(Slot::Leased(held, lease));
                }
                Polled::Ready(Err(error)) => self.failed(call, error),
                Polled::Panicked => {}
            },
            Slot::Revoke(held, mut deed) => match poll(&mut deed, to_end).await {
                Polled::Pending => self.slots.push(Slot::Revoke(held, deed)),
                Polled::Ready(Ok(())) => self.answers[held.call].ended = Some(held.id),
                Polled::Ready(Err(error)) => {
                    self.shown += &shown(&error);
                    if error.kind() == ErrorKind::AlreadyAccepted || held.has_expired() {
                        self.answers[held.call].ended = Some(held.id);
                    }
                }
                Polled::Panicked => self.given_up(&held),
            },
            other => self.slots.push(other),
        }
    }

    pub(crate) fn use_up(&mut self, slot: Slot, deed: Use) {
        match (slot, deed) {
            (Slot::Token(held, token), Use::Keep) => {
                let read = token.ticket().map(Ticket::expose_url);
                assert!(read.is_none_or(|url| url.is_some_and(|it| it.contains(&held.id))));
                self.answers[held.call].returned = Some(held.id);
            }
            (Slot::Token(held, token), Use::DropOneOfTwo) => {
                let other = token.clone();
                drop(token);
                self.slots.push(Slot::Token(held, other));
            }
            (Slot::Leased(held, lease), Use::Keep) => {
                drop(lease.keep());
                self.answers[held.call].returned = Some(held.id);
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
                self.given_up(held);
            }
            Slot::Create(..) | Slot::Lease(..) => {}
        }
        drop(slot);
    }

    /// Nobody wants it any more. What has expired by then needs no end.
    fn given_up(&mut self, held: &Held) {
        let answer = &mut self.answers[held.call];
        if held.has_expired() && answer.returned.is_none() {
            answer.ended = Some(held.id.clone());
        }
    }

    fn failed(&mut self, call: usize, error: Error) {
        self.shown += &shown(&error);
        self.answers[call].error = Some(error);
    }

    fn held(&mut self, call: usize, token: &ActorToken) -> Held {
        self.shown += &format!("{token:?}");
        let life = self.plans.lock().unwrap()[call].life;
        let expiry = Instant::now() + life.unwrap_or(Duration::from_secs(3600));
        let id = token.id().to_string();
        Held { call, id, expiry }
    }
}

impl Held {
    fn has_expired(&self) -> bool {
        self.expiry <= Instant::now()
    }
}

impl Slot {
    pub(crate) fn is_on_its_way(&self) -> bool {
        matches!(self, Self::Create(..) | Self::Lease(..) | Self::Revoke(..))
    }
}

enum Polled<T> {
    Pending,
    Ready(T),
    Panicked,
}

async fn poll<T>(deed: &mut Deed<T>, to_end: bool) -> Polled<T> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| deed.as_mut().poll(cx))) {
            Ok(Poll::Pending) if to_end => Poll::Pending,
            Ok(Poll::Pending) => Poll::Ready(Polled::Pending),
            Ok(Poll::Ready(output)) => Poll::Ready(Polled::Ready(output)),
            Err(_) => Poll::Ready(Polled::Panicked),
        },
    )
    .await
}

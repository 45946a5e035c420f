//! A lease is revoked whenever it is dropped.

use clerk_actor_tokens::{Lease, Ticket, layer::settle::SettleEnd};

use crate::{
    requests::{create, responses, revoke, slow},
    setup::{Returned, Setup, drop_at_every_poll, poll_once},
    support::peer::Effect,
};

#[tokio::test(start_paused = true)]
async fn dropped_lease_future_loses_no_token() {
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            let client = setup.client();
            Box::pin(async move { client.lease(create()).await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_lease_is_revoked_even_if_its_ticket_was_read() {
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            let client = setup.client();
            Box::pin(async move {
                let lease = client.lease(create()).await.ok()?;
                lease.ticket().and_then(Ticket::expose_url)?;
                Some(lease)
            })
        })
        .await;
    }
}

/// A token that its caller revoked.
struct Revoked;

impl Returned for Revoked {
    const ENDED: usize = 1;

    fn claim(self) -> Option<String> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_lease_revoke_loses_no_token() {
    for (name, creates) in responses() {
        drop_at_every_poll(name, &creates, |setup| {
            // A dropped revoke may have taken effect, and is sent again.
            setup.most_revokes.set(2);
            let client = setup.client();
            Box::pin(async move {
                let lease = client.lease(create()).await.ok()?;
                lease.revoke().await.ok().map(|()| Revoked)
            })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn lease_whose_revoke_was_never_polled_is_revoked_once() {
    let setup = Setup::new(&[slow(Effect::WhenTaken)]);
    let lease: Lease = setup.client().lease(create()).await.unwrap();
    drop(lease.revoke());
    setup.check(&[], 0, "never polled").await;
    assert_eq!(setup.reports(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn dropped_lease_revoke_is_not_sent() {
    for polls in 0.. {
        let setup = Setup::new(&[]);
        let client = setup.client();
        let mut call = Box::pin(client.send(revoke()));
        let mut ended = false;
        for _ in 0..polls {
            ended |= poll_once(&mut call).await.is_ready();
            if ended {
                break;
            }
        }
        let taken = || {
            setup
                .peer
                .ledger()
                .revokes
                .iter()
                .filter(|it| it.taken)
                .count()
        };
        let before = taken();
        drop(call);
        setup.check(&[], 0, "a revoke").await;
        assert_eq!(taken(), before, "dropped after {polls} polls");
        assert!(setup.reports().is_empty());
        if ended {
            assert!(before == 1 && polls > 5);
            break;
        }
    }
}

//! A lease is revoked when it is dropped, however far its holder came.

use clerk_actor_tokens::{Lease, Ticket, layer::settle::SettleEnd};

use crate::{
    parts::{answers, create, revoke, slow},
    scene::{Given, Scene, drop_at_every_poll, poll_once},
    support::peer::Effect,
};

#[tokio::test(start_paused = true)]
async fn beginning_a_lease_loses_nothing() {
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            let client = scene.client();
            Box::pin(async move { client.lease(create()).await.ok() })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_dropped_is_revoked_though_its_ticket_was_read() {
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            let client = scene.client();
            Box::pin(async move {
                let lease = client.lease(create()).await.ok()?;
                lease.ticket().and_then(Ticket::expose_url)?;
                Some(lease)
            })
        })
        .await;
    }
}

/// A token that its holder revoked by hand.
struct Revoked;

impl Given for Revoked {
    const ENDS: usize = 1;

    fn keep(self) -> Option<String> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn revoking_a_lease_loses_nothing() {
    for (name, creates) in answers() {
        drop_at_every_poll(name, &creates, |scene| {
            // What was dropped half way may have been revoked already, and is revoked to be sure.
            scene.most_revokes.set(2);
            let client = scene.client();
            Box::pin(async move {
                let lease = client.lease(create()).await.ok()?;
                lease.revoke().await.ok().map(|()| Revoked)
            })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_revoking_never_began_is_revoked_once() {
    let scene = Scene::new(&[slow(Effect::WhenTaken)]);
    let lease: Lease = scene.client().lease(create()).await.unwrap();
    drop(lease.revoke());
    scene.check(&[], 0, "never polled").await;
    assert_eq!(scene.reports(), [SettleEnd::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_is_dropped_is_not_sent_any_more() {
    for polls in 0.. {
        let scene = Scene::new(&[]);
        let client = scene.client();
        let mut call = Box::pin(client.send(revoke()));
        let mut ended = false;
        for _ in 0..polls {
            ended |= poll_once(&mut call).await.is_ready();
            if ended {
                break;
            }
        }
        let taken = || {
            scene
                .peer
                .ledger()
                .revokes
                .iter()
                .filter(|it| it.taken)
                .count()
        };
        let before = taken();
        drop(call);
        scene.check(&[], 0, "a revoke").await;
        assert_eq!(taken(), before, "dropped after {polls} polls");
        assert!(scene.reports().is_empty());
        if ended {
            assert!(before == 1 && polls > 5);
            break;
        }
    }
}

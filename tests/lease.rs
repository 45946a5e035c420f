//! A lease revokes its token when it ends, unless it is kept.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Client, ClientBuilder,
    CreateActorToken, ErrorKind, Outcome, RetryConfig, Ticket,
    layer::settle::SettleEnd,
    sandbox::{Fault, Sandbox},
};
use futures_util::poll;
use http::StatusCode;

const AMPLE: Duration = Duration::from_secs(600);

struct Setting {
    sandbox: Sandbox,
    client: Client,
    ends: Arc<Mutex<Vec<SettleEnd>>>,
}

fn setting() -> Setting {
    let sandbox = Sandbox::new();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ends);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .on_settle(move |event| noted.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    Setting {
        sandbox,
        client,
        ends,
    }
}

impl Setting {
    async fn drained(&self) -> Vec<SettleEnd> {
        assert!(self.client.drain(AMPLE).await.is_complete());
        self.ends.lock().unwrap().clone()
    }

    fn live(&self) -> usize {
        self.sandbox.ledger().pending().count()
    }
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2")).expires_in(Duration::from_secs(300))
}

#[tokio::test(start_paused = true)]
async fn dropping_a_lease_revokes_its_token_read_or_not() {
    for read in [false, true] {
        let it = setting();
        let lease = it.client.lease(create()).await.unwrap();
        if read {
            assert!(lease.ticket().and_then(Ticket::expose_url).is_some());
        }
        assert_eq!((it.live(), it.drained().await.len()), (1, 0));
        drop(lease);
        assert_eq!(it.drained().await, [SettleEnd::Revoked]);
        assert_eq!((it.live(), it.sandbox.requests()), (0, 2), "read: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_leaves_its_token_alone() {
    let it = setting();
    let token = it.client.lease(create()).await.unwrap().keep();
    assert_eq!(token.status(), &ActorTokenStatus::Pending);
    drop(token);
    assert!(it.drained().await.is_empty());
    assert_eq!((it.live(), it.sandbox.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn revoking_a_lease_revokes_once() {
    let it = setting();
    it.client
        .lease(create())
        .await
        .unwrap()
        .revoke()
        .await
        .unwrap();
    assert!(it.drained().await.is_empty());
    assert_eq!((it.live(), it.sandbox.requests()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_revoked_otherwise_is_as_good() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    it.client.revoke(lease.token().id()).await.unwrap();
    lease.revoke().await.unwrap();
    assert!(it.drained().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_token_was_used_says_that_a_session_is_live() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    it.sandbox.accept(link).unwrap();
    let error = lease.revoke().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyAccepted);
    assert!(it.drained().await.is_empty());
    assert_eq!(it.sandbox.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_revoked() {
    let it = setting();
    let (dropped, revoked) = (
        it.client.lease(create()).await.unwrap(),
        it.client.lease(create()).await.unwrap(),
    );
    tokio::time::advance(Duration::from_secs(300)).await;
    drop(dropped);
    revoked.revoke().await.unwrap();
    assert!(it.drained().await.is_empty());
    assert_eq!(it.sandbox.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_fails_is_an_error_and_goes_on_in_the_background() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    for _ in 0..2 {
        it.sandbox
            .inject(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    }
    let error = lease.revoke().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(it.drained().await, [SettleEnd::Revoked]);
    assert_eq!((it.live(), it.sandbox.requests()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_of_a_revoke_revokes_all_the_same() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    it.sandbox.inject(Fault::HangBefore);
    let mut revoke = Box::pin(lease.revoke());
    assert!(poll!(revoke.as_mut()).is_pending());
    drop(revoke);
    assert_eq!(it.drained().await, [SettleEnd::Revoked]);
    assert_eq!(it.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_dropped_before_it_began_leaves_nothing() {
    let it = setting();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut lease = Box::pin(it.client.lease(create()));
    assert!(poll!(lease.as_mut()).is_pending());
    drop(lease);
    assert_eq!(it.drained().await, [SettleEnd::Revoked]);
    assert_eq!(it.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_over_any_service_has_leases() {
    let sandbox = Sandbox::new();
    let client = Client::new(sandbox.clone());
    drop(client.lease(create()).await.unwrap());
    let report = client.drain(AMPLE).await;
    assert_eq!(report.counts().revoked, 1);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test]
async fn only_what_is_minted_can_be_leased() {
    let it = setting();
    let id: ActorTokenId = "act_1".parse().unwrap();
    let request = ActorTokenRequest::revoke(id);
    let error = it.client.lease(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(it.sandbox.requests(), 0);
}

#[tokio::test]
async fn a_lease_shows_no_credential() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    let (_, ticket) = link.split_once("ticket=").unwrap();
    assert!(!format!("{lease:?} {lease:#?}").contains(ticket));
}

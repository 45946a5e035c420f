//! A lease revokes its token when it is dropped, unless it is kept.

mod support {
    pub(crate) mod reports;
    pub(crate) mod settled;
}

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, Body, BoxError, Client,
    ClientBuilder, CreateActorToken, ErrorKind, Operation, OperationKind, Outcome, RetryConfig,
    Ticket,
    layer::settle::SettleEnd,
    sandbox::{Fault, Sandbox},
};
use futures_util::poll;
use http::{Request, StatusCode};
use support::settled::{Fixture, LONG, configured};
use tower::util::MapRequestLayer;

fn fixture() -> Fixture {
    configured(|builder| builder.retry(RetryConfig::disabled()))
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2")).expires_in(Duration::from_secs(300))
}

#[tokio::test(start_paused = true)]
async fn dropped_lease_is_revoked_whether_or_not_its_ticket_was_read() {
    for read in [false, true] {
        let it = fixture();
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
async fn kept_lease_is_not_revoked() {
    let it = fixture();
    let token = it.client.lease(create()).await.unwrap().keep();
    assert_eq!(token.status(), &ActorTokenStatus::Pending);
    drop(token);
    assert!(it.drained().await.is_empty());
    assert_eq!((it.live(), it.sandbox.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn revoked_lease_is_revoked_once() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    lease.revoke().await.unwrap();
    assert!(it.drained().await.is_empty());
    assert_eq!((it.live(), it.sandbox.requests()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn lease_revoke_succeeds_when_the_token_is_already_revoked() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    it.client.revoke(lease.token().id()).await.unwrap();
    lease.revoke().await.unwrap();
    assert!(it.drained().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn lease_revoke_fails_when_the_token_was_accepted() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    it.sandbox.accept(link).unwrap();
    let error = lease.revoke().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyAccepted);
    assert!(it.drained().await.is_empty());
    assert_eq!(it.sandbox.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn lease_revoke_with_a_200_that_does_not_say_revoked_fails() {
    for (status, kind, ends) in [
        ("accepted", ErrorKind::AlreadyAccepted, &[][..]),
        ("pending", ErrorKind::NotRevoked, &[SettleEnd::NotRevoked]),
        ("frozen", ErrorKind::NotRevoked, &[SettleEnd::NotRevoked]),
    ] {
        let it = fixture();
        let lease = it.client.lease(create()).await.unwrap();
        let body = format!(r#"{{"id":"{}","status":"{status}"}}"#, lease.token().id());
        // The call, and the five attempts of the background revoke.
        for _ in 0..6 {
            it.sandbox.inject(Fault::Body(body.clone().into()));
        }
        let error = lease.revoke().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::Rejected));
        assert_eq!(it.drained().await, ends, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_lease_whose_token_was_accepted_by_a_200_is_reported_as_accepted() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    let body = format!(r#"{{"id":"{}","status":"accepted"}}"#, lease.token().id());
    it.sandbox.inject(Fault::Body(body.into()));
    drop(lease);
    assert_eq!(it.drained().await, [SettleEnd::Accepted]);
}

#[tokio::test(start_paused = true)]
async fn expired_lease_is_not_revoked() {
    let it = fixture();
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
async fn failed_lease_revoke_is_an_error_and_is_retried_in_the_background() {
    let it = fixture();
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
async fn lease_is_revoked_when_its_revoke_future_is_dropped() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    it.sandbox.inject(Fault::HangBefore);
    let mut revoke = Box::pin(lease.revoke());
    assert!(poll!(revoke.as_mut()).is_pending());
    drop(revoke);
    assert_eq!(it.drained().await, [SettleEnd::Revoked]);
    assert_eq!(it.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn token_is_revoked_when_the_lease_future_is_dropped() {
    let it = fixture();
    it.sandbox.inject(Fault::Delay(Duration::from_secs(5)));
    let mut lease = Box::pin(it.client.lease(create()));
    assert!(poll!(lease.as_mut()).is_pending());
    drop(lease);
    assert_eq!(it.drained().await, [SettleEnd::Revoked]);
    assert_eq!(it.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn client_over_any_service_has_leases() {
    let sandbox = Sandbox::new();
    let client = Client::new(sandbox.clone());
    drop(client.lease(create()).await.unwrap());
    let report = client.drain(LONG).await;
    assert_eq!(report.counts().revoked, 1);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test]
async fn lease_of_a_revoke_is_refused() {
    let it = fixture();
    let id: ActorTokenId = "act_1".parse().unwrap();
    let request = ActorTokenRequest::revoke(id);
    let error = it.client.lease(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(it.sandbox.requests(), 0);
}

#[tokio::test]
async fn debug_of_a_lease_shows_no_credential() {
    let it = fixture();
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    let (_, ticket) = link.split_once("ticket=").unwrap();
    assert!(!format!("{lease:?} {lease:#?}").contains(ticket));
}

#[tokio::test(start_paused = true)]
async fn lease_uses_the_lifetime_base_url_and_extensions_that_layers_set() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(&'static str);

    let (sandbox, revokes) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let (seen, reported) = (Arc::clone(&revokes), Arc::new(Mutex::new(Vec::new())));
    let hook = Arc::clone(&reported);
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .allow_base_url("https://tenant.example")
        .call_layer(MapRequestLayer::new(|mut request: ActorTokenRequest| {
            if let Operation::Create(create) = request.operation_mut() {
                *create = create.clone().expires_in(Duration::from_secs(7200));
                request.extensions_mut().insert(Tenant("acme"));
                request = request.base_url("https://tenant.example");
            }
            request
        }))
        .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
            if request.body().kind() == OperationKind::Revoke {
                let host = request.uri().host().unwrap().to_owned();
                let tenant = request.extensions().get::<Tenant>().cloned();
                seen.lock().unwrap().push((host, tenant));
            }
            request
        }))
        .on_settle(move |event| {
            let tenant = event.extensions().get::<Tenant>().cloned();
            hook.lock().unwrap().push(tenant);
        })
        .build()
        .unwrap();
    let lease = async || {
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        let lease = client.lease(create).await.unwrap();
        assert!(lease.ticket().and_then(Ticket::expose_url).is_some());
        // Longer than the lifetime that the caller asked for.
        tokio::time::advance(Duration::from_secs(3700)).await;
        lease
    };
    drop(lease().await);
    client.drain(LONG).await;
    lease().await.revoke().await.unwrap();
    assert_eq!(sandbox.ledger().pending().count(), 0);
    let acme = || Some(Tenant("acme"));
    let revoke = || ("tenant.example".to_owned(), acme());
    assert_eq!(*revokes.lock().unwrap(), [revoke(), revoke()]);
    assert_eq!(*reported.lock().unwrap(), [acme()]);
}

#[tokio::test(start_paused = true)]
async fn lease_revoke_without_a_response_is_counted_as_not_revoked() {
    let minted = || ActorToken::new("act_1".parse().unwrap(), ActorTokenStatus::Pending);
    let client = Client::new(tower::service_fn(
        move |request: ActorTokenRequest| async move {
            match request.operation() {
                Operation::Create(_) => Ok::<_, BoxError>(minted()),
                _ => pending().await,
            }
        },
    ));
    drop(client.lease(create()).await.unwrap());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(client.settle_counts().not_revoked, 1);
}

//! A lease revokes its token when it ends, unless it is kept.

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
use tower::util::MapRequestLayer;

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
async fn dropped_lease_revokes_its_token_read_or_not() {
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
async fn kept_lease_leaves_its_token_live() {
    let it = setting();
    let token = it.client.lease(create()).await.unwrap().keep();
    assert_eq!(token.status(), &ActorTokenStatus::Pending);
    drop(token);
    assert!(it.drained().await.is_empty());
    assert_eq!((it.live(), it.sandbox.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lease_is_sent_once() {
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
async fn revoke_of_a_lease_succeeds_if_the_token_is_already_revoked() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    it.client.revoke(lease.token().id()).await.unwrap();
    lease.revoke().await.unwrap();
    assert!(it.drained().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lease_after_the_token_was_used_is_already_accepted() {
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
async fn expired_token_of_a_lease_is_not_revoked() {
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
async fn failed_revoke_of_a_lease_goes_on_in_the_background() {
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
async fn cancelled_revoke_of_a_lease_goes_on_in_the_background() {
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
async fn lease_cancelled_during_its_create_leaves_no_live_token() {
    let it = setting();
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
    let report = client.drain(AMPLE).await;
    assert_eq!(report.counts().revoked, 1);
    assert_eq!(sandbox.ledger().pending().count(), 0);
}

#[tokio::test]
async fn lease_of_a_revoke_is_refused_before_it_is_sent() {
    let it = setting();
    let id: ActorTokenId = "act_1".parse().unwrap();
    let request = ActorTokenRequest::revoke(id);
    let error = it.client.lease(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(it.sandbox.requests(), 0);
}

#[tokio::test]
async fn debug_of_a_lease_shows_no_credential() {
    let it = setting();
    let lease = it.client.lease(create()).await.unwrap();
    let link = lease.ticket().and_then(Ticket::expose_url).unwrap();
    let (_, ticket) = link.split_once("ticket=").unwrap();
    assert!(!format!("{lease:?} {lease:#?}").contains(ticket));
}

#[tokio::test(start_paused = true)]
async fn revoke_of_a_lease_has_what_layers_added_to_its_create() {
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
                request = request.base_url("https://tenant.example".parse().unwrap());
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
        // Longer than the caller asked for.
        tokio::time::advance(Duration::from_secs(3700)).await;
        lease
    };
    drop(lease().await);
    client.drain(AMPLE).await;
    lease().await.revoke().await.unwrap();
    assert_eq!(sandbox.ledger().pending().count(), 0);
    let acme = || Some(Tenant("acme"));
    let revoke = || ("tenant.example".to_owned(), acme());
    assert_eq!(*revokes.lock().unwrap(), [revoke(), revoke()]);
    assert_eq!(*reported.lock().unwrap(), [acme()]);
}

#[tokio::test(start_paused = true)]
async fn revoke_without_a_response_is_reported() {
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

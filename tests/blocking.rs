//! The blocking client: one thread drives settling between calls, and the last clone drains.

#![cfg(feature = "blocking")]

use std::{
    future::ready,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, ActorTokenStatus, BoxError, Client as AsyncClient,
    ClientBuilder, ConfigError, CreateActorToken, ErrorKind, Outcome, RetryConfig, Ticket,
    blocking::Client,
    layer::settle::SettleEnd,
    sandbox::{Fault, Sandbox},
};
use tokio::time::Instant;
use tower::buffer::BufferLayer;

const AMPLE: Duration = Duration::from_secs(60);

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

/// Returns a client of the sandbox, and the ends that its hook is called with.
fn observed(sandbox: &Sandbox) -> (Client, Receiver<SettleEnd>) {
    let (sender, ends) = channel();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .on_settle(move |event| sender.send(event.end()).unwrap())
        .build_blocking();
    (client.unwrap(), ends)
}

fn live(sandbox: &Sandbox) -> usize {
    sandbox.ledger().pending().count()
}

#[test]
fn create_and_revoke_return_tokens() {
    let sandbox = Sandbox::new();
    let (client, _ends) = observed(&sandbox);
    let token = client.create(create()).unwrap();
    assert!(token.ticket().and_then(Ticket::expose_url).is_some());
    let revoked = client.revoke(token.id()).unwrap();
    assert_eq!(revoked.status(), &ActorTokenStatus::Revoked);
    let error = client.revoke("no id!").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let error = client
        .send(ActorTokenRequest::revoke(token.id().clone()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyRevoked);
    assert_eq!(client.settle_counts().revoked, 0);
}

#[cfg(feature = "transport")]
#[test]
fn calls_over_tcp_share_connections_that_the_thread_drives() {
    let sandbox = Sandbox::new();
    let served = tokio::runtime::Runtime::new().unwrap();
    let server = served.block_on(sandbox.spawn()).unwrap();
    let client = AsyncClient::builder(sandbox.secret_key()).base_url(server.base_url());
    let client = client.build_blocking().unwrap();
    for _ in 0..3 {
        drop(client.create(create()).unwrap());
    }
    let report = client.drain(AMPLE).unwrap();
    assert!(report.is_complete());
    assert_eq!((report.counts().revoked, live(&sandbox)), (3, 0));
}

#[test]
fn token_dropped_unread_is_revoked_while_no_call_runs() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    drop(client.create(create()).unwrap());
    assert_eq!(ends.recv_timeout(AMPLE).unwrap(), SettleEnd::Revoked);
    assert_eq!((live(&sandbox), client.settle_counts().revoked), (0, 1));
}

#[test]
fn timers_of_the_thread_end_a_call() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    sandbox.inject(Fault::DelayAfter(Duration::from_millis(50)));
    let request = ActorTokenRequest::create(create()).timeout(Duration::from_millis(10));
    let error = client.send(request).unwrap_err();
    assert!(error.is_timeout() && error.is_settling());
    assert_eq!(ends.recv_timeout(AMPLE).unwrap(), SettleEnd::Revoked);
}

#[test]
fn dropping_the_last_clone_waits_for_revokes() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    let unread = client.create(create()).unwrap();
    let clone = client.clone();
    drop(client);
    sandbox.inject(Fault::Delay(Duration::from_millis(50)));
    drop(unread);
    drop(clone);
    assert_eq!(ends.try_iter().collect::<Vec<_>>(), [SettleEnd::Revoked]);
    assert_eq!(live(&sandbox), 0);
}

#[test]
fn dropping_the_last_clone_reports_after_5_s_what_is_not_revoked() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    let unread = client.create(create()).unwrap();
    sandbox.inject(Fault::HangBefore);
    drop(unread);
    let begun = Instant::now();
    drop(client);
    assert!(begun.elapsed() >= Duration::from_secs(5));
    assert_eq!(ends.try_iter().collect::<Vec<_>>(), [SettleEnd::NotRevoked]);
}

#[test]
fn token_that_outlives_the_last_clone_is_reported() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    let unread = client.create(create()).unwrap();
    drop(client);
    assert!(ends.try_recv().is_err());
    drop(unread);
    assert_eq!(ends.try_iter().collect::<Vec<_>>(), [SettleEnd::NotRevoked]);
}

#[test]
fn call_in_an_async_runtime_is_an_error_and_sends_nothing() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    let (token, lease) = (
        client.create(create()).unwrap(),
        client.lease(create()).unwrap(),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let errors = [
            client.create(create()).unwrap_err(),
            client.revoke(token.id()).unwrap_err(),
            client.lease(create()).unwrap_err(),
            client.drain(AMPLE).unwrap_err(),
            lease.revoke().unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Runtime, Outcome::NotSent)
            );
            assert!(
                error.to_string().contains("clerk_actor_tokens::Client"),
                "{error}"
            );
        }
        assert_eq!(sandbox.requests(), 2);
    });
    // The lease ended, so that it is revoked in the background.
    assert_eq!(ends.recv_timeout(AMPLE).unwrap(), SettleEnd::Revoked);
    client.revoke(token.id()).unwrap();
    token.ticket().map(Ticket::claim);
}

#[test]
fn last_clone_dropped_in_an_async_runtime_drains_on_its_thread() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    sandbox.inject(Fault::DelayAfter(Duration::from_millis(50)));
    let request = ActorTokenRequest::create(create()).timeout(Duration::from_millis(10));
    client.send(request).unwrap_err();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { drop(client) });
    assert_eq!(ends.recv_timeout(AMPLE).unwrap(), SettleEnd::Revoked);
}

#[test]
fn threads_share_one_client() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    thread::scope(|scope| {
        for _ in 0..8 {
            let client = client.clone();
            scope.spawn(move || {
                for _ in 0..8 {
                    let token = client.create(create()).unwrap();
                    token.ticket().map(Ticket::claim);
                    client.revoke(token.id()).unwrap();
                    drop(client.create(create()).unwrap());
                }
            });
        }
    });
    drop(client);
    assert_eq!((ends.iter().count(), live(&sandbox)), (64, 0));
    assert_eq!(sandbox.ledger().revoked().count(), 128);
}

#[test]
fn lease_is_revoked_or_kept() {
    let sandbox = Sandbox::new();
    let (client, ends) = observed(&sandbox);
    client.lease(create()).unwrap().revoke().unwrap();
    assert_eq!(live(&sandbox), 0);

    let kept = client.lease(create()).unwrap();
    let id = kept.token().id().clone();
    assert_eq!(kept.keep().id(), &id);
    assert_eq!(live(&sandbox), 1);
    client.revoke(id).unwrap();

    let lease = client.lease(create()).unwrap();
    assert!(lease.ticket().and_then(Ticket::expose_url).is_some());
    // The lease has a clone of the client, so that it is the last one.
    drop(client);
    assert_eq!(live(&sandbox), 1);
    drop(lease);
    assert_eq!(ends.iter().collect::<Vec<_>>(), [SettleEnd::Revoked]);
    assert_eq!(live(&sandbox), 0);
}

#[test]
fn layer_that_spawns_in_its_constructor_fits() {
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .call_layer(BufferLayer::new(8))
        .build_blocking()
        .unwrap();
    client.create(create()).unwrap().ticket().map(Ticket::claim);
}

#[test]
fn double_is_used_in_place_of_the_api() {
    let double = AsyncClient::new(tower::service_fn(|_: ActorTokenRequest| {
        let id = "act_1".parse().unwrap();
        ready(Ok::<_, BoxError>(ActorToken::new(
            id,
            ActorTokenStatus::Revoked,
        )))
    }));
    let client = Client::new(double).unwrap();
    assert_eq!(client.revoke("act_1").unwrap().id(), "act_1");
}

#[test]
fn invalid_setting_is_returned_by_build_blocking() {
    let sandbox = Sandbox::new();
    let error = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .base_url("ftp://127.0.0.1")
        .build_blocking()
        .unwrap_err();
    assert!(matches!(
        error,
        ConfigError::Setting {
            setting: "base_url",
            ..
        }
    ));
}

//! Requests, policies and services for the tests.

use std::{future::Future, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, ClientBuilder, CreateActorToken, Error,
    client::{CustomTransport, Layers},
    sandbox::{Sandbox, SandboxTransport},
};
use clerk_actor_tokens_policy::{Policy, Principal};
use serde_json::Value;
use tokio::time::timeout;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn actor() -> Actor {
    Actor::new("user_admin")
}

pub(crate) fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", actor())
}

/// Returns a create of the actor itself.
pub(crate) fn call() -> ActorTokenRequest {
    by(Principal::new("user_admin").via("console"), create())
}

pub(crate) fn by(principal: Principal, create: CreateActorToken) -> ActorTokenRequest {
    let mut request = ActorTokenRequest::create(create);
    request.extensions_mut().insert(principal);
    request
}

pub(crate) fn revoke() -> ActorTokenRequest {
    ActorTokenRequest::revoke("act_1".parse().unwrap())
}

pub(crate) const LIFETIMES: &str = r#"
version = "7"
lifetime = { default = 300, longest = 900 }
session = { default = 600, longest = 1200 }
"#;

/// Returns a policy with these rules beside the lifetimes.
pub(crate) fn policy(rules: &str) -> Policy {
    toml::from_str(&format!("{LIFETIMES}{rules}")).unwrap()
}

pub(crate) fn over(sandbox: &Sandbox) -> ClientBuilder<Layers, CustomTransport<SandboxTransport>> {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
}

/// Returns a detail of the first entry of a refusal.
#[track_caller]
pub(crate) fn meta<'a>(error: &'a Error, name: &str) -> &'a Value {
    &error.clerk_errors().unwrap().errors[0].meta[name]
}

#[track_caller]
pub(crate) fn rule(error: &Error) -> &str {
    meta(error, "rule").as_str().unwrap()
}

/// Waits for a future that would otherwise hang the test.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(HOUR, future).await.unwrap()
}

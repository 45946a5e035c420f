//! What operators change at one gateway holds at all of them.

use std::time::Duration;

use clerk_actor_tokens::Error;
use tokio::time::Instant;

use super::*;
use crate::world::Served;

/// The time in which a change reaches every gateway.
const SPREAD: Duration = Duration::from_secs(2);

fn code<T>(result: &Result<T, Error>) -> Option<&str> {
    result.as_ref().err().and_then(Error::code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_at_one_gateway_holds_at_the_other_within_two_seconds() {
    let shared = Shared::start(Sandbox::new()).await;
    let [one, other] = shared.open_two().await;
    let served = Served::start(&other).await;
    let sdk = served.sdk(KEY);
    assert!(sdk.create(create()).await.is_ok());
    for (body, expected) in [
        (
            r#"{"paused":true,"reason":"incident 4711"}"#,
            Some("paused"),
        ),
        (r#"{"paused":false}"#, None),
    ] {
        let set = ask(&one, "PUT", "/pause", body, "pauser").await;
        assert_eq!(set.status, http::StatusCode::OK);
        let begun = Instant::now();
        until(async || code(&sdk.create(create()).await) == expected).await;
        assert!(begun.elapsed() < SPREAD, "{:?}", begun.elapsed());
    }
    let calls = calls(&one, "end=refused").await;
    assert!(calls.iter().all(|call| call["rule"] == "paused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quota_counts_the_tokens_of_all_gateways() {
    let shared = Shared::start(Sandbox::new()).await;
    let config = world::parse(&(shared.text() + "[quota]\nper_month = 3\n"));
    let one = Gateway::open(config.clone()).await.unwrap();
    let other = Gateway::open(config).await.unwrap();
    let served = Served::start(&one).await;
    for _ in 0..3 {
        served.sdk(KEY).create(create()).await.unwrap();
    }
    let used = async || ask(&other, "GET", "/quota", "", "viewer").await.json()["used"].clone();
    until(async || used().await == 3).await;
    let served = Served::start(&other).await;
    let refused = served.sdk(KEY).create(create()).await;
    assert_eq!(code(&refused), Some("quota_exceeded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_that_one_gateway_loads_is_announced_to_the_other() {
    let shared = Shared::start(Sandbox::new()).await;
    let [one, other] = shared.open_two().await;
    let mut announced = other.other_policy();
    let second = world::parse(&shared.text().replace("\"test\"", "\"second\""));
    one.reload(&second).await.unwrap();
    until(async || announced.borrow_and_update().as_deref() == Some("second")).await;
    assert_eq!(*one.other_policy().borrow(), None);
    other.reload(&second).await.unwrap();
    assert_eq!(*announced.borrow(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_of_one_process_loads_the_policy_of_all() {
    let shared = Shared::start(Sandbox::new()).await;
    let (one, other) = (shared.process("").await, shared.process("").await);
    let client = other.client();
    assert!(client.create(create()).await.is_ok());
    let path = shared.file("gateway.toml");
    let text = fs::read_to_string(&path).unwrap();
    let denied = "version = \"second\"\nsubjects = { deny = [\"user_subject\"] }";
    fs::write(&path, text.replace("version = \"test\"", denied)).unwrap();
    let id = one.id().unwrap().try_into().unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    let begun = Instant::now();
    until(async || code(&client.create(create()).await) == Some("impersonation_denied")).await;
    assert!(begun.elapsed() < SPREAD, "{:?}", begun.elapsed());
    assert!(one.stop().await.success());
    assert!(other.stop().await.success());
}

//! Random programs of calls, drops and failures over one client. Every minted token is returned, revoked or reported.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test settling_model` runs more programs.
//! `PROPTEST_RNG_SEED` chooses others.

mod interceptor;
mod invariants;
mod program;
mod tokens;
#[path = "../support"]
mod support {
    pub(crate) mod peer;
    pub(crate) mod repeatable;
    pub(crate) mod shown;
}
mod world;

use std::{collections::HashSet, sync::Mutex};

use clerk_actor_tokens::{RetryConfig, layer::SettleLayer};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use self::{
    invariants::check,
    program::{Program, programs},
    world::World,
};

fn runner(cases: Option<u32>) -> TestRunner {
    let config = Config::default();
    let rng_seed = match config.rng_seed {
        // The same programs in each run by default.
        RngSeed::Random => RngSeed::Fixed(4),
        chosen => chosen,
    };
    TestRunner::new(Config {
        cases: cases.unwrap_or(config.cases),
        rng_seed,
        failure_persistence: None,
        max_global_rejects: 0,
        ..config
    })
}

fn run(
    cases: Option<u32>,
    layer: impl Fn() -> SettleLayer,
    retry: &RetryConfig,
    observe: impl Fn(&World),
) -> Result<(), TestError<Program>> {
    runner(cases).run(&programs(), |program| {
        let world = World::run(&program, layer(), retry.clone());
        observe(&world);
        check(&world).map_err(|violation| TestCaseError::fail(violation.to_string()))
    })
}

#[test]
fn every_credential_is_returned_revoked_or_reported() {
    let seen = Mutex::new(HashSet::new());
    let note = |world: &World| seen.lock().unwrap().extend(ends(world));
    let usual = RetryConfig::default();
    if let Err(error) = run(None, SettleLayer::new, &usual, note) {
        panic!("{error}");
    }
    // The programs reach every possible end.
    assert_eq!(seen.lock().unwrap().len(), 8, "{seen:?}");
}

/// Returns the ends of the creates of a program, as text.
fn ends(world: &World) -> Vec<String> {
    let mut ends: Vec<_> = world
        .reports()
        .iter()
        .map(|it| format!("{:?}", it.end))
        .collect();
    for result in &world.results {
        ends.extend(result.returned.as_ref().map(|_| "returned".into()));
        ends.extend(
            result
                .ended
                .as_ref()
                .map(|_| "ended by its holder, or expired".into()),
        );
        ends.extend(result.error.as_ref().map(|_| "failed".into()));
    }
    ends
}

/// Asserts that the checks find the violation of a misconfigured client.
fn finds(what: &str, layer: impl Fn() -> SettleLayer, retry: &RetryConfig) {
    match run(Some(64), layer, retry, |_| {}) {
        Err(TestError::Fail(reason, _)) => assert!(reason.message().contains(what), "{reason}"),
        other => panic!("no violation \"{what}\": {other:?}"),
    }
}

#[test]
fn client_without_settling_leaves_orphans() {
    let usual = RetryConfig::default();
    finds(
        "neither returned nor revoked nor reported",
        SettleLayer::disabled,
        &usual,
    );
}

#[test]
fn client_that_does_not_revoke_unread_tickets_leaves_orphans() {
    let unread = || SettleLayer::new().revoke_unread(false);
    let usual = RetryConfig::default();
    finds("neither returned nor revoked nor reported", unread, &usual);
}

#[test]
fn client_that_replays_creates_is_found() {
    let replaying = RetryConfig::default().replay_unknown_create(true);
    finds(
        "was sent although an earlier create may have minted a token",
        SettleLayer::new,
        &replaying,
    );
}

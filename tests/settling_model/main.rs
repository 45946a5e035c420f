//! Every credential that was minted is returned, revoked or reported, whatever callers and peer do:
//! random programs over one client, and a ledger to check them by.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test settling_model` runs more of them, and
//! `PROPTEST_RNG_SEED` others.

mod account;
mod calls;
mod made_up;
mod program;
#[path = "../support"]
mod support {
    pub(crate) mod peer;
    pub(crate) mod shown;
}
mod world;

use std::{collections::HashSet, sync::Mutex};

use clerk_actor_tokens::{RetryConfig, layer::SettleLayer};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use self::{
    account::check,
    program::{Program, programs},
    world::World,
};

fn runner(cases: Option<u32>) -> TestRunner {
    let config = Config::default();
    let rng_seed = match config.rng_seed {
        // The same programs every time, unless others are asked for.
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
    see: impl Fn(&World),
) -> Result<(), TestError<Program>> {
    runner(cases).run(&programs(), |program| {
        let world = World::run(&program, layer(), retry.clone());
        see(&world);
        check(&world).map_err(|violation| TestCaseError::fail(violation.to_string()))
    })
}

#[test]
fn every_credential_is_returned_revoked_or_reported() {
    let met = Mutex::new(HashSet::new());
    let note = |world: &World| met.lock().unwrap().extend(ends(world));
    let usual = RetryConfig::default();
    if let Err(error) = run(None, SettleLayer::new, &usual, note) {
        panic!("{error}");
    }
    // The programs come to every end that there is.
    assert_eq!(met.lock().unwrap().len(), 8, "{met:?}");
}

/// What became of the creates of a program, in a word each.
fn ends(world: &World) -> Vec<String> {
    let mut ends: Vec<_> = world
        .reports()
        .iter()
        .map(|it| format!("{:?}", it.end))
        .collect();
    for answer in &world.answers {
        ends.extend(answer.returned.as_ref().map(|_| "returned".into()));
        ends.extend(
            answer
                .ended
                .as_ref()
                .map(|_| "ended by its holder, or expired".into()),
        );
        ends.extend(answer.error.as_ref().map(|_| "failed".into()));
    }
    ends
}

/// The check has teeth: it finds what these clients do wrong.
fn finds(what: &str, layer: impl Fn() -> SettleLayer, retry: &RetryConfig) {
    match run(Some(64), layer, retry, |_| {}) {
        Err(TestError::Fail(reason, _)) => assert!(reason.message().contains(what), "{reason}"),
        other => panic!("nothing {what}: {other:?}"),
    }
}

#[test]
fn the_model_finds_the_orphans_of_a_client_that_does_not_settle() {
    let usual = RetryConfig::default();
    finds(
        "neither returned nor revoked nor reported",
        SettleLayer::disabled,
        &usual,
    );
}

#[test]
fn the_model_finds_unread_tickets_that_are_left_alone() {
    let leaving = || SettleLayer::new().revoke_unread(false);
    let usual = RetryConfig::default();
    finds("neither returned nor revoked nor reported", leaving, &usual);
}

#[test]
fn the_model_finds_creates_that_are_sent_again() {
    let replaying = RetryConfig::default().replay_unknown_create(true);
    finds(
        "was sent although a create before it may have minted",
        SettleLayer::new,
        &replaying,
    );
}

//! Every call that began has exactly one end, which agrees with the caller and with the API, whatever callers,
//! layers, sink and API do: random programs over one client, checked against the sandbox's ledger.
//!
//! `PROPTEST_CASES=45000 cargo test --release --test audit_model -- --nocapture` makes about 100,000 calls,
//! with a progress bar, and `PROPTEST_RNG_SEED` makes others.

mod account;
mod layers;
mod program;
#[path = "../../../../tests/support/repeatable.rs"]
mod repeatable;
#[path = "../support"]
mod support {
    pub(crate) mod scripted_sink;
}
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use clerk_actor_tokens_policy::audit::{End, Event, FollowUp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use self::{
    account::check,
    program::{Program, programs},
    world::{Planted, Remains, World},
};

/// The cases of a run that asks for none.
const CASES: u32 = 400;

/// Returns how many cases are asked for, if a number is.
fn asked() -> Option<u32> {
    let cases = std::env::var_os("PROPTEST_CASES");
    cases.map(|_| Config::default().cases)
}

/// Returns a progress bar, which is hidden if no number of cases is asked for.
fn progress() -> ProgressBar {
    let Some(cases) = asked() else {
        return ProgressBar::hidden();
    };
    // Five frames a second.
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(Some(cases.into()), target);
    let template = "{bar:40} {human_pos} of {human_len} cases, {elapsed} gone, {eta} left, {msg}";
    bar.with_style(ProgressStyle::with_template(template).unwrap())
}

fn runner(planted: Planted) -> TestRunner {
    let config = Config::default();
    let cases = asked().filter(|_| planted == Planted::Nothing);
    let cases = cases.unwrap_or(CASES);
    let rng_seed = match config.rng_seed {
        // The same programs every time, unless others are asked for.
        RngSeed::Random => RngSeed::Fixed(7),
        chosen => chosen,
    };
    TestRunner::new(Config {
        cases,
        rng_seed,
        failure_persistence: None,
        max_global_rejects: 0,
        ..config
    })
}

fn run(planted: Planted, see: impl Fn(&Remains)) -> Result<(), TestError<Program>> {
    runner(planted).run(&programs(), |program| {
        let remains = World::run(&program, planted);
        see(&remains);
        check(&remains).map_err(|violation| TestCaseError::fail(violation.to_string()))
    })
}

#[test]
fn every_call_that_began_has_one_end_that_agrees_with_the_ledger() {
    let met = Mutex::new(BTreeMap::<&str, usize>::new());
    let (calls, bar) = (Mutex::new(0), progress());
    let note = |remains: &Remains| {
        let mut calls = calls.lock().unwrap();
        *calls += remains.results.len();
        bar.set_message(format!("{calls} calls"));
        bar.inc(1);
        let mut met = met.lock().unwrap();
        for entry in &remains.audit {
            *met.entry(word(&entry.event)).or_default() += 1;
        }
    };
    if let Err(error) = run(Planted::Nothing, note) {
        panic!("{error}");
    }
    bar.finish();
    let met = met.lock().unwrap();
    println!("{} calls: {met:?}", calls.lock().unwrap());
    // The programs come to every kind of entry.
    let words: BTreeSet<_> = met.keys().copied().collect();
    assert_eq!(words.len(), 10, "{words:?}");
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::Begin(_) => "begin",
        Event::Sending => "sending",
        Event::End(End::Abandoned) => "abandoned",
        Event::End(End::Refused { .. }) => "refused",
        Event::End(End::Returned { .. }) => "returned",
        Event::End(End::Failed { .. }) => "failed",
        Event::End(End::Cancelled(_)) => "cancelled",
        Event::End(End::Panicked(_)) => "panicked",
        Event::FollowUp(FollowUp::Withheld) => "withheld",
        Event::FollowUp(FollowUp::Settled { .. }) => "settled",
        other => panic!("unexpected: {other:?}"),
    }
}

#[track_caller]
fn finds(planted: Planted, what: &str) {
    match run(planted, |_| {}) {
        Err(TestError::Fail(reason, _)) => assert!(reason.message().contains(what), "{reason}"),
        other => panic!("nothing {what}: {other:?}"),
    }
}

#[test]
fn model_finds_a_sink_that_loses_an_end() {
    finds(Planted::SinkLosesEnds, "began and has no end");
}

#[test]
fn model_finds_a_stack_without_the_barrier() {
    finds(Planted::NoBarrier, "may have been sent, and was not marked");
}

#[test]
fn model_finds_a_client_without_the_settle_hook() {
    finds(Planted::NoHook, "the audit has not what became of a token");
}

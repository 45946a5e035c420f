//! The battery: every way in which a network, a server or a proxy can fail, as rows of data.
//!
//! A row is a script for the peer and what must come of it, for a create and for a revoke. Each is
//! checked for its outcome, the number of requests that the peer saw, its deadline, that every credential
//! was returned, revoked or reported, and that no secret shows, neither in what it returns nor in anything
//! that is logged, at any level, by any crate; what else it wants stands in its `also`. A new row is one
//! line in a file under `rows/`. The clock is paused and connections are pipes, but where sockets are the point.
//!
//! `cargo test --test battery -- <part of a row's name>` runs some of them.

mod harness;
mod rows;
#[path = "../support/search/mod.rs"]
mod search;

use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use harness::silence::silent;
use libtest_mimic::{Arguments, Failed, Trial};

/// How many rows of a section were run, and how many passed.
#[derive(Default)]
struct Tally {
    run: AtomicU32,
    passed: AtomicU32,
}

fn main() {
    search::begin();
    let arguments = Arguments::from_args();
    let mut tallies: BTreeMap<&'static str, Arc<Tally>> = BTreeMap::new();
    let mut trials = Vec::new();
    for (section, name, check) in rows::all() {
        let tally = Arc::clone(tallies.entry(section).or_default());
        trials.push(Trial::test(format!("{section}: {name}"), move || {
            tally.run.fetch_add(1, Ordering::Relaxed);
            silent(check).map_err(Failed::from)?;
            tally.passed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (section, tally) in tallies {
        let (run, passed) = (
            tally.run.load(Ordering::Relaxed),
            tally.passed.load(Ordering::Relaxed),
        );
        println!("{section}: {run} rows run, {passed} passed");
    }
    let leaks = search::untold();
    assert!(leaks.is_empty(), "on threads of no row: {leaks:#?}");
    conclusion.exit();
}

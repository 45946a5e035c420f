//! The battery: failures of networks, servers and proxies, as rows of data.
//!
//! A row is a script for the peer and the expected result of a create and of a revoke. Every row checks the
//! outcome, the number of requests and the deadline. Every credential must be returned, revoked or reported.
//! The result and the logs of all crates must not show a secret. A row's `also` holds further checks. A new row
//! is one line in a file under `rows/`. The clock is paused and connections are pipes, except in rows about
//! sockets.
//!
//! `cargo test --test battery -- <part of a row's name>` runs the matching rows.

mod harness;
#[path = "../support/in_memory.rs"]
mod in_memory;
mod rows;
#[path = "../support/search/mod.rs"]
mod search;

use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use harness::leaks::without_leaks;
use libtest_mimic::{Arguments, Failed, Trial};

/// The numbers of rows of a section that ran and that passed.
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
            without_leaks(check).map_err(Failed::from)?;
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
    let leaks = search::unclaimed();
    assert!(leaks.is_empty(), "outside of rows: {leaks:#?}");
    conclusion.exit();
}

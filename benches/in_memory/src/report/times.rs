//! Nanoseconds per call. The cases take turns, because the load of the machine varies. Compare only
//! ratios of medians.

use std::time::Duration;

use bench_in_memory::{Case, Kind, runtime};
use tokio::time::Instant;

const ROUNDS: usize = 200;
const CALLS: u64 = 100;

pub(crate) fn print(cases: &[Case]) {
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| case.kind == Kind::Whole)
        .collect();
    let runtime = runtime();
    let mut calls: Vec<_> = cases.iter().map(|case| case.prepare()).collect();
    let mut samples = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for _ in 0..ROUNDS {
        for (calls, samples) in calls.iter_mut().zip(&mut samples) {
            let begun = Instant::now();
            calls(&runtime, CALLS);
            samples.push(begun.elapsed());
        }
    }
    let medians: Vec<_> = samples.into_iter().map(median_of_a_call).collect();
    println!("| case | ns a call, median | of the floor |\n|---|--:|--:|");
    for (case, median) in cases.iter().zip(&medians) {
        let floor = cases.iter().position(|it| it.name == case.against);
        let ratio = floor.map_or(f64::NAN, |floor| median / medians[floor]);
        println!("| {} | {median:.0} | {ratio:.2} × |", case.name);
    }
}

fn median_of_a_call(mut samples: Vec<Duration>) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_nanos() as f64 / CALLS as f64
}

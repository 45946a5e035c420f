//! The cost of calls that are in flight together, and the memory that they hold.

use bench_in_memory::{Caller, Case, InFlight, Kind};

use crate::{Error, allocator::Allocated, counts};

pub(crate) fn print(cases: &[Case]) -> Result<(), Error> {
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| matches!(case.kind, Kind::InFlight { .. }))
        .copied()
        .collect();
    println!("| in flight | instructions a call | of the floor | allocations |\n|---|--:|--:|--:|");
    let counts = counts::of(&cases)?;
    for (case, own) in cases.iter().zip(&counts) {
        let floor = cases.iter().position(|it| it.name == case.against);
        let floor = floor.map_or(f64::NAN, |at| counts[at].instructions as f64);
        println!(
            "| {} | {} | {:.2} × | {} |",
            case.name,
            own.instructions,
            own.instructions as f64 / floor,
            own.allocations
        );
    }
    println!("\n| bytes a call holds | 1 in flight | 100 | 10 000 |\n|---|--:|--:|--:|");
    for caller in [Caller::Floor, Caller::Stack, Caller::Client] {
        let [one, some, many] = [1, 100, 10_000].map(|calls| held_by(caller, calls));
        println!("| {caller:?} | {one} | {some} | {many} |");
    }
    Ok(())
}

/// The bytes that each of so many calls holds.
fn held_by(caller: Caller, calls: usize) -> u64 {
    let mut in_flight = InFlight::new(caller, calls);
    // Sets up first, because that is no part of a call.
    in_flight.begin(calls);
    in_flight.end();
    let before = Allocated::so_far();
    in_flight.begin(calls);
    let after = Allocated::so_far();
    in_flight.end();
    (after.live - before.live) / calls as u64
}

//! Prints the cost of the cases as Markdown tables.
//!
//! ```text
//! cargo bench -p bench_in_memory                  nanoseconds, like a plain `cargo bench`
//! cargo bench -p bench_in_memory -- counts        instructions and allocations
//! cargo bench -p bench_in_memory -- in-flight     many concurrent calls
//! cargo bench -p bench_in_memory -- check         fails if a count is above its ceiling
//! cargo bench -p bench_in_memory -- ceilings      writes the ceilings
//! ```
//!
//! Ceilings hold with `--profile counted`, as `benches/run` builds it.

mod allocator;
mod ceilings;
mod counts;
mod in_flight;
mod times;

use std::{env, process::ExitCode};

use bench_in_memory::{Case, Kind, cases};

use self::counts::Counts;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let all = cases();
    let single: Vec<_> = all
        .iter()
        .filter(|case| matches!(case.kind, Kind::Whole | Kind::Alone))
        .copied()
        .collect();
    // cargo adds `--bench` at the end.
    let table = env::args().nth(1).filter(|it| it != "--bench");
    match table.as_deref() {
        Some("counts") => print(&single, &counts::of(&single)?),
        Some("times") | None => times::print(&single),
        Some("in-flight") => in_flight::print(&all)?,
        Some("check") => ceilings::check(&single, &counts::of(&single)?)?,
        Some("ceilings") => ceilings::write(&single, &counts::of(&single)?)?,
        _ => {
            return Err(
                "usage: cargo bench -p bench_in_memory -- times|counts|in-flight|check|ceilings"
                    .into(),
            );
        }
    }
    Ok(())
}

fn print(cases: &[Case], counts: &[Counts]) {
    let with = |kind| {
        let both = cases.iter().zip(counts);
        both.filter(move |(case, _)| case.kind == kind)
    };
    let against = |case: &Case| {
        let at = cases.iter().position(|it| it.name == case.against);
        at.map_or(counts[0], |at| counts[at])
    };
    println!(
        "| whole call | instructions | of the floor | allocations | bytes |\n\
         |---|--:|--:|--:|--:|"
    );
    for (case, counts) in with(Kind::Whole) {
        let ratio = counts.instructions as f64 / against(case).instructions as f64;
        println!(
            "| {} | {} | {ratio:.3} × | {} | {} |",
            case.name, counts.instructions, counts.allocations, counts.bytes
        );
    }
    println!(
        "\n| layer alone | instructions | its own | allocations | its own | over |\n\
         |---|--:|--:|--:|--:|---|"
    );
    for (case, counts) in with(Kind::Alone) {
        let bare = against(case);
        println!(
            "| {} | {} | {:+} | {} | {:+} | {} |",
            case.name,
            counts.instructions,
            counts.instructions as i64 - bare.instructions as i64,
            counts.allocations,
            counts.allocations as i64 - bare.allocations as i64,
            case.against,
        );
    }
}

//! Prints what the cases cost, as tables in Markdown.
//!
//! ```text
//! bench_in_memory counts      instructions and allocations
//! bench_in_memory times       nanoseconds
//! bench_in_memory check       fails when a count is above its ceiling
//! bench_in_memory ceilings    writes the ceilings anew
//! ```

mod allocator;
mod ceilings;
mod counts;
mod times;

use std::{env, process::ExitCode};

use bench_in_memory::{Case, Kind, cases};

use self::counts::Counts;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some("counts") => counts::of(&cases()).map(|counts| print(&cases(), &counts)),
        Some("times") => {
            times::print(&cases());
            Ok(())
        }
        Some("check") => counts::of(&cases()).and_then(|counts| ceilings::check(&cases(), &counts)),
        Some("ceilings") => {
            counts::of(&cases()).and_then(|counts| ceilings::write(&cases(), &counts))
        }
        _ => Err("usage: bench_in_memory counts|times|check|ceilings".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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

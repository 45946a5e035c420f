//! Counts instructions and allocations, which are repeatable.

use std::{
    io,
    process::{Command, Stdio},
};

use bench_in_memory::{Case, Kind, runtime};

use crate::{Error, allocator::Allocated};

fn calls_of(case: &Case) -> u64 {
    match case.kind {
        Kind::InFlight { at_once } => at_once.max(400),
        Kind::Whole | Kind::Alone => 400,
    }
}

/// The cost of one call.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

/// Counts all cases, in parallel for callgrind.
pub(crate) fn of(cases: &[Case]) -> Result<Vec<Counts>, Error> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut instructions = vec![Ok(0); cases.len()];
    std::thread::scope(|scope| {
        for (cases, results) in cases
            .chunks(cases.len().div_ceil(workers))
            .zip(instructions.chunks_mut(cases.len().div_ceil(workers)))
        {
            scope.spawn(move || {
                for (case, result) in cases.iter().zip(results) {
                    *result = instructions_of(case).map_err(|error| error.to_string());
                }
            });
        }
    });
    // After the threads have ended, because their allocations would be counted.
    cases
        .iter()
        .zip(instructions)
        .map(|(case, instructions)| {
            let (allocations, bytes) = allocations_of(case);
            Ok(Counts {
                instructions: instructions?,
                allocations,
                bytes,
            })
        })
        .collect()
}

/// Takes the difference of a long and a short run, so that setup does not count.
fn instructions_of(case: &Case) -> Result<u64, Error> {
    let calls = calls_of(case);
    let once = run_under_callgrind(case, calls)?;
    let twice = run_under_callgrind(case, 2 * calls)?;
    Ok((twice - once) / calls)
}

fn run_under_callgrind(case: &Case, calls: u64) -> Result<u64, Error> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_call"))
        .args([case.name, &calls.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "valgrind is not installed".into(),
            _ => Error::from(error),
        })?;
    let log = String::from_utf8_lossy(&output.stderr);
    // A line like `==4711== Collected : 5070281`.
    let collected = log
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("valgrind failed on {}:\n{log}", case.name).into()),
    }
}

fn allocations_of(case: &Case) -> (u64, u64) {
    let (runtime, calls) = (runtime(), calls_of(case));
    let mut run = case.prepare();
    run(&runtime, calls);
    let before = Allocated::so_far();
    run(&runtime, calls);
    let after = Allocated::so_far();
    (
        (after.allocations - before.allocations).div_ceil(calls),
        (after.bytes - before.bytes).div_ceil(calls),
    )
}

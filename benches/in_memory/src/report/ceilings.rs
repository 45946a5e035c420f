//! The highest cost of each case, in the file `ceilings.txt`, and the check against it.

use std::{collections::HashMap, fmt::Write as _, fs};

use bench_in_memory::Case;

use crate::{Error, counts::Counts};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ceilings.txt");

/// Adds 2 %, and the variation of reading the clock.
fn with_margin(instructions: u64) -> u64 {
    instructions + instructions / 50 + 50
}

const HEAD: &str = "\
# What a call of each case may cost at most; `benches/run ceilings` writes it anew, 2 % above what it
# measures. Of a floor it is what was measured: another compiler or processor moves the floor, and the
# ceilings above it as much.
#
# case                    instructions  allocations
";

#[derive(Clone, Copy)]
struct Ceiling {
    instructions: u64,
    allocations: u64,
}

pub(crate) fn write(cases: &[Case], counts: &[Counts]) -> Result<(), Error> {
    let mut file = HEAD.to_owned();
    for (case, counts) in cases.iter().zip(counts) {
        let instructions = if case.is_floor() {
            counts.instructions
        } else {
            with_margin(counts.instructions)
        };
        let allocations = counts.allocations;
        writeln!(
            file,
            "{:<25} {instructions:>12} {allocations:>12}",
            case.name
        )?;
    }
    fs::write(FILE, file)?;
    Ok(())
}

fn read() -> Result<HashMap<String, Ceiling>, Error> {
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut word = || words.next().ok_or_else(|| format!("{FILE}: {line:?}"));
            let name = word()?.to_owned();
            let ceiling = Ceiling {
                instructions: word()?.parse()?,
                allocations: word()?.parse()?,
            };
            Ok((name, ceiling))
        })
        .collect()
}

/// Prints every case beside its ceiling.
///
/// # Errors
///
/// When one is above it.
pub(crate) fn check(cases: &[Case], counts: &[Counts]) -> Result<(), Error> {
    let ceilings = read()?;
    let ceiling_of = |name: &str| {
        ceilings
            .get(name)
            .copied()
            .ok_or_else(|| format!("{FILE} has no {name}; `benches/run ceilings` writes it"))
    };
    let measured_of = |name: &str| {
        let at = cases.iter().position(|case| case.name == name);
        at.map_or(0, |at| counts[at].instructions)
    };
    println!(
        "| case | instructions | ceiling | allocations | ceiling | of the floor | |\n\
         |---|--:|--:|--:|--:|--:|---|"
    );
    let mut above = Vec::new();
    for (case, counts) in cases.iter().zip(counts) {
        if case.is_floor() {
            continue;
        }
        let ceiling = ceiling_of(case.name)?;
        let floor = floor_of(cases, case);
        let moved = measured_of(floor) as f64 / ceiling_of(floor)?.instructions as f64;
        let limit = (ceiling.instructions as f64 * moved) as u64;
        let holds = counts.instructions <= limit && counts.allocations <= ceiling.allocations;
        println!(
            "| {} | {} | {limit} | {} | {} | {:.2} × | {} |",
            case.name,
            counts.instructions,
            counts.allocations,
            ceiling.allocations,
            counts.instructions as f64 / measured_of(floor) as f64,
            if holds { "" } else { "**above**" },
        );
        if !holds {
            above.push(case.name);
        }
    }
    if above.is_empty() {
        return Ok(());
    }
    Err(format!("costs more than it may: {}", above.join(", ")).into())
}

/// Returns the floor of a case. A layer may be compared with another layer.
fn floor_of(cases: &[Case], case: &Case) -> &'static str {
    let found = cases.iter().find(|it| it.name == case.against);
    match found {
        Some(against) if !against.is_floor() => floor_of(cases, against),
        _ => case.against,
    }
}

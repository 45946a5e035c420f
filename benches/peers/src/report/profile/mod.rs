//! The instructions of a create in client, runtime and connection, by crate.

mod callgrind;
mod origin;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process,
};

use bench_peers::{Endpoints, Error, PeerKind, Protocol};

use crate::counts::Calls;

const CALLS: u64 = 300;

/// Instructions by origin.
type Profile = BTreeMap<&'static str, i64>;

struct Column {
    peer: PeerKind,
    profile: Profile,
    misses: u64,
}

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    println!(
        "An inlined line counts for the crate that contains it: hyper's use of a `Vec` is partly std's. \
         Cache misses are those of a simulated L1 cache of this processor's size."
    );
    let folder = TempDir::new()?;
    for protocol in [Protocol::Http1, Protocol::Http1Tls] {
        let columns = PeerKind::measured()
            .map(|peer| {
                let calls = Calls::new("create", peer, protocol, endpoints);
                Ok(Column {
                    peer,
                    profile: of_call(calls, &folder.0)?,
                    misses: calls.instruction_misses(CALLS)?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        print!("\n{}", table(protocol, &columns)?);
    }
    Ok(())
}

/// Takes the difference of a long and a short run, so that setup does not count.
fn of_call(calls: Calls<'_>, folder: &Path) -> Result<Profile, Error> {
    let file = folder.join("callgrind.out");
    let run = |number| -> Result<Profile, Error> {
        let counted = calls.profile(number, &file)?;
        of_run(&fs::read_to_string(&file)?, counted)
    };
    let (mut profile, shorter) = (run(2 * CALLS)?, run(CALLS)?);
    for (origin, instructions) in shorter {
        *profile.entry(origin).or_default() -= instructions;
    }
    for instructions in profile.values_mut() {
        *instructions = (*instructions as f64 / CALLS as f64).round() as i64;
    }
    Ok(profile)
}

/// Reads the file of a run with `counted` instructions.
fn of_run(text: &str, counted: u64) -> Result<Profile, Error> {
    let mut profile = Profile::new();
    let mut sum = 0;
    for cost in callgrind::costs(text)? {
        let origin = origin::of(cost.file, cost.function);
        *profile.entry(origin).or_default() += i64::try_from(cost.instructions)?;
        sum += cost.instructions;
    }
    if sum.abs_diff(counted) > counted / 100 {
        return Err(format!("callgrind counted {counted} instructions, but lists {sum}").into());
    }
    Ok(profile)
}

/// Returns a column for each peer and a row for each origin, sorted by the first column.
fn table(protocol: Protocol, columns: &[Column]) -> Result<String, Error> {
    let figures = |origin| -> Vec<i64> {
        let of = |it: &Column| it.profile.get(origin).copied().unwrap_or(0);
        columns.iter().map(of).collect()
    };
    let origins: BTreeSet<_> = columns.iter().flat_map(|it| it.profile.keys()).collect();
    let mut rows: Vec<_> = origins
        .into_iter()
        .map(|origin| (figures(origin), *origin))
        .filter(|(figures, _)| figures.iter().any(|it| *it != 0))
        .collect();
    rows.sort_unstable_by(|one, other| other.cmp(one));
    let sums = columns.iter().map(|it| it.profile.values().sum());
    rows.push((sums.collect(), "sum"));
    let misses = columns.iter().map(|it| i64::try_from(it.misses));
    rows.push((misses.collect::<Result<_, _>>()?, "cache misses"));

    let mut table = format!("| {protocol} |");
    for column in columns {
        write!(table, " {} |", column.peer)?;
    }
    write!(table, "\n|---|{}", "--:|".repeat(columns.len()))?;
    for (figures, origin) in rows {
        write!(table, "\n| {origin} |")?;
        for figure in figures {
            write!(table, " {figure} |")?;
        }
    }
    table.push('\n');
    Ok(table)
}

/// Removed on drop.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Result<Self, Error> {
        let path = env::temp_dir().join(format!("bench_peers.{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fl=(1) /rustc/5980/library/core/src/str/mod.rs\nfn=(1) f\n1 60\nfl=(2) ???\n\
                        fn=(2) malloc\n0 40\n";

    #[test]
    fn sum_that_differs_from_the_count_is_an_error() {
        let profile = of_run(TEXT, 101).unwrap();
        assert_eq!(profile.values().sum::<i64>(), 100);
        assert!(of_run(TEXT, 200).is_err());
        assert!(of_run("", 200).is_err());
    }

    #[test]
    fn rows_are_sorted_by_the_first_column_and_end_with_the_sum() {
        let column = |peer, misses, profile| Column {
            peer,
            profile: Profile::from(profile),
            misses,
        };
        let columns = [
            column(PeerKind::Ours, 3, [("bytes", 5), ("std", 7), ("h2", 0)]),
            column(
                PeerKind::Reqwest,
                4,
                [("std", 1), ("reqwest", 9), ("h2", 0)],
            ),
        ];
        let expected = "| HTTP/1.1 | clerk-actor-tokens | reqwest |\n|---|--:|--:|\n| std | 7 | 1 |\n\
                        | bytes | 5 | 0 |\n| reqwest | 0 | 9 |\n| sum | 12 | 10 |\n\
                        | cache misses | 3 | 4 |\n";
        assert_eq!(table(Protocol::Http1, &columns).unwrap(), expected);
    }
}

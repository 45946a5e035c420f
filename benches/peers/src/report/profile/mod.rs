//! Where the instructions of a create are spent: those of client, runtime and connection together, by
//! whose code they are.

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

use crate::counts;

const CALLS: u64 = 300;

/// Instructions by whose code they are.
type Profile = BTreeMap<&'static str, i64>;

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    println!(
        "An instruction counts where its line was written, wherever that was inlined: what hyper does \
         with a `Vec` is partly std's."
    );
    let folder = Folder::new()?;
    for protocol in [Protocol::Http1, Protocol::Http1Tls] {
        let profiles = PeerKind::counted(protocol)
            .map(|peer| Ok((peer, of_call(peer, protocol, endpoints, &folder.0)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        print!("\n{}", table(protocol, &profiles)?);
    }
    Ok(())
}

/// The difference between two runs of different length, so that beginning and end do not count.
fn of_call(
    peer: PeerKind,
    protocol: Protocol,
    endpoints: &Endpoints,
    folder: &Path,
) -> Result<Profile, Error> {
    let file = folder.join("callgrind.out");
    let run = |calls| -> Result<Profile, Error> {
        let counted = counts::run("create", peer, protocol, calls, endpoints, &file)?;
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

/// What callgrind wrote of a run, in which it `counted` so many instructions.
fn of_run(text: &str, counted: u64) -> Result<Profile, Error> {
    let mut profile = Profile::new();
    let mut sum = 0;
    for cost in callgrind::costs(text)? {
        let origin = origin::of(cost.file, cost.function);
        *profile.entry(origin).or_default() += i64::try_from(cost.instructions)?;
        sum += cost.instructions;
    }
    if sum.abs_diff(counted) > counted / 100 {
        return Err(format!("callgrind counted {counted} instructions, and lists {sum}").into());
    }
    Ok(profile)
}

/// A column for each peer, and a row for each origin, by the figures of the first peer.
fn table(protocol: Protocol, profiles: &[(PeerKind, Profile)]) -> Result<String, Error> {
    let figures = |origin| -> Vec<i64> {
        let of = |(_, profile): &(PeerKind, Profile)| profile.get(origin).copied().unwrap_or(0);
        profiles.iter().map(of).collect()
    };
    let origins: BTreeSet<_> = profiles.iter().flat_map(|(_, it)| it.keys()).collect();
    let mut rows: Vec<_> = origins
        .into_iter()
        .map(|origin| (figures(origin), *origin))
        .filter(|(figures, _)| figures.iter().any(|it| *it != 0))
        .collect();
    rows.sort_unstable_by(|one, other| other.cmp(one));
    rows.push((
        profiles.iter().map(|(_, it)| it.values().sum()).collect(),
        "sum",
    ));

    let mut table = format!("| {protocol} |");
    for (peer, _) in profiles {
        write!(table, " {peer} |")?;
    }
    write!(table, "\n|---|{}", "--:|".repeat(profiles.len()))?;
    for (figures, origin) in rows {
        write!(table, "\n| {origin} |")?;
        for figure in figures {
            write!(table, " {figure} |")?;
        }
    }
    table.push('\n');
    Ok(table)
}

/// A folder that ends with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Error> {
        let path = env::temp_dir().join(format!("bench_peers.{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
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
    fn what_a_file_lists_must_be_what_was_counted() {
        let profile = of_run(TEXT, 101).unwrap();
        assert_eq!(profile.values().sum::<i64>(), 100);
        assert!(of_run(TEXT, 200).is_err());
        assert!(of_run("", 200).is_err());
    }

    #[test]
    fn rows_go_by_the_first_column_and_end_with_the_sum() {
        let profiles = [
            (
                PeerKind::Ours,
                Profile::from([("bytes", 5), ("std", 7), ("h2", 0)]),
            ),
            (
                PeerKind::Reqwest,
                Profile::from([("std", 1), ("reqwest", 9), ("h2", 0)]),
            ),
        ];
        let expected = "| HTTP/1.1 | clerk-actor-tokens | reqwest |\n|---|--:|--:|\n| std | 7 | 1 |\n\
                        | bytes | 5 | 0 |\n| reqwest | 0 | 9 |\n| sum | 12 | 10 |\n";
        assert_eq!(table(Protocol::Http1, &profiles).unwrap(), expected);
    }
}

//! Instructions and allocations of a call: of client, runtime and connection together, one call after
//! the other.

use std::{env, path::Path, process::Command};

use bench_peers::{Endpoints, Error, PROTOCOLS, PeerKind, Protocol};

const CALLS: u64 = 300;

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    println!(
        "| | | instructions | of hyper-util | allocations | bytes |\n|---|---|--:|--:|--:|--:|"
    );
    for protocol in PROTOCOLS {
        let floor = instructions("create", PeerKind::HandWritten, protocol, CALLS, endpoints)?;
        for peer in PeerKind::measured() {
            let own = instructions("create", peer, protocol, CALLS, endpoints)?;
            let (allocations, bytes) = allocations(peer, protocol, endpoints)?;
            let ratio = own as f64 / floor as f64;
            println!("| {protocol} | {peer} | {own} | {ratio:.2} × | {allocations} | {bytes} |");
        }
    }
    Ok(())
}

/// The difference between two runs of different length, so that beginning and end do not count.
pub(crate) fn instructions(
    what: &str,
    peer: PeerKind,
    protocol: Protocol,
    calls: u64,
    endpoints: &Endpoints,
) -> Result<u64, Error> {
    let nowhere = Path::new("/dev/null");
    let run = |calls| run(what, peer, protocol, calls, endpoints, nowhere);
    Ok((run(2 * calls)? - run(calls)?) / calls)
}

/// The instructions of a whole run; callgrind writes to the file where they were spent.
pub(crate) fn run(
    what: &str,
    peer: PeerKind,
    protocol: Protocol,
    calls: u64,
    endpoints: &Endpoints,
    file: &Path,
) -> Result<u64, Error> {
    let options = [&*format!("--callgrind-out-file={}", file.display())];
    let collected = collected(&options, what, peer, protocol, calls, endpoints)?;
    Ok(collected[0])
}

/// The reads of instructions that miss a simulated first cache of the size of this machine's.
pub(crate) fn instruction_misses(
    peer: PeerKind,
    protocol: Protocol,
    calls: u64,
    endpoints: &Endpoints,
) -> Result<u64, Error> {
    let options = ["--cache-sim=yes", "--callgrind-out-file=/dev/null"];
    let run = |calls| -> Result<u64, Error> {
        let collected = collected(&options, "create", peer, protocol, calls, endpoints)?;
        // Of instructions, data read, and data written there are first the accesses, then the misses.
        collected
            .get(3)
            .copied()
            .ok_or_else(|| "no simulated cache".into())
    };
    Ok((run(2 * calls)? - run(calls)?) / calls)
}

/// What callgrind counted of a whole run, instructions first.
fn collected(
    options: &[&str],
    what: &str,
    peer: PeerKind,
    protocol: Protocol,
    calls: u64,
    endpoints: &Endpoints,
) -> Result<Vec<u64>, Error> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .args(options)
        .arg(env::current_exe()?.with_file_name("call"))
        .args([what, &peer.to_string(), &protocol.to_string()])
        .args([calls.to_string(), endpoints.to_string()])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, counts)| {
            counts
                .split_whitespace()
                .map(|it| it.parse().ok())
                .collect()
        });
    match collected {
        Some(counts) if output.status.success() => Ok(counts),
        _ => Err(format!("{what} failed under valgrind, {peer} over {protocol}").into()),
    }
}

/// The number of allocations, and their bytes.
pub(crate) fn allocations(
    peer: PeerKind,
    protocol: Protocol,
    endpoints: &Endpoints,
) -> Result<(u64, u64), Error> {
    let output = Command::new(env::current_exe()?.with_file_name("allocations"))
        .args([
            peer.to_string(),
            protocol.to_string(),
            endpoints.to_string(),
        ])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (allocations, bytes) = text.trim().split_once(' ').ok_or("no allocations")?;
    Ok((allocations.parse()?, bytes.parse()?))
}

//! Instructions and allocations of a call in client, runtime and connection. Calls are sequential.

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

/// Takes the difference of a long and a short run, so that setup does not count.
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

/// Returns the instructions of a run. callgrind writes its profile to `file`.
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

/// Returns the instruction reads that miss a simulated L1 cache of this machine's size.
pub(crate) fn instruction_misses(
    peer: PeerKind,
    protocol: Protocol,
    calls: u64,
    endpoints: &Endpoints,
) -> Result<u64, Error> {
    let options = ["--cache-sim=yes", "--callgrind-out-file=/dev/null"];
    let run = |calls| -> Result<u64, Error> {
        let collected = collected(&options, "create", peer, protocol, calls, endpoints)?;
        // First the accesses, then the L1 misses: of instructions, data reads, data writes.
        collected
            .get(3)
            .copied()
            .ok_or_else(|| "no simulated cache".into())
    };
    Ok((run(2 * calls)? - run(calls)?) / calls)
}

/// Returns the counters of callgrind for a run, instructions first.
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

/// Returns the allocations of a call and their bytes.
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

//! Instructions and allocations of a call in client, runtime and connection. Calls are sequential.

use std::{env, path::Path, process::Command};

use bench_peers::{Endpoints, Error, PROTOCOLS, PeerKind, Protocol};

const CALLS: u64 = 300;

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    println!(
        "| | | instructions | of hyper-util | allocations | bytes |\n|---|---|--:|--:|--:|--:|"
    );
    for protocol in PROTOCOLS {
        let calls = |peer| Calls::new("create", peer, protocol, endpoints);
        let floor = calls(PeerKind::HandWritten).instructions(CALLS)?;
        for peer in PeerKind::measured() {
            let own = calls(peer).instructions(CALLS)?;
            let (allocations, bytes) = calls(peer).allocations()?;
            let ratio = own as f64 / floor as f64;
            println!("| {protocol} | {peer} | {own} | {ratio:.2} × | {allocations} | {bytes} |");
        }
    }
    Ok(())
}

/// Calls of a peer, counted in a separate process.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    operation: &'a str,
    peer: PeerKind,
    protocol: Protocol,
    endpoints: &'a Endpoints,
}

impl<'a> Calls<'a> {
    pub(crate) fn new(
        operation: &'a str,
        peer: PeerKind,
        protocol: Protocol,
        endpoints: &'a Endpoints,
    ) -> Self {
        Self {
            operation,
            peer,
            protocol,
            endpoints,
        }
    }

    /// Returns the instructions of a call.
    pub(crate) fn instructions(self, calls: u64) -> Result<u64, Error> {
        difference(calls, |calls| self.profile(calls, Path::new("/dev/null")))
    }

    /// Returns the instruction reads of a call that miss a simulated L1 cache of this machine's size.
    pub(crate) fn instruction_misses(self, calls: u64) -> Result<u64, Error> {
        let options = ["--cache-sim=yes", "--callgrind-out-file=/dev/null"];
        difference(calls, |calls| {
            // First the accesses, then the L1 misses: of instructions, data reads, data writes.
            let counters = self.counters(&options, calls)?;
            Ok(*counters.get(3).ok_or("no simulated cache")?)
        })
    }

    /// Returns the instructions of a run. callgrind writes its profile to `file`.
    pub(crate) fn profile(self, calls: u64, file: &Path) -> Result<u64, Error> {
        let option = format!("--callgrind-out-file={}", file.display());
        Ok(self.counters(&[&option], calls)?[0])
    }

    /// Returns the counters of callgrind for a run, instructions first.
    fn counters(self, options: &[&str], calls: u64) -> Result<Vec<u64>, Error> {
        let (peer, protocol) = (self.peer.to_string(), self.protocol.to_string());
        let output = Command::new("valgrind")
            .arg("--tool=callgrind")
            .args(options)
            .arg(env::current_exe()?.with_file_name("call"))
            .args([self.operation, &peer, &protocol])
            .args([calls.to_string(), self.endpoints.to_string()])
            .output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        let line = log.lines().find_map(|line| line.split_once("Collected : "));
        let counters: Option<Vec<_>> = line.and_then(|(_, counts)| {
            let counts = counts.split_whitespace();
            counts.map(|it| it.parse().ok()).collect()
        });
        counters
            .filter(|counters| output.status.success() && !counters.is_empty())
            .ok_or_else(|| format!("a call of {peer} over {protocol} failed under valgrind").into())
    }

    /// Returns the allocations of a call and their bytes.
    pub(crate) fn allocations(self) -> Result<(u64, u64), Error> {
        let output = Command::new(env::current_exe()?.with_file_name("allocations"))
            .args([self.peer.to_string(), self.protocol.to_string()])
            .arg(self.endpoints.to_string())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let (allocations, bytes) = text.trim().split_once(' ').ok_or("no allocations")?;
        Ok((allocations.parse()?, bytes.parse()?))
    }
}

/// Takes the difference of a long and a short run, so that setup does not count.
fn difference(calls: u64, run: impl Fn(u64) -> Result<u64, Error>) -> Result<u64, Error> {
    Ok((run(2 * calls)? - run(calls)?) / calls)
}

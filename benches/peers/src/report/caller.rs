//! The clients that are measured in turns.

use bench_peers::{Endpoints, Error, PeerKind, Protocol, Round, Rounds};

/// Few, so that the turns are short and the load of the machine is the same for all.
const CALLS: usize = 4096;
const CALLS_ALONE: usize = 1024;
const CALLS_OF_PYTHON: usize = 256;

pub(crate) const PYTHON_SDK: &str = "Clerk's Python SDK";

pub(crate) struct Caller {
    pub(crate) name: &'static str,
    rounds: Rounds,
}

impl Caller {
    /// Returns all peers and floors, and Clerk's Python SDK if it is installed.
    pub(crate) fn all(endpoints: &Endpoints, protocol: Protocol) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for kind in PeerKind::measured() {
            let (name, rounds) = (kind.name(), Rounds::of_peer(kind, protocol, endpoints)?);
            all.push(Self { name, rounds });
        }
        all.extend(
            Rounds::of_python_sdk(protocol, endpoints)?.map(|rounds| Self {
                name: PYTHON_SDK,
                rounds,
            }),
        );
        Ok(all)
    }

    /// Returns whether it takes part only in the first round.
    pub(crate) fn is_slow(&self) -> bool {
        self.name == PYTHON_SDK
    }

    pub(crate) fn round(&mut self, in_flight: usize) -> Result<Round, Error> {
        let calls = match in_flight {
            _ if self.is_slow() => CALLS_OF_PYTHON,
            1 => CALLS_ALONE,
            _ => CALLS,
        };
        self.rounds.next(in_flight, calls)
    }
}

//! [`Caller`], one of those that take turns.

use bench_peers::{Endpoints, Error, PeerKind, Protocol, Round, Rounds};

/// Few, for peers that take turns often meet the same machine.
const CALLS: usize = 4096;
const CALLS_ALONE: usize = 1024;
const CALLS_OF_PYTHON: usize = 256;

pub(crate) const PYTHON_SDK: &str = "Clerk's Python SDK";

pub(crate) struct Caller {
    pub(crate) name: &'static str,
    rounds: Rounds,
}

impl Caller {
    /// All that is measured, and Clerk's Python SDK where it is there.
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

    /// Whether its rounds take so long that it has one only where others have several.
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

//! [`Caller`], one of those that take turns.

use std::sync::Arc;

use bench_peers::{Endpoints, Error, PEERS, Peer, PeerKind, Protocol, PythonSdk, Round};

/// Few, for peers that take turns often meet the same machine.
const CALLS: usize = 4096;
const CALLS_ALONE: usize = 1024;
const CALLS_OF_PYTHON: usize = 256;

pub(crate) enum Caller {
    Peer(PeerKind, Arc<Peer>),
    PythonSdk(PythonSdk),
}

impl Caller {
    /// The peers, and Clerk's Python SDK where it is there.
    pub(crate) fn all(endpoints: &Endpoints, protocol: Protocol) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for kind in PEERS {
            let peer = Peer::new(kind, endpoints, protocol)?;
            all.push(Self::Peer(kind, Arc::new(peer)));
        }
        all.extend(PythonSdk::start(endpoints, protocol)?.map(Self::PythonSdk));
        Ok(all)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Peer(kind, _) => kind.name(),
            Self::PythonSdk(_) => PythonSdk::NAME,
        }
    }

    pub(crate) async fn round(&mut self, in_flight: usize) -> Result<Round, Error> {
        match self {
            Self::Peer(_, peer) if in_flight == 1 => Round::of(peer, 1, CALLS_ALONE).await,
            Self::Peer(_, peer) => Round::of(peer, in_flight, CALLS).await,
            Self::PythonSdk(sdk) => sdk.round(in_flight, CALLS_OF_PYTHON),
        }
    }
}

//! Building a client, and its first call, which connects.

use bench_peers::{Endpoints, Error, PEERS, Peer, PeerKind, Protocol, runtime};
use tokio::time::Instant;

use crate::{
    counts::Calls,
    loopback::{median, micros},
};

const ROUNDS: usize = 101;
const CALLS: u64 = 20;

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    let protocol = Protocol::Http1Tls;
    println!(
        "| | building, µs | instructions | building and first call over TLS, µs | instructions |\n\
         |---|--:|--:|--:|--:|"
    );
    let mut times = [const { (Vec::new(), Vec::new()) }; PEERS.len()];
    runtime().block_on(async {
        for _ in 0..ROUNDS {
            for (peer, (build, first)) in PEERS.into_iter().zip(&mut times) {
                let begun = Instant::now();
                let client = Peer::new(peer, endpoints, protocol)?;
                build.push(micros(begun.elapsed()));
                client.create().await?;
                first.push(micros(begun.elapsed()));
            }
        }
        Ok::<_, Error>(())
    })?;
    for (peer, (build, first)) in PEERS.into_iter().zip(times) {
        let counted = |what| Calls::new(what, peer, protocol, endpoints).instructions(CALLS);
        println!(
            "| {peer}{} | {:.0} | {} | {:.0} | {} |",
            // The others trust only the server's certificate.
            if peer == PeerKind::Ours {
                ", with webpki's roots"
            } else {
                ""
            },
            median(build.into_iter()),
            counted("build")?,
            median(first.into_iter()),
            counted("first")?,
        );
    }
    Ok(())
}

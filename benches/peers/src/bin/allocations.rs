//! Prints the allocations of a call and their bytes, in client, runtime and connection.
//!
//! ```text
//! allocations <peer> <protocol> <endpoints>
//! ```

#[allow(dead_code, reason = "bytes in use are not measured")]
#[path = "../../../in_memory/src/report/allocator.rs"]
mod allocator;

use bench_peers::{Endpoints, Error, Peer, PeerKind, Protocol, runtime};

use self::allocator::{Allocated, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: u64 = 1000;

fn main() -> Result<(), Error> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [kind, protocol, endpoints] = &args[..] else {
        return Err("usage: allocations <peer> <protocol> <endpoints>".into());
    };
    let (kind, protocol): (PeerKind, Protocol) = (kind.parse()?, protocol.parse()?);
    let endpoints: Endpoints = endpoints.parse()?;
    let runtime = runtime();
    runtime.block_on(async {
        let peer = Peer::new(kind, &endpoints, protocol)?;
        for _ in 0..CALLS {
            peer.create().await?;
        }
        let before = Allocated::so_far();
        for _ in 0..CALLS {
            peer.create().await?;
        }
        let after = Allocated::so_far();
        println!(
            "{} {}",
            (after.allocations - before.allocations) / CALLS,
            (after.bytes - before.bytes) / CALLS
        );
        Ok(())
    })
}

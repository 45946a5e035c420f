//! Makes a number of calls in sequence, for callgrind.
//!
//! ```text
//! call <create|build|first> <peer> <protocol> <calls> <endpoints>
//! ```

use bench_peers::{Endpoints, Error, Peer, PeerKind, Protocol, runtime};

fn main() -> Result<(), Error> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [what, kind, protocol, calls, endpoints] = &args[..] else {
        return Err(
            "usage: call <create|build|first> <peer> <protocol> <calls> <endpoints>".into(),
        );
    };
    let (kind, protocol): (PeerKind, Protocol) = (kind.parse()?, protocol.parse()?);
    let (calls, endpoints): (u64, Endpoints) = (calls.parse()?, endpoints.parse()?);
    let runtime = runtime();
    runtime.block_on(async {
        match what.as_str() {
            "create" => {
                let peer = Peer::new(kind, &endpoints, protocol)?;
                for _ in 0..calls {
                    peer.create().await?;
                }
            }
            "build" => {
                for _ in 0..calls {
                    Peer::new(kind, &endpoints, protocol)?;
                }
            }
            "first" => {
                for _ in 0..calls {
                    Peer::new(kind, &endpoints, protocol)?.create().await?;
                }
            }
            _ => return Err(format!("unknown operation {what}").into()),
        }
        Ok(())
    })
}

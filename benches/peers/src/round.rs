//! A round of concurrent calls.

use std::{sync::Arc, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::{Error, Peer};

/// The times of a round.
pub struct Round {
    pub wall: Duration,
    /// CPU time of the client.
    pub processor: Duration,
    pub latencies: Vec<Duration>,
}

impl Round {
    pub async fn of(peer: &Arc<Peer>, in_flight: usize, calls: usize) -> Result<Self, Error> {
        let (begun, processor) = (Instant::now(), processor_time());
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let peer = Arc::clone(peer);
                tokio::spawn(async move {
                    let calls = calls / in_flight;
                    let mut latencies = Vec::with_capacity(calls);
                    for _ in 0..calls {
                        let begun = Instant::now();
                        peer.create().await?;
                        latencies.push(begun.elapsed());
                    }
                    Ok::<_, Error>(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::with_capacity(calls);
        for task in tasks {
            latencies.extend(task.await??);
        }
        Ok(Self {
            wall: begun.elapsed(),
            processor: processor_time() - processor,
            latencies,
        })
    }
}

/// Returns the CPU time of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

//! Throughput, latency and processor time of concurrent calls. The peers take turns, so that what else
//! the machine does falls on all of them, and ratios are medians of the ratios of their rounds.

use std::{sync::Arc, time::Duration};

use bench_peers::{Endpoints, Error, PEERS, PROTOCOLS, Peer, PeerKind, Protocol, runtime};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

const ROUNDS: usize = 9;
const CALLS_A_ROUND: usize = 2048;
pub(crate) const CONCURRENCY: [usize; 4] = [1, 16, 64, 256];

/// One round of one peer.
struct Round {
    wall: Duration,
    processor: Duration,
    latencies: Vec<Duration>,
}

/// All rounds of one peer.
pub(crate) struct Figures {
    pub(crate) peer: PeerKind,
    /// Calls a second.
    pub(crate) throughput: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Of the client's process, for a call.
    pub(crate) processor: Duration,
    /// Throughput and processor time of the rounds.
    rounds: Vec<(f64, f64)>,
}

pub(crate) fn print(endpoints: &Endpoints) -> Result<(), Error> {
    println!(
        "| | in flight | | calls/s | of hyper-util | p50 µs | p99 µs | CPU µs/call | of hyper-util |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|"
    );
    for protocol in PROTOCOLS {
        for concurrency in CONCURRENCY {
            let figures = measure(endpoints, protocol, concurrency)?;
            let floor = figures.iter().find(|it| it.peer == PeerKind::HandWritten);
            for it in &figures {
                let (throughput, processor) =
                    floor.map_or((f64::NAN, f64::NAN), |floor| it.ratios_to(floor));
                println!(
                    "| {protocol} | {concurrency} | {} | {:.0} | {throughput:.2} × | {:.0} | {:.0} | {:.1} | {processor:.2} × |",
                    it.peer,
                    it.throughput,
                    micros(it.p50),
                    micros(it.p99),
                    micros(it.processor),
                );
            }
        }
    }
    Ok(())
}

impl Figures {
    fn new(peer: PeerKind, rounds: &[Round]) -> Self {
        let mut latencies: Vec<_> = rounds.iter().flat_map(|it| &it.latencies).collect();
        latencies.sort_unstable();
        let percentile = |percent: usize| *latencies[(latencies.len() - 1) * percent / 100];
        let figures: Vec<_> = rounds
            .iter()
            .map(|round| {
                let calls = round.latencies.len() as f64;
                let processor = round.processor.as_secs_f64() / calls;
                (calls / round.wall.as_secs_f64(), processor)
            })
            .collect();
        Self {
            peer,
            throughput: median(figures.iter().map(|it| it.0)),
            p50: percentile(50),
            p99: percentile(99),
            processor: Duration::from_secs_f64(median(figures.iter().map(|it| it.1))),
            rounds: figures,
        }
    }

    /// Throughput and processor time as multiples of another peer's in the same rounds.
    pub(crate) fn ratios_to(&self, other: &Self) -> (f64, f64) {
        let both = || self.rounds.iter().zip(&other.rounds);
        (
            median(both().map(|(own, other)| own.0 / other.0)),
            median(both().map(|(own, other)| own.1 / other.1)),
        )
    }
}

pub(crate) fn measure(
    endpoints: &Endpoints,
    protocol: Protocol,
    concurrency: usize,
) -> Result<Vec<Figures>, Error> {
    let runtime = runtime();
    runtime.block_on(async {
        let mut peers = Vec::new();
        for kind in PEERS {
            let peer = Arc::new(Peer::new(kind, endpoints, protocol)?);
            // Connects, and fills caches.
            round(&peer, concurrency).await?;
            peers.push((kind, peer, Vec::new()));
        }
        for turn in 0..ROUNDS {
            for at in 0..peers.len() {
                // Each peer is first as often as last.
                let at = (at + turn) % peers.len();
                let (_, peer, rounds) = &mut peers[at];
                rounds.push(round(peer, concurrency).await?);
            }
        }
        Ok(peers
            .iter()
            .map(|(kind, _, rounds)| Figures::new(*kind, rounds))
            .collect())
    })
}

async fn round(peer: &Arc<Peer>, concurrency: usize) -> Result<Round, Error> {
    let (begun, processor) = (Instant::now(), processor_time());
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let peer = Arc::clone(peer);
            tokio::spawn(async move {
                let calls = CALLS_A_ROUND / concurrency;
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
    let mut latencies = Vec::with_capacity(CALLS_A_ROUND);
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(Round {
        wall: begun.elapsed(),
        processor: processor_time() - processor,
        latencies,
    })
}

/// What this process has used of the processors.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

//! Throughput, latency and CPU time of concurrent calls.
//!
//! The callers are processes that take turns, so that other load affects all of them. Figures are medians
//! of rounds, and ratios are medians of the ratios of rounds. The memory layout of a process changes its
//! speed by 1 or 2 %, so each caller is started several times.

use std::{cmp::Ordering, time::Duration};

use bench_peers::{Endpoints, Error, PROTOCOLS, PeerKind, Protocol, Round};

use crate::caller::Caller;

/// Starts of each caller.
const PROCESSES: usize = 7;
/// Rounds of each process.
const ROUNDS: usize = 9;
pub(crate) const CONCURRENCY: [usize; 4] = [1, 16, 64, 256];

/// The results of one caller.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    /// Calls a second.
    pub(crate) throughput: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// CPU time of the client for a call.
    pub(crate) processor: Duration,
    /// Throughput and CPU time of its rounds.
    rounds: Vec<Option<(f64, f64)>>,
}

pub(crate) fn print(endpoints: &Endpoints, concurrency: &[usize]) -> Result<(), Error> {
    println!(
        "| | in flight | | calls/s | of hyper-util | p50 µs | p99 µs | CPU µs/call | of hyper-util |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|"
    );
    let mut comparisons = Vec::new();
    for protocol in PROTOCOLS {
        for &concurrency in concurrency {
            let figures = measure(endpoints, protocol, concurrency)?;
            let of = |kind: PeerKind| figures.iter().find(|it| it.name == kind.name());
            let floor = of(PeerKind::HandWritten).ok_or("no floor")?;
            for it in &figures {
                let (throughput, processor) = it.ratios_to(floor);
                println!(
                    "| {protocol} | {concurrency} | {} | {:.0} | {throughput:.2} × | {:.0} | {:.0} | {:.1} | {processor:.2} × |",
                    it.name,
                    it.throughput,
                    micros(it.p50),
                    micros(it.p99),
                    micros(it.processor),
                );
            }
            let ours = of(PeerKind::Ours).ok_or("no result of this crate")?;
            let others = figures.iter().filter(|it| it.name != ours.name);
            let ratios: Vec<_> = others.map(|it| (it.name, ours.ratios_to(it))).collect();
            comparisons.push((protocol, concurrency, ratios));
        }
    }
    println!(
        "\n| {}, of | | in flight | calls/s | CPU/call |\n|---|---|--:|--:|--:|",
        PeerKind::Ours
    );
    for (protocol, concurrency, ratios) in comparisons {
        for (name, (throughput, processor)) in ratios {
            // Large ratios have no meaningful decimals.
            let (digits, more) = if throughput < 10.0 { (2, 2) } else { (0, 4) };
            println!(
                "| {name} | {protocol} | {concurrency} | {throughput:.digits$} × | {processor:.more$} × |"
            );
        }
    }
    Ok(())
}

impl Figures {
    fn new(name: &'static str, rounds: &[Option<Round>]) -> Self {
        // Per round, because a round under other load has most of the long latencies.
        let percentile = |percent: usize| {
            median(rounds.iter().flatten().map(|round| {
                let mut latencies = round.latencies.clone();
                latencies.sort_unstable();
                latencies[(latencies.len() - 1) * percent / 100]
            }))
        };
        let figures = |round: &Round| {
            let calls = round.latencies.len() as f64;
            let processor = round.processor.as_secs_f64() / calls;
            (calls / round.wall.as_secs_f64(), processor)
        };
        let figures: Vec<_> = rounds
            .iter()
            .map(|round| round.as_ref().map(figures))
            .collect();
        let known = || figures.iter().flatten();
        Self {
            name,
            throughput: median(known().map(|it| it.0)),
            p50: percentile(50),
            p99: percentile(99),
            processor: Duration::from_secs_f64(median(known().map(|it| it.1))),
            rounds: figures,
        }
    }

    /// Returns throughput and CPU time as multiples of another caller's in the same rounds.
    pub(crate) fn ratios_to(&self, other: &Self) -> (f64, f64) {
        let both = || {
            let both = self.rounds.iter().zip(&other.rounds);
            both.filter_map(|(own, other)| Some(((*own)?, (*other)?)))
        };
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
    let mut all: Vec<(&'static str, Vec<Option<Round>>)> = Vec::new();
    for _ in 0..PROCESSES {
        let mut callers = Caller::all(endpoints, protocol)?;
        for caller in &mut callers {
            // Warms up.
            caller.round(concurrency)?;
        }
        if all.is_empty() {
            all.extend(callers.iter().map(|caller| (caller.name, Vec::new())));
        }
        for turn in 0..ROUNDS {
            for at in 0..callers.len() {
                // The order rotates.
                let at = (at + turn) % callers.len();
                let caller = &mut callers[at];
                let takes_part = turn == 0 || !caller.is_slow();
                let round = takes_part.then(|| caller.round(concurrency));
                all[at].1.push(round.transpose()?);
                if takes_part && caller.is_slow() {
                    // Not counted. Warms the server up after a long, slow round.
                    callers[0].round(concurrency)?;
                }
            }
        }
    }
    Ok(all
        .into_iter()
        .map(|(name, rounds)| Figures::new(name, &rounds))
        .collect())
}

pub(crate) fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    values[values.len() / 2]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

//! The scripts decide exactly as the store in memory does.

use std::{cell::RefCell, time::Duration};

use clerk_actor_tokens_policy::{
    MemoryRateLimitStore, RateLimitStore,
    rate_limit::{Cell, Taken},
};
use futures_util::FutureExt;
use proptest::prelude::*;
use redis::{Connection, Script};
use tokio::{
    runtime::Builder,
    time::{Instant, advance},
};

use crate::{
    scripts::{set_clock, with_test_clock},
    server::Server,
};

/// Long enough that no key expires by the real clock while a program runs.
const UNIT: Duration = Duration::from_secs(1000);

const CELLS: [(&str, u32, u32); 3] = [("actor", 2, 3), ("subject", 5, 1), ("global", 1, 7)];

#[derive(Clone, Debug)]
enum Step {
    /// Takes units of the cells whose bit is set.
    Take(u8),
    GiveBack(prop::sample::Index),
    /// The call ends, and keeps its units.
    Spend(prop::sample::Index),
    Advance(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..8_u8).prop_map(Step::Take),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Step::Spend),
        3 => (0..4_000_000_000_u64).prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
    ]
}

/// The scripts, as the store runs them.
struct Scripts {
    take: Script,
    give_back: Script,
    connection: Connection,
}

impl Scripts {
    fn new(server: &Server) -> Self {
        Self {
            take: with_test_clock(include_str!("../../src/rate_limit/take.lua")),
            give_back: with_test_clock(include_str!("../../src/rate_limit/give_back.lua")),
            connection: server.admin(),
        }
    }

    fn take(&mut self, cells: &[Cell<'_>]) -> (u8, u64, u64) {
        let mut script = self.take.prepare_invoke();
        for cell in cells {
            let interval = u64::try_from(cell.interval.as_micros()).unwrap();
            script
                .key(cell.key)
                .arg(interval)
                .arg(interval * u64::from(cell.burst));
        }
        script.invoke(&mut self.connection).unwrap()
    }

    fn give_back(&mut self, taken_at: u64, cells: &[Cell<'_>]) {
        let mut script = self.give_back.prepare_invoke();
        script.arg(taken_at);
        for cell in cells {
            script
                .key(cell.key)
                .arg(u64::try_from(cell.interval.as_micros()).unwrap());
        }
        script.invoke::<()>(&mut self.connection).unwrap();
    }
}

#[test]
fn scripts_decide_as_the_store_in_memory_for_any_program() {
    let server = Server::start();
    let scripts = RefCell::new(Scripts::new(&server));
    let config = ProptestConfig::with_cases(300);
    let programs = prop::collection::vec(step(), 1..80);
    proptest!(config, |(program in programs)| {
        let mut scripts = scripts.borrow_mut();
        redis::cmd("FLUSHALL").exec(&mut scripts.connection).unwrap();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(&mut scripts, program));
    });
}

async fn play(scripts: &mut Scripts, program: Vec<Step>) {
    let store = MemoryRateLimitStore::new();
    let begun = Instant::now();
    let mut receipts = Vec::new();
    for step in program {
        match step {
            Step::Take(bits) => {
                // Units that are taken in the same microsecond differ by one.
                advance(Duration::from_micros(1)).await;
                set_clock(&mut scripts.connection, begun.elapsed());
                let cells = CELLS
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| bits & (1 << n) != 0);
                let cells: Vec<_> = cells
                    .map(|(_, (key, units, burst))| Cell::new(key, UNIT * *units, *burst))
                    .collect();
                let expected = store.take(&cells).now_or_never().unwrap().unwrap();
                match (expected, scripts.take(&cells)) {
                    (Taken::Yes(receipt), (1, taken_at, 0)) => {
                        receipts.push((receipt, taken_at, cells));
                    }
                    (Taken::No { rule, retry_after }, decided) => {
                        let wait = u64::try_from(retry_after.as_micros()).unwrap();
                        assert_eq!(decided, (0, rule as u64, wait));
                    }
                    (Taken::Yes(_), refused) => panic!("refused: {refused:?}"),
                }
            }
            Step::GiveBack(index) if !receipts.is_empty() => {
                set_clock(&mut scripts.connection, begun.elapsed());
                let (receipt, taken_at, cells) = receipts.swap_remove(index.index(receipts.len()));
                store.give_back(receipt);
                scripts.give_back(taken_at, &cells);
            }
            Step::Spend(index) if !receipts.is_empty() => {
                receipts.swap_remove(index.index(receipts.len()));
            }
            Step::Advance(time) => advance(time).await,
            Step::GiveBack(_) | Step::Spend(_) => {}
        }
    }
}

#[test]
fn clock_set_back_keeps_no_call_waiting_for_longer_than_an_interval() {
    let server = Server::start();
    let mut connection = server.admin();
    let take = with_test_clock(include_str!("../../src/rate_limit/take.lua"));
    let mut take_at = |seconds| -> (u8, u64, u64) {
        set_clock(&mut connection, Duration::from_secs(seconds));
        let mut script = take.key("cell");
        script.arg(60_000_000_u64).arg(120_000_000_u64);
        script.invoke(&mut connection).unwrap()
    };
    assert_eq!([take_at(9000).0, take_at(9000).0], [1, 1]);
    assert_eq!(take_at(0), (0, 0, 60_000_000));
}

#[test]
fn oldest_of_too_many_units_is_kept() {
    let server = Server::start();
    let mut connection = server.admin();
    let mut scripts = Scripts::new(&server);
    let cells = [Cell::new("cell", UNIT, 1000)];
    let mut taken = Vec::new();
    for n in 1..=300 {
        set_clock(&mut connection, Duration::from_micros(n));
        taken.push(scripts.take(&cells).1);
    }
    let full_at = |connection: &mut Connection| -> u64 {
        let value: String = redis::cmd("GET").arg("cell").query(connection).unwrap();
        assert!(value.len() < 5000, "{} bytes", value.len());
        value.split(' ').next().unwrap().parse().unwrap()
    };
    let before = full_at(&mut connection);
    for unit in &taken {
        scripts.give_back(*unit, &cells);
    }
    let after = full_at(&mut connection);
    assert_eq!((before - after) / 1_000_000_000, 256);
}

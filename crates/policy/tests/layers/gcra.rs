//! The memory store is exact: compared with a model that knows every unit, and under many threads.

use std::{thread, time::Duration};

use clerk_actor_tokens_policy::{
    MemoryRateLimitStore, RateLimitStore,
    rate_limit::{Cell, MemoryReceipt, Taken},
};
use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, advance},
};

use crate::setup::{HOUR, SECOND};

fn take(store: &MemoryRateLimitStore, cells: &[Cell<'_>]) -> Taken<MemoryReceipt> {
    store.take(cells).now_or_never().unwrap().unwrap()
}

fn taken(store: &MemoryRateLimitStore, cells: &[Cell<'_>]) -> Option<MemoryReceipt> {
    match take(store, cells) {
        Taken::Yes(receipt) => Some(receipt),
        Taken::No { .. } => None,
    }
}

/// Takes until nothing is left and gives everything back. Returns how much there was.
fn left(store: &MemoryRateLimitStore, cell: Cell<'_>) -> usize {
    let receipts: Vec<_> = std::iter::from_fn(|| taken(store, &[cell])).collect();
    let count = receipts.len();
    receipts
        .into_iter()
        .for_each(|receipt| store.give_back(receipt));
    count
}

#[tokio::test(start_paused = true)]
async fn cell_admits_its_burst_and_then_one_an_interval() {
    let store = MemoryRateLimitStore::new();
    let cell = [Cell::new("a", SECOND, 3)];
    for _ in 0..3 {
        assert!(taken(&store, &cell).is_some());
    }
    let refused = |wait| Taken::No {
        rule: 0,
        retry_after: wait,
    };
    assert!(
        matches!(take(&store, &cell), Taken::No { rule: 0, retry_after } if retry_after == SECOND)
    );
    advance(SECOND / 2).await;
    let no = match take(&store, &cell) {
        Taken::No { rule, retry_after } => Taken::<()>::No { rule, retry_after },
        Taken::Yes(_) => panic!("admitted too early"),
    };
    assert_eq!(no, refused(SECOND / 2));
    advance(SECOND / 2).await;
    assert!(taken(&store, &cell).is_some());
    assert!(taken(&store, &cell).is_none());
    advance(HOUR).await;
    assert_eq!(left(&store, cell[0]), 3);
}

#[tokio::test(start_paused = true)]
async fn refusal_by_one_cell_leaves_the_others_untouched() {
    let store = MemoryRateLimitStore::new();
    let (full, empty) = (Cell::new("full", SECOND, 5), Cell::new("empty", SECOND, 1));
    drop(taken(&store, &[empty]).unwrap());
    for cells in [[full, empty], [empty, full]] {
        for _ in 0..100 {
            assert!(taken(&store, &cells).is_none());
        }
    }
    assert_eq!(left(&store, full), 5);
}

#[tokio::test(start_paused = true)]
async fn refusal_names_the_cell_with_the_longest_wait() {
    let store = MemoryRateLimitStore::new();
    let (short, long) = (Cell::new("short", SECOND, 1), Cell::new("long", HOUR, 1));
    drop(taken(&store, &[short, long]).unwrap());
    match take(&store, &[short, long]) {
        Taken::No { rule, retry_after } => assert_eq!((rule, retry_after), (1, HOUR)),
        Taken::Yes(_) => panic!("admitted"),
    }
}

#[tokio::test(start_paused = true)]
async fn unit_that_was_refilled_meanwhile_is_not_given_back_again() {
    let store = MemoryRateLimitStore::new();
    let cell = Cell::new("a", SECOND, 1);
    let old = taken(&store, &[cell]).unwrap();
    advance(5 * SECOND).await;
    drop(taken(&store, &[cell]).unwrap());
    store.give_back(old);
    assert_eq!(left(&store, cell), 0, "two calls were admitted at once");

    // A unit that was refilled in part: without it, the second one would have been taken from a full cell.
    let cell = Cell::new("b", SECOND, 2);
    let first = taken(&store, &[cell]).unwrap();
    advance(SECOND * 9 / 10).await;
    drop(taken(&store, &[cell]).unwrap());
    advance(SECOND / 10).await;
    store.give_back(first);
    assert_eq!(left(&store, cell), 1);
}

#[tokio::test(start_paused = true)]
async fn table_is_bounded_and_refuses_new_keys_until_a_cell_is_full_again() {
    let store = MemoryRateLimitStore::with_capacity(3);
    let key = |number: u64| format!("key {number}");
    for number in 0..3 {
        let interval = Duration::from_secs(number + 10);
        assert!(taken(&store, &[Cell::new(&key(number), interval, 1)]).is_some());
    }
    let new = Cell::new("new", SECOND, 1);
    match take(&store, &[new]) {
        Taken::No { rule, retry_after } => assert_eq!((rule, retry_after), (0, 10 * SECOND)),
        Taken::Yes(_) => panic!("a fourth cell"),
    }
    assert_eq!(store.len(), 3);
    // A key that is known is decided as ever.
    assert!(taken(&store, &[Cell::new(&key(0), 10 * SECOND, 2)]).is_some());
    advance(20 * SECOND).await;
    assert!(taken(&store, &[new]).is_some());
    assert!(store.len() <= 3);
}

#[tokio::test(start_paused = true)]
async fn cell_leaves_its_place_at_the_moment_it_is_full_again() {
    let store = MemoryRateLimitStore::with_capacity(1);
    assert!(store.is_empty());
    assert!(taken(&store, &[Cell::new("old", SECOND, 1)]).is_some());
    assert!(!store.is_empty());
    let new = Cell::new("new", SECOND, 1);
    assert!(taken(&store, &[new]).is_none());
    advance(SECOND).await;
    assert!(taken(&store, &[new]).is_some());
}

#[test]
fn never_more_than_the_burst_is_admitted_on_two_threads_with_a_paused_clock() {
    const BURST: u32 = 100;
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let store = {
        let _clock = runtime.enter();
        MemoryRateLimitStore::new()
    };
    for round in 0..20 {
        let admitted: usize = thread::scope(|scope| {
            let threads = [0, 1].map(|number| {
                let (store, handle) = (store.clone(), runtime.handle().clone());
                scope.spawn(move || clones(&handle, &store, number, round))
            });
            threads
                .map(|thread| thread.join().unwrap())
                .into_iter()
                .sum()
        });
        // Ten units are refilled between two rounds.
        assert_eq!(
            admitted,
            if round == 0 { BURST as usize } else { 10 },
            "round {round}"
        );
        runtime.block_on(advance(10 * SECOND));
    }

    /// Lets 32 clones take, and give every third unit back. Returns how many units they kept.
    fn clones(handle: &Handle, store: &MemoryRateLimitStore, thread: usize, round: usize) -> usize {
        let _clock = handle.enter();
        let cells = [
            Cell::new("global", SECOND, BURST),
            Cell::new("roomy", SECOND / 1000, 1_000_000),
        ];
        let clones: Vec<_> = (0..32).map(|_| store.clone()).collect();
        let mut kept = 0;
        let mut refused = 0;
        // A unit that another thread gives back is free again, so both go on until that has ended.
        for number in 0.. {
            let store = &clones[number % clones.len()];
            match taken(store, &cells) {
                Some(receipt) if (number + thread + round) % 3 == 0 => store.give_back(receipt),
                Some(receipt) => {
                    kept += 1;
                    drop(receipt);
                }
                None => refused += 1,
            }
            if refused > 2000 {
                break;
            }
        }
        kept
    }
}

/// A cell that knows every unit ever taken and computes its state from all of them.
struct Model {
    interval: Duration,
    burst: u32,
    units: Vec<Duration>,
}

impl Model {
    fn full_at(&self) -> Duration {
        let units = self.units.iter();
        units.fold(Duration::ZERO, |full_at, taken_at| {
            full_at.max(*taken_at) + self.interval
        })
    }

    fn take(&mut self, now: Duration) -> bool {
        let full_at = self.full_at().max(now) + self.interval;
        let is_admitted = full_at <= now + self.interval * self.burst;
        if is_admitted {
            self.units.push(now);
        }
        is_admitted
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take,
    GiveBack(prop::sample::Index),
    Spend(prop::sample::Index),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Take),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Step::Spend),
        2 => (0..2500_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn store_is_as_if_what_was_given_back_had_never_been_taken(
        steps in prop::collection::vec(step(), 1..80),
        burst in 1..5_u32,
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = MemoryRateLimitStore::new();
            let begun = Instant::now();
            let mut model = Model { interval: SECOND, burst, units: Vec::new() };
            let mut receipts: Vec<(MemoryReceipt, Duration)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take => {
                        let receipt = taken(&store, &[Cell::new("a", SECOND, burst)]);
                        let now = begun.elapsed();
                        assert_eq!(receipt.is_some(), model.take(now), "at {now:?}");
                        receipts.extend(receipt.map(|receipt| (receipt, now)));
                    }
                    Step::GiveBack(index) if !receipts.is_empty() => {
                        let (receipt, taken_at) = receipts.remove(index.index(receipts.len()));
                        store.give_back(receipt);
                        let units = &mut model.units;
                        let index = units.iter().position(|it| *it == taken_at).unwrap();
                        units.remove(index);
                    }
                    Step::Spend(index) if !receipts.is_empty() => {
                        drop(receipts.remove(index.index(receipts.len())));
                    }
                    Step::Advance(milliseconds) => advance(Duration::from_millis(milliseconds)).await,
                    _ => {}
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn units_do_not_pile_up_behind_a_call_that_hangs() {
    // The cell is full again before each of the others.
    let store = MemoryRateLimitStore::new();
    let cell = [Cell::new("a", SECOND, 1)];
    let _hanging = taken(&store, &cell).unwrap();
    for _ in 0..1000 {
        advance(2 * SECOND).await;
        assert!(taken(&store, &cell).is_some());
    }
    let shown = format!("{store:?}");
    assert!(shown.contains("open_units: 0"), "{shown}");
}

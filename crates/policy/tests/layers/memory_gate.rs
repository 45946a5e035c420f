//! The memory gate by itself: slots, epochs, levels and the ramp.

use std::time::Duration;

use clerk_actor_tokens::OperationKind;
use clerk_actor_tokens_policy::{
    Gate, MemoryGate,
    gate::{Pass, Scope},
};
use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::{
    runtime::Builder,
    time::{Instant, advance},
};

use crate::setup::{HOUR, SECOND};

const MS: Duration = Duration::from_millis(1);

fn creates() -> Scope {
    Scope::new("account", OperationKind::Create)
}

fn pass(gate: &MemoryGate, patience: Duration) -> Pass {
    let scope = creates();
    gate.pass(&scope, patience).now_or_never().unwrap().unwrap()
}

/// Returns the wait of a caller with endless patience.
fn wait(gate: &MemoryGate) -> Duration {
    match pass(gate, Duration::MAX) {
        Pass::Go { .. } => Duration::ZERO,
        Pass::Wait { slot, .. } => slot,
        Pass::No { .. } => panic!("refused"),
    }
}

/// Closes the gate by an attempt of the current epoch.
fn close(gate: &MemoryGate, seconds: u64) {
    let epoch = gate.epoch(&creates());
    gate.close(&creates(), epoch, Some(Duration::from_secs(seconds)));
}

#[tokio::test(start_paused = true)]
async fn open_gate_lets_every_caller_pass() {
    let gate = MemoryGate::new();
    for _ in 0..1000 {
        assert_eq!(pass(&gate, Duration::ZERO), Pass::Go { epoch: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_closed_gate_get_slots_one_step_apart() {
    let gate = MemoryGate::new();
    close(&gate, 5);
    // The first second has steps of 100 ms, the next one of 50 ms.
    let slots: Vec<_> = (0..13).map(|_| wait(&gate)).collect();
    let expected = (0..10).map(|n| 5 * SECOND + n * 100 * MS);
    let expected = expected.chain((0..3).map(|n| 6 * SECOND + n * 50 * MS));
    assert_eq!(slots, expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn step_doubles_with_each_429_and_halves_each_second_without_one() {
    let gate = MemoryGate::new();
    for level in 0..4 {
        close(&gate, 1);
        advance(SECOND).await;
        assert_eq!(wait(&gate), Duration::ZERO);
        assert_eq!(wait(&gate), 100 * MS * (1 << level));
    }
    advance(2 * SECOND).await;
    assert_eq!([wait(&gate), wait(&gate)], [Duration::ZERO, 200 * MS]);
    // The step is below a millisecond after ten halvings.
    advance(9 * SECOND).await;
    assert!((0..1000).all(|_| wait(&gate).is_zero()));
    // Once it is open, the next 429 begins at the first level.
    close(&gate, 1);
    advance(SECOND).await;
    let steps = [wait(&gate), wait(&gate)];
    assert_eq!(steps, [Duration::ZERO, 100 * MS]);
}

#[tokio::test(start_paused = true)]
async fn step_doubles_six_times_at_most() {
    let gate = MemoryGate::new();
    for _ in 0..9 {
        close(&gate, 1);
    }
    advance(SECOND).await;
    assert_eq!([wait(&gate), wait(&gate)], [Duration::ZERO, 6400 * MS]);
}

#[tokio::test(start_paused = true)]
async fn step_and_ramp_are_those_that_were_set() {
    let gate = MemoryGate::new().step(300 * MS).ramp(3 * SECOND);
    gate.close(&creates(), 0, None);
    let slots: Vec<_> = (0..12).map(|_| wait(&gate)).collect();
    let expected = (0..10).map(|n| 3 * SECOND + n * 300 * MS);
    let expected = expected.chain([6 * SECOND, 6150 * MS]);
    assert_eq!(slots, expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn old_429_for_the_same_time_leaves_the_slots_taken() {
    let gate = MemoryGate::new();
    close(&gate, 2);
    assert_eq!(wait(&gate), 2 * SECOND);
    let epoch = gate.epoch(&creates());
    gate.close(&creates(), 0, Some(2 * SECOND));
    assert_eq!(gate.epoch(&creates()), epoch);
    assert_eq!(wait(&gate), 2 * SECOND + 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn old_429_moves_the_time_and_not_the_level() {
    let gate = MemoryGate::new();
    for _ in 0..50 {
        gate.close(&creates(), 0, Some(2 * SECOND));
    }
    let epoch = gate.epoch(&creates());
    gate.close(&creates(), 0, Some(3 * SECOND));
    assert!(
        gate.epoch(&creates()) > epoch,
        "waiting callers would leave too early"
    );
    assert_eq!(
        [wait(&gate), wait(&gate)],
        [3 * SECOND, 3 * SECOND + 100 * MS]
    );
    // One that asks for less changes nothing.
    let epoch = gate.epoch(&creates());
    gate.close(&creates(), 0, Some(SECOND));
    assert_eq!(gate.epoch(&creates()), epoch);
    assert_eq!(wait(&gate), 3 * SECOND + 200 * MS);
}

#[tokio::test(start_paused = true)]
async fn slot_beyond_the_patience_is_refused_and_stays_free() {
    let gate = MemoryGate::new();
    close(&gate, 5);
    for _ in 0..10 {
        let refused = pass(&gate, 4 * SECOND);
        assert_eq!(
            refused,
            Pass::No {
                retry_after: 5 * SECOND
            }
        );
    }
    assert_eq!(wait(&gate), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn creates_and_revokes_and_accounts_have_gates_of_their_own() {
    let gate = MemoryGate::new();
    close(&gate, 5);
    for other in [
        Scope::new("account", OperationKind::Revoke),
        Scope::new("other", OperationKind::Create),
    ] {
        let passed = gate.pass(&other, Duration::ZERO).await.unwrap();
        assert_eq!(passed, Pass::Go { epoch: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn close_is_limited_and_has_a_default() {
    let gate = MemoryGate::new().step(Duration::MAX).ramp(Duration::ZERO);
    gate.close(&creates(), 0, Some(Duration::MAX));
    assert_eq!(wait(&gate), HOUR);
    let gate = MemoryGate::new();
    gate.close(&creates(), 0, None);
    assert_eq!(wait(&gate), SECOND);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Close { is_old: bool, seconds: Option<u64> },
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20_u64).prop_map(Step::Pass),
        1 => (any::<bool>(), prop::option::of(0..8_u64))
            .prop_map(|(is_old, seconds)| Step::Close { is_old, seconds }),
        3 => (0..1500_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn no_slot_is_before_the_gate_opens_or_shared(steps in prop::collection::vec(step(), 1..100)) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let gate = MemoryGate::new();
            let begun = Instant::now();
            let (mut until, mut last_slot, mut last_epoch) = (Duration::ZERO, None, 0);
            for step in steps {
                let now = begun.elapsed();
                match step {
                    Step::Pass(patience) => {
                        let patience = Duration::from_secs(patience);
                        let slot = match pass(&gate, patience) {
                            Pass::Go { epoch } => {
                                assert_eq!(epoch, gate.epoch(&creates()));
                                now
                            }
                            Pass::Wait { epoch, slot } => {
                                assert_eq!(epoch, gate.epoch(&creates()));
                                assert!(slot <= patience);
                                now + slot
                            }
                            Pass::No { retry_after } => {
                                assert!(retry_after > patience);
                                continue;
                            }
                        };
                        assert!(slot >= until, "{slot:?} is before {until:?}");
                        assert!(last_slot.is_none_or(|last| slot >= last));
                        last_slot = Some(slot);
                    }
                    Step::Close { is_old, seconds } => {
                        let epoch = gate.epoch(&creates());
                        let epoch = if is_old { epoch.wrapping_sub(1) } else { epoch };
                        let wait = seconds.map(Duration::from_secs);
                        gate.close(&creates(), epoch, wait);
                        until = until.max(now + wait.unwrap_or(SECOND));
                        if gate.epoch(&creates()) != last_epoch {
                            (last_slot, last_epoch) = (None, gate.epoch(&creates()));
                        }
                    }
                    Step::Advance(milliseconds) => advance(Duration::from_millis(milliseconds)).await,
                }
            }
        });
    }
}

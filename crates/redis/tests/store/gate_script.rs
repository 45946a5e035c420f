//! The scripts of the gate decide exactly as the gate in memory does.

use std::{cell::RefCell, ops::Range, time::Duration};

use clerk_actor_tokens::OperationKind;
use clerk_actor_tokens_policy::{
    Gate, MemoryGate,
    gate::{Pass, Scope},
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

/// Halves to whole microseconds at each level and in each ramp.
const STEP: Duration = Duration::from_micros(102_400);
/// Long enough that no key expires by the real clock while a program runs.
const RAMP: Duration = Duration::from_secs(500);

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(Duration),
    Close {
        is_current: bool,
        retry_after: Duration,
    },
    Advance(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = |range: Range<u64>| range.prop_map(Duration::from_secs);
    prop_oneof![
        4 => seconds(0..5000).prop_map(Step::Pass),
        1 => (any::<bool>(), seconds(1..3600))
            .prop_map(|(is_current, retry_after)| Step::Close { is_current, retry_after }),
        3 => (0..1_500_000_000_u64).prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
    ]
}

/// Granted, slot, epoch, level, closed, until.
type State = (u8, u64, u64, u32, u8, i64);

struct Scripts {
    pass: Script,
    read: Script,
    close: Script,
}

impl Scripts {
    fn new() -> Self {
        let script = |source: &str| {
            let shared = include_str!("../../src/gate/state.lua");
            with_test_clock(&format!("{shared}{source}"))
        };
        Self {
            pass: script(include_str!("../../src/gate/pass.lua")),
            read: script(include_str!("../../src/gate/read.lua")),
            close: script(include_str!("../../src/gate/close.lua")),
        }
    }
}

/// The state that a replica has seen: epoch, level, closed, until.
type Seen = (u64, u32, u8, i64);

fn run(connection: &mut Connection, script: &Script, seen: Seen, arguments: &[i64]) -> State {
    let mut invocation = script.prepare_invoke();
    let times = [STEP, RAMP].map(|it| u64::try_from(it.as_micros()).unwrap());
    invocation.key("{gate}").arg(&times[..]);
    invocation.arg(seen.0).arg(seen.1).arg(seen.2).arg(seen.3);
    invocation
        .arg(arguments)
        .arg("channel")
        .arg("replica")
        .arg("scope");
    invocation.invoke(connection).unwrap()
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

#[test]
fn scripts_decide_as_the_gate_in_memory_for_any_program() {
    let server = Server::start();
    let connection = RefCell::new(server.admin());
    let scripts = Scripts::new();
    let config = ProptestConfig::with_cases(300);
    let programs = prop::collection::vec(step(), 1..100);
    proptest!(config, |(program in programs)| {
        let mut connection = connection.borrow_mut();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(&mut connection, &scripts, program));
    });
}

async fn play(connection: &mut Connection, scripts: &Scripts, program: Vec<Step>) {
    let gate = MemoryGate::new().step(STEP).ramp(RAMP);
    let scope = Scope::new("account", OperationKind::Create);
    let begun = Instant::now();
    let mut epoch = 0;
    for step in program {
        set_clock(connection, begun.elapsed());
        match step {
            Step::Pass(patience) => {
                let expected = gate.pass(&scope, patience).now_or_never().unwrap().unwrap();
                let seen = (epoch, 0, 0, 0);
                let state = run(connection, &scripts.pass, seen, &[micros(patience)]);
                let slot = Duration::from_micros(state.1);
                match expected {
                    Pass::Go { .. } => assert_eq!((state.0, slot), (1, Duration::ZERO)),
                    Pass::Wait { slot: expected, .. } => assert_eq!((state.0, slot), (1, expected)),
                    Pass::No { retry_after } => assert_eq!((state.0, slot), (0, retry_after)),
                }
                assert_eq!(state.2, epoch);
            }
            Step::Close {
                is_current,
                retry_after,
            } => {
                let before = gate.epoch(&scope);
                let stale = before.wrapping_sub(1);
                gate.close(
                    &scope,
                    if is_current { before } else { stale },
                    Some(retry_after),
                );
                let current = if is_current {
                    i64::try_from(epoch).unwrap()
                } else {
                    -1
                };
                let arguments = [current, micros(retry_after)];
                let state = run(connection, &scripts.close, (epoch, 0, 0, 0), &arguments);
                assert_eq!(state.2 > epoch, gate.epoch(&scope) > before);
                epoch = state.2;
            }
            Step::Advance(time) => advance(time).await,
        }
    }
}

#[test]
fn lost_state_is_restored_from_what_a_replica_has_seen() {
    let server = Server::start();
    let mut connection = server.admin();
    let scripts = Scripts::new();
    set_clock(&mut connection, RAMP);
    let nothing = (0, 0, 0, 0);
    let minute = micros(Duration::from_secs(60));
    let (.., epoch, level, closed, until) =
        run(&mut connection, &scripts.close, nothing, &[0, minute]);
    assert_eq!((level, closed, until), (1, 1, minute));

    redis::cmd("DEL")
        .arg("{gate}")
        .exec(&mut connection)
        .unwrap();
    let lost = run(&mut connection, &scripts.read, nothing, &[]);
    assert_eq!(lost, (1, 0, 0, 0, 0, 0));
    let seen = (epoch, level, 1, minute - 5);
    let restored = run(&mut connection, &scripts.pass, seen, &[2 * minute]);
    assert_eq!(restored, (1, 59_999_995, epoch, 1, 1, minute - 5));
    // Another view of the same epoch changes nothing.
    let seen = (epoch, level, 1, minute + 7);
    let state = run(&mut connection, &scripts.read, seen, &[]);
    assert_eq!(state, (1, 0, epoch, 1, 1, minute - 5));
}

#[test]
fn clock_set_back_keeps_the_gate_closed_for_no_longer() {
    let server = Server::start();
    let mut connection = server.admin();
    let scripts = Scripts::new();
    let minute = micros(Duration::from_secs(60));
    set_clock(&mut connection, 10 * RAMP);
    let closed = run(&mut connection, &scripts.close, (0, 0, 0, 0), &[0, minute]);
    set_clock(&mut connection, RAMP);
    let pass = |connection: &mut Connection, patience| {
        run(
            connection,
            &scripts.pass,
            (closed.2, 1, 1, minute),
            &[patience],
        )
    };
    assert_eq!(pass(&mut connection, 0).1, 60_000_000);
    set_clock(&mut connection, RAMP + Duration::from_secs(20));
    assert_eq!(pass(&mut connection, 0).1, 40_000_000);
    // The next close has a newer epoch, whatever the clock says.
    let current = i64::try_from(closed.2).unwrap();
    let again = run(
        &mut connection,
        &scripts.close,
        (closed.2, 1, 1, minute),
        &[current, minute],
    );
    assert_eq!((again.2, again.3), (closed.2 + 1, 2));
}

//! Random programs: the steps of callers, and the faults of the sink, the layers and the API.

use std::time::Duration;

use bytes::Bytes;
use clerk_actor_tokens::sandbox::Fault;
use http::StatusCode;
use proptest::{collection::vec, option, prelude::*, sample::Index};

use crate::support::scripted_sink::Mode;

/// The steps of a run of one client.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) hook_panics: bool,
    /// Calls in flight after the last step are awaited, else dropped.
    pub(crate) awaits_rest: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(Call),
    /// Revokes a token that was claimed.
    Revoke(Index, Call),
    Poll(Index),
    Finish(Index),
    /// Cancels a call in flight.
    Drop(Index),
    /// Claims a token, or drops it unread.
    Use(Index, bool),
    Advance(Duration),
    /// Lets background tasks run, without time passing.
    Yield,
    /// Sets what the sink does from now on.
    Sink(Mode),
    /// Sets what the sink does at its next write.
    SinkOnce(Mode),
}

/// A call: the layers that it meets, and the faults of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) timeout: Option<Duration>,
    pub(crate) layer: LayerDoes,
    pub(crate) creates: Vec<Option<Fault>>,
    pub(crate) revokes: Vec<Option<Fault>>,
}

/// The behaviour of the layers above and below the barrier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LayerDoes {
    Nothing,
    RefuseAbove,
    WaitAbove(Duration),
    PanicAbove,
    PanicBelow,
    /// Panics when the response is there.
    PanicAfter,
    FailBelow,
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let steps = vec(step(), 1..24);
    (steps, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(steps, hook_panics, awaits_rest)| Program {
            steps,
            hook_panics,
            awaits_rest,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        7 => call().prop_map(Step::Create),
        2 => (any::<Index>(), call()).prop_map(|(index, call)| Step::Revoke(index, call)),
        6 => any::<Index>().prop_map(Step::Poll),
        6 => any::<Index>().prop_map(Step::Finish),
        2 => any::<Index>().prop_map(Step::Drop),
        4 => (any::<Index>(), any::<bool>()).prop_map(|(index, claims)| Step::Use(index, claims)),
        3 => time().prop_map(Step::Advance),
        2 => Just(Step::Yield),
        1 => mode().prop_map(Step::Sink),
        2 => Just(Step::Sink(Mode::Up)),
        3 => mode().prop_map(Step::SinkOnce),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        2 => Just(Mode::Up),
        2 => time().prop_map(Mode::Delay),
        2 => time().prop_map(Mode::DelayAfter),
        2 => Just(Mode::Fails),
        2 => Just(Mode::FailsAfter),
        1 => Just(Mode::Hangs),
        1 => Just(Mode::HangsAfter),
        1 => Just(Mode::Panics),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let layer = prop_oneof![
        8 => Just(LayerDoes::Nothing),
        1 => Just(LayerDoes::RefuseAbove),
        1 => time().prop_map(LayerDoes::WaitAbove),
        1 => Just(LayerDoes::PanicAbove),
        1 => Just(LayerDoes::PanicBelow),
        1 => Just(LayerDoes::PanicAfter),
        1 => Just(LayerDoes::FailBelow),
    ];
    let faults = || vec(option::of(fault()), 0..4);
    let timeout = option::weighted(0.3, time());
    (timeout, layer, faults(), faults()).prop_map(|(timeout, layer, creates, revokes)| Call {
        timeout,
        layer,
        creates,
        revokes,
    })
}

/// From a moment to longer than the sink's limit.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (1..2500_u64).prop_map(Duration::from_millis),
        1 => (3..40_u64).prop_map(Duration::from_secs),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let refusals = prop_oneof![Just(400), Just(401), Just(404), Just(429)];
    let in_doubt = prop_oneof![Just(408), Just(500), Just(503)];
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    prop_oneof![
        2 => refusals.prop_map(move |code| Fault::Status(status(code))),
        2 => in_doubt.clone().prop_map(move |code| Fault::Status(status(code))),
        2 => in_doubt.prop_map(move |code| Fault::StatusAfter(status(code))),
        1 => (0..5_u64).prop_map(|wait| Fault::RateLimited { retry_after: Duration::from_secs(wait) }),
        1 => Just(Fault::DisconnectBefore),
        1 => Just(Fault::DisconnectAfter),
        1 => Just(Fault::HangBefore),
        1 => Just(Fault::HangAfter),
        1 => (0..600_usize).prop_map(Fault::Truncate),
        1 => Just(Fault::Body(Bytes::from_static(b"<html></html>"))),
        2 => time().prop_map(Fault::Delay),
        2 => time().prop_map(Fault::DelayAfter),
        1 => (0..300_usize, time()).prop_map(|(after, time)| Fault::Pause { after, time }),
    ]
}

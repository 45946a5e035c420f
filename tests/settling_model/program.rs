//! Random programs: the steps of the callers, and the responses of the peer.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::Index};

use crate::support::peer::{Content, Delay, Effect, End, Exchange, Head};

/// The steps of a program with one client.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) hook_panics: bool,
    /// Calls in flight after the last step are awaited instead of dropped.
    pub(crate) awaits_calls: bool,
    /// A drain with a limit of zero precedes the final one.
    pub(crate) drains_at_once: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Start(Call),
    /// Polls a call in flight once.
    Poll(Index),
    /// Awaits a call in flight.
    Finish(Index),
    /// Drops a call in flight.
    Drop(Index),
    /// Uses a token or a lease.
    Use(Index, Use),
    Advance(Duration),
    /// Lets background tasks run. Time does not pass.
    Yield,
    /// Drops the client. The next start builds another one over the same layer.
    DropClient,
    Drain(Duration),
}

/// A create or a lease, and the responses to its attempts and to revokes of its tokens. Further requests get a
/// prompt 200.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) leased: bool,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retrying: Retrying,
    /// The status and the delay of a wire layer that responds to a create itself.
    pub(crate) intercept: Option<(u16, Delay)>,
    pub(crate) creates: Vec<Exchange>,
    pub(crate) revokes: Vec<Exchange>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Retrying {
    Default,
    Never,
    SettledTimeouts,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Reads the ticket, or keeps the lease.
    Keep,
    Drop,
    /// Clones a token and drops the first instance.
    DropOneOfTwo,
    /// Revokes a lease. A token is dropped.
    Revoke,
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let steps = vec(step(), 1..24);
    (
        steps,
        prop::bool::weighted(0.2),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(steps, hook_panics, awaits_calls, drains_at_once)| Program {
                steps,
                hook_panics,
                awaits_calls,
                drains_at_once,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        2 => Just(Use::Keep),
        2 => Just(Use::Drop),
        1 => Just(Use::DropOneOfTwo),
        1 => Just(Use::Revoke),
    ];
    prop_oneof![
        6 => call().prop_map(Step::Start),
        8 => any::<Index>().prop_map(Step::Poll),
        3 => any::<Index>().prop_map(Step::Finish),
        3 => any::<Index>().prop_map(Step::Drop),
        4 => (any::<Index>(), action).prop_map(|(index, action)| Step::Use(index, action)),
        3 => time().prop_map(Step::Advance),
        2 => Just(Step::Yield),
        1 => Just(Step::DropClient),
        1 => prop_oneof![Just(0), Just(1), Just(600)].prop_map(|s| Step::Drain(Duration::from_secs(s))),
    ]
}

prop_compose! {
    fn call()(
        leased in prop::bool::weighted(0.3),
        lifetime in option::of((10..90_u64).prop_map(Duration::from_secs)),
        timeout in option::weighted(0.3, time()),
        attempt_timeout in option::weighted(0.4, time()),
        retrying in prop_oneof![
            Just(Retrying::Default),
            Just(Retrying::Never),
            Just(Retrying::SettledTimeouts),
        ],
        intercept in option::weighted(0.2, intercept()),
        creates in vec(create(), 0..4),
        revokes in vec(revoke(), 0..7),
    ) -> Call {
        Call { leased, lifetime, timeout, attempt_timeout, retrying, intercept, creates, revokes }
    }
}

fn intercept() -> impl Strategy<Value = (u16, Delay)> {
    let statuses = prop_oneof![Just(200), Just(400), Just(408), Just(429), Just(503)];
    (statuses, delay())
}

/// From a millisecond to longer than every timeout.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (1..3000_u64).prop_map(Duration::from_millis),
        2 => (3..40_u64).prop_map(Duration::from_secs),
    ]
}

fn delay() -> impl Strategy<Value = Delay> {
    prop_oneof![
        4 => Just(Delay::default()),
        2 => (1..3_usize).prop_map(Delay::polls),
        2 => time().prop_map(Delay::time),
    ]
}

fn head(statuses: impl Strategy<Value = (u16, Option<u64>)>) -> impl Strategy<Value = Head> {
    prop_oneof![
        10 => statuses.prop_map(|(status, retry_after)| Head::Status(status, retry_after)),
        1 => Just(Head::Fail),
        1 => Just(Head::Hang),
        1 => Just(Head::Panic),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        6 => Just(End::Complete),
        1 => Just(End::Fail),
        1 => Just(End::Hang),
        1 => Just(End::Panic),
    ]
}

fn create() -> impl Strategy<Value = Exchange> {
    let statuses = prop_oneof![
        12 => Just((200, None)),
        2 => option::of(0..15_u64).prop_map(|after| (429, after)),
        2 => prop_oneof![Just(400), Just(401), Just(404), Just(421)].prop_map(|it| (it, None)),
        2 => prop_oneof![Just(500), Just(503), Just(202), Just(302)].prop_map(|it| (it, None)),
        1 => prop_oneof![Just(408), Just(460), Just(499)].prop_map(|it| (it, None)),
    ];
    let content = prop_oneof![
        8 => Just(Content::Token),
        1 => Just(Content::TokenWithoutCredential),
        1 => Just(Content::Foreign),
        1 => Just(Content::TooLong),
        1 => Just(Content::Garbage),
    ];
    let effect = prop_oneof![
        2 => Just(Effect::WhenTaken),
        2 => Just(Effect::WithHead),
        2 => Just(Effect::WithBody),
        1 => Just(Effect::Never),
    ];
    exchange(head(statuses), content, effect).prop_map(|mut it| {
        let is_unknown = matches!(it.head, Head::Status(408 | 460 | 499, _));
        if matches!(it.head, Head::Status(400..500, _)) && !is_unknown {
            it.effect = Effect::Never;
        }
        it
    })
}

fn revoke() -> impl Strategy<Value = Exchange> {
    let statuses = prop_oneof![
        4 => Just((200, None)),
        2 => (0..30_u64).prop_map(|after| (429, Some(after))),
        3 => prop_oneof![Just(503), Just(408)].prop_map(|it| (it, None)),
        1 => Just((404, None)),
    ];
    let effect = prop_oneof![Just(Effect::WhenTaken), Just(Effect::WithBody)];
    let plain = exchange(head(statuses), Just(Content::Token), effect).prop_map(|mut it| {
        if matches!(it.head, Head::Status(400..500, _)) {
            (it.content, it.effect) = (Content::Garbage, Effect::Never);
        }
        it
    });
    // A token that another client revoked counts as revoked.
    let elsewhere = |status, effect| Exchange {
        content: Content::CannotBeRevoked(status),
        effect,
        ..Exchange::refusal(400, None)
    };
    let of_status = |status, effect| Exchange {
        content: Content::Status(status),
        effect,
        ..Exchange::prompt()
    };
    prop_oneof![
        8 => plain,
        1 => Just(of_status("accepted", Effect::Never)),
        1 => Just(of_status("pending", Effect::Never)),
        1 => Just(of_status("frozen", Effect::WhenTaken)),
        1 => Just(elsewhere("revoked", Effect::WhenTaken)),
        1 => Just(elsewhere("accepted", Effect::Never)),
    ]
}

prop_compose! {
    fn exchange(
        head: impl Strategy<Value = Head>,
        content: impl Strategy<Value = Content>,
        effect: impl Strategy<Value = Effect>,
    )(
        before_taking in delay(),
        before_head in delay(),
        head in head,
        content in content,
        length in prop_oneof![2 => Just(1000), 1 => 0..1000_usize],
        frames in 1..5_usize,
        before_frame in delay(),
        end in end(),
        effect in effect,
    ) -> Exchange {
        Exchange { before_taking, before_head, head, content, length, frames, before_frame, end, effect }
    }
}

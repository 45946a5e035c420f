//! Random programs: what a caller does, and what the peer answers.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::Index};

use crate::support::peer::{Content, Effect, End, Exchange, Head, Pause};

/// What happens to one client, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) hook_panics: bool,
    /// What is still on its way after the steps is awaited, else dropped.
    pub(crate) awaits_rest: bool,
    /// Draining begins with a drain that gives everything up at once.
    pub(crate) cuts_short: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Start(Call),
    /// Polls what is on its way once.
    Poll(Index),
    /// Awaits what is on its way.
    Finish(Index),
    /// Drops what is on its way.
    Drop(Index),
    /// Does something with what a finished call gave.
    Use(Index, Use),
    Advance(Duration),
    /// Lets background tasks run, without time passing.
    Yield,
    /// Drops the client; the next start builds another one over the same layer.
    DropClient,
    Drain(Duration),
}

/// A create, or a lease, and what the peer answers to its attempts and to revokes of its tokens;
/// promptly well after that.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) leased: bool,
    pub(crate) life: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retrying: Retrying,
    /// When a wire layer responds to a create by itself, and with which status.
    pub(crate) made_up: Option<(u16, Pause)>,
    pub(crate) creates: Vec<Exchange>,
    pub(crate) revokes: Vec<Exchange>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Retrying {
    AsUsual,
    Never,
    SettledTimeouts,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Reads the ticket, or keeps the lease.
    Keep,
    Drop,
    /// Clones it and drops the one that was there first.
    DropOneOfTwo,
    /// Revokes a lease by hand; a token is dropped.
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
        .prop_map(|(steps, hook_panics, awaits_rest, cuts_short)| Program {
            steps,
            hook_panics,
            awaits_rest,
            cuts_short,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let deed = prop_oneof![
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
        4 => (any::<Index>(), deed).prop_map(|(index, deed)| Step::Use(index, deed)),
        3 => time().prop_map(Step::Advance),
        2 => Just(Step::Yield),
        1 => Just(Step::DropClient),
        1 => prop_oneof![Just(0), Just(1), Just(600)].prop_map(|s| Step::Drain(Duration::from_secs(s))),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let retrying = prop_oneof![
        Just(Retrying::AsUsual),
        Just(Retrying::Never),
        Just(Retrying::SettledTimeouts),
    ];
    (
        prop::bool::weighted(0.3),
        option::of((10..90_u64).prop_map(Duration::from_secs)),
        option::weighted(0.3, time()),
        option::weighted(0.4, time()),
        retrying,
        option::weighted(0.2, made_up()),
        vec(create(), 0..4),
        vec(revoke(), 0..7),
    )
        .prop_map(
            |(leased, life, timeout, attempt_timeout, retrying, made_up, creates, revokes)| Call {
                leased,
                life,
                timeout,
                attempt_timeout,
                retrying,
                made_up,
                creates,
                revokes,
            },
        )
}

fn made_up() -> impl Strategy<Value = (u16, Pause)> {
    let statuses = prop_oneof![Just(200), Just(400), Just(408), Just(429), Just(503)];
    (statuses, pause())
}

/// From a moment to longer than anything waits.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (1..3000_u64).prop_map(Duration::from_millis),
        2 => (3..40_u64).prop_map(Duration::from_secs),
    ]
}

fn pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        4 => Just(Pause::default()),
        2 => (1..3_usize).prop_map(Pause::polls),
        2 => time().prop_map(Pause::time),
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
        6 => Just(End::Whole),
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
        let is_in_doubt = matches!(it.head, Head::Status(408 | 460 | 499, _));
        if matches!(it.head, Head::Status(400..500, _)) && !is_in_doubt {
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
    // A token that was revoked elsewhere is revoked, too.
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

fn exchange(
    head: impl Strategy<Value = Head>,
    content: impl Strategy<Value = Content>,
    effect: impl Strategy<Value = Effect>,
) -> impl Strategy<Value = Exchange> {
    let length = prop_oneof![2 => Just(1000), 1 => 0..1000_usize];
    (
        pause(),
        pause(),
        head,
        content,
        length,
        1..5_usize,
        pause(),
        end(),
        effect,
    )
        .prop_map(
            |(
                before_taking,
                before_head,
                head,
                content,
                length,
                frames,
                before_frame,
                end,
                effect,
            )| {
                Exchange {
                    before_taking,
                    before_head,
                    head,
                    content,
                    length,
                    frames,
                    before_frame,
                    end,
                    effect,
                }
            },
        )
}

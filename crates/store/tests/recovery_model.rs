//! Every order of events of two instances, one sweeper and one watcher, in a model of recovery: no call has two ends,
//! none is without one, and no live token is unaccounted for. Long, because states and events are read together.
//!
//! An instance writes to the database in a session that holds its lock. A call writes its begin, the mark that it is
//! about to be sent, and its end. A sweep picks an instance whose lock is free, and then reads its open calls: a stale
//! beat only makes it look, so here it looks at any time. [`LeaseFacts`] decides what an end means for a token.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Effect, End, Entry, Event, FollowUp},
};
use clerk_actor_tokens_store::{LeaseFacts, LeaseState};

/// A rule of the protocol that a variant of the model leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Without {
    Nothing,
    /// The sweep reads open calls in the snapshot in which it picks instances.
    SecondSnapshot,
    /// An instance can be swept while its session holds the lock.
    Lock,
    /// A call that a sweep has ended can still get its mark, under the new identity of its process.
    RefusedMark,
    /// A request can be sent after the deadline of its call.
    Deadline,
    /// A second end takes the place of the first one.
    UniqueEnd,
    /// A watcher that missed a poll still records that a token expired unused.
    EveryPoll,
}

/// The time of both calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Time {
    /// A call may send its request.
    BeforeDeadline,
    /// A request in flight may still arrive.
    BeforeT,
    /// Every token of the calls has expired.
    AfterT,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Process {
    Runs,
    Stopped,
    Dead,
}

/// How far the process is with its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    New,
    Begun,
    Marked,
    Sent,
    /// It knows how the call ended, and is to record it.
    Owes(Ended),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Ended {
    NotSent,
    Unknown,
    Returned,
}

/// The token at the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Token {
    None,
    InFlight,
    Live,
    Accepted,
    Over,
}

/// What the watcher knows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Watch {
    EveryPoll,
    Missed,
    Accepted,
    ExpiredUnused,
}

/// An instance with its one call. The first five fields are in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Instance {
    begun: bool,
    marked: bool,
    end: Option<Ended>,
    late: Option<Ended>,
    /// Whether it was swept.
    swept: bool,
    session: bool,
    process: Process,
    step: Step,
    token: Token,
    watch: Watch,
}

/// What the sweeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sweep {
    Idle,
    /// It has picked an instance, whose row and lock it holds until it commits.
    Picked(usize, Snapshot),
    /// Only without a second snapshot: it has read, and not tried the lock yet.
    Read(usize, Snapshot),
}

/// Of an open call, whether it has the mark.
type Snapshot = Option<bool>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    time: Time,
    instances: [Instance; 2],
    sweep: Sweep,
}

const NEW: Instance = Instance {
    begun: false,
    marked: false,
    end: None,
    late: None,
    swept: false,
    session: true,
    process: Process::Runs,
    step: Step::New,
    token: Token::None,
    watch: Watch::EveryPoll,
};

impl Instance {
    fn snapshot(&self) -> Snapshot {
        (self.begun && self.end.is_none()).then_some(self.marked)
    }

    /// Records an end. The unique index makes a second one late.
    fn record(&mut self, end: Ended, without: Without) {
        match self.end {
            Some(_) if without != Without::UniqueEnd => self.late = Some(end),
            _ => self.end = Some(end),
        }
    }

    /// Adds the states that follow by an event of the process, its session, the API or the watcher.
    fn next(&self, time: Time, is_picked: bool, without: Without, mut push: impl FnMut(Self)) {
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut instance = *self;
            change(&mut instance);
            push(instance);
        };
        if self.process == Process::Runs {
            match self.step {
                // A commit whose acknowledgement is lost leaves an end that is owed.
                Step::New if self.session && time == Time::BeforeDeadline => {
                    push(&|it| (it.begun, it.step) = (true, Step::Begun));
                    push(&|it| (it.begun, it.step) = (true, Step::Owes(Ended::NotSent)));
                }
                Step::Begun => {
                    push(&|it| it.step = Step::Owes(Ended::NotSent));
                    let may_mark = self.end.is_none() || without == Without::RefusedMark;
                    if self.session && may_mark {
                        push(&|it| (it.marked, it.step) = (true, Step::Marked));
                        push(&|it| (it.marked, it.step) = (true, Step::Owes(Ended::NotSent)));
                    }
                }
                Step::Marked if time == Time::BeforeDeadline || without == Without::Deadline => {
                    push(&|it| (it.token, it.step) = (Token::InFlight, Step::Sent));
                }
                Step::Marked => push(&|it| it.step = Step::Owes(Ended::NotSent)),
                Step::Sent => {
                    push(&|it| it.step = Step::Owes(Ended::Unknown));
                    if self.token == Token::Live {
                        push(&|it| it.step = Step::Owes(Ended::Returned));
                    }
                }
                Step::Owes(end) if self.session => push(&|it| {
                    it.record(end, without);
                    it.step = Step::Done;
                }),
                _ => {}
            }
            if !self.session && !is_picked {
                // It registers again. A sweep in progress holds the row of the old identity.
                push(&|it| (it.session, it.swept) = (true, false));
            }
            push(&|it| it.process = Process::Stopped);
        }
        if self.process == Process::Stopped {
            push(&|it| it.process = Process::Runs);
        }
        if self.process != Process::Dead {
            push(&|it| (it.process, it.session) = (Process::Dead, false));
        }
        push(&|it| it.session = false);
        match self.token {
            Token::InFlight if time < Time::AfterT || without == Without::Deadline => {
                push(&|it| it.token = Token::Live);
            }
            Token::InFlight => push(&|it| it.token = Token::Over),
            Token::Live if time < Time::AfterT => push(&|it| it.token = Token::Accepted),
            _ => {}
        }
        if self.end == Some(Ended::Unknown) {
            match (self.watch, self.token) {
                (Watch::EveryPoll, Token::Accepted) => push(&|it| it.watch = Watch::Accepted),
                (Watch::EveryPoll, _) if time == Time::AfterT => {
                    push(&|it| it.watch = Watch::ExpiredUnused);
                }
                // The session that a watcher has missed may be gone from the list.
                (Watch::Missed, _) if without == Without::EveryPoll && time == Time::AfterT => {
                    push(&|it| it.watch = Watch::ExpiredUnused);
                }
                (Watch::EveryPoll, _) => {}
                _ => return,
            }
            push(&|it| it.watch = Watch::Missed);
        }
    }
}

impl World {
    fn next(&self, without: Without, mut push: impl FnMut(Self)) {
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut world = *self;
            change(&mut world);
            push(world);
        };
        for (i, instance) in self.instances.iter().enumerate() {
            let is_picked = matches!(self.sweep, Sweep::Picked(picked, _) if picked == i);
            instance.next(self.time, is_picked, without, |changed| {
                push(&|it| it.instances[i] = changed);
            });
            let is_candidate = !instance.swept;
            let is_free = !instance.session || without == Without::Lock;
            if self.sweep == Sweep::Idle && is_candidate {
                if without == Without::SecondSnapshot {
                    push(&|it| it.sweep = Sweep::Read(i, instance.snapshot()));
                } else if is_free {
                    push(&|it| it.sweep = Sweep::Picked(i, None));
                }
            }
        }
        match self.sweep {
            Sweep::Idle => {}
            Sweep::Read(i, snapshot) => {
                push(&|it| it.sweep = Sweep::Idle);
                if !self.instances[i].session {
                    push(&|it| it.sweep = Sweep::Picked(i, snapshot));
                }
            }
            Sweep::Picked(i, snapshot) => {
                // A sweeper that crashes rolls back.
                push(&|it| it.sweep = Sweep::Idle);
                push(&|it| it.commit_sweep(i, snapshot, without));
            }
        }
        match self.time {
            Time::BeforeDeadline => push(&|it| it.time = Time::BeforeT),
            Time::BeforeT => push(&|it| {
                it.time = Time::AfterT;
                for instance in &mut it.instances {
                    if instance.token == Token::Live {
                        instance.token = Token::Over;
                    }
                }
            }),
            Time::AfterT => {}
        }
    }

    fn commit_sweep(&mut self, i: usize, snapshot: Snapshot, without: Without) {
        let instance = &mut self.instances[i];
        let open = match without {
            Without::SecondSnapshot => snapshot,
            _ => instance.snapshot(),
        };
        if let Some(marked) = open {
            let end = if marked {
                Ended::Unknown
            } else {
                Ended::NotSent
            };
            instance.record(end, without);
        }
        instance.swept = true;
        self.sweep = Sweep::Idle;
    }

    /// Returns the world after everything that is left was done: processes that live go on, owed ends are written,
    /// and instances without a process are swept.
    fn settled(mut self, without: Without) -> Self {
        if let Sweep::Picked(i, snapshot) = self.sweep {
            self.commit_sweep(i, snapshot, without);
        }
        for i in 0..self.instances.len() {
            let instance = &mut self.instances[i];
            if instance.process == Process::Dead {
                if !instance.swept {
                    let snapshot = instance.snapshot();
                    self.commit_sweep(i, snapshot, without);
                }
                continue;
            }
            let end = match instance.step {
                Step::Owes(end) => end,
                Step::Begun | Step::Marked => Ended::NotSent,
                Step::Sent => Ended::Unknown,
                Step::New | Step::Done => continue,
            };
            instance.record(end, without);
        }
        self
    }

    /// Returns the same world with its instances in order, because they do not differ.
    fn in_order(mut self) -> Self {
        if self.instances[0] > self.instances[1] {
            self.instances.swap(0, 1);
            if let Sweep::Picked(i, _) | Sweep::Read(i, _) = &mut self.sweep {
                *i = 1 - *i;
            }
        }
        self
    }
}

/// The facts that decide the state of a lease.
type Facts = (Option<Ended>, Option<Ended>, Watch);

/// Returns the state of the lease that the audit derives from the entries of a call.
fn lease((end, late, watch): Facts) -> Option<LeaseState> {
    let call = CallId::create();
    let entry = |end| {
        let end = match end {
            Ended::NotSent => End::Interrupted(Effect::new(Outcome::NotSent)),
            Ended::Unknown => End::Interrupted(Effect::new(Outcome::Unknown)),
            Ended::Returned => End::Returned {
                actor_token_id: "act_1".parse().unwrap(),
                expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)),
            },
        };
        Entry::new(call, Event::End(end))
    };
    let mut entries: Vec<_> = end.into_iter().chain(late).map(entry).collect();
    match watch {
        Watch::Accepted => entries.push(Entry::new(call, Event::FollowUp(FollowUp::Accepted))),
        Watch::ExpiredUnused => {
            entries.push(Entry::new(call, Event::FollowUp(FollowUp::ExpiredUnused)));
        }
        Watch::EveryPoll | Watch::Missed => {}
    }
    LeaseFacts::of(&entries).map(|facts| facts.state)
}

/// Returns what is wrong in a world that was reached from another one.
fn problem(
    before: &World,
    world: &World,
    without: Without,
    leases: &mut HashMap<Facts, Option<LeaseState>>,
) -> Option<&'static str> {
    for (before, now) in before.instances.iter().zip(&world.instances) {
        if before.end.is_some() && before.end != now.end {
            return Some("a call has two ends");
        }
        let facts = (now.end, now.late, now.watch);
        let state = *leases.entry(facts).or_insert_with(|| lease(facts));
        // An open call with the mark will have an end that says `unknown`.
        let is_open = now.begun && now.marked && now.end.is_none();
        let is_accounted = is_open || state.is_some_and(LeaseState::is_live);
        if now.token == Token::Live && !is_accounted {
            return Some("a live token is unaccounted for");
        }
        if now.token == Token::Live && world.time == Time::AfterT {
            return Some("a token is live after T");
        }
        if now.token == Token::Accepted && state == Some(LeaseState::Expired) {
            return Some("a token that was used counts as unused");
        }
    }
    let settled = world.settled(without);
    let is_open = |it: &Instance| it.begun && it.end.is_none();
    let is_any_open = settled.instances.iter().any(is_open);
    is_any_open.then_some("a call has no end")
}

/// Explores every order of events. Returns the number of worlds, or the first problem.
fn explore(without: Without) -> Result<usize, &'static str> {
    let first = World {
        time: Time::BeforeDeadline,
        instances: [NEW; 2],
        sweep: Sweep::Idle,
    };
    let (mut seen, mut leases) = (HashSet::from([first]), HashMap::new());
    let (mut unexplored, mut found) = (vec![first], None);
    while let (Some(world), None) = (unexplored.pop(), found) {
        world.next(without, |next| {
            found = found.or_else(|| problem(&world, &next, without, &mut leases));
            let next = next.in_order();
            if seen.insert(next) {
                unexplored.push(next);
            }
        });
    }
    found.map_or(Ok(seen.len()), Err)
}

#[test]
fn recovery_gives_every_call_one_end_and_accounts_for_every_live_token() {
    let worlds = explore(Without::Nothing).unwrap();
    assert!(worlds > 10_000, "only {worlds} worlds");
    println!("{worlds} worlds");
}

#[test]
fn recovery_without_one_of_its_rules_breaks_a_promise() {
    for without in [
        Without::SecondSnapshot,
        Without::Lock,
        Without::RefusedMark,
        Without::Deadline,
        Without::UniqueEnd,
        Without::EveryPoll,
    ] {
        let found = explore(without);
        println!("{without:?}: {found:?}");
        assert!(found.is_err(), "{without:?} breaks nothing");
    }
}

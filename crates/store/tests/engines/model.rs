//! Random entries of all instances: the chains verify, and reads find the rows that the entries describe.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::{ActorTokenId, Outcome};
use clerk_actor_tokens_policy::audit::{Asked, End, Entry, Event, FollowUp, Note};
use clerk_actor_tokens_store::{
    BeginColumns, CallFilter, CallRow, EndColumns, Flag, Lease, LeaseChange, LeaseFacts,
    LeaseFilter, LeaseState, PAUSED, POLICY_LOADED, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED,
    Settings, millis, setting_of, time,
};
use proptest::prelude::*;
use tokio::sync::Mutex;

use crate::{
    IS_SHARED, Setup,
    entries::{Call, cancelled, effect, failed, refused, returned, returned_until, settled},
};

/// One of the calls in a sequence, and one of its tokens.
pub(crate) const CALLS: usize = 6;
pub(crate) const TOKENS: [&str; 3] = ["act_1", "act_2", "act_3"];
const SESSION: Duration = Duration::from_secs(30 * 60);

pub(crate) fn end() -> impl Strategy<Value = End> {
    let outcome = prop::sample::select(vec![
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Unknown,
        Outcome::Applied,
    ]);
    let kinds = vec!["api", "timeout", "already_accepted", "already_revoked"];
    let kind = prop::sample::select(kinds);
    let token = || prop::sample::select(&TOKENS[..]);
    let over = |token| returned_until(token, SystemTime::now() - 2 * SESSION);
    prop_oneof![
        Just(End::Abandoned),
        Just(refused()),
        token().prop_map(returned),
        token().prop_map(over),
        (kind, outcome.clone()).prop_map(|(kind, outcome)| failed(kind, outcome)),
        (outcome.clone(), prop::option::of(token())).prop_map(|(outcome, token)| {
            cancelled(outcome, token.map(|token| token.parse().unwrap()))
        }),
        outcome.prop_map(|outcome| End::Interrupted(effect(outcome))),
    ]
}

pub(crate) fn follow_up() -> impl Strategy<Value = FollowUp> {
    let words = ["revoked", "accepted", "not_revoked", "unknown", "foreign"];
    let token = prop::option::of(prop::sample::select(&TOKENS[..]));
    prop_oneof![
        Just(FollowUp::Withheld),
        (prop::sample::select(words.to_vec()), token)
            .prop_map(|(word, token)| settled(word, token)),
        Just(FollowUp::Accepted),
        Just(FollowUp::SessionEnded),
        Just(FollowUp::ExpiredUnused),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Sending,
    End(Box<End>),
    FollowUp(FollowUp),
    Note(&'static str),
    /// The entry so many steps before is written again.
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let notes = vec![
        PAUSED,
        RESUMED,
        QUOTA_CLOSED,
        QUOTA_REOPENED,
        POLICY_LOADED,
        "started",
    ];
    prop_oneof![
        2 => Just(Step::Sending),
        4 => end().prop_map(|end| Step::End(Box::new(end))),
        3 => follow_up().prop_map(Step::FollowUp),
        1 => prop::sample::select(notes).prop_map(Step::Note),
        1 => (1_usize..5).prop_map(Step::Again),
    ]
}

/// Returns the entries of steps, each of one of the calls, of which the second half are revokes.
fn entries(steps: Vec<(usize, Step, u64)>) -> Vec<Entry> {
    let calls: Vec<_> = (0..CALLS).map(|_| Call::new()).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for (index, step, ago) in steps {
        let call = calls[index];
        let has =
            |is: fn(&Event) -> bool| entries.iter().any(|it| it.call == call.0 && is(&it.event));
        let has_begun = has(|event| matches!(event, Event::Begin(_)));
        let has_ended = has(|event| matches!(event, Event::End(_)));
        let mut entry = match step {
            Step::Note(note) => Entry::note(Note::new(note).detail("why")),
            Step::Again(back) => {
                let again = entries.iter().rev().nth(back).cloned();
                // A begin and a mark behind an end are refused.
                let is_first = |it: &Entry| matches!(it.event, Event::Begin(_) | Event::Sending);
                entries.extend(again.filter(|it| !is_first(it)));
                continue;
            }
            _ if !has_begun && index < CALLS / 2 => call.create(),
            _ if !has_begun => call.revoke(TOKENS[index % TOKENS.len()]),
            Step::Sending if has_ended => continue,
            Step::Sending => call.sending(),
            Step::End(end) => call.end(*end),
            Step::FollowUp(event) => call.follow_up(event),
        };
        entry.at = time(millis(SystemTime::now() - Duration::from_secs(ago)));
        entries.push(entry);
    }
    entries
}

/// The rows that entries describe, by the types that all stores share.
#[derive(Default)]
struct Model {
    calls: Vec<(CallRow, Vec<Entry>)>,
    settings: HashMap<&'static str, Flag>,
    policy: Option<String>,
}

impl Model {
    fn of(entries: &[Entry]) -> Self {
        let mut model = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let text = |entry| serde_json::to_string(entry).unwrap();
            if !entries[..index]
                .iter()
                .any(|other| text(other) == text(entry))
            {
                model.add(entry);
            }
        }
        model
    }

    fn add(&mut self, entry: &Entry) {
        if let Event::Begin(begin) = &entry.event {
            let of = BeginColumns::of(begin);
            let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
            let row = CallRow {
                call: entry.call,
                began_at: millis(entry.at),
                sending_at: None,
                ended_at: None,
                operation: of.operation.to_owned(),
                principal: owned(of.principal),
                via: owned(of.via),
                actor: owned(of.actor),
                subject: owned(of.subject),
                reason: owned(of.reason),
                policy: owned(of.policy),
                end: None,
                outcome: None,
                code: None,
                rule: None,
                status: None,
                actor_token_id: of.actor_token_id.map(|id| id.parse().unwrap()),
            };
            self.calls.push((row, vec![entry.clone()]));
        } else if let Event::Note(note) = &entry.event {
            if note.note == POLICY_LOADED {
                self.policy.clone_from(&note.detail);
            }
            if let Some((name, is_set)) = setting_of(note) {
                self.settings.remove(name);
                let (since, reason) = (millis(entry.at), note.detail.clone());
                let flag = Flag {
                    since,
                    by: None,
                    reason,
                };
                self.settings.extend(is_set.then_some((name, flag)));
            }
        } else {
            let call = self
                .calls
                .iter_mut()
                .find(|(row, _)| row.call == entry.call);
            let (row, entries) = call.unwrap();
            entries.push(entry.clone());
            match &entry.event {
                Event::Sending => row.sending_at = row.sending_at.or(Some(millis(entry.at))),
                Event::End(end) if row.ended_at.is_none() => {
                    let of = EndColumns::of(end);
                    row.ended_at = Some(millis(entry.at));
                    row.end = Some(of.end.to_owned());
                    row.outcome = Some(of.outcome.as_str().to_owned());
                    row.code = of.code.map(ToOwned::to_owned);
                    row.rule = of.rule.map(ToOwned::to_owned);
                    row.status = of.status;
                }
                _ => {}
            }
        }
    }

    fn calls(&self) -> Vec<CallRow> {
        let rows = self.calls.iter().rev().map(|(row, entries)| {
            // Any of the entries of a create may name its token.
            let facts = LeaseFacts::of(entries);
            let mut named = entries
                .iter()
                .map(|entry| LeaseChange::of(entry).actor_token_id);
            let named = facts
                .and_then(|facts| facts.actor_token_id)
                .or_else(|| named.find_map(|id| id));
            let token = row.actor_token_id.clone().or(named);
            CallRow {
                actor_token_id: token,
                ..row.clone()
            }
        });
        rows.collect()
    }

    fn leases(&self, now: SystemTime) -> Vec<Lease> {
        let creates = self.calls.iter().rev();
        let creates = creates.filter(|(row, _)| row.operation == "create");
        let leases = creates.filter_map(|(row, entries)| {
            let mut facts = LeaseFacts::of(entries)?;
            let token = facts.actor_token_id.clone();
            for revoke in self.revokes(token.as_ref()) {
                facts.revoke(revoke);
            }
            let begins = match (facts.accepted_at, facts.live_until) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let session_until = begins.map(|begins| begins + SESSION);
            let until = match facts.state {
                LeaseState::Lost => facts.live_until,
                _ => session_until,
            };
            let until = until.filter(|until| facts.state.is_live() && *until <= now);
            Some(Lease {
                call: row.call,
                actor_token_id: facts.actor_token_id,
                subject: row.subject.clone()?,
                actor: row.actor.clone()?,
                principal: row.principal.clone(),
                reason: row.reason.clone(),
                created_at: time(row.sending_at.unwrap_or(row.began_at)),
                live_until: facts.live_until.map(|at| time(millis(at))),
                session_until: session_until.map(|at| time(millis(at))),
                state: until.map_or(facts.state, |_| LeaseState::Expired),
                ended_at: until.map(|at| time(millis(at))).or(facts.ended_at),
            })
        });
        leases.collect()
    }

    /// Returns the ends of revokes of a token.
    fn revokes(&self, token: Option<&ActorTokenId>) -> impl Iterator<Item = &Entry> {
        let of_token = move |entry: &Entry| match &entry.event {
            Event::Begin(begin) => {
                matches!(&begin.asked, Asked::Revoke { actor_token_id } if Some(actor_token_id) == token)
            }
            _ => false,
        };
        let revokes = self
            .calls
            .iter()
            .filter(move |(_, entries)| of_token(&entries[0]));
        revokes
            .flat_map(|(_, entries)| entries)
            .filter(|entry| matches!(entry.event, Event::End(_)))
    }

    fn settings(&self) -> Settings {
        Settings {
            paused: self.settings.get("paused").cloned(),
            quota_closed: self.settings.get("quota").cloned(),
            policy: self.policy.clone().filter(|_| IS_SHARED),
        }
    }
}

async fn check(setup: &Setup, entries: &[Entry], batch: usize) {
    for batch in entries.chunks(batch) {
        setup.write(batch).await;
    }
    let model = Model::of(entries);
    let calls = setup.store.calls(CallFilter::default()).await.unwrap();
    assert_eq!(calls.items, model.calls());
    let mut expected = model.leases(SystemTime::now());
    assert_eq!(setup.leases(LeaseFilter::default()).await, expected);
    expected.retain(|lease| lease.state.is_live());
    assert_eq!(setup.leases(LeaseFilter::live()).await, expected);
    let settings = setup.store.settings().await.unwrap();
    assert_eq!(settings, model.settings());
    let records = setup.verify().await;
    assert!(records <= u64::try_from(entries.len()).unwrap());
}

#[test]
fn reads_find_what_the_entries_say() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let setup = Mutex::new(runtime.block_on(Setup::open(None)));
    let steps = prop::collection::vec((0..CALLS, step(), 0_u64..1_000), 1..60);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(32)
    };
    proptest!(config, |(steps in steps, batch in 1_usize..8)| {
        runtime.block_on(async {
            let mut setup = setup.lock().await;
            setup.empty().await;
            check(&setup, &entries(steps), batch).await;
        });
    });
}

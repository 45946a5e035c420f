//! Random sequences of entries: the chain verifies, and the derived tables follow from the records.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens_gateway::store::{
    CallFilter, LeaseFilter, LeaseState, PAUSED, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED,
};
use clerk_actor_tokens_policy::audit::{End, Entry, Event, Note};
use proptest::prelude::*;

use crate::{
    Call, Setup,
    engines::model::{CALLS, TOKENS, end, follow_up},
};

#[derive(Clone, Debug)]
enum Step {
    Create,
    Revoke(&'static str),
    Event(Box<Event>),
    Note(&'static str),
    /// The entry so many steps before is written again.
    Again(usize),
}

fn event(event: Event) -> Step {
    Step::Event(Box::new(event))
}

fn step() -> impl Strategy<Value = Step> {
    let notes = vec![PAUSED, RESUMED, QUOTA_CLOSED, QUOTA_REOPENED, "started"];
    prop_oneof![
        2 => Just(Step::Create),
        2 => prop::sample::select(&TOKENS[..]).prop_map(Step::Revoke),
        1 => Just(Event::Sending).prop_map(event),
        4 => end().prop_map(|end| event(Event::End(end))),
        3 => follow_up().prop_map(|fact| event(Event::FollowUp(fact))),
        1 => prop::sample::select(notes).prop_map(Step::Note),
        1 => (1_usize..5).prop_map(Step::Again),
    ]
}

/// Returns the entries of steps, each of one of the calls, in batches.
fn entries(steps: Vec<(usize, Step, u64)>) -> Vec<Entry> {
    let calls: Vec<_> = (0..CALLS).map(|_| Call::new()).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for (call, step, ago) in steps {
        let call = calls[call];
        let mut entry = match step {
            Step::Create => call.create(),
            Step::Revoke(token) => call.revoke(token),
            Step::Event(event) => Entry::new(call.0, *event),
            Step::Note(note) => Entry::note(Note::new(note)),
            Step::Again(back) => match entries.iter().rev().nth(back) {
                Some(entry) => entry.clone(),
                None => continue,
            },
        };
        entry.at = SystemTime::now() - Duration::from_secs(ago);
        entries.push(entry);
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn derived_tables_follow_from_the_records(
        steps in prop::collection::vec((0..CALLS, step(), 0_u64..1_000), 1..60),
        batch in 1_usize..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let setup = Setup::new();
            let entries = entries(steps);
            for batch in entries.chunks(batch) {
                setup.write(batch).await;
            }
            let leases = setup.store.leases(LeaseFilter::default()).await.unwrap();
            let calls = setup.store.calls(CallFilter::default()).await.unwrap().items;
            // Derives the tables from all records, and compares them.
            prop_assert!(setup.verify().await <= entries.len() as u64);
            setup.store.rebuild().await.unwrap();
            prop_assert_eq!(&setup.store.leases(LeaseFilter::default()).await.unwrap(), &leases);
            let rebuilt = setup.store.calls(CallFilter::default()).await.unwrap().items;
            prop_assert_eq!(rebuilt, calls);

            // A token that may be live is a lease.
            let is_returned = |entry: &&Entry| matches!(entry.event, Event::End(End::Returned { .. }));
            for end in entries.iter().filter(is_returned) {
                let begin = entries.iter().position(|it| {
                    it.call == end.call && matches!(it.event, Event::Begin(_))
                });
                let is_create = begin.is_some_and(|begin| {
                    let end = entries.iter().position(|it| it == end);
                    serde_json::to_string(&entries[begin]).unwrap().contains("\"create\"")
                        && end.is_some_and(|end| begin < end)
                });
                let has_lease = leases.iter().any(|lease| lease.call == end.call);
                prop_assert!(has_lease || !is_create, "{}", end.call);
            }
            // A token that was revoked is not returned any more.
            let has_ended = leases.iter().all(|lease| {
                lease.state != LeaseState::Revoked || lease.ended_at.is_some()
            });
            prop_assert!(has_ended);
            Ok(())
        })?;
    }
}

//! The leases of the tables are those of `LeaseFacts`, in whatever order and by whichever instance entries are written.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_policy::audit::{End, Entry, Event, FollowUp};
use clerk_actor_tokens_postgres::PostgresStore;
use clerk_actor_tokens_store::{LeaseFacts, millis};
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::support::{Admin, Call, Server, effect, failed, returned, settled};

const TOKENS: [&str; 2] = ["act_1", "act_2"];

const SETTLED: [&str; 5] = ["revoked", "accepted", "not_revoked", "unknown", "foreign"];

/// The calls of a sequence: creates, and one revoke of each token and of one more.
const CREATES: usize = 3;
const REVOKES: [&str; 3] = ["act_1", "act_2", "act_1"];

fn end() -> impl Strategy<Value = Event> {
    let outcome = prop::sample::select(vec![
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Unknown,
        Outcome::Applied,
    ]);
    let kind = prop::sample::select(vec!["api", "already_accepted", "already_revoked"]);
    let end = prop_oneof![
        Just(End::Abandoned),
        prop::sample::select(&TOKENS[..]).prop_map(returned),
        (kind, outcome.clone()).prop_map(|(kind, outcome)| failed(kind, outcome)),
        outcome.prop_map(|outcome| End::Interrupted(effect(outcome))),
    ];
    end.prop_map(Event::End)
}

fn follow_up() -> impl Strategy<Value = Event> {
    let token = prop::option::of(prop::sample::select(&TOKENS[..]));
    let follow_up = prop_oneof![
        Just(FollowUp::Withheld),
        (prop::sample::select(&SETTLED[..]), token).prop_map(|(word, token)| settled(word, token)),
        Just(FollowUp::Accepted),
        Just(FollowUp::SessionEnded),
        Just(FollowUp::ExpiredUnused),
    ];
    follow_up.prop_map(Event::FollowUp)
}

/// Returns the leases as `LeaseFacts` has them: the call, its token, its times and its state.
fn expected(entries: &[Entry]) -> Vec<String> {
    let mut of_calls: HashMap<_, Vec<Entry>> = HashMap::new();
    for entry in entries {
        of_calls.entry(entry.call).or_default().push(entry.clone());
    }
    let is =
        |word: &str, call: &[Entry]| serde_json::to_value(&call[0]).unwrap()["operation"] == *word;
    let mut leases = Vec::new();
    for (call, own) in of_calls.iter().filter(|(_, own)| is("create", own)) {
        let Some(mut facts) = LeaseFacts::of(own) else {
            continue;
        };
        let id = facts.actor_token_id.as_ref().map(ToString::to_string);
        for revoke in of_calls.values().filter(|it| is("revoke", it)) {
            let token = serde_json::to_value(&revoke[0]).unwrap()["actor_token_id"].clone();
            if token.as_str().map(str::to_owned) == id {
                revoke.iter().for_each(|entry| facts.revoke(entry));
            }
        }
        let time = |time: Option<SystemTime>| time.map(millis);
        let (live, accepted) = (time(facts.live_until), time(facts.accepted_at));
        leases.push(format!(
            "{call} {id:?} {} {live:?} {accepted:?} {} {:?}",
            millis(facts.known_at),
            facts.state.as_str(),
            time(facts.ended_at),
        ));
    }
    leases.sort();
    leases
}

async fn found(admin: &Admin) -> Vec<String> {
    let sql = "SELECT call, actor_token_id, known_at, live_until, accepted_at, state::text, ended_at FROM leases";
    let rows = admin.0.query(sql, &[]).await.unwrap();
    let leases = rows.iter().map(|row| {
        let [call, state] = [0, 5].map(|column| row.get::<_, String>(column));
        let [live, accepted, ended] = [3, 4, 6].map(|column| row.get::<_, Option<i64>>(column));
        let (id, known) = (row.get::<_, Option<String>>(1), row.get::<_, i64>(2));
        format!("{call} {id:?} {known} {live:?} {accepted:?} {state} {ended:?}")
    });
    let mut leases: Vec<_> = leases.collect();
    leases.sort();
    leases
}

async fn check(
    stores: &[PostgresStore; 2],
    admin: &Admin,
    steps: Vec<(usize, Event, u64, usize)>,
) -> Result<(), TestCaseError> {
    admin.0.batch_execute("TRUNCATE calls").await.unwrap();
    let calls = [(); CREATES + REVOKES.len()].map(|()| Call::new());
    let mut entries: Vec<_> = calls[..CREATES].iter().map(|call| call.create()).collect();
    let revokes = calls[CREATES..].iter().zip(REVOKES);
    entries.extend(revokes.map(|(call, token)| call.revoke(token)));
    stores[0].write(entries.clone()).await.unwrap();
    for (call, event, ago, store) in steps {
        let mut entry = Entry::new(calls[call].0, event);
        entry.at = SystemTime::now() - Duration::from_secs(ago);
        stores[store].write(vec![entry.clone()]).await.unwrap();
        entries.push(entry);
    }
    prop_assert_eq!(found(admin).await, expected(&entries));
    Ok(())
}

#[test]
fn leases_are_those_of_the_facts() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, stores, admin) = runtime.block_on(async {
        let server = Server::start();
        let stores = [server.connect().await, server.connect().await];
        let admin = server.admin().await;
        (server, stores, admin)
    });
    let step = (
        0..CREATES + REVOKES.len(),
        prop_oneof![end(), follow_up()],
        0..5_u64,
        0..2_usize,
    );
    let steps = prop::collection::vec(step, 1..20);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&steps, |steps| {
        runtime.block_on(check(&stores, &admin, steps))
    });
    result.unwrap();
}

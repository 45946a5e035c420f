//! Filters and pages find the calls and leases that they name, of all instances.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken, Outcome};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{End, Entry, FollowUp, Note},
};
use clerk_actor_tokens_postgres::{PostgresError, PostgresStore};
use clerk_actor_tokens_store::{
    CallFilter, LeaseFilter, LeaseState, PAUSED, POLICY_LOADED, QUOTA_CLOSED, QUOTA_REOPENED,
    RESUMED, Settings,
};

use crate::{
    HOUR, returned_until,
    support::{Call, Server, effect, id, returned, until},
};

fn request(subject: &str, actor: &str, reason: &str) -> ActorTokenRequest {
    let actor = Actor::new(actor).claim("reason", reason);
    let mut request: ActorTokenRequest = CreateActorToken::new(subject, actor).into();
    request
        .extensions_mut()
        .insert(Principal::new("support").via("key"));
    request
}

fn created(request: &ActorTokenRequest, token: &str, ago: Duration) -> Vec<Entry> {
    let call = Call::new();
    let mut entries = vec![call.begin(request), call.end(returned(token))];
    for entry in &mut entries {
        entry.at -= ago;
    }
    entries
}

/// The calls of two instances.
async fn setup() -> (Server, PostgresStore) {
    let server = Server::start();
    let (store, other) = (server.connect().await, server.connect().await);
    let one = request("user_1", "user_admin", "ticket 100% sure_ly");
    let two = request("user_12", "user_admin", "it's a \"quote\" \\ or ;--");
    let three = request("user_2", "user_else", "Ticket");
    store.write(created(&one, "act_1", HOUR)).await.unwrap();
    other.write(created(&two, "act_2", HOUR)).await.unwrap();
    store.write(created(&three, "act_3", HOUR)).await.unwrap();
    other
        .write(Call::new().revoked("act_3").into())
        .await
        .unwrap();
    other.write(vec![Call::new().create()]).await.unwrap();
    (server, store)
}

/// Returns the tokens of the calls that a filter finds, oldest first.
async fn found(store: &PostgresStore, filter: CallFilter) -> Vec<String> {
    let page = store.calls(filter).await.unwrap();
    let tokens = page.items.iter().rev();
    let tokens = tokens.map(|row| match &row.actor_token_id {
        Some(id) => id.as_str().to_owned(),
        None => "open".to_owned(),
    });
    tokens.collect()
}

macro_rules! filter {
    ($type:ident { $($field:ident: $value:expr),* }) => {
        $type { $($field: Some($value.into()),)* ..$type::default() }
    };
}

#[tokio::test]
async fn filter_finds_the_calls_that_it_describes() {
    let (_server, store) = setup().await;
    let half_an_hour_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - HOUR / 2;
    let half_an_hour_ago = u64::try_from(half_an_hour_ago.as_millis()).unwrap();
    let long = "user_1".repeat(1_000);
    let cases: [(CallFilter, &[&str]); 22] = [
        (
            CallFilter::default(),
            &["act_1", "act_2", "act_3", "act_3", "open"],
        ),
        (
            filter!(CallFilter { subject: "user_1" }),
            &["act_1", "act_2"],
        ),
        (filter!(CallFilter { subject: "user_12" }), &["act_2"]),
        (filter!(CallFilter { subject: "USER" }), &[]),
        (filter!(CallFilter { subject: "user%" }), &[]),
        (filter!(CallFilter { subject: "user\0" }), &[]),
        (filter!(CallFilter { subject: long }), &[]),
        (
            filter!(CallFilter {
                actor: "user_admin",
                subject: "user_2"
            }),
            &[],
        ),
        (filter!(CallFilter { actor: "user_else" }), &["act_3"]),
        (
            filter!(CallFilter { principal: "supp" }),
            &["act_1", "act_2", "act_3"],
        ),
        (filter!(CallFilter { text: "ticket" }), &["act_1", "act_3"]),
        (filter!(CallFilter { text: "100%" }), &["act_1"]),
        (filter!(CallFilter { text: "1%0" }), &[]),
        (filter!(CallFilter { text: "sure_ly" }), &["act_1"]),
        (filter!(CallFilter { text: "su_e" }), &[]),
        (
            filter!(CallFilter {
                text: "it's a \"quote\" \\ or ;--"
            }),
            &["act_2"],
        ),
        (
            filter!(CallFilter {
                operation: "revoke"
            }),
            &["act_3"],
        ),
        (filter!(CallFilter { end: "open" }), &["open"]),
        (filter!(CallFilter { end: "failed" }), &[]),
        (
            filter!(CallFilter {
                since: half_an_hour_ago
            }),
            &["act_3", "open"],
        ),
        (filter!(CallFilter { since: u64::MAX }), &[]),
        (
            filter!(CallFilter {
                until: half_an_hour_ago,
                end: "returned"
            }),
            &["act_1", "act_2", "act_3"],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&store, filter.clone()).await, expected, "{filter:?}");
    }
    let filter = filter!(CallFilter {
        before: "1; DROP TABLE calls"
    });
    let error = store.calls(filter).await.unwrap_err();
    assert!(matches!(error, PostgresError::Cursor), "{error}");
}

#[tokio::test]
async fn long_values_are_recorded_and_found_by_their_prefix() {
    let server = Server::start();
    let store = server.connect().await;
    // Random, so that PostgreSQL cannot compress it into the space of an index.
    let long: String = (0..2_000).map(|_| Call::new().0.to_string()).collect();
    let [subject, actor] = ["s", "a"].map(|first| first.to_owned() + &long);
    let entries = created(&request(&subject, &actor, &long), "act_1", HOUR);
    store.write(entries).await.unwrap();
    for length in [1, 255, 256, 257, 300, subject.len()] {
        let (user, by) = (&subject[..length], &actor[..length]);
        let filter = filter!(CallFilter {
            subject: user,
            actor: by
        });
        assert_eq!(found(&store, filter).await, ["act_1"], "{length}");
        let other = filter!(CallFilter {
            subject: user.to_owned() + "-"
        });
        assert!(found(&store, other).await.is_empty(), "{length}");
    }
    let leases = store.leases(LeaseFilter {
        subject: Some(subject),
        ..LeaseFilter::default()
    });
    assert_eq!(leases.await.unwrap().len(), 1);
}

#[tokio::test]
async fn pages_have_every_call_once_and_all_leases_are_found() {
    let server = Server::start();
    let stores = [server.connect().await, server.connect().await];
    let calls: Vec<_> = (0..205).map(|_| Call::new()).collect();
    for (index, part) in calls.chunks(41).enumerate() {
        let entries = part.iter().map(|call| call.create()).collect();
        stores[index % 2].write(entries).await.unwrap();
    }
    for limit in [None, Some(1_000), Some(100), Some(41)] {
        let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let filter = CallFilter {
                before,
                limit,
                ..CallFilter::default()
            };
            let page = stores[0].calls(filter).await.unwrap();
            found.extend(page.items.iter().map(|row| row.call));
            pages += 1;
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let expected: Vec<_> = calls.iter().rev().map(|call| call.0).collect();
        assert_eq!(found, expected);
        let size = limit.unwrap_or(200).min(200);
        assert_eq!(pages, 205_u32.div_ceil(size));
    }
    let ends = calls.iter().map(|call| call.end(returned("act_1")));
    stores[1].write(ends.collect()).await.unwrap();
    let leases = stores[0].leases(LeaseFilter::live()).await.unwrap();
    assert_eq!(leases.len(), 205);
}

#[tokio::test]
async fn filter_finds_the_leases_that_it_describes() {
    let (_server, store) = setup().await;
    let [now, before] = [SystemTime::now(), SystemTime::now() - HOUR / 2];
    let cases: [(LeaseFilter, &[&str]); 11] = [
        (LeaseFilter::default(), &["act_3", "act_2", "act_1"]),
        (filter!(LeaseFilter { subject: "user_1" }), &["act_1"]),
        (
            filter!(LeaseFilter {
                actor: "user_admin"
            }),
            &["act_2", "act_1"],
        ),
        (filter!(LeaseFilter { actor: "user" }), &[]),
        (
            filter!(LeaseFilter {
                actor_token_id: id("act_2")
            }),
            &["act_2"],
        ),
        (
            filter!(LeaseFilter {
                state: LeaseState::Revoked
            }),
            &["act_3"],
        ),
        (
            filter!(LeaseFilter {
                state: LeaseState::Returned
            }),
            &["act_2", "act_1"],
        ),
        (
            filter!(LeaseFilter {
                since: now - 2 * HOUR,
                limit: 2_u32
            }),
            &["act_3", "act_2"],
        ),
        (filter!(LeaseFilter { since: before }), &[]),
        (LeaseFilter::live(), &["act_2", "act_1"]),
        (
            LeaseFilter {
                limit: Some(u32::MAX),
                ..LeaseFilter::live()
            },
            &["act_2", "act_1"],
        ),
    ];
    for (filter, expected) in cases {
        let leases = store.leases(filter.clone()).await.unwrap();
        let ids = leases.iter().map(|lease| lease.actor_token_id.as_ref());
        let ids: Vec<_> = ids.map(|id| id.unwrap().as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    let states = store.live_states().await.unwrap();
    assert_eq!(states, [LeaseState::Returned; 2]);
    // A revoked token counts, too.
    let minted = async |since| store.minted_since(since).await.unwrap();
    assert_eq!((minted(now - 2 * HOUR).await, minted(before).await), (3, 0));
}

#[tokio::test]
async fn live_lease_is_found_until_its_session_may_end() {
    let server = Server::start();
    let store = server
        .config()
        .session_lifetime(HOUR)
        .connect()
        .await
        .unwrap();
    let now = SystemTime::now();
    let request = |lifetime| {
        let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
        match lifetime {
            Some(lifetime) => create.session_max_duration(lifetime).into(),
            None => create.into(),
        }
    };
    let cases = [
        (None, HOUR / 2, true),
        (None, 2 * HOUR, false),
        (Some(3 * HOUR), 2 * HOUR, true),
        (Some(HOUR / 4), HOUR / 2, false),
    ];
    for (lifetime, ago, is_live) in cases {
        let call = Call::new();
        let end = call.end(returned_until("act_1", now - ago));
        store
            .write(vec![call.begin(&request(lifetime)), end])
            .await
            .unwrap();
        let live = store.leases(LeaseFilter {
            call: Some(call.0),
            ..LeaseFilter::live()
        });
        assert_eq!(
            live.await.unwrap().len(),
            usize::from(is_live),
            "{lifetime:?} {ago:?}"
        );
        let leases = store
            .leases(filter!(LeaseFilter { call: call.0 }))
            .await
            .unwrap();
        assert_eq!(leases[0].state == LeaseState::Expired, !is_live);
        assert_eq!(
            leases[0].ended_at,
            leases[0].session_until.filter(|_| !is_live)
        );
    }
    // The response of a lost token was lost, so that it has no session.
    let call = Call::new();
    let mut effect = effect(Outcome::Unknown);
    effect.exposed_until = Some(now - HOUR / 4);
    store
        .write(vec![call.create(), call.end(End::Interrupted(effect))])
        .await
        .unwrap();
    let live = store.leases(LeaseFilter {
        call: Some(call.0),
        ..LeaseFilter::live()
    });
    assert!(live.await.unwrap().is_empty());
}

#[tokio::test]
async fn call_is_read_with_the_entries_that_any_instance_recorded() {
    let server = Server::start();
    let (store, other, call) = (server.connect().await, server.connect().await, Call::new());
    let entries = call.returned("act_1");
    let accepted = call.follow_up(FollowUp::Accepted);
    store.write(entries.to_vec()).await.unwrap();
    other.write(vec![accepted]).await.unwrap();
    let detail = store.call(call.0).await.unwrap().unwrap();
    assert_eq!((detail.row.call, detail.entries.len()), (call.0, 4));
    let texts = |entries: &[Entry]| serde_json::to_string(entries).unwrap();
    assert_eq!(texts(&detail.entries[..3]), texts(&entries));
    assert!(store.call(Call::new().0).await.unwrap().is_none());
}

#[tokio::test]
async fn notes_of_any_instance_change_the_settings() {
    let server = Server::start();
    let stores = [server.connect().await, server.connect().await];
    let note = async |store: usize, note: Note| {
        stores[store].write(vec![Entry::note(note)]).await.unwrap();
    };
    let settings = async || stores[0].settings().await.unwrap();
    note(0, Note::new("started")).await;
    assert_eq!(settings().await, Settings::default());
    let by = Principal::new("user_admin").via("console");
    note(0, Note::new(PAUSED).by(by).detail("incident 12")).await;
    note(1, Note::new(QUOTA_CLOSED)).await;
    note(0, Note::new(POLICY_LOADED).detail("one")).await;
    note(1, Note::new(POLICY_LOADED).detail("two")).await;
    let set = settings().await;
    let paused = set.paused.unwrap();
    assert_eq!(paused.by.as_deref(), Some("user_admin"));
    assert_eq!(paused.reason.as_deref(), Some("incident 12"));
    assert_eq!(set.policy.as_deref(), Some("two"));
    assert!(paused.since > 0 && set.quota_closed.unwrap().by.is_none());
    note(1, Note::new(RESUMED)).await;
    let set = settings().await;
    assert!(set.paused.is_none() && set.quota_closed.is_some());
    note(0, Note::new(QUOTA_REOPENED)).await;
    assert!(settings().await.quota_closed.is_none());
}

#[tokio::test]
async fn reads_go_on_after_a_restart_of_the_server() {
    let mut server = Server::start_with(&[]);
    let store = server.connect().await;
    let entries = Call::new().returned("act_1");
    store.write(entries.into()).await.unwrap();
    assert_eq!(found(&store, CallFilter::default()).await, ["act_1"]);
    server.restart();
    until(async || store.calls(CallFilter::default()).await.is_ok()).await;
    assert_eq!(found(&store, CallFilter::default()).await, ["act_1"]);
}

//! Filters and pages find the calls and leases that they name, of all instances.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken, Outcome};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{End, Entry, FollowUp},
};
use clerk_actor_tokens_store::{CallFilter, LeaseFilter, LeaseState};

use crate::{
    Setup,
    entries::{Call, HOUR, effect, id, returned, returned_until},
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

async fn setup() -> Setup {
    let setup = Setup::open(None).await;
    let one = request("user_1", "user_admin", "ticket 100% sure_ly");
    let two = request("user_12", "user_admin", "it's a \"quote\" \\ or ;--");
    let three = request("user_2", "user_else", "Ticket");
    for (token, request) in [("act_1", one), ("act_2", two), ("act_3", three)] {
        setup.write(created(&request, token, HOUR)).await;
    }
    setup.write(Call::new().revoked("act_3")).await;
    setup.write([Call::new().create()]).await;
    setup
}

/// Returns the tokens of the calls that a filter finds, oldest first.
async fn found(setup: &Setup, filter: CallFilter) -> Vec<String> {
    let page = setup.store.calls(filter).await.unwrap();
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
    let setup = setup().await;
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
        assert_eq!(found(&setup, filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn cursor_of_no_page_is_an_error() {
    let filter = filter!(CallFilter {
        before: "1; DROP TABLE calls"
    });
    let setup = Setup::open(None).await;
    let error = setup.store.calls(filter).await.unwrap_err().to_string();
    assert_eq!(error, "`before` is not the `next` of a page");
}

#[tokio::test]
async fn long_values_are_recorded_and_found_by_their_prefix() {
    let setup = Setup::open(None).await;
    // Random, so that PostgreSQL cannot compress it into the space of an index.
    let long: String = (0..2_000).map(|_| Call::new().0.to_string()).collect();
    let [subject, actor] = ["s", "a"].map(|first| first.to_owned() + &long);
    let entries = created(&request(&subject, &actor, &long), "act_1", HOUR);
    setup.write(entries).await;
    for length in [1, 255, 256, 257, 300, subject.len()] {
        let (user, by) = (&subject[..length], &actor[..length]);
        let filter = filter!(CallFilter {
            subject: user,
            actor: by
        });
        assert_eq!(found(&setup, filter).await, ["act_1"], "{length}");
        let other = filter!(CallFilter {
            subject: user.to_owned() + "-"
        });
        assert!(found(&setup, other).await.is_empty(), "{length}");
    }
    let leases = setup.leases(filter!(LeaseFilter { subject: &*subject }));
    assert_eq!(leases.await.len(), 1);
}

#[tokio::test]
async fn pages_have_every_call_once_and_all_leases_are_found() {
    let setup = Setup::open(None).await;
    let calls: Vec<_> = (0..205).map(|_| Call::new()).collect();
    for part in calls.chunks(41) {
        let entries = part.iter().map(|call| call.create());
        setup.write(entries.collect::<Vec<_>>()).await;
    }
    for limit in [None, Some(1_000), Some(100), Some(41)] {
        let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let filter = CallFilter {
                before,
                limit,
                ..CallFilter::default()
            };
            let page = setup.store.calls(filter).await.unwrap();
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
    setup.write(ends.collect::<Vec<_>>()).await;
    assert_eq!(setup.leases(LeaseFilter::live()).await.len(), 205);
}

#[tokio::test]
async fn filter_finds_the_leases_that_it_describes() {
    let setup = setup().await;
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
        let leases = setup.leases(filter.clone()).await;
        let ids = leases.iter().map(|lease| lease.actor_token_id.as_ref());
        let ids: Vec<_> = ids.map(|id| id.unwrap().as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    let states = setup.store.live_states().await.unwrap();
    assert_eq!(states, [LeaseState::Returned; 2]);
    // A revoked token counts, too.
    let minted = async |since| setup.store.minted_since(since).await.unwrap();
    assert_eq!((minted(now - 2 * HOUR).await, minted(before).await), (3, 0));
}

#[tokio::test]
async fn lease_since_a_time_may_have_begun_before_it() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    let mut entries = call.returned("act_1");
    for entry in &mut entries[..2] {
        entry.at -= HOUR;
    }
    let sending_at = entries[1].at;
    setup.write(entries).await;
    let half_an_hour_ago = SystemTime::now() - HOUR / 2;
    let filter = filter!(LeaseFilter {
        since: half_an_hour_ago
    });
    let leases = setup.leases(filter).await;
    let age = leases[0].created_at.duration_since(sending_at);
    assert!(age.is_err() || age.unwrap() < Duration::from_millis(1));
}

#[tokio::test]
async fn lease_is_live_until_its_session_may_end() {
    let now = SystemTime::now();
    // The lifetime of the session in the request, the time since the token expired, and whether the lease is live.
    let an_hour = [
        (None, HOUR / 2, true),
        (None, 2 * HOUR, false),
        (Some(3 * HOUR), 2 * HOUR, true),
        (Some(HOUR / 4), HOUR / 2, false),
    ];
    let half_an_hour = [(None, HOUR / 4, true), (None, HOUR, false)];
    for (lifetime, cases) in [(Some(HOUR), &an_hour[..]), (None, &half_an_hour)] {
        let setup = Setup::open(lifetime).await;
        for &(lifetime, ago, is_live) in cases {
            let call = Call::new();
            let create = CreateActorToken::new("user_subject", Actor::new("user_admin"));
            let request = match lifetime {
                Some(lifetime) => create.session_max_duration(lifetime).into(),
                None => create.into(),
            };
            let end = call.end(returned_until("act_1", now - ago));
            setup.write([call.begin(&request), end]).await;
            let live = setup.leases(LeaseFilter {
                call: Some(call.0),
                ..LeaseFilter::live()
            });
            let live = live.await.len();
            assert_eq!(live, usize::from(is_live), "{lifetime:?} {ago:?}");
            let lease = setup.lease_of(call).await.unwrap();
            let state = match is_live {
                true => LeaseState::Returned,
                false => LeaseState::Expired,
            };
            assert_eq!(lease.state, state);
            assert_eq!(lease.ended_at, lease.session_until.filter(|_| !is_live));
        }
    }
}

#[tokio::test]
async fn lost_token_has_no_session_because_its_response_was_lost() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    let mut effect = effect(Outcome::Unknown);
    effect.exposed_until = Some(SystemTime::now() - HOUR / 4);
    let end = call.end(End::Interrupted(effect));
    setup.write([call.create(), end]).await;
    assert_eq!(setup.state().await, Some(LeaseState::Expired));
    assert!(setup.leases(LeaseFilter::live()).await.is_empty());
}

#[tokio::test]
async fn call_is_read_with_the_entries_that_any_instance_recorded() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    let entries = call.returned("act_1");
    setup.write(entries.clone()).await;
    setup.write([call.follow_up(FollowUp::Accepted)]).await;
    let detail = setup.store.call(call.0).await.unwrap().unwrap();
    assert_eq!((detail.row.call, detail.entries.len()), (call.0, 4));
    let texts = |entries: &[Entry]| serde_json::to_string(entries).unwrap();
    assert_eq!(texts(&detail.entries[..3]), texts(&entries));
    assert!(setup.store.call(Call::new().0).await.unwrap().is_none());
}

#[tokio::test]
async fn begin_of_a_call_is_recorded_once() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    setup.write([call.create()]).await;
    let mut again = call.create();
    again.at += HOUR;
    setup.write([again, call.sending()]).await;
    setup.write([call.end(returned("act_1"))]).await;
    assert_eq!(setup.verify().await, 3);
}

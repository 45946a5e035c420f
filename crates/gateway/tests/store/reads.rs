//! Filters and pages find the calls and leases that they name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
use clerk_actor_tokens_gateway::store::{CallFilter, LeaseFilter, LeaseState, StoreError};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{Asked, End, Entry, FollowUp},
};

use crate::{Call, HOUR, Setup, id, returned};

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
    let setup = Setup::new();
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
    let tokens = page
        .items
        .iter()
        .rev()
        .map(|row| match &row.actor_token_id {
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
    let cases: [(CallFilter, &[&str]); 17] = [
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
        (
            filter!(CallFilter {
                since: half_an_hour_ago
            }),
            &["act_3", "open"],
        ),
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
async fn pages_have_every_call_once() {
    let setup = Setup::new();
    let calls: Vec<_> = (0..205).map(|_| Call::new()).collect();
    setup
        .write(calls.iter().map(|call| call.create()).collect::<Vec<_>>())
        .await;
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
}

#[tokio::test]
async fn cursor_of_no_page_is_an_error() {
    let filter = filter!(CallFilter {
        before: "1; DROP TABLE calls"
    });
    let error = Setup::new().store.calls(filter).await.unwrap_err();
    assert!(matches!(error, StoreError::Cursor), "{error}");
}

#[tokio::test]
async fn filter_finds_the_leases_that_it_describes() {
    let setup = setup().await;
    let cases: [(LeaseFilter, &[&str]); 10] = [
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
                since: SystemTime::now() - 2 * HOUR,
                limit: 2_u32
            }),
            &["act_3", "act_2"],
        ),
        (
            filter!(LeaseFilter {
                since: SystemTime::now() - HOUR / 2
            }),
            &[],
        ),
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
        let leases = setup.store.leases(filter.clone()).await.unwrap();
        let ids: Vec<_> = leases
            .iter()
            .map(|lease| lease.actor_token_id.as_ref().unwrap().as_str())
            .collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn lease_since_a_time_may_have_begun_before_it() {
    let (setup, call) = (Setup::new(), Call::new());
    let mut entries = call.returned("act_1");
    for entry in &mut entries[..2] {
        entry.at -= HOUR;
    }
    let sending_at = entries[1].at;
    setup.write(entries).await;
    let filter = filter!(LeaseFilter {
        since: SystemTime::now() - HOUR / 2
    });
    let leases = setup.store.leases(filter).await.unwrap();
    let age = leases[0].created_at.duration_since(sending_at);
    assert!(age.is_err() || age.unwrap() < Duration::from_millis(1));
}

#[tokio::test]
async fn tokens_are_counted_since_a_time() {
    let setup = setup().await;
    let count = async |ago| {
        setup
            .store
            .minted_since(SystemTime::now() - ago)
            .await
            .unwrap()
    };
    // A revoked token counts, too.
    assert_eq!((count(2 * HOUR).await, count(HOUR / 2).await), (3, 0));
}

#[tokio::test]
async fn open_calls_are_those_without_an_end() {
    let (setup, create, revoke) = (Setup::new(), Call::new(), Call::new());
    setup.write(Call::new().returned("act_1")).await;
    setup
        .write([create.create(), create.sending(), revoke.revoke("act_1")])
        .await;
    let open = setup.store.open_calls().await.unwrap();
    let [newest, oldest] = &open[..] else {
        panic!("{open:?}");
    };
    assert_eq!((newest.call, oldest.call), (revoke.0, create.0));
    assert!(
        matches!(&newest.begin.asked, Asked::Revoke { actor_token_id } if *actor_token_id == "act_1")
    );
    assert!(newest.sending_at.is_none() && oldest.sending_at.is_some());
    let ends = open.iter().map(|open| Call(open.call).end(End::Abandoned));
    setup.write(ends.collect::<Vec<_>>()).await;
    assert!(setup.store.open_calls().await.unwrap().is_empty());
}

#[tokio::test]
async fn call_is_read_with_its_entries() {
    let (setup, call) = (Setup::new(), Call::new());
    setup.write(call.returned("act_1")).await;
    setup.write([call.follow_up(FollowUp::Accepted)]).await;
    let detail = setup.store.call(call.0).await.unwrap().unwrap();
    assert_eq!((detail.row.call, detail.entries.len()), (call.0, 4));
    assert!(setup.store.call(Call::new().0).await.unwrap().is_none());
}

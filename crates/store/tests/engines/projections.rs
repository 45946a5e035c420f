//! Each end of a create, and each fact that follows, makes the lease that it should.

use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken, Outcome};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{End, Entry, FollowUp, Note},
};
use clerk_actor_tokens_store::{
    CallFilter, LeaseFilter, LeaseState, PAUSED, POLICY_LOADED, QUOTA_CLOSED, QUOTA_REOPENED,
    RESUMED, Settings,
};

use crate::{
    IS_SHARED, Setup,
    entries::{Call, HOUR, effect, failed, id, in_an_hour, refused, returned, settled},
};
use LeaseState::{Accepted, Expired, Lost, Returned, Revoked, SessionEnded};

/// Returns all facts that may follow, each with the state of a lease after it.
fn facts() -> Vec<(FollowUp, LeaseState)> {
    vec![
        (FollowUp::Withheld, Lost),
        (settled("revoked", Some("act_1")), Revoked),
        (settled("accepted", Some("act_1")), Accepted),
        (settled("not_revoked", Some("act_1")), Lost),
        (settled("unknown", None), Lost),
        (settled("foreign", Some("act_other")), Lost),
        (FollowUp::Accepted, Accepted),
        (FollowUp::SessionEnded, SessionEnded),
        (FollowUp::ExpiredUnused, Expired),
    ]
}

#[tokio::test]
async fn end_and_fact_of_a_create_make_its_lease() {
    let ends = [
        (End::Abandoned, None),
        (refused(), None),
        (returned("act_1"), Some(Returned)),
        (failed("connect", Outcome::NotSent), None),
        (failed("api", Outcome::Rejected), None),
        (failed("timeout", Outcome::Unknown), Some(Lost)),
        (failed("unreadable_response", Outcome::Applied), Some(Lost)),
        (End::Cancelled(effect(Outcome::NotSent)), None),
        (End::Cancelled(effect(Outcome::Unknown)), Some(Lost)),
        (End::Panicked(effect(Outcome::Applied)), Some(Lost)),
        (End::Interrupted(effect(Outcome::NotSent)), None),
        (End::Interrupted(effect(Outcome::Unknown)), Some(Lost)),
    ];
    let setup = Setup::open(None).await;
    let state = async |call| setup.lease_of(call).await.map(|lease| lease.state);
    for (end, expected) in ends {
        let call = Call::new();
        setup.write([call.create(), call.sending()]).await;
        assert_eq!(state(call).await, None, "an open call has no lease");
        setup.write([call.end(end.clone())]).await;
        assert_eq!(state(call).await, expected, "{end:?}");
        for (fact, after) in facts() {
            let expected = expected.map(|_| after);
            for is_late in [false, true] {
                let call = Call::new();
                let mut entries = vec![
                    call.create(),
                    call.sending(),
                    call.end(end.clone()),
                    call.follow_up(fact.clone()),
                ];
                if is_late {
                    // An end that waited in a spool comes after the fact.
                    entries.swap(2, 3);
                }
                setup.write(entries).await;
                assert_eq!(state(call).await, expected, "{end:?} {fact:?} {is_late}");
            }
        }
    }
}

#[tokio::test]
async fn end_of_a_revoke_changes_the_lease_of_its_token() {
    let revokes = [
        (returned("act_1"), Revoked),
        (failed("already_revoked", Outcome::Rejected), Revoked),
        (failed("already_accepted", Outcome::Rejected), Accepted),
        (failed("api", Outcome::Rejected), Returned),
        (failed("timeout", Outcome::Unknown), Returned),
        (End::Cancelled(effect(Outcome::Unknown)), Returned),
        (End::Abandoned, Returned),
    ];
    let setup = Setup::open(None).await;
    for (index, (end, state)) in revokes.into_iter().enumerate() {
        for is_first in [false, true] {
            let (create, revoke) = (Call::new(), Call::new());
            let token = format!("act_{index}_{is_first}");
            let [begin, sending, minted] = create.returned(&token);
            setup.write([begin, sending]).await;
            let mut rest = vec![
                minted,
                revoke.revoke(&token),
                revoke.sending(),
                revoke.end(end.clone()),
            ];
            if is_first {
                // The end of the create waited in a spool.
                rest.rotate_left(1);
            }
            setup.write(rest).await;
            let lease = setup.lease_of(create).await.unwrap();
            assert_eq!(lease.state, state, "{end:?} {is_first}");
            assert_eq!(lease.ended_at.is_some(), state == Revoked);
        }
    }
}

#[tokio::test]
async fn revoke_of_another_token_changes_no_lease() {
    let setup = Setup::open(None).await;
    setup.write(Call::new().returned("act_1")).await;
    setup.write(Call::new().revoked("act_2")).await;
    assert_eq!(setup.state().await, Some(Returned));
}

#[tokio::test]
async fn lost_token_is_known_by_the_id_that_settling_found() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    let end = call.end(failed("timeout", Outcome::Unknown));
    setup.write([call.create(), call.sending(), end]).await;
    assert_eq!(setup.lease().await.unwrap().actor_token_id, None);
    let foreign = call.follow_up(settled("foreign", Some("act_other")));
    setup.write([foreign]).await;
    assert_eq!(setup.lease().await.unwrap().actor_token_id, None);
    let found = call.follow_up(settled("not_revoked", Some("act_1")));
    setup.write([found]).await;
    let lease = setup.lease().await.unwrap();
    assert_eq!(lease.actor_token_id, Some(id("act_1")));
    assert_eq!((lease.state, lease.live_until), (Lost, Some(in_an_hour())));
    let calls = setup.store.calls(CallFilter::default()).await.unwrap();
    assert_eq!(calls.items[0].actor_token_id, lease.actor_token_id);
    setup.write(Call::new().revoked("act_1")).await;
    assert_eq!(setup.state().await, Some(Revoked));
}

#[tokio::test]
async fn session_may_last_until_its_lifetime_after_the_token() {
    let setup = Setup::open(None).await;
    let (create, other) = (Call::new(), Call::new());
    let request = CreateActorToken::new("user_subject", Actor::new("user_admin"))
        .session_max_duration(2 * HOUR)
        .into();
    let expires_at = in_an_hour();
    setup
        .write([create.begin(&request), create.end(returned("act_1"))])
        .await;
    setup.write(other.returned("act_2")).await;
    let leases = setup.leases(LeaseFilter::default()).await;
    let until = |index: usize| leases[index].session_until.unwrap();
    // The newest one is the first.
    assert_eq!(until(1), expires_at + 2 * HOUR);
    assert_eq!(until(0), expires_at + HOUR / 2);

    let mut accepted = other.follow_up(FollowUp::Accepted);
    accepted.at = expires_at - HOUR / 2;
    setup.write([accepted]).await;
    let leases = setup.leases(LeaseFilter::default()).await;
    assert_eq!(leases[0].session_until, Some(expires_at));
}

#[tokio::test]
async fn row_of_a_call_names_what_was_asked_and_how_it_ended() {
    let (setup, call) = (Setup::open(None).await, Call::new());
    let actor = Actor::new("user_admin").claim("reason", "ticket 4711");
    let mut request: ActorTokenRequest = CreateActorToken::new("user_subject", actor).into();
    let principal = Principal::new("support").via("console");
    request.extensions_mut().insert(principal);
    setup
        .write([call.begin(&request), call.end(refused())])
        .await;
    let page = setup.store.calls(CallFilter::default()).await.unwrap();
    let row = serde_json::to_value(&page.items[0]).unwrap();
    let expected = serde_json::json!({
        "call": call.0.to_string(), "began_at": row["began_at"], "sending_at": null,
        "ended_at": row["ended_at"], "operation": "create", "principal": "support",
        "via": "console", "actor": "user_admin", "subject": "user_subject",
        "reason": "ticket 4711", "policy": null, "end": "refused", "outcome": "not_sent",
        "code": "policy_denied", "rule": "subjects.deny", "status": 403, "actor_token_id": null,
    });
    assert_eq!(row, expected);
    assert!(row["ended_at"].as_u64() >= row["began_at"].as_u64());
}

#[tokio::test]
async fn notes_of_any_instance_change_the_settings() {
    let setup = Setup::open(None).await;
    let note = async |note: Note| setup.write([Entry::note(note)]).await;
    let settings = async || setup.store.settings().await.unwrap();
    note(Note::new("started")).await;
    assert_eq!(settings().await, Settings::default());
    let by = Principal::new("user_admin").via("console");
    note(Note::new(PAUSED).by(by).detail("incident 12")).await;
    note(Note::new(QUOTA_CLOSED)).await;
    note(Note::new(POLICY_LOADED).detail("one")).await;
    note(Note::new(POLICY_LOADED).detail("two")).await;
    let policy = IS_SHARED.then(|| "two".to_owned());
    let set = settings().await;
    let paused = set.paused.unwrap();
    assert_eq!(paused.by.as_deref(), Some("user_admin"));
    assert_eq!(paused.reason.as_deref(), Some("incident 12"));
    assert_eq!(set.policy, policy);
    assert!(paused.since > 0 && set.quota_closed.unwrap().by.is_none());
    note(Note::new(RESUMED)).await;
    let set = settings().await;
    assert!(set.paused.is_none() && set.quota_closed.is_some());
    note(Note::new(QUOTA_REOPENED)).await;
    let expected = Settings {
        policy,
        ..Settings::default()
    };
    assert_eq!(settings().await, expected);
}

//! Each end of a create, and each fact that follows, makes the lease that it should.

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_gateway::store::{
    CallFilter, LeaseFilter, LeaseState, PAUSED, QUOTA_CLOSED, QUOTA_REOPENED, RESUMED,
};
use clerk_actor_tokens_policy::{
    Principal,
    audit::{End, FollowUp, Note},
};

use crate::{Call, HOUR, Setup, effect, failed, id, in_an_hour, returned, settled};
use LeaseState::{Accepted, Expired, Lost, Returned, Revoked, SessionEnded};

fn refused() -> End {
    End::Refused {
        status: Some(403),
        code: Some("policy_denied".into()),
        rule: Some("subjects.deny".into()),
    }
}

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
    let setup = Setup::new();
    let state = async |call: Call| {
        let filter = LeaseFilter {
            call: Some(call.0),
            ..LeaseFilter::default()
        };
        let leases = setup.store.leases(filter).await.unwrap();
        leases.first().map(|lease| lease.state)
    };
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
    for (end, state) in revokes {
        for is_first in [false, true] {
            let (setup, create, revoke) = (Setup::new(), Call::new(), Call::new());
            let [begin, sending, minted] = create.returned("act_1");
            setup.write([begin, sending]).await;
            let mut rest = vec![
                minted,
                revoke.revoke("act_1"),
                revoke.sending(),
                revoke.end(end.clone()),
            ];
            if is_first {
                // The end of the create waited in a spool.
                rest.rotate_left(1);
            }
            setup.write(rest).await;
            let lease = setup.lease().await.unwrap();
            assert_eq!(lease.state, state, "{end:?} {is_first}");
            assert_eq!(lease.ended_at.is_some(), state == Revoked);
        }
    }
}

#[tokio::test]
async fn revoke_of_another_token_changes_no_lease() {
    let setup = Setup::new();
    setup.write(Call::new().returned("act_1")).await;
    setup.write(Call::new().revoked("act_2")).await;
    assert_eq!(setup.state().await, Some(Returned));
}

#[tokio::test]
async fn lost_token_is_known_by_the_id_that_settling_found() {
    let (setup, call) = (Setup::new(), Call::new());
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
    setup.write(Call::new().revoked("act_1")).await;
    assert_eq!(setup.state().await, Some(Revoked));
}

#[tokio::test]
async fn session_may_last_until_its_lifetime_after_the_token() {
    let setup = Setup::new();
    let (create, other) = (Call::new(), Call::new());
    let request = crate::CreateActorToken::new("user_subject", crate::Actor::new("user_admin"))
        .session_max_duration(2 * HOUR)
        .into();
    let expires_at = in_an_hour();
    setup
        .write([create.begin(&request), create.end(returned("act_1"))])
        .await;
    setup.write(other.returned("act_2")).await;
    let leases = setup.store.leases(LeaseFilter::default()).await.unwrap();
    let until = |index: usize| leases[index].session_until.unwrap();
    // The newest one is the first.
    assert_eq!(until(1), expires_at + 2 * HOUR);
    assert_eq!(until(0), expires_at + HOUR / 2);

    let accepted = other.at(
        expires_at - HOUR / 2,
        other.follow_up(FollowUp::Accepted).event,
    );
    setup.write([accepted]).await;
    let leases = setup.store.leases(LeaseFilter::default()).await.unwrap();
    assert_eq!(leases[0].session_until, Some(expires_at));
}

#[tokio::test]
async fn lease_is_expired_when_its_token_and_its_session_are() {
    let setup = Setup::new();
    let now = std::time::SystemTime::now();
    for (ago, state) in [(HOUR / 4, Returned), (HOUR, Expired)] {
        let call = Call::new();
        let end = End::Returned {
            actor_token_id: id("act_1"),
            expires_at: Some(now - ago),
        };
        setup.write([call.create(), call.end(end)]).await;
        let filter = LeaseFilter {
            call: Some(call.0),
            ..LeaseFilter::default()
        };
        let lease = setup.store.leases(filter).await.unwrap().pop().unwrap();
        assert_eq!(lease.state, state);
        let ended_at = lease.session_until.filter(|_| state == Expired);
        assert_eq!(lease.ended_at, ended_at);
    }
    // The response of a lost token was lost, so that it has no session.
    let call = Call::new();
    let mut effect = effect(Outcome::Unknown);
    effect.exposed_until = Some(now - HOUR / 4);
    let end = End::Interrupted(effect);
    setup.write([call.create(), call.end(end)]).await;
    let newest = setup.store.leases(LeaseFilter::default()).await.unwrap();
    assert_eq!(newest[0].state, Expired);
}

#[tokio::test]
async fn row_of_a_call_names_what_was_asked_and_how_it_ended() {
    let (setup, call) = (Setup::new(), Call::new());
    let actor = crate::Actor::new("user_admin").claim("reason", "ticket 4711");
    let mut request: crate::ActorTokenRequest =
        crate::CreateActorToken::new("user_subject", actor).into();
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
async fn notes_change_the_settings() {
    let setup = Setup::new();
    let note = async |note: Note| setup.store.note(note).await.unwrap();
    let settings = async || setup.store.settings().await.unwrap();
    note(Note::new("started")).await;
    assert_eq!(settings().await, Default::default());
    let by = Principal::new("user_admin").via("console");
    note(Note::new(PAUSED).by(by).detail("incident 12")).await;
    note(Note::new(QUOTA_CLOSED)).await;
    let set = settings().await;
    let paused = set.paused.unwrap();
    assert_eq!(paused.by.as_deref(), Some("user_admin"));
    assert_eq!(paused.reason.as_deref(), Some("incident 12"));
    assert!(paused.since > 0 && set.quota_closed.unwrap().by.is_none());
    note(Note::new(RESUMED)).await;
    let set = settings().await;
    assert!(set.paused.is_none() && set.quota_closed.is_some());
    note(Note::new(QUOTA_REOPENED)).await;
    assert_eq!(settings().await, Default::default());
}

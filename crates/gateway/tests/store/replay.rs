//! Entries that are written again are recorded once, and a call has one end.

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_gateway::store::{CallFilter, LeaseState, verify};
use clerk_actor_tokens_policy::audit::{End, FollowUp};

use crate::{Call, Setup, effect, failed, id, returned, settled};

#[tokio::test]
async fn entries_that_are_replayed_are_recorded_once() {
    let (setup, call) = (Setup::new(), Call::new());
    let mut entries = call.returned("act_1").to_vec();
    entries.push(call.follow_up(FollowUp::Accepted));
    for entry in &mut entries {
        entry.late = true;
    }
    setup.write(entries.clone()).await;
    // The same batch, a part of it, and an entry twice in one batch.
    setup.write(entries.clone()).await;
    setup.write(&entries[1..3]).await;
    let session_ended = call.follow_up(FollowUp::SessionEnded);
    setup.write([session_ended.clone(), session_ended]).await;
    assert_eq!(verify(&setup.path(), None).unwrap().records, 5);
    assert_eq!(setup.state().await, Some(LeaseState::SessionEnded));
}

#[tokio::test]
async fn two_facts_of_one_time_are_both_recorded() {
    let (setup, call) = (Setup::new(), Call::new());
    let withheld = call.follow_up(FollowUp::Withheld);
    let mut settled = call.follow_up(settled("revoked", Some("act_1")));
    settled.at = withheld.at;
    setup.write([withheld, settled]).await;
    assert_eq!(verify(&setup.path(), None).unwrap().records, 2);
}

#[tokio::test]
async fn second_end_is_late_and_changes_nothing_but_the_id_of_a_token() {
    let (setup, call) = (Setup::new(), Call::new());
    let first = call.end(End::Interrupted(effect(Outcome::Unknown)));
    setup.write([call.create(), call.sending(), first]).await;
    let before = setup.lease().await.unwrap();
    setup.write([call.end(returned("act_1"))]).await;
    setup
        .write([call.end(failed("timeout", Outcome::NotSent))])
        .await;

    let after = setup.lease().await.unwrap();
    assert_eq!(after.actor_token_id, Some(id("act_1")));
    assert_eq!(
        (after.state, after.live_until),
        (before.state, before.live_until)
    );
    let row = &setup
        .store
        .calls(CallFilter::default())
        .await
        .unwrap()
        .items[0];
    assert_eq!(row.end.as_deref(), Some("interrupted"));
    let events = setup.by_hand();
    let events = events.query_row("SELECT group_concat(event) FROM records", [], |row| {
        row.get(0)
    });
    assert_eq!(events, Ok("begin,sending,end,late,late".to_owned()));
    assert_eq!(verify(&setup.path(), None).unwrap().records, 5);
    let detail = setup.store.call(call.0).await.unwrap().unwrap();
    assert_eq!(detail.entries.len(), 5);
}

#[tokio::test]
async fn revoke_whose_real_end_comes_after_an_abandoned_one_revokes_the_lease() {
    let (setup, revoke) = (Setup::new(), Call::new());
    setup.write(Call::new().returned("act_1")).await;
    let begin = revoke.revoke("act_1");
    setup.write([begin, revoke.end(End::Abandoned)]).await;
    let mut spooled = revoke.revoked("act_1");
    for entry in &mut spooled {
        entry.late = true;
    }
    setup.write(spooled).await;
    assert_eq!(setup.state().await, Some(LeaseState::Revoked));
}

#[tokio::test]
async fn token_that_only_a_late_end_names_is_a_lease() {
    let (setup, call) = (Setup::new(), Call::new());
    setup.write([call.create(), call.end(End::Abandoned)]).await;
    assert_eq!(setup.state().await, None);
    setup.write([call.end(returned("act_1"))]).await;
    assert_eq!(setup.state().await, Some(LeaseState::Returned));
}

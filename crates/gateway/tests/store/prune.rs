//! Closed records are pruned from the front, and nothing else is.

use std::time::SystemTime;

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_gateway::store::{
    CallFilter, LeaseFilter, PAUSED, RESUMED, Tampered, verify,
};
use clerk_actor_tokens_policy::audit::{Entry, Event, Note};

use crate::{Call, HOUR, Setup, expired, failed, old, returned, tampered};

fn an_hour_ago() -> SystemTime {
    SystemTime::now() - HOUR
}

#[tokio::test]
async fn old_closed_records_are_pruned_and_the_rest_verifies() {
    let setup = Setup::new();
    setup.write(expired()).await;
    setup.write(expired()).await;
    setup.write(Call::new().returned("act_2")).await;
    setup.store.anchor().await.unwrap();
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 6);
    let verified = verify(&setup.path(), Some(&setup.anchors())).unwrap();
    assert_eq!(
        (verified.pruned, verified.records, verified.last),
        (6, 3, 9)
    );
    assert_eq!(
        setup
            .store
            .calls(CallFilter::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        setup
            .store
            .leases(LeaseFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );
    let anchors = std::fs::read_to_string(setup.anchors()).unwrap();
    assert!(
        anchors.lines().last().unwrap().contains("\"pruned\":6"),
        "{anchors}"
    );
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 0);
    setup.write(Call::new().returned("act_3")).await;
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn second_end_of_a_pruned_call_verifies() {
    let (setup, entries) = (Setup::new(), expired());
    let mut second = entries[2].clone();
    second.event = Event::End(failed("timeout", Outcome::Rejected));
    second.at = SystemTime::now();
    setup.write(entries).await;
    setup.write([second]).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 3);
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn call_that_was_recorded_again_verifies_after_a_prune_between_its_ends() {
    let (setup, entries) = (Setup::new(), expired());
    let mut again = entries.clone();
    for entry in &mut again {
        entry.at = SystemTime::now();
    }
    again[2].event = Event::End(failed("timeout", Outcome::Rejected));
    setup.write(entries).await;
    setup.write(again).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 3);
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn first_end_that_was_declared_a_second_one_is_found_after_a_prune() {
    let setup = Setup::new();
    setup.write(expired()).await;
    setup.write(Call::new().returned("act_2")).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 3);
    let alter = "UPDATE records SET event = 'late' WHERE event = 'end'";
    setup.by_hand().execute_batch(alter).unwrap();
    setup.store.rebuild().await.unwrap();
    let error = tampered(verify(&setup.path(), Some(&setup.anchors())));
    assert!(matches!(error, Tampered::Record { seq: 6, .. }), "{error}");
}

#[tokio::test]
async fn chain_of_which_all_was_pruned_goes_on() {
    let setup = Setup::new();
    setup.write(expired()).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 3);
    assert_eq!(
        verify(&setup.path(), Some(&setup.anchors()))
            .unwrap()
            .records,
        0
    );
    setup.write(Call::new().returned("act_2")).await;
    let verified = verify(&setup.path(), Some(&setup.anchors())).unwrap();
    assert_eq!((verified.records, verified.last), (3, 6));
}

#[tokio::test]
async fn prune_stops_at_what_is_not_over() {
    let call = Call::new();
    let open = old([call.create(), call.sending()]);
    let live = old(Call::new().returned("act_2"));
    let paused = old([Entry::note(Note::new(PAUSED))]);
    let young = Call::new().returned("act_3").to_vec();
    for stop in [open, live, paused, young] {
        let setup = Setup::new();
        setup.write(expired()).await;
        setup.write(stop).await;
        setup.write(expired()).await;
        assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 3);
        verify(&setup.path(), Some(&setup.anchors())).unwrap();
    }
}

#[tokio::test]
async fn pause_that_is_over_is_pruned() {
    let setup = Setup::new();
    let notes = [PAUSED, RESUMED].map(|note| Entry::note(Note::new(note)));
    setup.write(old(notes)).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 2);
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn many_records_are_pruned_in_parts() {
    let setup = Setup::new();
    let calls = (0..1_500).flat_map(|_| expired());
    setup.write(calls.collect::<Vec<_>>()).await;
    assert_eq!(setup.store.prune(an_hour_ago()).await.unwrap(), 4_500);
    let anchors = std::fs::read_to_string(setup.anchors()).unwrap();
    assert_eq!(anchors.lines().count(), 3);
    verify(&setup.path(), Some(&setup.anchors())).unwrap();
}

#[tokio::test]
async fn nothing_is_pruned_when_the_anchor_cannot_be_written() {
    let setup = Setup::new();
    setup.write(expired()).await;
    std::fs::create_dir(setup.anchors()).unwrap();
    let error = setup.store.prune(an_hour_ago()).await.unwrap_err();
    assert!(error.to_string().contains("anchors"), "{error}");
    assert_eq!(verify(&setup.path(), None).unwrap().records, 3);
    let call = Call::new();
    setup
        .write([call.create(), call.end(returned("act_2"))])
        .await;
}

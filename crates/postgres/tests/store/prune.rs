//! Closed records are pruned from the front of each chain, and nothing else is.

use std::time::SystemTime;

use clerk_actor_tokens_policy::audit::{Entry, FollowUp, Note};
use clerk_actor_tokens_postgres::{PostgresStore, Tampered, VerifyError, verify};
use clerk_actor_tokens_store::{
    CallFilter, LeaseFilter, LeaseState, PAUSED, POLICY_LOADED, RESUMED,
};

use crate::support::{Admin, Call, HOUR, Server, expired, old, returned, returned_until};

fn an_hour_ago() -> SystemTime {
    SystemTime::now() - HOUR
}

fn note(note: &'static str) -> Vec<Entry> {
    old([Entry::note(Note::new(note))])
}

struct Setup {
    server: Server,
    admin: Admin,
    /// Of which the first one prunes.
    stores: [PostgresStore; 2],
}

impl Setup {
    async fn new() -> Self {
        let server = Server::start();
        let stores = [server.connect().await, server.connect().await];
        let admin = server.admin().await;
        Self {
            server,
            admin,
            stores,
        }
    }

    async fn write(&self, store: usize, entries: impl Into<Vec<Entry>>) {
        self.stores[store].write(entries.into()).await.unwrap();
    }

    /// Ends the other instance, so that the first one prunes its chain as well.
    async fn end_other(&self) {
        let end = "UPDATE instances SET ended_at = now() WHERE instance = $1";
        let other = self.stores[1].instance();
        self.admin.0.execute(end, &[&other]).await.unwrap();
    }

    async fn prune(&self) -> u64 {
        let pruned = self.stores[0].prune(an_hour_ago()).await.unwrap();
        self.stores[0].anchor().await.unwrap();
        self.verify().await;
        pruned
    }

    /// Verifies all chains. Returns how many records each store has pruned.
    async fn verify(&self) -> [u64; 2] {
        let anchors = self.server.anchors();
        let verified = verify(self.server.config(), Some(&anchors)).await.unwrap();
        [0, 1].map(|store| {
            let instance = self.stores[store].instance();
            let of = verified.iter().find(|it| it.instance == instance);
            of.unwrap().pruned
        })
    }

    async fn empty(&self) {
        let empty = "TRUNCATE records, calls, settings; UPDATE instances SET ended_at = NULL,
            seq = 0, first_seq = 0, hash = sha256(convert_to(instance, 'UTF8')),
            first_hash = sha256(convert_to(instance, 'UTF8'))";
        self.admin.0.batch_execute(empty).await.unwrap();
        std::fs::write(self.server.anchors(), "").unwrap();
    }
}

#[tokio::test]
async fn old_closed_records_are_pruned_and_the_rest_verifies() {
    let setup = Setup::new().await;
    let store = &setup.stores[0];
    setup.write(0, expired()).await;
    setup.write(0, expired()).await;
    setup.write(0, Call::new().returned("act_2")).await;
    assert_eq!(setup.prune().await, 6);
    assert_eq!(setup.verify().await, [6, 0]);
    let calls = store.calls(CallFilter::default()).await.unwrap().items;
    let leases = store.leases(LeaseFilter::default()).await.unwrap();
    assert_eq!((calls.len(), leases.len()), (1, 1));
    let anchors = std::fs::read_to_string(setup.server.anchors()).unwrap();
    assert!(anchors.contains("\"pruned\":6"), "{anchors}");
    assert_eq!(setup.prune().await, 0);
    setup.write(0, Call::new().returned("act_3")).await;
    assert_eq!(setup.verify().await, [6, 0]);
}

#[tokio::test]
async fn chain_of_which_all_was_pruned_goes_on() {
    let setup = Setup::new().await;
    setup.write(0, expired()).await;
    assert_eq!(setup.prune().await, 3);
    setup.write(0, Call::new().returned("act_2")).await;
    assert_eq!(setup.verify().await, [3, 0]);
}

#[tokio::test]
async fn first_end_that_was_declared_a_second_one_is_found_after_a_prune() {
    let setup = Setup::new().await;
    setup.write(0, expired()).await;
    setup.write(1, Call::new().returned("act_2")).await;
    assert_eq!(setup.prune().await, 3);
    let alter = "UPDATE records SET event = 'late' WHERE event = 'end'";
    setup.admin.0.batch_execute(alter).await.unwrap();
    let error = verify(setup.server.config(), None).await.unwrap_err();
    let is_found = matches!(
        error,
        VerifyError::Tampered(Tampered::Record { seq: 3, .. })
    );
    assert!(is_found, "{error}");
}

#[tokio::test]
async fn prune_stops_at_what_is_not_over() {
    let setup = Setup::new().await;
    let (open, follow_up) = (Call::new(), Call::new());
    let accepted = follow_up.end(returned_until("act_2", an_hour_ago()));
    let mut late = old([follow_up.create(), follow_up.sending(), accepted]);
    late.push(follow_up.follow_up(FollowUp::ExpiredUnused));
    let stops = [
        old([open.create(), open.sending()]),
        old(Call::new().returned("act_2")),
        note(PAUSED),
        old([Entry::note(Note::new(POLICY_LOADED).detail("one"))]),
        Call::new().returned("act_3").to_vec(),
        late,
    ];
    for stop in stops {
        setup.write(0, expired()).await;
        setup.write(0, stop.clone()).await;
        setup.write(0, expired()).await;
        assert_eq!(setup.prune().await, 3, "{stop:?}");
        setup.empty().await;
    }
}

#[tokio::test]
async fn setting_that_is_not_in_force_is_pruned() {
    let setup = Setup::new().await;
    for word in [PAUSED, RESUMED, POLICY_LOADED, POLICY_LOADED] {
        setup.write(0, note(word)).await;
    }
    // The last one is in force.
    assert_eq!(setup.prune().await, 3);
}

#[tokio::test]
async fn many_records_are_pruned_in_parts() {
    let setup = Setup::new().await;
    let calls = (0..400).flat_map(|_| expired());
    setup.write(0, calls.collect::<Vec<_>>()).await;
    assert_eq!(setup.prune().await, 1_200);
    let anchors = std::fs::read_to_string(setup.server.anchors()).unwrap();
    let prunes = anchors.lines().filter(|line| line.contains("pruned"));
    assert_eq!(prunes.count(), 3);
}

#[tokio::test]
async fn nothing_is_pruned_when_the_anchor_cannot_be_written() {
    let setup = Setup::new().await;
    setup.write(0, expired()).await;
    std::fs::create_dir(setup.server.anchors()).unwrap();
    let error = setup.stores[0].prune(an_hour_ago()).await.unwrap_err();
    assert!(error.to_string().contains("anchors"), "{error}");
    let verified = verify(setup.server.config(), None).await.unwrap();
    assert!(verified.iter().all(|it| it.pruned == 0));
    setup.write(0, Call::new().returned("act_2")).await;
}

#[tokio::test]
async fn chain_of_an_instance_is_pruned_by_another_one_only_after_its_end() {
    let setup = Setup::new().await;
    setup.write(1, expired()).await;
    assert_eq!(setup.prune().await, 0);
    setup.end_other().await;
    assert_eq!(setup.prune().await, 3);
    assert_eq!(setup.verify().await, [0, 3]);
}

#[tokio::test]
async fn begin_of_a_call_is_pruned_before_the_end_in_another_chain() {
    let setup = Setup::new().await;
    let call = Call::new();
    let [begin, sending, end] = &old(call.returned("act_2"))[..] else {
        unreachable!()
    };
    let mut over = end.clone();
    over.event = call.end(returned_until("act_2", an_hour_ago())).event;
    // The begin is behind a call that is open, so that the end stays.
    let open = Call::new();
    setup.write(1, old([open.create()])).await;
    setup.write(1, [begin.clone(), sending.clone()]).await;
    setup.write(0, [over]).await;
    setup.write(0, expired()).await;
    setup.end_other().await;
    assert_eq!(setup.prune().await, 0);
    let end = old([open.end(returned_until("act_3", an_hour_ago()))]);
    setup.write(0, end).await;
    assert_eq!(setup.prune().await, 8);
    assert_eq!(setup.verify().await, [5, 3]);
}

#[tokio::test]
async fn revoke_is_pruned_after_the_create_of_its_token_in_another_chain() {
    let setup = Setup::new().await;
    let (open, create, revoke) = (Call::new(), Call::new(), Call::new());
    setup.write(1, old([open.create()])).await;
    setup.write(1, old(create.returned("act_2"))).await;
    setup.write(0, old(revoke.revoked("act_2"))).await;
    setup.end_other().await;
    assert_eq!(setup.prune().await, 0);
    let filter = LeaseFilter {
        call: Some(create.0),
        ..LeaseFilter::default()
    };
    let lease = &setup.stores[0].leases(filter).await.unwrap()[0];
    assert_eq!(lease.state, LeaseState::Revoked);
    let end = returned_until("act_3", an_hour_ago());
    setup.write(0, old([open.end(end)])).await;
    assert_eq!(setup.prune().await, 8);
}

#[tokio::test]
async fn note_that_resumed_is_pruned_after_the_one_that_paused_in_another_chain() {
    let setup = Setup::new().await;
    let open = Call::new();
    setup.write(1, old([open.create()])).await;
    setup.write(1, note(PAUSED)).await;
    setup.write(0, note(RESUMED)).await;
    setup.end_other().await;
    assert_eq!(setup.prune().await, 0);
    setup
        .write(0, old([open.end(returned_until("act_3", an_hour_ago()))]))
        .await;
    assert_eq!(setup.prune().await, 4);
    assert!(setup.stores[0].settings().await.unwrap().paused.is_none());
    let young = Entry::note(Note::new(PAUSED));
    setup.write(0, [young]).await;
    assert_eq!(setup.prune().await, 0);
    assert!(setup.stores[0].settings().await.unwrap().paused.is_some());
}

#[tokio::test]
async fn call_that_others_still_record_is_not_pruned_in_part() {
    let setup = Setup::new().await;
    let call = Call::new();
    let end = old([
        call.create(),
        call.end(returned_until("act_2", an_hour_ago())),
    ]);
    setup.write(1, end).await;
    setup
        .write(0, [call.follow_up(FollowUp::ExpiredUnused)])
        .await;
    setup.end_other().await;
    assert_eq!(setup.prune().await, 0);
    let call = Call::new();
    setup
        .write(0, [call.create(), call.end(returned("act_2"))])
        .await;
    assert_eq!(setup.prune().await, 0);
}

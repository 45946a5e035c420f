//! What a killed process left.

use clerk_actor_tokens::{ActorTokenId, Outcome};
use clerk_actor_tokens_policy::audit::{Asked, End};

use crate::{Call, Setup, cancelled, effect, failed, id, rejected, returned};

/// Returns the tokens of the revokes that are owed.
async fn owed(setup: &Setup) -> Vec<ActorTokenId> {
    setup.store.left_over(true).await.unwrap().revokes
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
async fn interrupted_revoke_is_owed_until_a_later_one_has_an_outcome() {
    let interrupted = |outcome| End::Interrupted(effect(outcome));
    for outcome in [Outcome::NotSent, Outcome::Unknown] {
        let setup = Setup::new();
        let (first, other) = (Call::new(), Call::new());
        setup
            .write([first.revoke("act_1"), first.end(interrupted(outcome))])
            .await;
        setup.write(other.revoked("act_2")).await;
        assert_eq!(owed(&setup).await, [id("act_1")]);
        for end in [
            // The process that sends it again is killed, too.
            interrupted(Outcome::Unknown),
            failed("timeout", Outcome::Unknown),
            failed("connect", Outcome::NotSent),
            rejected("api", 429),
        ] {
            let again = Call::new();
            setup.write([again.revoke("act_1"), again.end(end)]).await;
            assert_eq!(owed(&setup).await, [id("act_1")]);
        }
        let last = Call::new();
        let end = match outcome {
            Outcome::NotSent => rejected("api", 404),
            _ => returned("act_1"),
        };
        setup.write([last.revoke("act_1"), last.end(end)]).await;
        assert!(owed(&setup).await.is_empty());
    }
}

#[tokio::test]
async fn live_leases_of_a_known_id_are_left_over() {
    let setup = Setup::new();
    let (returned, lost, unknown) = (Call::new(), Call::new(), Call::new());
    setup.write(returned.returned("act_1")).await;
    let of_lost = lost.end(cancelled(Outcome::Applied, Some(id("act_2"))));
    setup.write([lost.create(), of_lost]).await;
    let of_unknown = unknown.end(cancelled(Outcome::Unknown, None));
    setup.write([unknown.create(), of_unknown]).await;
    let left = async |unused| {
        let left = setup.store.left_over(unused).await.unwrap();
        let calls = left.leases.into_iter().map(|lease| lease.call);
        calls.collect::<Vec<_>>()
    };
    assert_eq!(left(false).await, [lost.0]);
    assert_eq!(left(true).await, [lost.0, returned.0]);
}

//! What a killed process left.

use clerk_actor_tokens::ErrorKind;

use super::*;

/// Returns the tokens of the revokes that are owed.
async fn owed(setup: &Setup) -> Vec<ActorTokenId> {
    setup.store.left_over(true).await.unwrap().revokes
}

/// Returns the end of a revoke that was rejected with a status.
fn rejected(status: u16) -> End {
    End::Failed {
        error: ErrorKind::Api.as_str().into(),
        status: Some(status),
        code: None,
        trace_id: None,
        effect: effect(Outcome::Rejected),
    }
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
            rejected(429),
        ] {
            let again = Call::new();
            setup.write([again.revoke("act_1"), again.end(end)]).await;
            assert_eq!(owed(&setup).await, [id("act_1")]);
        }
        let last = Call::new();
        let end = match outcome {
            Outcome::NotSent => rejected(404),
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
    let mut of_lost = effect(Outcome::Applied);
    of_lost.actor_token_id = Some(id("act_2"));
    setup
        .write([lost.create(), lost.end(End::Cancelled(of_lost))])
        .await;
    let of_unknown = End::Cancelled(effect(Outcome::Unknown));
    setup
        .write([unknown.create(), unknown.end(of_unknown)])
        .await;
    let left = async |unused| {
        let left = setup.store.left_over(unused).await.unwrap();
        let calls = left.leases.into_iter().map(|lease| lease.call);
        calls.collect::<Vec<_>>()
    };
    assert_eq!(left(false).await, [lost.0]);
    assert_eq!(left(true).await, [lost.0, returned.0]);
}

//! An instance finds the revokes and leases that it inherited.

use std::time::SystemTime;

use clerk_actor_tokens::Outcome;
use clerk_actor_tokens_policy::audit::{Effect, End, Entry};
use clerk_actor_tokens_postgres::PostgresStore;

use crate::support::{
    Call, HOUR, Server, cancelled, effect, failed, id, rejected, returned, returned_until,
};

/// Two instances of which the second one inherited the first one.
async fn inherited(server: &Server, entries: Vec<Entry>) -> PostgresStore {
    let (gone, heir) = (server.connect().await, server.connect().await);
    gone.write(entries).await.unwrap();
    let inherit = "UPDATE instances SET ended_at = now(), heir = $2 WHERE instance = $1";
    let admin = server.admin().await.0;
    let instances = [gone.instance(), heir.instance()];
    admin
        .execute(inherit, &[&instances[0], &instances[1]])
        .await
        .unwrap();
    heir
}

#[tokio::test]
async fn leases_of_an_instance_that_is_gone_are_left_over() {
    let server = Server::start();
    let [lost, unknown, unused, expired] = [(); 4].map(|()| Call::new());
    let known = cancelled(Outcome::Applied, Some(id("act_lost")));
    let end = End::Interrupted(effect(Outcome::Unknown));
    let mut entries = unused.returned("act_unused").to_vec();
    entries.extend([lost.create(), lost.end(known)]);
    entries.extend([unknown.create(), unknown.end(end)]);
    let over = expired.end(returned_until("act_expired", SystemTime::now() - HOUR));
    entries.extend([expired.create(), over]);
    entries.extend(Call::new().returned("act_revoked"));
    entries.extend(Call::new().revoked("act_revoked"));
    let heir = inherited(&server, entries).await;

    let own = Call::new();
    let mut entries = Call::new().returned("act_own").to_vec();
    entries.extend([own.create(), own.end(cancelled(Outcome::Unknown, None))]);
    heir.write(entries).await.unwrap();
    let other = server.connect().await;
    other
        .write(Call::new().returned("act_other").into())
        .await
        .unwrap();

    let left = async |unused| {
        let left = heir.left_over(unused).await.unwrap();
        assert!(left.revokes.is_empty());
        left.leases
            .iter()
            .map(|lease| lease.call)
            .collect::<Vec<_>>()
    };
    assert_eq!(left(false).await, [lost.0]);
    assert_eq!(left(true).await, [lost.0, unused.0]);
    let unknown_leases = heir.unknown_leases().await.unwrap();
    let calls: Vec<_> = unknown_leases.iter().map(|lease| lease.call).collect();
    assert_eq!(calls, [own.0, unknown.0]);
    assert!(unknown_leases[1].live_until > Some(SystemTime::now()));
    let left = other.left_over(true).await.unwrap();
    assert!(left.leases.is_empty() && other.unknown_leases().await.unwrap().is_empty());
}

#[tokio::test]
async fn interrupted_revoke_is_owed_until_one_of_the_token_is_settled() {
    let interrupted = |outcome| End::Interrupted(Effect::new(outcome));
    let unknown = || interrupted(Outcome::Unknown);
    // The end of a later revoke of the same token, and whether the interrupted one is still owed.
    let laters = [
        (None, true),
        (Some(returned("act_1")), false),
        (Some(rejected("already_revoked", 400)), false),
        (Some(rejected("not_found", 404)), false),
        (Some(rejected("api", 429)), true),
        (Some(failed("unreadable_response", Outcome::Applied)), false),
        (Some(failed("timeout", Outcome::Unknown)), true),
        (Some(End::Abandoned), true),
        (Some(unknown()), true),
    ];
    let server = Server::start();
    for (later, is_owed) in laters {
        for interrupted in [interrupted(Outcome::NotSent), unknown()] {
            let [first, second] = [Call::new(), Call::new()];
            let entries = vec![first.revoke("act_1"), first.end(interrupted)];
            let heir = inherited(&server, entries).await;
            if let Some(end) = &later {
                let entries = vec![second.revoke("act_1"), second.end(end.clone())];
                heir.write(entries).await.unwrap();
            }
            let left = heir.left_over(false).await.unwrap().revokes;
            assert_eq!(left, vec![id("act_1"); usize::from(is_owed)], "{later:?}");
            let empty = "TRUNCATE records, calls";
            server.admin().await.0.batch_execute(empty).await.unwrap();
        }
    }
    // One that was settled before may have failed for what the token was then.
    let [first, second] = [Call::new(), Call::new()];
    let not_found = rejected("not_found", 404);
    let mut entries = vec![first.revoke("act_1"), first.end(not_found)];
    entries.extend([second.revoke("act_1"), second.end(unknown())]);
    let heir = inherited(&server, entries).await;
    assert_eq!(heir.left_over(false).await.unwrap().revokes, [id("act_1")]);
}

//! A gateway that is killed within calls: after a restart every call has its end, and every token that may be
//! live is a lease.
//!
//! `GATEWAY_KILL_CALLS=2000 cargo test -p clerk-actor-tokens-gateway --test kill -- --nocapture` makes as many
//! calls. The default is 200. `GATEWAY_KILL_SEED` chooses the times of the kills.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, ActorTokenId, Client, CreateActorToken,
    sandbox::{Fault, Sandbox},
};
use clerk_actor_tokens_gateway::store::{
    self, CallFilter, Lease, LeaseFilter, LeaseState, Store, StoreOptions,
};
use clerk_actor_tokens_policy::CallId;
use tokio::{task::JoinSet, time::sleep};

mod support;

use support::{GatewayProcess, config, text::database};

/// How many callers are at work at once.
const CALLERS: usize = 16;

/// What the callers know.
#[derive(Default)]
struct Seen {
    calls: usize,
    returned: BTreeSet<ActorTokenId>,
    revoked: BTreeSet<ActorTokenId>,
}

/// Makes calls until the gateway is gone.
async fn call_until_killed(client: Client, caller: usize) -> Seen {
    let mut seen = Seen::default();
    for turn in 0.. {
        let create =
            CreateActorToken::new(format!("user_{caller}_{turn}"), Actor::new("user_agent"));
        seen.calls += 1;
        let Ok(token) = client.create(create).await else {
            break;
        };
        // Claims the token, so that this caller's client does not revoke it.
        let _ = token.expose_url();
        seen.returned.insert(token.id().clone());
        if turn % 3 == 0 {
            seen.calls += 1;
            if client.revoke(token.id()).await.is_err() {
                break;
            }
            seen.revoked.insert(token.id().clone());
        }
    }
    seen
}

/// Reads the leases of a gateway that has ended.
async fn leases(folder: &Path) -> BTreeMap<CallId, Lease> {
    let store = Store::open(&database(folder), StoreOptions::new()).unwrap();
    let filter = LeaseFilter {
        limit: Some(u32::MAX),
        ..LeaseFilter::default()
    };
    let leases = store.leases(filter).await.unwrap();
    leases
        .into_iter()
        .map(|lease| (lease.call, lease))
        .collect()
}

/// Checks the audit of a gateway that has ended. Returns how many calls it has.
async fn check(sandbox: &Sandbox, folder: &Path, seen: &Seen) -> usize {
    store::verify(&database(folder), None).unwrap();
    let store = Store::open(&database(folder), StoreOptions::new()).unwrap();
    assert!(
        store.open_calls().await.unwrap().is_empty(),
        "calls without an end"
    );
    let (mut calls, mut before) = (0, None);
    loop {
        let filter = CallFilter {
            before,
            ..CallFilter::default()
        };
        let page = store.calls(filter).await.unwrap();
        calls += page.items.len();
        assert!(page.items.iter().all(|call| call.end.is_some()));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    drop(store);

    let leases = leases(folder).await;
    for token in sandbox.ledger().minted() {
        let call = token.actor().claims()["call"].clone();
        let lease = leases.get(&serde_json::from_value(call).unwrap());
        let lease = lease.unwrap_or_else(|| panic!("{token:?} is no lease"));
        let is_live = matches!(lease.state, LeaseState::Returned | LeaseState::Lost);
        assert!(
            is_live || !token.is_usable(),
            "{token:?} is live, but {lease:?}"
        );
        let is_known = lease.actor_token_id.as_ref() == Some(token.id());
        assert!(
            is_known || lease.state == LeaseState::Lost,
            "{token:?}: {lease:?}"
        );
        assert!(
            is_known || !seen.returned.contains(token.id()),
            "{token:?}: {lease:?}"
        );
        assert!(
            !(token.is_usable() && seen.revoked.contains(token.id())),
            "{token:?}"
        );
        if is_live {
            assert!(
                lease.live_until >= Some(token.expires_at()),
                "{token:?}: {lease:?}"
            );
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_gateway_leaves_no_call_without_end_and_no_live_token_without_lease() {
    let number = |name, default| env::var(name).map_or(default, |it| it.parse().unwrap());
    let (calls, seed) = (
        number("GATEWAY_KILL_CALLS", 200),
        number("GATEWAY_KILL_SEED", 7),
    );
    let mut random = fastrand::Rng::with_seed(seed);
    // So that kills meet calls that took effect and have no response yet.
    let slow = |number: u64| {
        number
            .is_multiple_of(10)
            .then_some(Fault::DelayAfter(Duration::from_millis(20)))
    };
    let sandbox = Sandbox::new().faults_by(move |number, _| slow(number));
    let clerk = sandbox.spawn().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = |on_shutdown| {
        let leases = format!("leases = {{ on_shutdown = \"{on_shutdown}\" }}");
        config(folder, &clerk.base_url().to_string(), &leases)
    };

    let (mut all, mut kills) = (Seen::default(), 0);
    while all.calls < calls as usize {
        let gateway = GatewayProcess::start(&config("keep"), &sandbox).await;
        let client = gateway.client();
        let callers = (0..CALLERS).map(|caller| call_until_killed(client.clone(), caller));
        let mut callers: JoinSet<_> = callers.collect();
        sleep(Duration::from_millis(random.u64(20..300))).await;
        gateway.kill().await;
        kills += 1;
        while let Some(seen) = callers.join_next().await {
            let seen = seen.unwrap();
            all.calls += seen.calls;
            all.returned.extend(seen.returned);
            all.revoked.extend(seen.revoked);
        }
    }

    // The next process ends what the killed ones left open.
    let gateway = GatewayProcess::start(&config("keep"), &sandbox).await;
    assert!(gateway.stop().await.success());
    let recorded = check(&sandbox, folder, &all).await;
    assert!(
        sandbox.ledger().pending().count() > 0,
        "nothing was left live"
    );

    // By default, it also ends the leases of the killed ones.
    let gateway = GatewayProcess::start(&config("revoke"), &sandbox).await;
    assert!(gateway.stop().await.success());
    check(&sandbox, folder, &all).await;
    let leases = leases(folder).await;
    let mut unknown = 0;
    for token in sandbox.ledger().pending() {
        let call = token.actor().claims()["call"].clone();
        let lease = &leases[&serde_json::from_value(call).unwrap()];
        assert_eq!(
            lease.actor_token_id, None,
            "{token:?} was not revoked: {lease:?}"
        );
        unknown += 1;
    }
    println!(
        "seed {seed}: {kills} kills, {recorded} calls recorded of {} made, {} tokens minted, {} \
         returned, {unknown} live with an unknown id",
        all.calls,
        sandbox.ledger().minted().len(),
        all.returned.len(),
    );
}

//! What follows when a gateway ends without notice: its calls end, its tokens are revoked or watched.

use std::{future::pending, time::Duration};

use clerk_actor_tokens_policy::Principal;
use tokio::{select, time::sleep};

use crate::{Config, Leases, config::OnShutdown, storage::Storage};

/// The time between two reads of what stopped gateways left, after one that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The principal of calls that the gateway itself makes.
pub(crate) fn itself(via: &str) -> Principal {
    Principal::new("gateway").via(via)
}

/// Ends what stopped gateways left: now, and whenever one of them is found. It never ends.
pub(crate) async fn clean_up(storage: Storage, leases: Leases, config: Config) {
    let unused = config.leases.on_shutdown == OnShutdown::Revoke;
    let mut inherited = storage.inherited();
    loop {
        let left = match storage.left_over(unused).await {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not read what stopped gateways left"
                );
                sleep(RETRY).await;
                continue;
            }
        };
        let more = async {
            if inherited.changed().await.is_err() {
                // No other gateway uses the database.
                pending().await
            }
        };
        let cleaned = async {
            let cleaned = leases.clone().clean_up(left, itself("recovery"));
            cleaned.await;
            pending().await
        };
        // The storage still has what was not ended, so the next round begins with it.
        select! {
            () = more => {}
            () = cleaned => {}
        }
    }
}

/// Watches the tokens of an unknown id. It never ends.
pub(crate) async fn watch(storage: Storage, leases: Leases, config: Config) {
    let end_sessions_as = config.leases.end_sessions.then(|| itself("watch"));
    let unknown = || storage.unknown_leases();
    leases.watch(unknown, end_sessions_as).await;
}

//! The settings as they change.

use std::time::Duration;

use clerk_actor_tokens_store::Settings;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{PostgresConfig, Result, read, schema::quoted, session::Session};

/// The time between two reads without a notification, and the limit of a read.
const POLL: Duration = Duration::from_secs(2);

/// The age of the last read from which the settings are unknown: 30 s, less the time until it is looked at again.
const UNKNOWN: Duration = Duration::from_secs(30 - 2 * POLL.as_secs());

/// Reads the settings until there is no receiver.
pub(crate) async fn run(config: PostgresConfig, settings: watch::Sender<Option<Settings>>) {
    let work = async {
        let mut session = None;
        let mut read_at = None::<Instant>;
        loop {
            if let Ok(Ok(new)) = timeout(POLL, read(&config, &mut session)).await {
                read_at = Some(Instant::now());
                publish(&settings, Some(new));
            } else {
                session = None;
                if read_at.is_none_or(|at| at.elapsed() >= UNKNOWN) {
                    publish(&settings, None);
                }
            }
            let _ = timeout(POLL, notified(session.as_ref())).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = settings.closed() => {}
    }
}

/// Reads the settings, by a connection that listens since before.
async fn read(config: &PostgresConfig, session: &mut Option<Session>) -> Result<Settings> {
    let listening = match session.take() {
        Some(listening) => listening,
        None => {
            let new = Session::open(config, Some(POLL)).await?;
            let listen = format!("LISTEN {}", quoted(&config.schema));
            new.client.batch_execute(&listen).await?;
            new
        }
    };
    let settings = read::settings(&listening.client).await?;
    *session = Some(listening);
    Ok(settings)
}

async fn notified(session: Option<&Session>) {
    match session {
        Some(session) => session.notified.notified().await,
        None => sleep(POLL).await,
    }
}

fn publish(settings: &watch::Sender<Option<Settings>>, new: Option<Settings>) {
    settings.send_if_modified(|old| {
        let is_new = *old != new;
        *old = new;
        is_new
    });
}

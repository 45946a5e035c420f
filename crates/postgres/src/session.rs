//! [`Session`], a connection that is set up for the tables, and the test of a server.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinHandle};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage, error::SqlState};

use crate::{PostgresConfig, PostgresError, Result, random, schema::quoted};

/// The oldest version of PostgreSQL that works.
const OLDEST: u32 = 13_00_00;

/// A connection. Its task runs on the runtime that opened it, and ends with the client.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Notified of each `NOTIFY`.
    pub(crate) notified: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Session {
    /// Connects. A statement that takes longer than `limit` is cancelled by the server.
    pub(crate) async fn open(config: &PostgresConfig, limit: Option<Duration>) -> Result<Self> {
        let (client, mut connection) = config.server.connect(config.connector()?).await?;
        let notified = Arc::new(Notify::new());
        let notify = Arc::clone(&notified);
        let task = tokio::spawn(async move {
            // The client has the error as well.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    notify.notify_one();
                }
            }
        });
        let session = Self {
            client,
            notified,
            task,
        };
        session.set_up(&config.schema, limit).await?;
        Ok(session)
    }

    async fn set_up(&self, schema: &str, limit: Option<Duration>) -> Result<()> {
        let limit = limit.map_or(0, |limit| limit.as_millis().max(1));
        // The server notices within 20 s that the machine of a client is gone, and frees its advisory lock.
        let sql = format!(
            "SET search_path = {}; SET statement_timeout = {limit};
             SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET jit = off;
             SET default_transaction_isolation = 'read committed'; SET tcp_keepalives_idle = 5;
             SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
             SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') = 'off';
             SELECT current_setting('server_version_num'), current_setting('server_encoding'),
                 pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'",
            quoted(schema)
        );
        let messages = self.client.simple_query(&sql).await?;
        let row = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let column = |index| row.and_then(|row| row.get(index)).unwrap_or_default();
        let (version, encoding) = (column(0).parse()?, column(1).to_owned());
        Err(if version < OLDEST {
            PostgresError::Server { version }
        } else if encoding != "UTF8" {
            PostgresError::Encoding { encoding }
        } else if column(2) != "f" {
            PostgresError::ReadOnly
        } else {
            return Ok(());
        }
        .into())
    }

    /// Closes the connection now.
    pub(crate) async fn close(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Refuses a pooler that gives a transaction another connection to the server than the one before.
///
/// A connection that holds an advisory lock keeps its process of the server, and no other connection has that
/// process or the lock.
pub(crate) async fn refuse_pooler(config: &PostgresConfig) -> Result<()> {
    let limit = Some(config.statement_limit);
    let [one, other] = [
        Session::open(config, limit).await?.client,
        Session::open(config, limit).await?.client,
    ];
    let key = i64::from_be_bytes(random()?);
    let own = look(&one, key).await?;
    for _ in 0..3 {
        let [others, again] = [look(&other, key).await?, look(&one, key).await?];
        if is_pooled(own, again, others) {
            return Err(PostgresError::Pooler.into());
        }
    }
    Ok(())
}

/// The process of the server that a transaction had, and whether that got the lock.
pub(crate) type Look = (i32, bool);

/// Returns whether two connections, of which the first has the lock, are not connections to the server.
fn is_pooled((pid, has_lock): Look, again: Look, others: Look) -> bool {
    !has_lock || again != (pid, true) || others.0 == pid || others.1
}

async fn look(client: &Client, key: i64) -> Result<Look> {
    let sql = "SELECT pg_backend_pid(), pg_try_advisory_lock($1)";
    match client.query_one(sql, &[&key]).await {
        Ok(row) => Ok((row.try_get(0)?, row.try_get(1)?)),
        // The statement was prepared on another connection to the server.
        Err(error) if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) => {
            Err(PostgresError::Pooler.into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_pooled;

    #[test]
    fn connection_that_keeps_its_process_and_lock_is_not_pooled() {
        assert!(!is_pooled((7, true), (7, true), (8, false)));
    }

    #[test]
    fn transaction_with_the_process_or_lock_of_another_is_pooled() {
        assert!(is_pooled((7, true), (8, true), (9, false)));
        assert!(is_pooled((7, true), (7, false), (9, false)));
        assert!(is_pooled((7, true), (7, true), (7, true)));
        assert!(is_pooled((7, true), (7, true), (8, true)));
    }
}

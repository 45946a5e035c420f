//! The tables, and their migrations.

use tokio_postgres::{Client, GenericClient};

use crate::{PostgresError, Result};

/// The steps from an empty schema to the present one. The table `version` counts those that were taken.
///
/// A step must leave processes of the version before it working, because they run side by side.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// The key of the advisory lock that a migration holds.
const MIGRATING: i64 = 0x6163_746f_725f_746b;

/// Returns a name as SQL, such as `"name"`.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Brings the tables up to date, also if other processes do so at the same time.
pub(crate) async fn migrate(client: &mut Client, schema: &str) -> Result<()> {
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATING])
        .await?;
    // The right to create a schema is needed only if it does not exist.
    let exists = "SELECT FROM pg_namespace WHERE nspname = $1";
    if transaction.query_opt(exists, &[&schema]).await?.is_none() {
        let create = format!("CREATE SCHEMA {}", quoted(schema));
        transaction.batch_execute(&create).await?;
    }
    let create = "CREATE TABLE IF NOT EXISTS version (version integer NOT NULL)";
    transaction.batch_execute(create).await?;
    let from = version(&transaction).await?;
    let Some(steps) = MIGRATIONS.get(from..) else {
        return Err(PostgresError::Version { version: from }.into());
    };
    if !steps.is_empty() {
        for step in steps {
            transaction.batch_execute(step).await?;
        }
        let to = i32::try_from(MIGRATIONS.len())?;
        transaction.execute("DELETE FROM version", &[]).await?;
        transaction
            .execute("INSERT INTO version VALUES ($1)", &[&to])
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// Refuses tables of another version.
pub(crate) async fn check(client: &impl GenericClient) -> Result<()> {
    match version(client).await? {
        version if version == MIGRATIONS.len() => Ok(()),
        version => Err(PostgresError::Version { version }.into()),
    }
}

async fn version(client: &impl GenericClient) -> Result<usize> {
    let row = client.query_opt("SELECT version FROM version", &[]).await?;
    let version: i32 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(usize::try_from(version)?)
}

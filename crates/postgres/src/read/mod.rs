//! Reads of calls, leases and settings.

mod calls;
mod leases;
mod query;

use std::collections::HashMap;

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_store::{Flag, Settings};
use tokio_postgres::Client;

use self::query::{number, rows};
pub(crate) use self::{
    calls::{call, calls},
    leases::{LEASES, leases, left_over, live_states, minted_since, own_leases},
};
use crate::{Result, entry::POLICY};

/// Reads the settings in force.
pub(crate) async fn settings(client: &Client) -> Result<Settings> {
    let sql = "SELECT name, since, by, reason FROM settings WHERE since IS NOT NULL";
    let flags = rows(client, sql, &[], |row| {
        let flag = Flag {
            since: number(row, "since")?.unwrap_or_default(),
            by: row.try_get("by")?,
            reason: row.try_get("reason")?,
        };
        Ok((row.try_get("name")?, flag))
    });
    let mut flags: HashMap<String, Flag> = flags.await?.into_iter().collect();
    let policy = flags.remove(POLICY).and_then(|flag| flag.reason);
    Ok(Settings {
        policy,
        ..Settings::read(|name| Ok::<_, BoxError>(flags.remove(name)))?
    })
}

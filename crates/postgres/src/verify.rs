//! [`verify`], which shows whether records were altered, removed or reordered.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    path::Path,
    vec,
};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::audit::{Entry, Event};
use clerk_actor_tokens_store::{Anchor, LATE, Link, event_word, millis};
use serde_json::{Value, json};
use tokio_postgres::{IsolationLevel, Row, Transaction};

use crate::{PostgresConfig, PostgresError, Result, entry, schema, session::Session};

/// How many records are read at once.
const PAGE: i64 = 1_000;

/// The result of [`verify`], of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The instance.
    pub instance: String,
    /// How many records there are.
    pub records: u64,
    /// The number of the last record that was pruned; 0 if none was.
    pub pruned: u64,
    /// The number of the newest record.
    pub last: u64,
    /// The number of the newest record that an anchor covers. Records behind it could be removed without a trace.
    pub anchored: Option<u64>,
}

/// Why an audit could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Tampered {
    /// The row of an instance was altered or removed.
    #[error("the instance `{instance}`: {what}")]
    Instance {
        /// Its name.
        instance: String,
        /// The difference.
        what: &'static str,
    },
    /// A record is missing.
    #[error("record {seq} of the instance `{instance}` was removed")]
    Removed {
        /// The instance.
        instance: String,
        /// The record's number.
        seq: u64,
    },
    /// A record was altered or moved, or an earlier one was removed.
    #[error("record {seq} of the instance `{instance}`, of call {call}: {what}")]
    Record {
        /// The instance.
        instance: String,
        /// The record's number.
        seq: u64,
        /// Its call.
        call: String,
        /// The difference.
        what: &'static str,
    },
    /// A record that an anchor names is missing or has another hash.
    #[error("the anchor of record {seq} of the instance `{instance}`: {what}")]
    Anchor {
        /// The instance.
        instance: String,
        /// The record's number.
        seq: u64,
        /// The difference.
        what: &'static str,
    },
    /// A row of a derived table does not follow from the records.
    #[error("the row {row} does not follow from the records")]
    Derived {
        /// The row and its table.
        row: String,
    },
    /// The database or the anchors cannot be read.
    #[error("could not read the audit")]
    Unreadable(#[from] PostgresError),
}

impl From<BoxError> for Tampered {
    fn from(error: BoxError) -> Self {
        error
            .downcast()
            .map_or_else(|error| Self::Unreadable(error.into()), |error| *error)
    }
}

/// Verifies the records of each instance against its chain, against `anchors`, and against the derived tables.
/// `anchors` has the anchors of all instances, in any order. An instance that was killed before its first anchor has
/// none.
///
/// It only reads, also while instances run. It derives the tables again in temporary tables, for which it needs the
/// right `TEMPORARY` on the database.
///
/// # Errors
///
/// At the first record that was altered, removed or moved, and when the audit cannot be read.
pub async fn verify(
    config: PostgresConfig,
    anchors: Option<&Path>,
) -> Result<Vec<Verified>, Tampered> {
    Ok(verified(&config, anchors).await?)
}

async fn verified(config: &PostgresConfig, anchors: Option<&Path>) -> Result<Vec<Verified>> {
    let read = || {
        let anchors = anchors.map(Anchor::read_all).transpose();
        anchors.map_err(|source| PostgresError::Anchors { source })
    };
    // Read before the records, which may grow meanwhile.
    let known = read()?;
    let mut session = Session::open(config, None).await?;
    schema::check(&session.client).await?;
    let schema = schema::quoted(&config.schema);
    // Functions of the schema find these tables first. A transaction that only reads can write them.
    let temporary = format!(
        "CREATE TEMPORARY TABLE calls (LIKE {schema}.calls INCLUDING DEFAULTS INCLUDING INDEXES);
         CREATE TEMPORARY TABLE settings (LIKE {schema}.settings INCLUDING DEFAULTS INCLUDING INDEXES)"
    );
    session.client.batch_execute(&temporary).await?;
    let snapshot = session.client.build_transaction().read_only(true);
    let snapshot = snapshot.isolation_level(IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await?;
    let mut chains = Chains::read(&snapshot, known.unwrap_or_default()).await?;
    records(&snapshot, &mut chains).await?;
    // A prune writes its anchor first.
    let verified = chains.end(anchors.is_some(), &read()?.unwrap_or_default())?;
    match difference(&snapshot, &schema).await? {
        Some(row) => Err(Tampered::Derived { row }.into()),
        None => Ok(verified),
    }
}

/// Verifies the records, and derives the derived tables from them again.
async fn records(snapshot: &Transaction<'_>, chains: &mut Chains) -> Result<()> {
    let page = format!(
        "SELECT id, instance, seq, call, at, event, text, hash, event IN ('end', '{LATE}') AND EXISTS (
            SELECT FROM records o WHERE o.call = r.call AND o.event = 'end' AND o.id < r.id
         ) AS has_end
         FROM records r WHERE id > $1 ORDER BY id LIMIT {PAGE}"
    );
    let page = snapshot.prepare(&page).await?;
    let apply = "SELECT apply(jsonb_populate_record(NULL::entry, e), (e ->> 'id')::bigint, e ->> 'instance')
        FROM jsonb_array_elements($1::text::jsonb) AS e";
    let apply = snapshot.prepare(apply).await?;
    let mut last = i64::MIN;
    loop {
        let rows = snapshot.query(&page, &[&last]).await?;
        let Some(newest) = rows.last() else {
            return Ok(());
        };
        last = newest.try_get("id")?;
        let batch: Result<Vec<_>> = rows.iter().map(|row| chains.record(row)).collect();
        let batch = Value::from(batch?).to_string();
        snapshot.query(&apply, &[&batch]).await?;
    }
}

/// Returns a row that differs between the derived tables and the temporary ones, in words.
async fn difference(snapshot: &Transaction<'_>, schema: &str) -> Result<Option<String>> {
    for (table, key) in [("calls", "call"), ("settings", "name")] {
        let real = format!("{schema}.{table}");
        let temporary = format!("pg_temp.{table}");
        for (one, other) in [(&real, &temporary), (&temporary, &real)] {
            let sql =
                format!("SELECT {key} FROM (TABLE {one} EXCEPT TABLE {other}) AS rows LIMIT 1");
            if let Some(row) = snapshot.query_opt(&sql, &[]).await? {
                return Ok(Some(format!("{} in {table}", row.try_get::<_, &str>(0)?)));
            }
        }
    }
    Ok(None)
}

/// The chains of all instances, as far as their records were verified.
struct Chains {
    chains: BTreeMap<String, Chain>,
    /// Whether a prune may have deleted the first end of a call of which a second one is there.
    is_pruned: bool,
}

struct Chain {
    first: Link,
    /// The last record that was verified.
    link: Link,
    head: Link,
    /// Those of later records, in order.
    anchors: Peekable<vec::IntoIter<Anchor>>,
    anchored: Option<u64>,
}

impl Chains {
    /// Begins with the first link of each instance.
    async fn read(snapshot: &Transaction<'_>, anchors: Vec<Anchor>) -> Result<Self> {
        let mut of_instances = BTreeMap::<_, Vec<_>>::new();
        for anchor in anchors {
            let instance = anchor.instance.clone();
            of_instances.entry(instance).or_default().push(anchor);
        }
        let sql = "SELECT instance, first_seq, first_hash, seq, hash FROM instances";
        let mut chains = BTreeMap::new();
        for row in snapshot.query(sql, &[]).await? {
            let instance: String = row.try_get(0)?;
            let altered = || Tampered::Instance {
                instance: instance.clone(),
                what: "its row was altered",
            };
            let first = link(&row, "first_seq", "first_hash").ok_or_else(altered)?;
            let head = link(&row, "seq", "hash").ok_or_else(altered)?;
            if first.seq == 0 && first != Link::root(&instance) {
                let what = "its chain does not begin with its name";
                return Err(Tampered::Instance { instance, what }.into());
            }
            let mut anchors = of_instances.remove(&instance).unwrap_or_default();
            anchors.sort_by_key(|anchor| anchor.seq);
            let mut chain = Chain {
                first,
                link: first,
                head,
                anchors: anchors.into_iter().peekable(),
                anchored: None,
            };
            chain.reach(&instance, first)?;
            chains.insert(instance, chain);
        }
        if let Some((instance, anchors)) = of_instances.pop_first() {
            let seq = anchors.iter().map(|anchor| anchor.seq).max();
            let (seq, what) = (seq.unwrap_or_default(), "the instance was removed");
            return Err(Tampered::Anchor {
                instance,
                seq,
                what,
            }
            .into());
        }
        let is_pruned = chains.values().any(|chain| chain.first.seq > 0);
        Ok(Self { chains, is_pruned })
    }

    /// Verifies the record that follows, and returns what the function `apply` takes.
    fn record(&mut self, row: &Row) -> Result<Value> {
        let instance: String = row.try_get("instance")?;
        let btree_map::Entry::Occupied(mut chain) = self.chains.entry(instance.clone()) else {
            let what = "its row was removed";
            return Err(Tampered::Instance { instance, what }.into());
        };
        let chain = chain.get_mut();
        let seq = chain.link.seq + 1;
        if row.try_get::<_, i64>("seq")? != i64::try_from(seq)? {
            return Err(Tampered::Removed { instance, seq }.into());
        }
        let (call, text): (String, &str) = (row.try_get("call")?, row.try_get("text")?);
        let altered = |what| Tampered::Record {
            instance: instance.clone(),
            seq,
            call: call.clone(),
            what,
        };
        let link = chain.link.next(text);
        if row.try_get::<_, &[u8]>("hash")? != link.hash {
            let what = "its text, or an earlier one, was altered, removed or moved";
            return Err(altered(what).into());
        }
        let Ok(entry) = serde_json::from_str::<Entry>(text) else {
            return Err(altered("it is no entry").into());
        };
        let event: &str = row.try_get("event")?;
        let has_end: bool = row.try_get("has_end")?;
        let is_event = match (&entry.event, event) {
            (Event::End(_), LATE) => has_end || self.is_pruned,
            (known, event) => event == event_word(known) && !has_end,
        };
        let at = i64::try_from(millis(entry.at))?;
        if call != entry.call.to_string() || row.try_get::<_, i64>("at")? != at || !is_event {
            let (call, what) = (entry.call.to_string(), "a column differs from its text");
            return Err(Tampered::Record {
                instance,
                seq,
                call,
                what,
            }
            .into());
        }
        chain.reach(&instance, link)?;
        let mut columns = entry::row(&entry)?;
        columns["id"] = json!(row.try_get::<_, i64>("id")?);
        columns["instance"] = json!(instance);
        columns["event"] = json!(event);
        Ok(columns)
    }

    /// Verifies that each chain reaches its head, and all that anchors name. `anchors` are those of now.
    fn end(self, has_anchors: bool, anchors: &[Anchor]) -> Result<Vec<Verified>, Tampered> {
        let mut all = Vec::new();
        for (instance, mut chain) in self.chains {
            let Chain {
                first, link, head, ..
            } = chain;
            if link.seq < head.seq {
                let seq = link.seq + 1;
                return Err(Tampered::Removed { instance, seq });
            } else if link != head {
                let what = "its newest record is not the head of its chain";
                return Err(Tampered::Instance { instance, what });
            }
            if let Some(Anchor { seq, .. }) = chain.anchors.next() {
                let what = "its record is not there, so the newest records were removed";
                return Err(Tampered::Anchor {
                    instance,
                    seq,
                    what,
                });
            }
            let is_prune =
                |anchor: &Anchor| anchor.instance == instance && anchor.pruned == Some(first.seq);
            if has_anchors && first.seq > 0 && !anchors.iter().any(is_prune) {
                let (seq, what) = (first.seq, "no anchor says that it was pruned");
                return Err(Tampered::Anchor {
                    instance,
                    seq,
                    what,
                });
            }
            all.push(Verified {
                instance,
                records: link.seq - first.seq,
                pruned: first.seq,
                last: link.seq,
                anchored: chain.anchored,
            });
        }
        let has_records = all.iter().find(|it| it.last > 0);
        if let Some(Verified {
            instance,
            last: seq,
            ..
        }) = has_records
            && has_anchors
            && all.iter().all(|it| it.anchored.is_none())
        {
            let (instance, seq, what) = (instance.clone(), *seq, "there is none of any instance");
            return Err(Tampered::Anchor {
                instance,
                seq,
                what,
            });
        }
        Ok(all)
    }
}

impl Chain {
    /// Verifies a record against the anchors that name it.
    fn reach(&mut self, instance: &str, link: Link) -> Result<(), Tampered> {
        self.link = link;
        // Those of records that were pruned are passed over.
        while let Some(anchor) = self.anchors.next_if(|anchor| anchor.seq <= link.seq) {
            if anchor.seq == link.seq && anchor.hash != link.hash {
                return Err(Tampered::Anchor {
                    instance: instance.to_owned(),
                    seq: link.seq,
                    what: "its record has another hash, so the chain was written again",
                });
            }
            self.anchored = Some(anchor.seq);
        }
        Ok(())
    }
}

/// Returns a link, unless its columns cannot be those of one.
fn link(row: &Row, seq: &str, hash: &str) -> Option<Link> {
    let seq = row.try_get::<_, i64>(seq).ok()?.try_into().ok()?;
    let hash = row.try_get::<_, &[u8]>(hash).ok()?.try_into().ok()?;
    Some(Link { seq, hash })
}

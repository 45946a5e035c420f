//! [`Verifier`], which shows whether records were altered, removed or reordered.

use std::{collections::BTreeMap, iter::Peekable, vec};

use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::audit::{Entry, Event};

use crate::{Anchor, LATE, Link, event_word, millis};

/// The result of verifying the records of an instance.
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

/// How an audit was altered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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
}

/// Why an audit could not be verified. `E` is the error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError<E> {
    /// The audit was altered.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The database or the anchors cannot be read.
    #[error("could not read the audit")]
    Unreadable(#[source] E),
}

impl<E: From<BoxError>> From<BoxError> for VerifyError<E> {
    fn from(error: BoxError) -> Self {
        error.downcast().map_or_else(
            |error| Self::Unreadable(error.into()),
            |tampered| Self::Tampered(*tampered),
        )
    }
}

/// A record as an engine stores it. A column of another type than it should have is `None` or empty.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number in the chain of its instance.
    pub seq: Option<u64>,
    /// The call of its entry.
    pub call: &'a str,
    /// The time of its entry, in milliseconds since 1970.
    pub at: Option<u64>,
    /// The event of its entry, or [`LATE`].
    pub event: &'a str,
    /// Its entry as JSON.
    pub text: &'a str,
    /// Its hash.
    pub hash: &'a [u8],
    /// Whether an earlier record is a begin of the same call, if this one is an end.
    pub has_begin: bool,
    /// Whether an earlier record is the first end of the same call, if this one is an end.
    pub has_end: bool,
}

/// The chains of all instances, as far as their records were verified.
///
/// First comes each [`chain`](Self::chain), then each [`record`](Self::record) in order, then the [`end`](Self::end).
#[derive(Debug)]
pub struct Verifier {
    chains: BTreeMap<String, Chain>,
    /// Those of instances without a chain so far.
    anchors: BTreeMap<String, Vec<Anchor>>,
    /// Whether a prune may have deleted the first end of a call of which a second one is there.
    is_pruned: bool,
}

#[derive(Debug)]
struct Chain {
    first: Link,
    /// The last record that was verified.
    link: Link,
    head: Option<Link>,
    /// Those of later records, in order.
    anchors: Peekable<vec::IntoIter<Anchor>>,
    anchored: Option<u64>,
}

impl Verifier {
    /// Begins without chains. The anchors are those of all instances, in any order.
    pub fn new(anchors: impl IntoIterator<Item = Anchor>) -> Self {
        let mut of_instances = BTreeMap::<_, Vec<_>>::new();
        for anchor in anchors {
            let instance = anchor.instance.clone();
            of_instances.entry(instance).or_default().push(anchor);
        }
        Self {
            chains: BTreeMap::new(),
            anchors: of_instances,
            is_pruned: false,
        }
    }

    /// Adds the chain of an instance. Its oldest record follows `first`; `head` is the link of its newest one, if the
    /// engine stores it.
    ///
    /// # Errors
    ///
    /// When a chain that was never pruned does not begin with the name of its instance, or the first link is not that
    /// of an anchor.
    pub fn chain(
        &mut self,
        instance: String,
        first: Link,
        head: Option<Link>,
    ) -> Result<(), Tampered> {
        if first.seq == 0 && first != Link::root(&instance) {
            let what = "its chain does not begin with its name";
            return Err(Tampered::Instance { instance, what });
        }
        let mut anchors = self.anchors.remove(&instance).unwrap_or_default();
        anchors.sort_by_key(|anchor| anchor.seq);
        let mut chain = Chain {
            first,
            link: first,
            head,
            anchors: anchors.into_iter().peekable(),
            anchored: None,
        };
        chain.reach(&instance, first)?;
        self.is_pruned |= first.seq > 0;
        self.chains.insert(instance, chain);
        Ok(())
    }

    /// Verifies the next record of an instance, also against the anchors that name it. Returns its entry.
    ///
    /// # Errors
    ///
    /// When it was altered, or is not the next one.
    pub fn record(&mut self, instance: &str, record: &Record<'_>) -> Result<Entry, Tampered> {
        let Some(chain) = self.chains.get_mut(instance) else {
            let (instance, what) = (instance.to_owned(), "its row was removed");
            return Err(Tampered::Instance { instance, what });
        };
        let (instance, seq) = (instance.to_owned(), chain.link.seq + 1);
        if record.seq != Some(seq) {
            return Err(Tampered::Removed { instance, seq });
        }
        let altered = |call: &str, what| Tampered::Record {
            instance: instance.clone(),
            seq,
            call: call.to_owned(),
            what,
        };
        let link = chain.link.next(record.text);
        if record.hash != link.hash {
            let what = "its text, or an earlier one, was altered, removed or moved";
            return Err(altered(record.call, what));
        }
        let Ok(entry) = serde_json::from_str::<Entry>(record.text) else {
            return Err(altered(record.call, "it is no entry"));
        };
        let is_event = match (&entry.event, record.event) {
            // A prune that removed the first end has removed the begin before it.
            (Event::End(_), LATE) => record.has_end || self.is_pruned && !record.has_begin,
            (Event::End(_), _) if record.has_end => false,
            (event, word) => word == event_word(event),
        };
        let call = entry.call.to_string();
        if record.call != call || record.at != Some(millis(entry.at)) || !is_event {
            return Err(altered(&call, "a column differs from its text"));
        }
        chain.reach(&instance, link)?;
        Ok(entry)
    }

    /// Verifies that each chain reaches its head, and all that anchors name. `anchors` are those of now, which are read
    /// after the records because a prune writes its anchor first.
    ///
    /// # Errors
    ///
    /// When the newest records or an instance were removed, or the oldest ones without a prune. With anchors, also when
    /// there are records and no instance has an anchor: one that was killed before its first anchor has none.
    pub fn end(self, anchors: Option<&[Anchor]>) -> Result<Vec<Verified>, Tampered> {
        if let Some((instance, anchors)) = self.anchors.into_iter().next() {
            let seq = anchors.iter().map(|anchor| anchor.seq).max();
            let (seq, what) = (seq.unwrap_or_default(), "the instance was removed");
            return Err(Tampered::Anchor {
                instance,
                seq,
                what,
            });
        }
        let chains = self.chains.into_iter();
        let verified = chains.map(|(instance, chain)| chain.end(instance, anchors));
        let verified = verified.collect::<Result<Vec<_>, _>>()?;
        let with_records = verified.iter().find(|it| it.last > 0);
        if let Some(it) = with_records
            && anchors.is_some()
            && verified.iter().all(|it| it.anchored.is_none())
        {
            return Err(Tampered::Anchor {
                instance: it.instance.clone(),
                seq: it.last,
                what: "there is no anchor of this instance",
            });
        }
        Ok(verified)
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

    fn end(mut self, instance: String, anchors: Option<&[Anchor]>) -> Result<Verified, Tampered> {
        let (last, head) = (self.link.seq, self.head.unwrap_or(self.link));
        if last < head.seq {
            let seq = last + 1;
            return Err(Tampered::Removed { instance, seq });
        } else if self.link != head {
            let what = "its newest record is not the head of its chain";
            return Err(Tampered::Instance { instance, what });
        }
        let pruned = self.first.seq;
        let is_prune =
            |anchor: &Anchor| anchor.instance == instance && anchor.pruned == Some(pruned);
        let missing = if let Some(anchor) = self.anchors.next() {
            let what = "its record is not there, so the newest records were removed";
            Some((anchor.seq, what))
        } else if pruned > 0 && anchors.is_some_and(|anchors| !anchors.iter().any(is_prune)) {
            Some((pruned, "no anchor says that it was pruned"))
        } else {
            None
        };
        if let Some((seq, what)) = missing {
            return Err(Tampered::Anchor {
                instance,
                seq,
                what,
            });
        }
        Ok(Verified {
            instance,
            records: last - pruned,
            pruned,
            last,
            anchored: self.anchored,
        })
    }
}

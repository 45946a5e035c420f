//! How serde writes times and outcomes of [entries](super::Entry).

/// A time as milliseconds since 1970.
pub(super) mod millis {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::audit) fn serialize<S: Serializer>(
        time: &SystemTime,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(of(*time))
    }

    pub(in crate::audit) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        u64::deserialize(from).map(after)
    }

    pub(in crate::audit) fn of(time: SystemTime) -> u64 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(in crate::audit) fn after(millis: u64) -> SystemTime {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.unwrap_or(UNIX_EPOCH)
    }
}

/// A time that may be absent, in the same way.
pub(super) mod opt_millis {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::millis;

    pub(in crate::audit) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(millis::of).serialize(to)
    }

    pub(in crate::audit) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::deserialize(from)?.map(millis::after))
    }
}

/// A lifetime as whole seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::audit) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs()).serialize(to)
    }

    pub(in crate::audit) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::deserialize(from)?.map(Duration::from_secs))
    }
}

/// An outcome as its word.
pub(super) mod outcome {
    use clerk_actor_tokens::Outcome;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    const ALL: [Outcome; 4] = [
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Unknown,
        Outcome::Applied,
    ];

    pub(in crate::audit) fn serialize<S: Serializer>(
        outcome: &Outcome,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        outcome.as_str().serialize(to)
    }

    pub(in crate::audit) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Outcome, D::Error> {
        let word = String::deserialize(from)?;
        let found = ALL.into_iter().find(|outcome| outcome.as_str() == word);
        found.ok_or_else(|| D::Error::custom("no outcome is named so"))
    }
}

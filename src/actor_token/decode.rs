//! The token in an answer, read leniently: a field that is odd is absent, only the id is required. Only
//! a credential, or an actor, that no reader takes is not passed over.

use std::time::{Duration, SystemTime};

use super::{
    ActorToken, ActorTokenStatus, Ticket, echo::Echo, invalid::InvalidActorToken,
    odd_time::without_odd_times, wire::Wire,
};
use crate::{ActorTokenId, actor_token_id::IdText};

impl ActorToken {
    /// Reads a token from JSON as the API sends it.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object, or has no valid `id`, or what no JSON reader takes: a
    /// `token` or `url` whose text is none (half a surrogate pair, escaped), or an `actor` with such a
    /// text, with a number beyond all measure (`1e400`), or nested beyond 128 levels. Any other field
    /// may be missing, null or odd in every way, these may be whatever can be read, and where that is
    /// of no use, they are absent.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidActorToken> {
        Self::read(json, |reading| {
            let (id, user_id) = (reading.id.to_id(), reading.user_id().map(str::to_owned));
            let actor = reading.actor()?;
            Ok(reading.into_token(id, user_id, actor, None))
        })
    }

    /// Lets `make` make what it wants of the token in `json`.
    pub(crate) fn read<T, E>(
        json: &[u8],
        make: impl FnOnce(Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<InvalidActorToken>,
    {
        // One look at the whole is cheaper than one at every text in it.
        let wire = match std::str::from_utf8(json) {
            Ok(text) => Wire::of_compact(text).map_or_else(|| serde_json::from_str(text), Ok),
            Err(_) => serde_json::from_slice(json),
        };
        let error = match wire {
            Ok(wire) => return make(Reading::of(wire)?),
            Err(error) => InvalidActorToken::json(&error),
        };
        // Perhaps nothing is odd but its times.
        let cleaned = without_odd_times(json).ok_or(error)?;
        let wire = serde_json::from_slice(&cleaned).map_err(|_| error)?;
        make(Reading::of(wire)?)
    }
}

/// A token as it stands in an answer.
pub(crate) struct Reading<'a> {
    id: IdText<'a>,
    wire: Wire<'a>,
}

impl<'a> Reading<'a> {
    fn of(mut wire: Wire<'a>) -> Result<Self, InvalidActorToken> {
        let id = wire.id.0.take().and_then(IdText::new);
        let id = id.ok_or(InvalidActorToken::without_id())?;
        Ok(Self { id, wire })
    }

    pub(crate) fn id(&self) -> &IdText<'a> {
        &self.id
    }

    pub(crate) fn user_id(&self) -> Option<&str> {
        self.wire.user_id.as_deref()
    }

    pub(crate) fn actor(&self) -> Result<Echo, InvalidActorToken> {
        Echo::of(self.wire.actor).ok_or(InvalidActorToken::without_actor())
    }

    /// The token with this id, for this user, by this actor: who knows them need not have them copied.
    /// Its `life`, if that is known, counts from now where the answer does not say when it was minted.
    pub(crate) fn into_token(
        self,
        id: ActorTokenId,
        user_id: Option<String>,
        actor: Echo,
        life: Option<Duration>,
    ) -> ActorToken {
        let wire = self.wire;
        let created_at = wire.created_at.and_then(to_time);
        let expires_at = life.and_then(|life| {
            let minted = created_at.unwrap_or_else(SystemTime::now);
            minted.checked_add(life)
        });
        ActorToken {
            id,
            user_id,
            actor,
            status: ActorTokenStatus::from(wire.status.as_deref().unwrap_or_default()),
            ticket: Ticket::new(wire.token.as_deref(), wire.url.as_deref()),
            created_at,
            updated_at: wire.updated_at.and_then(to_time),
            expires_at,
        }
    }
}

/// A time in milliseconds since 1970.
fn to_time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Actor;

    fn read(json: &str) -> ActorToken {
        ActorToken::from_json(json.as_bytes()).expect(json)
    }

    fn refused(json: impl AsRef<[u8]>) -> String {
        ActorToken::from_json(json.as_ref())
            .expect_err("it was accepted")
            .to_string()
    }

    const FULL: &str = r#"{"object":"actor_token","id":"act_1","user_id":"user_1","actor":{"sub":"user_2","reason":"r"},"status":"pending","token":"eyJ","url":"https://x/v1/tickets/accept?ticket=eyJ","created_at":1700000000123,"updated_at":1700000000456}"#;

    #[test]
    fn a_full_answer_is_kept_in_full() {
        let token = read(FULL);
        assert_eq!(token.id().as_str(), "act_1");
        assert_eq!(token.user_id(), Some("user_1"));
        assert_eq!(
            token.actor(),
            Some(&Actor::new("user_2").claim("reason", "r"))
        );
        assert_eq!(token.status(), &ActorTokenStatus::Pending);
        let ticket = token.ticket().unwrap();
        assert_eq!(ticket.expose_token(), Some("eyJ"));
        assert_eq!(
            ticket.expose_url(),
            Some("https://x/v1/tickets/accept?ticket=eyJ")
        );
        let millis = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!(token.created_at(), Some(millis));
        assert_eq!(String::from_utf8(token.expose_json()).unwrap(), FULL);
    }

    #[test]
    fn the_id_alone_is_enough() {
        let token = read(r#"{"id":"act_1","status":"revoked"}"#);
        assert_eq!(token.status(), &ActorTokenStatus::Revoked);
        assert!(token.ticket().is_none() && token.user_id().is_none() && token.actor().is_none());
        assert_eq!(
            read(r#"{"id":"act_1"}"#).status(),
            &ActorTokenStatus::Other(String::new())
        );
    }

    #[test]
    fn an_odd_field_is_absent_and_costs_nothing_else() {
        let odd = [
            "null",
            "7",
            "-1",
            "1.5",
            "true",
            "[\"marker\"]",
            "{\"marker\":{}}",
        ];
        // What no reader takes.
        let unreadable = ["1e400", "-1e400", "[1e400]", r#""\ud800""#];
        for field in [
            "user_id",
            "actor",
            "status",
            "url",
            "created_at",
            "updated_at",
            "object",
            "new",
        ] {
            let unreadable = unreadable.iter().filter(|value| match field {
                "actor" => false,
                "url" => !value.contains("ud800"),
                _ => true,
            });
            for value in odd.iter().chain(unreadable) {
                let token = read(&format!(
                    r#"{{"{field}":{value},"id":"act_1","token":"t"}}"#
                ));
                assert_eq!(
                    token.ticket().unwrap().expose_token(),
                    Some("t"),
                    "{field} {value}"
                );
                assert!(token.created_at().is_none() || field == "created_at" && *value == "7");
            }
        }
        let times = [
            r#""1""#,
            r#""\ud800""#,
            "NaN",
            "-Infinity",
            "1e400",
            "1e3",
            "[[]]",
        ];
        for (odd, other) in times.iter().flat_map(|odd| times.map(|other| (odd, other))) {
            let token = read(&format!(
                r#"{{"created_at":{odd},"id":"a","updated_at":{other}}}"#
            ));
            assert!(token.created_at().is_none(), "{odd}");
            assert!(token.updated_at().is_none(), "{other}");
        }
        let one = read(r#"{"created_at":7,"id":"a","updated_at":NaN}"#);
        assert!(one.created_at().is_some() && one.updated_at().is_none());
    }

    #[test]
    fn token_and_url_may_be_null_absent_or_empty() {
        assert!(
            read(r#"{"id":"a","token":null,"url":null}"#)
                .ticket()
                .is_none()
        );
        assert!(read(r#"{"id":"a","token":"","url":""}"#).ticket().is_none());
        let half = read(r#"{"id":"a","token":"","url":"https://x"}"#);
        assert_eq!(half.ticket().unwrap().expose_url(), Some("https://x"));
        assert_eq!(half.ticket().unwrap().expose_token(), None);
    }

    #[test]
    fn an_unknown_status_is_kept() {
        let token = read(r#"{"id":"a","status":"paused"}"#);
        assert_eq!(token.status(), &ActorTokenStatus::Other("paused".into()));
        let hostile = read("{\"id\":\"a\",\"status\":\"\u{61c}sk_test_marker\\u001b\"}");
        assert_eq!(hostile.status().as_str(), "sk_[redacted]");
    }

    #[test]
    fn what_is_not_one_object_with_one_id_is_refused_and_not_echoed() {
        let texts = [
            "",
            "null",
            "[]",
            "\"marker\"",
            "7",
            "{}",
            r#"["act_1","marker"]"#,
            r#"{"id":7,"token":"marker"}"#,
            r#"{"id":"../marker"}"#,
            r#"{"id":"a","id":"b","token":"marker"}"#,
            r#"{"id":"a"} "marker""#,
            r#"{"id":"a","token":"\ud800marker"}"#,
            "\u{feff}{\"id\":\"a\",\"token\":\"marker\"}",
        ];
        for text in texts {
            let error = refused(text);
            assert!(!error.contains("marker"), "{error}");
        }
        refused(b"{\"id\":\"a\",\"token\":\"\xff\"}");
        for cut in 1..FULL.len() {
            assert!(refused(&FULL[..cut]).contains("breaks off"), "{cut}");
        }
    }

    #[test]
    fn an_actor_that_no_reader_takes_is_refused_and_not_echoed() {
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for actor in [
            deep(100_000),
            format!(r#"{{"sub":"marker","c":{}}}"#, deep(1000)),
            r#"{"sub":"marker\ud800"}"#.into(),
            r#"{"sub":7,"marker":"\udc00"}"#.into(),
            r#"{"sub":"a","n":1e400}"#.into(),
            "1e400".into(),
        ] {
            let error = refused(format!(r#"{{"id":"a","actor":{actor},"token":"marker"}}"#));
            assert_eq!(error, "the answer has an actor that cannot be read");
        }
    }

    #[test]
    fn debug_shows_no_credential() {
        let shown = format!("{:?}", read(FULL));
        assert!(
            !shown.contains("eyJ") && !shown.contains("user_"),
            "{shown}"
        );
    }
}

//! Bodies of a 200 and the result of each, over any protocol.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::{ActorToken, ErrorKind};

use crate::harness::{
    checks::{Check, check, field, salvaged},
    gzip,
    run::{AP, End, OK, RJ, UN, Want},
    script::Op,
};

const S: Duration = Duration::from_secs(1);

/// A response with status 200, and how a create and a revoke must end with it.
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: Vec<u8>,
    pub(crate) create: End,
    pub(crate) revoke: Want,
    pub(crate) also: Vec<Check>,
}

impl Answer {
    /// A response with which both operations end the same way. A revoke in doubt is retried.
    pub(crate) fn new(name: impl Into<String>, body: impl Into<Vec<u8>>, end: End) -> Self {
        Self {
            name: name.into(),
            headers: &[],
            body: body.into(),
            create: end,
            revoke: (end, if end == UN { 3 } else { 1 }),
            also: Vec::new(),
        }
    }

    pub(crate) fn also(mut self, check: Check) -> Self {
        self.also.push(check);
        self
    }
}

pub(crate) fn all() -> Vec<Answer> {
    let mut all = Vec::new();
    for (name, body) in NO_TRACE {
        all.push(Answer::new(*name, *body, UN).also(salvaged(None)));
    }
    for (name, body) in NO_ID {
        all.push(Answer::new(*name, *body, UN).also(salvaged(None)));
    }
    for (name, body) in UNREADABLE {
        all.push(Answer::new(*name, *body, AP).also(salvaged(Some("act_1"))));
    }
    for (name, body) in OTHER_USER {
        // A response that names another user may belong to another create.
        let create = if *name == "another user" { UN } else { AP };
        all.push(Answer {
            // A revoke asks for no user.
            revoke: (OK, 1),
            ..Answer::new(*name, *body, create).also(salvaged(Some("act_1")))
        });
    }
    for odd in LENIENT {
        let body = format!(r#"{{"id":"act_1","user_id":"user_1",{odd}}}"#);
        all.push(Answer::new(*odd, body, OK));
    }
    for created_at in ["1700000000", "1700000000000", "0"] {
        let name = format!("created_at {created_at}, long ago");
        let body = format!(r#"{{"id":"act_1","user_id":"user_1","created_at":{created_at}}}"#);
        all.push(Answer::new(name, body, OK).also(expires_in_an_hour()));
    }
    all.extend(statuses());
    all.extend(deep());
    all.extend(compressed());
    all
}

/// A revoke succeeds only if the token is revoked.
fn statuses() -> Vec<Answer> {
    use ErrorKind::{AlreadyAccepted, NotRevoked};

    let revokes = [
        ("revoked", (OK, 1), None),
        ("accepted", (RJ, 1), Some(AlreadyAccepted)),
        ("pending", (RJ, 3), Some(NotRevoked)),
        ("paused", (RJ, 3), Some(NotRevoked)),
        ("Revoked", (RJ, 3), Some(NotRevoked)),
    ];
    let answer = |(status, revoke, kind)| {
        // The space keeps the harness from rewriting the status for a revoke.
        let body = format!(r#"{{"id":"act_1","user_id":"user_1","status": "{status}"}}"#);
        let answer = Answer::new(format!("status {status}"), body, OK);
        let answer = Answer { revoke, ..answer };
        answer
            .also(field("status", Some(status)))
            .also(check(move |run| {
                match run.errors().find(|it| Some(it.kind()) != kind) {
                    Some(error) => Err(format!("another kind: {error:?}")),
                    None => Ok(()),
                }
            }))
    };
    revokes.map(answer).into()
}

/// A minted token expires about an hour from now; of a revoked one no expiry is known.
fn expires_in_an_hour() -> Check {
    check(|run| {
        let now = SystemTime::now();
        let right = |token: &ActorToken| match (run.op, token.expires_at()) {
            (Op::Create, Some(at)) => at > now + 3500 * S && at <= now + 3600 * S,
            (Op::Revoke, None) => true,
            _ => false,
        };
        match run.results.iter().flatten().all(right) {
            true => Ok(()),
            false => Err("it expires at another time".into()),
        }
    })
}

/// Very deeply nested.
fn deep() -> Vec<Answer> {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let with = |field: String| format!(r#"{{{field},"id":"act_1","user_id":"user_1"}}"#);
    let unreadable =
        |name: &str, field| Answer::new(name, with(field), AP).also(salvaged(Some("act_1")));
    vec![
        unreadable(
            "an actor 100 000 levels deep",
            format!(r#""actor":{open}{close}"#),
        ),
        unreadable(
            "a claim 100 000 levels deep",
            format!(r#""actor":{{"sub":"user_2","c":{open}{close}}}"#),
        ),
        // An unknown field may be arbitrarily deep.
        Answer::new(
            "an unknown field 100 000 levels deep",
            with(format!(r#""new":{open}{close}"#)),
            OK,
        ),
    ]
}

/// Compressed although the client did not ask for it. Decompressed, they would be tokens.
fn compressed() -> Vec<Answer> {
    let token = br#"{"id":"act_1","user_id":"user_1","token":"MARKER"}"#;
    let gzip = |name: &str, body, encoding| Answer {
        headers: encoding,
        ..Answer::new(name, body, UN)
    };
    let headers: &[_] = &[("content-encoding", "gzip")];
    vec![
        gzip("gzip", gzip::compressed(token), headers),
        gzip("gzip that does not say so", gzip::compressed(token), &[]),
        gzip(
            "200 KB of gzip for 30 MB",
            gzip::bomb(token, 30_000_000),
            headers,
        ),
    ]
}

/// Without any sign of a token: they may come from something else than the API.
const NO_TRACE: &[(&str, &str)] = &[
    ("empty", ""),
    ("null", "null"),
    ("a number", "7"),
    ("an empty array", "[]"),
    ("a text", "\"MARKER\""),
    ("an array of texts", r#"["act_1","MARKER"]"#),
    ("HTML", "<html>MARKER</html>"),
];

/// They look like responses of the API but do not name a token.
const NO_ID: &[(&str, &str)] = &[
    ("an empty object", "{}"),
    ("no id", r#"{"user_id":"user_1","token":"MARKER"}"#),
    (
        "a null id",
        r#"{"id":null,"user_id":"user_1","token":"MARKER"}"#,
    ),
    ("a number as id", r#"{"id":7,"user_id":"user_1"}"#),
    ("an empty id", r#"{"id":"","user_id":"user_1"}"#),
    ("an array as id", r#"{"id":["MARKER"],"user_id":"user_1"}"#),
    (
        "an object as id",
        r#"{"id":{"id":"MARKER"},"user_id":"user_1"}"#,
    ),
    (
        "an id that is a path",
        r#"{"id":"../MARKER","user_id":"user_1"}"#,
    ),
];

/// They cannot be read as a token, but their id can be salvaged.
const UNREADABLE: &[(&str, &[u8])] = &[
    (
        "an array in place of the object",
        br#"[{"id":"act_1","user_id":"user_1","token":"MARKER"}]"#,
    ),
    (
        "a byte order mark",
        b"\xef\xbb\xbf{\"id\":\"act_1\",\"user_id\":\"user_1\",\"token\":\"MARKER\"}",
    ),
    (
        "trailing garbage",
        br#"{"id":"act_1","user_id":"user_1"}MARKER"#,
    ),
    (
        "two documents",
        br#"{"id":"act_1","user_id":"user_1"}{"id":"MARKER"}"#,
    ),
    (
        "a duplicate id",
        br#"{"id":"act_1","id":"MARKER","user_id":"user_1"}"#,
    ),
    (
        "a lone surrogate",
        br#"{"id":"act_1","user_id":"user_1","token":"\ud800MARKER"}"#,
    ),
    (
        "a lone surrogate in the actor",
        br#"{"id":"act_1","user_id":"user_1","actor":{"sub":"\udc00MARKER"}}"#,
    ),
    (
        "invalid UTF-8",
        b"{\"id\":\"act_1\",\"user_id\":\"user_1\",\"token\":\"MARKER\xff\"}",
    ),
    (
        "1e400 as a time",
        br#"{"id":"act_1","user_id":"user_1","created_at":1e400}"#,
    ),
    (
        "-1e400 as a time",
        br#"{"id":"act_1","user_id":"user_1","created_at":-1e400}"#,
    ),
    (
        "NaN as a time",
        br#"{"id":"act_1","user_id":"user_1","created_at":NaN}"#,
    ),
    (
        "NaN and Infinity as times",
        br#"{"id":"act_1","user_id":"user_1","updated_at" : NaN ,"created_at":Infinity}"#,
    ),
    (
        "-Infinity as a time",
        br#"{"id":"act_1","user_id":"user_1","updated_at":-Infinity}"#,
    ),
    (
        "invalid UTF-8 in the user",
        b"{\"id\":\"act_1\",\"user_id\":\"user_1\xc0\xaf\",\"token\":\"MARKER\"}",
    ),
];

/// Odd fields that must not lose the credential.
const LENIENT: &[&str] = &[
    r#""created_at":"1""#,
    r#""created_at":-1"#,
    r#""created_at":18446744073709551616"#,
    r#""created_at":18446744073709551615"#,
    r#""object":"other""#,
    r#""new":{"deep":[{"er":null}]}"#,
    r#""errors":[{"code":"MARKER"}]"#,
];

/// They do not name the user of the create.
const OTHER_USER: &[(&str, &str)] = &[
    ("no user", r#"{"id":"act_1","token":"MARKER"}"#),
    (
        "a null user",
        r#"{"id":"act_1","user_id":null,"token":"MARKER"}"#,
    ),
    ("a number as user", r#"{"id":"act_1","user_id":7}"#),
    ("an array as user", r#"{"id":"act_1","user_id":["MARKER"]}"#),
    (
        "an object as user",
        r#"{"id":"act_1","user_id":{"MARKER":"user_1"}}"#,
    ),
    (
        "another user",
        r#"{"id":"act_1","user_id":"MARKER","token":"MARKER"}"#,
    ),
];

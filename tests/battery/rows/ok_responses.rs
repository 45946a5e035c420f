//! Bodies of a 200 and their results, over any protocol.

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::{ActorToken, ErrorKind};

use crate::harness::{
    checks::{Check, check, field, salvaged},
    gzip,
    run::{AP, End, Expected, OK, RJ, UN},
    script::Op,
};

const S: Duration = Duration::from_secs(1);

/// A response with status 200, and the expected ends of a create and of a revoke.
pub(crate) struct OkResponse {
    pub(crate) name: String,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: Vec<u8>,
    pub(crate) create: End,
    pub(crate) revoke: Expected,
    pub(crate) also: Vec<Check>,
}

impl OkResponse {
    /// Both operations end in the same way. A revoke with an unknown outcome is retried.
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

pub(crate) fn all() -> Vec<OkResponse> {
    let mut all = Vec::new();
    for (name, body) in NO_TRACE {
        all.push(OkResponse::new(*name, *body, UN).also(salvaged(None)));
    }
    for (name, body) in NO_ID {
        all.push(OkResponse::new(*name, *body, UN).also(salvaged(None)));
    }
    for (name, body) in UNREADABLE {
        all.push(OkResponse::new(*name, *body, AP).also(salvaged(Some("act_1"))));
    }
    for (name, body) in OTHER_USER {
        // A response that names another user may belong to another create.
        let create = if *name == "another user" { UN } else { AP };
        all.push(OkResponse {
            // A revoke names no user.
            revoke: (OK, 1),
            ..OkResponse::new(*name, *body, create).also(salvaged(Some("act_1")))
        });
    }
    for id in ["act_2", "act_10", "ACT_1"] {
        let name = format!("the id {id}");
        let body = format!(r#"{{"id":"{id}","user_id":"user_1","status": "revoked"}}"#);
        all.push(OkResponse {
            // It may be the response to another revoke. A create names no id.
            revoke: (UN, 3),
            ..OkResponse::new(name, body, OK)
        });
    }
    for fields in LENIENT {
        let body = format!(r#"{{"id":"act_1","user_id":"user_1",{fields}}}"#);
        all.push(OkResponse::new(*fields, body, OK));
    }
    for created_at in ["1700000000", "1700000000000", "0"] {
        let name = format!("created_at {created_at}, long ago");
        let body = format!(r#"{{"id":"act_1","user_id":"user_1","created_at":{created_at}}}"#);
        all.push(OkResponse::new(name, body, OK).also(expires_in_an_hour()));
    }
    all.extend(statuses());
    all.extend(deep());
    all.extend(compressed());
    all
}

/// A revoke succeeds only if the token is revoked.
fn statuses() -> Vec<OkResponse> {
    use ErrorKind::{AlreadyAccepted, NotRevoked};

    let revokes = [
        ("revoked", (OK, 1), None),
        ("accepted", (RJ, 1), Some(AlreadyAccepted)),
        ("pending", (RJ, 3), Some(NotRevoked)),
        ("paused", (RJ, 3), Some(NotRevoked)),
        ("Revoked", (RJ, 3), Some(NotRevoked)),
    ];
    let response = |(status, revoke, kind)| {
        // The space prevents the harness from changing the status for a revoke.
        let body = format!(r#"{{"id":"act_1","user_id":"user_1","status": "{status}"}}"#);
        let response = OkResponse::new(format!("status {status}"), body, OK);
        let response = OkResponse { revoke, ..response };
        response
            .also(field("status", Some(status)))
            .also(check(move |run| {
                match run.errors().find(|it| Some(it.kind()) != kind) {
                    Some(error) => Err(format!("wrong kind: {error:?}")),
                    None => Ok(()),
                }
            }))
    };
    revokes.map(response).into()
}

/// A minted token expires in about an hour. A revoked one has no expiry.
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
            false => Err("wrong expiry".into()),
        }
    })
}

/// Deeply nested bodies.
fn deep() -> Vec<OkResponse> {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let with = |field: String| format!(r#"{{{field},"id":"act_1","user_id":"user_1"}}"#);
    let unreadable =
        |name: &str, field| OkResponse::new(name, with(field), AP).also(salvaged(Some("act_1")));
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
        OkResponse::new(
            "an unknown field 100 000 levels deep",
            with(format!(r#""new":{open}{close}"#)),
            OK,
        ),
    ]
}

/// Compressed tokens, although the client does not accept encodings.
fn compressed() -> Vec<OkResponse> {
    let token = br#"{"id":"act_1","user_id":"user_1","token":"MARKER"}"#;
    let gzip = |name: &str, body, encoding| OkResponse {
        headers: encoding,
        ..OkResponse::new(name, body, UN)
    };
    let headers: &[_] = &[("content-encoding", "gzip")];
    vec![
        gzip("gzip", gzip::compressed(token), headers),
        gzip(
            "gzip without content-encoding",
            gzip::compressed(token),
            &[],
        ),
        gzip(
            "200 KB of gzip for 30 MB",
            gzip::bomb(token, 30_000_000),
            headers,
        ),
    ]
}

/// Bodies without a sign of a token, which may not come from the API.
const NO_TRACE: &[(&str, &str)] = &[
    ("empty", ""),
    ("null", "null"),
    ("a number", "7"),
    ("an empty array", "[]"),
    ("a string", "\"MARKER\""),
    ("an array of strings", r#"["act_1","MARKER"]"#),
    ("HTML", "<html>MARKER</html>"),
];

/// Bodies like those of the API, without a valid id.
const NO_ID: &[(&str, &str)] = &[
    ("an empty object", "{}"),
    ("only a status", r#"{"status":"ok"}"#),
    (
        "errors",
        r#"{"errors":[{"code":"MARKER","message":"MARKER"}]}"#,
    ),
    ("a status without an id", r#"{"status":"revoked"}"#),
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

/// Bodies that cannot be decoded, but contain an id.
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

/// Unexpected fields that do not prevent decoding.
const LENIENT: &[&str] = &[
    r#""created_at":"1""#,
    r#""created_at":-1"#,
    r#""created_at":18446744073709551616"#,
    r#""created_at":18446744073709551615"#,
    r#""object":"other""#,
    r#""new":{"deep":[{"er":null}]}"#,
    r#""errors":[{"code":"MARKER"}]"#,
];

/// Bodies without the user of the create.
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

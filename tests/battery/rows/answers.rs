//! Bodies of a 200, and what must come of each, whatever carries it.

use crate::harness::row::{AP, End, OK, UN};

/// The body of a 200, and how a create and a revoke that are answered so must end.
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) create: End,
    pub(crate) revoke: End,
}

pub(crate) fn all() -> Vec<Answer> {
    let unreadable = UNREADABLE
        .iter()
        .map(|&(name, body, end)| (name, body.to_owned(), end, end));
    let lenient = LENIENT.iter().map(|odd| {
        let body = format!(r#"{{"id":"act_1","user_id":"user_1",{odd}}}"#);
        (*odd, body, OK, OK)
    });
    let other_user = OTHER_USER
        .iter()
        .map(|&(name, body)| (name, body.to_owned(), AP, OK));
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"id":"act_1","user_id":"user_1","actor":{open}{close}}}"#);
    unreadable
        .chain(lenient)
        .chain(other_user)
        .chain([("an actor 100 000 levels deep", deep, AP, AP)])
        .map(|(name, body, create, revoke)| Answer {
            name: name.into(),
            body,
            create,
            revoke,
        })
        .collect()
}

/// Not the token that was asked for. Without any trace of one it may be no answer of the API.
const UNREADABLE: &[(&str, &str, End)] = &[
    ("empty", "", UN),
    ("null", "null", UN),
    ("an empty array", "[]", UN),
    ("a text", "\"MARKER\"", UN),
    ("an array of texts", r#"["act_1","MARKER"]"#, UN),
    ("HTML", "<html>MARKER</html>", UN),
    ("gzip unasked", "\u{1f}\u{8b}\u{8}MARKER", UN),
    (
        "an array in place of the object",
        r#"[{"id":"act_1","user_id":"user_1","token":"MARKER"}]"#,
        AP,
    ),
    (
        "a byte order mark",
        "\u{feff}{\"id\":\"act_1\",\"user_id\":\"user_1\",\"token\":\"MARKER\"}",
        AP,
    ),
    (
        "trailing garbage",
        r#"{"id":"act_1","user_id":"user_1"}MARKER"#,
        AP,
    ),
    (
        "two documents",
        r#"{"id":"act_1","user_id":"user_1"}{"id":"MARKER"}"#,
        AP,
    ),
    (
        "a duplicate id",
        r#"{"id":"act_1","id":"MARKER","user_id":"user_1"}"#,
        AP,
    ),
    (
        "a lone surrogate",
        r#"{"id":"act_1","user_id":"user_1","token":"\ud800MARKER"}"#,
        AP,
    ),
    ("no id", r#"{"user_id":"user_1","token":"MARKER"}"#, AP),
    (
        "a null id",
        r#"{"id":null,"user_id":"user_1","token":"MARKER"}"#,
        AP,
    ),
    (
        "an id of the wrong type",
        r#"{"id":["MARKER"],"user_id":"user_1"}"#,
        AP,
    ),
    (
        "an id that is a path",
        r#"{"id":"../MARKER","user_id":"user_1"}"#,
        AP,
    ),
];

/// Odd, but no reason to lose a credential.
const LENIENT: &[&str] = &[
    r#""status":"paused""#,
    r#""status":null"#,
    r#""status":7"#,
    r#""token":null"#,
    r#""url":7"#,
    r#""actor":null"#,
    r#""actor":"MARKER""#,
    r#""actor":[]"#,
    r#""created_at":1e400"#,
    r#""created_at":"1""#,
    r#""created_at":-1"#,
    r#""updated_at":null"#,
    r#""object":"other""#,
    r#""new":{"deep":[{"er":null}]}"#,
];

/// Not about the user that a create was for; a revoke asks for none.
const OTHER_USER: &[(&str, &str)] = &[
    ("no user", r#"{"id":"act_1"}"#),
    ("a null user", r#"{"id":"act_1","user_id":null}"#),
    (
        "a user of the wrong type",
        r#"{"id":"act_1","user_id":["MARKER"]}"#,
    ),
    ("another user", r#"{"id":"act_1","user_id":"MARKER"}"#),
];

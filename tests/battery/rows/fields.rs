//! Optional fields of a token that are null, missing or of the wrong type. They are absent, the other fields are read.

use serde_json::{Map, Value, json};

use super::ok_responses::OkResponse;
use crate::harness::{
    checks::{Check, check},
    run::OK,
    script::Op,
};

/// The optional fields, and further types that are wrong for them.
const FIELDS: &[(&str, &[&str])] = &[
    ("object", &["string"]),
    ("actor", &["string", "number"]),
    ("status", &["number"]),
    ("token", &["number"]),
    ("url", &["number"]),
    ("created_at", &["string"]),
    ("updated_at", &["string"]),
];

pub(crate) fn all() -> Vec<OkResponse> {
    let mut all = Vec::new();
    for (name, further) in FIELDS {
        let mut values = vec![
            ("missing", None),
            ("null", Some(Value::Null)),
            ("a fraction", Some(json!(1.5))),
            ("negative", Some(json!(-1))),
            ("true", Some(json!(true))),
            ("an empty array", Some(json!([]))),
            ("an array", Some(json!(["MARKER", {"sub": "MARKER"}]))),
            ("an object", Some(json!({"MARKER": {"MARKER": 1}}))),
        ];
        if further.contains(&"string") {
            values.push(("a string", Some(json!("MARKER"))));
        }
        if further.contains(&"number") {
            values.push(("a number", Some(json!(7))));
        }
        for (what, value) in values {
            let mut token = token();
            token.remove(*name);
            if let Some(value) = value {
                token.insert((*name).into(), value);
            }
            let body = Value::Object(token).to_string();
            all.push(OkResponse::new(format!("{name}, {what}"), body, OK).also(absent(name)));
        }
    }
    all
}

fn token() -> Map<String, Value> {
    let token = json!({
        "object": "actor_token",
        "id": "act_1",
        "user_id": "user_1",
        "actor": {"sub": "user_2"},
        "status": "pending",
        "token": "MARKER",
        "url": "https://x.example/v1/tickets/accept?ticket=MARKER",
        "created_at": 1_700_000_000_000_u64,
        "updated_at": 1_700_000_000_000_u64,
    });
    token.as_object().cloned().unwrap_or_default()
}

/// The token has all fields except this one.
fn absent(name: &'static str) -> Check {
    check(move |run| {
        for read in run.results.iter().flatten() {
            let read: Value = serde_json::from_slice(&read.expose_json()).unwrap();
            for (field, value) in token() {
                let actual = &read[&field];
                let is_revoked = field == "status" && run.op == Op::Revoke;
                let matches = match field.as_str() {
                    // A constant, which is not read.
                    "object" => actual == "actor_token",
                    "status" if name == "status" => actual == "",
                    _ if field == name => actual.is_null(),
                    _ if is_revoked => actual == "revoked",
                    _ => *actual == value,
                };
                if !matches {
                    return Err(format!("{field} is wrong"));
                }
            }
        }
        Ok(())
    })
}

//! Fields of a token that are null, missing or of the wrong type: absent, and nothing else is lost.

use serde_json::{Map, Value, json};

use super::answers::Answer;
use crate::harness::{
    checks::{Check, check},
    run::OK,
    script::Op,
};

/// A field without which a token is a token, and what does not belong there.
const FIELDS: &[(&str, &[&str])] = &[
    ("object", &["text"]),
    ("actor", &["text", "number"]),
    ("status", &["number"]),
    ("token", &["number"]),
    ("url", &["number"]),
    ("created_at", &["text"]),
    ("updated_at", &["text"]),
];

pub(crate) fn all() -> Vec<Answer> {
    let mut all = Vec::new();
    for (name, further) in FIELDS {
        let mut odd = vec![
            ("missing", None),
            ("null", Some(Value::Null)),
            ("a fraction", Some(json!(1.5))),
            ("negative", Some(json!(-1))),
            ("true", Some(json!(true))),
            ("an empty array", Some(json!([]))),
            ("an array", Some(json!(["MARKER", {"sub": "MARKER"}]))),
            ("an object", Some(json!({"MARKER": {"MARKER": 1}}))),
        ];
        if further.contains(&"text") {
            odd.push(("a text", Some(json!("MARKER"))));
        }
        if further.contains(&"number") {
            odd.push(("a number", Some(json!(7))));
        }
        for (what, value) in odd {
            let mut token = token();
            token.remove(*name);
            if let Some(value) = value {
                token.insert((*name).into(), value);
            }
            let body = Value::Object(token).to_string();
            all.push(Answer::new(format!("{name}, {what}"), body, OK).also(absent(name)));
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

/// The token has every field but this.
fn absent(name: &'static str) -> Check {
    check(move |run| {
        for read in run.results.iter().flatten() {
            let read: Value = serde_json::from_slice(&read.expose_json()).unwrap();
            for (field, value) in token() {
                let came = &read[&field];
                let is_revoked = field == "status" && run.op == Op::Revoke;
                let wanted = match field.as_str() {
                    // Not read, but written.
                    "object" => came == "actor_token",
                    "status" if name == "status" => came == "",
                    _ if field == name => came.is_null(),
                    _ if is_revoked => came == "revoked",
                    _ => *came == value,
                };
                if !wanted {
                    return Err(format!("{field} is wrong"));
                }
            }
        }
        Ok(())
    })
}

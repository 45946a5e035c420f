//! The contents of entries, and their JSON.

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, CreateActorToken, Outcome, Ticket, sandbox::Fault,
};
use clerk_actor_tokens_policy::{
    CallId, Principal,
    audit::{AuditLayer, Begin, Effect, End, Entry, Event, FollowUp, Note},
};
use serde_json::{Value, json};

use crate::{SECOND, Setup, create};

fn begin(request: &ActorTokenRequest) -> Value {
    serde_json::to_value(Begin::of(request)).unwrap()
}

#[test]
fn begin_names_the_principal_the_subject_the_actor_and_the_reason() {
    let actor = Actor::new("user_admin").claim("reason", "ticket 4711");
    let create = CreateActorToken::new("user_subject", actor)
        .expires_in(60 * SECOND)
        .session_max_duration(600 * SECOND);
    let mut request = ActorTokenRequest::create(create).header("x-impersonation-reason", "other");
    request
        .extensions_mut()
        .insert(Principal::new("user_admin").via("console"));
    assert_eq!(
        begin(&request),
        json!({
            "operation": "create",
            "subject": "user_subject",
            "actor": "user_admin",
            "reason": "ticket 4711",
            "lifetime": 60,
            "session_lifetime": 600,
            "principal": {"id": "user_admin", "via": "console", "groups": [], "act": null},
        })
    );
}

#[test]
fn reason_is_that_of_the_header_if_there_is_no_claim() {
    let request = create().header("x-impersonation-reason", "ticket 4711");
    assert_eq!(begin(&request)["reason"], "ticket 4711");
    assert_eq!(begin(&create()).get("reason"), None);
    let revoke = ActorTokenRequest::revoke("act_1".parse().unwrap());
    assert_eq!(
        begin(&revoke),
        json!({"operation": "revoke", "actor_token_id": "act_1"})
    );
}

#[tokio::test(start_paused = true)]
async fn entries_are_read_back_as_they_were_written_and_hold_no_ticket() {
    let setup = Setup::new();
    let token = setup.client.send(create()).await.unwrap();
    let ticket = token.ticket().and_then(Ticket::expose_token).unwrap();
    setup.sandbox.inject(Fault::Truncate(300));
    setup.client.send(create()).await.unwrap_err();
    setup.sandbox.inject(Fault::HangAfter);
    let call = tokio::time::timeout(SECOND, setup.client.send(create()));
    assert!(call.await.is_err());
    setup.client.drain(60 * SECOND).await;

    let call = setup.sink.memory.entries()[0].call;
    for event in [
        FollowUp::Accepted,
        FollowUp::SessionEnded,
        FollowUp::ExpiredUnused,
        FollowUp::Withheld,
    ] {
        setup.audit.follow_up(call, event);
    }
    let entries = setup.sink.memory.entries();
    assert_eq!(entries.len(), 15);
    for entry in entries {
        let json = serde_json::to_string(&entry).unwrap();
        assert!(!json.contains(ticket), "{json}");
        let read: Entry = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(json.contains(&format!("\"call\":\"{}\"", entry.call)));
    }
}

#[tokio::test(start_paused = true)]
async fn end_of_a_failed_create_names_the_token_and_until_when_it_lives() {
    let setup = Setup::new();
    setup.sandbox.inject(Fault::Truncate(300));
    setup.client.send(create()).await.unwrap_err();
    let entries = setup.sink.memory.entries();
    let end = entries
        .iter()
        .find(|entry| matches!(entry.event, Event::End(_)));
    let json = serde_json::to_value(end.unwrap()).unwrap();
    let minted = setup
        .sandbox
        .ledger()
        .minted()
        .next()
        .unwrap()
        .id()
        .to_string();
    assert_eq!(
        (&json["end"], &json["outcome"], &json["attempts"]),
        (&json!("failed"), &json!("applied"), &json!(1))
    );
    assert_eq!(json["actor_token_id"], minted);
    assert!(json["exposed_until"].as_u64() > json["at"].as_u64());
}

#[test]
fn lifetimes_and_the_mark_of_a_late_entry_are_read_back() {
    let create = CreateActorToken::new("user_subject", Actor::new("user_admin"))
        .expires_in(60 * SECOND)
        .session_max_duration(600 * SECOND);
    let begin = Begin::of(&ActorTokenRequest::create(create));
    let mut entry = Entry::new(CallId::create(), Event::Begin(begin));
    for late in [false, true] {
        entry.late = late;
        let json = serde_json::to_value(&entry).unwrap();
        assert_eq!(json.get("late"), late.then_some(&json!(true)));
        let read: Entry = serde_json::from_value(json).unwrap();
        assert_eq!((read.late, &read.event), (late, &entry.event));
    }
}

#[test]
fn layer_and_entries_show_no_user_in_debug() {
    let setup = AuditLayer::new(crate::ScriptedSink::new());
    let shown = format!("{setup:?} {:?}", Begin::of(&create()));
    assert!(!shown.contains("user_"), "{shown}");
}

#[test]
fn note_and_interrupted_end_are_read_back_as_they_were_written() {
    let by = Principal::new("user_admin").via("console");
    let note = Entry::note(Note::new("paused").by(by).detail("incident 12"));
    let mut effect = Effect::new(Outcome::Unknown);
    effect.exposed_until = Some(std::time::UNIX_EPOCH + 60 * SECOND);
    let end = Entry::new(CallId::create(), Event::End(End::Interrupted(effect)));
    for entry in [&note, &end] {
        let json = serde_json::to_string(entry).unwrap();
        let read: Entry = serde_json::from_str(&json).unwrap();
        assert_eq!(read.event, entry.event);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
    let json = serde_json::to_value(&note).unwrap();
    assert_eq!(
        (&json["event"], &json["note"], &json["detail"]),
        (&json!("note"), &json!("paused"), &json!("incident 12"))
    );
    let json = serde_json::to_value(&end).unwrap();
    assert_eq!(
        (&json["end"], &json["outcome"], &json["exposed_until"]),
        (&json!("interrupted"), &json!("unknown"), &json!(60_000))
    );
    assert!(!format!("{note:?}").contains("incident"), "{note:?}");
}

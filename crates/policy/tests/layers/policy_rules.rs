//! Each rule of a policy refuses what it names, and nothing else.

use clerk_actor_tokens::{Actor, CreateActorToken};
use clerk_actor_tokens_policy::{
    Policy, Principal, Reason,
    authorize::{Ask, Decision, InvalidPolicy},
};
use http::StatusCode;

use crate::setup::{LIFETIMES, by, call, create, policy, revoke};

fn console(id: &str) -> Principal {
    Principal::new(id).via("console")
}

fn key(name: &str) -> Principal {
    Principal::new(name).via(Principal::KEY)
}

/// Returns the rule that refuses a create; an empty text if none does.
fn refusing(rules: &str, principal: Principal, sub: &str, user: &str) -> &'static str {
    refusing_with(rules, principal, Actor::new(sub), user, "")
}

fn refusing_with(
    rules: &str,
    principal: Principal,
    actor: Actor,
    user: &str,
    reason: &str,
) -> &'static str {
    let mut request = by(principal, CreateActorToken::new(user, actor));
    request.extensions_mut().insert(Reason::new(reason));
    match policy(rules).decide(&Ask::new(&request)) {
        Decision::Allow(_) => "",
        Decision::Deny(denial) => denial.rule(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_that_always_hold() {
    let of = |principal, sub, user| refusing("", principal, sub, user);
    assert_eq!(of(console("a"), "a", "b"), "");
    assert_eq!(of(console("a"), "a", "a"), "self_impersonation");
    assert_eq!(of(key("b"), "a", "b"), "self_impersonation");
    assert_eq!(of(console("a"), "c", "b"), "actor");
    assert_eq!(of(key("desk"), "a", "b"), "keys");
    let chained = console("a").impersonated_by("x");
    assert_eq!(of(chained, "a", "b"), "impersonated_principal");
    let actor = Actor::new("a").claim("act", "x");
    assert_eq!(
        refusing_with("", console("a"), actor, "b", ""),
        "impersonated_principal"
    );
}

#[test]
fn create_without_a_principal_is_refused_with_401() {
    let request = clerk_actor_tokens::ActorTokenRequest::create(create());
    match policy("").decide(&Ask::new(&request)) {
        Decision::Deny(denial) => assert_eq!(denial.rule(), "principal"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn revoke_is_allowed_without_a_principal() {
    let decision = policy("subjects = { allow = [] }").decide(&Ask::new(&revoke()));
    assert!(matches!(decision, Decision::Allow(_)));
}

#[test]
fn named_key_claims_the_actors_of_its_list_only() {
    let rules = "keys = { desk = ['a', 'bot_*'], all = ['*'] }";
    let of = |name, sub| refusing(rules, key(name), sub, "user");
    assert_eq!(of("desk", "a"), "");
    assert_eq!(of("desk", "bot_7"), "");
    assert_eq!(of("desk", "ab"), "keys");
    assert_eq!(of("desk", "A"), "keys");
    assert_eq!(of("all", "anyone"), "");
    assert_eq!(of("other", "a"), "keys");
    // Only a key that was authenticated as one can claim others.
    assert_eq!(refusing(rules, console("desk"), "a", "user"), "actor");
}

#[test]
fn lists_of_actors_name_ids_prefixes_and_groups() {
    let rules = "actors = { allow = ['group:support', 'bot_*'], deny = ['bob', 'group:trainees'] }";
    let of = |principal: Principal| {
        let sub = principal.id.clone();
        refusing(rules, principal, &sub, "user")
    };
    assert_eq!(of(console("ann").group("support")), "");
    assert_eq!(of(console("bot_1")), "");
    assert_eq!(of(console("ann")), "actors.allow");
    assert_eq!(of(console("bob").group("support")), "actors.deny");
    assert_eq!(
        of(console("ann").group("support").group("trainees")),
        "actors.deny"
    );
    // An id is not the name of a group.
    assert_eq!(of(console("group:support")), "actors.allow");

    // A key is denied by its own name, and allowed by the actor that it claims.
    let rules = "keys = { desk = ['*'] }\nactors = { allow = ['ann'], deny = ['desk'] }";
    assert_eq!(refusing(rules, key("desk"), "ann", "user"), "actors.deny");
}

#[test]
fn lists_of_subjects_deny_before_they_allow() {
    let rules = "subjects = { allow = ['user_*'], deny = ['user_ceo'] }";
    let of = |user| refusing(rules, console("a"), "a", user);
    assert_eq!(of("user_1"), "");
    assert_eq!(of("user_ceo"), "subjects.deny");
    assert_eq!(of("admin_1"), "subjects.allow");
    assert_eq!(
        refusing("subjects = { allow = [] }", console("a"), "a", "b"),
        "subjects.allow"
    );
    assert_eq!(
        refusing("subjects = { deny = ['*'] }", console("a"), "a", "b"),
        "subjects.deny"
    );
}

#[test]
fn white_space_around_an_id_does_not_evade_a_rule() {
    let rules = "keys = { desk = ['*'] }
        actors = { deny = ['bob'] }
        subjects = { deny = ['user_ceo'] }";
    let of = |sub, user| refusing(rules, key("desk"), sub, user);
    assert_eq!(of("bob\n", "user"), "actors.deny");
    assert_eq!(of("ann", " user_ceo"), "subjects.deny");
    assert_eq!(of("ann", "ann\t"), "self_impersonation");
}

#[test]
fn white_space_around_a_pattern_does_not_disarm_its_rule() {
    let rules = "keys = { desk = ['*'] }
        actors = { deny = [' bob', 'bot_* '] }
        subjects = { deny = ['user_ceo '] }";
    let of = |sub, user| refusing(rules, key("desk"), sub, user);
    assert_eq!(of("bob", "user"), "actors.deny");
    assert_eq!(of("bot_7", "user"), "actors.deny");
    assert_eq!(of("ann", "user_ceo"), "subjects.deny");
    let rules = "actors = { deny = [' group:interns '] }";
    let intern = console("ann").group("interns");
    assert_eq!(refusing(rules, intern, "ann", "user"), "actors.deny");
}

#[test]
fn reason_is_checked_for_the_principals_of_the_rule() {
    let rules = "keys = { desk = ['*'] }
        reason = { via = ['console'], min_length = 6, pattern = '^[A-Z]+-[0-9]+' }";
    let of = |principal, reason| refusing_with(rules, principal, Actor::new("a"), "b", reason);
    assert_eq!(of(console("a"), "OPS-12 login"), "");
    assert_eq!(of(console("a"), "  "), "reason");
    assert_eq!(of(console("a"), "OPS-12"), "");
    assert_eq!(of(console("a"), "OPS-1"), "reason.min_length");
    assert_eq!(of(console("a"), "ööööö"), "reason.min_length");
    assert_eq!(of(console("a"), "because I can"), "reason.pattern");
    assert_eq!(of(key("desk"), ""), "");
    assert_eq!(refusing("reason = {}", console("a"), "a", "b"), "reason");
}

#[test]
fn denials_have_the_status_of_their_kind() {
    let error = |rules: &str, request| match policy(rules).decide(&Ask::new(&request)) {
        Decision::Deny(denial) => format!("{denial:?}"),
        other => panic!("{other:?}"),
    };
    let shown = |status: StatusCode| format!("status: {}", status.as_u16());
    let anonymous = clerk_actor_tokens::ActorTokenRequest::create(create());
    assert!(error("", anonymous).contains(&shown(StatusCode::UNAUTHORIZED)));
    let unprocessable = shown(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(error("reason = {}", call()).contains(&unprocessable));
    let forbidden = shown(StatusCode::FORBIDDEN);
    assert!(error("subjects = { allow = [] }", call()).contains(&forbidden));
}

#[test]
fn unknown_fields_and_contradictions_are_refused() {
    let read = |rules: &str| {
        let error = toml::from_str::<Policy>(&format!("{LIFETIMES}{rules}")).unwrap_err();
        error.message().to_owned()
    };
    assert!(read("subject = {}").contains("unknown field `subject`"));
    assert!(read("subjects = { denied = [] }").contains("unknown field `denied`"));
    assert!(read("reason = { length = 1 }").contains("unknown field `length`"));
    assert!(read("subjects = { deny = ['a*b'] }").contains("last character"));
    assert!(read("subjects = { deny = [''] }").contains("not empty"));
    assert!(read("actors = { deny = ['group:'] }").contains("name of a group"));
    assert_eq!(
        read("subjects = { deny = ['group:a'] }"),
        InvalidPolicy::Group { rule: "subjects" }.to_string()
    );
    assert_eq!(
        read("keys = { desk = ['group:a'] }"),
        InvalidPolicy::Group { rule: "keys" }.to_string()
    );
    assert!(read("reason = { pattern = '(' }").starts_with("reason.pattern is not a regular"));

    let whole = |text: &str| {
        toml::from_str::<Policy>(text)
            .unwrap_err()
            .message()
            .to_owned()
    };
    let limits = "lifetime = { default = 300, longest = 900 }";
    assert!(whole(&format!("version = '1'\n{limits}")).contains("missing field `session`"));
    let session = "session = { default = 60, longest = 60 }";
    assert_eq!(
        whole(&format!("version = ''\n{limits}\n{session}")),
        InvalidPolicy::Version.to_string()
    );
    for limits in [
        "default = 300, longest = 200",
        "default = 3601, longest = 9000",
    ] {
        let text = format!("version = '1'\nlifetime = {{ {limits} }}\n{session}");
        let invalid = InvalidPolicy::Default {
            rule: "lifetime",
            api: 3600,
        };
        assert_eq!(whole(&text), invalid.to_string());
    }
}

#[test]
fn longest_version_and_the_default_lifetimes_of_the_api_are_accepted() {
    let read = |version: usize, default: u32| {
        toml::from_str::<Policy>(&format!(
            "version = '{}'
            lifetime = {{ default = {default}, longest = {default} }}
            session = {{ default = 1800, longest = 1800 }}",
            "v".repeat(version)
        ))
    };
    assert_eq!(read(64, 3600).unwrap().version().len(), 64);
    assert!(read(65, 3600).is_err());
    assert!(read(64, 3601).is_err());
}

#[test]
fn policy_that_was_written_is_read_again() {
    let rules = "
        keys = { desk = ['a', 'bot_*'] }
        actors = { allow = ['group:support'] }
        reason = { via = ['console'], min_length = 6, pattern = 'x' }";
    let written = serde_json::to_value(policy(rules)).unwrap();
    let read: Policy = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), written);
    assert_eq!(written["actors"]["allow"][0], "group:support");
}

//! Any rules and any create: rules do not change when they are written and read again, and a create is
//! allowed only if every rule allows it.
//!
//! Input: a policy in TOML, a line `---`, then `name: value` lines of the create and its principal.

#![no_main]

use std::{collections::HashMap, time::Duration};

use clerk_actor_tokens::{Actor, ActorTokenRequest, CreateActorToken};
use clerk_actor_tokens_policy::{
    Policy, Principal, Reason,
    authorize::{Ask, Decision},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The rules that are documented.
const RULES: [&str; 12] = [
    "principal",
    "impersonated_principal",
    "self_impersonation",
    "keys",
    "actor",
    "actors.deny",
    "actors.allow",
    "subjects.deny",
    "subjects.allow",
    "reason",
    "reason.min_length",
    "reason.pattern",
];

fuzz_target!(|text: &str| {
    let (policy, call) = text.split_once("\n---\n").unwrap_or((text, ""));
    let Ok(policy) = toml::from_str::<Policy>(policy) else {
        return;
    };
    assert!((1..=64).contains(&policy.version().len()));
    let rules = written(&policy);
    let again: Policy = serde_json::from_value(rules.clone()).expect("written rules can be read");
    assert_eq!(written(&again), rules);
    let again = toml::to_string(&policy).expect("rules can be written as TOML");
    let again = toml::from_str(&again).expect("written rules can be read");
    assert_eq!(written(&again), rules);

    let call = Call::read(call);
    let request = call.request();
    let decision = policy.decide(&Ask::new(&request));
    assert_eq!(again.decide(&Ask::new(&request)), decision);
    match decision {
        Decision::Allow(narrowing) => {
            call.is_allowed(&rules);
            let narrowed = narrowing.apply(&call.create());
            let lifetimes = [
                ("lifetime", narrowed.lifetime(), call.seconds("expires_in")),
                (
                    "session",
                    narrowed.session_lifetime(),
                    call.seconds("session"),
                ),
            ];
            for (rule, narrowed, asked) in lifetimes {
                let longest = if asked.is_some() {
                    "longest"
                } else {
                    "default"
                };
                let longest = Duration::from_secs(rules[rule][longest].as_u64().expect("seconds"));
                assert_eq!(
                    narrowed,
                    Some(asked.map_or(longest, |it| it.min(longest))),
                    "{rule}"
                );
            }
        }
        Decision::Deny(denial) => {
            assert!(RULES.contains(&denial.rule()), "{denial:?}");
            assert!(!denial.sentence().is_empty());
        }
        other => panic!("{other:?}"),
    }
});

fn written(policy: &Policy) -> Value {
    serde_json::to_value(policy).expect("rules can be written")
}

/// The values of a create and its principal.
struct Call<'a>(HashMap<&'a str, &'a str>);

impl<'a> Call<'a> {
    fn read(lines: &'a str) -> Self {
        Self(
            lines
                .lines()
                .filter_map(|line| line.split_once(": "))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> &'a str {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = self.text(name).parse::<u32>().ok();
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn groups(&self) -> impl Iterator<Item = &'a str> {
        self.text("groups").split(',').filter(|it| !it.is_empty())
    }

    fn create(&self) -> CreateActorToken {
        let mut actor = Actor::new(self.text("actor"));
        if let Some(act) = self.0.get("actor.act") {
            actor = actor.claim("act", *act);
        }
        let mut create = CreateActorToken::new(self.text("user"), actor);
        if let Some(lifetime) = self.seconds("expires_in") {
            create = create.expires_in(lifetime);
        }
        if let Some(lifetime) = self.seconds("session") {
            create = create.session_max_duration(lifetime);
        }
        create
    }

    fn request(&self) -> ActorTokenRequest {
        let mut request = ActorTokenRequest::create(self.create());
        let extensions = request.extensions_mut();
        if let Some(id) = self.0.get("principal") {
            let principal = Principal::new(*id).via(self.text("via"));
            let principal = self.groups().fold(principal, Principal::group);
            extensions.insert(match self.0.get("principal.act") {
                Some(act) => principal.impersonated_by(*act),
                None => principal,
            });
        }
        if let Some(reason) = self.0.get("reason") {
            extensions.insert(Reason::new(reason));
        }
        request
    }

    /// Asserts that the rules, as they are documented, allow the create.
    fn is_allowed(&self, rules: &Value) {
        let (user, actor) = (self.text("user").trim(), self.text("actor").trim());
        let principal = *self.0.get("principal").expect("a principal");
        for act in ["principal.act", "actor.act"] {
            assert!(!self.0.contains_key(act), "an impersonated principal");
        }
        assert!(user != actor && user != principal, "of itself");
        if self.text("via") == Principal::KEY {
            assert!(
                names_any(&rules["keys"][principal], |it| names(it, actor)),
                "keys"
            );
        } else {
            assert_eq!(actor, principal);
        }

        let is_actor = |it: &str| {
            names(it, actor) || self.groups().any(|group| it == format!("group:{group}"))
        };
        let is_principal = |it: &str| is_actor(it) || names(it, principal);
        let is_user = |it: &str| names(it, user);
        let lists: [(&str, &dyn Fn(&str) -> bool, &dyn Fn(&str) -> bool); 2] = [
            ("actors", &is_principal, &is_actor),
            ("subjects", &is_user, &is_user),
        ];
        for (rule, is_denied, is_allowed) in lists {
            assert!(!names_any(&rules[rule]["deny"], is_denied), "{rule}.deny");
            let allow = &rules[rule]["allow"];
            assert!(
                allow.is_null() || names_any(allow, is_allowed),
                "{rule}.allow"
            );
        }

        let reason = self.text("reason").trim();
        let rule = &rules["reason"];
        let via = rule["via"].as_array();
        if !rule.is_null() && via.is_none_or(|via| via.iter().any(|it| it == self.text("via"))) {
            assert!(!reason.is_empty(), "reason");
            let least = rule["min_length"].as_u64().expect("a length");
            assert!(reason.chars().count() as u64 >= least, "reason.min_length");
        }
    }
}

fn names_any(list: &Value, names: impl Fn(&str) -> bool) -> bool {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).any(names)
}

/// Returns whether a pattern names an id. Neither's outer white space counts.
fn names(pattern: &str, id: &str) -> bool {
    match pattern.trim().strip_suffix('*') {
        _ if pattern.trim().starts_with("group:") => false,
        Some(start) => id.starts_with(start),
        None => id == pattern.trim(),
    }
}

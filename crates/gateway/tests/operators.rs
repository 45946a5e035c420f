//! Operators: their tokens, and what they may do.

use std::collections::BTreeMap;

use clerk_actor_tokens_gateway::{InvalidOperator, Operators, Role, config::OperatorConfig};
use clerk_actor_tokens_policy::Principal;
use sha2::{Digest, Sha256};

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn operators(entries: &[(&str, &str)]) -> BTreeMap<String, OperatorConfig> {
    let of = |hash: &str| {
        let text = format!("token_sha256 = \"{hash}\"\nroles = [\"view\"]\ngroups = [\"support\"]");
        toml::from_str(&text).unwrap()
    };
    entries
        .iter()
        .map(|(name, hash)| ((*name).to_owned(), of(hash)))
        .collect()
}

fn groups(principal: &Principal) -> Vec<&str> {
    principal.groups.iter().map(|group| &**group).collect()
}

#[test]
fn operator_is_found_by_the_token_alone() {
    let all = Operators::default();
    assert!(all.authenticate(&"a".into()).is_none());
    all.replace(&operators(&[
        ("ann", &hash("a")),
        ("bob", &hash("b").to_uppercase()),
    ]))
    .unwrap();
    for (token, name) in [
        ("a", Some("ann")),
        ("b", Some("bob")),
        ("", None),
        ("A", None),
        ("aa", None),
    ] {
        let found = all.authenticate(&token.into());
        assert_eq!(found.as_ref().map(|it| &*it.name), name, "{token}");
    }
    assert!(all.authenticate(&hash("a").into()).is_none());
}

#[test]
fn operator_has_the_configured_roles_and_groups() {
    let all = Operators::default();
    all.replace(&operators(&[("ann", &hash("a"))])).unwrap();
    let ann = all.authenticate(&"a".into()).unwrap();
    assert!(ann.may(Role::View));
    for role in [Role::Impersonate, Role::End, Role::Pause] {
        assert!(!ann.may(role), "{role:?}");
    }
    assert_eq!(ann.actor, "ann");
    let principal = ann.principal("admin");
    assert_eq!((&*principal.id, &*principal.via), ("ann", "admin"));
    assert_eq!(groups(&principal), ["support"]);

    let mut config = operators(&[("ann", &hash("a"))]);
    config.get_mut("ann").unwrap().actor = Some("user_1".into());
    all.replace(&config).unwrap();
    let principal = all.authenticate(&"a".into()).unwrap().principal("admin");
    assert_eq!(&*principal.id, "user_1");
    assert_eq!(groups(&principal), ["support", "operator:ann"]);
}

#[test]
fn invalid_operators_change_nothing() {
    let all = Operators::default();
    all.replace(&operators(&[("ann", &hash("a"))])).unwrap();
    for invalid in [
        "",
        "0",
        &hash("b")[1..],
        &format!("{}0", hash("b")),
        &"x".repeat(64),
    ] {
        let error = all.replace(&operators(&[("bob", invalid)])).unwrap_err();
        assert_eq!(error, InvalidOperator::Hash("bob".into()), "{invalid}");
    }
    let same = operators(&[("bob", &hash("b")), ("eve", &hash("b").to_uppercase())]);
    let error = all.replace(&same).unwrap_err();
    assert_eq!(
        error,
        InvalidOperator::SharedToken("bob".into(), "eve".into())
    );
    assert!(!error.to_string().contains(&hash("b")));
    assert!(all.authenticate(&"a".into()).is_some());
    assert!(all.authenticate(&"b".into()).is_none());
}

#[test]
fn replaced_operator_is_refused_from_then_on() {
    let all = Operators::default();
    let shared = all.clone();
    all.replace(&operators(&[("ann", &hash("a"))])).unwrap();
    shared.replace(&operators(&[("ann", &hash("b"))])).unwrap();
    assert!(all.authenticate(&"a".into()).is_none());
    assert!(all.authenticate(&"b".into()).is_some());
}

//! Subcommands that need no gateway: help, check, operator.

use super::*;

#[test]
fn help_names_subcommands_examples_signals_and_exit_codes() {
    let help = run(&["--help"]);
    let (code, help, _) = parts(&help);
    assert_eq!(code, 0);
    for part in [
        "serve ",
        "check ",
        "audit ",
        "end ",
        "pause ",
        "operator ",
        "Examples:",
        "SIGHUP",
        "Exit codes:",
        "RUST_LOG",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for args in [
        &["serve", "--help"][..],
        &["check", "--help"],
        &["audit", "verify", "--help"],
        &["audit", "export", "--help"],
        &["end", "--help"],
        &["pause", "--help"],
        &["operator", "--help"],
        &["--version"],
    ] {
        assert_eq!(run(args).status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn help_does_not_show_a_secret_of_the_environment() {
    for args in [
        &["--help"][..],
        &["end", "--help"],
        &["pause", "--help"],
        &["serve", "--help"],
    ] {
        let output = program()
            .args(args)
            .env("GATEWAY_TOKEN", OPERATOR_TOKEN)
            .env("CLERK_SECRET_KEY", CLERK_KEY)
            .output()
            .unwrap();
        let (_, help, _) = parts(&output);
        assert!(
            !help.contains("9fT2kLw7") && !help.contains("hV5tYb2m"),
            "{help}"
        );
    }
}

#[test]
fn check_decides_as_the_policy_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "https://api.clerk.com");
    let check = |more: &[&str]| {
        let output = run(&[&["check", "--config", config.to_str().unwrap()], more].concat());
        let (code, out, error) = parts(&output);
        for secret in [CLERK_KEY, WIRE_KEY] {
            assert!(!out.contains(secret) && !error.contains(secret));
        }
        (code, out.to_owned(), error.to_owned())
    };
    let (code, out, _) = check(&[]);
    assert_eq!(code, 0);
    assert!(
        out.ends_with("gateway.toml is valid: policy first, keys: 1, operators: 1\n"),
        "{out}"
    );

    let key = ["--key", "desk", "--actor", "user_1", "--subject", "user_2"];
    let (code, out, _) = check(&[&key[..], &["--lifetime", "9000"]].concat());
    let allow = "allow\npolicy            first\nprincipal         desk (via key)\ntoken lifetime    900 s\n\
                 session lifetime  600 s\n";
    assert_eq!((code, &*out), (0, allow));

    let (code, out, _) = check(&["--key", "desk", "--actor", "admin_1", "--subject", "user_2"]);
    let deny = "deny\npolicy            first\nprincipal         desk (via key)\nrule              keys\n                  \
                This key cannot claim this actor.\n";
    assert_eq!((code, &*out), (1, deny));

    let operator = ["--operator", "olga", "--subject", "user_2"];
    let (code, out, _) = check(&operator);
    assert_eq!(code, 1);
    assert!(out.contains("rule              reason\n"), "{out}");
    let (code, out, _) = check(&[&operator[..], &["--reason", "ticket 4711"]].concat());
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("principal         user_olga (via console)\n"),
        "{out}"
    );

    let (code, _, error) = check(&["--key", "dekc", "--actor", "user_1", "--subject", "user_2"]);
    assert_eq!(
        (code, &*error),
        (2, "error: [keys] has no dekc; it has: desk\n")
    );
    for incomplete in [
        &["--key", "desk"][..],
        &["--subject", "user_2"],
        &["--reason", "x", "--operator", "olga"],
    ] {
        assert_eq!(check(incomplete).0, 2, "{incomplete:?}");
    }
    assert!(
        !folder.path().join("audit.sqlite").exists(),
        "a check opens no database"
    );

    fs::remove_file(folder.path().join("desk.key")).unwrap();
    let (code, _, error) = check(&[]);
    assert_eq!(code, 2);
    assert!(
        error.starts_with("error: keys.desk[0]: the file "),
        "{error}"
    );
    assert_eq!(check(&["--skip-secrets"]).0, 0);
}

#[test]
fn operator_makes_a_token_and_lines_that_hold_its_hash_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "https://api.clerk.com");
    let output = run(&[
        "operator",
        "jo@example.com",
        "--role",
        "view,end",
        "--actor",
        "user_jo",
        "--group",
        "support",
    ]);
    let (code, lines, error) = parts(&output);
    assert_eq!(code, 0);
    let token = error.lines().last().unwrap();
    assert!(token.starts_with("gwop_") && token.len() == 69, "{token}");
    assert!(!lines.contains(token));
    let appended = fs::read_to_string(&config).unwrap() + lines;
    let parsed: Config = appended.parse().unwrap();
    let operator = &parsed.operators["jo@example.com"];
    assert_eq!(operator.token_sha256, hex::encode(Sha256::digest(token)));
    assert_eq!(operator.actor.as_deref(), Some("user_jo"));
    assert_eq!(operator.groups, ["support"]);

    for invalid in [
        &["operator", "jo"][..],
        &["operator", "jo", "--role", "admin"],
    ] {
        assert_eq!(run(invalid).status.code(), Some(2), "{invalid:?}");
    }
}

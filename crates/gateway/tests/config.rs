//! The configuration: messages for invalid ones, and that none holds a secret. It is long because one table has
//! every message.

use std::{fs, path::Path, time::Duration};

use clerk_actor_tokens::SecretKey;
use clerk_actor_tokens_gateway::{
    Config,
    config::{Anchors, Engine, ReadError, SecretFrom},
};

/// A secret that no message may repeat.
const SECRET: &str = "sk_live_9fT2kLw7vXcB4nQm1sZd8rHy";

const VALID: &str = r#"
[storage]
database = "audit.sqlite"

[policy]
version = "1"
lifetime = { default = 300, longest = 900 }
session = { default = 600, longest = 1800 }
keys.desk = ["user_*"]

[keys]
desk = [{ file = "desk.key" }]
"#;

/// Returns the message for a configuration with these lines before the valid ones, which begin at line 2.
fn message(more: &str) -> String {
    let parsed: Result<Config, _> = format!("{more}\n{VALID}").parse();
    parsed.expect_err(more).to_string()
}

fn parse(more: &str) -> Config {
    format!("{more}\n{VALID}").parse().unwrap()
}

#[test]
fn absent_fields_have_defaults() {
    let config = parse("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4020");
    assert_eq!(config.server.grace, Duration::from_secs(35));
    assert_eq!(config.storage.anchors, Anchors::Stdout);
    assert_eq!(config.storage.keep_days, 400);
    assert_eq!(
        config.clerk.secret_key,
        SecretFrom::Env("CLERK_SECRET_KEY".into())
    );
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn invalid_field_is_named_with_line_and_remedy() {
    let secret = format!("[clerk]\nsecret_key = \"{SECRET}\"");
    let in_the_file = "a secret is never written in this file; write { file = \"/path\" } with the path of a \
                       file that holds it, or { env = \"NAME\" }";
    let cases: &[(&str, &str)] = &[
        (
            "lisen = 1",
            "line 1: lisen: unknown field `lisen`, expected one of `server`, `clerk`, `storage`, `redis`, `policy`, `limits`, `quota`, `leases`, `console`, `keys`, `operators`",
        ),
        (
            "[server]\nlisten = 4020",
            "line 2: server.listen: invalid type: integer `4020`, expected socket address",
        ),
        (
            "[server]\nlisten = \"localhost\"",
            "line 2: server.listen: invalid socket address syntax",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:4020\"",
            "line 2: server.listen: 0.0.0.0:4020 is not on loopback, and without TLS keys are sent in the clear; add [server.tls], or listen on 127.0.0.1 behind a proxy that terminates TLS",
        ),
        (
            "[server]\nops_listen = \"127.0.0.1:4020\"",
            "line 2: server.ops_listen: 127.0.0.1:4020 is the address of server.listen, too; choose another port",
        ),
        (
            "[server]\nmax_connections = 0",
            "line 2: server.max_connections: must be from 1 to 2305843009213693951",
        ),
        (
            "[server]\nhead_timeout = 0",
            "line 2: server.head_timeout: invalid value: integer `0`, expected a whole number of seconds from 1 to 86400",
        ),
        (
            "[server]\nbody_timeout = 1.5",
            "line 2: server.body_timeout: invalid type: floating point `1.5`, expected a whole number of seconds from 1 to 86400",
        ),
        (
            "[server]\ngrace = \"35s\"",
            "line 2: server.grace: invalid type: string, expected a whole number of seconds from 0 to 86400",
        ),
        (
            "[server]\ndrain = -1",
            "line 2: server.drain: invalid value: integer `-1`, expected a whole number of seconds from 0 to 86400",
        ),
        (
            "[server.tls]\nkey = \"key.pem\"",
            "line 1: server.tls: missing field `certificate`",
        ),
        (
            "[server.tls]\nclient_ca = \"ca.pem\"",
            "line 1: server.tls: missing field `certificate`",
        ),
        (
            "[clerk]\napi_url = \"http://api.clerk.com\"",
            "line 2: clerk.api_url: the base URL must start with https://, plain http:// is accepted for loopback only",
        ),
        (
            "[clerk]\nissuer = \"\"",
            "line 2: clerk.issuer: must have 1 to 64 bytes",
        ),
        (
            "[clerk]\ncall_timeout = 0",
            "line 2: clerk.call_timeout: invalid value: integer `0`, expected a whole number of seconds from 1 to 86400",
        ),
        (
            "[clerk]\nsecret_key = { env = \"\" }",
            "line 2: clerk.secret_key: the name of the variable is empty or has a `=`",
        ),
        (
            "[clerk]\nsecret_key = { path = \"a\" }",
            "line 2: clerk.secret_key: unknown variant `path`, expected `file` or `env`",
        ),
        (
            "[clerk]\nsecret_key = { file = \"a\", env = \"B\" }",
            "line 2: clerk.secret_key: write either `file` or `env`, not both",
        ),
        (
            "[clerk]\nsecret_key = {}",
            "line 2: clerk.secret_key: write { file = \"/path\" } or { env = \"NAME\" }",
        ),
        (
            "[clerk]\nsecret_key = \"correct horse\"",
            "line 2: clerk.secret_key: IN_THE_FILE",
        ),
        (&secret, "line 2: clerk.secret_key: IN_THE_FILE"),
        (
            "[quota]\nper_month = 0",
            "line 2: quota.per_month: 0 refuses every create; leave it out for no limit, or pause the gateway",
        ),
        (
            "[leases]\non_shutdown = \"kill\"",
            "line 2: leases.on_shutdown: unknown variant `kill`, expected `revoke` or `keep`",
        ),
        (
            "limits = [{ by = \"actor\", calls = 0, per = 1 }]",
            "line 1: limits[0].calls: invalid value: integer `0`, expected a nonzero u32",
        ),
        (
            "[operators.jo]\ntoken_sha256 = \"abc\"\nroles = [\"view\"]",
            "line 2: operators.jo.token_sha256: is not the SHA-256 of a token, 64 hexadecimal digits; the subcommand `operator` makes a token and its hash",
        ),
        (
            "[operators.jo]\ntoken_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\nroles = [\"view\"]",
            "line 2: operators.jo.token_sha256: is not the SHA-256 of a token, 64 hexadecimal digits; the subcommand `operator` makes a token and its hash",
        ),
        (
            "[operators.jo]\ntoken_sha256 = \"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752\"\nroles = []",
            "line 3: operators.jo.roles: is empty; name one or more of view, impersonate, end, pause",
        ),
        (
            "[operators.jo]\ntoken_sha256 = \"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752\"\nroles = [\"admin\"]",
            "line 3: operators.jo.roles[0]: unknown variant `admin`, expected one of `view`, `impersonate`, `end`, `pause`",
        ),
        (
            "[operators.\"jo jo\"]\ntoken_sha256 = \"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752\"\nroles = [\"view\"]",
            "line 1: operators.jo jo: a name has 1 to 64 of A-Z a-z 0-9 - _ . @",
        ),
        (
            "[server]\nlisten = 127.0.0.1:4020",
            "line 2: not TOML, such as a text without quotes: invalid float, expected nothing",
        ),
    ];
    let differ = cases.iter().filter_map(|(more, expected)| {
        let (message, expected) = (message(more), expected.replace("IN_THE_FILE", in_the_file));
        (message != expected).then(|| format!("\n{more}\n{message}\n{expected}\n"))
    });
    let differ: String = differ.collect();
    assert!(differ.is_empty(), "{differ}");
}

#[test]
fn every_problem_is_reported_at_once() {
    let message =
        message("[server]\nlisten = \"0.0.0.0:4020\"\nmax_calls = 0\n[quota]\nper_month = 0");
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 3, "{message}");
    assert!(
        lines[1].starts_with("line 3: server.max_calls: "),
        "{message}"
    );
}

#[test]
fn repeated_key_and_token_are_refused() {
    let same = |text: &str| text.parse::<Config>().unwrap_err().to_string();
    let keys = VALID.replace("[keys]", "[keys]\nother = [{ file = \"desk.key\" }]");
    assert_eq!(
        same(&keys),
        "line 12: keys.other[0]: the file desk.key is the key of keys.desk[0], too"
    );
    let own = VALID.replace("{ file = \"desk.key\" }", "{ env = \"CLERK_SECRET_KEY\" }");
    let own = same(&own);
    assert!(
        own.ends_with("the variable CLERK_SECRET_KEY is the key of clerk.secret_key, too"),
        "{own}"
    );
    let none = same(&VALID.replace("[{ file = \"desk.key\" }]", "[]"));
    assert!(none.contains("keys.desk: has no key; write"), "{none}");
    let hash = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
    let operator = |name: &str, hash: &str| {
        format!("[operators.{name}]\ntoken_sha256 = \"{hash}\"\nroles = [\"view\"]\n")
    };
    let text = operator("jo", hash) + &operator("max", &hash.to_uppercase());
    assert_eq!(
        message(&text),
        "line 5: operators.max.token_sha256: operators.jo has the same token"
    );
}

#[test]
fn policy_is_checked_with_its_line() {
    let text = VALID.replace("default = 300", "default = 3000");
    let message = text.parse::<Config>().unwrap_err().to_string();
    assert_eq!(
        message,
        "line 5: policy: lifetime.default must be at most lifetime.longest and at most 3600 seconds, the API's \
         default"
    );
}

#[test]
fn secret_in_the_file_is_not_in_the_message() {
    let places = [
        "[clerk]\nsecret_key = \"S\"",
        "[clerk]\nsecret_key = S",
        "[clerk]\nsecret_key = { env = \"S\" }",
        "[clerk]\nsecret_key = { S = \"a\" }",
        "[clerk]\nissuer = \"S\"\nsecret_key = { file = \"S\" }",
        "[clerk]\napi_url = \"https://S@api.clerk.com\"",
        "[clerk]\nsecret_key = \" Bearer S\"",
        "[server]\nlisten = \"S\"",
        "[server]\ngrace = \"S\"",
        "[server.tls]\nkey = \"-----BEGIN PRIVATE KEY-----S\"\ncertificate = \"a\"",
        "S = 1",
        "[S]",
        "[operators.jo]\ntoken_sha256 = \"S\"\nroles = [\"S\"]",
        "limits = [\"S\"]",
        "limits = S",
    ];
    for place in places {
        for secret in [SECRET, "gwop_9fT2kLw7vXcB4nQm1sZd8rHy"] {
            let parsed: Result<Config, _> =
                format!("{}\n{VALID}", place.replace('S', secret)).parse();
            let error = parsed.expect_err(place);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("9fT2kLw7"), "{place}: {shown}");
        }
    }
}

#[test]
fn value_of_a_wrong_type_or_choice_is_not_in_the_message() {
    for place in [
        "[server]\ngrace = \"S\"",
        "limits = [\"S\"]",
        "keys.desk = \"S\"",
        "storage.database = [\"S\"]",
        "leases.on_shutdown = \"S\"",
        "limits = [{ by = \"S\", calls = 1, per = 1 }]",
        "operators.jo = { token_sha256 = \"\", roles = [\"S\"] }",
    ] {
        let text = place.replace('S', "correct horse\\\", expected battery");
        let error = text.parse::<Config>().expect_err(place);
        assert!(
            !format!("{error} {error:?}").contains("horse"),
            "{place}: {error}"
        );
    }
}

/// The configuration with these lines in place of `database`.
fn stored_by(lines: &str) -> Result<Config, ReadError> {
    VALID.replace("database = \"audit.sqlite\"", lines).parse()
}

#[test]
fn storage_has_either_a_database_or_postgres() {
    let url = "postgres = { url = { file = \"postgres.url\" } }";
    let cases = [
        (
            "",
            "storage: write `database = \"/path\"`, or `postgres = { url = { file = \"/path\" } }`",
        ),
        (
            &format!("database = \"a\"\n{url}"),
            "storage: write either `database` or `postgres`, not both",
        ),
        (
            &format!("{url}\nspool_ends = true"),
            "storage: `spool_ends` with `postgres` needs `spool = \"/path\"`, a file on a local disk",
        ),
        (
            "database = \"a\"\nspool = \"b\"",
            "storage: `spool` needs `spool_ends = true`",
        ),
        (
            "postgres = { url = \"postgres://user:horse@host/\" }",
            "storage.postgres.url: a secret is never written in this file; write { file = \"/path\" } with the path of a file that holds it, or { env = \"NAME\" }",
        ),
        (
            "postgres = { url = { env = \"\" } }",
            "storage.postgres.url: the name of the variable is empty or has a `=`",
        ),
    ];
    for (lines, expected) in cases {
        let message = stored_by(lines).expect_err(lines).to_string();
        assert!(message.ends_with(expected), "{lines}: {message}");
        assert!(!message.contains("horse"), "{message}");
    }
}

#[test]
fn spool_is_beside_the_database_or_where_it_is_configured() {
    let spool = |lines| stored_by(lines).unwrap().storage.spool;
    assert_eq!(spool("database = \"a/b.sqlite\""), None);
    let beside = spool("database = \"a/b.sqlite\"\nspool_ends = true");
    assert_eq!(beside.as_deref(), Some(Path::new("a/b.spool.jsonl")));
    let url = "postgres = { url = { env = \"URL\" } }";
    let spool = spool(&format!("{url}\nspool_ends = true\nspool = \"c\""));
    assert_eq!(spool.as_deref(), Some(Path::new("c")));
}

#[test]
fn engines_that_are_not_shared_by_all_gateways_are_warnings() {
    let warned = |more: &str| {
        let url = "postgres = { url = { env = \"URL\" } }";
        let config: Config = (VALID.replace("database = \"audit.sqlite\"", url) + more)
            .parse()
            .unwrap();
        config.warnings()
    };
    let none = warned("");
    assert!(
        none[0].starts_with("no [redis]: each gateway has limits"),
        "{none:?}"
    );
    let one = warned("[redis]\nurl = { env = \"URL\" }");
    assert!(one[0].starts_with("redis.replicas is 1"), "{one:?}");
    let three = warned("[redis]\nurl = { env = \"URL\" }\nreplicas = 3");
    assert!(three.is_empty(), "{three:?}");
    assert!(
        message("redis = { url = { env = \"URL\" }, namespace = \"{a}\" }")
            .ends_with("redis.namespace: must not contain `{` or `}`")
    );
}

#[test]
fn url_and_certificate_of_an_engine_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let engines = "[redis]\nurl = { file = \"redis.url\" }\nhash_key = { file = \"hash.key\" }\nroot_certificate = \"redis.pem\"\n";
    let text = VALID.replace(
        "database = \"audit.sqlite\"",
        "postgres = { url = { file = \"postgres.url\" }, root_certificate = \"postgres.pem\" }",
    );
    write(folder, "gateway.toml", &format!("{text}{engines}"));
    let config = Config::read(folder.join("gateway.toml")).unwrap();
    let missing = |name: &str| folder.join(name).display().to_string();
    let message = config.postgres().unwrap_err().to_string();
    assert!(message.contains(&missing("postgres.url")), "{message}");
    write(folder, "postgres.url", "postgres://user:horse@host/audit");
    let message = config.postgres().unwrap_err().to_string();
    assert!(message.contains(&missing("postgres.pem")), "{message}");
    write(folder, "postgres.pem", "");
    let postgres = config.postgres().unwrap().unwrap();
    assert!(!format!("{config:?} {postgres:?}").contains("horse"));

    write(folder, "redis.url", "http://user:horse@host/");
    let message = config.redis().unwrap_err().to_string();
    let expected =
        "redis: could not read the URL of Redis: expected redis://, rediss:// or unix://";
    assert_eq!(message, expected);
    write(folder, "redis.url", "redis://user:horse@host/");
    write(folder, "hash.key", "horse");
    write(folder, "redis.pem", "");
    let redis = config.redis().unwrap().unwrap();
    assert!(!format!("{redis:?}").contains("horse"));
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Writes a configuration with all secrets in files, and reads it.
fn read(folder: &Path, more: &str) -> Config {
    let clerk = "[clerk]\nsecret_key = { file = \"clerk.key\" }\n";
    write(folder, "gateway.toml", &format!("{clerk}{more}\n{VALID}"));
    Config::read(folder.join("gateway.toml")).unwrap()
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = read(folder, "");
    assert_eq!(
        config.storage.engine,
        Engine::Sqlite(folder.join("audit.sqlite"))
    );
    assert_eq!(
        config.keys["desk"][0],
        SecretFrom::File(folder.join("desk.key"))
    );
    assert_eq!(
        config.clerk.secret_key,
        SecretFrom::File(folder.join("clerk.key"))
    );
}

#[test]
fn invalid_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let error = Config::read(&path).unwrap_err();
    assert!(matches!(&error, ReadError::File { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("could not read {}", path.display())
    );
    fs::write(&path, "[server]\nlisten = 1").unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}:2: server.listen: ", path.display())),
        "{error}"
    );
}

#[test]
fn unusable_secret_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = read(folder, "");
    let (clerk, desk) = (folder.join("clerk.key"), folder.join("desk.key"));
    let (clerk, desk) = (clerk.display(), desk.display());
    let good = SECRET;
    let cases = [
        (
            None,
            Some("sk_test_q8Zt3vN0cXwL5rYd"),
            format!(
                "clerk.secret_key: the file {clerk} cannot be read: No such file or directory (os error 2)"
            ),
        ),
        (
            Some("\n"),
            None,
            format!("clerk.secret_key: the file {clerk} is empty"),
        ),
        (
            Some("pk_live_9fT2kLw7"),
            None,
            format!(
                "clerk.secret_key: the file {clerk} holds no usable key: this is a publishable key (pk_…), the API needs the secret key (sk_…)"
            ),
        ),
        (
            Some(good),
            None,
            format!(
                "keys.desk[0]: the file {desk} cannot be read: No such file or directory (os error 2)"
            ),
        ),
        (
            Some(good),
            Some("sk_test_short"),
            format!(
                "keys.desk[0]: the file {desk} is refused: a key that a service accepts has at least 16 characters after its prefix"
            ),
        ),
        (
            Some(good),
            Some(good),
            format!("keys.desk[0]: the file {desk} holds the same key as clerk.secret_key"),
        ),
        (
            Some(good),
            Some("sk_test_q8Zt3vN0cXwL5rYd\n\n"),
            format!(
                "keys.desk[0]: the file {desk} holds no usable key: a secret key has only A-Z a-z 0-9 - . _ ~ + / =, the character at byte 24 is not allowed"
            ),
        ),
    ];
    for (clerk, desk, expected) in cases {
        for (name, text) in [("clerk.key", clerk), ("desk.key", desk)] {
            let _ = fs::remove_file(folder.join(name));
            if let Some(text) = text {
                write(folder, name, text);
            }
        }
        let error = config.accepted_keys().unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("9fT2kLw7"));
    }
}

#[test]
fn unset_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = read(folder.path(), "");
    config.clerk.secret_key = SecretFrom::Env("GATEWAY_TEST_UNSET".into());
    let error = config.accepted_keys().unwrap_err().to_string();
    assert_eq!(
        error,
        "clerk.secret_key: the variable GATEWAY_TEST_UNSET is not set"
    );
}

#[test]
fn last_line_break_of_a_secret_is_ignored() {
    for end in ["", "\n", "\r\n"] {
        let folder = tempfile::tempdir().unwrap();
        let config = read(folder.path(), "");
        write(folder.path(), "clerk.key", &format!("{SECRET}{end}"));
        write(
            folder.path(),
            "desk.key",
            &format!("sk_test_q8Zt3vN0cXwL5rYd{end}"),
        );
        let keys = config.accepted_keys().unwrap();
        let keys: Vec<_> = keys["desk"].iter().map(SecretKey::expose).collect();
        assert_eq!(keys, ["sk_test_q8Zt3vN0cXwL5rYd"]);
        let shown = format!("{config:?} {keys:?}", keys = config.accepted_keys());
        assert!(
            !shown.contains("9fT2kLw7") && !shown.contains("q8Zt3vN0"),
            "{shown}"
        );
    }
}

#[cfg(unix)]
#[test]
fn secret_that_every_user_can_read_is_a_warning() {
    use std::{
        io::Write,
        os::unix::fs::PermissionsExt,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let config = read(folder.path(), "");
    write(folder.path(), "clerk.key", SECRET);
    write(folder.path(), "desk.key", "sk_test_q8Zt3vN0cXwL5rYd");
    let logged = || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), || config.accepted_keys().unwrap());
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    };
    assert_eq!(logged(), "");
    let desk = folder.path().join("desk.key");
    fs::set_permissions(&desk, fs::Permissions::from_mode(0o644)).unwrap();
    let log = logged();
    assert!(
        log.contains("WARN") && log.contains("every user can read this secret"),
        "{log}"
    );
    assert!(
        log.contains("desk.key") && !log.contains("q8Zt3vN0"),
        "{log}"
    );
}

#[test]
fn names_that_match_nothing_are_warnings() {
    let text = VALID.replace("keys.desk", "keys.dekc");
    let config: Config = text.parse().unwrap();
    assert_eq!(
        config.warnings(),
        [
            "keys.desk may claim no actor, so its creates are refused; add it to [policy.keys]",
            "policy.keys.dekc names no key of [keys]",
        ]
    );
    let none: Config = VALID
        .split("[keys]")
        .next()
        .unwrap()
        .replace("keys.desk", "#")
        .parse()
        .unwrap();
    assert_eq!(
        none.warnings(),
        ["neither [keys] nor [operators]: every caller is refused"]
    );
}

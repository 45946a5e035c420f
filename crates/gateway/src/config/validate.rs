//! Checks of a [`Config`] that its types do not make.

use std::collections::BTreeMap;

use super::{Anchors, Config, Engine, SecretFrom, read::FieldPath};

/// The longest name of a key or an operator, and the longest issuer, in bytes.
const MAX_NAME: usize = 64;

/// SHA-256 of an empty text.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The result of a check: the reason if it fails.
type Check = Result<(), String>;

fn refuse_if(is_wrong: bool, why: impl Into<String>) -> Check {
    match is_wrong {
        true => Err(why.into()),
        false => Ok(()),
    }
}

/// Returns the path of a field.
macro_rules! path {
    ($($part:expr),+) => { vec![$(std::borrow::Cow::from($part)),+] };
}

impl Config {
    /// Returns every problem of the configuration, with its field.
    pub(super) fn validate(&self) -> Vec<(FieldPath, String)> {
        let mut checks = self.check_server();
        checks.extend(self.check_rest());
        checks.extend(self.check_keys());
        checks.extend(self.check_operators());
        let failed = |(path, check): (FieldPath, Check)| check.err().map(|why| (path, why));
        checks.into_iter().filter_map(failed).collect()
    }

    fn check_server(&self) -> Vec<(FieldPath, Check)> {
        let server = &self.server;
        let (listen, ops) = (server.listen, server.ops_listen);
        let is_plain = server.tls.is_none() && !listen.ip().is_loopback();
        let plain = format!(
            "{listen} is not on loopback, and without TLS keys are sent in the clear; add [server.tls], or \
             listen on 127.0.0.1 behind a proxy that terminates TLS"
        );
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        let count = |count: usize| {
            let is_wrong = count == 0 || count > most;
            refuse_if(is_wrong, format!("must be from 1 to {most}"))
        };
        let is_same = listen == ops && listen.port() != 0;
        let same = format!("{ops} is the address of server.listen, too; choose another port");
        vec![
            (path!["server", "listen"], refuse_if(is_plain, plain)),
            (path!["server", "ops_listen"], refuse_if(is_same, same)),
            (
                path!["server", "max_connections"],
                count(server.max_connections),
            ),
            (path!["server", "max_calls"], count(server.max_calls)),
        ]
    }

    fn check_rest(&self) -> Vec<(FieldPath, Check)> {
        let (clerk, storage) = (&self.clerk, &self.storage);
        let text = |text: &str| {
            let is_wrong = text.trim().is_empty() || text.len() > MAX_NAME;
            refuse_if(is_wrong, format!("must have 1 to {MAX_NAME} bytes"))
        };
        let (database, url) = match &storage.engine {
            Engine::Sqlite(path) => (Some(path), None),
            Engine::Postgres(postgres) => (None, Some(&postgres.url)),
        };
        let is_empty = database.is_some_and(|path| path.as_os_str().is_empty());
        let is_database = match &storage.anchors {
            Anchors::File(path) => Some(path) == database,
            Anchors::Stdout => false,
        };
        let check_source_of = |from: Option<&SecretFrom>| from.map_or(Ok(()), check_source);
        let redis = self.redis.as_ref();
        let namespace = redis.and_then(|it| it.namespace.as_ref());
        let has_brace = namespace.is_some_and(|name| name.contains(['{', '}']));
        let anchors = "is the database; anchors are worth most on another disk or machine";
        let none = "0 refuses every create; leave it out for no limit, or pause the gateway";
        vec![
            (path!["clerk", "account"], text(&clerk.account)),
            (path!["clerk", "issuer"], text(&clerk.issuer)),
            (
                path!["clerk", "secret_key"],
                check_source(&clerk.secret_key),
            ),
            (
                path!["storage", "database"],
                refuse_if(is_empty, "is empty; write the path of a file"),
            ),
            (path!["storage", "postgres", "url"], check_source_of(url)),
            (
                path!["redis", "url"],
                check_source_of(redis.map(|it| &it.url)),
            ),
            (
                path!["redis", "hash_key"],
                check_source_of(redis.and_then(|it| it.hash_key.as_ref())),
            ),
            (
                path!["redis", "namespace"],
                refuse_if(has_brace, "must not contain `{` or `}`"),
            ),
            (path!["storage", "anchors"], refuse_if(is_database, anchors)),
            (
                path!["storage", "keep_days"],
                refuse_if(storage.keep_days == 0, "must be at least 1"),
            ),
            (
                path!["quota", "per_month"],
                refuse_if(self.quota.per_month == Some(0), none),
            ),
        ]
    }

    fn check_keys(&self) -> Vec<(FieldPath, Check)> {
        let mut checks = Vec::new();
        let mut seen = BTreeMap::from([(&self.clerk.secret_key, "clerk.secret_key".to_owned())]);
        for (name, sources) in &self.keys {
            let path = || path!["keys", name.clone()];
            checks.push((path(), check_name(name)));
            let none = "has no key; write [{ file = \"/path\" }], or remove the name";
            checks.push((path(), refuse_if(sources.is_empty(), none)));
            for (index, from) in sources.iter().enumerate() {
                let path = path!["keys", name.clone(), format!("[{index}]")];
                checks.push((path.clone(), check_source(from)));
                let earlier = seen.insert(from, format!("keys.{name}[{index}]"));
                let same = earlier.map(|other| Err(format!("{from} is the key of {other}, too")));
                checks.push((path, same.unwrap_or(Ok(()))));
            }
        }
        checks
    }

    fn check_operators(&self) -> Vec<(FieldPath, Check)> {
        let mut checks = Vec::new();
        let mut seen = BTreeMap::new();
        for (name, operator) in &self.operators {
            let path = |field: &'static str| path!["operators", name.clone(), field];
            checks.push((path!["operators", name.clone()], check_name(name)));
            let none = "is empty; name one or more of view, impersonate, end, pause";
            checks.push((path("roles"), refuse_if(operator.roles.is_empty(), none)));
            let is_actor = operator
                .actor
                .as_ref()
                .is_none_or(|it| !it.trim().is_empty());
            checks.push((
                path("actor"),
                refuse_if(!is_actor, "is empty; write the user id of the operator"),
            ));
            let hash = operator.token_sha256.to_ascii_lowercase();
            let is_hash = hex::decode_to_slice(&hash, &mut [0; 32]).is_ok() && hash != EMPTY_SHA256;
            let invalid = "is not the SHA-256 of a token, 64 hexadecimal digits; the subcommand `operator` \
                           makes a token and its hash";
            checks.push((path("token_sha256"), refuse_if(!is_hash, invalid)));
            let earlier = seen.insert(hash, name);
            let same = earlier.map(|other| Err(format!("operators.{other} has the same token")));
            checks.push((path("token_sha256"), same.unwrap_or(Ok(()))));
        }
        checks
    }

    /// Returns warnings about fields that are valid but likely a mistake.
    pub fn warnings(&self) -> Vec<String> {
        let policy = serde_json::to_value(&self.policy).unwrap_or_default();
        let claims = policy.get("keys").and_then(|keys| keys.as_object());
        let claims = |name: &str| claims.is_some_and(|keys| keys.contains_key(name));
        let silent = self.keys.keys().filter(|name| !claims(name));
        let silent = silent.map(|name| {
            format!("keys.{name} may claim no actor, so its creates are refused; add it to [policy.keys]")
        });
        let unknown = policy
            .get("keys")
            .and_then(|keys| keys.as_object())
            .into_iter()
            .flatten();
        let unknown = unknown.filter(|(name, _)| !self.keys.contains_key(*name));
        let unknown = unknown.map(|(name, _)| format!("policy.keys.{name} names no key of [keys]"));
        let is_closed = self.keys.is_empty() && self.operators.is_empty();
        let closed =
            is_closed.then(|| "neither [keys] nor [operators]: every caller is refused".to_owned());
        let is_shared = matches!(self.storage.engine, Engine::Postgres(_));
        let alone = match &self.redis {
            None => Some(
                "no [redis]: each gateway has limits and a gate of its own, so that several allow several times as much",
            ),
            Some(redis) if redis.replicas.get() == 1 => Some(
                "redis.replicas is 1: while Redis is down, each gateway allows all of the limits; write the number of gateways",
            ),
            Some(_) => None,
        };
        let alone = alone.filter(|_| is_shared).map(str::to_owned);
        silent.chain(unknown).chain(closed).chain(alone).collect()
    }
}

/// Checks a name, which is in logs and in the audit.
fn check_name(name: &str) -> Check {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed);
    let why = format!("a name has 1 to {MAX_NAME} of A-Z a-z 0-9 - _ . @");
    refuse_if(!is_name, why)
}

fn check_source(from: &SecretFrom) -> Check {
    match from {
        SecretFrom::File(path) => {
            let is_empty = path.as_os_str().is_empty();
            refuse_if(is_empty, "the path of the file is empty")
        }
        SecretFrom::Env(name) => {
            let is_wrong = name.is_empty() || name.contains(['=', '\0']);
            refuse_if(is_wrong, "the name of the variable is empty or has a `=`")
        }
    }
}

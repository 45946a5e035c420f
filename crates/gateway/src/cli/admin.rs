//! Calls the admin API of a running gateway.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clap::Args;
use clerk_actor_tokens::BaseUrl;
use http::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::Failure;

/// The time for a response. Each lease is ended by calls of its own.
const TIMEOUT: Duration = Duration::from_secs(300);
const MAX_RESPONSE: usize = 16 * 1024 * 1024;

#[derive(Args)]
pub(super) struct Remote {
    /// The address of the gateway
    #[arg(
        long,
        value_name = "URL",
        env = "GATEWAY_URL",
        default_value = "http://127.0.0.1:4020"
    )]
    url: BaseUrl,
    /// The authorities that sign the gateway's certificate, as PEM; without it, the public ones
    #[arg(long, value_name = "FILE", env = "GATEWAY_CA")]
    ca: Option<PathBuf>,
    /// A certificate and its key, as PEM, if the gateway asks callers to present one
    #[arg(long, value_name = "FILE", env = "GATEWAY_CLIENT_CERT")]
    client_cert: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct EndArgs {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    which: Which,
    /// Also end the sessions of tokens that were used
    #[arg(long)]
    sessions: bool,
}

const AFTER_HELP: &str = "\
GATEWAY_TOKEN is the token of an operator with the role for this.

Exit codes: 0 done, 1 not all of it, 2 invalid arguments, 3 the gateway cannot be reached or refuses.";

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// This token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// All tokens of this actor
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// All tokens for this user
    #[arg(long, value_name = "USER")]
    subject: Option<String>,
    /// All tokens since this time, such as 2026-11-30T12:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<SystemTime>,
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    remote: Remote,
    /// The reason, which the audit records and callers are shown
    #[arg(long, value_name = "TEXT", conflicts_with = "resume")]
    reason: Option<String>,
    /// Accept creates again
    #[arg(long)]
    resume: bool,
}

/// Reads a time in RFC 3339, or a duration before now.
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    if let Ok(before) = humantime::parse_duration(text) {
        return now.checked_sub(before).ok_or_else(|| "too long ago".into());
    }
    let invalid = "not a time like 2026-11-30T12:00:00Z, or a duration like 90s, 15m, 2h or 3days";
    humantime::parse_rfc3339(text).map_err(|_| invalid.into())
}

/// A lease and how it ended.
#[derive(Deserialize)]
struct Ended {
    call: String,
    actor_token_id: Option<String>,
    end: String,
    error: Option<String>,
}

pub(super) async fn end(args: EndArgs) -> Result<ExitCode, Failure> {
    let since = args.which.since.map(|since| {
        let since = since.duration_since(SystemTime::UNIX_EPOCH);
        Value::from(u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
    });
    let which = [
        ("token", args.which.token.map(Value::from)),
        ("actor", args.which.actor.map(Value::from)),
        ("subject", args.which.subject.map(Value::from)),
        ("since", since),
    ];
    let mut body: Map<_, _> = which
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    body.insert("sessions".into(), args.sessions.into());
    let response = args
        .remote
        .call(Method::POST, "/admin/v1/leases/end", &body.into())
        .await?;
    #[derive(Deserialize)]
    struct Response {
        ended: Vec<Ended>,
    }
    let Response { ended } = serde_json::from_slice(&response).map_err(unreadable)?;
    let mut out = io::stdout().lock();
    for Ended {
        call,
        actor_token_id,
        end,
        error,
    } in &ended
    {
        let token = actor_token_id.as_deref().unwrap_or("(id unknown)");
        let error = error.as_deref().unwrap_or_default();
        writeln!(out, "{token}  {end}  call {call}  {error}")?;
    }
    let live = ended
        .iter()
        .filter(|it| ["failed", "accepted"].contains(&&*it.end))
        .count();
    writeln!(out, "ended {}, still live {live}", ended.len() - live)?;
    Ok(match live {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

pub(super) async fn pause(args: PauseArgs) -> Result<ExitCode, Failure> {
    let body = json!({ "paused": !args.resume, "reason": args.reason });
    args.remote
        .call(Method::PUT, "/admin/v1/pause", &body)
        .await?;
    let done = if args.resume {
        "resumed: creates are accepted"
    } else {
        "paused: creates are refused"
    };
    writeln!(io::stdout(), "{done}")?;
    Ok(ExitCode::SUCCESS)
}

impl Remote {
    /// Sends a request and returns the body of a 200.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Bytes, Failure> {
        let token = std::env::var("GATEWAY_TOKEN").unwrap_or_default();
        if token.is_empty() {
            let why =
                "GATEWAY_TOKEN is not set: it is the token of an operator (see `operator --help`)";
            return Err(Failure::invalid(why));
        }
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| {
            Failure::invalid("GATEWAY_TOKEN has a character that a header cannot have")
        })?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(self.uri(path)?)
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(Failure::invalid)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls()?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let exchange = async {
            let response = client.request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_RESPONSE)
                .collect()
                .await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.to_bytes()))
        };
        let exchanged = timeout(TIMEOUT, exchange).await;
        let too_long = |_| Failure::failed(format!("{} did not respond in time", self.url));
        match exchanged.map_err(too_long)?.map_err(Failure::failed)? {
            (StatusCode::OK, body) => Ok(body),
            (status, body) => Err(Failure::failed(refusal(status, &body))),
        }
    }

    /// The path of the URL is the wire protocol's, so it does not count.
    fn uri(&self, path: &str) -> Result<Uri, Failure> {
        let url: Uri = self.url.to_string().parse().map_err(Failure::invalid)?;
        let mut parts = url.into_parts();
        parts.path_and_query = Some(path.parse().map_err(Failure::invalid)?);
        Uri::from_parts(parts).map_err(Failure::invalid)
    }

    fn tls(&self) -> Result<ClientConfig, Failure> {
        let invalid = |path: &PathBuf, error: &dyn std::fmt::Display| {
            Failure::invalid(format!("{}: {error}", path.display()))
        };
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                let all =
                    CertificateDer::pem_file_iter(path).map_err(|error| invalid(path, &error))?;
                for certificate in all {
                    let certificate = certificate.map_err(|error| invalid(path, &error))?;
                    roots
                        .add(certificate)
                        .map_err(|error| invalid(path, &error))?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Failure::failed)?
            .with_root_certificates(roots);
        let Some(path) = &self.client_cert else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let chain = chain.map_err(|error| invalid(path, &error))?;
        let key = PrivateKeyDer::from_pem_file(path).map_err(|error| invalid(path, &error))?;
        let config = builder.with_client_auth_cert(chain, key);
        config.map_err(|error| invalid(path, &error))
    }
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::failed(format!(
        "the gateway's response is not what this version expects: {error}"
    ))
}

/// Returns what the gateway says, without control characters.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let entry = &body["errors"][0];
    let text = [&entry["long_message"], &entry["message"]];
    let text = text.into_iter().find_map(Value::as_str).unwrap_or_default();
    let text: String = text
        .chars()
        .filter(|it| !it.is_control())
        .take(500)
        .collect();
    format!("the gateway refused with {status}. {text}")
}

//! `/console`, the pages on which operators begin, see and end impersonations.
//!
//! The server renders every page, and no page has a script. A session is a cookie, see [`session`]. The roles of
//! the operator decide about each request.
//!
//! # Forged requests
//!
//! The cookie is `SameSite=Strict`. tower-http's [`csrf`](tower_http::csrf) refuses a request that another
//! site made. It reads `Sec-Fetch-Site`, which every current browser sends; because pages have the policy
//! `no-referrer`, a browser without it sends `Origin: null` and is refused, too. Each form also has an id
//! that its session can send once, so that a repeated form has no second effect.
//!
//! # The link
//!
//! The link of a token is in no page. The request that creates the token responds with 303 to the link, in
//! a tab of its own, and neither a cache nor a log gets it. Reading the link claims the token, so that is the
//! last step; a token whose response cannot be built is revoked.

mod audit;
mod begin;
mod call;
mod impersonations;
mod login;
mod session;
mod show;
mod switches;
mod user;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use clerk_actor_tokens::BoxError;
use clerk_actor_tokens_policy::audit::SinkUnavailable;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use sha2::{Digest, Sha256};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use self::{
    login::Throttle,
    session::Sessions,
    user::{Frame, Place, User, home},
};
use crate::{Gateway, Role, gateway::Shared, storage::StorageError};

/// The longest body of a form, in bytes.
const MAX_BODY: usize = 16 * 1024;

const STYLE: &str = include_str!("../../templates/style.css");

/// The path of the style sheet has its hash, so that browsers can keep it.
fn style_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let hash = hex::encode(Sha256::digest(STYLE));
        format!("/console/style-{}.css", &hash[..16])
    });
    &PATH
}

/// The state that the pages share.
struct Console {
    shared: Arc<Shared>,
    sessions: Sessions,
    throttle: Throttle,
    headers: HeaderMap,
}

pub(crate) fn router(gateway: &Gateway) -> Router {
    let shared = Arc::clone(&gateway.shared);
    if !shared.config.console.enabled {
        return Router::new();
    }
    let console = Arc::new(Console {
        sessions: Sessions::new(shared.config.console.clone()),
        throttle: Throttle::new(),
        headers: security_headers(&shared),
        shared,
    });
    let style = style_path().trim_start_matches("/console");
    let pages = Router::new()
        .route("/", get(start))
        .route(
            style,
            get(async || ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)),
        )
        .route("/login", get(login::show).post(login::login))
        .route("/sign-out", post(login::sign_out))
        .route(
            "/impersonations",
            get(impersonations::list).post(begin::begin),
        )
        .route(
            "/impersonations/{call}/end",
            get(impersonations::confirm).post(impersonations::end),
        )
        .route("/begin", get(begin::show))
        .route("/audit", get(audit::search))
        .route("/audit/{call}", get(call::show))
        .route("/open", get(audit::open))
        .route("/quota", get(switches::quota).post(switches::reopen))
        .route("/pause", get(switches::pause).post(switches::set_pause))
        .route("/nothing", get(async |_: User| Failure::NoPage))
        .fallback(async || Failure::NotFound)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(Arc::clone(&console), finish));
    Router::new().nest("/console", pages).with_state(console)
}

async fn start(user: User) -> Redirect {
    Redirect::to(home(&user.operator))
}

/// Returns the headers of every response.
fn security_headers(shared: &Shared) -> HeaderMap {
    // Browsers apply `form-action` to the redirect, too, so it must allow the links of tokens. Those of a
    // sandbox, which tests use in place of the API, are not `https`.
    let sandbox = shared
        .config
        .clerk
        .api_url
        .as_ref()
        .map(ToString::to_string);
    let sandbox = sandbox
        .as_deref()
        .and_then(|url| url.strip_prefix("http://"));
    let sandbox = sandbox
        .and_then(|rest| rest.split('/').next())
        .map(|host| format!(" http://{host}"));
    let csp = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' https:{}; frame-ancestors 'none'; base-uri 'none'",
        sandbox.unwrap_or_default()
    );
    let permissions =
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), permissions),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(fixed);
    if let Ok(csp) = HeaderValue::from_str(&csp) {
        headers.insert(CONTENT_SECURITY_POLICY, csp);
    }
    if shared.config.server.tls.is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    headers
}

/// Makes a page of every error, and adds the headers.
async fn finish(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let is_style = request.uri().path() == style_path().trim_start_matches("/console");
    let user = User::of(&console, request.headers());
    let mut response = next.run(request).await;
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && !is_page {
        let failure = response.extensions_mut().remove();
        let is_forged = response.extensions().get::<ProtectionError>().is_some();
        let failure = failure.unwrap_or(match is_forged {
            true => Failure::Forged,
            false => Failure::Status(status),
        });
        response = failure.into_page(&console, user.as_ref());
    }
    for (name, value) in &console.headers {
        response.headers_mut().insert(name, value.clone());
    }
    if is_style && response.status() == StatusCode::OK {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(CACHE_CONTROL, forever);
    }
    response
}

/// Renders a page.
fn page(status: StatusCode, template: &impl Template) -> Result<Response, Failure> {
    let html = template.render().map_err(Failure::internal)?;
    Ok((status, Html(html)).into_response())
}

/// Returns a form's field, unless it is empty.
fn filled(field: Option<String>) -> Option<String> {
    let field = field.map(|it| it.trim().to_owned());
    field.filter(|it| !it.is_empty())
}

/// Why there is an error page instead.
#[derive(Clone, Debug)]
enum Failure {
    Forbidden(Role),
    /// The operator's roles open no page of the navigation.
    NoPage,
    NotFound,
    /// The form was sent before, or is old.
    Repeated,
    /// Another site sent the request.
    Forged,
    /// The audit cannot be read or written.
    AuditUnavailable,
    /// A library's response.
    Status(StatusCode),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    text: String,
}

impl Failure {
    /// Logs an error that the page does not show.
    fn internal(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        tracing::error!(
            error = &*error as &dyn std::error::Error,
            "could not make a page"
        );
        Self::Status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_) | Self::NoPage | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Repeated => StatusCode::CONFLICT,
            Self::AuditUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Status(status) => *status,
        }
    }

    fn into_page(self, console: &Console, user: Option<&User>) -> Response {
        let status = self.status();
        let (title, text) = match self {
            Self::Forbidden(role) => ("Not allowed", {
                let role = role_name(role);
                format!("Your operator account does not have the role “{role}”, which this page needs. An administrator can add it in the gateway’s configuration.")
            }),
            Self::NoPage => ("Nothing to show", "Your roles have no page of its own. To end impersonations you need the role “view”, too, or the address of one.".into()),
            Self::NotFound => ("Not found", "There is no such page or entry. It may have been removed after the retention time.".into()),
            Self::Repeated => ("Already sent", "This form was sent before, or is too old. Nothing was done now. Look at the current state before you send it again.".into()),
            Self::Forged => ("Refused", "This request came from another site, or from a browser that does not say where it came from. Nothing was done.".into()),
            Self::AuditUnavailable => ("Audit unavailable", "The audit cannot be read or written at the moment, so the gateway does nothing that it could not record. Ending an impersonation still works. Try again in a moment.".into()),
            Self::Status(StatusCode::PAYLOAD_TOO_LARGE) => ("Too large", "The form is larger than the gateway accepts. Please shorten the text.".into()),
            Self::Status(StatusCode::METHOD_NOT_ALLOWED) => ("Not found", "This address takes a form, and has no page.".into()),
            Self::Status(status) if status.is_client_error() => ("Not understood", "The request is incomplete or has values that the gateway does not accept.".into()),
            Self::Status(_) => ("Something went wrong", "The gateway could not make this page. The log says why.".into()),
        };
        let frame = user.map(|user| Frame::of(console, user, Place::Elsewhere));
        let frame = frame.and_then(Result::ok).unwrap_or_else(Frame::anonymous);
        let made = page(status, &ErrorPage { frame, title, text });
        made.unwrap_or_else(|_| status.into_response())
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::View => "view",
        Role::Impersonate => "impersonate",
        Role::End => "end",
        Role::Pause => "pause",
    }
}

impl IntoResponse for Failure {
    /// [`finish`] makes a page of it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        if error.is_cursor() {
            return Self::NotFound;
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "could not read the audit"
        );
        Self::AuditUnavailable
    }
}

impl From<SinkUnavailable> for Failure {
    fn from(error: SinkUnavailable) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "could not write the audit"
        );
        Self::AuditUnavailable
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

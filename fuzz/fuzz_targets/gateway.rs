//! Any request to a gateway: the wire protocol, the admin API and the console respond with a documented status,
//! without a secret, and nothing changes without a credential.
//!
//! Input: a [`FuzzRequest`]. In `authorization` and `cookie` `~K~` becomes the key of a caller, `~O~` the token of
//! an operator, `~V~` that of one who may only view, and `~C~` the cookie of a session. In the target and the body
//! `~F~` becomes the id of a form, and `~A~` the call of a lease. The body may log in with `~O~`.

#![no_main]

use std::{cell::RefCell, fs, time::Duration};

use axum::{Router, body::Body};
use clerk_actor_tokens::sandbox::{Sandbox, SandboxServer};
use clerk_actor_tokens_fuzz::{
    MARKER, io_runtime, request::FuzzRequest, response::replace, workspace,
};
use clerk_actor_tokens_gateway::{Config, Gateway, serve::middleware};
use http::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A key of callers.
const KEY: &str = "sk_test_MARKERq8Zt3vN0cXwL5rYd";

/// The token of an operator with every role.
const CHIEF: &str = "gwop_MARKER_9fT2kLw7vXcB4nQm1sZd8rHy3gPj6aEu";

/// The token of an operator who may only view.
const VIEWER: &str = "gwop_MARKER_0sK1fB6hVd2nJq8xPz5cGt7yRw4mLa3e";

/// How many inputs one gateway gets at most, so that its tables stay small.
const INPUTS: u32 = 1000;

thread_local! {
    static RUNTIME: &'static Runtime = Box::leak(Box::new(io_runtime()));
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|text: &[u8]| {
    RUNTIME.with(|runtime| {
        let _guard = runtime.enter();
        WORLD.with_borrow_mut(|world| {
            if world.as_ref().is_none_or(|world| world.inputs >= INPUTS) {
                *world = None;
                *world = Some(runtime.block_on(World::open()));
            }
            let world = world.as_mut().expect("a world");
            world.inputs += 1;
            runtime.block_on(world.check(text));
        });
    });
});

/// A gateway before a sandbox, with a token that is live and an operator who is signed in.
struct World {
    router: Router,
    sandbox: Sandbox,
    cookie: String,
    call: String,
    inputs: u32,
    _gateway: Gateway,
    _api: SandboxServer,
    _folder: TempDir,
}

/// A response.
#[derive(Debug)]
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl World {
    async fn open() -> Self {
        let (sandbox, folder) = (Sandbox::new(), workspace());
        let api = sandbox.spawn().await.expect("a sandbox");
        let path = folder.path().display();
        for (name, secret) in [
            ("api.key", sandbox.secret_key().expose()),
            ("desk.key", KEY),
        ] {
            fs::write(folder.path().join(name), secret).expect("a file");
        }
        let hash = |token: &str| hex::encode(Sha256::digest(token));
        let config = format!(
            r#"
            clerk = {{ api_url = "{url}", secret_key = {{ file = "{path}/api.key" }} }}
            storage = {{ database = "{path}/audit.sqlite", anchors = "{path}/anchors" }}
            keys.desk = [{{ file = "{path}/desk.key" }}]
            limits = [{{ by = "subject", calls = 1000, per = 1 }}]

            [policy]
            version = "fuzz"
            lifetime = {{ default = 300, longest = 900 }}
            session = {{ default = 600, longest = 1800 }}
            subjects.deny = ["user_ceo"]
            reason.via = ["console"]
            keys.desk = ["user_*"]

            [operators.chief]
            token_sha256 = "{chief}"
            roles = ["view", "impersonate", "end", "pause"]

            [operators.viewer]
            token_sha256 = "{viewer}"
            roles = ["view"]
            "#,
            url = api.base_url(),
            chief = hash(CHIEF),
            viewer = hash(VIEWER),
        );
        let config: Config = config.parse().expect("a configuration");
        let gateway = Gateway::open(config).await.expect("a gateway");
        let mut world = Self {
            router: middleware(gateway.app(), Duration::from_secs(10)),
            sandbox,
            cookie: String::new(),
            call: String::new(),
            inputs: 0,
            _gateway: gateway,
            _api: api,
            _folder: folder,
        };
        world.set_up().await;
        world
    }

    /// Creates a token and signs in.
    async fn set_up(&mut self) {
        let create = format!(
            "POST /v1/actor_tokens\nauthorization: Bearer {KEY}\ncontent-type: application/json\n\n{}",
            r#"{"user_id":"user_1","actor":{"sub":"user_2"}}"#,
        );
        assert_eq!(self.send_text(&create).await.status, StatusCode::OK);
        let leases = format!("GET /admin/v1/leases\nauthorization: Bearer {CHIEF}");
        let leases: Value =
            serde_json::from_str(&self.send_text(&leases).await.body).expect("JSON");
        self.call = leases["items"][0]["call"]
            .as_str()
            .expect("a lease")
            .to_owned();
        let login = format!(
            "POST /console/login\ncontent-type: application/x-www-form-urlencoded\n\
             sec-fetch-site: same-origin\n\ntoken={CHIEF}"
        );
        let login = self.send_text(&login).await;
        let cookie = login.headers[SET_COOKIE].to_str().expect("a cookie");
        self.cookie = cookie.split(';').next().expect("a cookie").to_owned();
    }

    async fn send_text(&self, text: &str) -> Received {
        let request = FuzzRequest::new(text.as_bytes(), &[]).expect("a request");
        self.send(request.request(Body::from)).await
    }

    async fn send(&self, request: Request<Body>) -> Received {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("a response");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Received {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.into()).expect("text"),
        }
    }

    /// Returns the state that requests may change: the requests to the API, and whether creates are paused.
    async fn state(&self) -> (u64, Value) {
        let pause = format!("GET /admin/v1/pause\nauthorization: Bearer {CHIEF}");
        let pause = self.send_text(&pause).await.body;
        (
            self.sandbox.requests(),
            serde_json::from_str(&pause).expect("JSON"),
        )
    }

    /// Returns the id of a new form.
    async fn form(&self) -> String {
        let page = self
            .send_text(&format!("GET /console/begin\ncookie: {}", self.cookie))
            .await;
        let (_, rest) = page
            .body
            .split_once("name=\"form\" value=\"")
            .expect("a form");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    async fn check(&mut self, text: &[u8]) {
        // Neither the fuzzer's own markers nor its own links count.
        let mut text = replace(text, MARKER.as_bytes(), b"marker");
        text = replace(&text, b"<x-", b"<x_");
        text = replace(&text, b"~A~", self.call.as_bytes());
        if text.windows(3).any(|it| it == b"~F~") {
            text = replace(&text, b"~F~", self.form().await.as_bytes());
        }
        let secrets = [
            ("~K~", KEY),
            ("~O~", CHIEF),
            ("~V~", VIEWER),
            ("~C~", &*self.cookie),
        ];
        let Some(mut request) = FuzzRequest::new(&text, &secrets) else {
            return;
        };
        let path = request.head.uri.path();
        let is_login = path == "/console/login";
        if is_login || path == "/console/sign-out" {
            // The session ends, or failed logins make the next ones wait.
            self.inputs = INPUTS;
        }
        let heads = format!("{:?}", request.head.headers);
        let may_change = [KEY, CHIEF, &self.cookie]
            .iter()
            .any(|it| heads.contains(it));
        if is_login {
            request.body = replace(&request.body, b"~O~", CHIEF.as_bytes()).into();
        }
        let before = self.state().await;
        let received = self.send(request.request(Body::from)).await;
        let after = self.state().await;
        let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.head.method);
        if is_read || is_forged(&request) || !may_change {
            assert_eq!(before, after, "{:?} {received:?}", request.head);
        }
        received.check(
            &request,
            &self.cookie,
            heads.contains(MARKER) || heads.contains(&self.cookie),
        );
    }
}

/// Returns whether a browser says that another site made this request to the console.
fn is_forged(request: &FuzzRequest) -> bool {
    let site = request.head.headers.get("sec-fetch-site");
    request.head.uri.path().starts_with("/console") && site.is_some_and(|it| it == "cross-site")
}

impl Received {
    fn check(&self, request: &FuzzRequest, cookie: &str, has_credential: bool) {
        let (method, path) = (&request.head.method, request.head.uri.path());
        // `/console/` itself is no page.
        let page = path.strip_prefix("/console/");
        let is_console = path == "/console" || page.is_some_and(|page| !page.is_empty());
        let is_admin = path.starts_with("/admin/v1/");
        let documented: &[u16] = match (is_console, is_admin) {
            _ if is_for_a_proxy(&request.head.uri, method) && !is_console => &[404],
            (true, _) => &[
                200, 303, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503,
            ],
            (_, true) => &[200, 400, 401, 403, 404, 405, 413, 415, 422, 429],
            _ => &[200, 400, 401, 403, 404, 405, 413, 415, 422, 429, 503],
        };
        assert!(
            documented.contains(&self.status.as_u16()),
            "{:?} {self:?}",
            request.head
        );
        if !has_credential && !is_console {
            assert_ne!(self.status, StatusCode::OK, "{:?} {self:?}", request.head);
        }

        let secret = cookie.split_once('=').map_or("", |(_, secret)| secret);
        for secret in [MARKER, secret] {
            assert!(!self.body.contains(secret), "a secret shows: {self:?}");
            assert!(
                !format!("{:?}", self.headers).contains(secret),
                "a secret shows: {self:?}"
            );
        }
        if is_console {
            self.is_page(request, has_credential);
        } else {
            self.is_json(method);
        }
    }

    fn is_page(&self, request: &FuzzRequest, has_credential: bool) {
        for header in [
            CACHE_CONTROL,
            CONTENT_SECURITY_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        ] {
            assert!(self.headers.contains_key(&header), "{header}");
        }
        assert!(
            !self.body.contains("<x-"),
            "text that is not escaped: {self:?}"
        );
        if is_forged(request) && request.head.method == Method::POST {
            assert!(self.status.is_client_error(), "{self:?}");
        }
        let is_style = self
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|it| it == "text/css; charset=utf-8");
        let is_open = is_style || request.head.uri.path() == "/console/login";
        if self.status == StatusCode::OK && !is_open {
            assert!(
                has_credential,
                "a page without a session: {:?}",
                request.head
            );
        }
        if let Some(location) = self
            .headers
            .get(LOCATION)
            .filter(|_| !has_credential && !is_open)
        {
            assert!(location.as_bytes().starts_with(b"/console"), "{location:?}");
        }
    }

    fn is_json(&self, method: &Method) {
        assert_eq!(self.headers[CACHE_CONTROL], "no-store");
        if method == Method::HEAD || self.status == StatusCode::OK {
            return;
        }
        let json: Value = serde_json::from_str(&self.body).expect("JSON");
        assert!(
            json["errors"][0]["code"]
                .as_str()
                .is_some_and(|it| !it.is_empty()),
            "{self:?}"
        );
    }
}

/// Returns whether the target is that of a proxy: a whole URL, or an authority.
fn is_for_a_proxy(target: &Uri, method: &Method) -> bool {
    target.authority().is_some() || method == Method::CONNECT
}

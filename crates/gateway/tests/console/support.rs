//! A gateway over a sandbox, and a browser without a network.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::{fs, time::Duration};

use axum::{Router, body::Body};
use clerk_actor_tokens::sandbox::{Sandbox, SandboxServer};
use clerk_actor_tokens_gateway::{Config, Gateway, serve::middleware};
use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;

#[path = "../text/mod.rs"]
pub(crate) mod text;

/// Returns the token of an operator.
pub(crate) fn token(operator: &str) -> String {
    format!("op_{operator}_0123456789abcdef")
}

/// Each operator has the role of the same name; `all` and its twin have each.
pub(crate) const OPERATORS: [(&str, &[&str]); 6] = [
    ("user_all", &["view", "impersonate", "end", "pause"]),
    ("user_twin", &["view", "impersonate", "end", "pause"]),
    ("view", &["view"]),
    ("impersonate", &["impersonate"]),
    ("end", &["end"]),
    ("pause", &["pause"]),
];

pub(crate) struct Console {
    pub(crate) gateway: Gateway,
    pub(crate) sandbox: Sandbox,
    router: Router,
    pub(crate) folder: TempDir,
    api: SandboxServer,
}

impl Console {
    pub(crate) async fn open() -> Self {
        Self::over(Sandbox::new(), "").await
    }

    /// Opens a gateway over this sandbox. `more` is added to its configuration.
    pub(crate) async fn over(sandbox: Sandbox, more: &str) -> Self {
        let api = sandbox.spawn().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), sandbox.secret_key().expose()).unwrap();
        let text = config(&folder, &api, &OPERATORS) + more;
        let gateway = Gateway::open(text.parse().unwrap()).await.unwrap();
        let router = middleware(gateway.app(), Duration::from_secs(10));
        Self {
            gateway,
            sandbox,
            router,
            folder,
            api,
        }
    }

    /// Reloads the gateway with these operators.
    pub(crate) async fn reload(&self, operators: &[(&str, &[&str])]) {
        let config: Config = config(&self.folder, &self.api, operators).parse().unwrap();
        self.gateway.reload(&config).await.unwrap();
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookie: None,
            headers: HeaderMap::new(),
        }
    }

    /// Returns a browser in which the operator is signed in.
    pub(crate) async fn signed_in(&self, operator: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser
            .post("/console/login", &[("token", &token(operator))])
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
        browser
    }
}

fn config(folder: &TempDir, api: &SandboxServer, operators: &[(&str, &[&str])]) -> String {
    const RULES: &str = r#"
reason = { min_length = 10 }
subjects = { deny = ["user_ceo"] }
"#;
    let folder = folder.path();
    let key = format!("{{ file = \"{}\" }}", folder.join("key").display());
    let mut config = text::config(folder, &api.base_url().to_string(), &key) + RULES;
    let operators = operators.iter();
    config.extend(operators.map(|(name, roles)| text::operator(name, &token(name), roles)));
    config
}

/// A browser: it keeps the cookie of a session, and says where its requests come from.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookie: Option<String>,
    /// Added to each request.
    pub(crate) headers: HeaderMap,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn location(&self) -> &str {
        self.headers
            .get(LOCATION)
            .map_or("", |it| it.to_str().unwrap())
    }

    /// Returns the value of the hidden field `form`.
    pub(crate) fn form(&self) -> &str {
        let (_, rest) = self
            .body
            .split_once(r#"name="form" value=""#)
            .expect("no form");
        rest.split('"').next().unwrap()
    }

    /// Asserts that the page has the text.
    #[track_caller]
    pub(crate) fn has(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "no {text:?} in {self:?}");
        self
    }
}

impl Browser {
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: impl Into<Body>) -> Page {
        let mut request = Request::builder().method(method.clone()).uri(path);
        let headers = request.headers_mut().unwrap();
        headers.insert("host", "gateway.test".parse().unwrap());
        if method == Method::POST {
            headers.insert(
                CONTENT_TYPE,
                "application/x-www-form-urlencoded".parse().unwrap(),
            );
            headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
            headers.insert("origin", "null".parse().unwrap());
        }
        if let Some(cookie) = &self.cookie {
            headers.insert(COOKIE, cookie.parse().unwrap());
        }
        headers.extend(self.headers.clone());
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(set) = parts.headers.get(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie = (!set.contains("Max-Age=0")).then_some(pair);
        }
        let body = body.collect().await.unwrap().to_bytes();
        Page {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.send(Method::POST, path, body).await
    }

    /// Sends the form of a page: its id and these fields.
    pub(crate) async fn submit(&mut self, page: &str, to: &str, fields: &[(&str, &str)]) -> Page {
        let form = self.get(page).await.form().to_owned();
        let mut all = vec![("form", &*form)];
        all.extend(fields);
        self.post(to, &all).await
    }

    /// Sends the form of a page to the same path.
    pub(crate) async fn submit_to(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.submit(path, path, fields).await
    }

    /// Begins an impersonation.
    pub(crate) async fn begin(&mut self, subject: &str, reason: &str) -> Page {
        let fields = [
            ("subject", subject),
            ("reason", reason),
            ("lifetime", "300"),
            ("session", "600"),
        ];
        self.submit("/console/begin", "/console/impersonations", &fields)
            .await
    }

    /// Returns the ids of the calls that the page of impersonations links to.
    pub(crate) async fn calls(&mut self) -> Vec<String> {
        let page = self.get("/console/impersonations?show=all").await;
        let links = page.body.split("href=\"/console/audit/").skip(1);
        links
            .map(|it| it.split('"').next().unwrap().to_owned())
            .collect()
    }
}

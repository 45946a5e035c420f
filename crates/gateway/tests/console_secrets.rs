//! No link, key, token or cookie is in a page, in a header but the one of the redirect, in a log or in a file.

#[path = "../../../tests/support/search/mod.rs"]
mod search;
#[path = "console/support.rs"]
mod support;

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clerk_actor_tokens::{
    SecretKey,
    sandbox::{Fault, Sandbox},
};
use http::{StatusCode, header::LOCATION};
use search::{MARKER, form_in};
use support::{Browser, Console, Page, text};

const REASON: &str = "Ticket 4711: cannot pay";

/// A page, without the one header that may have the link.
fn assert_clean(page: &Page) {
    assert_eq!(form_in(&page.body), None, "{page:?}");
    for (name, value) in &page.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert_eq!(form_in(&value), None, "{name}: {page:?}");
    }
}

type Next = Mutex<Option<&'static str>>;

async fn begin(next: &Next, browser: &mut Browser, body: &'static str) -> Page {
    *next.lock().unwrap() = Some(body);
    browser.begin("user_subject", REASON).await
}

#[tokio::test]
async fn no_secret_shows_in_pages_headers_logs_and_files() {
    search::begin();
    // The body of the next create. Revokes have none, because lost tokens are revoked at any time.
    let next = Arc::new(Mutex::new(None::<&'static str>));
    let taken = Arc::clone(&next);
    let sandbox = Sandbox::new()
        .key(SecretKey::new("sk_test_MARKER").unwrap())
        .faults_by(move |_, head| {
            let is_create = head.uri.path().ends_with("/actor_tokens");
            let body = is_create.then(|| taken.lock().unwrap().take())??;
            Some(Fault::Body(Bytes::from_static(body.as_bytes())))
        });
    let roles = ["view", "impersonate", "end", "pause"];
    let operator = text::operator("user_marked", "gwop_MARKER", &roles);
    let console = Console::over(sandbox, &operator).await;
    let mut browser = console.browser();
    let mut pages = vec![
        browser
            .post("/console/login", &[("token", "gwop_MARKER_wrong")])
            .await,
        browser
            .post("/console/login?token=gwop_MARKER", &[("token", "")])
            .await,
        browser
            .post("/console/login", &[("token", "gwop_MARKER")])
            .await,
    ];
    assert_eq!(pages[2].status, StatusCode::SEE_OTHER);

    // Returned: the redirect has the link. Lost with its id, lost without, of another user, without a link, with
    // a link that is no header.
    let mut page = begin(&next, &mut browser, r#"{"id":"act_1","user_id":"user_subject","actor":{"sub":"user_marked"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#).await;
    assert_eq!(
        (page.status, page.location()),
        (StatusCode::SEE_OTHER, "https://x/?ticket=MARKER")
    );
    assert!(page.headers[LOCATION].is_sensitive());
    page.headers.remove(LOCATION);
    pages.push(page);
    for body in [
        r#"{"id":"act_2","user_id":"user_subject","actor":{"sub":"user_marked"},"status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER""#,
        r#"{"token":"MARKER"#,
        r#"{"id":"act_3","user_id":"user_MARKER","status":"pending","token":"MARKER","url":"https://x/?ticket=MARKER"}"#,
        r#"{"id":"act_4","user_id":"user_subject","actor":{"sub":"user_marked"},"status":"pending","token":"MARKER"}"#,
        r#"{"id":"act_5","user_id":"user_subject","actor":{"sub":"user_marked"},"status":"pending","token":"MARKER","url":"https://x/\n?ticket=MARKER"}"#,
        r#"{"errors":[{"code":"sk_test_MARKER","message":"sk_test_MARKER"}]}"#,
    ] {
        let page = begin(&next, &mut browser, body).await;
        assert!(
            page.status.is_client_error() || page.status.is_server_error(),
            "{body}: {page:?}"
        );
        pages.push(page);
    }

    let calls = browser.calls().await;
    for call in calls {
        for path in [
            format!("/console/audit/{call}"),
            format!("/console/impersonations/{call}/end"),
        ] {
            pages.push(browser.get(&path).await);
        }
    }
    for path in [
        "/console/impersonations?show=all",
        "/console/begin",
        "/console/audit",
        "/console/open",
        "/console/quota",
        "/console/pause",
        "/console/login",
        "/console/nothing",
    ] {
        pages.push(browser.get(path).await);
    }
    // A cookie that was not issued, and a request that names its form in the address.
    let mut other = console.browser();
    other.cookie = Some(format!("__Host-console={MARKER}"));
    pages.push(other.get("/console/audit").await);
    pages.push(other.post("/console/sign-out", &[("form", MARKER)]).await);
    pages.push(browser.post("/console/sign-out", &[]).await);
    for page in &pages {
        assert_clean(page);
    }

    console.gateway.shutdown(Duration::from_secs(10)).await;
    for entry in fs::read_dir(console.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        let is_key = path.ends_with("key");
        assert!(
            is_key || form_in(&String::from_utf8_lossy(&content)).is_none(),
            "{}",
            path.display()
        );
    }
    let leaks = search::unclaimed();
    assert!(leaks.is_empty(), "{leaks:?}");
    let logged = search::logging_crates();
    assert!(logged.contains("clerk_actor_tokens_gateway"), "{logged:?}");
}

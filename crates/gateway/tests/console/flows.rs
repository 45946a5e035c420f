//! The work of operators.

use std::time::Duration;

use clerk_actor_tokens::sandbox::{Fault, Sandbox};
use http::StatusCode;

use crate::{
    support::{Browser, Console, text},
    wait::until,
};

const REASON: &str = "Ticket 4711: cannot pay";

/// Begins an impersonation, and returns its link.
async fn begun() -> (Console, Browser, String) {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let page = browser.begin("user_customer", REASON).await;
    (console, browser, page.location().to_owned())
}

#[tokio::test]
async fn begin_redirects_to_the_link_of_a_new_token() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let page = browser.begin("user_customer", REASON).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    assert_eq!(page.body, "");
    let token = console.sandbox.accept(page.location()).unwrap();
    assert_eq!(token.user_id(), Some("user_customer"));

    let list = browser.get("/console/impersonations").await;
    list.has("user_customer")
        .has("user_all")
        .has(REASON)
        .has("Link open");
    let call = browser.calls().await.remove(0);
    let detail = browser.get(&format!("/console/audit/{call}")).await;
    detail
        .has("Sent to the API")
        .has("Succeeded")
        .has("via console")
        .has(token.id().as_str());
}

#[tokio::test]
async fn begin_that_the_policy_refuses_says_the_rule_and_keeps_the_input() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    for (subject, reason, status, says, rule) in [
        (
            "user_ceo",
            "Ticket 4711",
            StatusCode::FORBIDDEN,
            "must not be impersonated",
            "subjects.deny",
        ),
        (
            "user_all",
            "Ticket 4711",
            StatusCode::FORBIDDEN,
            "cannot impersonate yourself",
            "self_impersonation",
        ),
        (
            "user_customer",
            "short",
            StatusCode::UNPROCESSABLE_ENTITY,
            "at least 10 characters",
            "reason.min_length",
        ),
    ] {
        let page = browser.begin(subject, reason).await;
        assert_eq!(page.status, status, "{page:?}");
        page.has("Nothing was created").has(says).has(rule);
        page.has(&format!("value=\"{subject}\""))
            .has(&format!(">{reason}</textarea>"));
    }
    assert_eq!(console.sandbox.ledger().minted().len(), 0);
}

#[tokio::test]
async fn begin_page_says_what_the_policy_demands() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let page = browser.get("/console/begin").await;
    page.has("Required. At least 10 characters.")
        .has("5 min (usual)")
        .has("15 min")
        .has("<code>test</code>");
    assert!(!page.body.contains(">1 h</option>"), "{page:?}");
}

#[tokio::test]
async fn begin_with_a_lost_response_says_so_and_shows_an_open_item() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    console.sandbox.inject(Fault::DisconnectAfter);
    let page = browser.begin("user_customer", REASON).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{page:?}");
    page.has("It is unknown whether a token was created");
    browser
        .get("/console/open")
        .await
        .has("user_customer")
        .has("unknown")
        .has("at most <time");
}

#[tokio::test]
async fn begin_says_when_the_quota_of_the_api_is_used_up_and_an_operator_reopens_it() {
    let console = Console::over(Sandbox::new().quota(1), "").await;
    let mut browser = console.signed_in("user_all").await;
    let page = browser.begin("user_1", REASON).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    for _ in 0..2 {
        let page = browser.begin("user_2", REASON).await;
        assert!(page.status.is_client_error(), "{page:?}");
    }
    let requests = console.sandbox.requests();
    browser.get("/console/quota").await.has("Closed");
    let page = browser
        .submit_to("/console/quota", &[("reason", "new plan")])
        .await;
    assert_eq!(page.location(), "/console/quota");
    browser
        .get("/console/quota")
        .await
        .has("The quota is open")
        .has(">Open<");
    browser.begin("user_2", REASON).await;
    assert_eq!(console.sandbox.requests(), requests + 1);
}

#[tokio::test]
async fn end_revokes_a_link_that_was_not_used() {
    let (console, mut browser, link) = begun().await;
    let path = format!("/console/impersonations/{}/end", browser.calls().await[0]);
    browser
        .get(&path)
        .await
        .has("End this impersonation?")
        .has("user_customer");
    let page = browser.submit_to(&path, &[("scope", "token")]).await;
    assert_eq!(page.location(), "/console/impersonations");
    let list = browser.get("/console/impersonations").await;
    list.has("The link to user_customer is revoked.")
        .has("No live impersonations");
    let again = browser.get("/console/impersonations?show=all").await;
    assert!(
        !again.body.contains("is revoked."),
        "the notice is shown once: {again:?}"
    );
    again.has("Revoked");
    assert!(console.sandbox.accept(&link).is_err());
}

#[tokio::test]
async fn end_of_a_used_link_ends_its_session_when_asked_to() {
    let (console, mut browser, link) = begun().await;
    console.sandbox.accept(&link).unwrap();
    let path = format!("/console/impersonations/{}/end", browser.calls().await[0]);
    let page = browser.submit_to(&path, &[("scope", "token")]).await;
    assert_eq!(page.location(), path);
    browser.get(&path).await.has("a session may be live");
    assert_eq!(console.sandbox.ledger().live_sessions().count(), 1);
    browser.submit_to(&path, &[("scope", "session")]).await;
    browser
        .get("/console/impersonations")
        .await
        .has("its session has ended");
    assert_eq!(console.sandbox.ledger().live_sessions().count(), 0);
}

#[tokio::test]
async fn pause_is_shown_everywhere_and_stops_begins_until_it_is_resumed() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let page = browser
        .submit_to("/console/pause", &[("set", "paused"), ("reason", "  ")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("Say why");
    browser
        .submit_to(
            "/console/pause",
            &[("set", "paused"), ("reason", "key rotation")],
        )
        .await;
    browser
        .get("/console/audit")
        .await
        .has(">Paused<")
        .has("key rotation");
    let page = browser.begin("user_customer", REASON).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.has("An operator has paused the gateway");
    browser
        .get("/console/pause")
        .await
        .has("user_all")
        .has("Resume");
    browser
        .submit_to("/console/pause", &[("set", "resumed")])
        .await;
    let page = browser.begin("user_customer", REASON).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn audit_search_finds_by_each_field_and_pages() {
    let console = Console::open().await;
    let (mut browser, mut twin) = (
        console.signed_in("user_all").await,
        console.signed_in("user_twin").await,
    );
    for number in 0..60 {
        let page = browser
            .begin(
                &format!("user_{number}"),
                &format!("Ticket number {number}."),
            )
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    }
    twin.begin("user_other", "Another reason").await;
    let mut rows = async |query: &str| {
        let page = browser.get(&format!("/console/audit?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        page.body.matches("<td role=\"cell\" class=\"do\">").count()
    };
    assert_eq!(rows("actor=user_twin").await, 1);
    assert_eq!(rows("principal=user_twin").await, 1);
    assert_eq!(rows("subject=user_7").await, 1);
    assert_eq!(rows("text=number+31.").await, 1);
    assert_eq!(rows("subject=user_7&actor=user_twin").await, 0);
    assert_eq!(rows("end=refused").await, 0);
    assert_eq!(rows("operation=revoke").await, 0);
    assert_eq!(rows("since=2020-01-01T00:00&operation=create").await, 50);
    assert_eq!(rows("until=2020-01-01T00:00").await, 0);
    let page = browser.get("/console/audit?operation=create").await;
    let next = page
        .body
        .split("rel=\"next\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let next = next.replace("&#38;", "&").replace("&amp;", "&");
    assert!(next.contains("operation=create"), "{next}");
    let page = browser.get(&next).await;
    assert_eq!(
        page.body.matches("<td role=\"cell\" class=\"do\">").count(),
        11
    );
    assert!(!page.body.contains("rel=\"next\""));

    let page = browser.get("/console/audit?since=yesterday").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("Enter times as");
}

#[tokio::test]
async fn begin_whose_browser_disconnects_revokes_its_token() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let form = browser.get("/console/begin").await.form().to_owned();
    console
        .sandbox
        .inject(Fault::DelayAfter(Duration::from_millis(100)));
    let fields = [
        ("form", &*form),
        ("subject", "user_customer"),
        ("reason", REASON),
    ];
    tokio::select! {
        page = browser.post("/console/impersonations", &fields) => panic!("{page:?}"),
        () = until(async || console.sandbox.ledger().minted().len() == 1) => {}
    }
    until(async || console.sandbox.ledger().pending().count() == 0).await;
    assert_eq!(console.sandbox.ledger().revoked().count(), 1);
}

#[tokio::test]
async fn link_that_is_no_header_is_not_opened_and_its_token_is_revoked() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let body = r#"{"id":"act_odd","user_id":"user_customer","actor":{"sub":"user_all"},"status":"pending","url":"https://x/\n"}"#;
    console.sandbox.inject(Fault::Body(body.into()));
    let page = browser.begin("user_customer", REASON).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    page.has("The API returned no usable link");
    let revoke = async {
        loop {
            let page = browser.get("/console/audit?operation=revoke").await;
            if let Some((_, rest)) = page.body.split_once("href=\"/console/audit/") {
                break rest.split('"').next().unwrap().to_owned();
            }
        }
    };
    let call = tokio::time::timeout(Duration::from_secs(10), revoke)
        .await
        .expect("no revoke");
    browser
        .get(&format!("/console/audit/{call}"))
        .await
        .has("act_odd")
        .has("via console");
}

#[tokio::test]
async fn audit_that_cannot_be_written_stops_begins_and_the_pause_but_no_end() {
    let (console, mut browser, _) = begun().await;
    let end = format!("/console/impersonations/{}/end", browser.calls().await[0]);

    let path = text::database(console.folder.path());
    let blocker = rusqlite::Connection::open(path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let page = browser.begin("user_2", "Ticket 4712: cannot pay").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.has("Nothing was created")
        .has("The audit cannot be written")
        .has("value=\"user_2\"");
    let page = browser
        .submit_to("/console/pause", &[("set", "paused"), ("reason", "a test")])
        .await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.has("Audit unavailable");
    browser.submit_to(&end, &[("scope", "token")]).await;
    assert_eq!(console.sandbox.ledger().pending().count(), 0);
    drop(blocker);
    assert_eq!(console.sandbox.ledger().minted().len(), 1);
}

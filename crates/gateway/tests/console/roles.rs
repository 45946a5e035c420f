//! Which role opens which route.

use http::{Method, StatusCode};

use crate::support::{Console, OPERATORS};

/// A route, and the roles of which one is needed.
const ROUTES: [(Method, &str, &[&str]); 13] = [
    (Method::GET, "/console/impersonations", &["view"]),
    (Method::GET, "/console/audit", &["view"]),
    (Method::GET, "/console/audit/{call}", &["view"]),
    (Method::GET, "/console/open", &["view"]),
    (Method::GET, "/console/quota", &["view", "pause"]),
    (Method::GET, "/console/pause", &["view", "pause"]),
    (Method::GET, "/console/begin", &["impersonate"]),
    (Method::POST, "/console/impersonations", &["impersonate"]),
    (Method::GET, "/console/impersonations/{call}/end", &["end"]),
    (Method::POST, "/console/impersonations/{call}/end", &["end"]),
    (Method::POST, "/console/quota", &["pause"]),
    (Method::POST, "/console/pause", &["pause"]),
    (
        Method::GET,
        "/console",
        &["view", "impersonate", "end", "pause"],
    ),
];

/// Fields that are enough for any form, with an id that is not valid.
const FIELDS: &str = "form=0&subject=user_x&reason=Ticket+4711:+x&scope=token&set=paused";

#[tokio::test]
async fn route_without_its_role_is_forbidden_and_with_it_is_not() {
    let console = Console::open().await;
    let mut all = console.signed_in("user_all").await;
    all.begin("user_customer", "Ticket 4711: cannot pay").await;
    let call = all.calls().await.remove(0);
    for (operator, roles) in OPERATORS {
        let mut browser = console.signed_in(operator).await;
        for (method, path, needed) in ROUTES {
            let path = path.replace("{call}", &call);
            let page = browser.send(method.clone(), &path, FIELDS).await;
            let may = needed.iter().any(|role| roles.contains(role));
            if path == "/console" {
                continue;
            }
            let is_forbidden = page.status == StatusCode::FORBIDDEN;
            assert_eq!(may, !is_forbidden, "{operator} {method} {path}: {page:?}");
            if is_forbidden {
                page.has("Not allowed")
                    .has("does not have the role")
                    .has("<html lang=\"en\">");
            }
        }
    }
    assert_eq!(
        console.sandbox.ledger().minted().len(),
        1,
        "no form had a valid id"
    );
}

#[tokio::test]
async fn navigation_shows_only_what_the_roles_allow() {
    let console = Console::open().await;
    for (operator, home, shown, hidden) in [
        ("view", "/console/impersonations", ">Audit<", ">Begin<"),
        ("impersonate", "/console/begin", ">Begin<", ">Audit<"),
        ("pause", "/console/quota", ">Pause<", ">Audit<"),
    ] {
        let mut browser = console.signed_in(operator).await;
        assert_eq!(browser.get("/console").await.location(), home);
        let page = browser.get(home).await;
        page.has(shown);
        assert!(!page.body.contains(hidden), "{operator}: {page:?}");
    }
}

#[tokio::test]
async fn operator_without_a_page_gets_one_that_says_so() {
    let console = Console::open().await;
    let mut browser = console.signed_in("end").await;
    let home = browser.get("/console").await.location().to_owned();
    let page = browser.get(&home).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.has("Sign out").has("no page of its own");
}

#[tokio::test]
async fn every_route_without_a_session_leads_to_the_login() {
    let console = Console::open().await;
    for (method, path, _) in ROUTES {
        let path = path.replace("{call}", "0192f0c1b2d37e4f8a5b6c7d8e9f0a1b");
        let page = console.browser().send(method, &path, FIELDS).await;
        assert_eq!(
            (page.status, page.location()),
            (StatusCode::SEE_OTHER, "/console/login")
        );
    }
}

//! Login, and how a session ends.

use std::time::Duration;

use http::{StatusCode, header::SET_COOKIE};
use tokio::time::{Instant, advance, pause};

use crate::support::{Browser, Console, OPERATORS, token};

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/console/pause").await.status == StatusCode::OK
}

#[tokio::test]
async fn login_sets_a_new_cookie_that_is_bound_to_the_host() {
    let console = Console::open().await;
    let mut browser = console.browser();
    let page = browser
        .post("/console/login", &[("token", &token("user_all"))])
        .await;
    let set = page.headers[SET_COOKIE].to_str().unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-console="));
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
    let value = pair.split_once('=').unwrap().1;
    assert_eq!(value.len(), 64);
    let twin = console.signed_in("user_all").await;
    assert_ne!(twin.cookie, browser.cookie);
}

#[tokio::test]
async fn login_never_takes_over_the_cookie_that_the_browser_sent() {
    let console = Console::open().await;
    let mut attacker = console.signed_in("view").await;
    let planted = attacker.cookie.clone();
    let mut victim = console.browser();
    victim.cookie = planted.clone();
    victim
        .post("/console/login", &[("token", &token("user_all"))])
        .await;
    assert_ne!(victim.cookie, planted);
    assert!(is_signed_in(&mut victim).await);
    assert!(
        !is_signed_in(&mut attacker).await,
        "the planted session has ended"
    );

    let mut victim = console.browser();
    victim.cookie = Some(format!("__Host-console={}", "0".repeat(64)));
    let planted = victim.cookie.clone();
    victim
        .post("/console/login", &[("token", &token("user_all"))])
        .await;
    assert_ne!(victim.cookie, planted);
}

#[tokio::test]
async fn login_with_a_wrong_token_is_refused() {
    let console = Console::open().await;
    let mut browser = console.browser();
    for wrong in [
        "",
        "op_",
        &token("user_all")[1..],
        &token("nobody"),
        &"x".repeat(500),
    ] {
        let page = browser.post("/console/login", &[("token", wrong)]).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        page.has("This token is not valid");
        assert!(!page.headers.contains_key(SET_COOKIE));
        assert!(
            wrong.is_empty() || !page.body.contains(wrong),
            "the page repeats the token"
        );
    }
}

#[tokio::test]
async fn guesses_above_the_budget_wait_and_a_valid_token_waits_two_seconds_at_most() {
    let console = Console::open().await;
    pause();
    let begun = Instant::now();
    for _ in 0..10 {
        console
            .browser()
            .post("/console/login", &[("token", "wrong")])
            .await;
    }
    assert_eq!(
        begun.elapsed(),
        Duration::ZERO,
        "ten guesses are the budget"
    );
    for _ in 0..10 {
        console
            .browser()
            .post("/console/login", &[("token", "wrong")])
            .await;
    }
    assert!(
        begun.elapsed() >= Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );

    let begun = Instant::now();
    let mut browser = console.signed_in("user_all").await;
    assert!(is_signed_in(&mut browser).await);
    // The timer is precise to a millisecond.
    assert!(
        begun.elapsed() <= Duration::from_millis(2010),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn guesses_at_once_are_refused_beyond_sixteen_and_the_budget_comes_back() {
    let console = Console::open().await;
    pause();
    for _ in 0..20 {
        console
            .browser()
            .post("/console/login", &[("token", "wrong")])
            .await;
    }
    let guesses = (0..40).map(|_| {
        let mut browser = console.browser();
        async move { browser.post("/console/login", &[("token", "wrong")]).await }
    });
    let pages = futures_util::future::join_all(guesses).await;
    let refused = pages
        .iter()
        .filter(|page| page.status == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 24);
    let refused = pages
        .iter()
        .find(|page| page.status == StatusCode::TOO_MANY_REQUESTS)
        .unwrap();
    assert_eq!(refused.headers["retry-after"], "2");
    refused.has("Please try again in a few seconds");

    advance(Duration::from_secs(90)).await;
    let begun = Instant::now();
    console.signed_in("user_all").await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn session_ends_when_it_is_idle_and_when_it_is_old() {
    let more = "\n[console]\nidle = 60\nlongest = 150\n";
    let console = Console::over(Default::default(), more).await;
    pause();
    let mut browser = console.signed_in("user_all").await;
    advance(Duration::from_secs(59)).await;
    assert!(is_signed_in(&mut browser).await);
    advance(Duration::from_secs(59)).await;
    assert!(is_signed_in(&mut browser).await);
    advance(Duration::from_secs(40)).await;
    let page = browser.get("/console/audit").await;
    assert_eq!(page.location(), "/console/login?ended", "old");
    browser
        .get("/console/login?ended")
        .await
        .has("Your session has ended");

    let mut browser = console.signed_in("user_all").await;
    advance(Duration::from_secs(60)).await;
    assert!(!is_signed_in(&mut browser).await, "idle");
}

#[tokio::test]
async fn session_ends_when_its_operator_is_removed_or_loses_a_role() {
    let console = Console::open().await;
    let mut all = console.signed_in("user_all").await;
    let mut view = console.signed_in("view").await;
    let mut twin = console.signed_in("user_twin").await;
    let rest: Vec<_> = OPERATORS.into_iter().skip(3).collect();
    let with = |more: &[(&'static str, &'static [&'static str])]| [more, &rest].concat();
    let twins = OPERATORS[1];
    console
        .reload(&with(&[
            ("user_all", &["view", "impersonate", "end"]),
            twins,
            ("view", &["view", "end"]),
        ]))
        .await;
    assert!(!is_signed_in(&mut all).await, "lost a role");
    assert!(is_signed_in(&mut view).await, "got a role");
    assert!(is_signed_in(&mut twin).await, "unchanged");
    console.reload(&with(&[twins])).await;
    assert!(!is_signed_in(&mut view).await, "removed");
    console.reload(&OPERATORS).await;
    assert!(!is_signed_in(&mut view).await, "ended for good");
}

#[tokio::test]
async fn sign_out_ends_the_session_at_the_server() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let mut copy = browser.clone();
    let page = browser.post("/console/sign-out", &[]).await;
    assert_eq!(page.location(), "/console/login");
    assert_eq!(browser.cookie, None);
    assert!(
        !is_signed_in(&mut copy).await,
        "a copy of the cookie is worth nothing"
    );
}

#[tokio::test]
async fn ninth_session_of_an_operator_ends_the_one_that_was_idle_for_longest() {
    let console = Console::open().await;
    pause();
    let mut browsers = Vec::new();
    for _ in 0..9 {
        advance(Duration::from_secs(1)).await;
        browsers.push(console.signed_in("user_all").await);
    }
    assert!(!is_signed_in(&mut browsers[0]).await);
    assert!(is_signed_in(&mut browsers[1]).await);
    assert!(is_signed_in(&mut browsers[8]).await);
}

#[tokio::test]
async fn console_that_is_disabled_has_no_routes() {
    let console = Console::over(Default::default(), "\n[console]\nenabled = false\n").await;
    assert_eq!(
        console.browser().get("/console/login").await.status,
        StatusCode::NOT_FOUND
    );
}

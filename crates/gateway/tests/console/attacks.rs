//! The attempts of an attacker.

use clerk_actor_tokens::sandbox::Sandbox;
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};

use crate::support::{Browser, Console, Page, token};

#[tokio::test]
async fn forged_request_is_refused_by_each_combination_of_headers() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let site = |value| ("sec-fetch-site", value);
    let origin = |value| ("origin", value);
    let own = origin("https://gateway.test");
    let other = origin("https://evil.test");
    for (headers, is_refused) in [
        (vec![site("cross-site"), other], true),
        (vec![site("cross-site"), own], true),
        (vec![site("cross-site")], true),
        (vec![site("cross-site"), origin("null")], true),
        (vec![site("same-site"), other], true),
        (vec![site("same-site")], true),
        (vec![site("SAME-ORIGIN")], true),
        (vec![other], true),
        (vec![origin("null")], true),
        (vec![origin("https://gateway.test.evil.test")], true),
        (vec![origin("https://gateway.test:444")], true),
        (vec![own], false),
        (vec![site("same-origin"), own], false),
        (vec![site("same-origin"), origin("null")], false),
        (vec![site("none")], false),
        // No browser: a session cookie alone does not come from another site.
        (vec![], false),
    ] {
        for path in [
            "/console/login",
            "/console/sign-out",
            "/console/impersonations",
            "/console/quota",
            "/console/pause",
        ] {
            // The ids of forms are wrong, so that a request that passes has no effect either.
            let fields = "form=0&token=x&subject=user_x&reason=Ticket+4711:+x&set=paused";
            let mut forged = Forged(browser.clone());
            let page = forged.post(path, fields, &headers).await;
            let was_refused = page.status == StatusCode::FORBIDDEN
                && page.body.contains("This request came from another site");
            assert_eq!(was_refused, is_refused, "{path} {headers:?}: {page:?}");
            if is_refused {
                assert!(!page.headers.contains_key("set-cookie"));
            }
        }
        // One of them signed out.
        browser = console.signed_in("user_all").await;
    }
    assert_eq!(console.sandbox.ledger().minted().len(), 0);
    browser.get("/console/pause").await.has("Running");
}

struct Forged(Browser);

impl Forged {
    /// Posts with these headers alone.
    async fn post(
        &mut self,
        path: &str,
        fields: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Page {
        let mut all = HeaderMap::new();
        for name in ["sec-fetch-site", "origin"] {
            let value = headers
                .iter()
                .find(|(it, _)| *it == name)
                .map_or("", |(_, value)| value);
            // An empty value counts as none.
            all.insert(name, value.parse().unwrap());
        }
        self.0.headers = all;
        self.0.send(Method::POST, path, fields.to_owned()).await
    }
}

#[tokio::test]
async fn every_response_has_the_headers_that_protect_it() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let mut pages = vec![
        browser
            .begin("user_customer", "Ticket 4711: cannot pay")
            .await,
    ];
    let call = browser.calls().await.remove(0);
    for path in [
        "/console",
        "/console/impersonations",
        "/console/begin",
        "/console/audit",
        "/console/open",
        "/console/quota",
        "/console/pause",
        "/console/nothing",
        "/console/audit/nothing",
        "/console/login",
        &format!("/console/audit/{call}"),
        &format!("/console/impersonations/{call}/end"),
    ] {
        pages.push(browser.get(path).await);
        pages.push(console.browser().get(path).await);
    }
    pages.push(
        console
            .browser()
            .post("/console/login", &[("token", "wrong")])
            .await,
    );
    pages.push(
        console
            .browser()
            .post("/console/login", &[("token", &token("view"))])
            .await,
    );
    pages.push(browser.send(Method::PUT, "/console/begin", "").await);
    for page in pages {
        let csp = page.headers["content-security-policy"].to_str().unwrap();
        let (before, after) = csp.split_once(" http://127.0.0.1:").expect("the sandbox");
        assert_eq!(
            before,
            "default-src 'none'; style-src 'self'; form-action 'self' https:"
        );
        assert!(
            after.ends_with("; frame-ancestors 'none'; base-uri 'none'"),
            "{csp}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(page.headers[name], value, "{page:?}");
        }
        assert!(page.headers.contains_key("permissions-policy"));
        assert!(
            !page.headers.contains_key("strict-transport-security"),
            "plain HTTP"
        );
        assert!(!page.headers.contains_key("access-control-allow-origin"));
        if page.status.is_client_error() {
            assert_eq!(page.headers[CONTENT_TYPE], "text/html; charset=utf-8");
            page.has("<html lang=\"en\">").has("<title>");
        }
        for script in ["<script", "javascript:", " onclick", " style=", "<style"] {
            assert!(!page.body.contains(script), "{script} in {page:?}");
        }
    }
}

#[tokio::test]
async fn form_sent_twice_creates_one_token() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let form = browser.get("/console/begin").await.form().to_owned();
    let fields = [
        ("form", &*form),
        ("subject", "user_customer"),
        ("reason", "Ticket 4711: cannot pay"),
    ];
    let sends = (0..8).map(|_| {
        let mut browser = browser.clone();
        async move { browser.post("/console/impersonations", &fields).await }
    });
    let pages = futures_util::future::join_all(sends).await;
    let begun = pages.iter().filter(|it| it.status == StatusCode::SEE_OTHER);
    assert_eq!(begun.count(), 1);
    let again = browser.post("/console/impersonations", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again
        .has("This form was sent before")
        .has("value=\"user_customer\"");
    assert_eq!(console.sandbox.ledger().minted().len(), 1);
    assert_ne!(again.form(), form);
}

#[tokio::test]
async fn form_of_another_session_has_no_effect() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let mut twin = console.signed_in("user_twin").await;
    browser
        .begin("user_customer", "Ticket 4711: cannot pay")
        .await;
    let end = format!("/console/impersonations/{}/end", browser.calls().await[0]);
    let form = browser.get("/console/pause").await.form().to_owned();
    let begin = [
        ("form", &*form),
        ("subject", "user_2"),
        ("reason", "Ticket 4711: cannot pay"),
    ];
    for (path, fields) in [
        ("/console/impersonations", &begin[..]),
        (
            "/console/pause",
            &[("form", &form), ("set", "paused"), ("reason", "x")],
        ),
        ("/console/quota", &[("form", &form)]),
        (&end, &[("form", &form), ("scope", "session")]),
    ] {
        let page = twin.post(path, fields).await;
        assert_eq!(page.status, StatusCode::CONFLICT, "{page:?}");
    }
    assert_eq!(console.sandbox.ledger().pending().count(), 1);
    browser.get("/console/pause").await.has("Running");
}

#[tokio::test]
async fn cookie_that_was_not_issued_is_no_session() {
    let console = Console::open().await;
    let own = console.signed_in("user_all").await.cookie.unwrap();
    let (name, value) = own.split_once('=').unwrap();
    let flipped = if value.ends_with('0') { "1" } else { "0" };
    let guesses = [
        format!("{name}="),
        format!("{name}={}", "0".repeat(64)),
        format!("{name}={}{flipped}", &value[..63]),
        format!("{name}={}", value.to_uppercase() + "x"),
        format!("{}={value}", name.trim_start_matches("__Host-")),
        format!("{}={value}", name.to_lowercase()),
        "a".repeat(4096),
        "=;=;;".into(),
    ];
    for guess in guesses {
        let mut browser = console.browser();
        browser.cookie = Some(guess.clone());
        assert_eq!(
            browser.get("/console/audit").await.status,
            StatusCode::SEE_OTHER,
            "{guess}"
        );
    }
}

#[tokio::test]
async fn hostile_text_is_shown_as_text() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let reason = "</bdi><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} \u{202e}desrever\u{0}\u{200b} 4711";
    let subject = "user_\"><script>x</script>\u{202e}nimda";
    let page = browser.begin(subject, reason).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    let call = browser.calls().await.remove(0);
    let refused = browser.begin("user_ceo", reason).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let filter = serde_urlencoded::to_string([("subject", subject), ("text", reason)]).unwrap();
    let pages = [
        refused,
        browser.get("/console/impersonations").await,
        browser
            .get(&format!("/console/impersonations?{filter}"))
            .await,
        browser
            .get(&format!("/console/impersonations/{call}/end"))
            .await,
        browser.get("/console/audit").await,
        browser
            .get(&format!(
                "/console/audit?{filter}&before=%3Cscript%3E&since=%22%3E%3Cscript%3E"
            ))
            .await,
        browser.get(&format!("/console/audit/{call}")).await,
        browser.get(&format!("/console/begin?{filter}")).await,
    ];
    for page in pages {
        assert!(!page.body.contains("<script"), "{page:?}");
        assert!(!page.body.contains("<img"), "{page:?}");
    }
    let detail = browser.get(&format!("/console/audit/{call}")).await;
    detail
        .has("[U+202E]desrever[U+0000][U+200B]")
        .has("user_&#34;&#62;&#60;script&#62;");
    assert!(!detail.body.contains('\u{202e}'));
}

#[tokio::test]
async fn input_above_its_limit_is_refused() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let reason = "Ticket 4711: cannot pay";
    for (subject, reason, says) in [
        ("", reason, "Enter the id"),
        (&*"u".repeat(129), reason, "at most 128 characters"),
        ("user two", reason, "has no spaces"),
        ("user\u{0}", reason, "has no spaces"),
        ("user_1", "", "Say why"),
        ("user_1", &"r".repeat(1001), "at most 1,000 characters"),
    ] {
        let page = browser.begin(subject, reason).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{page:?}");
        page.has(says).has("aria-invalid=\"true\"");
    }
    for (lifetime, session) in [("901", "600"), ("0", "600"), ("300", "1801")] {
        let fields = [
            ("subject", "user_1"),
            ("reason", reason),
            ("lifetime", lifetime),
            ("session", session),
        ];
        let page = browser
            .submit("/console/begin", "/console/impersonations", &fields)
            .await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        page.has("Choose at most");
    }
    for (body, status) in [
        (
            format!("subject={}", "x".repeat(20_000)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("lifetime=abc".into(), StatusCode::UNPROCESSABLE_ENTITY),
        ("%ff%fe=%00&&&&===".into(), StatusCode::UNPROCESSABLE_ENTITY),
        (
            "subject=a&subject=b".into(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let page = browser
            .send(Method::POST, "/console/impersonations", body.clone())
            .await;
        assert_eq!(page.status, status, "{body:.40}: {page:?}");
        page.has("<html lang=\"en\">");
    }
    assert_eq!(console.sandbox.ledger().minted().len(), 0);
}

#[tokio::test]
async fn long_reason_is_cut_in_tables_and_whole_on_its_page() {
    let console = Console::open().await;
    let mut browser = console.signed_in("user_all").await;
    let reason = "r".repeat(1000);
    browser.begin("user_customer", &reason).await;
    assert!(
        !browser
            .get("/console/impersonations")
            .await
            .body
            .contains(&reason)
    );
    let call = browser.calls().await.remove(0);
    browser
        .get(&format!("/console/audit/{call}"))
        .await
        .has(&reason);
}

#[tokio::test]
async fn strict_transport_security_is_sent_when_the_gateway_has_a_certificate() {
    let more = "\n[server]\ntls = { certificate = \"/nowhere.pem\", key = \"/nowhere.key\" }\n";
    let console = Console::over(Sandbox::new(), more).await;
    let page = console.browser().get("/console/login").await;
    assert_eq!(
        page.headers["strict-transport-security"],
        "max-age=31536000"
    );
}

#[tokio::test]
async fn style_sheet_alone_is_cached() {
    let console = Console::open().await;
    let mut browser = console.browser();
    let page = browser.get("/console/login").await;
    let style = page
        .body
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let style = browser.get(style).await;
    assert_eq!(style.headers[CONTENT_TYPE], "text/css; charset=utf-8");
    assert_eq!(
        style.headers["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert!(!style.body.contains("url("));
}

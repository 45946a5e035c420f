//! A person goes through the console with Chromium, on a laptop and on a phone. One file, because its checks
//! hold for every page.
//!
//! Run it with `.ci/browser`. It fails on a violation of the content security policy, on any other complaint of
//! the browser, on a serious finding of axe-core, and on a page that is wider than its window.

mod driver;

use std::{fs, future::pending, io};

use clerk_actor_tokens::sandbox::{Fault, Sandbox, SandboxServer};
use clerk_actor_tokens_gateway::{
    Gateway,
    serve::{ServeOptions, Served, middleware, serve},
};
use driver::{Browser, Viewport};
use fantoccini::key::Key;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

const LAPTOP: Viewport = Viewport {
    name: "laptop",
    width: 1280,
    height: 800,
};
const PHONE: Viewport = Viewport {
    name: "phone",
    width: 390,
    height: 844,
};

/// The tokens of two operators.
const OLGA: &str = "gwop_9fT2kLw7vXcB4nQm1sZd8rHy3gPj6aEu";
const VERA: &str = "gwop_1sZd8rHy3gPj6aEu9fT2kLw7vXcB4nQm";

struct World {
    sandbox: Sandbox,
    /// The address of the gateway.
    address: String,
    _api: SandboxServer,
    _folder: TempDir,
    _serving: JoinHandle<io::Result<Served>>,
}

impl World {
    async fn start() -> Self {
        let sandbox = Sandbox::new().quota(9);
        let api = sandbox.spawn().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), sandbox.secret_key().expose()).unwrap();
        let hash = |token| hex::encode(Sha256::digest(token));
        let text = format!(
            r#"
            [clerk]
            api_url = "{api}"
            secret_key = {{ file = "{folder}/key" }}

            [storage]
            database = "{folder}/audit.sqlite"
            anchors = "{folder}/anchors"

            [quota]
            per_month = 20

            [policy]
            version = "2026-11-30"
            lifetime = {{ default = 300, longest = 900 }}
            session = {{ default = 600, longest = 1800 }}
            reason = {{ min_length = 10 }}
            subjects = {{ deny = ["user_ceo"] }}

            [operators.olga]
            token_sha256 = "{olga}"
            actor = "user_olga"
            roles = ["view", "impersonate", "end", "pause"]

            [operators.vera]
            token_sha256 = "{vera}"
            roles = ["view"]
            "#,
            api = api.base_url(),
            folder = folder.path().display(),
            olga = hash(OLGA),
            vera = hash(VERA),
        );
        let gateway = Gateway::open(text.parse().unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let options = ServeOptions::default();
        let router = middleware(gateway.app(), std::time::Duration::from_secs(10));
        let serving = tokio::spawn(serve(listener, router, options, pending::<()>()));
        Self {
            sandbox,
            address,
            _api: api,
            _folder: folder,
            _serving: serving,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn laptop_goes_through_every_page() {
    go_through(LAPTOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phone_goes_through_every_page() {
    go_through(PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn violation_of_the_content_security_policy_is_noticed() {
    let world = World::start().await;
    let browser = Browser::start(LAPTOP).await;
    browser
        .goto(&format!("{}/console/login", world.address))
        .await;
    browser
        .script("document.body.setAttribute('style', 'color: red')")
        .await;
    let complaints = browser.complaints().await;
    let is_violation = |it: &String| it.contains("Content Security Policy");
    assert!(complaints.iter().any(is_violation), "{complaints:?}");
    browser.close().await.unwrap();
}

/// Fills the form of the page, and sends it into a new tab. Returns the tab before.
async fn begin(browser: &Browser, subject: &str, reason: &str) -> fantoccini::wd::WindowHandle {
    browser.fill("#subject", subject).await;
    browser.fill("#reason", reason).await;
    browser
        .click_into_new_tab("form[action='/console/impersonations'] button")
        .await
}

/// Begins an impersonation whose link opens.
async fn begin_well(world: &World, browser: &Browser, subject: &str, reason: &str) {
    browser
        .goto(&format!("{}/console/begin", world.address))
        .await;
    let tab = begin(browser, subject, reason).await;
    browser.sees("accepted").await;
    browser.close_tab(tab).await;
}

/// Asserts that the browser complained about these statuses alone.
async fn expect_complaints(browser: &Browser, statuses: &[u16]) {
    for complaint in browser.complaints().await {
        // The tab of a link shows a page of the sandbox, whose icon is not there.
        let is_icon = complaint.contains("/favicon.ico");
        let is_expected = statuses
            .iter()
            .any(|it| complaint.contains(&format!("responded with a status of {it}")));
        assert!(is_icon || is_expected, "{complaint}");
    }
}

async fn go_through(viewport: Viewport) {
    let world = World::start().await;
    let at = |path: &str| format!("{}/console{path}", world.address);
    let mut browser = Browser::start(viewport).await;

    // Login.
    browser.goto(&at("")).await;
    assert_eq!(browser.url().await, at("/login"));
    browser.check("login").await;
    expect_complaints(&browser, &[]).await;
    browser.fill("#token", "gwop_wrong").await;
    browser.press(Key::Enter).await;
    browser.sees("This token is not valid").await;
    browser.check("login-refused").await;
    expect_complaints(&browser, &[401]).await;

    // By keyboard alone: the skip link is first, and the focus is visible.
    browser.goto(&at("/login")).await;
    browser.press(Key::Tab).await;
    let focused = browser
        .script("return document.activeElement.textContent")
        .await;
    assert_eq!(focused, "Skip to content");
    let top = browser
        .script("return document.activeElement.getBoundingClientRect().top")
        .await;
    assert_eq!(top.as_f64(), Some(0.0), "the skip link is visible");
    for _ in 0..2 {
        browser.press(Key::Tab).await;
    }
    assert_eq!(
        browser.script("return document.activeElement.id").await,
        "token"
    );
    let outline = browser
        .script("return getComputedStyle(document.activeElement).outlineStyle")
        .await;
    assert_eq!(outline, "solid", "the focus is visible");
    browser.type_text(OLGA).await;
    browser.press(Key::Enter).await;
    browser.sees("No live impersonations").await;
    assert_eq!(browser.url().await, at("/impersonations"));
    browser.check("empty").await;

    // The cookie.
    let cookies = browser.cookies().await;
    let cookie = cookies
        .iter()
        .find(|it| it["name"] == "__Host-console")
        .expect("no cookie");
    assert_eq!(
        (&cookie["secure"], &cookie["httpOnly"]),
        (&true.into(), &true.into())
    );
    assert_eq!(cookie["sameSite"], "Strict");
    assert_eq!(browser.script("return document.cookie").await, "");
    expect_complaints(&browser, &[]).await;

    // Begin: refused, and then not.
    browser.click("a[href='/console/begin']").await;
    browser.sees("At least 10 characters").await;
    browser.check("begin").await;
    let tab = begin(&browser, "user_ceo", "Ticket 4711: invoice missing").await;
    browser.sees("This user must not be impersonated").await;
    let kept = browser
        .script("return document.querySelector('#subject').value")
        .await;
    assert_eq!(kept, "user_ceo");
    browser.check("begin-refused").await;
    browser.close_tab(tab).await;
    expect_complaints(&browser, &[403]).await;

    let tab = begin(
        &browser,
        "user_2xK9dLmQ",
        "Ticket 4711: cannot see the invoice of October",
    )
    .await;
    browser.sees("accepted").await;
    let link = browser.url().await;
    assert!(!link.starts_with(&world.address), "{link}");
    assert_eq!(browser.script("return document.referrer").await, "");
    assert_eq!(browser.script("return window.opener === null").await, true);
    assert_eq!(browser.script("return history.length").await, 1);
    browser.picture("opened").await;
    browser.close_tab(tab).await;
    assert_eq!(
        browser.url().await,
        at("/begin"),
        "the console has no entry of the link"
    );
    expect_complaints(&browser, &[]).await;
    assert_eq!(world.sandbox.ledger().minted().len(), 1);
    assert_eq!(
        world.sandbox.ledger().live_sessions().count(),
        1,
        "the browser used the link"
    );

    // The same form again.
    let tab = browser
        .click_into_new_tab("form[action='/console/impersonations'] button")
        .await;
    browser.sees("This form was sent before").await;
    browser.close_tab(tab).await;
    expect_complaints(&browser, &[409]).await;
    assert_eq!(world.sandbox.ledger().minted().len(), 1);

    for (subject, reason) in [
        (
            "user_7hQpR2sV",
            "Ticket 4712: reproduce the error of the export",
        ),
        (
            "user_Zw3nB8yT",
            "Ticket 4716, as agreed by phone with the customer: check why the notification settings are reset after each login, and whether the new client is to blame",
        ),
    ] {
        begin_well(&world, &browser, subject, reason).await;
    }
    browser.goto(&at("/impersonations")).await;
    browser.sees("3 impersonations").await;
    browser.check("impersonations").await;
    browser.scheme("dark").await;
    browser.picture("impersonations-dark").await;
    let (subject, reason) = (
        "user_<script>alert(1)</script>",
        "</td><script>alert(2)</script> \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202e}gpj.exe",
    );
    begin_well(&world, &browser, subject, reason).await;
    browser.goto(&at("/impersonations")).await;
    browser.sees(subject).await;
    browser.check("hostile").await;
    browser.fill("#subject", "user_7hQpR2sV").await;
    browser.click(".filter button").await;
    browser.sees("1 impersonation").await;
    expect_complaints(&browser, &[]).await;

    // End: the link was used, so only the session can end.
    browser.click("td.do a.danger").await;
    browser.sees("End this impersonation?").await;
    browser.check("end").await;
    browser.click("button[value='token']").await;
    browser.sees("a session may be live").await;
    browser.check("end-problem").await;
    browser.click("button[value='session']").await;
    browser.sees("its session has ended").await;
    browser.check("ended").await;
    assert_eq!(world.sandbox.ledger().live_sessions().count(), 3);
    browser.choose("#show", "all").await;
    browser.click(".filter button").await;
    browser.sees("Session ended").await;
    browser.check("all").await;
    expect_complaints(&browser, &[]).await;

    // Open items.
    browser.goto(&at("/open")).await;
    browser.sees("No open items").await;
    world.sandbox.inject(Fault::DisconnectAfter);
    browser.goto(&at("/begin")).await;
    let tab = begin(&browser, "user_Qm5cF1jX", "Ticket 4720: payment failed").await;
    browser
        .sees("It is unknown whether a token was created")
        .await;
    browser.check("begin-unknown").await;
    browser.close_tab(tab).await;
    browser.goto(&at("/open")).await;
    browser.sees("user_Qm5cF1jX").await;
    browser.check("open").await;
    expect_complaints(&browser, &[502]).await;

    // The audit.
    browser.goto(&at("/audit")).await;
    browser.check("audit").await;
    browser.fill("#text", "EXPORT").await;
    browser.click(".filter button.primary").await;
    browser.sees("user_7hQpR2sV").await;
    browser.click("td.do a").await;
    browser.sees("Timeline").await;
    browser.check("call").await;
    browser.goto(&at("/audit?since=yesterday")).await;
    browser.sees("Enter times as").await;
    browser.goto(&at("/audit?text=nothing+like+it")).await;
    browser.sees("Nothing found").await;
    browser.check("audit-empty").await;
    expect_complaints(&browser, &[422]).await;

    // The quota of the sandbox has nine tokens, of which five are used.
    for number in 0..4 {
        begin_well(
            &world,
            &browser,
            &format!("user_more_{number}"),
            "Ticket 4730: a test",
        )
        .await;
    }
    browser.goto(&at("/begin")).await;
    let tab = begin(&browser, "user_too_many", "Ticket 4731: one more").await;
    browser.sees("Nothing was created").await;
    browser.close_tab(tab).await;
    browser.goto(&at("/quota")).await;
    browser.sees("Closed").await;
    browser.check("quota").await;
    browser.click("form[action='/console/quota'] button").await;
    browser.sees("The quota is open").await;
    expect_complaints(&browser, &[402, 403, 422]).await;

    // Pause and resume.
    browser.goto(&at("/pause")).await;
    browser.fill("#reason", "The secret key is rotated").await;
    browser.click("button[value='paused']").await;
    browser.sees("no impersonation can begin").await;
    browser.check("paused").await;
    browser.goto(&at("/begin")).await;
    let tab = begin(&browser, "user_2xK9dLmQ", "Ticket 4711: once more").await;
    browser.sees("An operator has paused the gateway").await;
    browser.close_tab(tab).await;
    browser.goto(&at("/pause")).await;
    browser.click("button[value='resumed']").await;
    browser.sees("Impersonations can begin.").await;
    browser.check("pause").await;
    expect_complaints(&browser, &[503]).await;

    // Sign out: neither the back button nor the cookie shows a page again.
    let private = at("/impersonations");
    browser.goto(&private).await;
    browser.click(".who button").await;
    browser
        .sees("The token that your administrator gave you")
        .await;
    browser.back().await;
    browser
        .sees("The token that your administrator gave you")
        .await;
    assert!(!browser.source().await.contains("user_2xK9dLmQ"));

    // An operator who may only look.
    browser.goto(&at("/login")).await;
    browser.fill("#token", VERA).await;
    browser.press(Key::Enter).await;
    browser.sees("Impersonations").await;
    assert!(!browser.source().await.contains("/console/begin"));
    browser.goto(&at("/begin")).await;
    browser.sees("Not allowed").await;
    browser.check("forbidden").await;
    browser.goto(&at("/no-such-page")).await;
    browser.sees("Not found").await;
    browser.check("not-found").await;
    assert_eq!(browser.title().await, "Not found · Impersonation gateway");
    expect_complaints(&browser, &[403, 404]).await;

    // No page of the console has the ticket of the first link.
    let ticket = link.rsplit(['=', '/']).next().unwrap();
    assert!(ticket.len() > 20, "{link}");
    for path in ["/impersonations?show=all", "/audit", "/open"] {
        browser.goto(&at(path)).await;
        assert!(!browser.source().await.contains(ticket));
    }
    browser.close().await.unwrap();
}

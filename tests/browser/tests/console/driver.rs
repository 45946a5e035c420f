//! Chromium, driven by WebDriver: the actions of a person, and the complaints of the browser.

use std::{env, fmt::Debug, fs, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
    error::CmdError,
    key::Key,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(15);

/// A size of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewport {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

pub(crate) struct Browser {
    client: Client,
    viewport: Viewport,
    axe: String,
    pictures: u32,
    _driver: Child,
}

/// A command that the protocol has not, but Chromium's driver.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts a driver and a browser.
    pub(crate) async fn start(viewport: Viewport) -> Self {
        let axe = env::var("AXE").expect("AXE is not set: run .ci/browser");
        let axe = fs::read_to_string(axe).expect("could not read axe-core");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("no chromedriver: run .ci/browser");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let metrics = json!({
            "width": viewport.width, "height": viewport.height, "pixelRatio": 1.0, "mobile": true, "touch": false,
        });
        // `no-sandbox` because containers run tests as root.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &format!("--window-size={},{}", viewport.width, viewport.height),
        ];
        let mut options =
            json!({ "args": arguments, "excludeSwitches": ["disable-popup-blocking"] });
        if viewport.width < 500 {
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("could not start Chromium");
        Self {
            client,
            viewport,
            axe,
            pictures: 0,
            _driver: driver,
        }
    }

    async fn vendor(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Vendor { path, body }).await.unwrap()
    }

    /// Sends a command of Chromium's own protocol.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.vendor(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
        .await
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn url(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    pub(crate) async fn title(&self) -> String {
        self.client.title().await.unwrap()
    }

    pub(crate) async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }

    /// Goes back, and waits until that page is there.
    pub(crate) async fn back(&self) {
        self.script("window.isLeft = true").await;
        self.client.back().await.unwrap();
        self.next_page().await;
    }

    /// Waits until the page that was marked as left is gone, and the next one is there.
    async fn next_page(&self) {
        let script = "return !window.isLeft && document.readyState == 'complete'";
        let poll = async {
            // A script fails while the page changes.
            while !matches!(
                self.client.execute(script, Vec::new()).await,
                Ok(Value::Bool(true))
            ) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, poll)
            .await
            .expect("the next page is not there");
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Returns the text of the page.
    pub(crate) async fn text(&self) -> String {
        self.script("return document.body.innerText")
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until the page has this text.
    pub(crate) async fn sees(&self, text: &str) {
        let poll = async {
            while !self.text().await.contains(text) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(LIMIT, poll).await.is_err() {
            panic!(
                "no {text:?} at {}:\n{}",
                self.url().await,
                self.text().await
            );
        }
    }

    async fn find(&self, css: &str) -> Element {
        let found = self.client.find(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!(
                "{css} at {}: {error}\n{}",
                self.url().await,
                self.text().await
            ),
        }
    }

    /// Clicks, and waits for the page that follows in this tab.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.script("window.isLeft = true").await;
        element.click().await.unwrap();
        self.next_page().await;
    }

    /// Replaces the text of a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    pub(crate) async fn choose(&self, css: &str, value: &str) {
        self.find(css).await.select_by_value(value).await.unwrap();
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: Key) {
        self.type_text(&char::from(key).to_string()).await;
    }

    pub(crate) async fn type_text(&self, text: &str) {
        let keys = text
            .chars()
            .fold(KeyActions::new("keyboard".into()), |keys, value| {
                keys.then(KeyAction::Down { value })
                    .then(KeyAction::Up { value })
            });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Clicks on what opens a tab, and turns to that tab. Returns the one before.
    pub(crate) async fn click_into_new_tab(&self, css: &str) -> fantoccini::wd::WindowHandle {
        let (old, before) = (
            self.client.window().await.unwrap(),
            self.client.windows().await.unwrap(),
        );
        self.find(css).await.click().await.unwrap();
        let poll = async {
            loop {
                let windows = self.client.windows().await.unwrap();
                if let Some(new) = windows.into_iter().find(|it| !before.contains(it)) {
                    break new;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let new = timeout(LIMIT, poll).await.expect("no new tab");
        self.client.switch_to_window(new).await.unwrap();
        old
    }

    /// Closes the tab and turns to another one.
    pub(crate) async fn close_tab(&self, back_to: fantoccini::wd::WindowHandle) {
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(back_to).await.unwrap();
    }

    pub(crate) async fn cookies(&self) -> Vec<Value> {
        let cookies = self.cdp("Network.getCookies", json!({})).await;
        cookies["cookies"].as_array().unwrap().clone()
    }

    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// Checks the page with axe-core in both colour schemes, and takes a screenshot of the light one.
    pub(crate) async fn check(&mut self, name: &str) {
        for scheme in ["dark", "light"] {
            self.scheme(scheme).await;
            self.check_accessibility(scheme).await;
            self.check_layout().await;
        }
        self.picture(name).await;
    }

    /// Fails on serious and critical findings.
    async fn check_accessibility(&self, scheme: &str) {
        self.script(&self.axe).await;
        let run = "
            const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then(
                it => done(it.violations.map(v => [v.impact, v.id, v.help, v.nodes.map(n => n.html + ' ' + n.failureSummary)])),
                error => done([['critical', String(error)]]));";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        let found = found.as_array().unwrap();
        let serious: Vec<_> = found
            .iter()
            .filter(|it| it[0] == "serious" || it[0] == "critical")
            .collect();
        assert!(
            serious.is_empty(),
            "{scheme} {}: {serious:#?}",
            self.url().await
        );
        for finding in found {
            eprintln!("{scheme} {}: {finding}", self.url().await);
        }
    }

    /// Fails if the page is wider than the window.
    async fn check_layout(&self) {
        let width = self
            .script("return document.documentElement.scrollWidth")
            .await;
        let width = width.as_u64().unwrap();
        assert!(
            width <= self.viewport.width.into(),
            "{} is {width} wide",
            self.url().await
        );
    }

    /// Takes a screenshot of the whole page.
    pub(crate) async fn picture(&mut self, name: &str) {
        self.pictures += 1;
        let shot = self
            .cdp(
                "Page.captureScreenshot",
                json!({ "captureBeyondViewport": true }),
            )
            .await;
        let png = BASE64_STANDARD
            .decode(shot["data"].as_str().unwrap())
            .unwrap();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let file = format!("{}-{:02}-{name}.png", self.viewport.name, self.pictures);
        fs::write(folder.join(file), png).unwrap();
    }

    /// Returns the messages in the console of the browser: errors, warnings, violations of the policy.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.vendor("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|it| format!("{} {}", it["level"], it["message"]))
            .collect()
    }

    pub(crate) async fn close(self) -> Result<(), CmdError> {
        self.client.close().await
    }
}

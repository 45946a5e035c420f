//! A client that the environment configures. Every case runs in a separate process.

use std::{convert::Infallible, env, process::Command};

use clerk_actor_tokens::{Body, Client, ClientBuilder, ConfigError, OperationKind};
use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt};

const KEY: (&str, &str) = ("CLERK_SECRET_KEY", "sk_test_marker");
const URL: &str = "CLERK_API_URL";
const VERSION: &str = "CLERK_API_VERSION";

/// Returns the URL and the API version of a client's requests in this environment.
async fn configured() -> Result<String, ConfigError> {
    Client::from_env()?;
    let builder = ClientBuilder::from_env()?;
    let service = ServiceBuilder::new()
        .layer(builder.base_uri_layer())
        .layer(builder.api_headers_layer())
        .service_fn(|request: Request<Body>| async move {
            let version = request.headers()["clerk-api-version"].to_str().unwrap();
            let shown = format!("{} {version}", request.uri());
            Ok::<_, Infallible>(Response::new(shown))
        });
    let mut shown = Vec::new();
    for (kind, path) in [
        (OperationKind::Create, "/actor_tokens"),
        (OperationKind::Revoke, "/actor_tokens/act_1/revoke"),
    ] {
        let request = Request::post(path).body(Body::new(kind, "")).unwrap();
        let sent = service.clone().oneshot(request).await.unwrap().into_body();
        shown.push(sent.replace(path, ""));
    }
    assert_eq!(shown[0], shown[1]);
    Ok(shown.remove(0))
}

#[tokio::test]
#[ignore = "other tests run it in its own process"]
async fn client_of_this_environment() {
    let shown = configured().await.unwrap_or_else(|error| error.to_string());
    println!("\nshown: {shown}");
}

/// Returns the output of [`configured`] in this environment.
fn in_environment<const N: usize>(variables: [(&str, &str); N]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    for name in [KEY.0, URL, VERSION] {
        command.env_remove(name);
    }
    let command = command
        .envs(variables)
        .args(["--ignored", "--exact", "--nocapture"]);
    let output = command.arg("client_of_this_environment").output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let mut lines = output.lines();
    let shown = lines.find_map(|line| line.strip_prefix("shown: "));
    let shown = shown.unwrap_or_else(|| panic!("{output}"));
    assert!(!shown.contains("marker"), "{shown}");
    shown.to_owned()
}

#[test]
fn version_is_the_path_of_a_base_url_without_one() {
    for (url, version, shown) in [
        ("", "v1", "https://api.clerk.com/v1 2026-05-12"),
        ("", "v2", "https://api.clerk.com/v2 2026-05-12"),
        (
            "https://gate.example",
            "v1",
            "https://gate.example/v1 2026-05-12",
        ),
        (
            "https://gate.example/",
            "v12",
            "https://gate.example/v12 2026-05-12",
        ),
        (
            "https://gate.example/v2",
            "v2",
            "https://gate.example/v2 2026-05-12",
        ),
        ("https://v1", "v2", "https://v1/v2 2026-05-12"),
        (
            "http://127.0.0.1:8080",
            "v2",
            "http://127.0.0.1:8080/v2 2026-05-12",
        ),
    ] {
        assert_eq!(in_environment([KEY, (URL, url), (VERSION, version)]), shown);
    }
}

#[test]
fn version_that_is_another_path_is_refused() {
    for (url, version) in [
        ("https://gate.example/api", "v1"),
        ("https://gate.example/api/v1", "v1"),
        ("https://api.clerk.com/v1", "v2"),
        ("https://api.clerk.com/v1/", "v11"),
    ] {
        assert_eq!(
            in_environment([KEY, (URL, url), (VERSION, version)]),
            "CLERK_API_VERSION is not the path of CLERK_API_URL: set one of the two"
        );
    }
}

#[test]
fn version_that_is_a_date_is_the_header() {
    for (url, shown) in [
        ("", "https://api.clerk.com/v1 2025-11-10"),
        (
            "https://gate.example/api",
            "https://gate.example/api 2025-11-10",
        ),
    ] {
        assert_eq!(
            in_environment([KEY, (URL, url), (VERSION, "2025-11-10")]),
            shown
        );
    }
}

#[test]
fn version_that_is_neither_a_path_nor_a_date_is_refused() {
    for version in [
        "marker",
        "v",
        "V1",
        "1",
        "v1.0",
        "v1/",
        "/v1",
        " v1",
        "vv1",
        "2025-11-1",
        "v²",
    ] {
        assert_eq!(
            in_environment([KEY, (VERSION, version)]),
            "CLERK_API_VERSION: an API version is a date like 2026-05-12, or the path of the API, like v1",
            "{version}"
        );
    }
}

#[test]
fn empty_variable_counts_as_not_set() {
    let default = "https://api.clerk.com/v1 2026-05-12";
    assert_eq!(in_environment([KEY]), default);
    assert_eq!(in_environment([KEY, (URL, ""), (VERSION, "")]), default);
    for variables in [&[][..], &[(KEY.0, "")]] {
        let shown = match variables {
            [] => in_environment([]),
            [key, ..] => in_environment([*key]),
        };
        assert_eq!(
            shown,
            "the environment variable CLERK_SECRET_KEY is not set"
        );
    }
}

#[test]
fn invalid_value_is_an_error_that_does_not_repeat_it() {
    let shown = in_environment([(KEY.0, "pk_test_marker")]);
    assert!(
        shown.starts_with("CLERK_SECRET_KEY: this is a publishable key"),
        "{shown}"
    );
    let shown = in_environment([KEY, (URL, "http://marker.example")]);
    assert!(
        shown.starts_with("CLERK_API_URL: the base URL must start with"),
        "{shown}"
    );
}

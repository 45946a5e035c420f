//! The dashboard queries exactly the metrics that the exporter has. Those of the policy layers and of the
//! gateway are checked in `crates/gateway/tests/operations.rs`.

use std::collections::BTreeSet;

use clerk_actor_tokens::{describe_metrics, sandbox::Sandbox};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder, with_local_recorder,
};
use observability::{Desk, Scene, Telemetry};
use serde_json::Value;

fn dashboard() -> Value {
    let json = include_str!("../../../docs/dashboard.json");
    serde_json::from_str(json).expect("JSON")
}

/// Collects every value in `json` under this key, at any depth.
fn under<'a>(json: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                under(value, key, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| under(value, key, found)),
        _ => {}
    }
}

fn texts(json: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    under(json, key, &mut found);
    let texts = found.into_iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Returns the names in an expression outside of quotes: metrics, labels and functions.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    let outside = expression.split('"').step_by(2);
    outside
        .flat_map(|part| part.split(|it: char| !it.is_ascii_alphanumeric() && it != '_'))
        .filter(|word| !word.is_empty())
}

/// Returns the expressions over the metrics of the client.
fn expressions() -> Vec<String> {
    let mut expressions = texts(&dashboard(), "expr");
    let others = ["clerk_actor_tokens_policy_", "clerk_actor_tokens_gateway_"];
    expressions.retain(|it| !others.iter().any(|other| it.contains(other)));
    expressions
}

fn queried_metrics() -> BTreeSet<String> {
    let expressions = expressions();
    let words = expressions.iter().flat_map(|it| words(it));
    let is_metric = |word: &&str| word.starts_with("clerk_") || word.starts_with("http_client_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Returns the text that Prometheus scrapes after all scenes.
async fn scrape() -> String {
    let (telemetry, _, recorder) = Telemetry::new().unwrap();
    let _guard = set_default_local_recorder(&recorder);
    describe_metrics();
    let desk = Desk::new(Sandbox::new().quota(7)).unwrap();
    for scene in Scene::ALL {
        // The metrics show the result.
        let _ = desk.play(scene).await;
    }
    telemetry.scrape()
}

/// Returns the name of each sample, and its labels.
fn samples(scrape: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (sample, _) = line.rsplit_once(' ')?;
        Some(sample.split_once('{').unwrap_or((sample, "")))
    })
}

#[tokio::test(start_paused = true)]
async fn every_queried_metric_is_exported() {
    let scrape = scrape().await;
    let exported: BTreeSet<_> = samples(&scrape).map(|(name, _)| name.to_owned()).collect();
    let queried = queried_metrics();
    assert!(!queried.is_empty());
    assert!(
        queried.is_subset(&exported),
        "{:?}",
        queried.difference(&exported)
    );
}

#[tokio::test(start_paused = true)]
async fn every_label_of_a_group_is_exported() {
    let scrape = scrape().await;
    for expression in expressions() {
        let metric = words(&expression)
            .find(|word| word.starts_with("clerk_") || word.starts_with("http_client_"))
            .unwrap();
        for part in expression.split(" by (").skip(1) {
            let (labels, _) = part.split_once(')').unwrap();
            for label in labels.split(", ") {
                let exported = samples(&scrape)
                    .filter(|(name, _)| *name == metric)
                    .any(|(_, labels)| labels.contains(&format!("{label}=")));
                assert!(exported, "{label} of {metric}");
            }
        }
    }
}

#[test]
fn every_described_metric_is_queried() {
    /// The names of all metrics that are described.
    struct Names(std::sync::Mutex<Vec<String>>);

    impl Names {
        fn add(&self, name: &KeyName) {
            self.0.lock().unwrap().push(name.as_str().replace('.', "_"));
        }
    }

    impl Recorder for Names {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.add(&name);
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.add(&name);
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.add(&name);
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let names = Names(std::sync::Mutex::default());
    with_local_recorder(&names, describe_metrics);
    let described = names.0.into_inner().unwrap();
    assert!(!described.is_empty());
    let shown = queried_metrics();
    for name in described {
        let of_histogram = format!("{name}_bucket");
        assert!(
            shown.contains(&name) || shown.contains(&of_histogram),
            "{name}"
        );
    }
}

#[test]
fn every_panel_queries_the_chosen_data_source() {
    let dashboard = dashboard();
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    assert_eq!(dashboard["templating"]["list"][0]["query"], "prometheus");
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let uids = texts(panel, "uid");
        assert!(!uids.is_empty() && uids.iter().all(|uid| uid == "${datasource}"));
    }
    let ids: BTreeSet<_> = panels.iter().map(|it| it["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
}

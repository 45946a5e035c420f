//! Metrics by name.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, Snapshotter};

/// The value of each metric by its name and labels, or all values of a histogram.
pub(crate) type Measured = BTreeMap<String, Vec<f64>>;

/// Returns the metrics since the last snapshot whose name begins with `prefix`, without it.
pub(crate) fn measured(snapshotter: &Snapshotter, prefix: &str) -> Measured {
    let mut all = Measured::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let Some(name) = key.name().strip_prefix(prefix) else {
            continue;
        };
        let labels = key.labels();
        let labels = labels.map(|label| format!(" {}={}", label.key(), label.value()));
        let mut labels: Vec<_> = labels.collect();
        labels.sort();
        let values = match value {
            DebugValue::Counter(value) => vec![value as f64],
            DebugValue::Gauge(value) => vec![value.into_inner()],
            DebugValue::Histogram(values) => values.into_iter().map(f64::from).collect(),
        };
        let name = name.to_owned() + &labels.concat();
        all.insert(name.trim_start().to_owned(), values);
    }
    all
}

//! [`Telemetry`], the receiver of spans and metrics.

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Subscriber;
use tracing_subscriber::{Registry, layer::SubscriberExt};

/// Seconds, as OpenTelemetry advises for `http.client.request.duration`.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The receiver of spans and metrics. An application has an OTLP exporter here, and a port to scrape.
pub struct Telemetry {
    exporter: InMemorySpanExporter,
    prometheus: PrometheusHandle,
    // Dropping it ends the export.
    _provider: SdkTracerProvider,
}

impl Telemetry {
    /// Returns the telemetry, with the subscriber and the recorder that feed it.
    pub fn new() -> Result<
        (
            Self,
            impl Subscriber + Send + Sync + 'static,
            PrometheusRecorder,
        ),
        BuildError,
    > {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        // Locations and threads would only repeat themselves here.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("observability"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let subscriber = Registry::default().with(layer);

        // Without buckets the exporter makes quantiles, which cannot be added up across processes.
        let duration = Matcher::Full("http.client.request.duration".into());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(duration, &BUCKETS)?
            .build_recorder();

        let telemetry = Self {
            exporter,
            prometheus: recorder.handle(),
            _provider: provider,
        };
        Ok((telemetry, subscriber, recorder))
    }

    /// Returns the spans that have ended, in the order in which they began.
    pub fn spans(&self) -> Vec<SpanData> {
        let mut spans = self.exporter.get_finished_spans().unwrap_or_default();
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// Returns the text that Prometheus would scrape.
    pub fn scrape(&self) -> String {
        self.prometheus.render()
    }
}

//! `GET /metrics`: what has been asked and how long it took, as Prometheus reads it.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
    /// Rows that were scored, completed, drawn or classified.
    pub(crate) rows: Counter<u64, AtomicU64>,
    /// Requests that wait or are worked on.
    pub(crate) queue: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("chainrule");
        let requests = Family::default();
        // From half a millisecond to half a minute.
        let seconds: Family<Route, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(5e-4, 2.0, 17)));
        let (rows, queue) = (Counter::default(), Gauge::default());
        registry.register("requests", "Answers by route and status", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("rows", "Rows in answers", rows.clone());
        registry.register("queue", "Requests that wait or are worked on", queue.clone());
        Self { registry, requests, seconds, rows, queue }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.requests.get_or_create(&Answered { route: route.clone(), status }).inc();
        self.seconds.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // A string takes all that is written.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

//! Metrics as Prometheus reads them: families of samples, and the text format 0.0.4 of them.
//!
//! The numbers come from a snapshot that somebody else counted, so there is no registry here and nothing that is
//! incremented. The text is made by the crate `prometheus`, whose data model stands for itself; `prometheus-client`
//! writes OpenMetrics alone, where the name of a counter's family lacks the `_total` of its samples, and `promtool check
//! metrics` takes those for samples without HELP and TYPE.
//!
//! **Architecture invariant:** pure. The same families give the same text, in the order in which they were added.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// A label and its value.
pub type Label<'a> = (&'static str, &'a str);

/// The families of one exposition.
#[derive(Debug, Default)]
pub struct Families(Vec<MetricFamily>);

impl Families {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Begins a family of counters, which only grow. `name` ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.begin(name, help, MetricType::COUNTER)
    }

    /// Begins a family of gauges, which go up and down.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.begin(name, help, MetricType::GAUGE)
    }

    /// Begins a family of histograms.
    pub fn histogram(&mut self, name: &str, help: &str) -> HistogramFamily<'_> {
        HistogramFamily(self.begin(name, help, MetricType::HISTOGRAM).0)
    }

    fn begin(&mut self, name: &str, help: &str, kind: MetricType) -> Family<'_> {
        debug_assert!(
            self.0.iter().all(|family| family.name() != name),
            "{name} twice"
        );
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        self.0.push(family);
        let last = self.0.len() - 1;
        Family(&mut self.0[last])
    }

    /// How a page for readers disagrees with these families: its rows that begin with a name of this prefix, against theirs.
    /// Empty where it does not.
    #[must_use]
    pub fn disagreements(&self, page: &str, prefix: &str) -> Vec<String> {
        let begins = format!("| `{prefix}");
        let written: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with(&begins))
            .map(|line| line.splitn(5, '|').take(4).collect::<Vec<_>>().join("|"))
            .collect();
        let real: BTreeSet<String> = self.describe().map(|family| family.row()).collect();
        let missing = real
            .difference(&written)
            .map(|row| format!("missing: {row}"));
        let invented = written
            .difference(&real)
            .map(|row| format!("invented: {row}"));
        missing.chain(invented).collect()
    }

    /// Name, type, labels and help of each family that has a sample.
    pub fn describe(&self) -> impl Iterator<Item = Description> {
        let described = self
            .0
            .iter()
            .filter(|family| !family.get_metric().is_empty());
        described.map(|family| Description {
            name: family.name().to_owned(),
            kind: format!("{:?}", family.get_field_type()).to_lowercase(),
            labels: family.get_metric()[0]
                .get_label()
                .iter()
                .map(|label| label.name().to_owned())
                .collect(),
            help: family.help().to_owned(),
        })
    }

    /// The text that Prometheus reads. A family without a sample does not stand in it.
    #[must_use]
    pub fn text(mut self) -> String {
        self.0.retain(|family| !family.get_metric().is_empty());
        let mut text = String::new();
        let encoded = TextEncoder::new().encode_utf8(&self.0, &mut text);
        // It fails for a family without a name or a sample.
        debug_assert!(encoded.is_ok(), "{encoded:?}");
        text
    }
}

/// What a family is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// The labels of its samples.
    pub labels: Vec<String>,
    /// What it counts, in words.
    pub help: String,
}

impl Description {
    /// The first cells of its row in a table for readers: name, type, labels.
    #[must_use]
    pub fn row(&self) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = match labels.join(", ") {
            none if none.is_empty() => "-".to_owned(),
            some => some,
        };
        format!("| `{}` | {} | {labels} ", self.name, self.kind)
    }
}

/// A family of counters or gauges that is being filled.
#[derive(Debug)]
pub struct Family<'a>(&'a mut MetricFamily);

impl Family<'_> {
    /// Adds the sample of these labels; all samples of a family have the same ones.
    pub fn sample(&mut self, labels: &[Label<'_>], value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// The same for a count. Exact up to 2^53, as everything in Prometheus.
    pub fn count(&mut self, labels: &[Label<'_>], count: u64) {
        self.sample(labels, count as f64);
    }
}

/// A family of histograms that is being filled.
#[derive(Debug)]
pub struct HistogramFamily<'a>(&'a mut MetricFamily);

impl HistogramFamily<'_> {
    /// Adds the histogram of these labels.
    pub fn sample(&mut self, labels: &[Label<'_>], buckets: &Buckets) {
        let mut histogram = Histogram::default();
        let cumulative = buckets.cumulative.iter().map(|&(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        histogram.set_bucket(cumulative.collect());
        histogram.set_sample_count(buckets.count);
        histogram.set_sample_sum(buckets.sum);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }
}

/// A histogram as Prometheus has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, ascending, and how many measurements are not larger. `+Inf` is [`Buckets::count`] and does not stand
    /// here.
    pub cumulative: Vec<(f64, u64)>,
    /// All measurements.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    let pair = |&(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Families};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut families = Families::new();
        let mut turns = families.counter("a_total", "Turns,\\nby outcome.");
        turns.count(&[("outcome", "answered")], 3);
        turns.count(&[("outcome", "a \"b\" \\c\n")], 1 << 53);
        families.gauge("nothing", "A family without a sample.");
        families.gauge("b_ratio", "A share.").sample(&[], 0.25);
        let buckets = Buckets {
            cumulative: vec![(0.000_05, 1), (2.5, 2)],
            count: 4,
            sum: 7.5,
        };
        families
            .histogram("c_seconds", "Times.")
            .sample(&[("side", "online")], &buckets);
        let described: Vec<_> = families.describe().map(|family| family.name).collect();
        assert_eq!(described, ["a_total", "b_ratio", "c_seconds"]);
        let expected = [
            r"# HELP a_total Turns,\\nby outcome.",
            "# TYPE a_total counter",
            r#"a_total{outcome="answered"} 3"#,
            r#"a_total{outcome="a \"b\" \\c\n"} 9007199254740992"#,
            "# HELP b_ratio A share.",
            "# TYPE b_ratio gauge",
            "b_ratio 0.25",
            "# HELP c_seconds Times.",
            "# TYPE c_seconds histogram",
            r#"c_seconds_bucket{side="online",le="0.00005"} 1"#,
            r#"c_seconds_bucket{side="online",le="2.5"} 2"#,
            r#"c_seconds_bucket{side="online",le="+Inf"} 4"#,
            r#"c_seconds_sum{side="online"} 7.5"#,
            r#"c_seconds_count{side="online"} 4"#,
            "",
        ];
        assert_eq!(families.text(), expected.join("\n"));
    }
}

//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::{self, Write};

use units::latency::BOUNDS_MICROS;

use crate::model::Histogram;

/// What a family counts.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Only rises, and starts again at zero with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

/// A sample's value.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    /// As it is.
    Count(u64),
    /// Microseconds, written as seconds.
    Micros(u64),
}

impl From<bool> for Number {
    fn from(flag: bool) -> Number {
        Number::Count(u64::from(flag))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = match *self {
            Number::Count(count) => return count.fmt(formatter),
            Number::Micros(micros) => micros,
        };
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        if rest == 0 {
            return seconds.fmt(formatter);
        }
        let fraction = format!("{rest:06}");
        write!(formatter, "{seconds}.{}", fraction.trim_end_matches('0'))
    }
}

/// A label's name and value.
pub(crate) type Label<'a> = (&'static str, &'a str);

/// A family: the end of its name, what it counts, its help, and a thing's value (`None`: no sample).
pub(crate) type Family<T> = (&'static str, Kind, &'static str, fn(&T) -> Option<Number>);

/// Families one after the other.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    /// Begins a family; its samples must follow before the next begins.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample of the family begun last.
    pub(crate) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: Number) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            push_escaped(&mut self.0, text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    /// Whole families, `prefix` before each name, a sample for each of `things`.
    pub(crate) fn families<T>(&mut self, prefix: &str, families: &[Family<T>], things: &[(Vec<Label<'_>>, &T)]) {
        for (suffix, kind, help, value) in families {
            let name = format!("{prefix}{suffix}");
            self.family(&name, *kind, help);
            for (labels, thing) in things {
                if let Some(value) = value(thing) {
                    self.sample(&name, labels, value);
                }
            }
        }
    }

    /// A whole family with one more label, which tells a thing's values apart.
    pub(crate) fn family_by<'a, T>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        things: &[(Vec<Label<'a>>, &'a T)],
        label: &'static str,
        values: impl Fn(&'a T) -> Vec<(&'a str, Number)>,
    ) {
        self.family(name, kind, help);
        for (labels, thing) in things {
            for (text, value) in values(thing) {
                let mut labels = labels.clone();
                labels.push((label, text));
                self.sample(name, &labels, value);
            }
        }
    }

    /// A whole family of histograms, in seconds.
    pub(crate) fn histograms<T>(
        &mut self,
        name: &str,
        help: &str,
        things: &[(Vec<Label<'_>>, &T)],
        histogram: fn(&T) -> &Histogram,
    ) {
        self.family(name, Kind::Histogram, help);
        for (labels, thing) in things {
            self.histogram(name, labels, histogram(thing));
        }
    }

    /// A whole family of histograms with bounds of its own, in microseconds: counts by bucket and their sum.
    pub(crate) fn histogram_by<T>(
        &mut self,
        name: &str,
        help: &str,
        bounds: &[u64],
        things: &[(Vec<Label<'_>>, &T)],
        values: fn(&T) -> (&[u64], u64),
    ) {
        self.family(name, Kind::Histogram, help);
        for (labels, thing) in things {
            let (counts, sum_us) = values(thing);
            self.buckets(name, labels, bounds, counts, sum_us);
        }
    }

    /// The text so far.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn histogram(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        self.buckets(name, labels, &BOUNDS_MICROS, &histogram.counts, histogram.sum_us);
    }

    fn buckets(&mut self, name: &str, labels: &[Label<'_>], bounds: &[u64], counts: &[u64], sum_us: u64) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (index, &bound) in bounds.iter().enumerate() {
            below += counts.get(index).copied().unwrap_or_default();
            let bound = Number::Micros(bound).to_string();
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&bucket, &labels, Number::Count(below));
        }
        let count = Number::Count(counts.iter().sum());
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), count);
        self.sample(&format!("{name}_sum"), labels, Number::Micros(sum_us));
        self.sample(&format!("{name}_count"), labels, count);
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes all that is written");
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_hold_anything() {
        let mut text = Text::default();
        text.sample("m", &[("a", "C:\\x \"q\"\nz"), ("b", "é{}")], Number::Count(7));
        assert_eq!(text.finish(), "m{a=\"C:\\\\x \\\"q\\\"\\nz\",b=\"é{}\"} 7\n");
    }

    #[test]
    fn microseconds_are_written_as_seconds() {
        let written = [0, 1, 100, 2_500, 1_000_000, 12_340_000].map(|micros| Number::Micros(micros).to_string());
        assert_eq!(written, ["0", "0.000001", "0.0001", "0.0025", "1", "12.34"]);
    }

    #[test]
    fn buckets_add_up() {
        let mut text = Text::default();
        let mut histogram = Histogram { sum_us: 70_000_000, ..Histogram::default() };
        histogram.counts[0] = 2;
        histogram.counts[1] = 3;
        histogram.counts[18] = 1;
        text.histogram("h", &[("b", "x")], &histogram);
        let text = text.finish();
        assert!(text.starts_with("h_bucket{b=\"x\",le=\"0.0001\"} 2\nh_bucket{b=\"x\",le=\"0.00025\"} 5\n"));
        assert!(text.contains("h_bucket{b=\"x\",le=\"60\"} 5\nh_bucket{b=\"x\",le=\"+Inf\"} 6\n"));
        assert!(text.ends_with("h_sum{b=\"x\"} 70\nh_count{b=\"x\"} 6\n"));
    }

    #[test]
    fn a_histogram_of_another_version_is_still_whole() {
        let mut text = Text::default();
        text.histogram("h", &[], &Histogram { counts: vec![4], sum_us: 1 });
        assert!(text.finish().contains("h_bucket{le=\"60\"} 4\nh_bucket{le=\"+Inf\"} 4\n"));
    }
}

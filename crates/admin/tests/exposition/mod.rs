//! A strict reader of Prometheus' text format: it panics at what Prometheus would refuse or warn of.

use std::collections::BTreeMap;

/// A family by its name.
pub(crate) struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    /// By name and labels, as they were written.
    pub(crate) samples: BTreeMap<String, f64>,
}

/// The families of a scrape.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line must end");
    let mut families = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let help = help.strip_prefix("# HELP ").unwrap_or_else(|| panic!("a family begins with HELP: {help}"));
        let (name, help) = help.split_once(' ').expect("HELP has a text");
        assert!(is_name(name) && !help.is_empty(), "{name}");
        let declared = lines.next().unwrap();
        let kind = declared.strip_prefix(&format!("# TYPE {name} ")).unwrap_or_else(|| panic!("{declared}"));
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{declared}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let mut family = Family { kind: kind.to_owned(), samples: BTreeMap::new() };
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            check_series(name, kind, series);
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(family.samples.insert(series.to_owned(), value).is_none(), "{series} appears twice");
        }
        if kind == "histogram" {
            check_histogram(name, &family);
        }
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} appears twice");
    }
    families
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn check_series(name: &str, kind: &str, series: &str) {
    let (sample, labels) = series.split_once('{').map_or((series, ""), |(sample, rest)| {
        (sample, rest.strip_suffix('}').unwrap_or_else(|| panic!("labels must close: {series}")))
    });
    let ends: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(ends.iter().any(|end| sample == format!("{name}{end}")), "{series} is not of {name}");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
        assert!(is_name(label), "{series}");
        let end = end_of_value(value).unwrap_or_else(|| panic!("a value must close: {series}"));
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn end_of_value(value: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in value.char_indices() {
        match character {
            '\\' | '"' | 'n' if escaped => escaped = false,
            _ if escaped => return None,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Buckets of one series rise, and the last is its count.
fn check_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, &value) in &family.samples {
        if let Some(labels) = sample.strip_prefix(&format!("{name}_bucket{{")) {
            let (others, bound) = labels.strip_suffix("\"}").unwrap().rsplit_once("le=\"").unwrap();
            let others = others.trim_end_matches(',');
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            series.entry(others.to_owned()).or_default().push((bound, value));
        }
    }
    assert!(!series.is_empty(), "{name}");
    for (labels, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Lateness of adverts has bounds of its own.
        let count = match name {
            "perron_failover_lateness_seconds" => 13,
            "perron_frontend_held_seconds" => 18,
            _ => 19,
        };
        assert_eq!(buckets.len(), count, "{name} {labels}");
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels}");
        assert_eq!(buckets[count - 1].0, f64::INFINITY);
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        assert_eq!(buckets[count - 1].1, family.samples[&format!("{name}_count{labels}")], "{name} {labels}");
        assert!(family.samples.contains_key(&format!("{name}_sum{labels}")));
    }
}

//! The applications that the service runs.

use super::Labelled;
use super::text::Kind::{Counter, Gauge};
use super::text::Number::Count;
use super::text::{Family, Text};
use crate::model::Application;

const APPLICATION: &[Family<Application>] = &[
    ("processes", Gauge, "Processes that there are.", |a| Some(Count(a.processes))),
    ("wanted", Gauge, "Processes that there should be.", |a| Some(Count(a.wanted))),
    ("restarts_total", Counter, "Processes started in the place of ones that had ended.", |a| Some(Count(a.restarts))),
    ("since_seconds", Gauge, "Since when it has been run as it is configured, in seconds since 1970.", |a| {
        Some(Count(a.since_unix))
    }),
];

/// The families of applications; samples only where there are any.
pub(super) fn render(text: &mut Text, applications: &[Application]) {
    let applications: Labelled<'_, Application> =
        applications.iter().map(|one| (vec![("application", one.name.as_str())], one)).collect();
    text.families("perron_application_", APPLICATION, &applications);
}

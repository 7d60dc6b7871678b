//! How busy each origin's link was over time, as a picture: a band for each link, the directors' programs one above the other.

use std::fmt::Write as _;
use std::time::Duration;

use super::run::Storm;
use super::site::ORIGINS;

/// Lengths in pixels.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const BAND: f64 = 26.0;
const GAP: f64 = 6.0;
const HEADING: f64 = 34.0;
const FOOT: f64 = 34.0;

/// A point for each of these.
const STEP: Duration = Duration::from_millis(500);

/// Colours that are read on white and on black.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#59636e}.head{font-weight:600;fill:#1f2328}.track{fill:#8c959f;fill-opacity:.16}\
.first{fill:#0a7d5a}.other{fill:#bc6c00}.axis{stroke:#8c959f;stroke-width:1}\
@media(prefers-color-scheme:dark){text{fill:#9198a1}.head{fill:#f0f6fc}.first{fill:#2fbf8f}.other{fill:#e3a04a}}";

/// The chart of some storms, on one scale of time.
pub(crate) fn svg(storms: &[&Storm]) -> String {
    let panel = HEADING + ORIGINS.len() as f64 * (BAND + GAP);
    let height = panel * storms.len() as f64 + FOOT;
    let longest = storms.iter().map(|storm| storm.last_file()).max().unwrap_or_default().as_secs_f64().max(1.0);
    let across = (WIDTH - LEFT - RIGHT) / longest;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>How busy each origin's link was</title>\n<style>{STYLE}</style>\n"
    );
    for (place, storm) in storms.iter().enumerate() {
        let top = panel * place as f64;
        let class = if place == 0 { "first" } else { "other" };
        let share = storm.busy_share() * 100.0;
        let title = storm.title.replace(['`', '"'], "");
        let _ = writeln!(
            text,
            "<text class=\"head\" x=\"0\" y=\"{:.0}\">{title}: {share:.0} % of all links until the last file was begun, {:.0} s until \
             it was whole</text>",
            top + 22.0,
            storm.last_file().as_secs_f64()
        );
        for origin in 0..ORIGINS.len() {
            let above = top + HEADING + origin as f64 * (BAND + GAP);
            band(&mut text, storm, origin, above, across, class);
        }
    }
    let bottom = height - FOOT + 4.0;
    let _ = writeln!(text, "<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{:.1}\"/>", WIDTH - RIGHT);
    let step = if longest > 60.0 {
        20
    } else if longest > 24.0 {
        5
    } else {
        2
    };
    for second in (0_u32..).step_by(step).take_while(|second| f64::from(*second) <= longest) {
        let at = LEFT + f64::from(second) * across;
        let _ =
            writeln!(text, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>", bottom + 18.0);
    }
    text + "</svg>\n"
}

fn band(text: &mut String, storm: &Storm, origin: usize, above: f64, across: f64, class: &str) {
    let end = storm.last_file();
    let (width, below) = (end.as_secs_f64() * across, above + BAND);
    let middle = above + BAND / 2.0 + 4.0;
    let label = format!("{}, {} Mbit", ORIGINS[origin].name, ORIGINS[origin].mbit);
    let _ = writeln!(text, "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0);
    let _ =
        writeln!(text, "<rect class=\"track\" x=\"{LEFT}\" y=\"{above:.1}\" width=\"{width:.1}\" height=\"{BAND}\"/>");
    let mut path = format!("M{LEFT} {below:.1}");
    let mut sum = 0.0;
    let points = points(storm, origin);
    for (from, to, share) in &points {
        let height = below - share * BAND;
        let _ = write!(path, "L{:.1} {height:.1}H{:.1}", LEFT + from * across, LEFT + to * across);
        sum += share * (to - from);
    }
    let last = points.last().map_or(0.0, |(_, to, _)| *to);
    let _ = writeln!(text, "<path class=\"{class}\" d=\"{path}V{below:.1}Z\"/>");
    let mean = if last > 0.0 { sum / last * 100.0 } else { 0.0 };
    let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{middle:.1}\">{mean:.0} %</text>", LEFT + width + 6.0);
}

/// From when to when, in seconds, and how busy the link was, at most 1.
fn points(storm: &Storm, origin: usize) -> Vec<(f64, f64, f64)> {
    let mut points = Vec::new();
    let (mut from, mut before) = (0.0, 0);
    for sample in &storm.samples {
        let at = sample.at.as_secs_f64();
        let is_last = sample.at >= storm.last_file();
        if at - from >= STEP.as_secs_f64() || (is_last && at > from) {
            let sent = sample.sent[origin].saturating_sub(before) as f64;
            points.push((from, at, (sent / ((at - from) * ORIGINS[origin].bytes_a_second())).min(1.0)));
            (from, before) = (at, sample.sent[origin]);
        }
        if is_last {
            break;
        }
    }
    points
}

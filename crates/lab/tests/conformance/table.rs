//! What the outcomes amount to: complaints about Perron, and the table of all programs.

use std::fmt::Write as _;

use crate::corpus::{Case, Family, Outcome, Verdict};
use crate::programs::Program;

/// The outcomes of one case at one program, each with its server's name.
pub(crate) struct Scored<'c> {
    pub(crate) program: Program,
    pub(crate) family: &'c Family,
    pub(crate) case: &'c Case,
    pub(crate) outcomes: Vec<(&'static str, Outcome)>,
}

impl Scored<'_> {
    fn verdict(&self) -> Verdict {
        self.outcomes.iter().map(|(_, outcome)| outcome.verdict).max().expect("each case runs somewhere")
    }

    fn told(&self) -> String {
        let mut told: Vec<(String, Vec<&str>)> = Vec::new();
        for (server, outcome) in &self.outcomes {
            match told.iter_mut().find(|(text, _)| *text == outcome.text) {
                Some((_, servers)) => servers.push(server),
                None => told.push((outcome.text.clone(), vec![server])),
            }
        }
        let told: Vec<String> = match &told[..] {
            [(text, _)] => vec![format!("`{text}`")],
            many => many.iter().map(|(text, servers)| format!("`{text}` ({})", servers.join(", "))).collect(),
        };
        told.join("; ")
    }
}

/// What Perron does otherwise than the corpus says; a note about a difference that is none is one too.
pub(crate) fn complaints(scored: &[Scored<'_>]) -> Vec<String> {
    let ours = scored.iter().filter(|scored| scored.program == Program::Perron);
    ours.filter_map(|scored| {
        let case = scored.case;
        let wrong = match (scored.verdict(), &case.perron) {
            (Verdict::Expected, None) | (Verdict::Tolerated, Some(_)) => return None,
            (Verdict::Expected, Some(_)) => "as expected, though a note says otherwise".to_owned(),
            (verdict, _) => format!("{verdict:?}, not {}", case.expect.join(" or ")),
        };
        let (family, name, section, why) = (&scored.family.family, &case.name, &case.section, &case.why);
        Some(format!("{family} / {name}: {}: {wrong}\n    {section}: {why}", scored.told()))
    })
    .collect()
}

/// Families by programs, and every outcome that the strict reading does not have.
pub(crate) fn of(scored: &[Scored<'_>]) -> String {
    let mut text = String::from("| family | cases |");
    for program in Program::ALL {
        let _ = write!(text, " {} |", program.name());
    }
    text += "\n|---|--:|---|---|---|\n";
    let mut families: Vec<&str> = Vec::new();
    for one in scored {
        if !families.contains(&one.family.family.as_str()) {
            families.push(&one.family.family);
        }
    }
    for family in &families {
        line(&mut text, family, scored, |one| one.family.family == *family);
    }
    line(&mut text, "**all**", scored, |_| true);
    for program in Program::ALL {
        let _ = writeln!(text, "\n### {}\n", program.name());
        for one in scored.iter().filter(|one| one.program == program && one.verdict() != Verdict::Expected) {
            let (name, section) = (&one.case.name, &one.case.section);
            let _ = write!(text, "- {:?}: {name} ({section}): {}", one.verdict(), one.told());
            let note = one.case.perron.as_ref().filter(|_| program == Program::Perron);
            let _ = writeln!(text, "{}", note.map(|note| format!(". {note}")).unwrap_or_default());
        }
    }
    text
}

fn line(text: &mut String, name: &str, scored: &[Scored<'_>], of: impl Fn(&Scored<'_>) -> bool) {
    let count = |program: Program, verdict: Option<Verdict>| {
        let all = scored.iter().filter(|one| one.program == program && of(one));
        all.filter(|one| verdict.is_none_or(|verdict| one.verdict() == verdict)).count()
    };
    let _ = write!(text, "| {name} | {} |", count(Program::Perron, None));
    for program in Program::ALL {
        let [expected, tolerated, wrong, desyncs] =
            [Verdict::Expected, Verdict::Tolerated, Verdict::Wrong, Verdict::Desync]
                .map(|verdict| count(program, Some(verdict)));
        let _ = write!(text, " {expected} / {tolerated} / {wrong} / {desyncs} |");
    }
    text.push('\n');
}

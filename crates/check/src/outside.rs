//! Checks whose answers somebody else finds out, who may run programs and wait for disks.

use health::{Advice, Finding, Outcome};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use units::Share;

use crate::config::Kind;
use crate::driver::CheckIndex;
use crate::probe::Probed;

/// A question to whoever finds out. It is answered, or given back by being dropped.
#[derive(Debug)]
pub struct Question {
    /// Which check asks.
    pub check: CheckIndex,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Looked>,
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The program ended by itself, with this status.
    Ended(i32),
    /// It was killed by a signal.
    Killed,
    /// It took longer than it may, or the file could not be read in time.
    TimedOut,
    /// It was not run.
    NotRun,
    /// There is no such file.
    Missing,
    /// The file holds this number, or nothing at all.
    Holds(Option<i64>),
    /// The file holds something else, or cannot be read.
    Unclear,
}

/// Asks, and judges the answer. How long it may take is known to who is asked.
pub(crate) async fn ask(check: CheckIndex, kind: &Kind, asker: Option<&mpsc::UnboundedSender<Question>>) -> Probed {
    let begun = Instant::now();
    let (reply, answer) = oneshot::channel();
    let asked = asker.is_some_and(|asker| asker.send(Question { check, reply }).is_ok());
    let looked = if asked { answer.await.unwrap_or(Looked::NotRun) } else { Looked::NotRun };
    let (finding, status, share) = judge(kind, looked);
    let probed = Probed::of(finding, begun);
    let advice = Advice { share, ..Advice::NONE };
    Probed { outcome: Outcome { status, advice, ..probed.outcome }, ..probed }
}

fn judge(kind: &Kind, looked: Looked) -> (Finding, Option<u16>, Option<Share>) {
    match kind {
        Kind::Script(script) => of_script(script.sets_weight, looked),
        Kind::File(file) => of_file(file.sets_weight, looked),
        _ => (Finding::LocalFault, None, None),
    }
}

/// As keepalived's MISC_CHECK has it: 0 passes, 1 fails, and from 2 on it is two more than the weight where it says one.
fn of_script(sets_weight: bool, looked: Looked) -> (Finding, Option<u16>, Option<Share>) {
    match looked {
        Looked::Ended(status) => {
            let shown = u16::try_from(status).ok();
            let share = shown.filter(|_| sets_weight).and_then(|status| status.checked_sub(2)).map(Share::Number);
            let passed = status == 0 || share.is_some();
            (if passed { Finding::ScriptPassed } else { Finding::ScriptFailed }, shown, share)
        }
        Looked::Killed => (Finding::ScriptFailed, None, None),
        Looked::TimedOut => (Finding::ScriptTimedOut, None, None),
        _ => (Finding::ScriptNotRun, None, None),
    }
}

fn of_file(sets_weight: bool, looked: Looked) -> (Finding, Option<u16>, Option<Share>) {
    match looked {
        Looked::Missing => (Finding::FileMissing, None, None),
        Looked::Holds(None) => (Finding::FileThere, None, None),
        Looked::Holds(Some(number)) if sets_weight => match u16::try_from(number) {
            Ok(weight) => (Finding::FileThere, None, Some(Share::Number(weight))),
            Err(_) if number < 0 => (Finding::FileSaysDown, None, None),
            Err(_) => (Finding::FileUnclear, None, None),
        },
        Looked::Holds(Some(1..)) => (Finding::FileThere, None, None),
        Looked::Holds(Some(_)) => (Finding::FileSaysDown, None, None),
        Looked::TimedOut => (Finding::FileTimedOut, None, None),
        Looked::Unclear => (Finding::FileUnclear, None, None),
        _ => (Finding::LocalFault, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileCheck, ScriptCheck};

    #[test]
    fn exit_statuses_are_keepaliveds() {
        use Finding::{ScriptFailed, ScriptNotRun, ScriptPassed, ScriptTimedOut};
        let table = [
            (Looked::Ended(0), (ScriptPassed, None), (ScriptPassed, None)),
            (Looked::Ended(1), (ScriptFailed, None), (ScriptFailed, None)),
            (Looked::Ended(2), (ScriptFailed, None), (ScriptPassed, Some(0))),
            (Looked::Ended(3), (ScriptFailed, None), (ScriptPassed, Some(1))),
            (Looked::Ended(255), (ScriptFailed, None), (ScriptPassed, Some(253))),
            (Looked::Killed, (ScriptFailed, None), (ScriptFailed, None)),
            (Looked::TimedOut, (ScriptTimedOut, None), (ScriptTimedOut, None)),
            (Looked::NotRun, (ScriptNotRun, None), (ScriptNotRun, None)),
        ];
        for (looked, plain, weighing) in table {
            for (sets_weight, (finding, weight)) in [(false, plain), (true, weighing)] {
                let kind = Kind::Script(ScriptCheck { words: vec!["/x".to_owned()], user: None, sets_weight });
                let status = if let Looked::Ended(status) = looked { u16::try_from(status).ok() } else { None };
                assert_eq!(judge(&kind, looked), (finding, status, weight.map(Share::Number)), "{looked:?}");
            }
        }
    }

    #[test]
    fn a_file_is_there_or_has_a_number() {
        use Finding::{FileMissing, FileSaysDown, FileThere, FileTimedOut, FileUnclear};
        let holds = |number| Looked::Holds(Some(number));
        let table = [
            (Looked::Missing, (FileMissing, None), (FileMissing, None)),
            (Looked::Holds(None), (FileThere, None), (FileThere, None)),
            (holds(1), (FileThere, None), (FileThere, Some(1))),
            (holds(0), (FileSaysDown, None), (FileThere, Some(0))),
            (holds(-1), (FileSaysDown, None), (FileSaysDown, None)),
            (holds(65_535), (FileThere, None), (FileThere, Some(65_535))),
            (holds(65_536), (FileThere, None), (FileUnclear, None)),
            (Looked::Unclear, (FileUnclear, None), (FileUnclear, None)),
            (Looked::TimedOut, (FileTimedOut, None), (FileTimedOut, None)),
        ];
        for (looked, plain, weighing) in table {
            for (sets_weight, (finding, weight)) in [(false, plain), (true, weighing)] {
                let kind = Kind::File(FileCheck { path: "/x".into(), sets_weight });
                assert_eq!(judge(&kind, looked), (finding, None, weight.map(Share::Number)), "{looked:?}");
            }
        }
    }

    #[tokio::test]
    async fn whoever_does_not_answer_says_nothing_of_the_server() {
        let kind = Kind::Script(ScriptCheck { words: vec!["/x".to_owned()], user: None, sets_weight: true });
        let check = CheckIndex(3);
        assert_eq!(ask(check, &kind, None).await.outcome.finding, Finding::ScriptNotRun);
        let (asker, mut asked) = mpsc::unbounded_channel();
        let answer = async {
            let Question { check, reply } = asked.recv().await.expect("a question");
            reply.send(Looked::Ended(9)).expect("somebody waits");
            let Question { reply, .. } = asked.recv().await.expect("a question");
            drop(reply);
            check
        };
        let ask_twice = async {
            let first = ask(check, &kind, Some(&asker)).await.outcome;
            (first, ask(check, &kind, Some(&asker)).await.outcome.finding)
        };
        let ((first, second), by) = tokio::join!(ask_twice, answer);
        assert_eq!((first.finding, first.status, by), (Finding::ScriptPassed, Some(9), check));
        assert_eq!(first.advice.share, Some(Share::Number(7)));
        assert_eq!(second, Finding::ScriptNotRun);
    }
}

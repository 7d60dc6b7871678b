//! Whom a vip or a group tells.

use scripts::Notify;

use crate::context::Context;
use crate::read::{Command, Line, Period};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;

pub(crate) static NOTIFY: Schema = Schema {
    path: "vip.NAME.notify",
    about: "What is run when the state changes: one after the other, in the order of the changes. Of a \
            `[vip-group.NAME]` as well. Who may be able to write to the programs: as of `track.script`.",
    keys: &[
        optional("active", form::COMMAND, "It has the addresses."),
        optional("backup", form::COMMAND, "Another has them."),
        optional("fault", form::COMMAND, "What it depends on is not well."),
        optional("stop", form::COMMAND, "It is stopped, with the service or by a reload."),
        optional(
            "any",
            form::COMMAND,
            "At each of them, after the one above, with four arguments more: `INSTANCE` or `GROUP`, the name, `MASTER`, \
             `BACKUP`, `FAULT` or `STOP`, and the priority.",
        ),
        with("timeout", form::TIME, "\"60s\"", "How long one may take; then it and what it started are ended."),
        says("user", form::TEXT, "the service's user", "The user to run them as."),
    ],
};

/// Reads `notify` of a vip or a group.
pub(super) fn notify(owner: &mut Section<'_>, cx: &mut Context) -> Notify {
    let Some(mut section) = owner.optional_section("notify", &NOTIFY, cx) else {
        return Notify::default();
    };
    let timeout: Period = section.value("timeout", cx);
    let user = section.optional("user", cx).map(|Line(user)| user);
    let mut command = |name| {
        let command: Option<Command> = section.optional(name, cx);
        command.map(|Command(words)| scripts::Command { words, user: user.clone(), timeout: timeout.0 })
    };
    let notify = Notify {
        active: command("active"),
        backup: command("backup"),
        fault: command("fault"),
        stop: command("stop"),
        any: command("any"),
        ..Notify::default()
    };
    let keys = ["active", "backup", "fault", "stop", "any"];
    if !keys.iter().any(|key| section.has(key)) {
        cx.error(section.span, "nothing is run").help(format!("write one of {}", keys.join(", ")));
    }
    notify
}

use balance::ClassConfig;
use units::Bandwidth;

use crate::context::Context;
use crate::read::{At, Read, Whole, wrong};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::server::{Limit, Parts};
use crate::sources::Span;
use crate::tree::{Node, Value};

/// Kinds of servers of one backend; more than that are single servers, which have limits of their own.
const CLASSES_MAX: usize = 256;

pub(crate) static CLASS: Schema = Schema {
    path: "backend.NAME.class.NAME",
    about: "A kind of servers, which servers name by their `class`: what one of them can bear, where it says nothing \
            itself, and what all of them may be asked to bear together.",
    keys: &[
        with("weight", "0 to 65535", "1", "The share of one of them."),
        optional("bandwidth", BANDWIDTH, "What the link of one takes."),
        says("max-requests", form::NUMBER, "no limit", "Requests in flight at once on one of them."),
        says(
            "max-share",
            "percentage: `\"25%\"`",
            "no limit",
            "What part of all requests in flight and waiting at the backend all of them together may have in flight; \
             never less than one request. When servers of other classes die, these do not go down under their load: \
             the rest waits.",
        ),
    ],
};

/// How a bandwidth is written.
pub(crate) const BANDWIDTH: &str = "bandwidth: `\"10Gbit\"`";

/// A class as the text has it.
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) weight: Whole<0, 65535>,
    pub(crate) bandwidth: Option<Bandwidth>,
    pub(crate) max_in_flight: Option<Limit>,
    max_share: Option<u8>,
    span: Span,
}

/// Reads the `class` tables of a backend.
pub(crate) fn classes(owner: &mut Section<'_>, cx: &mut Context) -> Vec<Class> {
    let mut classes = Vec::new();
    for (entry, mut section) in owner.named("class", &CLASS, cx) {
        if classes.len() == CLASSES_MAX {
            cx.error(entry.span, format!("more than {CLASSES_MAX} classes")).help("let several servers be of one");
        }
        classes.push(Class {
            name: entry.key.clone(),
            weight: section.value("weight", cx),
            bandwidth: section.optional("bandwidth", cx),
            max_in_flight: section.optional("max-requests", cx),
            max_share: section.optional("max-share", cx).map(|Percentage(share)| share),
            span: entry.span,
        });
    }
    classes
}

/// What the pool is told of them.
pub(crate) fn configs(classes: &[Class]) -> Vec<ClassConfig> {
    let config = |class: &Class| ClassConfig { name: class.name.clone(), max_share: class.max_share };
    classes.iter().map(config).collect()
}

/// Warns of classes that no server is of, and of limits that leave requests waiting whatever happens.
pub(crate) fn check(classes: &[Class], servers: &[Parts], cx: &mut Context) {
    let mut used = vec![false; classes.len()];
    for class in servers.iter().filter_map(|server| server.pool.class) {
        used[usize::from(class.0)] = true;
    }
    for (class, _) in classes.iter().zip(&used).filter(|(_, used)| !**used) {
        cx.warn(class.span, format!("no server is of class \"{}\"", class.name))
            .help(format!("write class = \"{}\" in a server, or remove the class", class.name));
    }
    let limited = |server: &Parts| {
        let class = server.pool.class.map(|class| &classes[usize::from(class.0)]);
        class.is_some_and(|class| class.max_share.is_some())
    };
    let shares = classes.iter().zip(&used).filter(|(_, used)| **used).filter_map(|(class, _)| class.max_share);
    let sum: u32 = shares.map(u32::from).sum();
    let Some(first) = classes.iter().find(|class| class.max_share.is_some()) else {
        return;
    };
    if sum < 100 && !servers.is_empty() && servers.iter().all(limited) {
        cx.warn(first.span, format!("the classes of all servers take {sum}% of the requests together: the rest waits"))
            .help("leave max-share out of the class that is to take what the others do not");
    }
}

/// 1 to 100.
struct Percentage(u8);

impl Read for Percentage {
    fn read(node: &Node, cx: &mut Context) -> Option<Percentage> {
        let text = match &node.value {
            Value::Integer(Some(number @ 1..=100)) => {
                return wrong(node, "a percentage", &format!("write \"{number}%\""), cx);
            }
            _ => At::<String>::read(node, cx)?,
        };
        let percent = text.value.strip_suffix('%').filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = percent.and_then(|number| number.parse().ok()).filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            cx.error(text.span, "a share is a percentage from 1% to 100%").help("write \"25%\"");
        }
        percent.map(Percentage)
    }
}

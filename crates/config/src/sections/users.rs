use proxy::AllowUsers;
use tls::config::ServerTls;

use crate::context::Context;
use crate::read::{Line, Some1};
use crate::schema::{Key, form, optional};
use crate::section::Section;

/// The key of a frontend.
pub(crate) const fn frontend_key() -> Key {
    optional(
        "allow-users",
        form::TEXTS,
        "Users that may ask, as the clients' certificates name them (see `user` of `tls`); `*` stands for anything. Others get 403. HTTP only.",
    )
}

/// The key of a route.
pub(crate) const fn route_key() -> Key {
    optional("allow-users", form::TEXTS, "Users that may ask, instead of those that the frontend names.")
}

/// Whether anything says who a client's user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It does, or what would say it is wrong itself.
    Yes,
    /// Nothing does; this is to be written.
    No(&'static str),
}

impl Known {
    /// By what a frontend asks of its clients; `written`: whether it has a word of TLS.
    pub(crate) fn of(tls: Option<&ServerTls>, written: bool) -> Known {
        match tls.map(|tls| tls.client.as_ref().map(|client| client.user)) {
            None if written => Known::Yes,
            None => Known::No(
                "write tls = { certificate = …, client-ca = \"ca.pem\", client-certificate = \"required\", \
                 user = \"subject.CN\" } in the frontend",
            ),
            Some(None) => Known::No(
                "write client-certificate = \"required\", client-ca = \"ca.pem\" and user = \"subject.CN\" in the frontend's tls",
            ),
            Some(Some(None)) => Known::No("write user = \"subject.CN\" in the frontend's tls"),
            Some(Some(Some(_))) => Known::Yes,
        }
    }
}

/// Reads `allow-users` of a frontend or a route.
pub(crate) fn allow(section: &mut Section<'_>, known: Known, cx: &mut Context) -> Option<AllowUsers> {
    let Some1(patterns) = section.optional::<Some1<Line>>("allow-users", cx)?;
    if let (Known::No(help), Some(entry)) = (known, section.entry("allow-users")) {
        cx.error(entry.span, "nothing says who a client's user is, so none would ever be allowed").help(help);
    }
    Some(AllowUsers(patterns.into_iter().map(|Line(pattern)| pattern).collect()))
}

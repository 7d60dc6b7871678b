use std::path::PathBuf;

use proxy::config::{BasicAuth, PasswordsIndex};

use crate::context::Context;
use crate::read::{At, Line};
use crate::schema::{Key, Schema, form, optional, required, with};
use crate::section::Section;

pub(crate) static BASIC_AUTH: Schema = Schema {
    path: "basic-auth",
    about: "In a frontend or a route: `basic-auth = { file = \"htpasswd\" }`. Who asks has to show a name and a password \
            of the file, which `htpasswd -B` writes; `allow-users` then says who of them may. Passwords go over the \
            wire: use it with TLS.",
    keys: &[
        required(
            "file",
            form::PATH,
            "A line `NAME:HASH` for each user, with bcrypt or argon2id; weaker ones are refused. Read at a start and a reload, by `process.user`.",
        ),
        with("realm", form::TEXT, "\"perron\"", "What browsers show beside the question."),
    ],
};

/// The key of a frontend.
pub(crate) const fn frontend_key() -> Key {
    optional("basic-auth", form::TABLE, "Who asks shows a name and a password; see `basic-auth`. HTTP only.")
}

/// The key of a route.
pub(crate) const fn route_key() -> Key {
    optional("basic-auth", form::TABLE, "The same for this route alone, instead of what the frontend says.")
}

/// Reads `basic-auth` of a frontend or a route.
pub(crate) fn basic_auth(owner: &mut Section<'_>, cx: &mut Context) -> Option<BasicAuth> {
    let mut section = owner.optional_section("basic-auth", &BASIC_AUTH, cx)?;
    let realm: At<Line> = section.value("realm", cx);
    let file: Option<PathBuf> = section.required("file", cx);
    let Line(text) = &realm.value;
    if !text.is_ascii() {
        cx.error(realm.span, "a realm is written in ASCII").help("leave out letters that ASCII has not");
    }
    Some(BasicAuth { passwords: cx.passwords(file?), realm: text.clone() })
}

impl Context<'_> {
    /// The place of a file of users; the same for the same path.
    fn passwords(&mut self, file: PathBuf) -> PasswordsIndex {
        let known = self.password_files.iter().position(|known| *known == file);
        let place = known.unwrap_or_else(|| {
            self.password_files.push(file);
            self.password_files.len() - 1
        });
        PasswordsIndex(u16::try_from(place).unwrap_or(u16::MAX))
    }
}

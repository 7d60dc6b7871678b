//! Users and their passwords, as files of Apache's htpasswd hold them.

use std::collections::HashMap;
use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordVerifier};

/// Users in one file. More belong into a directory, and each is kept in memory.
const USERS_MAX: usize = 100_000;

/// The most that verifying one password may cost, so that nobody who may write the file takes the machine: of bcrypt
/// about two seconds; of argon2 this many KiB and passes.
const BCRYPT_COST_MAX: u32 = 15;
const ARGON2_KIB_MAX: u32 = 256 * 1024;
const ARGON2_PASSES_MAX: u32 = 16;
const ARGON2_LANES_MAX: u32 = 16;

/// Bytes of a password that are looked at; nobody types more, and each is hashed.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The users of one file.
#[derive(Clone)]
pub struct Passwords {
    users: HashMap<String, Hash>,
    /// Whose hash is worked on for users who are not there.
    example: Hash,
}

#[derive(Clone)]
enum Hash {
    Bcrypt(String),
    Argon2id(String),
}

/// Why a file of users is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PasswordsError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: PasswordsFault,
}

/// What is wrong with a line of a file of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordsFault {
    /// There is no colon in it, or nothing before it.
    NoUser,
    /// The user is there already.
    Twice(String),
    /// The password is stored in a way that is no longer safe, which is called so.
    Weak(String, &'static str),
    /// It looks like bcrypt or argon2id, and cannot be read.
    Malformed(String),
    /// Verifying it would cost too much.
    TooCostly(String),
    /// There are more users than may be, or none.
    Count,
}

impl fmt::Display for PasswordsFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordsFault::NoUser => formatter.write_str("a user is written `name:hash`"),
            PasswordsFault::Twice(user) => write!(formatter, "`{user}` is there a second time"),
            PasswordsFault::Weak(user, how) => {
                write!(
                    formatter,
                    "the password of `{user}` is stored as {how}; `htpasswd -B FILE {user}` makes it anew"
                )
            }
            PasswordsFault::Malformed(user) => write!(formatter, "the password of `{user}` cannot be read"),
            PasswordsFault::TooCostly(user) => {
                write!(formatter, "verifying the password of `{user}` would take too long or too much memory")
            }
            PasswordsFault::Count => write!(formatter, "there have to be users, and {USERS_MAX} at most"),
        }
    }
}

impl Passwords {
    /// Reads the text of a file: bcrypt (`$2y$`) and argon2id (PHC); everything weaker is refused.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Passwords, PasswordsError> {
        let mut users = HashMap::new();
        let mut example = None;
        for (index, line) in text.lines().enumerate() {
            let line_error = |fault| PasswordsError { line: index + 1, fault };
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = line.split_once(':').filter(|(user, _)| !user.is_empty());
            let (user, hash) = parts.ok_or(PasswordsFault::NoUser).map_err(line_error)?;
            let hash = Hash::parse(user, hash).map_err(line_error)?;
            if users.len() == USERS_MAX {
                return Err(line_error(PasswordsFault::Count));
            }
            example.get_or_insert_with(|| hash.clone());
            if users.insert(user.to_owned(), hash).is_some() {
                return Err(line_error(PasswordsFault::Twice(user.to_owned())));
            }
        }
        let example = example.ok_or(PasswordsError { line: 1, fault: PasswordsFault::Count })?;
        Ok(Passwords { users, example })
    }

    /// Whether the user is there and the password is theirs. Takes as long for users who are not there: tenths of a second.
    pub(crate) fn verify(&self, user: &str, password: &[u8]) -> bool {
        let known = self.users.get(user);
        let matches = known.unwrap_or(&self.example).verify(&password[..password.len().min(PASSWORD_BYTES_MAX)]);
        known.is_some() && matches
    }
}

impl fmt::Debug for Passwords {
    /// Without anything of a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Passwords").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl Hash {
    fn parse(user: &str, text: &str) -> Result<Hash, PasswordsFault> {
        let malformed = || PasswordsFault::Malformed(user.to_owned());
        if ["$2y$", "$2b$", "$2a$"].iter().any(|kind| text.starts_with(kind)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| malformed())?;
            return match parts.get_cost() {
                4..=BCRYPT_COST_MAX => Ok(Hash::Bcrypt(text.to_owned())),
                _ => Err(PasswordsFault::TooCostly(user.to_owned())),
            };
        }
        if text.starts_with("$argon2id$") {
            let hash = PasswordHash::new(text).map_err(|_| malformed())?;
            let params = Params::try_from(&hash).map_err(|_| malformed())?;
            if hash.hash.is_none() || hash.salt.is_none() {
                return Err(malformed());
            }
            let is_cheap = params.m_cost() <= ARGON2_KIB_MAX
                && params.t_cost() <= ARGON2_PASSES_MAX
                && params.p_cost() <= ARGON2_LANES_MAX;
            return match is_cheap {
                true => Ok(Hash::Argon2id(text.to_owned())),
                false => Err(PasswordsFault::TooCostly(user.to_owned())),
            };
        }
        let how = match text {
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => "MD5",
            _ if text.starts_with("{SHA}") => "SHA-1",
            _ if text.starts_with("$5$") || text.starts_with("$6$") => "crypt's SHA-2",
            _ if text.starts_with("$argon2") => "another argon2 than argon2id",
            _ if text.len() == 13 => "crypt's DES",
            _ => "plain text, or in a way that is not known",
        };
        Err(PasswordsFault::Weak(user.to_owned(), how))
    }

    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2id(hash) => Argon2::default().verify_password(password, hash.as_str()).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by libxcrypt: `crypt("correct horse", "$2y$04$abcdefghijklmnopqrstuu")`.
    const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
    /// From the tests of the reference implementation: `password` with `somesalt`.
    const ARGON2ID: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn passwords_are_those_of_other_programs() {
        let text = format!("# users\n\nanna:{BCRYPT}\r\nbert:{ARGON2ID}\n");
        let passwords = Passwords::parse(&text).unwrap();
        for (user, password, expected) in [
            ("anna", "correct horse", true),
            ("anna", "correct horsf", false),
            ("anna", "password", false),
            ("anna", "", false),
            ("bert", "password", true),
            ("bert", "Password", false),
            ("carl", "correct horse", false),
            ("", "correct horse", false),
        ] {
            assert_eq!(passwords.verify(user, password.as_bytes()), expected, "{user} {password}");
        }
        assert_eq!(format!("{passwords:?}"), "Passwords { users: 2, .. }");
    }

    #[test]
    fn what_is_not_safe_is_refused_by_name() {
        let fault = |line: &str| Passwords::parse(&format!("anna:{BCRYPT}\n{line}\n")).unwrap_err().to_string();
        for (line, expected) in [
            (
                "b:$apr1$mEA7qWfn$CB9XHJSx",
                "line 2: the password of `b` is stored as MD5; `htpasswd -B FILE b` makes it anew",
            ),
            (
                "b:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
                "line 2: the password of `b` is stored as SHA-1; `htpasswd -B FILE b` makes it anew",
            ),
            (
                "b:rqXexS6ZhobKA",
                "line 2: the password of `b` is stored as crypt's DES; `htpasswd -B FILE b` makes it anew",
            ),
            (
                "b:$6$salt$hash",
                "line 2: the password of `b` is stored as crypt's SHA-2; `htpasswd -B FILE b` makes it anew",
            ),
            (
                "b:$argon2i$v=19$m=16,t=2,p=1$c29tZXNhbHQ$AAAA",
                "line 2: the password of `b` is stored as another argon2 than argon2id; `htpasswd -B FILE b` makes it anew",
            ),
            (
                "b:secret",
                "line 2: the password of `b` is stored as plain text, or in a way that is not known; `htpasswd -B FILE b` makes it anew",
            ),
            ("b", "line 2: a user is written `name:hash`"),
            (":x", "line 2: a user is written `name:hash`"),
            ("b:$2y$04$short", "line 2: the password of `b` cannot be read"),
            ("b:$argon2id$v=19$m=256", "line 2: the password of `b` cannot be read"),
        ] {
            assert_eq!(fault(line), expected);
        }
        assert_eq!(fault(&format!("anna:{BCRYPT}")), "line 2: `anna` is there a second time");
        assert!(fault(&format!("b:{}", BCRYPT.replace("$04$", "$16$"))).contains("too long or too much memory"));
        assert!(fault(&format!("b:{}", ARGON2ID.replace("m=256", "m=262145"))).contains("too much memory"));
        assert!(fault(&format!("b:{}", ARGON2ID.replace("t=2", "t=17"))).contains("too long"));
        assert_eq!(Passwords::parse("# nobody\n").unwrap_err().fault, PasswordsFault::Count);
    }
}

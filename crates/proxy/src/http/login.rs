//! Users who show a name and a password (RFC 7617), and which of them were found right lately.
//!
//! Verifying a password takes tenths of a second by design: a thread that may take its time does it, and what was
//! right is remembered by the worker for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http_proto::{RequestHead, from_base64};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::plan::{Meta, Traits};
use super::reply::{Reply, write_last_fields, write_reply};
use crate::config::{BasicAuth, PasswordsIndex};
use crate::error_page::ErrorPage;
use crate::reason::Reason;
use crate::worker::Context;

/// How long a name and a password that were right are believed: so long does who was removed stay in.
const BELIEVED: Duration = Duration::from_secs(60);

/// Names and passwords that a worker remembers. Of more, all are forgotten and verified anew.
const REMEMBERED_MAX: usize = 4096;

/// How long a request waits for a thread that verifies, and for its verdict.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of credentials that are looked at; more is no name and password.
const CREDENTIALS_MAX: usize = 4096;

/// What a client shows of itself.
pub(crate) struct Credentials {
    pub(crate) user: String,
    password: Vec<u8>,
}

/// What is known of credentials at once.
pub(crate) enum Known {
    /// They are this user's.
    Right(String),
    /// They are to be verified.
    Unknown(Credentials),
    /// There are none.
    Missing,
}

/// Credentials that a worker has found right.
pub(crate) struct Remembered {
    salt: [u64; 4],
    until: RefCell<HashMap<[u8; 32], Instant>>,
}

impl Default for Remembered {
    fn default() -> Remembered {
        let salt = std::array::from_fn(|_| RandomState::new().build_hasher().finish());
        Remembered { salt, until: RefCell::default() }
    }
}

impl Remembered {
    fn key(&self, index: PasswordsIndex, credentials: &Credentials) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for word in self.salt {
            hasher.update(word.to_le_bytes());
        }
        hasher.update(index.0.to_le_bytes());
        hasher.update((credentials.user.len() as u64).to_le_bytes());
        hasher.update(&credentials.user);
        hasher.update(&credentials.password);
        hasher.finalize().into()
    }

    fn has(&self, index: PasswordsIndex, credentials: &Credentials, now: Instant) -> bool {
        let key = self.key(index, credentials);
        self.until.borrow().get(&key).is_some_and(|until| now < *until)
    }

    fn insert(&self, index: PasswordsIndex, credentials: &Credentials, now: Instant) {
        let mut until = self.until.borrow_mut();
        if until.len() >= REMEMBERED_MAX {
            until.clear();
        }
        until.insert(self.key(index, credentials), now + BELIEVED);
    }
}

/// What is known of a request's credentials, without waiting.
pub(crate) fn known(context: &Context, auth: &BasicAuth, head: &RequestHead<'_>) -> Known {
    let mut lines = head.fields.values("authorization");
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return Known::Missing;
    };
    match credentials(value) {
        None => Known::Missing,
        Some(shown) if context.remembered.has(auth.passwords, &shown, Instant::now()) => Known::Right(shown.user),
        Some(shown) => Known::Unknown(shown),
    }
}

/// Verifies credentials on a thread that may take its time; remembers them if they are right.
///
/// # Errors
/// That no thread was free, or none came to an end in time.
pub(crate) async fn verify(context: &Context, auth: &BasicAuth, shown: Credentials) -> Result<bool, Reason> {
    let Some(passwords) = context.shared.passwords(auth.passwords) else {
        return Ok(false);
    };
    let places = Arc::clone(&context.shared.verifying);
    let verified = tokio::time::timeout(PATIENCE, async {
        let place = places.acquire_owned().await.ok()?;
        let task = tokio::task::spawn_blocking(move || {
            let is_right = passwords.verify(&shown.user, &shown.password);
            drop(place);
            (is_right, shown)
        });
        task.await.ok()
    });
    match verified.await {
        Ok(Some((is_right, shown))) => {
            if is_right {
                context.remembered.insert(auth.passwords, &shown, Instant::now());
            }
            Ok(is_right)
        }
        Ok(None) | Err(_) => Err(Reason::HandlerBusy),
    }
}

/// The answer to who has not shown that they may ask: 401.
pub(crate) fn unauthorized(meta: Meta<'_>, auth: &BasicAuth, traits: Traits, route: Option<u16>) -> Vec<u8> {
    let (mut bytes, mut fields) = (meta.context.buffer(), meta.context.buffer());
    fields.extend_from_slice(b"Cache-Control: no-store\r\nWWW-Authenticate: Basic realm=\"");
    for byte in auth.realm.bytes() {
        if matches!(byte, b'"' | b'\\') {
            fields.push(b'\\');
        }
        fields.push(byte);
    }
    fields.extend_from_slice(b"\", charset=\"UTF-8\"\r\n");
    write_last_fields(&mut fields, meta, route, traits.version, traits.keep_alive);
    let page = meta.context.shared.error_page(meta.frontend, 401);
    let (content_type, body) = page.map_or(("text/plain; charset=utf-8", &b"401 Unauthorized\n"[..]), ErrorPage::parts);
    let reply = Reply { status: 401, content_type: Some(content_type), body, ..Reply::default() };
    write_reply(&mut bytes, &reply, &fields, traits.is_head);
    meta.context.recycle(fields);
    bytes
}

/// Reads `Basic` and a name and a password behind it, with a colon between (RFC 7617 §2).
fn credentials(value: &[u8]) -> Option<Credentials> {
    let (scheme, token) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || token.len() > CREDENTIALS_MAX {
        return None;
    }
    let text = from_base64(token.trim_ascii())?;
    let colon = text.iter().position(|&byte| byte == b':')?;
    let user = std::str::from_utf8(&text[..colon]).ok()?;
    if user.is_empty() || user.contains(char::is_control) {
        return None;
    }
    Some(Credentials { user: user.to_owned(), password: text[colon + 1..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<(String, String)> {
        let shown = credentials(value.as_bytes())?;
        Some((shown.user, String::from_utf8(shown.password).unwrap()))
    }

    #[test]
    fn credentials_as_the_standard_has_them() {
        // RFC 7617 §2 and §2.1.
        let of = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(shown("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), of("Aladdin", "open sesame"));
        assert_eq!(shown("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), of("Aladdin", "open sesame"));
        assert_eq!(shown("Basic dGVzdDoxMjPCow=="), of("test", "123£"));
        assert_eq!(shown("Basic YTpiOmM="), of("a", "b:c"));
        assert_eq!(shown("Basic YTo="), of("a", ""));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Bearer QWxh",
            "Basic QWxhZGRpbg==",
            "Basic OmE=",
            "Basic !!!!",
            "Basic YTo",
            "Basic CmE6Yg==",
        ] {
            let expected = if wrong == "Basic YTo" { of("a", "") } else { None };
            assert_eq!(shown(wrong), expected, "{wrong}");
        }
        assert_eq!(shown(&format!("Basic {}", "YTpi".repeat(1025))), None, "more than 4 KiB");
    }

    #[test]
    fn what_was_right_is_believed_for_a_minute_and_for_one_file() {
        let remembered = Remembered::default();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let of = |user: &str, password: &str| Credentials { user: user.to_owned(), password: password.into() };
        remembered.insert(PasswordsIndex(0), &of("ab", "c"), now);
        assert!(remembered.has(PasswordsIndex(0), &of("ab", "c"), now + second * 59));
        assert!(!remembered.has(PasswordsIndex(0), &of("ab", "c"), now + second * 60));
        assert!(!remembered.has(PasswordsIndex(1), &of("ab", "c"), now));
        assert!(!remembered.has(PasswordsIndex(0), &of("a", "bc"), now));
        assert!(!remembered.has(PasswordsIndex(0), &of("ab", "d"), now));
        for index in 0..REMEMBERED_MAX {
            remembered.insert(PasswordsIndex(0), &of("x", &index.to_string()), now);
        }
        assert!(remembered.until.borrow().len() <= REMEMBERED_MAX);
    }
}

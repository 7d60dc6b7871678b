//! What frontends need of files besides trees: users with their passwords, and pages for errors.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use proxy::config::{ErrorPageFile, FrontendIndex, PasswordsIndex, ProxyConfig};
use proxy::{ERROR_PAGE_BYTES_MAX, ErrorPage, ErrorPages, Passwords, Shared};

/// Bytes of a file of users: more than the most users that one may have take.
const PASSWORDS_BYTES_MAX: usize = 32 << 20;

/// What was read of them.
pub(super) struct Extras {
    /// In step with the configuration's files.
    passwords: Vec<Passwords>,
    /// In step with the frontends.
    pages: Vec<ErrorPages>,
}

/// Reads them as the user that serves; what is wrong with one is a reason not to start. To be called while files can be
/// read that nothing else needs.
pub(super) fn read(config: &ProxyConfig) -> anyhow::Result<Extras> {
    let passwords = config.password_files.iter().map(|path| read_passwords(path));
    let pages = config.frontends.iter().map(|frontend| read_pages(&frontend.error_pages));
    Ok(Extras { passwords: passwords.collect::<anyhow::Result<_>>()?, pages: pages.collect::<anyhow::Result<_>>()? })
}

impl Extras {
    /// Has workers use them.
    pub(super) fn hand_to(self, shared: &mut Shared) -> anyhow::Result<()> {
        for (place, passwords) in self.passwords.into_iter().enumerate() {
            shared.let_in(PasswordsIndex(u16::try_from(place)?), passwords);
        }
        for (place, pages) in self.pages.into_iter().enumerate() {
            shared.show_on_errors(FrontendIndex(u16::try_from(place)?), pages);
        }
        Ok(())
    }
}

fn read_passwords(path: &Path) -> anyhow::Result<Passwords> {
    let bytes = read_up_to(path, PASSWORDS_BYTES_MAX)
        .with_context(|| format!("cannot read the users of {}", path.display()))?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
    Passwords::parse(&text).with_context(|| format!("{} is refused", path.display()))
}

fn read_pages(configured: &[ErrorPageFile]) -> anyhow::Result<ErrorPages> {
    let mut pages = ErrorPages::new();
    for page in configured {
        let about = || format!("cannot show {} for errors {}", page.path.display(), page.status);
        let bytes = read_up_to(&page.path, ERROR_PAGE_BYTES_MAX + 1).with_context(about)?;
        pages.insert(page.status, ErrorPage::new(&page.content_type, bytes).with_context(about)?);
    }
    Ok(pages)
}

fn read_up_to(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

//! What frontends need of files besides trees: users with their passwords, and pages for errors.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use proxy::config::{FrontendIndex, PasswordsIndex, ProxyConfig};
use proxy::{ERROR_PAGE_BYTES_MAX, ErrorPage, ErrorPages, Passwords, Shared};

/// Bytes of a file of users: more than the most users that one may have take.
const PASSWORDS_BYTES_MAX: usize = 32 << 20;

/// Reads them as the user that serves; what is wrong with one is a reason not to start.
pub(super) fn read(config: &ProxyConfig, shared: &mut Shared) -> anyhow::Result<()> {
    for (place, path) in config.password_files.iter().enumerate() {
        let bytes = read_up_to(path, PASSWORDS_BYTES_MAX)
            .with_context(|| format!("cannot read the users of {}", path.display()))?;
        let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
        let passwords = Passwords::parse(&text).with_context(|| format!("{} is refused", path.display()))?;
        shared.let_in(PasswordsIndex(u16::try_from(place)?), passwords);
    }
    for (place, frontend) in config.frontends.iter().enumerate() {
        let mut pages = ErrorPages::new();
        for page in &frontend.error_pages {
            let about = || format!("cannot show {} for errors {}", page.path.display(), page.status);
            let bytes = read_up_to(&page.path, ERROR_PAGE_BYTES_MAX + 1).with_context(about)?;
            pages.insert(page.status, ErrorPage::new(&page.content_type, bytes).with_context(about)?);
        }
        shared.show_on_errors(FrontendIndex(u16::try_from(place)?), pages);
    }
    Ok(())
}

fn read_up_to(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

//! PHP's process manager, as Debian has it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Host, Process, SOON, Skip, program, wait_for};

/// Its processes run as another user than the front door's.
const POOL_USER: &str = "www-data";

/// Starts it on a unix socket that everybody may connect to, and makes a folder for scripts.
///
/// # Errors
/// If it is not installed.
///
/// # Panics
/// If it does not listen soon.
#[track_caller]
pub fn php_fpm(host: &Host, socket: &Path) -> Result<(Process, PathBuf), Skip> {
    let found = ["php-fpm", "php-fpm8.2", "php-fpm8.4", "php-fpm8.3"].iter().find_map(|name| program(name).ok());
    let php = found.ok_or_else(|| Skip::new("php-fpm is not installed"))?;
    let root = host.new_folder("php");
    let config = format!(
        "[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nuser = {POOL_USER}\ngroup = {POOL_USER}\n\
         listen = {}\nlisten.mode = 0666\npm = static\npm.max_children = 2\ncatch_workers_output = yes\n\
         php_admin_value[post_max_size] = 64M\n",
        socket.display()
    );
    let path = root.join("fpm.conf");
    fs::write(&path, config).expect("the folder is ours");
    let [php, path] = [&php, &path].map(|path| path.to_str().expect("paths in the lab are plain"));
    let process = host.spawn(&[php, "-F", "-n", "-y", path]);
    wait_for(SOON, "php-fpm listens", || socket.exists());
    Ok((process, root))
}

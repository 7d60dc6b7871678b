//! What a guest boots: the kernel that `scripts/setup test` unpacked, and a folder of files as its memory's first content.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::GuestPlan;
use super::agent::INIT;
use crate::{Skip, program};

/// What the network of a guest needs.
const OWN_MODULES: [&str; 2] = ["virtio_pci", "virtio_net"];

/// Where modules are below a root.
const MODULES: &str = "lib/modules";

/// Folders that a guest has besides those of its files.
const FOLDERS: [&str; 10] = ["proc", "sys", "dev", "run", "tmp", "root", "bin", "sbin", "etc", "var"];

/// A kernel that is not installed.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The file that boots.
    pub(super) image: PathBuf,
    root: PathBuf,
    version: String,
}

/// What makes an image of files.
#[derive(Debug)]
pub(super) struct Tools {
    busybox: PathBuf,
    modprobe: PathBuf,
    depmod: PathBuf,
    cpio: PathBuf,
    strip: PathBuf,
}

impl Kernel {
    /// The one in the target folder.
    pub(super) fn find() -> Result<Kernel, Skip> {
        let test = std::env::current_exe().expect("a running test has a path");
        let target = test.ancestors().nth(3).expect("tests are in target/PROFILE/deps");
        let root = target.join("guest");
        let named =
            |entry: fs::DirEntry| entry.file_name().into_string().ok()?.strip_prefix("vmlinuz-").map(str::to_owned);
        let version =
            fs::read_dir(root.join("boot")).ok().and_then(|entries| entries.flatten().find_map(named)).ok_or_else(
                || Skip::new("GUESTS NEED A KERNEL, and none is in target/guest: `scripts/setup test` fetches it"),
            )?;
        let image = root.join(format!("boot/vmlinuz-{version}"));
        Ok(Kernel { image, root, version })
    }
}

impl Tools {
    pub(super) fn find() -> Result<Tools, Skip> {
        let tools = Tools {
            busybox: program("busybox")?,
            modprobe: program("modprobe")?,
            depmod: program("depmod")?,
            cpio: program("cpio")?,
            strip: program("strip")?,
        };
        if run(Command::new("ldd").arg(&tools.busybox)).is_some_and(|text| text.contains("=>")) {
            return Err(Skip::new("busybox is not linked statically (Debian: busybox-static)"));
        }
        Ok(tools)
    }
}

/// Fills a folder and makes a cpio archive of it.
#[track_caller]
pub(super) fn build(kernel: &Kernel, tools: &Tools, plan: &GuestPlan, root: &Path, initrd: &Path) -> Result<(), Skip> {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder)).expect("the folder is ours");
    }
    copy(&tools.busybox, &root.join("bin/busybox"));
    let applets = run(Command::new(&tools.busybox).arg("--list")).unwrap_or_default();
    for applet in applets.lines().filter(|applet| *applet != "busybox" && *applet != "modprobe") {
        symlink("busybox", root.join("bin").join(applet)).expect("each applet is listed once");
    }
    let own = OWN_MODULES.iter().map(|name| (*name).to_owned());
    for module in own.chain(plan.modules.iter().cloned()) {
        add_module(kernel, tools, &module, root)?;
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        let below = Path::new(MODULES).join(&kernel.version).join(list);
        let _ = fs::copy(kernel.root.join(&below), root.join(&below));
    }
    let depmod = run(Command::new(&tools.depmod).arg("-b").arg(root).arg(&kernel.version));
    assert!(depmod.is_some(), "depmod fails on {}", root.display());
    add_program(tools, &tools.modprobe, &root.join("sbin/modprobe"), root);
    for name in &plan.programs {
        let path = program(name)?;
        add_program(tools, &path, &below(root, &path), root);
    }
    for (from, to) in &plan.files {
        add_program(tools, from, &below(root, Path::new(to)), root);
    }
    let init = root.join("init");
    fs::write(&init, INIT).expect("the folder is ours");
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let archive = format!(
        "cd '{}' && find . | '{}' -o -H newc --quiet >'{}'",
        root.display(),
        tools.cpio.display(),
        initrd.display()
    );
    assert!(run(Command::new("sh").arg("-c").arg(archive)).is_some(), "cpio fails on {}", root.display());
    fs::remove_dir_all(root).expect("the folder is ours");
    Ok(())
}

/// A module and what it needs, as modprobe finds them in the kernel's own folder.
fn add_module(kernel: &Kernel, tools: &Tools, name: &str, root: &Path) -> Result<(), Skip> {
    let mut command = Command::new(&tools.modprobe);
    command.arg("-d").arg(&kernel.root).args(["-S", &kernel.version, "--show-depends", name]);
    let Some(listed) = run(&mut command) else {
        return Err(Skip::new(format!("the kernel in {} has no module {name}", kernel.root.display())));
    };
    for path in listed.lines().filter_map(|line| line.trim().strip_prefix("insmod ")) {
        let path = Path::new(path.split_whitespace().next().unwrap_or_default());
        let inside = path.strip_prefix(&kernel.root).expect("it looks there only");
        copy(path, &root.join(inside));
    }
    Ok(())
}

/// A program without its symbols, and its libraries where they are here. Another file is only copied.
fn add_program(tools: &Tools, from: &Path, to: &Path, root: &Path) {
    copy(from, to);
    let Some(listed) = run(Command::new("ldd").arg(from)) else {
        return;
    };
    // Their lines tell where a fault was, and are ten times the program.
    let _ = run(Command::new(&tools.strip).arg("--strip-debug").arg(to));
    let paths = listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    for library in paths.map(Path::new).filter(|library| library.is_absolute()) {
        copy(library, &below(root, library));
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[track_caller]
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("it is below the root")).expect("the folder is ours");
    fs::copy(from, to).unwrap_or_else(|error| panic!("copying {} to {}: {error}", from.display(), to.display()));
}

/// What a program says that ends well.
fn run(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

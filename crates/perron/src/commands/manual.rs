use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::print;
use crate::cli::Cli;

/// `perron completions`.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "perron", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// `perron man`.
pub(crate) fn man(folder: &Path) -> anyhow::Result<ExitCode> {
    let writing = || format!("writing the manual to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(writing)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(writing)?;
    println!("the manual is in {}; read it with: man -l {}/perron.1", folder.display(), folder.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_and_the_hidden_one_none() {
        let folder = tempfile::tempdir().unwrap();
        man(&folder.path().join("man1")).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name));
        assert!(page("perron.1").unwrap().contains("front door"));
        assert!(page("perron-server-weight.1").unwrap().contains("share"));
        assert!(page("perron-serve.1").is_err());
    }
}

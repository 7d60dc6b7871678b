//! `cargo xtask`: what keeps the repository in order.

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy                   check the repository's rules
       cargo xtask ratchet                lower the ratchet to the sizes that functions and files have shrunk to
       cargo xtask corpus unpack TARGET   write fuzz/corpora/TARGET.txt as files, for fuzzing
       cargo xtask corpus pack TARGET     write it anew from the files that fuzzing left";

fn main() -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => {
            let problems = xtask::tidy::check(&root)?;
            for problem in &problems {
                eprintln!("{problem}");
            }
            if problems.is_empty() {
                println!("tidy: nothing to complain about");
                return Ok(ExitCode::SUCCESS);
            }
            eprintln!("tidy: {} to mend", problems.len());
            Ok(ExitCode::FAILURE)
        }
        ["ratchet"] => {
            xtask::tidy::lower_ratchet(&root)?;
            Ok(ExitCode::SUCCESS)
        }
        ["corpus", "unpack", target] => {
            xtask::corpus::unpack(&root, target)?;
            Ok(ExitCode::SUCCESS)
        }
        ["corpus", "pack", target] => {
            xtask::corpus::pack(&root, target)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

//! What fuzzing has found once is tried at every change.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use xtask::corpus;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Tries every kept input, and the empty one.
fn replay(name: &str) {
    let (_, target) = replay::TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let text = fs::read_to_string(corpus::text_path(&root(), name)).expect("a text of inputs");
    let inputs = corpus::unpacked(&text).expect("escaped inputs");
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    let failed: Vec<String> = [vec![Vec::new()], inputs]
        .concat()
        .iter()
        .filter(|input| catch_unwind(AssertUnwindSafe(|| target(input))).is_err())
        .map(|input| input.escape_ascii().to_string())
        .collect();
    assert!(failed.is_empty(), "{name} does not hold for\n{}", failed.join("\n"));
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_fuzzed_and_replayed() {
            let known = BTreeSet::from(replay::TARGETS.map(|(name, _)| name.to_owned()));
            assert_eq!(BTreeSet::from([$(stringify!($name).to_owned()),*]), known);
            assert_eq!(names("fuzz/fuzz_targets", ".rs"), known);
            assert_eq!(names("fuzz/corpora", ".txt"), known);
        }
    };
}

replayed! {
    announcement authority capture_file cgi_head channel check_answer chunked conditional config dns_query fastcgi_answer fastcgi_request files http2_frames http2_head http2_server load_report messages path peer probe_answer proxy_header range request_head response_head stick vrrp_advert
}

/// The names of a folder's files, without their ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
    names.map(|name| name.strip_suffix(ending).expect("the ending of all").to_owned()).collect()
}

//! Whatever is asked of a tree of files, the answer is whole, says its length, and holds nothing from beside the tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::files(bytes));

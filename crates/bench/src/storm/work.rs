//! Files of known noise, and the list of what the clients are to fetch: the same for every director.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// Sizes go from this …
const SMALLEST: f64 = 1024.0;

/// … to this, in equal ratios: each octave is fetched as often as any other.
const LARGEST: f64 = 100.0 * 1024.0 * 1024.0;

/// Different files.
const FILES: usize = 48;

/// Files are windows on this much noise, which repeats; prime, so that no file's offset falls on another's by a round number.
const PERIOD: usize = 1_048_573;

/// As much of a file is compared at once.
pub(crate) const PIECE: usize = 256 * 1024;

/// Where in the noise a file begins: this often its number.
const STRIDE: usize = 7919;

/// What is served and fetched.
#[derive(Debug)]
pub(crate) struct Work {
    noise: Vec<u8>,
    sizes: Vec<u64>,
    list: Vec<usize>,
}

impl Work {
    /// Files, and a list of them of `volume` bytes in all (and at most one file more), by chance from `seed`.
    pub(crate) fn new(seed: u64, volume: u64) -> Work {
        let mut chance = Chance(seed);
        let mut noise: Vec<u8> = (0..PERIOD.div_ceil(8)).flat_map(|_| chance.next().to_le_bytes()).collect();
        noise.truncate(PERIOD);
        noise.extend_from_within(..PIECE);
        let ratio = LARGEST / SMALLEST;
        let sizes: Vec<u64> =
            (0..FILES).map(|file| (SMALLEST * ratio.powf(file as f64 / (FILES - 1) as f64)).round() as u64).collect();
        let (mut list, mut drawn) = (Vec::new(), 0);
        while drawn < volume {
            let file = usize::try_from(chance.next() % FILES as u64).expect("a small number");
            drawn += sizes[file];
            list.push(file);
        }
        Work { noise, sizes, list }
    }

    /// Lays the files out.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (file, &size) in self.sizes.iter().enumerate() {
            let path = folder.join(name(file));
            let mut out = fs::File::create(&path).with_context(|| path.display().to_string())?;
            let mut at = 0;
            while at < size {
                let piece = self.piece(file, at);
                let part = usize::try_from(size - at).unwrap_or(usize::MAX).min(piece.len());
                out.write_all(&piece[..part]).with_context(|| path.display().to_string())?;
                at += part as u64;
            }
        }
        Ok(())
    }

    /// The files to fetch, in this order.
    pub(crate) fn list(&self) -> &[usize] {
        &self.list
    }

    /// A file's bytes.
    pub(crate) fn size(&self, file: usize) -> u64 {
        self.sizes[file]
    }

    /// All bytes of the list.
    pub(crate) fn volume(&self) -> u64 {
        self.list.iter().map(|&file| self.sizes[file]).sum()
    }

    /// Whether these are a file's bytes from `at` on.
    pub(crate) fn is_right(&self, file: usize, at: u64, bytes: &[u8]) -> bool {
        bytes.chunks(PIECE).zip(0_u64..).all(|(piece, number)| {
            let right = self.piece(file, at + number * PIECE as u64);
            piece == &right[..piece.len()]
        })
    }

    fn piece(&self, file: usize, at: u64) -> &[u8] {
        let begin = (at + (file * STRIDE) as u64) % PERIOD as u64;
        let begin = usize::try_from(begin).expect("below the period");
        &self.noise[begin..begin + PIECE]
    }
}

/// A file's name in the tree.
pub(crate) fn name(file: usize) -> String {
    format!("file-{file:02}")
}

/// Numbers by chance that a seed repeats (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_is_expected_of_them_and_nothing_else_is() {
        let work = Work::new(7, 1);
        let folder = tempfile::tempdir().expect("a folder");
        work.write(folder.path()).expect("there is room");
        let file = (0..FILES).find(|&file| work.size(file) > 3 * PIECE as u64).expect("large ones are among them");
        let mut bytes = fs::read(folder.path().join(name(file))).expect("it was written");
        assert_eq!(bytes.len() as u64, work.size(file));
        assert!(work.is_right(file, 0, &bytes));
        assert!(work.is_right(file, 1000, &bytes[1000..]));
        assert!(!work.is_right(file, 1, &bytes), "shifted");
        assert!(!work.is_right(file - 1, 0, &bytes[..1000]), "another file");
        bytes[2 * PIECE] ^= 1;
        assert!(!work.is_right(file, 0, &bytes), "a bit");
    }

    #[test]
    fn lists_repeat_and_have_their_volume() {
        let (one, same, other) = (Work::new(7, 1 << 30), Work::new(7, 1 << 30), Work::new(8, 1 << 30));
        assert_eq!(one.list(), same.list());
        assert_ne!(one.list(), other.list());
        assert!((1 << 30..(1 << 30) + (100 << 20)).contains(&one.volume()));
        assert_eq!((one.size(0), one.size(FILES - 1)), (1024, 104_857_600));
    }
}

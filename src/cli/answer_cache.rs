//! Answers of Prometheus, kept in a folder that the user named: what was read once is not asked for again.
//!
//! One gzipped file an answer, named by a hash of the question; the question stands in its first line, so that
//! two of one hash are told apart. A file that is no such thing is as good as none.

use super::file;
use crate::prometheus::Store;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// More than an answer can have.
const MOST_BYTES: u64 = 256 << 20;

/// A folder of answers.
#[derive(Debug)]
pub(super) struct AnswerCache {
    folder: PathBuf,
}

impl AnswerCache {
    /// Opens the folder and makes it if need be.
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{:016x}.answer.gz", fnv(key.as_bytes())))
    }
}

impl Store for AnswerCache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let file = File::open(self.path(key)).ok()?;
        let mut bytes = Vec::new();
        GzDecoder::new(file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        let answer = bytes.strip_prefix(key.as_bytes())?.strip_prefix(b"\n")?;
        Some(answer.to_vec())
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let written = file::write(&self.path(key), |draft| {
            let mut packed = GzEncoder::new(draft, Compression::fast());
            packed.write_all(key.as_bytes())?;
            packed.write_all(b"\n")?;
            packed.write_all(bytes)?;
            packed.finish().map(drop)
        });
        // Not to have it costs time and nothing else.
        written.ok();
    }
}

/// # Source
/// Fowler, Noll and Vo, FNV-1a with 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_got_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AnswerCache::open(&folder.path().join("new")).unwrap();
        assert_eq!(cache.get("q"), None);
        cache.put("q", b"answer");
        assert_eq!(cache.get("q").as_deref(), Some(&b"answer"[..]));
        std::fs::rename(cache.path("q"), cache.path("other")).unwrap();
        assert_eq!(cache.get("other"), None, "the question is another");
        std::fs::write(cache.path("broken"), b"no gzip").unwrap();
        assert_eq!(cache.get("broken"), None);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

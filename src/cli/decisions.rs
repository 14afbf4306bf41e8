//! The file that `simulate --save-decisions` writes while the simulation runs.

use super::file::{self, Draft};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{self, Write},
    path::Path,
};

/// Takes the lines of the decision log. A run goes on if the disk is full; the first error is kept for
/// its end.
pub(super) struct DecisionFile {
    out: Out,
    is_empty: bool,
    error: Option<io::Error>,
}

enum Out {
    Plain(Draft),
    Gzip(GzEncoder<Draft>),
}

impl DecisionFile {
    /// Gzipped if the name says so.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let draft = Draft::begin(path)?;
        let out = if file::is_gzip(path) {
            Out::Gzip(GzEncoder::new(draft, Compression::default()))
        } else {
            Out::Plain(draft)
        };
        Ok(Self { out, is_empty: true, error: None })
    }

    /// Puts the file in its place; `false` if there was nothing to put there.
    pub(super) fn finish(self) -> io::Result<bool> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.is_empty {
            return Ok(false);
        }
        match self.out {
            Out::Plain(draft) => draft.finish()?,
            Out::Gzip(encoder) => encoder.finish()?.finish()?,
        }
        Ok(true)
    }

    fn keep<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error.get_or_insert(error);
            }
            kind.into()
        })
    }
}

impl Write for DecisionFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = &self.error {
            return Err(error.kind().into());
        }
        self.is_empty = false;
        let done = match &mut self.out {
            Out::Plain(draft) => draft.write(bytes),
            Out::Gzip(encoder) => encoder.write(bytes),
        };
        self.keep(done)
    }

    /// Only the end of the log flushes, and [`DecisionFile::finish`] does more.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl.gz");
        assert!(!DecisionFile::begin(&path).unwrap().finish().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_first_error_is_the_one_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = DecisionFile::begin(&folder.path().join("log.jsonl")).unwrap();
        file.write_all(b"x").unwrap();
        assert!(file.keep::<()>(Err(io::Error::other("disk full"))).is_err());
        assert!(file.keep::<()>(Err(io::Error::other("later"))).is_err());
        assert!(file.write_all(b"y").is_err());
        assert_eq!(file.finish().unwrap_err().to_string(), "disk full");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

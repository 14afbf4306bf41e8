//! From a file to plain text: opening, progress, decompression, and the first bytes for detection.

use super::error::ImportError;
use crate::sim::watch::Watch;
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// Bytes read from the disk at once.
const BLOCK: usize = 256 * 1024;

/// First bytes of the text that are looked at to tell the format.
const HEAD: u64 = 16 * 1024;

/// Starts of files that are no text, and what they are.
const BINARY: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"PAR1", "Parquet"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
];

/// Opens a file; its bytes, as they lie on the disk, are reported to `watch`.
pub(super) fn open<'a>(path: &Path, watch: &'a dyn Watch) -> Result<impl Read + 'a, ImportError> {
    let name = path.display().to_string();
    let failed = |source| ImportError::Read { file: name.clone(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(ImportError::File {
            file: name,
            problem: "this is a folder".to_owned(),
            remedy: "give one file of it".to_owned(),
        });
    }
    Ok(Counted { inner: file, done: 0, total: metadata.len(), watch })
}

/// The text of an input, decompressed if it is gzip, and its first bytes.
pub(super) fn text<'a>(
    file: &str,
    input: impl Read + 'a,
) -> Result<(Box<dyn BufRead + 'a>, Vec<u8>), ImportError> {
    let failed = |source| ImportError::Read { file: file.to_owned(), source };
    let mut raw = BufReader::with_capacity(BLOCK, input);
    let is_gzip = raw.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let mut text: Box<dyn BufRead + 'a> = if is_gzip {
        Box::new(BufReader::with_capacity(BLOCK, Unzipped(MultiGzDecoder::new(raw))))
    } else {
        Box::new(raw)
    };
    let mut head = Vec::new();
    text.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
    if let Some((_, what)) = BINARY.iter().find(|(start, _)| head.starts_with(start)) {
        return Err(ImportError::File {
            file: file.to_owned(),
            problem: format!("this is {what}"),
            remedy: "give UTF-8 text, plain or gzip".to_owned(),
        });
    }
    Ok((Box::new(io::Cursor::new(head.clone()).chain(text)), head))
}

/// Tells the watch how many bytes of the file are read.
struct Counted<'a, R> {
    inner: R,
    done: u64,
    total: u64,
    watch: &'a dyn Watch,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.watch.advanced(self.done, self.total.max(self.done));
        Ok(count)
    }
}

/// Says what a failing decompression means for the user.
struct Unzipped<R>(R);

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the gzip data ends early, the file was cut off: fetch it again",
            ),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the gzip data is damaged ({error}): fetch the file again"),
            ),
            _ => error,
        })
    }
}

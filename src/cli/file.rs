//! Files that a command writes: never over what it reads, and never half.

use anyhow::bail;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Files that are being written beside their targets.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is half written, for an end of the program at which nothing is dropped.
pub(super) fn remove_unfinished() {
    // Nobody is left to be told of errors.
    unfinished().iter().for_each(|part| drop(fs::remove_file(part)));
}

/// Refuses a target that cannot be written, before any work is done for it.
pub(super) fn check_target(out: &Path) -> anyhow::Result<()> {
    if out.is_dir() {
        bail!("{}: this is a folder: name a file to write", out.display());
    }
    let folder = folder_of(out);
    if !folder.is_dir() {
        bail!("{}: there is no folder {}: make it first", out.display(), folder.display());
    }
    Ok(())
}

/// Refuses a target that is an input. Both names may lead to one file.
pub(super) fn refuse_overwriting(out: &Path, input: &Path) -> anyhow::Result<()> {
    let same = match (fs::canonicalize(input), fs::canonicalize(out)) {
        (Ok(input), Ok(out)) => input == out,
        _ => input == out,
    };
    if same {
        bail!("{}: this is the input: name another file to write", out.display());
    }
    Ok(())
}

/// Writes a file that nobody sees half (see [`Draft`]).
pub(super) fn write(
    out: &Path,
    content: impl FnOnce(&mut Draft) -> io::Result<()>,
) -> io::Result<()> {
    let mut draft = Draft::begin(out)?;
    content(&mut draft)?;
    draft.finish()
}

/// A file that is written beside its target and takes its place when finished; dropped before, it is
/// gone and the target untouched. What is there and no plain file (a pipe, `/dev/null`) is written as it
/// is; a link stays a link.
pub(super) struct Draft {
    file: BufWriter<File>,
    /// Where it is written and where it belongs; `None` = written in place, or finished.
    rename: Option<(PathBuf, PathBuf)>,
}

impl Draft {
    pub(super) fn begin(out: &Path) -> io::Result<Self> {
        let out = out.canonicalize().unwrap_or_else(|_| out.to_owned());
        if out.exists() && !out.is_file() {
            return Ok(Self { file: BufWriter::new(File::create(out)?), rename: None });
        }
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = out.with_file_name(name);
        let mut unfinished = unfinished();
        let file = BufWriter::new(File::create(&part)?);
        unfinished.insert(part.clone());
        Ok(Self { file, rename: Some((part, out)) })
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some((part, out)) = self.rename.take() else { return Ok(()) };
        let renamed = fs::rename(&part, out);
        if renamed.is_err() {
            // The first error is the one to tell.
            fs::remove_file(&part).ok();
        }
        unfinished().remove(&part);
        renamed
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.rename {
            fs::remove_file(part).ok();
            unfinished().remove(part);
        }
    }
}

/// Does the name ask for gzip?
pub(super) fn is_gzip(out: &Path) -> bool {
    out.extension().is_some_and(|end| end == "gz")
}

fn folder_of(out: &Path) -> PathBuf {
    match out.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.txt");
        fs::write(&out, "old").unwrap();
        let failed = write(&out, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&out).unwrap(), "old");
        write(&out, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_half_written_is_known_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let is_known = |draft: &Draft| unfinished().contains(&draft.rename.as_ref().unwrap().0);
        let count = || unfinished().iter().filter(|part| part.starts_with(folder.path())).count();
        let kept = Draft::begin(&folder.path().join("kept.txt")).unwrap();
        let given_up = Draft::begin(&folder.path().join("given-up.txt")).unwrap();
        assert!(is_known(&kept) && is_known(&given_up));
        drop(given_up);
        assert_eq!(count(), 1);
        kept.finish().unwrap();
        assert_eq!(count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_its_target_are_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let (input, link) = (folder.path().join("in.csv"), folder.path().join("link.csv"));
        fs::write(&input, "x").unwrap();
        std::os::unix::fs::symlink(&input, &link).unwrap();
        assert!(refuse_overwriting(&link, &input).is_err());
        assert!(refuse_overwriting(&folder.path().join("new.csv"), &input).is_ok());
        write(&link, |file| file.write_all(b"y")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&input).unwrap(), "y");
    }
}

//! Files that a command writes: never over what it reads, and never half.

use anyhow::bail;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

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

/// Writes beside the target and renames, so that nobody sees half a file. What is there and no plain
/// file (a pipe, `/dev/null`) is written as it is; a link stays a link.
pub(super) fn write(
    out: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let out = out.canonicalize().unwrap_or_else(|_| out.to_owned());
    if out.exists() && !out.is_file() {
        return write_to(&out, content);
    }
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = out.with_file_name(name);
    let written = write_to(&part, content).and_then(|()| fs::rename(&part, &out));
    if written.is_err() {
        // The first error is the one to tell.
        fs::remove_file(&part).ok();
    }
    written
}

fn write_to(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    content(&mut file)?;
    file.flush()
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

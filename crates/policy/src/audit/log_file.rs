//! [`LogFile`], a file that lines are appended to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file that lines are appended to. An append is durable as a whole, or it is undone.
///
/// The file is reopened once another one, or none, is at its path.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    file: File,
    /// The length up to the last complete append.
    length: u64,
    /// Whether a failed append may have left something behind `length`.
    is_dirty: bool,
    /// Whether a process ended within the last line, which was never acknowledged.
    is_within_line: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        if is_new {
            sync_directory(path)?;
        }
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            is_dirty: false,
            is_within_line: last != *b"\n",
        })
    }

    /// Appends lines and waits until they are durable.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_dirty {
            self.file.set_len(self.length)?;
            self.is_dirty = false;
        }
        if !self.is_at_its_path() {
            *self = Self::open(&self.path)?;
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.is_dirty = true;
        let end_of_line: &[u8] = if self.is_within_line { b"\n" } else { b"" };
        let written = self.file.write_all(&[end_of_line, lines].concat());
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.length += (end_of_line.len() + lines.len()) as u64;
                self.is_within_line = false;
            }
            Err(error) => {
                // A second failure leaves the file dirty until the next append.
                self.file.set_len(self.length)?;
                self.is_dirty = false;
                return Err(error);
            }
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Moves all lines to another file, and returns that file's bytes. An earlier take that was not completed is
    /// returned again, and no line is moved. It needs no room on the disk.
    pub(super) fn take(&mut self, to: &Path) -> io::Result<Vec<u8>> {
        if !to.exists() {
            self.append(b"")?;
            fs::rename(&self.path, to)?;
            sync_directory(&self.path)?;
            *self = Self::open(&self.path)?;
        }
        fs::read(to)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[cfg(unix)]
    fn is_at_its_path(&self) -> bool {
        use std::os::unix::fs::MetadataExt;

        let same = |file: fs::Metadata, path: fs::Metadata| {
            (file.dev(), file.ino()) == (path.dev(), path.ino()) && file.len() >= self.length
        };
        let metadata = self.file.metadata().ok().zip(fs::metadata(&self.path).ok());
        metadata.is_some_and(|(file, path)| same(file, path))
    }

    /// Files have no identity here: only a file that is gone is noticed.
    #[cfg(not(unix))]
    fn is_at_its_path(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|path| path.len() >= self.length)
    }
}

/// Makes it durable that a file was created, moved or removed.
#[cfg(unix)]
fn sync_directory(of: &Path) -> io::Result<()> {
    let directory = of.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    /// A path that is removed at the end.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("log-file-{name}-{}", process::id()));
            let _ = fs::remove_file(&path);
            Self(path)
        }

        fn text(&self) -> String {
            fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn rest_of_a_failed_append_is_removed_before_the_next_one() {
        let path = Temporary::new("failed");
        let mut log = LogFile::open(&path.0).unwrap();
        log.append(b"one\n").unwrap();
        log.file.write_all(b"half of").unwrap();
        log.is_dirty = true;
        log.append(b"two\n").unwrap();
        assert_eq!(path.text(), "one\ntwo\n");
    }

    #[test]
    fn line_that_a_killed_process_left_incomplete_stands_alone() {
        let path = Temporary::new("killed");
        fs::write(&path.0, "one\nhalf of").unwrap();
        let mut log = LogFile::open(&path.0).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(path.text(), "one\nhalf of\ntwo\n");
        assert_eq!(log.length, path.text().len() as u64);
    }

    #[test]
    fn file_that_was_rotated_or_truncated_is_begun_again() {
        let (path, old) = (Temporary::new("rotated"), Temporary::new("old"));
        let mut log = LogFile::open(&path.0).unwrap();
        log.append(b"one\n").unwrap();
        fs::rename(&path.0, &old.0).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!((old.text(), path.text()), ("one\n".into(), "two\n".into()));
        fs::write(&path.0, "").unwrap();
        log.append(b"three\n").unwrap();
        log.append(b"four\n").unwrap();
        assert_eq!(path.text(), "three\nfour\n");
        assert_eq!(log.length, path.text().len() as u64);
    }

    #[test]
    fn take_that_was_not_completed_is_returned_again() {
        let (path, taken) = (Temporary::new("spool"), Temporary::new("taken"));
        let mut log = LogFile::open(&path.0).unwrap();
        log.append(b"one\n").unwrap();
        assert_eq!(log.take(&taken.0).unwrap(), b"one\n");
        log.append(b"two\n").unwrap();
        assert_eq!(log.take(&taken.0).unwrap(), b"one\n");
        assert_eq!(path.text(), "two\n");
        fs::remove_file(&taken.0).unwrap();
        assert_eq!(log.take(&taken.0).unwrap(), b"two\n");
        assert!(log.is_empty() && path.text().is_empty());
    }
}

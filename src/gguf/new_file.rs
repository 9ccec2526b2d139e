//! A file that gets its name when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A new file in the folder of its final path, under no name (where the system can do that) or a
/// temporary one.
///
/// Without a name, nothing is left of it even if the process is killed. With one, it is removed
/// when this value is dropped.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    /// The name that is to be removed.
    temporary: Option<PathBuf>,
    target: PathBuf,
}

/// A [`NewFile`] whose bytes are on the disk.
#[derive(Debug)]
pub(super) struct SyncedFile(NewFile);

impl NewFile {
    /// A file that is to be at `path`, which may exist; if it is a link, the file it points to is
    /// the one that is replaced.
    pub fn create(path: &Path) -> io::Result<NewFile> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match nameless(folder(&target)) {
            Ok(file) => Ok(NewFile { file, temporary: None, target }),
            Err(_) => Self::create_named(target),
        }
    }

    fn create_named(target: PathBuf) -> io::Result<NewFile> {
        let (temporary, file) = with_new_name(&target, |name| {
            OpenOptions::new().write(true).create_new(true).open(name)
        })?;
        Ok(NewFile { file, temporary: Some(temporary), target })
    }

    /// Waits until the bytes are on the disk.
    pub fn sync(self) -> io::Result<SyncedFile> {
        self.file.sync_all()?;
        Ok(SyncedFile(self))
    }
}

impl SyncedFile {
    /// Gives the file its name, in place of a file that had it.
    pub fn rename(self) -> io::Result<()> {
        let SyncedFile(mut new) = self;
        if new.temporary.is_none() {
            // A link cannot replace a file, a rename can.
            new.temporary = Some(with_new_name(&new.target, |name| link(&new.file, name))?.0);
        }
        if let Some(temporary) = &new.temporary {
            fs::rename(temporary, &new.target)?;
        }
        new.temporary = None;
        // The name too should survive a loss of power. Some systems cannot sync a folder; the file is
        // in place all the same.
        let _ = File::open(folder(&new.target)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nobody is there to be told.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Calls `make` with names beside `target` until it makes something under one.
fn with_new_name<T>(
    target: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        let number = NUMBER.fetch_add(1, Relaxed);
        name.push(format!(".{}-{number}.new", std::process::id()));
        let path = target.with_file_name(name);
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file in `folder` without a name.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).mode(0o666).custom_flags(libc::O_TMPFILE).open(folder)
}

/// Names a file that has none.
#[cfg(target_os = "linux")]
fn link(file: &File, name: &Path) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::{fd::AsRawFd, unix::ffi::OsStrExt};
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = CString::new(name.as_os_str().as_bytes())?;
    // SAFETY: both are strings that end in 0 and outlive the call.
    let result = unsafe {
        libc::linkat(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, and what it holds.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("quintile-new-file-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            let mut names: Vec<_> =
                entries.map(|entry| name(entry).into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn both_kinds(test: &str, check: impl Fn(&Folder, &dyn Fn(&Path) -> NewFile)) {
        check(&Folder::new(test), &|path| NewFile::create(path).unwrap());
        check(&Folder::new(test), &|path| NewFile::create_named(path.to_owned()).unwrap());
    }

    #[test]
    fn a_file_replaces_the_old_one_only_when_it_is_renamed() {
        both_kinds("replace", |folder, create| {
            let path = folder.0.join("a");
            fs::write(&path, "old").unwrap();
            let mut file = create(&path);
            file.write_all(b"new").unwrap();
            let file = file.sync().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"old");
            file.rename().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(folder.names(), ["a"]);
        });
    }

    #[test]
    fn a_file_that_is_dropped_leaves_nothing() {
        both_kinds("drop", |folder, create| {
            let path = folder.0.join("a");
            let mut file = create(&path);
            file.write_all(b"new").unwrap();
            drop(file);
            assert!(folder.names().is_empty());
            drop(create(&path).sync().unwrap());
            assert!(folder.names().is_empty());
        });
    }

    #[test]
    fn names_that_are_taken_are_passed_over() {
        both_kinds("taken", |folder, create| {
            let path = folder.0.join("a");
            let first = create(&path);
            let second = create(&path);
            first.sync().unwrap().rename().unwrap();
            second.sync().unwrap().rename().unwrap();
            assert_eq!(folder.names(), ["a"]);
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        both_kinds("link", |folder, create| {
            let (path, other) = (folder.0.join("a"), folder.0.join("b"));
            fs::write(&path, "old").unwrap();
            std::os::unix::fs::symlink(&path, &other).unwrap();
            let target = other.canonicalize().unwrap();
            let mut file = create(&target);
            file.write_all(b"new").unwrap();
            file.sync().unwrap().rename().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert!(other.symlink_metadata().unwrap().is_symlink());
        });
    }
}

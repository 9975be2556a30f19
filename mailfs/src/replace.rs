//! A file that takes the place of another.

use std::path::Path;

use crate::{ErrorKind, Fs, FsError, Metadata};

/// Writes a whole file under a name of its own, `written`, and lets it take the place of `path`, which need not be there: whoever
/// reads it finds the old one or the new one, also after a power cut. Gives what is known of the new one. Which of the two it is after a
/// power cut is settled by a sync of the directory, which is the caller's.
///
/// `check` is asked when the new file is durable, just before the rename: such as whether a lock is still held. What lies at `written` is taken for
/// what a crash has left, and is removed; on an error nothing is left there.
///
/// ```
/// use pillarbox_fs::{Fs, FsError, RealFs, replace_file};
/// # let dir = tempfile::tempdir().unwrap();
///
/// let (written, path) = (dir.path().join("list.tmp"), dir.path().join("list"));
/// replace_file(&RealFs, &written, &path, b"1 a\n", || Ok::<(), FsError>(()))?;
/// RealFs.sync_dir(dir.path())?;
/// assert_eq!(RealFs.read(&path, 100)?, b"1 a\n");
/// # Ok::<(), FsError>(())
/// ```
///
/// # Errors
///
/// What the file system refuses, and what `check` does. The old file is in its place then.
pub fn replace_file<E: From<FsError>>(
    fs: &(impl Fs + ?Sized),
    written: &Path,
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce() -> Result<(), E>,
) -> Result<Metadata, E> {
    let mut file = match fs.create(written) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs.unlink(written)?;
            fs.create(written)?
        }
        created => created?,
    };
    let metadata = file.write(bytes).and_then(|()| file.sync()).and_then(|()| file.metadata());
    let replaced =
        metadata.and_then(|metadata| file.close().map(|()| metadata)).map_err(E::from).and_then(|metadata| {
            check()?;
            fs.rename(written, path)?;
            Ok(metadata)
        });
    if replaced.is_err() {
        // If this fails as well, the next one removes it.
        let _ = fs.unlink(written);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimulatedFs;
    use crate::testing::Watched;

    const OLD: &[u8] = b"old";
    const NEW: &[u8] = b"the new one";

    fn names(fs: &dyn Fs, dir: &Path) -> Vec<String> {
        fs.list(dir).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
    }

    #[test]
    fn an_error_leaves_the_old_file_and_nothing_else() {
        for n in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (written, path) = (dir.path().join("x.tmp"), dir.path().join("x"));
            let fs = Watched::new(crate::RealFs);
            replace_file(&fs, &written, &path, OLD, || Ok::<(), FsError>(())).unwrap();
            fs.fail_at(n, 5);
            let replaced = replace_file(&fs, &written, &path, NEW, || Ok::<(), FsError>(()));
            if fs.heal() {
                assert_eq!(replaced.unwrap().len, NEW.len() as u64);
                assert_eq!(fs.read(&path, 100).unwrap(), NEW);
                assert!(n >= 4, "{n} operations");
                break;
            }
            replaced.unwrap_err();
            assert_eq!(fs.read(&path, 100).unwrap(), OLD, "operation {n}");
            assert_eq!(names(&fs, dir.path()), ["x"], "operation {n}");
        }
    }

    #[test]
    fn a_check_that_fails_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let (written, path) = (dir.path().join("x.tmp"), dir.path().join("x"));
        let fs = crate::RealFs;
        replace_file(&fs, &written, &path, OLD, || Ok::<(), FsError>(())).unwrap();
        let refuse = || Err(FsError::with_kind(crate::Op::Rename, &path, ErrorKind::Io, "the lock is lost"));
        assert_eq!(replace_file(&fs, &written, &path, NEW, refuse).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(fs.read(&path, 100).unwrap(), OLD);
        assert_eq!(names(&fs, dir.path()), ["x"]);
    }

    #[test]
    fn a_power_cut_leaves_the_old_one_or_the_new_one() {
        let disk = SimulatedFs::new();
        let (written, path) = (Path::new("/x.tmp"), Path::new("/x"));
        let replace = |bytes| replace_file(&disk, written, path, bytes, || Ok::<(), FsError>(())).unwrap();
        replace(OLD);
        disk.sync_dir(Path::new("/")).unwrap();
        disk.record();
        // What a crash has left is in nobody's way.
        drop(disk.create(written).unwrap());
        replace(NEW);
        let mut seen = std::collections::BTreeSet::new();
        for crash in disk.recorded() {
            for image in crash.images(50, 1) {
                seen.insert(image.read(path, 100).unwrap());
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [OLD, NEW]);
    }
}

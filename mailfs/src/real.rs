//! The machine's own file system.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;

use crate::fs::create_locked_in_steps;
use crate::{Entry, ErrorKind, File, Fs, FsError, Kind, Metadata, Op, RawFile, Result, Space};

/// The machine's own file system, by plain blocking calls.
///
/// ```
/// # use pillarbox_fs::{Fs, Kind, RealFs};
/// # let dir = tempfile::tempdir().unwrap();
/// let folder = dir.path().join("new");
/// RealFs.make_dir(&folder)?;
/// assert_eq!(RealFs.metadata(&folder)?.kind, Kind::Directory);
/// assert!(RealFs.list(&folder)?.is_empty());
/// # Ok::<(), pillarbox_fs::FsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

// A symbolic link planted in a mail directory must not lead us elsewhere, and a pipe must not hold us up: the kind is
// checked on the open descriptor, so nothing can be swapped in between.
const GUARD: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

impl Fs for RealFs {
    fn create(&self, path: &Path) -> Result<File> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| FsError::new(Op::Create, path, e))?;
        Ok(File::new(path, Box::new(RealFile { file, lock: None })))
    }

    fn create_locked(&self, path: &Path, bytes: &[u8]) -> Result<File> {
        match create_and_name(path, bytes) {
            Ok(file) => Ok(File::new(path, Box::new(file))),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(FsError::new(Op::Create, path, e)),
            Err(_) => create_locked_in_steps(self, path, bytes),
        }
    }

    fn open(&self, path: &Path) -> Result<File> {
        open_regular(fs::OpenOptions::new().read(true), path)
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        open_regular(fs::OpenOptions::new().read(true).append(true), path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| FsError::new(Op::Rename, to, e))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).map_err(|e| FsError::new(Op::Link, to, e))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|e| FsError::new(Op::Unlink, path, e))
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path).map_err(|e| FsError::new(Op::MakeDir, path, e))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(|e| FsError::new(Op::RemoveDir, path, e))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let sync = || {
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?.sync_all()
        };
        sync().map_err(|e| FsError::new(Op::SyncDir, path, e))
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.list_each(path, &mut |name, kind| entries.push(Entry::new(name.to_owned(), kind)))?;
        Ok(entries)
    }

    fn list_each(&self, path: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        let mut list = || {
            // A link may lead to somebody else's mail.
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
            for entry in Dir::open(path, flags, Mode::empty())?.iter() {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let kind = match entry.file_type() {
                    Some(Type::File) => Kind::File,
                    Some(Type::Directory) => Kind::Directory,
                    Some(_) => Kind::Other,
                    // Some file systems have to be asked, and the file may be gone by then.
                    None => match fs::symlink_metadata(path.join(name)) {
                        Ok(metadata) => kind_of(metadata.file_type()),
                        Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                        Err(e) => return Err(e),
                    },
                };
                show(name, kind);
            }
            Ok(())
        };
        list().map_err(|e| FsError::new(Op::List, path, e))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        let metadata = fs::symlink_metadata(path).and_then(|m| metadata_of(&m));
        metadata.map_err(|e| FsError::new(Op::Metadata, path, e))
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let stat = nix::sys::statvfs::statvfs(path).map_err(|e| FsError::new(Op::Space, path, e.into()))?;
        // The widths of these fields differ between systems.
        #[allow(clippy::unnecessary_cast)]
        let (size, blocks, files, free) = (
            stat.fragment_size() as u64,
            stat.blocks_available() as u64,
            stat.files() as u64,
            stat.files_available() as u64,
        );
        // btrfs and others have no table of inodes and report a total of 0.
        Ok(Space::new(blocks.saturating_mul(size), if files == 0 { u64::MAX } else { free }))
    }

    fn boot(&self) -> Option<u128> {
        static BOOT: OnceLock<Option<u128>> = OnceLock::new();
        *BOOT.get_or_init(boot_id)
    }
}

/// Linux makes a new one at each start.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn boot_id() -> Option<u128> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}

struct RealFile {
    file: fs::File,
    /// Of the same opening of the file, so that the lock is that opening's.
    lock: Option<Flock<fs::File>>,
}

impl RawFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        if self.lock.is_some() {
            return Ok(true);
        }
        match Flock::lock(self.file.try_clone()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(true)
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(false),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().and_then(|m| metadata_of(&m))
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        nix::unistd::close(self.file).map_err(io::Error::from)
    }
}

/// A locked file that gets its name last.
#[cfg(target_os = "linux")]
fn create_and_name(path: &Path, bytes: &[u8]) -> io::Result<RealFile> {
    use std::os::fd::AsRawFd;

    use nix::fcntl::{AT_FDCWD, AtFlags};

    // Who waits asks again and again, and this costs least.
    if fs::symlink_metadata(path).is_ok() {
        return Err(Errno::EEXIST.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let nameless =
        fs::OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_TMPFILE.bits()).mode(0o600).open(parent)?;
    let mut file = RealFile { file: nameless, lock: None };
    if !file.try_lock()? {
        return Err(Errno::EWOULDBLOCK.into());
    }
    file.write(bytes)?;
    // Without this directory there is no naming it: the call that names an open file is for root only.
    let open = format!("/proc/self/fd/{}", file.file.as_raw_fd());
    nix::unistd::linkat(AT_FDCWD, open.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn create_and_name(_: &Path, _: &[u8]) -> io::Result<RealFile> {
    Err(Errno::EOPNOTSUPP.into())
}

fn open_regular(options: &mut fs::OpenOptions, path: &Path) -> Result<File> {
    let file = options.custom_flags(GUARD.bits()).open(path).map_err(|e| FsError::new(Op::Open, path, e))?;
    let metadata = file.metadata().map_err(|e| FsError::new(Op::Open, path, e))?;
    if !metadata.is_file() {
        return Err(FsError::with_kind(Op::Open, path, ErrorKind::WrongKind, "not a regular file"));
    }
    Ok(File::new(path, Box::new(RealFile { file, lock: None })))
}

fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Directory
    } else {
        Kind::Other
    }
}

/// What nobody can set, other than by a change. Before 1970 there was none.
fn changed(metadata: &fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn metadata_of(metadata: &fs::Metadata) -> io::Result<Metadata> {
    let id = (metadata.dev(), metadata.ino());
    let (kind, mut modified) = (kind_of(metadata.file_type()), metadata.modified()?);
    if kind == Kind::Directory {
        modified = modified.max(changed(metadata));
    }
    Ok(Metadata::new(kind, metadata.len(), modified, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        RealFs.create(&path).unwrap().close().unwrap();
        assert_eq!(RealFs.create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let sub = dir.path().join("d");
        RealFs.make_dir(&sub).unwrap();
        assert_eq!(fs::metadata(&sub).unwrap().mode() & 0o7777, 0o700);
    }

    // MDR-11
    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "x").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [&link, &pipe, &socket, &dir.path().to_path_buf()] {
            assert_eq!(RealFs.open(path).unwrap_err().kind(), ErrorKind::WrongKind, "{path:?}");
            assert_eq!(RealFs.open_append(path).unwrap_err().kind(), ErrorKind::WrongKind, "{path:?}");
        }
        assert_eq!(RealFs.metadata(&link).unwrap().kind, Kind::Other);
        let mut kinds: Vec<_> = RealFs.list(dir.path()).unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
        kinds.sort();
        let expected = [("link", Kind::Other), ("pipe", Kind::Other), ("socket", Kind::Other), ("target", Kind::File)];
        assert_eq!(kinds, expected.map(|(n, k)| (n.into(), k)));
    }

    #[test]
    fn appending_reading_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut file = RealFs.create(&path).unwrap();
        file.write(b"one").unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.set_modified(time).unwrap();
        file.sync().unwrap();
        file.close().unwrap();
        assert_eq!(RealFs.metadata(&path).unwrap().modified, time);
        let mut file = RealFs.open_append(&path).unwrap();
        file.write(b"two").unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.metadata().unwrap().len, 6);
        let mut buffer = [0; 10];
        assert_eq!(file.read_at(2, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"etwo");
        assert_eq!(RealFs.read(&path, 6).unwrap(), b"onetwo");
        assert_eq!(RealFs.read(&path, 5).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(RealFs.space(dir.path()).unwrap().bytes > 0);
    }

    #[test]
    fn a_directory_whose_time_was_put_back_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let before = RealFs.metadata(dir.path()).unwrap().modified;
        fs::File::open(dir.path()).unwrap().set_modified(before - Duration::from_secs(3600)).unwrap();
        assert!(RealFs.metadata(dir.path()).unwrap().modified >= before);
        let path = dir.path().join("a");
        let mut file = RealFs.create(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(RealFs.metadata(&path).unwrap().modified, SystemTime::UNIX_EPOCH, "of a file it is a date");
    }

    #[test]
    fn a_lock_goes_with_the_file_and_ends_with_the_handle() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        let mut first = RealFs.create(&path).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(first.try_lock().unwrap(), "who has it has it");
        let mut second = RealFs.open_append(&path).unwrap();
        assert!(!second.try_lock().unwrap());
        second.write(b"it binds those who ask").unwrap();
        RealFs.rename(&path, &other).unwrap();
        assert!(RealFs.create(&path).unwrap().try_lock().unwrap(), "another file of that name");
        assert!(!RealFs.open_append(&other).unwrap().try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
        second.close().unwrap();
        assert!(RealFs.open(&other).unwrap().try_lock().unwrap());
    }

    #[test]
    fn a_file_is_locked_from_the_moment_on_when_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        type Create = fn(&Path, &[u8]) -> Result<File>;
        let ways: [(&str, Create); 2] = [
            ("at once", |path, bytes| RealFs.create_locked(path, bytes)),
            ("in steps", |path, bytes| create_locked_in_steps(&RealFs, path, bytes)),
        ];
        for (way, create) in ways {
            let path = dir.path().join(way);
            let first = create(&path, b"mine").unwrap();
            assert_eq!(RealFs.read(&path, 10).unwrap(), b"mine", "{way}");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600, "{way}");
            assert_eq!(create(&path, b"other").unwrap_err().kind(), ErrorKind::AlreadyExists, "{way}");
            assert!(!RealFs.open_append(&path).unwrap().try_lock().unwrap(), "{way}");
            drop(first);
            assert!(RealFs.open_append(&path).unwrap().try_lock().unwrap(), "{way}");
            assert_eq!(RealFs.read(&path, 10).unwrap(), b"mine", "{way}");
        }
        assert_eq!(RealFs.create_locked(&dir.path().join("no/x"), b"").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn of_those_who_name_a_file_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..50 {
            let path = dir.path().join(n.to_string());
            let made: Vec<bool> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| create_and_name(&path, b"x").is_ok())).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(made.iter().filter(|made| **made).count(), 1);
        }
    }

    #[test]
    fn a_run_of_the_system_has_one_number() {
        assert_eq!(RealFs.boot(), RealFs.boot());
        assert_eq!(RealFs.boot().is_some(), Path::new(BOOT_ID).exists());
    }

    #[test]
    fn errors_tell_the_full_disk_from_the_used_up_quota() {
        use nix::errno::Errno;
        for (errno, kind, temporary) in [
            (Errno::ENOSPC, ErrorKind::NoSpace, true),
            (Errno::EDQUOT, ErrorKind::QuotaExceeded, true),
            (Errno::EROFS, ErrorKind::ReadOnly, true),
            (Errno::EMFILE, ErrorKind::TooManyOpenFiles, true),
            (Errno::ENFILE, ErrorKind::TooManyOpenFiles, true),
            (Errno::EIO, ErrorKind::Io, true),
            (Errno::EACCES, ErrorKind::PermissionDenied, true),
            (Errno::ENOENT, ErrorKind::NotFound, false),
            (Errno::EEXIST, ErrorKind::AlreadyExists, false),
            (Errno::ENAMETOOLONG, ErrorKind::NameTooLong, false),
            (Errno::EXDEV, ErrorKind::CrossDevice, false),
            (Errno::EMLINK, ErrorKind::TooManyLinks, false),
            (Errno::ENOTEMPTY, ErrorKind::NotEmpty, false),
            (Errno::ELOOP, ErrorKind::WrongKind, false),
        ] {
            let error = FsError::new(Op::Write, "x", errno.into());
            assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{errno}");
        }
    }
}

//! What can go wrong, sorted by what the caller should do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file operation that failed: which one, on what, and why.
///
/// It can be cloned, because one failed sync fails everyone who waited for it.
///
/// ```
/// use pillarbox_fs::{ErrorKind, Fs, RealFs};
/// use std::path::Path;
///
/// let error = RealFs.read(Path::new("/no/such/file"), 100).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(!error.is_temporary());
/// assert!(error.to_string().starts_with("open /no/such/file: "));
/// ```
#[derive(Clone, Debug)]
pub struct FsError {
    op: Op,
    path: PathBuf,
    kind: ErrorKind,
    source: Arc<io::Error>,
}

/// The result of a file operation.
pub type Result<T> = std::result::Result<T, FsError>;

/// The operation that failed; also the word for it in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Making a new file.
    Create,
    /// Opening a file for reading or appending.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Setting the modification time.
    Touch,
    /// Syncing a file.
    Sync,
    /// Closing a file.
    Close,
    /// Syncing a directory.
    SyncDir,
    /// Giving a file another name.
    Rename,
    /// Giving a file one more name.
    Link,
    /// Removing a name.
    Unlink,
    /// Making a directory.
    MakeDir,
    /// Removing an empty directory.
    RemoveDir,
    /// Listing a directory.
    List,
    /// Asking for size, time and kind.
    Metadata,
    /// Asking how much space is left.
    Space,
    /// Taking the lock on a file.
    Lock,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file or directory.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// Not a regular file (a symbolic link, a pipe, a device) or not a directory, where one is required.
    WrongKind,
    /// The directory to remove, or to rename over, is not empty.
    NotEmpty,
    /// The name or path is too long for the file system.
    NameTooLong,
    /// More bytes than the caller allowed for.
    TooLarge,
    /// The two names are on different file systems, so no link or rename joins them.
    CrossDevice,
    /// The file has as many names as the file system allows.
    TooManyLinks,
    /// No space or no inode left on the device.
    NoSpace,
    /// The user's or group's quota on the file system is used up.
    QuotaExceeded,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The process or the system has no file descriptor left.
    TooManyOpenFiles,
    /// The process may not do this; somebody has to repair the installation.
    PermissionDenied,
    /// The file was given up: an earlier write or sync of this handle failed.
    GivenUp,
    /// The file system cannot do this for any file, such as lock one.
    Unsupported,
    /// Anything else the device or the kernel reports.
    Io,
}

impl FsError {
    /// An error of `op` on `path`, its kind taken from `source`.
    pub fn new(op: Op, path: impl Into<PathBuf>, source: io::Error) -> Self {
        // What a file system answers that syncs no directories.
        let no_such_sync = op == Op::SyncDir && source.raw_os_error() == Some(nix::errno::Errno::EINVAL as i32);
        let kind = if no_such_sync { ErrorKind::Unsupported } else { ErrorKind::of(&source) };
        FsError { op, path: path.into(), kind, source: Arc::new(source) }
    }

    /// An error whose kind is known better than the system's number tells.
    pub fn with_kind(op: Op, path: impl Into<PathBuf>, kind: ErrorKind, text: &'static str) -> Self {
        FsError { op, path: path.into(), kind, source: Arc::new(io::Error::other(text)) }
    }

    /// The operation that failed.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The path it was asked for; of a rename or link, the new name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True if the same operation may work later without any change by the caller: full disks get emptied, devices
    /// mended, rights repaired. Mail that meets such an error is asked to come again, never refused for good.
    pub fn is_temporary(&self) -> bool {
        match self.kind {
            ErrorKind::NoSpace
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnly
            | ErrorKind::TooManyOpenFiles
            | ErrorKind::PermissionDenied
            | ErrorKind::GivenUp
            | ErrorKind::Unsupported
            | ErrorKind::Io => true,
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::WrongKind
            | ErrorKind::NotEmpty
            | ErrorKind::NameTooLong
            | ErrorKind::TooLarge
            | ErrorKind::CrossDevice
            | ErrorKind::TooManyLinks => false,
        }
    }
}

impl ErrorKind {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => ErrorKind::WrongKind,
            io::ErrorKind::DirectoryNotEmpty => ErrorKind::NotEmpty,
            io::ErrorKind::InvalidFilename => ErrorKind::NameTooLong,
            io::ErrorKind::CrossesDevices => ErrorKind::CrossDevice,
            io::ErrorKind::TooManyLinks => ErrorKind::TooManyLinks,
            io::ErrorKind::StorageFull => ErrorKind::NoSpace,
            io::ErrorKind::QuotaExceeded => ErrorKind::QuotaExceeded,
            io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => match error.raw_os_error().map(nix::errno::Errno::from_raw) {
                Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE) => ErrorKind::TooManyOpenFiles,
                // What O_NOFOLLOW answers to a symbolic link, and opening a socket or a driverless device.
                Some(nix::errno::Errno::ELOOP | nix::errno::Errno::ENXIO) => ErrorKind::WrongKind,
                // The last is what a network file system without a lock server answers.
                Some(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS | nix::errno::Errno::ENOLCK) => {
                    ErrorKind::Unsupported
                }
                _ => ErrorKind::Io,
            },
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Create => "create",
            Op::Open => "open",
            Op::Read => "read",
            Op::Write => "write",
            Op::Touch => "touch",
            Op::Sync => "sync",
            Op::Close => "close",
            Op::SyncDir => "sync directory",
            Op::Rename => "rename",
            Op::Link => "link",
            Op::Unlink => "unlink",
            Op::MakeDir => "make directory",
            Op::RemoveDir => "remove directory",
            Op::List => "list",
            Op::Metadata => "inspect",
            Op::Space => "measure",
            Op::Lock => "lock",
        })
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.op, self.path.display(), self.source)
    }
}

impl std::error::Error for FsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

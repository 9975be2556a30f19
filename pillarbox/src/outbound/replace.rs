//! A file that is replaced whole: after a crash it is as it was or as it shall be.

use std::path::Path;

use pillarbox_fs::{ErrorKind, Fs, FsError, replace_file};

/// What the name of a file begins with that is not complete yet.
const UNFINISHED: &str = "tmp-";

/// Writes a file in place of the one before, durable when this returns. Two at a time must not write the same file.
pub(super) fn replace(fs: &dyn Fs, folder: &Path, name: &str, octets: &[u8]) -> Result<(), FsError> {
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    replace_file(fs, &unfinished, &folder.join(name), octets, || Ok::<(), FsError>(()))?;
    fs.sync_dir(folder)
}

/// Removes a file, if it is there.
pub(super) fn remove(fs: &dyn Fs, path: &Path) -> Result<(), FsError> {
    match fs.unlink(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes the folder, if it is not there, and lists the files in it; what a crash left unfinished is removed.
pub(super) fn open(fs: &dyn Fs, folder: &Path) -> Result<Vec<String>, FsError> {
    match fs.make_dir(folder) {
        Ok(()) => fs.sync_dir(folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mut names = Vec::new();
    for entry in fs.list(folder)? {
        let Some(name) = entry.name.to_str().filter(|_| entry.kind == pillarbox_fs::Kind::File) else { continue };
        if name.starts_with(UNFINISHED) {
            remove(fs, &folder.join(name))?;
        } else {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

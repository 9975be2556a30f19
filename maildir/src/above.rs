//! The folders that an account stands in.

use std::path::Path;

use pillarbox_fs::{ErrorKind, FsError, Kind};

use crate::error::NotFound;
use crate::folder::make_dir;
use crate::{Result, Store};

/// Makes the folders above a Maildir where they are missing, and all that lead to it durable, the Maildir itself left out: who made one of
/// them before may not have come to that, and what is delivered below it would go with it.
///
/// ```
/// use pillarbox_maildir::{Options, Store, Tree, make_folders_above};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
///
/// let root = dir.path().join("example.org/joe/Maildir");
/// make_folders_above(&store, &root)?;
/// let tree = Tree::create(&store, root)?;
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
///
/// # Errors
///
/// What the file system refuses. A folder of somebody else's that may not be read, one on a read-only disk, and one whose file system
/// syncs no folders, count as durable where nothing is made in them here.
pub fn make_folders_above(store: &Store, maildir: &Path) -> Result<()> {
    // The dot leads through links: what stands above the mail is the installation's choice.
    let itself = |folder: &Path| folder.join(".");
    let mut missing = Vec::new();
    for folder in maildir.ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty()) {
        match store.fs().metadata(&itself(folder)).if_found()? {
            Some(found) if found.kind == Kind::Directory => break,
            _ => missing.push(folder),
        }
    }
    // So many hold something that is made here: the missing ones, the last of which holds the Maildir, and the one above them.
    let ours = if missing.is_empty() { 0 } else { missing.len() + 1 };
    for folder in missing.into_iter().rev() {
        make_dir(store, folder)?;
    }
    for (n, folder) in maildir.ancestors().skip(1).enumerate() {
        match store.sync_dir(&itself(folder)) {
            Err(error) if n >= ours && is_no_matter(&error) => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Nothing of ours can be pending in a folder that refuses its sync so. The last is what a file system says that syncs no folders.
fn is_no_matter(error: &FsError) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnly | ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use pillarbox_fs::testing::Watched;
    use pillarbox_fs::{Fs, Op, RealFs, SimulatedFs};

    use super::*;
    use crate::{Flags, Options, Tree};

    fn deliver(disk: &SimulatedFs, root: &Path) {
        let store = Store::new(disk.clone(), Options::from_system());
        make_folders_above(&store, root).unwrap();
        let tree = Tree::create(&store, root).unwrap();
        let mut message = tree.mailbox(&crate::MailboxName::inbox()).unwrap().begin().unwrap();
        message.write(b"x\r\n").unwrap();
        message.commit(Flags::NONE, None).unwrap();
    }

    // DUR-02
    #[test]
    fn what_is_delivered_to_a_fresh_account_survives_a_power_cut() {
        let root = Path::new("/mail/example.org/joe/Maildir");
        // The folders are not there, or somebody made them and was killed.
        for made in 0..=3 {
            let disk = SimulatedFs::new();
            for folder in ["/mail", "/mail/example.org", "/mail/example.org/joe"].into_iter().take(made) {
                disk.make_dir(Path::new(folder)).unwrap();
            }
            deliver(&disk, root);
            for image in disk.crash().images(64, 1) {
                assert_eq!(image.list(&root.join("new")).unwrap().len(), 1, "{}", image.dump());
            }
        }
    }

    // DUR-02
    #[test]
    fn a_folder_in_which_something_was_made_has_to_be_synced() {
        for (there, errno) in [(false, 13), (true, 13), (false, 22), (true, 22)] {
            let dir = tempfile::tempdir().unwrap();
            let domain = dir.path().join("example.org");
            if there {
                std::fs::create_dir(&domain).unwrap();
            }
            let refused = dir.path().to_owned();
            let hook = move |path: &Path| {
                let error = || FsError::new(Op::SyncDir, path, std::io::Error::from_raw_os_error(errno));
                if path == refused { Err(error()) } else { Ok(()) }
            };
            let fs = Watched::new(RealFs).on_sync_dir(Box::new(hook));
            let store = Store::new(fs, Options::from_system());
            assert_eq!(make_folders_above(&store, &domain.join("joe")).is_ok(), there, "{errno}");
        }
    }

    #[test]
    fn something_else_in_the_place_of_a_folder() {
        let disk = SimulatedFs::new();
        let store = Store::new(disk.clone(), Options::from_system());
        disk.create(Path::new("/mail")).unwrap();
        make_folders_above(&store, Path::new("/mail/joe/Maildir")).unwrap_err();
        assert_eq!(disk.list(Path::new("/")).unwrap().len(), 1);
    }
}

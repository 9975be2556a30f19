//! Policies of MTA-STS in a folder, so that they survive a restart.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pillarbox_core::crypto::{Crypto as _, HashAlgorithm};
use pillarbox_core::dns::Name;
use pillarbox_fs::{Fs, FsError};

use super::Disk;
use super::disk::Blocking;
use super::replace::{open, remove, replace};
use crate::crypto::RingCrypto;

/// Octets of a file: a policy of the largest size, and the lines before it.
const SIZE_MAX: usize = 72 << 10;
/// How the names of files end.
const SUFFIX: &str = ".policy";

/// Policies of MTA-STS in a folder, one file for each domain, written as [`CacheEntry`](pillarbox_auth::mta_sts::CacheEntry) is. A
/// file that is damaged is as good as none: the policy is fetched anew. Files have the digests of the domains' names for names,
/// whatever the domains are called.
pub struct StsFolder {
    inner: Arc<Inner>,
    disk: Blocking,
    files_max: usize,
}

struct Inner {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    /// How many files there are. Whoever writes holds it.
    files: Mutex<usize>,
}

impl StsFolder {
    /// Opens a folder, and makes it if it is not there; its parent has to be.
    ///
    /// # Errors
    ///
    /// [`FsError`] if it cannot be made or read.
    pub fn open(fs: Arc<dyn Fs>, path: impl Into<PathBuf>, disk: Disk) -> Result<Self, FsError> {
        let path = path.into();
        let files = Mutex::new(open(&*fs, &path)?.iter().filter(|name| name.ends_with(SUFFIX)).count());
        Ok(StsFolder { inner: Arc::new(Inner { fs, path, files }), disk: Blocking::new(disk), files_max: 10_000 })
    }

    /// At most so many policies, at least one: 10,000 by default. Those that were written longest ago make room.
    #[must_use]
    pub fn files_max(self, files_max: usize) -> Self {
        StsFolder { files_max: files_max.max(1), ..self }
    }

    /// What is kept for a domain.
    pub async fn load(&self, domain: &Name) -> Option<Vec<u8>> {
        let (inner, name) = (Arc::clone(&self.inner), file_name(domain)?);
        self.disk.run(move || inner.fs.read(&inner.path.join(name), SIZE_MAX).ok()).await
    }

    /// Keeps a text for a domain. If that fails, nothing is lost but a fetch after the next start.
    pub async fn save(&self, domain: &Name, text: String) {
        let Some(name) = file_name(domain) else { return };
        let (inner, files_max) = (Arc::clone(&self.inner), self.files_max);
        let _ = self.disk.run(move || inner.save(&name, text.as_bytes(), files_max)).await;
    }
}

fn file_name(domain: &Name) -> Option<String> {
    let digest = RingCrypto.digest(HashAlgorithm::Sha256, domain.as_str().to_ascii_lowercase().as_bytes()).ok()?;
    let mut name = String::with_capacity(2 * digest.len() + SUFFIX.len());
    for octet in digest {
        write!(name, "{octet:02x}").ok()?;
    }
    Some(name + SUFFIX)
}

impl Inner {
    fn save(&self, name: &str, text: &[u8], files_max: usize) -> Result<(), FsError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = self.fs.metadata(&self.path.join(name)).is_err();
        if is_new && *files >= files_max {
            *files = self.make_room(files_max)?;
        }
        replace(&*self.fs, &self.path, name, text)?;
        *files += usize::from(is_new);
        Ok(())
    }

    /// Removes the oldest quarter, so that this is rare. Gives how many files are left.
    fn make_room(&self, files_max: usize) -> Result<usize, FsError> {
        let mut files = Vec::new();
        for entry in self.fs.list(&self.path)? {
            if Path::new(&entry.name).to_str().is_some_and(|name| name.ends_with(SUFFIX)) {
                let path = self.path.join(&entry.name);
                files.push((self.fs.metadata(&path)?.modified, path));
            }
        }
        files.sort();
        let keep = files_max - files_max.div_ceil(4);
        let surplus = files.len().saturating_sub(keep);
        for (_, path) in files.iter().take(surplus) {
            remove(&*self.fs, path)?;
        }
        Ok(files.len() - surplus)
    }
}

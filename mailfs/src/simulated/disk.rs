//! The state of a simulated disk: what programs see, and which part of it would survive a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

use nix::errno::Errno;

use crate::{Entry, Kind, Metadata};

pub(super) type Outcome<T> = Result<T, Errno>;

/// The number of a file or directory. None is ever used again.
pub(super) type Id = u64;

pub(super) const ROOT: Id = 1;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) nodes: BTreeMap<Id, Arc<Node>>,
    /// Changes of names that no sync has made durable, oldest first.
    pub(super) pending: Vec<NameChange>,
    /// Directories whose last sync failed, and in which nothing was changed since.
    given_up: BTreeSet<Id>,
    pub(super) now: SystemTime,
    /// How many power cuts it has seen.
    pub(super) boot: u128,
    next_id: Id,
    next_order: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Directory(DirectoryNode),
}

#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: SystemTime,
    pub(super) durable: Vec<u8>,
    pub(super) durable_modified: SystemTime,
    /// What was written since, oldest first.
    pub(super) writes: Vec<Write>,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
    /// A sync of this failed: no later one makes it durable.
    pub(super) doubtful: bool,
}

#[derive(Clone, Debug)]
pub(super) struct DirectoryNode {
    pub(super) names: BTreeMap<OsString, Id>,
    pub(super) durable: BTreeMap<OsString, DurableName>,
    pub(super) modified: SystemTime,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct DurableName {
    /// Which change it comes from: an older one that is still pending cannot undo it.
    pub(super) order: u64,
    pub(super) node: Option<Id>,
}

/// A change of names: a rename adds one and removes another, all else does one of the two.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) order: u64,
    pub(super) add: Option<(Id, OsString, Id)>,
    pub(super) remove: Option<(Id, OsString)>,
    /// A rename of a directory happens whole: no directory has two names.
    pub(super) whole: bool,
}

impl Disk {
    pub(super) fn new(now: SystemTime) -> Self {
        let root = Node::Directory(DirectoryNode::new(now));
        Disk {
            nodes: BTreeMap::from([(ROOT, Arc::new(root))]),
            pending: Vec::new(),
            given_up: BTreeSet::new(),
            now,
            boot: 0,
            next_id: ROOT + 1,
            next_order: 1,
        }
    }

    /// The disk after a power cut: with other contents, all durable.
    pub(super) fn with_nodes(&self, nodes: BTreeMap<Id, Arc<Node>>) -> Self {
        Disk { nodes, pending: Vec::new(), given_up: BTreeSet::new(), boot: self.boot + 1, ..self.clone() }
    }

    pub(super) fn create(&mut self, path: &Path) -> Outcome<Id> {
        let (parent, name) = self.place(path)?;
        if self.directory(parent)?.names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let file = FileNode {
            bytes: Vec::new(),
            modified: self.now,
            durable: Vec::new(),
            durable_modified: self.now,
            writes: Vec::new(),
        };
        let id = self.add_node(Node::File(file));
        self.change(Some((parent, name.to_owned(), id)), None, false);
        Ok(id)
    }

    pub(super) fn open(&self, path: &Path) -> Outcome<Id> {
        let id = self.find(path)?;
        match self.nodes.get(&id).map(|node| &**node) {
            Some(Node::File(_)) => Ok(id),
            _ => Err(Errno::EISDIR),
        }
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> Outcome<()> {
        let (parent, name) = self.place(path)?;
        if self.directory(parent)?.names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let id = self.add_node(Node::Directory(DirectoryNode::new(self.now)));
        self.change(Some((parent, name.to_owned(), id)), None, false);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Outcome<()> {
        let id = self.find(from)?;
        let (old_parent, old_name) = self.place(from)?;
        let (new_parent, new_name) = self.place(to)?;
        let is_directory = self.directory(id).is_ok();
        if is_directory && to.ancestors().skip(1).any(|above| self.find(above) == Ok(id)) {
            return Err(Errno::EINVAL);
        }
        if let Some(replaced) = self.directory(new_parent)?.names.get(new_name) {
            if *replaced == id {
                return Ok(());
            }
            match (is_directory, self.directory(*replaced)) {
                (true, Ok(directory)) if directory.names.is_empty() => {}
                (true, Ok(_)) => return Err(Errno::ENOTEMPTY),
                (true, Err(_)) => return Err(Errno::ENOTDIR),
                (false, Ok(_)) => return Err(Errno::EISDIR),
                (false, Err(_)) => {}
            }
        }
        let remove = (old_parent, old_name.to_owned());
        self.change(Some((new_parent, new_name.to_owned(), id)), Some(remove), is_directory);
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> Outcome<()> {
        let id = self.open(from).map_err(|errno| if errno == Errno::EISDIR { Errno::EPERM } else { errno })?;
        let (parent, name) = self.place(to)?;
        if self.directory(parent)?.names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.change(Some((parent, name.to_owned(), id)), None, false);
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> Outcome<()> {
        self.open(path)?;
        let (parent, name) = self.place(path)?;
        self.change(None, Some((parent, name.to_owned())), false);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Outcome<()> {
        let id = self.find(path)?;
        if !self.directory(id)?.names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        let (parent, name) = self.place(path)?;
        self.change(None, Some((parent, name.to_owned())), false);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> Outcome<()> {
        let id = self.find(path)?;
        self.directory(id)?;
        if self.given_up.contains(&id) {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain_mut(|change| {
            let adds = change.add.as_ref().is_some_and(|(parent, ..)| *parent == id);
            let removes = change.remove.as_ref().is_some_and(|(parent, _)| *parent == id);
            // Where the old name is gone for good, the new one has to be there: a file keeps one of the two.
            if (adds || removes)
                && let Some((parent, name, node)) = change.add.take()
            {
                self.make_durable(parent, name, change.order, Some(node));
            }
            if (removes || change.whole && adds)
                && let Some((parent, name)) = change.remove.take()
            {
                self.make_durable(parent, name, change.order, None);
            }
            change.add.is_some() || change.remove.is_some()
        });
        self.pending = pending;
        Ok(())
    }

    /// What a failed sync of a directory leaves: the system forgets that there is something to write, and says nothing of it again, until
    /// the directory is changed once more.
    pub(super) fn fail_sync_dir(&mut self, path: &Path) {
        if let Ok(id) = self.find(path) {
            self.given_up.insert(id);
        }
    }

    pub(super) fn list(&self, path: &Path) -> Outcome<Vec<Entry>> {
        let directory = self.directory(self.find(path)?)?;
        let kind = |id: &Id| if self.directory(*id).is_ok() { Kind::Directory } else { Kind::File };
        Ok(directory.names.iter().map(|(name, id)| Entry::new(name.clone(), kind(id))).collect())
    }

    pub(super) fn metadata(&self, path: &Path) -> Outcome<Metadata> {
        Ok(self.metadata_of(self.find(path)?))
    }

    pub(super) fn metadata_of(&self, id: Id) -> Metadata {
        match &*self.nodes[&id] {
            Node::File(file) => Metadata::new(Kind::File, file.bytes.len() as u64, file.modified, (0, id)),
            Node::Directory(directory) => Metadata::new(Kind::Directory, 4096, directory.modified, (0, id)),
        }
    }

    pub(super) fn write(&mut self, id: Id, bytes: &[u8]) {
        let now = self.now;
        let file = self.file_mut(id);
        let write = Write { offset: file.bytes.len(), bytes: bytes.to_vec(), doubtful: false };
        file.bytes.extend_from_slice(bytes);
        file.modified = now;
        file.writes.push(write);
    }

    pub(super) fn touch(&mut self, id: Id, time: SystemTime) {
        self.file_mut(id).modified = time;
    }

    pub(super) fn sync(&mut self, id: Id, with_times: bool) {
        let file = self.file_mut(id);
        let mut doubtful = Vec::new();
        for write in std::mem::take(&mut file.writes) {
            if write.doubtful {
                doubtful.push(write);
            } else {
                write.apply(&mut file.durable, write.bytes.len());
            }
        }
        file.writes = doubtful;
        if with_times {
            file.durable_modified = file.modified;
        }
    }

    /// What a failed sync leaves: the system forgets that there is something to write, and reports no error for it again.
    pub(super) fn fail_sync(&mut self, id: Id) {
        for write in &mut self.file_mut(id).writes {
            write.doubtful = true;
        }
    }

    pub(super) fn file(&self, id: Id) -> &FileNode {
        match &*self.nodes[&id] {
            Node::File(file) => file,
            Node::Directory(_) => unreachable!("a handle is of a file"),
        }
    }

    pub(super) fn directory(&self, id: Id) -> Outcome<&DirectoryNode> {
        match self.nodes.get(&id).map(|node| &**node) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn file_mut(&mut self, id: Id) -> &mut FileNode {
        match self.nodes.get_mut(&id).map(Arc::make_mut) {
            Some(Node::File(file)) => file,
            _ => unreachable!("a handle is of a file"),
        }
    }

    fn directory_mut(&mut self, id: Id) -> &mut DirectoryNode {
        match self.nodes.get_mut(&id).map(Arc::make_mut) {
            Some(Node::Directory(directory)) => directory,
            _ => unreachable!("names are in directories"),
        }
    }

    fn add_node(&mut self, node: Node) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes.insert(id, Arc::new(node));
        id
    }

    fn change(&mut self, add: Option<(Id, OsString, Id)>, remove: Option<(Id, OsString)>, whole: bool) {
        let now = self.now;
        if let Some((parent, name)) = &remove {
            self.given_up.remove(parent);
            let directory = self.directory_mut(*parent);
            directory.names.remove(name);
            directory.modified = now;
        }
        if let Some((parent, name, id)) = &add {
            self.given_up.remove(parent);
            let directory = self.directory_mut(*parent);
            directory.names.insert(name.clone(), *id);
            directory.modified = now;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.pending.push(NameChange { order, add, remove, whole });
    }

    fn make_durable(&mut self, parent: Id, name: OsString, order: u64, node: Option<Id>) {
        let newer = DurableName { order, node };
        let known = self.directory_mut(parent).durable.entry(name).or_insert(newer);
        if known.order <= order {
            *known = newer;
        }
    }

    fn find(&self, path: &Path) -> Outcome<Id> {
        let mut id = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {
                    self.directory(id)?;
                }
                Component::Normal(name) => {
                    check(name)?;
                    id = *self.directory(id)?.names.get(name).ok_or(Errno::ENOENT)?;
                }
                // Nobody who builds paths from checked names needs this, and following it would hide a mistake.
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::EINVAL),
            }
        }
        Ok(id)
    }

    /// The directory that a path's last part is in, and that part.
    fn place<'p>(&self, path: &'p Path) -> Outcome<(Id, &'p OsStr)> {
        let name = path.file_name().ok_or(Errno::EEXIST)?;
        check(name)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("/")))?;
        self.directory(parent)?;
        Ok((parent, name))
    }
}

impl DirectoryNode {
    fn new(now: SystemTime) -> Self {
        DirectoryNode { names: BTreeMap::new(), durable: BTreeMap::new(), modified: now }
    }
}

impl Write {
    /// Puts the first `len` bytes in their place; what is skipped reads as zeros.
    pub(super) fn apply(&self, bytes: &mut Vec<u8>, len: usize) {
        let end = self.offset + len;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[self.offset..end].copy_from_slice(&self.bytes[..len]);
    }
}

fn check(name: &OsStr) -> Outcome<()> {
    if name.len() > 255 { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}

//! What a crash disk holds: names and bytes, each as the processes see them and as the platters
//! have them.

use std::collections::BTreeMap;
use std::io;

use crate::splitmix::SplitMix64;

use super::FaultCounts;
use super::file::{FileNode, Odds};

pub(super) type Id = usize;
pub(super) const ROOT: Id = 0;

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) live: BTreeMap<String, Id>,
    disk: BTreeMap<String, Id>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    /// Both halves of a rename across directories have the same: they happen as one.
    number: u64,
    name: String,
    id: Id,
    linked: bool,
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Id>) {
        if self.linked {
            names.insert(self.name.clone(), self.id);
        } else if names.get(&self.name) == Some(&self.id) {
            names.remove(&self.name);
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

impl Node {
    /// Makes all that is seen durable.
    pub(super) fn settle(&mut self) {
        match self {
            Self::File(file) => file.settle(),
            Self::Dir(dir) => {
                dir.pending.clear();
                dir.disk.clone_from(&dir.live);
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    changes: u64,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::Dir(DirNode::default())], changes: 0 }
    }

    pub(super) fn find(&self, path: &str) -> io::Result<Id> {
        let mut id = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let found = self.dir(id)?.live.get(name);
            id = *found.ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    pub(super) fn dir(&self, id: Id) -> io::Result<&DirNode> {
        match &self.nodes[id] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&mut self, id: Id) -> io::Result<&mut FileNode> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(Id, &'a str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(parent)?, name))
    }

    fn change(&mut self, dir: Id, number: u64, name: &str, id: Id, linked: bool) {
        let Node::Dir(dir) = &mut self.nodes[dir] else { return };
        let change = Change { number, name: name.to_owned(), id, linked };
        change.apply(&mut dir.live);
        dir.pending.push(change);
    }

    fn number(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(super) fn create(&mut self, path: &str, node: Node) -> io::Result<Id> {
        let (dir, name) = self.parent(path)?;
        if self.dir(dir)?.live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (id, number) = (self.nodes.len(), self.number());
        self.nodes.push(node);
        self.change(dir, number, name, id, true);
        Ok(id)
    }

    /// Removes a file and says how long it was.
    pub(super) fn remove(&mut self, path: &str) -> io::Result<u64> {
        let (dir, name) = self.parent(path)?;
        let id = self.find(path)?;
        let len = self.file(id)?.cache.len() as u64;
        let number = self.number();
        self.change(dir, number, name, id, false);
        Ok(len)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let id = self.find(from)?;
        let ((old, old_name), (new, new_name)) = (self.parent(from)?, self.parent(to)?);
        if let Some(there) = self.dir(new)?.live.get(new_name)
            && matches!(self.nodes[*there], Node::Dir(_))
        {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.number();
        self.change(old, number, old_name, id, false);
        self.change(new, number, new_name, id, true);
        Ok(())
    }

    /// Makes a directory's names durable, and with them the other half of each rename into it.
    pub(super) fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let id = self.find(path)?;
        self.dir(id)?;
        let Node::Dir(dir) = &mut self.nodes[id] else { return Ok(()) };
        let synced = std::mem::take(&mut dir.pending);
        for change in &synced {
            change.apply(&mut dir.disk);
        }
        for node in &mut self.nodes {
            let Node::Dir(dir) = node else { continue };
            let half = |change: &Change| {
                synced.iter().any(|c| c.number == change.number && c.linked != change.linked)
            };
            // An earlier link of a name that is now durably gone cannot come back.
            let gone: Vec<Change> = dir.pending.iter().filter(|c| half(c)).cloned().collect();
            for change in &gone {
                change.apply(&mut dir.disk);
            }
            dir.pending.retain(|change| !gone.iter().any(|gone| gone.id == change.id));
        }
        Ok(())
    }

    /// Each change that was not synced is lost or kept; what is left is what the disk has.
    pub(super) fn power_cut(&mut self, seed: u64, counts: &mut FaultCounts) {
        let random = &mut SplitMix64::new(seed);
        let (odds, changes) = (Odds::draw(random), SplitMix64::new(random.bits()));
        for node in &mut self.nodes {
            match node {
                Node::File(file) => file.power_cut(odds, random, counts),
                Node::Dir(dir) => {
                    for change in std::mem::take(&mut dir.pending) {
                        // The same number falls the same way in both directories.
                        let mut coin = SplitMix64::new(changes.clone().bits() ^ change.number << 8);
                        if odds.kept(&mut coin) {
                            change.apply(&mut dir.disk);
                            counts.names_kept += 1;
                        } else {
                            counts.names_lost += 1;
                        }
                    }
                    dir.live.clone_from(&dir.disk);
                }
            }
        }
    }

    /// All files with their paths.
    pub(super) fn files(&self) -> Vec<(String, Id)> {
        let (mut files, mut dirs) = (Vec::new(), vec![(String::new(), ROOT)]);
        while let Some((path, id)) = dirs.pop() {
            let Node::Dir(dir) = &self.nodes[id] else { continue };
            for (name, id) in &dir.live {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                match &self.nodes[*id] {
                    Node::Dir(_) => dirs.push((path, *id)),
                    Node::File(_) => files.push((path, *id)),
                }
            }
        }
        files.sort();
        files
    }

    /// Frees the bytes of files that no name leads to, and says what the others take.
    pub(super) fn sweep(&mut self) -> u64 {
        let mut used = vec![false; self.nodes.len()];
        let mut bytes = 0;
        for (_, id) in self.files() {
            used[id] = true;
            bytes += self.file(id).map_or(0, |file| file.cache.len() as u64);
        }
        for (node, _) in self.nodes.iter_mut().zip(used).filter(|(_, used)| !used) {
            if let Node::File(file) = node {
                *file = FileNode::default();
            }
        }
        bytes
    }
}

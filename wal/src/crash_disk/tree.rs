//! What a crash disk holds: names and bytes, each as the processes see them and as the platters
//! have them.

use std::collections::BTreeMap;
use std::io;

use crate::frame::SECTOR;
use crate::splitmix::SplitMix64;

use super::FaultCounts;

pub(super) type Id = usize;
pub(super) const ROOT: Id = 0;

/// A file's bytes in the page cache and on disk, and the sectors in which they may differ.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) cache: Vec<u8>,
    disk: Vec<u8>,
    /// Ranges of sectors written since the last sync.
    dirty: Vec<(usize, usize)>,
}

impl FileNode {
    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.cache.len() < end {
            let old = self.cache.len();
            self.cache.resize(end, 0);
            self.touch(old, end);
        }
        self.cache[at..end].copy_from_slice(bytes);
        self.touch(at, end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.cache.len();
        self.cache.resize(len, 0);
        self.touch(old.min(len), len);
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.push((from / SECTOR, to.div_ceil(SECTOR)));
        }
    }

    pub(super) fn sync(&mut self) {
        self.disk.resize(self.cache.len(), 0);
        for (from, to) in std::mem::take(&mut self.dirty) {
            let range = bytes_of(from, to, self.cache.len());
            self.disk[range.clone()].copy_from_slice(&self.cache[range]);
        }
    }

    /// A sync that failed: some sectors reached the disk, all are marked clean, and no later sync
    /// will write the others.
    pub(super) fn sync_badly(&mut self, random: &mut SplitMix64) {
        self.disk.resize(self.cache.len(), 0);
        for sector in self.take_dirty_sectors() {
            let range = bytes_of(sector, sector + 1, self.cache.len());
            if random.coin() {
                self.disk[range.clone()].copy_from_slice(&self.cache[range]);
            }
        }
    }

    fn take_dirty_sectors(&mut self) -> Vec<usize> {
        let mut sectors: Vec<usize> =
            std::mem::take(&mut self.dirty).into_iter().flat_map(|(from, to)| from..to).collect();
        sectors.sort_unstable();
        sectors.dedup();
        sectors
    }

    fn power_cut(&mut self, odds: Odds, random: &mut SplitMix64, counts: &mut FaultCounts) {
        if self.disk.len() != self.cache.len() && odds.kept(random) {
            self.disk.resize(self.cache.len(), 0);
        }
        for sector in self.take_dirty_sectors() {
            let end = self.cache.len().min(self.disk.len());
            let range = bytes_of(sector, sector + 1, end);
            if odds.kept(random) {
                self.disk[range.clone()].copy_from_slice(&self.cache[range]);
                counts.sectors_kept += 1;
            } else {
                counts.sectors_lost += 1;
            }
        }
        self.cache.clone_from(&self.disk);
    }

    /// Changes what is there behind everyone's back, on disk and in the cache.
    pub(super) fn damage(&mut self, harm: impl Fn(&mut Vec<u8>)) {
        harm(&mut self.cache);
        harm(&mut self.disk);
    }
}

fn bytes_of(from: usize, to: usize, len: usize) -> std::ops::Range<usize> {
    (from * SECTOR).min(len)..(to * SECTOR).min(len)
}

/// How likely what was not synced survives, in eighths: each power cut draws its own.
#[derive(Clone, Copy)]
pub(super) struct Odds(u64);

impl Odds {
    pub(super) fn draw(random: &mut SplitMix64) -> Self {
        Self([0, 1, 4, 4, 4, 7, 7, 8][random.below(8) as usize])
    }

    fn kept(self, random: &mut SplitMix64) -> bool {
        random.below(8) < self.0
    }
}

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
            Self::File(file) => {
                file.dirty.clear();
                file.disk.clone_from(&file.cache);
            }
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

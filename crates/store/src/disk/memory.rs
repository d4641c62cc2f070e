//! The disk port in memory, with the bad days of real disks by seed: writes that were not synced are lost or torn by
//! sectors when the power goes, directory changes are lost unless synced, the disk fills up, a sync fails.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// Writes tear at multiples of this.
const SECTOR_BYTES: usize = 512;

/// What goes wrong, and when.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The power goes during the n-th change (write, sync, rename…) from now; everything fails from then on.
    pub crash_in: Option<u64>,
    /// All files together may hold so many bytes.
    pub capacity_bytes: Option<u64>,
    /// The n-th sync from now fails.
    pub sync_fails_in: Option<u64>,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Syncs say that they are done and do nothing, as disks with a lying cache do.
    pub syncs_lie: bool,
}

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    now: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    /// Directory changes since the last `sync_dir`, in order: their number, and what each name then meant.
    unsynced: Vec<(u64, Vec<(String, Option<Inode>)>)>,
    /// How many changes there were.
    changes: u64,
    faults: Faults,
    crashed: bool,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, with their numbers among all changes.
    unsynced: Vec<(u64, usize, Vec<u8>)>,
}

impl MemoryDisk {
    /// Arms faults.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// What a machine finds that starts again after the power went now: synced data, and of the rest what chance left.
    #[must_use]
    pub fn after_crash(&self, seed: u64) -> Self {
        let state = self.state.lock();
        let mut chance = Chance(seed);
        let mut names = state.durable.clone();
        let survived = chance.below(state.unsynced.len() as u64 + 1) as usize;
        for (name, inode) in state.unsynced[..survived].iter().flat_map(|(_, names)| names) {
            match inode {
                Some(inode) => names.insert(name.clone(), Arc::clone(inode)),
                None => names.remove(name),
            };
        }
        let torn = |inode: Inode, chance: &mut Chance| {
            let content = inode.lock().torn(chance);
            Arc::new(Mutex::new(Content { now: content.clone(), durable: content, unsynced: Vec::new() }))
        };
        let now: BTreeMap<_, _> = names.into_iter().map(|(name, inode)| (name, torn(inode, &mut chance))).collect();
        Self { state: Arc::new(Mutex::new(State { durable: now.clone(), now, ..State::default() })) }
    }

    /// How many changes there were: a point in time for [`MemoryDisk::after_cut`].
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// What a machine finds whose disk keeps unsynced changes in a cache that it empties in their order, when the power went
    /// and the first `kept` changes had been carried out: all that is lost is a suffix, the last of it torn.
    #[must_use]
    pub fn after_cut(&self, kept: u64) -> Self {
        let state = self.state.lock();
        let mut names = state.durable.clone();
        for (name, inode) in state.unsynced.iter().filter(|(n, _)| *n <= kept).flat_map(|(_, names)| names) {
            match inode {
                Some(inode) => names.insert(name.clone(), Arc::clone(inode)),
                None => names.remove(name),
            };
        }
        let cut = |inode: Inode| {
            let content = inode.lock();
            let mut found = content.durable.clone();
            for (number, offset, bytes) in &content.unsynced {
                // The one that was under way left its first half.
                let end = match number.cmp(&(kept + 1)) {
                    std::cmp::Ordering::Less => bytes.len(),
                    std::cmp::Ordering::Equal => bytes.len() / 2,
                    std::cmp::Ordering::Greater => continue,
                };
                put(&mut found, *offset, &bytes[..end]);
            }
            Arc::new(Mutex::new(Content { now: found.clone(), durable: found, unsynced: Vec::new() }))
        };
        let now: BTreeMap<_, _> = names.into_iter().map(|(name, inode)| (name, cut(inode))).collect();
        Self { state: Arc::new(Mutex::new(State { durable: now.clone(), now, ..State::default() })) }
    }

    /// Flips a bit of a file, durably, as a decaying disk does.
    pub fn damage(&self, name: &str, offset: usize) {
        if let Some(inode) = self.state.lock().now.get(name) {
            let mut content = inode.lock();
            if let Some(byte) = content.now.get_mut(offset) {
                *byte ^= 1;
            }
            content.durable = content.now.clone();
        }
    }

    /// The contents of a file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.state.lock().now.get(name).map(|inode| inode.lock().now.clone())
    }
}

impl Content {
    fn torn(&self, chance: &mut Chance) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (_, offset, bytes) in &self.unsynced {
            let fate = chance.below(4);
            let mut at = 0;
            while at < bytes.len() {
                let end = (at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(bytes.len());
                // All of it, nothing, or each sector by chance.
                if fate == 0 || (fate > 1 && chance.below(2) == 0) {
                    put(&mut content, offset + at, &bytes[at..end]);
                }
                at = end;
            }
        }
        content
    }
}

impl State {
    /// Counts a change; an error means that it must not happen, `Ok(true)` that it happens while the power goes.
    fn change(&mut self) -> io::Result<bool> {
        if self.crashed {
            return Err(io::Error::other("the power is gone"));
        }
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.changes += 1;
        self.crashed = counted(&mut self.faults.crash_in);
        Ok(self.crashed)
    }

    fn enter(&mut self, names: Vec<(String, Option<Inode>)>) -> io::Result<()> {
        let crash = self.change()?;
        for (name, inode) in &names {
            match inode {
                Some(inode) => self.now.insert(name.clone(), Arc::clone(inode)),
                None => self.now.remove(name),
            };
        }
        self.unsynced.push((self.changes, names));
        if crash { Err(io::Error::other("the power went")) } else { Ok(()) }
    }
}

impl Disk for MemoryDisk {
    fn path(&self) -> PathBuf {
        PathBuf::from("memory")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().now.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let inode = state.now.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { disk: self.clone(), inode: Arc::clone(inode) }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inode = Inode::default();
        self.state.lock().enter(vec![(name.into(), Some(Arc::clone(&inode)))])?;
        Ok(Arc::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = Arc::clone(state.now.get(from).ok_or(io::ErrorKind::NotFound)?);
        state.enter(vec![(from.into(), None), (to.into(), Some(inode))])
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state.lock().enter(vec![(name.into(), None)])
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.change()? {
            return Err(io::Error::other("the power went"));
        }
        if state.faults.syncs_lie {
            return Ok(());
        }
        state.durable = state.now.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn release(&self) {}
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: Inode,
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.lock().now.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.inode.lock();
        let from = offset as usize;
        let bytes = content.now.get(from..from + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let crash = state.change()?;
        let used: u64 = state.now.values().map(|inode| inode.lock().now.len() as u64).sum();
        let mut content = self.inode.lock();
        let grows = (offset as usize + buf.len()).saturating_sub(content.now.len());
        let free = state.faults.capacity_bytes.map_or(u64::MAX, |c| c.saturating_sub(used)) as usize;
        // A full disk takes the part that fits.
        let taken = buf.len() - grows.saturating_sub(free).min(buf.len());
        put(&mut content.now, offset as usize, &buf[..taken]);
        content.unsynced.push((state.changes, offset as usize, buf[..taken].to_vec()));
        match (crash, taken == buf.len()) {
            (true, _) => Err(io::Error::other("the power went")),
            (false, true) => Ok(()),
            (false, false) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if state.change()? {
            return Err(io::Error::other("the power went"));
        }
        if counted(&mut state.faults.sync_fails_in) {
            return Err(io::Error::other("the disk failed to sync"));
        }
        if state.faults.syncs_lie {
            return Ok(());
        }
        let mut content = self.inode.lock();
        let Content { now, durable, unsynced } = &mut *content;
        for (_, offset, bytes) in unsynced.drain(..) {
            put(durable, offset, &bytes);
        }
        debug_assert_eq!(now.len(), durable.len());
        Ok(())
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn counted(left: &mut Option<u64>) -> bool {
    match left {
        Some(0 | 1) => left.take().is_some(),
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

/// A small generator (splitmix64): the whole fault schedule follows from its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

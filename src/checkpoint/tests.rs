//! Trees against a plain map: after each update a tree holds what the map does, and its pages are those that are said to be in use.

use super::loader;
use super::manifest::Manifest;
use super::pages::Pages;
use super::tree::{Tree, Update};
use super::writer::Writing;
use super::{Pace, PageSet};
use crate::io::{Device, SimulatedDisk};
use crate::log::frame::Session;
use crate::lsn::Lsn;
use crate::sync::{Arc, Mutex};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

const STORE: [u8; 16] = [1; 16];
const SPACE: u32 = 6;
const EXTENT_PAGES: u64 = 16;

type Entries = BTreeMap<Vec<u8>, (Lsn, Vec<u8>)>;

/// One tree on a disk, and what is to be in it.
struct Grown {
    device: Arc<dyn Device>,
    pages: Pages,
    used: PageSet,
    tree: Tree,
    entries: Entries,
    position: Lsn,
}

impl Grown {
    fn new() -> Grown {
        let device: Arc<dyn Device> = Arc::new(SimulatedDisk::new(1));
        let pages = Pages::open(Arc::clone(&device), STORE, EXTENT_PAGES, 0).unwrap();
        let tree = Tree::empty(SPACE);
        Grown { device, pages, used: PageSet::default(), tree, entries: Entries::new(), position: Lsn::ZERO }
    }

    /// Changes entries, and takes a checkpoint of that; returns how many pages it wrote.
    fn update(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> u64 {
        let hurry = AtomicBool::new(false);
        let keys: Vec<&[u8]> = changes.keys().map(|key| &**key).collect();
        for (key, value) in &changes {
            match value {
                Some(value) => self.entries.insert(key.clone(), (self.position, value.clone())),
                None => self.entries.remove(key),
            };
        }
        self.position = self.position.plus(8);
        let writing = Writing::new(
            &self.pages,
            (&self.used, &PageSet::default()),
            self.position,
            Pace::new(None, &hurry),
        );
        let value_of = |key: &[u8]| self.entries.get(key).map(|(lsn, value)| (*lsn, &**value));
        self.tree = Update::new(&writing, SPACE, value_of).run(&self.tree, &keys).unwrap();
        let written = writing.finish().unwrap();
        self.used = written.used;
        self.check();
        written.written_pages
    }

    fn check(&self) {
        let manifest = Manifest {
            number: 1,
            position: self.position,
            log_from: self.position,
            session: Session(1),
            written: SystemTime::UNIX_EPOCH,
            extent_pages: EXTENT_PAGES,
            extents: self.pages.extents(),
            trees: vec![self.tree],
        };
        let found = Mutex::new(Entries::new());
        let pages = loader::open(&self.device, &STORE, &manifest).unwrap();
        let visit = |entry: super::walk::Entry<'_>| {
            let value = (entry.lsn, entry.value.to_vec());
            assert!(found.lock().unwrap().insert(entry.key.to_vec(), value).is_none());
        };
        let used = loader::load(&pages, &manifest, |space, _| {
            assert_eq!(space, SPACE);
            visit
        })
        .unwrap();
        assert!(found.into_inner().unwrap() == self.entries);
        assert_eq!(self.tree.entries, self.entries.len() as u64);
        assert!(used.same_as(&self.used), "{} in use, {} said to be", used.count(), self.used.count());
    }

    fn height(&self) -> u8 {
        self.tree.root.map_or(0, |root| root.height)
    }
}

fn key(number: u64, len: usize) -> Vec<u8> {
    let mut key = format!("{number:08}").into_bytes();
    key.resize(key.len().max(len), b'x');
    key
}

#[test]
fn a_tree_holds_what_a_map_does() {
    for (seed, key_bytes, value_bytes_max) in
        [(1, 8, 200), (2, 1000, 200), (3, 300, 9_000), (4, 1000, 20_000)]
    {
        let (mut random, mut grown, mut height) = (fastrand::Rng::with_seed(seed), Grown::new(), 0);
        for round in 0..40 {
            let (from, many) = (random.u64(0..600), random.u64(1..[3, 50, 300][round % 3]));
            let deletes = if round % 10 > 7 { 90 } else { 15 };
            let changes = (0..many)
                .map(|n| {
                    let number = if round % 2 == 0 { from + n } else { random.u64(0..900) };
                    let value = vec![random.u8(..); random.usize(0..value_bytes_max)];
                    (key(number, key_bytes), (random.u8(0..100) >= deletes).then_some(value))
                })
                .collect();
            grown.update(changes);
            height = height.max(grown.height());
        }
        let all = grown.entries.keys().map(|key| (key.clone(), None)).collect();
        grown.update(all);
        assert_eq!((grown.tree.root, grown.used.count()), (None, 0));
        assert!(height >= if key_bytes == 1000 { 3 } else { 1 }, "seed {seed} grows to {height}");
    }
}

#[test]
fn a_small_change_writes_its_leaf_and_what_is_above() {
    let mut grown = Grown::new();
    let all = (0..3_000).map(|n| (key(n, 500), Some(vec![1; 300]))).collect();
    let pages = grown.update(all);
    assert!(grown.height() >= 2 && pages > 300);
    for n in [0, 1_500, 2_999] {
        let written = grown.update(BTreeMap::from([(key(n, 500), Some(vec![2; 300]))]));
        assert_eq!(written, u64::from(grown.height()) + 1);
    }
    assert_eq!(grown.update(BTreeMap::from([(key(7_000, 500), None)])), u64::from(grown.height()) + 1);
}

#[test]
fn a_tree_from_which_most_was_deleted_is_packed() {
    let mut grown = Grown::new();
    grown.update((0..5_000).map(|n| (key(n, 100), Some(vec![1; 100]))).collect());
    let before = grown.used.count();
    grown.update((0..5_000).filter(|n| n % 10 > 0).map(|n| (key(n, 100), None)).collect());
    let after = grown.used.count();
    assert!(after <= before / 7, "{after} pages of {before} for a tenth of the entries");
}

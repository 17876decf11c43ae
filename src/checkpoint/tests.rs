//! Trees against a plain map: after each update a tree holds what the map does, and its pages are those that are said to be in use.

use super::error::CheckpointError;
use super::loader;
use super::manifest::Manifest;
use super::newer;
use super::packer::Packer;
use super::page::{Kind, Link, PageId};
use super::pages::Pages;
use super::tree::{Child, Root, Tree, Update};
use super::writer::Writing;
use super::{Binding, Pace, PageSet};
use crate::crypt::{Keyring, MasterKey};
use crate::io::{Device, SimulatedDisk};
use crate::log::seal::Session;
use crate::lsn::Lsn;
use crate::options::{Compression, Retention};
use crate::sync::{Arc, Mutex};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

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
    compression: Compression,
    binding: Binding,
    map: Option<Link>,
}

impl Grown {
    fn new(compression: Compression) -> Grown {
        Grown::bound(compression, Binding::new(STORE, None))
    }

    fn encrypted(compression: Compression) -> Grown {
        let master = MasterKey::from_bytes(&[1; 32]);
        let keys = Keyring::create(&SimulatedDisk::new(1), &STORE, &master).unwrap();
        Grown::bound(compression, Binding::new(STORE, Some(Arc::new(keys))))
    }

    fn bound(compression: Compression, binding: Binding) -> Grown {
        let device: Arc<dyn Device> = Arc::new(SimulatedDisk::new(1));
        let pages = Pages::open(Arc::clone(&device), binding.clone(), EXTENT_PAGES, 0).unwrap();
        let tree = Tree::empty(SPACE);
        let (used, entries) = (PageSet::default(), Entries::new());
        Grown { device, pages, used, tree, entries, position: Lsn::ZERO, compression, binding, map: None }
    }

    /// Changes entries, and takes a checkpoint of that; returns how many pages it wrote, the free map's not counted.
    fn update(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> u64 {
        let (hurry, before) = (AtomicBool::new(false), self.manifest());
        let keys: Vec<&[u8]> = changes.keys().map(|key| &**key).collect();
        for (key, value) in &changes {
            match value {
                Some(value) => self.entries.insert(key.clone(), (self.position, value.clone())),
                None => self.entries.remove(key),
            };
        }
        let since = self.position;
        self.position = since.plus(8);
        let writing = Writing::new(
            &self.pages,
            (&self.used, &PageSet::default()),
            self.position,
            self.compression,
            Pace::new(None, &hurry),
        )
        .unwrap();
        let value_of = |key: &[u8]| self.entries.get(key).map(|(lsn, value)| (*lsn, &**value));
        self.tree = Update::new(&writing, SPACE, value_of).run(&self.tree, &keys).unwrap();
        let written = writing.finish(Some(&before)).unwrap();
        let before = std::mem::replace(&mut self.used, written.used);
        self.map = written.map;
        self.check(&before, since);
        let map_pages = self.pages.extents_of(&self.used).min(1);
        written.written_pages - map_pages
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            number: 1,
            position: self.position,
            log_from: self.position,
            session: Session::begin(None, false).unwrap(),
            time: 0,
            timeline: [0; 16],
            extent_pages: EXTENT_PAGES,
            extents: self.pages.extents_of(&self.used),
            compression: Compression::None,
            retention: Retention::new(),
            map: self.map,
            trees: vec![self.tree],
        }
    }

    /// `before` are the pages of the checkpoint at `since`.
    fn check(&self, before: &PageSet, since: Lsn) {
        let (found, manifest) = (Mutex::new(Entries::new()), self.manifest());
        let pages = loader::open(&self.device, &self.binding, &manifest).unwrap();
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
        let newer = |since| newer::written_after(&pages, &manifest, since).unwrap();
        assert!(newer(since).same_as(&used.without(before)), "what was written since then, and nothing else");
        assert!(newer(Lsn::ZERO).same_as(&used) && newer(self.position).count() == 0);
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

const COMPRESSIONS: [Compression; 2] = [Compression::None, Compression::Lz4];

/// Values that LZ4 makes shorter or does not.
fn value(random: &mut fastrand::Rng, bytes: usize) -> Vec<u8> {
    let mut value = vec![random.u8(..); bytes];
    let noise = random.usize(0..=bytes);
    random.fill(&mut value[..noise]);
    value
}

/// Grows a tree and empties it again; returns how high it became.
fn grow_and_empty(mut grown: Grown, seed: u64, key_bytes: usize, value_bytes_max: usize) -> u8 {
    let (mut random, mut height) = (fastrand::Rng::with_seed(seed), 0);
    for round in 0..40 {
        let (from, many) = (random.u64(0..600), random.u64(1..[3, 50, 300][round % 3]));
        let deletes = if round % 10 > 7 { 90 } else { 15 };
        let changes = (0..many)
            .map(|n| {
                let number = if round % 2 == 0 { from + n } else { random.u64(0..900) };
                let bytes = random.usize(0..value_bytes_max);
                let value = value(&mut random, bytes);
                (key(number, key_bytes), (random.u8(0..100) >= deletes).then_some(value))
            })
            .collect();
        grown.update(changes);
        height = height.max(grown.height());
        if seed.is_multiple_of(2) && round % 10 == 5 {
            grown.compression = COMPRESSIONS[random.usize(0..2)];
        }
    }
    let all = grown.entries.keys().map(|key| (key.clone(), None)).collect();
    grown.update(all);
    assert_eq!((grown.tree.root, grown.used.count()), (None, 0));
    height
}

#[test]
fn a_tree_holds_what_a_map_does() {
    for compression in COMPRESSIONS {
        for (seed, key_bytes, value_bytes_max) in
            [(1, 8, 200), (2, 1000, 200), (3, 300, 9_000), (4, 1000, 20_000)]
        {
            let height = grow_and_empty(Grown::new(compression), seed, key_bytes, value_bytes_max);
            let expected = match compression {
                Compression::None if key_bytes == 1000 => 3,
                _ => 1,
            };
            assert!(height >= expected, "seed {seed} grows to {height}, {compression:?}");
        }
    }
}

#[test]
fn so_does_one_that_is_encrypted() {
    for (compression, seed) in COMPRESSIONS.into_iter().zip([5, 6]) {
        grow_and_empty(Grown::encrypted(compression), seed, 300, 9_000);
    }
}

/// Loads the tree with another map than its own, which says where it is itself; returns file, page and what is said of it.
fn with_map(grown: &Grown, change: impl FnOnce(&mut PageSet)) -> (String, u64, String) {
    let (hurry, nobody, position) = (AtomicBool::new(false), PageSet::default(), grown.position.plus(8));
    let pace = Pace::new(None, &hurry);
    let writing =
        Writing::new(&grown.pages, (&grown.used, &nobody), position, grown.compression, pace).unwrap();
    let (own, mut map) = (PageId(writing.take_run(1).unwrap().start), grown.used.clone());
    map.insert(own);
    map.remove(grown.map.unwrap().page);
    change(&mut map);
    let extents = grown.pages.extents();
    let first = writing.write_map_pages(&[own], &map.to_bytes(extents * EXTENT_PAGES)).unwrap();
    let manifest = Manifest { position, map: Some(first), extents, ..grown.manifest() };
    match loader::load(&grown.pages, &manifest, |_, _| |_| {}).map(drop) {
        Err(CheckpointError::Damaged { file, offset, what }) => (file, offset / 8192, what.to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_free_map_that_says_something_else_than_the_trees_is_damage() {
    let mut grown = Grown::new(Compression::None);
    grown.update((0..1_000).map(|n| (key(n, 100), Some(vec![1; 100]))).collect());
    let root = grown.tree.root.unwrap().page.page;
    let place = (format!("pages-{:012}", root.0 / EXTENT_PAGES), root.0 % EXTENT_PAGES);
    let (file, page, what) = with_map(&grown, |map| map.remove(root));
    assert_eq!(((file, page), &*what), (place, "is marked as free, and a tree leads to it"));
    let old_map = grown.map.unwrap().page;
    for page in [old_map, PageId(EXTENT_PAGES)] {
        let (_, found, what) = with_map(&grown, |map| assert!(map.insert(page)));
        assert_eq!((found, &*what), (page.0 % EXTENT_PAGES, "is marked as in use, and nothing leads to it"));
    }
}

/// A branch with one page below it above the root: no update makes such a level.
#[test]
fn a_root_with_one_page_below_it_is_damage() {
    let mut grown = Grown::new(Compression::None);
    grown.update((0..1_000).map(|n| (key(n, 100), Some(vec![1; 100]))).collect());
    let (hurry, nobody, position) = (AtomicBool::new(false), PageSet::default(), grown.position.plus(8));
    let pace = Pace::new(None, &hurry);
    let writing =
        Writing::new(&grown.pages, (&grown.used, &nobody), position, Compression::None, pace).unwrap();
    let root = grown.tree.root.unwrap();
    let mut packer = Packer::new(&writing, Kind::Branch, SPACE);
    packer.push_branch(&Child { low: Box::default(), page: root.page }).unwrap();
    let above = packer.finish().unwrap().children.pop().unwrap().page;
    grown.pages.flush().unwrap();
    let height = root.height + 1;
    let tree = Tree { root: Some(Root { page: above, height }), ..grown.tree };
    let manifest = Manifest { position, trees: vec![tree], ..grown.manifest() };
    let error = loader::load(&grown.pages, &manifest, |_, _| |_| {}).map(drop).unwrap_err();
    assert!(error.to_string().contains("with one page below it"), "{error}");
}

#[test]
fn a_small_change_writes_its_leaf_and_what_is_above() {
    for (compression, pages_min) in [(Compression::None, 300), (Compression::Lz4, 100)] {
        let (mut grown, mut random) = (Grown::new(compression), fastrand::Rng::with_seed(1));
        let mut noise = || {
            let mut noise = vec![0; 300];
            random.fill(&mut noise);
            Some(noise)
        };
        let pages = grown.update((0..3_000).map(|n| (key(n, 500), noise())).collect());
        assert!(grown.height() >= 2 && pages > pages_min, "{pages} pages, {compression:?}");
        for n in [0, 1_500, 2_999] {
            let written = grown.update(BTreeMap::from([(key(n, 500), noise())]));
            assert_eq!(written, u64::from(grown.height()) + 1, "{compression:?}");
        }
        let written = grown.update(BTreeMap::from([(key(7_000, 500), None)]));
        assert_eq!(written, u64::from(grown.height()) + 1, "{compression:?}");
    }
}

/// One that splits its leaf, too: the leaves behind it are full, and stay as they are.
#[test]
fn a_new_key_in_a_full_tree_writes_few_pages() {
    for compression in COMPRESSIONS {
        let mut grown = Grown::new(compression);
        let mut random = fastrand::Rng::with_seed(3);
        grown.update((0..4_000).map(|n| (key(2 * n, 16), Some(value(&mut random, 300)))).collect());
        for n in [1, 101, 2_001, 7_999] {
            let written = grown.update(BTreeMap::from([(key(n, 16), Some(vec![2; 300]))]));
            assert!(written <= u64::from(grown.height()) + 3, "{written} pages, {compression:?}");
        }
    }
}

#[test]
fn a_tree_from_which_most_was_deleted_is_packed() {
    for compression in COMPRESSIONS {
        let mut grown = Grown::new(compression);
        grown.update((0..20_000).map(|n| (key(n, 100), Some(vec![n as u8; 100]))).collect());
        let before = grown.used.count();
        grown.update((0..20_000).filter(|n| n % 10 > 0).map(|n| (key(n, 100), None)).collect());
        let after = grown.used.count();
        assert!(after <= before / 7, "{after} pages of {before} for a tenth of the entries, {compression:?}");
    }
}

#[test]
fn what_compresses_well_takes_fewer_pages() {
    let text = |n: u64| {
        format!("{{\"name\": \"town number {n}\", \"people\": {}, \"country\": \"somewhere\"}}", n * 977)
    };
    let pages = COMPRESSIONS.map(|compression| {
        let mut grown = Grown::new(compression);
        grown.update((0..6_000).map(|n| (key(n, 16), Some(text(n).into_bytes()))).collect());
        let long = text(1).repeat(1_000).into_bytes();
        grown.update((0..30).map(|n| (key(10_000 + n, 16), Some(long.clone()))).collect());
        grown.used.count()
    });
    assert!(pages[1] * 5 < pages[0] * 2, "{pages:?}");
}

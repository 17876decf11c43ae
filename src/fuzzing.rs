//! What fuzz targets call of the library's own parsers: built with `--cfg fuzzing` only, in which checksums count for nothing, for no fuzzer finds
//! one. So what is behind them is met as if somebody had made it on purpose.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::page::{Page, PageId};
use crate::checkpoint::pages::Pages;
use crate::checkpoint::scan::scan;
use crate::checkpoint::tree::{Root, Tree};
use crate::checkpoint::walk::{Entry, Fault, Visit, walk_tree};
use crate::checkpoint::{Binding, PAGE_BYTES, PageSet, loader};
use crate::io::{AlignedBuf, BLOCK, BlockFile, Device, IoError, IoOperation};
use crate::log::frame::SessionNumber;
use crate::log::reader::{self, Frames, LogError, Start};
use crate::log::resume;
use crate::log::seal::{Salt, Session};
use crate::log::segment::{Geometry, Segments};
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use crate::options::{Compression, Retention};
use crate::sync::{Arc, Mutex, lock};
use std::collections::BTreeMap;
use std::path::Path;

const STORE: [u8; 16] = [7; 16];
const GEOMETRY: Geometry = Geometry { segment_bytes: 1 << 16 };

/// The log's reader: a log with these bytes from its beginning on. What reads without damage reads the same when damage is passed over.
pub fn frames(input: &[u8]) {
    let data = GEOMETRY.data_bytes() as usize;
    let files = input.chunks(data).zip(0..).map(|(bytes, index)| {
        let mut file = vec![0; BLOCK];
        file.extend_from_slice(bytes);
        file.resize(GEOMETRY.segment_bytes as usize, 0);
        (index, Arc::new(MemoryFile::new(file)) as Arc<dyn BlockFile>)
    });
    let device: Arc<dyn Device> = Arc::new(Memory::default());
    let segments = Segments::new(device, STORE, GEOMETRY, files.collect(), Vec::new());
    let strict = reader::read(&segments, Start::OF_LOG, &mut |_| Ok(())).and_then(|(end, behind)| {
        let cut_bytes = behind.cut_bytes()?;
        Ok(reader::End { cut_bytes, ..end })
    });
    let mut gaps = 0;
    let mut streams = Streams::new(&segments, Start::OF_LOG, Lsn::ZERO);
    let mut commits = |frames: &Frames<'_>| -> Result<(), LogError> {
        for (lsn, stream) in streams.read_each(frames) {
            let mut bytes = 0;
            let _ =
                stream.and_then(|s| streams::decode(&segments, lsn, &s, |write| bytes += write.key.len()));
        }
        Ok(())
    };
    let lenient = resume::read_on(&segments, Start::OF_LOG, None, &mut commits, |_| gaps += 1);
    let lenient = lenient.expect("nothing in memory fails to be read");
    if let Ok(strict) = strict
        && strict.session.is_some()
        && strict.missing_segment.is_none()
    {
        assert_eq!((strict, 0), (lenient, gaps));
    }
}

#[derive(Default)]
struct Faults(Mutex<u64>);

impl Visit for Faults {
    type Run<'v>
        = Box<dyn FnMut(Entry<'_>) + 'v>
    where
        Self: 'v;

    fn begin(&self, _space: u32, _run: usize) -> Self::Run<'_> {
        Box::new(|entry| assert!(entry.key.len() <= PAGE_BYTES))
    }

    fn fault(&self, _fault: Fault) -> Result<(), CheckpointError> {
        *lock(&self.0) += 1;
        Ok(())
    }
}

/// A tree of pages: the first byte says which page is the root, the second how high it is, the others are pages. Whoever stops at the first fault
/// finds one if whoever goes on does.
pub fn pages(input: &[u8]) {
    const PAGES: usize = 8;
    let Some(([root, height], rest)) = input.split_first_chunk::<2>() else { return };
    let device: Arc<dyn Device> = Arc::new(Memory::default());
    let pages = Pages::open(device, Binding::new(STORE, None), PAGES as u64 + 1, 0)
        .expect("there is nothing to open");
    pages.add_extent().expect("memory takes it");
    let mut bytes = AlignedBuf::zeroed(PAGES * PAGE_BYTES);
    let len = rest.len().min(bytes.len());
    bytes[..len].copy_from_slice(&rest[..len]);
    pages.write(PageId(1), &bytes).expect("memory takes it");
    let page = usize::from(*root) % PAGES;
    let (page_bytes, mut raw) = (&mut bytes[page * PAGE_BYTES..][..PAGE_BYTES], Vec::new());
    let own = Page::by_itself(page_bytes, &mut raw, pages.binding(), PageId(page as u64 + 1));
    let Some((_, own)) = own else { return };
    let position = own.link.position;
    let root = Root { page: own.link, height: height % 40 };
    let tree = Tree { space: own.space, root: Some(root), entries: 0 };
    let faults = Faults::default();
    let met = walk_tree((&pages, position), &tree, &mut PageSet::default(), &faults).expect("it goes on");
    let faults = Faults::default();
    let counted = Tree { entries: met, ..tree };
    walk_tree((&pages, position), &counted, &mut PageSet::default(), &faults).expect("it goes on");
    let strict = loader::load(&pages, &manifest_of(position, counted), |_, _| |_| {});
    assert_eq!(strict.is_ok(), *lock(&faults.0) == 0);
    scan(&pages, |_| true, |_, _| {});
}

fn manifest_of(position: Lsn, tree: Tree) -> Manifest {
    Manifest {
        number: 1,
        position,
        log_from: Lsn::ZERO,
        session: Session { number: SessionNumber(1), salt: Salt::NONE },
        time: 0,
        timeline: [0; 16],
        extent_pages: 9,
        extents: 1,
        compression: Compression::None,
        retention: Retention::new(),
        map: None,
        trees: vec![tree],
    }
}

/// A manifest with these bytes.
pub fn manifest(input: &[u8]) {
    let device = Memory::default();
    let id: [u8; 16] = input.get(16..32).and_then(|id| id.try_into().ok()).unwrap_or(STORE);
    let number = input.get(80..88).and_then(|number| number.try_into().ok()).map_or(1, u64::from_le_bytes);
    lock(&device.0).insert(manifest::file_name(number), MemoryFile::new(input.to_vec()));
    if let Ok(Some(manifest)) = manifest::find(&device, &Binding::new(id, None)) {
        assert!(manifest.log_from <= manifest.position && manifest.trees.is_sorted_by_key(|tree| tree.space));
        let _ = (manifest.entries(), manifest.log_start());
    }
}

/// Files in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, MemoryFile>>);

#[derive(Clone)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryFile {
    fn new(bytes: Vec<u8>) -> MemoryFile {
        MemoryFile(Arc::new(Mutex::new(bytes)))
    }
}

fn refused(operation: IoOperation, name: &str) -> IoError {
    IoError::new(operation, Path::new(name), std::io::ErrorKind::NotFound.into())
}

impl Device for Memory {
    fn list(&self) -> Result<Vec<String>, IoError> {
        Ok(lock(&self.0).keys().cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Box<dyn BlockFile>, IoError> {
        let found = lock(&self.0).get(name).cloned();
        found.map(|file| Box::new(file) as Box<dyn BlockFile>).ok_or(refused(IoOperation::Open, name))
    }

    fn create_zeroed(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        let file = MemoryFile::new(vec![0; bytes as usize]);
        lock(&self.0).insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        self.create_zeroed(name, bytes)
    }

    fn rename(&self, from: &str, _to: &str) -> Result<(), IoError> {
        Err(refused(IoOperation::Rename, from))
    }

    fn replace(&self, from: &str, _to: &str) -> Result<(), IoError> {
        Err(refused(IoOperation::Rename, from))
    }

    fn remove(&self, name: &str) -> Result<(), IoError> {
        Err(refused(IoOperation::Remove, name))
    }

    fn flush_names(&self) -> Result<(), IoError> {
        Ok(())
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}

impl BlockFile for MemoryFile {
    fn len(&self) -> u64 {
        lock(&self.0).len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let bytes = lock(&self.0);
        let found = bytes.get(offset as usize..).and_then(|from| from.get(..buf.len()));
        buf.copy_from_slice(found.ok_or(refused(IoOperation::Read, "memory"))?);
        Ok(())
    }

    fn write_durable(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        self.write(offset, parts)
    }

    fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        let (mut bytes, mut at) = (lock(&self.0), offset as usize);
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        lock(&self.0).fill(0);
        Ok(())
    }

    fn discard(&self, _offset: u64, _bytes: u64) -> Result<(), IoError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), IoError> {
        Ok(())
    }
}

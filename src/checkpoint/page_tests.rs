//! What is put on a page comes back, and nothing else does: of another place, another store, another kind, changed, or senseless.

use super::cells::{LeafCell, Stored};
use super::compression::Press;
use super::draft::Draft;
use super::page::{
    BadPage, CELL_BYTES_MAX, Content, Expected, HEADER_BYTES, Kind, LEAF_ENTRIES_MAX, Link, OVERFLOW_BYTES,
    PAGE_BYTES, Page, PageId, RAW_BYTES_MAX, ROOM_BYTES,
};
use super::seal::Binding;
use crate::crypt::{Keyring, MasterKey};
use crate::io::SimulatedDisk;
use crate::lsn::Lsn;
use crate::sync::Arc;

const STORE: [u8; 16] = [5; 16];
const LINK: Link = Link { page: PageId(3), position: Lsn::new(64) };
const WHAT: Expected = Expected { link: LINK, kind: Kind::Leaf, space: 8 };

fn plain() -> Binding {
    Binding::new(STORE, None)
}

/// With keys of its own.
fn encrypted() -> Binding {
    let keyring = Keyring::create(&SimulatedDisk::new(1), &STORE, &MasterKey::from_bytes(&[1; 32])).unwrap();
    Binding::new(STORE, Some(Arc::new(keyring)))
}

fn written(content: Content<'_>) -> Vec<u8> {
    written_by(&plain(), content)
}

fn written_by(binding: &Binding, content: Content<'_>) -> Vec<u8> {
    let mut bytes = vec![0; PAGE_BYTES];
    Page::write(content, LINK, &binding.sealer().unwrap(), &mut bytes);
    bytes
}

fn of_leaf(slots: usize, is_compressed: bool, body: &[u8]) -> Vec<u8> {
    written(Content { kind: Kind::Leaf, space: WHAT.space, slots, is_compressed, body })
}

fn check(bytes: &[u8], binding: &Binding, expected: Expected) -> Result<(), BadPage> {
    Page::open(&mut bytes.to_vec(), &mut Vec::new(), binding, expected).map(drop)
}

fn reseal(bytes: &mut [u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&STORE), &bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// Entries that take up to `bytes`, and a draft of them.
fn entries(bytes: usize) -> (Vec<Entry>, Draft) {
    let (mut draft, mut pushed, mut cell) = (Draft::default(), Vec::new(), Vec::new());
    for n in 0..usize::MAX {
        let (key, value) = (vec![n as u8; 1 + n % 30], vec![n as u8; n * 13 % 300]);
        cell.clear();
        LeafCell { key: &key, lsn: Lsn::new(8), value: Stored::Inline(&value) }.encode(&mut cell);
        assert_eq!(cell.len(), LeafCell::inline_bytes(&key, &value));
        if draft.bytes_with(&cell) > bytes {
            break;
        }
        draft.push(&cell);
        pushed.push((key, value));
    }
    (pushed, draft)
}

fn assert_holds(bytes: &[u8], binding: &Binding, entries: &[Entry]) {
    let (mut bytes, mut raw) = (bytes.to_vec(), Vec::new());
    let page = Page::open(&mut bytes, &mut raw, binding, WHAT).unwrap();
    assert_eq!(page.slots(), entries.len());
    for (slot, (key, value)) in entries.iter().enumerate() {
        let expected = LeafCell { key, lsn: Lsn::new(8), value: Stored::Inline(value) };
        assert_eq!(page.leaf_cell(slot), Some(expected));
    }
    assert_eq!(page.leaf_cell(PAGE_BYTES), None);
}

#[test]
fn holds_what_was_put_there() {
    let (entries, draft) = entries(ROOM_BYTES);
    let mut body = Vec::new();
    draft.copy_first(entries.len(), &mut body);
    assert!(entries.len() > 20 && body.len() > ROOM_BYTES - 400);
    assert_holds(&of_leaf(entries.len(), false, &body), &plain(), &entries);
}

#[test]
fn holds_more_when_it_is_compressed() {
    let ((entries, draft), mut press) = (entries(RAW_BYTES_MAX), Press::new());
    let packed = press.pack(&draft, entries.len());
    assert!(packed.fits() && packed.raw_bytes > RAW_BYTES_MAX - 400, "{packed:?}");
    let bytes = of_leaf(entries.len(), true, press.body(packed));
    assert_holds(&bytes, &plain(), &entries);
    assert!(entries.len() as u64 <= LEAF_ENTRIES_MAX);
}

#[test]
fn two_of_the_longest_cells_fit() {
    let mut draft = Draft::default();
    draft.push(&[1; CELL_BYTES_MAX]);
    assert!(draft.bytes_with(&[1; CELL_BYTES_MAX]) <= ROOM_BYTES);
    draft.push(&[1; CELL_BYTES_MAX]);
    assert!(draft.bytes_with(&[]) > ROOM_BYTES);
}

#[test]
fn another_place_store_kind_keyspace_or_time_is_found() {
    let bytes = of_leaf(1, false, &[0, 0, 1, 1, 1]);
    assert!(check(&bytes, &plain(), WHAT).is_ok());
    assert!(check(&bytes, &Binding::new([6; 16], None), WHAT).is_err());
    for other in [
        Expected { link: Link { page: PageId(4), ..LINK }, ..WHAT },
        Expected { kind: Kind::Branch, ..WHAT },
        Expected { space: 9, ..WHAT },
        Expected { link: Link { position: Lsn::new(56), ..LINK }, ..WHAT },
        Expected { link: Link { position: Lsn::new(72), ..LINK }, ..WHAT },
    ] {
        assert!(check(&bytes, &plain(), other).is_err());
    }
    for bit in 0..PAGE_BYTES * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&flipped, &plain(), WHAT).is_err(), "bit {bit}");
    }
}

#[test]
fn a_part_of_a_value_comes_back() {
    for (next, len) in [(None, 1), (Some(LINK), OVERFLOW_BYTES), (None, OVERFLOW_BYTES - 1)] {
        let body = [&Link::encode_optional(next)[..], &vec![9; len]].concat();
        let what = Expected { kind: Kind::Overflow, ..WHAT };
        let content = Content { kind: Kind::Overflow, space: 8, slots: 0, is_compressed: false, body: &body };
        let (mut bytes, mut raw) = (written(content), Vec::new());
        let page = Page::open(&mut bytes, &mut raw, &plain(), what).unwrap();
        assert_eq!(page.part(len), Some((next, &vec![9; len][..])));
        assert_eq!(page.part(len + 1), None);
    }
}

/// With a right checksum: flags that are none, more room than there is, and blocks that are not what they say.
#[test]
fn headers_and_blocks_that_cannot_be_are_refused() {
    let (entries, draft) = entries(20_000);
    let mut press = Press::new();
    let packed = press.pack(&draft, entries.len());
    let bytes = of_leaf(entries.len(), true, press.body(packed));
    let free = u16::try_from(ROOM_BYTES - packed.bytes).unwrap();
    let raw = u16::try_from(packed.raw_bytes).unwrap();
    let changed = |at: usize, field: [u8; 2]| {
        let mut changed = bytes.clone();
        changed[at..at + 2].copy_from_slice(&field);
        reseal(&mut changed);
        check(&changed, &plain(), WHAT)
    };
    assert_eq!(changed(24, free.to_le_bytes()), Ok(()));
    for (at, field, what) in [
        (24, u16::try_from(ROOM_BYTES + 1).unwrap().to_le_bytes(), "more of it is free"),
        (24, u16::MAX.to_le_bytes(), "more of it is free"),
        (24, (free + 1).to_le_bytes(), "not what was compressed"),
        (24, (free - 1).to_le_bytes(), "not what was compressed"),
        (24, u16::try_from(ROOM_BYTES - 1).unwrap().to_le_bytes(), "cut off"),
        (24, u16::try_from(ROOM_BYTES - 2).unwrap().to_le_bytes(), "not what was compressed"),
        (HEADER_BYTES, (raw + 1).to_le_bytes(), "not what was compressed"),
        (HEADER_BYTES, (raw - 1).to_le_bytes(), "not what was compressed"),
        (HEADER_BYTES, (RAW_BYTES_MAX as u16 + 1).to_le_bytes(), "longer than any page"),
        (4, [Kind::Leaf as u8, 2], "a flag"),
    ] {
        let BadPage(found) = changed(at, field).unwrap_err();
        assert!(found.contains(what), "{found:?}, not {what:?}, at {at}");
    }
    let branch = Content { kind: Kind::Branch, space: 8, slots: 1, is_compressed: true, body: &[1; 9] };
    let refused = check(&written(branch), &plain(), Expected { kind: Kind::Branch, ..WHAT });
    assert!(refused.unwrap_err().0.contains("a flag"));
}

/// Whoever has no key can make the checksum right, and nothing else.
#[test]
fn a_sealed_page_that_was_changed_is_found_whatever_its_checksum() {
    let (binding, (entries, draft), mut press) = (encrypted(), entries(20_000), Press::new());
    let packed = press.pack(&draft, entries.len());
    let (kind, space, slots) = (Kind::Leaf, WHAT.space, entries.len());
    let content = Content { kind, space, slots, is_compressed: true, body: press.body(packed) };
    let bytes = written_by(&binding, content);
    assert_holds(&bytes, &binding, &entries);
    assert!(!bytes.windows(24).any(|bytes| bytes == &press.body(packed)[..24]), "it can be read");
    for bit in (4 * 8..PAGE_BYTES * 8).filter(|bit| *bit < 500 * 8 || bit % 61 == 0) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        reseal(&mut changed);
        assert!(check(&changed, &binding, WHAT).is_err(), "bit {bit}");
    }
    let refusal = |bytes: &[u8], binding: &Binding| check(bytes, binding, WHAT).unwrap_err().0;
    assert!(refusal(&bytes, &plain()).contains("is encrypted, and the store is not"));
    assert!(refusal(&bytes, &encrypted()).contains("another key"));
    let of_plain = of_leaf(entries.len(), true, press.body(packed));
    assert!(refusal(&of_plain, &binding).contains("is not encrypted, and the store is"));
    let mut of_generation_9 = bytes.clone();
    of_generation_9[26] = 9;
    reseal(&mut of_generation_9);
    assert!(refusal(&of_generation_9, &binding).contains("the store does not have"));
    let mut flipped = bytes.clone();
    flipped[HEADER_BYTES + 9] ^= 1;
    reseal(&mut flipped);
    assert!(refusal(&flipped, &binding).contains("was changed"));
}

/// Every attempt draws its own salt; that no nonce comes twice is checked wherever something is sealed.
#[test]
fn two_attempts_at_one_place_and_position_do_not_share_a_nonce() {
    let binding = encrypted();
    let content = Content { kind: Kind::Branch, space: 8, slots: 0, is_compressed: false, body: &[1; 40] };
    let (one, two) = (written_by(&binding, content), written_by(&binding, content));
    assert_ne!(one[32..40], two[32..40]);
    assert_ne!(one[HEADER_BYTES..], two[HEADER_BYTES..]);
}

/// Whatever a page with a right checksum says, reading it does no harm.
#[test]
fn hostile_pages_are_read_without_harm() {
    let (mut random, mut opened, binding) = (fastrand::Rng::with_seed(4), 0, plain());
    for _ in 0..4_000 {
        let mut bytes = vec![0; PAGE_BYTES];
        random.fill(&mut bytes);
        bytes[4..6].copy_from_slice(&[WHAT.kind as u8, random.u8(0..2)]);
        bytes[8..24].copy_from_slice(&LINK.encode());
        bytes[24..26].copy_from_slice(&random.u16(0..9_000).to_le_bytes());
        bytes[26] = 0;
        bytes[28..32].copy_from_slice(&WHAT.space.to_le_bytes());
        reseal(&mut bytes);
        let mut raw = Vec::new();
        let page = Page::open(&mut bytes, &mut raw, &binding, WHAT);
        assert!(raw_is_bounded(&page));
        let Ok(page) = page else { continue };
        opened += 1;
        for slot in 0..page.slots() {
            let _ = (page.leaf_cell(slot), page.branch_cell(slot));
        }
        let _ = page.part(random.usize(0..PAGE_BYTES));
    }
    assert!(opened > 1_000, "{opened}");
}

fn raw_is_bounded(page: &Result<Page<'_>, BadPage>) -> bool {
    page.as_ref().map_or(true, |page| page.raw_bytes() <= RAW_BYTES_MAX)
}

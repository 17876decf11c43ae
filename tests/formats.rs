//! Files that earlier versions wrote are opened by this one: `tests/data` keeps some of each, with what is in them.
//!
//! Before a version is released, its own files are added: run this with `SKIPSTONE_KEEP_FORMATS=1`, look at what is new in `tests/data`, and commit it. Kept files are
//! never written again. Those of a store end in zeros, which are not kept: `lengths` says how long each file is.

use skipstone::bson::spec::BinarySubtype;
use skipstone::bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc, oid::ObjectId};
use skipstone::{
    Builder, Compression, Database, KeyError, Lsn, MasterKey, Until, Verified, restore, verify,
    verify_encrypted,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Beside the files of a store: what is in it, a line each.
const CONTENTS: &str = "contents";
/// Beside them: a line with the name and the length of each.
const LENGTHS: &str = "lengths";
/// Beside the backups: a position in the middle of them, and what was in the store there.
const MIDDLE: &str = "middle";

/// Stores of every kind, each in a directory of this name.
const STORES: [&str; 4] = ["plain", "compressed", "encrypted", "killed"];
/// A chain of backups.
const BACKUPS: [&str; 3] = ["backup-full", "backup-second", "backup-third"];

fn key() -> Result<MasterKey, KeyError> {
    Ok(MasterKey::from_bytes(&[0x5a; 32]))
}

/// How a store of a kind is opened.
fn builder(kind: &str, path: &Path) -> Builder {
    let builder = Database::builder().path(path).segment_bytes(1 << 16).ring_bytes(1 << 16);
    match kind {
        "encrypted" => builder.encryption(key),
        "compressed" => builder.checkpoint_compression(Compression::Lz4),
        _ => builder,
    }
}

fn verified(kind: &str, path: &Path) -> Verified {
    if kind == "encrypted" { verify_encrypted(path, key).unwrap() } else { verify(path).unwrap() }
}

/// Fills a store with something of everything, and some of it changed after a checkpoint.
fn fill(db: &Database) {
    let towns = db.collection("towns").unwrap();
    let towns_of = |ids: std::ops::Range<i32>| {
        ids.map(|id| doc! { "_id": id, "name": format!("town {id}"), "at": [id, -id], "text": "abc ".repeat(id as usize % 90) })
    };
    // More than fit into the ring at once, and into one level of pages.
    towns.insert_many(towns_of(0..400).collect::<Vec<_>>()).unwrap();
    towns.insert(doc! { "_id": "long", "text": "long ".repeat(8_000) }).unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    bytes.put(b"", b"under the empty key").unwrap();
    bytes.put(&[0xff; 100], &[7; 20_000]).unwrap();
    bytes.put(b"gone", b"soon").unwrap();
    db.checkpoint().unwrap();
    let kinds = db.collection("kinds").unwrap();
    kinds.insert(every_kind()).unwrap();
    let bytes_id = Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 1, 2, 0xff] };
    let ids = [Bson::from(bytes_id), uuid().into(), "text \u{0} with a zero".into(), i64::MIN.into()];
    kinds.insert_many(ids.map(|id| doc! { "_id": id, "is": "an id" })).unwrap();
    towns.update(7, |town| drop(town.insert("name", "seven"))).unwrap();
    towns.delete(8).unwrap();
    bytes.delete(b"gone").unwrap();
    towns.insert_many(towns_of(2_000..2_100).collect::<Vec<_>>()).unwrap();
}

fn uuid() -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() }
}

fn every_kind() -> Document {
    doc! {
        "_id": "every kind", "double": -0.5, "string": "Gruß", "document": { "a": { "b": 1 } }, "array": [1, "two", [3.0]],
        "binary": uuid(), "object_id": ObjectId::from_bytes([9; 12]), "true": true, "date": DateTime::from_millis(1_700_000_000_123),
        "null": Bson::Null, "regex": Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() },
        "int32": i32::MIN, "timestamp": Timestamp { time: 5, increment: 6 }, "int64": i64::MAX,
        "decimal": Decimal128::from_bytes([1; 16]), "min": Bson::MinKey, "max": Bson::MaxKey,
    }
}

/// A line for each thing in a store: its name, and its value with what it is worth to compare. Long ones by length and checksum.
fn contents(db: &Database) -> String {
    let (snapshot, mut text) = (db.snapshot().unwrap(), String::new());
    for name in db.collection_names().unwrap() {
        let collection = db.collection(&name).unwrap();
        for document in snapshot.collection(&collection).unwrap().scan() {
            let document = document.unwrap();
            let (version, position) = (document.version(), document.position().unwrap());
            writeln!(
                text,
                "{name} {:?}: version {version} at {position}, {}",
                document.id().unwrap(),
                sum(document.raw().as_bytes())
            )
            .unwrap();
        }
    }
    for name in db.keyspace_names().unwrap() {
        let keyspace = db.keyspace(&name).unwrap();
        for (key, value) in snapshot.keyspace(&keyspace).unwrap().range::<&[u8]>(..) {
            writeln!(text, "{name} {key:02x?}: {}", sum(value)).unwrap();
        }
    }
    text
}

fn sum(bytes: &[u8]) -> String {
    format!("{} bytes, {:08x}", bytes.len(), crc32c::crc32c(bytes))
}

/// Makes a store of each kind, and a chain of backups, in directories of their names.
fn make(dir: &Path) {
    for kind in STORES {
        let (path, work) = (dir.join(kind), tempfile::tempdir().unwrap());
        let store = work.path().join("store");
        let db = builder(kind, &store).open().unwrap();
        fill(&db);
        let contents = contents(&db);
        // The files of a store that was killed are those that nobody closed.
        let open = if kind == "killed" {
            Some(db)
        } else {
            db.close().unwrap();
            None
        };
        copy(&store, &path);
        drop(open);
        fs::write(path.join(CONTENTS), contents).unwrap();
    }
    make_backups(dir);
}

fn make_backups(dir: &Path) {
    let work = tempfile::tempdir().unwrap();
    let chain = BACKUPS.map(|name| work.path().join(name));
    let db = builder("plain", &work.path().join("store")).backup_log_bytes(1 << 30).open().unwrap();
    db.back_up(&chain[0]).unwrap();
    fill(&db);
    let middle = format!("{}\n{}", db.position().get(), contents(&db));
    db.collection("towns").unwrap().insert(doc! { "_id": "second" }).unwrap();
    db.back_up_since(&chain[0], &chain[1]).unwrap();
    db.checkpoint().unwrap();
    db.collection("towns").unwrap().insert(doc! { "_id": "third" }).unwrap();
    db.back_up_since(&chain[1], &chain[2]).unwrap();
    for (from, name) in chain.iter().zip(BACKUPS) {
        copy(from, &dir.join(name));
    }
    let last = dir.join(BACKUPS[2]);
    fs::write(last.join(CONTENTS), contents(&db)).unwrap();
    fs::write(last.join(MIDDLE), middle).unwrap();
}

/// Keeps the files of a store without the zeros at their ends.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut lengths = BTreeMap::new();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name != "LOCK" {
            let bytes = fs::read(entry.path()).unwrap();
            let kept = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            fs::write(to.join(&name), &bytes[..kept]).unwrap();
            lengths.insert(name, bytes.len());
        }
    }
    let lengths: String = lengths.iter().map(|(name, bytes)| format!("{name} {bytes}\n")).collect();
    fs::write(to.join(LENGTHS), lengths).unwrap();
}

/// The files of a store as they were.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for line in fs::read_to_string(from.join(LENGTHS)).unwrap().lines() {
        let (name, length) = line.split_once(' ').unwrap();
        fs::copy(from.join(name), to.join(name)).unwrap();
        let file = File::options().write(true).open(to.join(name)).unwrap();
        file.set_len(length.parse().unwrap()).unwrap();
    }
}

/// Whether everything that `make` made is read.
fn check(dir: &Path) {
    for kind in STORES {
        check_store(kind, &dir.join(kind));
    }
    let work = tempfile::tempdir().unwrap();
    let chain = BACKUPS.map(|name| work.path().join(name));
    for (name, to) in BACKUPS.iter().zip(&chain) {
        unpack(&dir.join(name), to);
    }
    let last = dir.join(BACKUPS[2]);
    let middle = fs::read_to_string(last.join(MIDDLE)).unwrap();
    let (position, at_middle) = middle.split_once('\n').unwrap();
    let at_end = fs::read_to_string(last.join(CONTENTS)).unwrap();
    let position = Lsn::new(position.parse().unwrap());
    for (until, expected) in [(Until::Position(position), at_middle), (Until::End, &at_end)] {
        let target = work.path().join(format!("{until:?}"));
        restore(&chain, &target, until).unwrap();
        let db = builder("plain", &target).create(false).open().unwrap();
        assert_eq!(contents(&db), expected, "{}: {until:?}", dir.display());
    }
}

fn check_store(kind: &str, kept: &Path) {
    let (work, expected) = (tempfile::tempdir().unwrap(), fs::read_to_string(kept.join(CONTENTS)).unwrap());
    let store = work.path().join("store");
    unpack(kept, &store);
    let found = verified(kind, &store);
    assert!(found.is_sound() && found.closed == (kind != "killed"), "{}: {found:#?}", kept.display());
    let db = builder(kind, &store).create(false).open().unwrap();
    assert_eq!(contents(&db), expected, "{}", kept.display());
    // It goes on from there.
    db.collection("towns").unwrap().insert(doc! { "_id": "new" }).unwrap();
    db.close().unwrap();
    let db = builder(kind, &store).create(false).open().unwrap();
    assert_eq!(contents(&db).lines().count(), expected.lines().count() + 1, "{}", kept.display());
}

#[test]
fn files_of_this_version_are_read() {
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    check(made.path());
    let kept = Path::new(KEPT).join(VERSION);
    if std::env::var_os("SKIPSTONE_KEEP_FORMATS").is_some() && !kept.exists() {
        make(&kept);
    }
    assert!(kept.exists(), "keep this version's files: see the top of tests/formats.rs");
}

#[test]
fn files_of_every_version_are_read() {
    let kept: Vec<_> = fs::read_dir(KEPT).unwrap().map(|version| version.unwrap().path()).collect();
    assert!(kept.contains(&Path::new(KEPT).join(VERSION)), "{kept:?}");
    for version in kept {
        check(&version);
    }
}

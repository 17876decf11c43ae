//! Writes the seeds in `fuzz/corpus` anew, from stores as they are written today. The same each time, but for ids of stores and times.

use skipstone::bson::doc;
use skipstone::{Database, DocumentId};
use std::fs;
use std::path::Path;

const BLOCK: usize = 4_096;
const PAGE: usize = 8_192;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = dir.path().join("store");
    write_store(&store);
    for file in fs::read_dir(&store).expect("the store is there").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(file.path()).expect("it is there");
        match name.split('-').next() {
            Some("log") => seed(&corpus, "frames", &name, trimmed(&bytes[BLOCK..])),
            Some("manifest") => seed(&corpus, "manifest", &name, trimmed(&bytes)),
            Some("pages") => pages(&corpus, &name, &bytes),
            _ => {}
        }
    }
    documents(&corpus);
    for (name, operations) in
        [("commits", &b"\0ab\0cd\x03a0\xff\x02a0\x04..\x01zz\x05.."[..]), ("short", b"\x01aa")]
    {
        seed(&corpus, "operations", name, operations);
    }
}

/// Something of everything: short and long values, deletions, a transaction in chunks, checkpoints, and a log behind them.
fn write_store(store: &Path) {
    let open = || {
        let builder = Database::builder().path(store).segment_bytes(1 << 16).ring_bytes(1 << 16);
        builder.checkpoint_log_bytes(u64::MAX).checkpoint_at_close(false).open().expect("a new store")
    };
    let db = open();
    let towns = db.collection("towns").expect("a new collection");
    for id in 0..4 {
        towns.insert(doc! { "_id": id, "text": "x".repeat(2_500) }).expect("a new document");
    }
    db.keyspace("bytes").expect("a new keyspace").put(b"long", &[7; 5_000]).expect("it fits");
    db.checkpoint().expect("there is room");
    towns.delete(1).expect("it is there");
    let many = (10..22).map(|id| doc! { "_id": id, "text": "y".repeat(900) });
    towns.insert_many(many.collect::<Vec<_>>()).expect("new documents");
    drop((towns, db));
    drop(open());
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

/// Each branch and leaf as the root: its number and height, then all pages that hold something.
fn pages(corpus: &Path, name: &str, bytes: &[u8]) {
    let pages = &trimmed(bytes)[PAGE..];
    for (at, page) in pages.chunks(PAGE).enumerate() {
        let height = match page[4] {
            2 => 1,
            3 => 0,
            _ => continue,
        };
        let mut input = vec![at as u8 + 1, height];
        input.extend_from_slice(pages);
        seed(corpus, "pages", &format!("{name}-{at}"), &input);
    }
}

fn documents(corpus: &Path) {
    let json = br#"{"_id":{"$oid":"507f1f77bcf86cd799439011"},"a":[1,2.5,null,true,{"$numberDecimal":"1.5"}],"t":"\u00e9","d":{"$date":"2024-01-01T00:00:00Z"}}"#;
    seed(corpus, "documents", "json", &[&[0], &json[..]].concat());
    let raw = skipstone::document::json_to_raw(json, &skipstone::Limits::default()).expect("it is JSON");
    seed(corpus, "documents", "bson", &[&[1], raw.as_bytes()].concat());
    for (name, id) in
        [("key-int", DocumentId::from(-7)), ("key-text", "aachen".into()), ("key-bytes", vec![0, 255].into())]
    {
        let mut key = vec![2];
        id.to_key(&mut key).expect("it is short");
        seed(corpus, "documents", name, &key);
    }
    seed(corpus, "documents", "path", b"\x03a.b.0\0{\"a\":{\"b\":[1]}}");
}

fn seed(corpus: &Path, target: &str, name: &str, bytes: &[u8]) {
    let dir = corpus.join(target);
    fs::create_dir_all(&dir).expect("the corpus can be written");
    fs::write(dir.join(name), bytes).expect("the corpus can be written");
}

//! Encrypted stores, with compressed pages: chains of backups with their keys, changes of the key in between, and what is found and brought out when bytes are
//! not what they were.

use crate::{Place, contents, fill, image, things};
use skipstone::bson::doc;
use skipstone::{
    BackupError, Builder, ChainError, Compression, Database, Error, Finding, FindingKind, KeyProvider, Lost,
    MasterKey, OpenError, RestoreError, SalvageError, Until, restore, restore_encrypted, salvage,
    salvage_encrypted, verify, verify_encrypted,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn key(byte: u8) -> impl KeyProvider + 'static {
    move || Ok(MasterKey::from_bytes(&[byte; 32]))
}

fn encrypted(builder: Builder, byte: u8) -> Builder {
    builder.encryption(key(byte)).checkpoint_compression(Compression::Lz4).backup_log_bytes(1 << 30)
}

fn open(store: &Path, byte: u8) -> Result<Database, Error> {
    Database::builder().path(store).create(false).encryption(key(byte)).open()
}

fn opening(opened: Result<Database, Error>) -> OpenError {
    match opened.err().expect("it does not open") {
        Error::Open(error) => error,
        other => panic!("{other}"),
    }
}

/// It opens with its key, and holds what it should; without, and with another, it says why not, and stays as it was.
fn assert_holds(store: &Path, byte: u8, expected: &[String]) {
    let before = image(store);
    let without = opening(Database::builder().path(store).create(false).open());
    assert!(matches!(&without, OpenError::KeyNeeded { path, .. } if path == store), "{without}");
    let wrong = opening(open(store, byte + 1));
    assert!(matches!(&wrong, OpenError::WrongKey { file, .. } if *file == store.join("keys")), "{wrong}");
    assert!(image(store) == before, "opening changed what it refused");
    let found = verify_encrypted(store, key(byte)).unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    let db = open(store, byte).unwrap();
    assert!(contents(&db) == expected, "{}", store.display());
    assert!(db.verify().unwrap().is_sound());
}

fn chain_error(error: RestoreError) -> ChainError {
    match error {
        RestoreError::Chain(error) => error,
        other => panic!("{other}"),
    }
}

fn more(db: &Database, from: i32) {
    let many = (from..from + 300).map(|id| doc! { "_id": id, "text": format!("secret {id} ").repeat(20) });
    things(db).insert_many(many).unwrap();
}

#[test]
fn a_chain_is_restored_to_its_end_to_a_position_and_to_a_time() {
    let (place, copies) = (Place::new(), tempfile::tempdir().unwrap());
    let dirs: Vec<PathBuf> = ["full", "first", "second"].map(|name| copies.path().join(name)).into();
    let db = encrypted(place.builder(), 1).open().unwrap();
    fill(&db, 200);
    db.back_up(&dirs[0]).unwrap();
    more(&db, 1_000);
    db.checkpoint().unwrap();
    let (middle, in_the_middle) = (db.position(), contents(&db));
    // The time is noted once a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let between = SystemTime::now();
    // What comes next is later than that, by the log's clock too.
    std::thread::sleep(Duration::from_millis(100));
    more(&db, 2_000);
    db.back_up_since(&dirs[0], &dirs[1]).unwrap();
    things(&db).delete(1_000).unwrap();
    db.back_up_since(&dirs[1], &dirs[2]).unwrap();
    let end = contents(&db);
    db.close().unwrap();
    let before: Vec<_> = dirs.iter().map(|dir| image(dir)).collect();

    let target = |name: &str| copies.path().join(name);
    let wanted = [("end", Until::End, &end), ("position", Until::Position(middle), &in_the_middle)];
    for (name, until, expected) in wanted.into_iter().chain([("time", Until::Time(between), &in_the_middle)])
    {
        let made = restore_encrypted(&dirs, target(name), until, key(1)).unwrap();
        assert!(until != Until::Time(between) || made.as_of <= between, "{made:?}");
        assert_holds(&target(name), 1, expected);
        // It goes on by itself, and is backed up by itself.
        let restored = encrypted(Database::builder().path(target(name)), 1).open().unwrap();
        things(&restored).insert(doc! { "_id": "own" }).unwrap();
        restored.back_up(target(&format!("{name}-full"))).unwrap();
        things(&restored).insert(doc! { "_id": "more" }).unwrap();
        restored.back_up_since(target(&format!("{name}-full")), target(&format!("{name}-next"))).unwrap();
        let (both, again) =
            ([format!("{name}-full"), format!("{name}-next")], target(&format!("{name}-again")));
        restore_encrypted(&both.map(|name| target(&name)), &again, Until::End, key(1)).unwrap();
        assert_holds(&again, 1, &contents(&restored));
    }
    let nowhere = target("nowhere");
    let without = chain_error(restore(&dirs, &nowhere, Until::End).unwrap_err());
    assert!(matches!(without, ChainError::Open(OpenError::KeyNeeded { .. })), "{without}");
    let wrong = chain_error(restore_encrypted(&dirs, &nowhere, Until::End, key(2)).unwrap_err());
    assert!(matches!(wrong, ChainError::Open(OpenError::WrongKey { .. })), "{wrong}");
    let far = restore_encrypted(&dirs, &nowhere, Until::Time(between + Duration::from_secs(3_600)), key(1));
    assert!(matches!(far, Err(RestoreError::NotCovered { .. })), "{far:?}");
    assert!(!nowhere.exists(), "no target was made");
    assert!(dirs.iter().map(|dir| image(dir)).eq(before), "the backups are as they were");
}

#[test]
fn after_a_change_of_the_key_a_full_backup_comes_first() {
    let (place, copies) = (Place::new(), tempfile::tempdir().unwrap());
    let dir = |name: &str| copies.path().join(name);
    let db = encrypted(place.builder(), 1).open().unwrap();
    fill(&db, 100);
    db.back_up(dir("full")).unwrap();
    more(&db, 1_000);
    db.back_up_since(dir("full"), dir("next")).unwrap();
    let before = contents(&db);
    db.rotate_key(&key(5)).unwrap();
    more(&db, 2_000);
    for _ in 0..2 {
        let error = db.back_up_since(dir("next"), dir("refused")).unwrap_err();
        let text = error.to_string();
        let Error::Backup { cause, .. } = error else { panic!("{text}") };
        let BackupError::Previous(ChainError::OtherKey { path, .. }) = *cause else { panic!("{text}") };
        assert_eq!(path, dir("next"));
        assert!(text.contains("take a full backup") && text.contains("next"), "{text}");
        assert!(!dir("refused").exists(), "no target was made");
    }
    db.back_up(dir("new full")).unwrap();
    things(&db).insert(doc! { "_id": "last" }).unwrap();
    db.back_up_since(dir("new full"), dir("new next")).unwrap();
    let after = contents(&db);
    db.close().unwrap();
    assert_holds(&place.store, 5, &after);

    let (old, new) = ([dir("full"), dir("next")], [dir("new full"), dir("new next")]);
    for (chain, byte, expected) in [(&old, 1, &before), (&new, 5, &after)] {
        let target = dir(&format!("restored {byte}"));
        let wrong = chain_error(restore_encrypted(chain, &target, Until::End, key(6 - byte)).unwrap_err());
        assert!(matches!(wrong, ChainError::Open(OpenError::WrongKey { .. })), "{wrong}");
        restore_encrypted(chain, &target, Until::End, key(byte)).unwrap();
        assert_holds(&target, byte, expected);
    }
    let mixed = [dir("full"), dir("new next")];
    let error = chain_error(restore_encrypted(&mixed, dir("mixed"), Until::End, key(1)).unwrap_err());
    assert!(matches!(&error, ChainError::OtherKey { path, .. } if *path == dir("full")), "{error}");
}

/// Stores of each kind: name, key, compression.
const KINDS: [(&str, Option<u8>, Compression); 3] = [
    ("encrypted", Some(1), Compression::None),
    ("compressed", None, Compression::Lz4),
    ("both", Some(1), Compression::Lz4),
];

/// A closed store with a checkpoint and commits behind it; what it holds.
fn closed(place: &Place, key_byte: Option<u8>, compression: Compression) -> Vec<String> {
    let builder = place.builder().checkpoint_compression(compression).checkpoint_at_close(false);
    let db = match key_byte {
        Some(byte) => builder.encryption(key(byte)),
        None => builder,
    };
    let db = db.open().unwrap();
    fill(&db, 300);
    db.checkpoint().unwrap();
    more(&db, 1_000);
    for id in 0..20 {
        things(&db).upsert(doc! { "_id": 5_000 + id }).unwrap();
    }
    let held = values(&db);
    db.close().unwrap();
    held
}

/// What a store holds, without positions: they change when it is salvaged.
fn values(db: &Database) -> Vec<String> {
    let lines = contents(db).into_iter();
    lines.map(|line| line.split(" Lsn(").next().expect("there is a first part").to_owned()).collect()
}

fn verify_any(store: &Path, key_byte: Option<u8>) -> Result<skipstone::Verified, OpenError> {
    match key_byte {
        Some(byte) => verify_encrypted(store, key(byte)),
        None => verify(store),
    }
}

/// What is brought over, and what the new store holds.
fn salvage_any(
    store: &Path,
    key_byte: Option<u8>,
) -> Result<(skipstone::Salvaged, Vec<String>), SalvageError> {
    let new = Place::new();
    let made = match key_byte {
        Some(byte) => salvage_encrypted(store, &new.store, key(byte)),
        None => salvage(store, &new.store),
    }?;
    let found = verify_any(&new.store, key_byte).unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    let db = match key_byte {
        Some(byte) => open(&new.store, byte).unwrap(),
        None => Database::open(&new.store).unwrap(),
    };
    Ok((made, values(&db)))
}

#[test]
fn sound_stores_are_verified_and_salvaged_whole() {
    for (kind, key_byte, compression) in KINDS {
        let place = Place::new();
        let held = closed(&place, key_byte, compression);
        let before = image(&place.store);
        let found = verify_any(&place.store, key_byte).unwrap();
        assert!(found.is_sound() && found.entries > 300 && found.commits > 20, "{kind}: {found:#?}");
        let (made, salvaged) = salvage_any(&place.store, key_byte).unwrap();
        assert!(made.is_complete() && salvaged == held, "{kind}: {:#?}", made.findings);
        assert!(image(&place.store) == before, "{kind}: the old store is as it was");
        let Some(byte) = key_byte else { continue };
        for wrong in [verify(&place.store), verify_encrypted(&place.store, key(byte + 1))] {
            let error = wrong.unwrap_err();
            let is_told = matches!(error, OpenError::KeyNeeded { .. } | OpenError::WrongKey { .. });
            assert!(is_told, "{kind}: {error}");
        }
        let new = Place::new();
        let wrong = salvage_encrypted(&place.store, &new.store, key(byte + 1)).unwrap_err();
        assert!(matches!(wrong, SalvageError::Old(OpenError::WrongKey { .. })), "{kind}: {wrong}");
        let without = salvage(&place.store, &new.store).unwrap_err();
        assert!(matches!(without, SalvageError::Old(OpenError::KeyNeeded { .. })), "{kind}: {without}");
        assert!(!new.store.exists(), "{kind}: no new store was made");
    }
    let place = Place::new();
    closed(&place, None, Compression::Lz4);
    let unwanted = verify_encrypted(&place.store, key(1)).unwrap_err();
    assert!(matches!(unwanted, OpenError::NotEncrypted { .. }), "{unwanted}");
}

/// Flips a bit of a file; gives back what it was.
fn flip(file: &Path, offset: usize) -> Vec<u8> {
    let before = fs::read(file).unwrap();
    let mut bytes = before.clone();
    bytes[offset] ^= 0x10;
    fs::write(file, bytes).unwrap();
    before
}

/// Verifying finds just this one thing; opening fails.
fn the_finding(place: &Place, key_byte: Option<u8>, context: &str) -> Finding {
    let found = verify_any(&place.store, key_byte).unwrap();
    let [finding] = &found.findings[..] else { panic!("{:#?}: {context}", found.findings) };
    let opened = match key_byte {
        Some(byte) => open(&place.store, byte),
        None => Database::open(&place.store),
    };
    let error = opening(opened).to_string();
    let file = finding.file.as_ref().expect("it is in a file");
    assert!(error.contains(file), "{error} does not name `{file}`: {context}");
    finding.clone()
}

#[test]
fn damage_is_found_where_it_is_and_the_rest_brought_out() {
    for (kind, key_byte, compression) in KINDS {
        let place = Place::new();
        let held = closed(&place, key_byte, compression);
        let all_there = |salvaged: &[String]| salvaged.iter().all(|line| held.contains(line));

        // A leaf of the collection.
        let (file, offset) = leaf(&place);
        let before = flip(&file, offset + 777);
        let finding = the_finding(&place, key_byte, kind);
        assert_eq!((finding.kind, finding.offset), (FindingKind::Page, Some(offset as u64)), "{kind}");
        assert!(finding.what.contains("checksum"), "{kind}: {finding}");
        let Lost::Keys { keyspace, is_collection: true, .. } = &finding.lost else { panic!("{finding}") };
        assert_eq!(keyspace, "things", "{kind}");
        let (made, salvaged) = salvage_any(&place.store, key_byte).unwrap();
        assert_eq!(made.findings, [finding], "{kind}");
        assert!(all_there(&salvaged) && salvaged.len() < held.len(), "{kind}: {}", salvaged.len());
        assert!(salvaged.len() > held.len() / 2, "{kind}: {}", salvaged.len());
        fs::write(&file, before).unwrap();

        // A commit in the midst of the log.
        let (file, offset) = commit(&place);
        let before = flip(&file, offset + 60);
        let finding = the_finding(&place, key_byte, kind);
        assert_eq!((finding.kind, finding.offset), (FindingKind::Frame, Some(offset as u64)), "{kind}");
        assert!(matches!(finding.lost, Lost::Positions { to: Some(_), .. }), "{kind}: {finding}");
        let (made, salvaged) = salvage_any(&place.store, key_byte).unwrap();
        assert_eq!(made.findings, [finding], "{kind}");
        assert!(all_there(&salvaged) && salvaged.len() < held.len(), "{kind}: {}", salvaged.len());
        fs::write(&file, before).unwrap();

        // The manifest: leaves are found one by one. It says what the log's session is, so without it an encrypted log is lost up to the next opening.
        let file = place.file("manifest-000000000001");
        let before = flip(&file, 100);
        let found = verify_any(&place.store, key_byte).unwrap().findings;
        let is_found = |kind, is_lost: fn(&Lost) -> bool| {
            found.iter().any(|finding| finding.kind == kind && is_lost(&finding.lost))
        };
        assert!(is_found(FindingKind::Manifest, |lost| *lost == Lost::Checkpoint), "{kind}: {found:#?}");
        let (made, salvaged) = salvage_any(&place.store, key_byte).unwrap();
        assert!(!made.is_complete() && all_there(&salvaged), "{kind}: {:#?}", made.findings);
        let is_log_lost =
            is_found(FindingKind::Frame, |lost| matches!(lost, Lost::Positions { to: None, .. }));
        assert_eq!((is_log_lost, salvaged == held), (key_byte.is_some(), key_byte.is_none()), "{kind}");
        assert!(salvaged.len() > held.len() / 2, "{kind}: {}", salvaged.len());
        fs::write(&file, before).unwrap();

        // The data keys: nothing can be read without them.
        if key_byte.is_some() {
            let file = place.file("keys");
            let before = flip(&file, 60);
            let error = verify_any(&place.store, key_byte).unwrap_err();
            assert!(matches!(&error, OpenError::Damaged { file: named, .. } if *named == file), "{error}");
            let error = salvage_any(&place.store, key_byte).unwrap_err();
            assert!(matches!(&error, SalvageError::Old(OpenError::Damaged { .. })), "{error}");
            fs::write(&file, before).unwrap();
        }
        assert!(verify_any(&place.store, key_byte).unwrap().is_sound(), "{kind}: all is put back");
    }
}

/// The first leaf of the first collection, and where it begins in its file.
fn leaf(place: &Place) -> (PathBuf, usize) {
    let file = place.file("pages-000000000000");
    let bytes = fs::read(&file).unwrap();
    let is_leaf = |page: &[u8]| page[4] == 3 && page[28] == 1;
    (file, bytes.chunks(8_192).position(is_leaf).expect("there is a leaf") * 8_192)
}

/// A commit that is not the first nor the last in the last segment, and where its frame begins.
fn commit(place: &Place) -> (PathBuf, usize) {
    let file = place.file(place.segments().last().expect("there is a log"));
    let bytes = fs::read(&file).unwrap();
    let (name, data) = (file.file_name().unwrap().to_str().unwrap(), (1 << 16) - 4_096);
    let first: u64 = name.strip_prefix("log-").unwrap().parse::<u64>().unwrap() * data;
    let is_frame = |at: &usize| bytes[*at + 8..*at + 16] == (first + *at as u64 - 4_096).to_le_bytes();
    let frames: Vec<usize> = (4_096..bytes.len() - 40).step_by(8).filter(is_frame).collect();
    let commits: Vec<_> = frames.into_iter().filter(|at| bytes[at + 4] == 1).collect();
    (file, commits[commits.len() / 2])
}

/// While it is open, too: what is on the disk is no longer what was written there.
#[test]
fn damage_is_found_while_the_store_is_open() {
    for (kind, key_byte, compression) in KINDS {
        let place = Place::new();
        closed(&place, key_byte, compression);
        let builder = place.builder().checkpoint_compression(compression);
        let db = match key_byte {
            Some(byte) => builder.encryption(key(byte)),
            None => builder,
        };
        let db = db.open().unwrap();
        assert!(db.verify().unwrap().is_sound(), "{kind}");
        let (leaf, at_leaf) = leaf(&place);
        let (log, at_commit) = commit(&place);
        let manifest = place.file("manifest-000000000001");
        let mut places = vec![
            (leaf, at_leaf + 777, FindingKind::Page),
            (log, at_commit + 60, FindingKind::Frame),
            (manifest, 100, FindingKind::Manifest),
        ];
        if key_byte.is_some() {
            places.push((place.file("keys"), 60, FindingKind::Store));
        }
        for (file, offset, wrong) in places {
            let before = flip(&file, offset);
            let found = db.verify().unwrap().findings;
            let name = file.file_name().unwrap().to_str();
            assert!(found.len() == 1 && found[0].file.as_deref() == name, "{kind}: {found:#?}");
            assert_eq!(found[0].kind, wrong, "{kind}");
            fs::write(&file, before).unwrap();
        }
        assert!(db.verify().unwrap().is_sound(), "{kind}: all is put back");
        things(&db).insert(doc! { "_id": "later" }).unwrap();
        db.close().unwrap();
    }
}

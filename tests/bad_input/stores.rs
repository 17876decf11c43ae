//! Paths that are no store, or none that can be used.

use crate::assert_says;
use skipstone::bson::doc;
use skipstone::{
    Builder, Database, DeviceChoice, Error, FindingKind, IoOperation, LockError, OpenError, verify,
};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn refused(builder: Builder) -> (OpenError, String) {
    let error = builder.open().err().expect("it should be refused");
    let text = error.to_string();
    match error {
        Error::Open(error) => (error, text),
        other => panic!("{other}"),
    }
}

fn at(path: &Path) -> Builder {
    Database::builder().path(path).segment_bytes(1 << 16)
}

/// All files under a directory, with their bytes.
fn image(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn new_store(dir: &Path) -> PathBuf {
    let store = dir.join("store");
    let db = at(&store).open().unwrap();
    db.collection("things").unwrap().insert(doc! { "_id": 1 }).unwrap();
    db.close().unwrap();
    store
}

fn assert_whole(store: &Path) {
    assert!(at(store).open().unwrap().collection("things").unwrap().exists(1).unwrap());
}

#[test]
fn a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "keep me").unwrap();
    let (error, said) = refused(at(&file));
    assert!(matches!(&error, OpenError::NotADirectory { path, .. } if *path == file), "{said}");
    assert_says(&said, &["notes.txt", "not a directory", "a path that does not exist yet"]);
    assert!(matches!(verify(&file).unwrap_err(), OpenError::NotADirectory { .. }));
    assert_eq!(image(dir.path()), [(file, b"keep me".to_vec())]);
}

#[test]
fn a_directory_of_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("photo.jpg"), "keep me").unwrap();
    let before = image(dir.path());
    let (error, said) = refused(at(dir.path()));
    assert!(
        matches!(&error, OpenError::Foreign { path, found, .. } if path == dir.path() && found == "photo.jpg"),
        "{said}"
    );
    assert_says(&said, &["not a store", "photo.jpg", "give an empty directory"]);
    assert!(matches!(verify(dir.path()).unwrap_err(), OpenError::Foreign { .. }));
    assert_eq!(image(dir.path()), before, "not even a lock file");
}

#[test]
fn a_path_that_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let (error, said) = refused(at(&missing).create(false));
    assert!(matches!(&error, OpenError::Missing { path, .. } if *path == missing), "{said}");
    assert_says(&said, &["no store", "missing", "check the path"]);
    assert!(matches!(verify(&missing).unwrap_err(), OpenError::Missing { .. }));
    let (error, said) = refused(at(&missing.join("store")));
    assert!(matches!(&error, OpenError::Io(error) if error.kind() == ErrorKind::NotFound), "{said}");
    assert_says(&said, &["missing", "check that the path"]);
    assert_eq!(image(dir.path()), []);
}

#[test]
fn verifying_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for error in [verify(dir.path()).unwrap_err(), refused(at(dir.path()).create(false)).0] {
        assert!(matches!(&error, OpenError::Missing { path, .. } if path == dir.path()), "{error}");
        assert_says(
            &error.to_string(),
            &[dir.path().to_str().unwrap(), "no store", "let the store be created"],
        );
    }
    let left: Vec<_> = image(dir.path()).into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect();
    assert_eq!(left, []);
}

#[test]
fn an_empty_directory_becomes_a_store_if_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    at(dir.path()).open().unwrap().close().unwrap();
    assert!(dir.path().join("store").exists());
}

#[test]
fn a_store_of_a_newer_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = new_store(dir.path());
    for name in ["store", "log-000000000000"] {
        let file = store.join(name);
        let good = fs::read(&file).unwrap();
        let mut newer = good.clone();
        newer[8..12].copy_from_slice(&7_u32.to_le_bytes());
        fs::write(&file, &newer).unwrap();
        let (error, said) = refused(at(&store));
        assert!(
            matches!(&error, OpenError::Newer { file: named, found: 7, supported: 1, .. } if *named == file),
            "{said}"
        );
        assert_says(&said, &[name, "format version 7", "up to 1", "use a newer one"]);
        assert!(matches!(verify(&store).unwrap_err(), OpenError::Newer { .. }));
        assert_eq!(fs::read(&file).unwrap(), newer, "it is as it was");
        fs::write(&file, good).unwrap();
    }
    assert_whole(&store);
}

#[test]
fn a_store_file_that_is_damaged_or_cut_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = new_store(dir.path());
    let file = store.join("store");
    let good = fs::read(&file).unwrap();
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    for bytes in [
        &damaged[..],
        &good[..30],
        &[],
        b"not a store at all, and longer than a header of one would be, surely",
    ] {
        fs::write(&file, bytes).unwrap();
        let (error, said) = refused(at(&store));
        assert!(matches!(&error, OpenError::Damaged { file: named, .. } if *named == file), "{said}");
        assert_says(&said, &["store", "is damaged", "restore a backup"]);
        assert_eq!(fs::read(&file).unwrap(), bytes, "it is as it was");
    }
    fs::remove_file(&file).unwrap();
    let before = image(&store);
    for error in [refused(at(&store)).0, refused(at(&store).create(false)).0] {
        let said = error.to_string();
        let OpenError::Damaged { file: named, what, .. } = error else { panic!("{said}") };
        assert!(named == file && what.contains("the log is there"), "{said}");
        assert_says(&said, &["store", "is damaged", "restore a backup"]);
    }
    let findings = verify(&store).unwrap().findings;
    assert!(
        matches!(&findings[..], [finding] if finding.kind == FindingKind::Store && finding.what.contains("the log is there")),
        "{findings:?}"
    );
    assert_eq!(image(&store), before, "it is as it was");
    fs::write(&file, good).unwrap();
    assert_whole(&store);
}

/// A creation that was interrupted before anything was written: a log without frames is no store yet.
#[test]
fn a_log_without_frames_and_without_a_store_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    fs::create_dir(&store).unwrap();
    let segment = store.join("log-000000000000");
    fs::write(&segment, vec![0; 1 << 16]).unwrap();
    for error in [refused(at(&store).create(false)).0, verify(&store).unwrap_err()] {
        assert!(matches!(&error, OpenError::Missing { path, .. } if *path == store), "{error}");
    }
    assert!(segment.exists(), "it is left alone");
    at(&store).open().unwrap().close().unwrap();
    verify(&store).unwrap();
}

#[test]
fn settings_out_of_their_range() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for (builder, name, given) in [
        (at(&path).ring_bytes(1 << 15), "ring_bytes", 1 << 15),
        (at(&path).ring_bytes((1 << 16) + 1), "ring_bytes", (1 << 16) + 1),
        (at(&path).ring_bytes(1 << 31), "ring_bytes", 1 << 31),
        (at(&path).segment_bytes(0), "segment_bytes", 0),
        (at(&path).segment_bytes((1 << 16) + 1), "segment_bytes", (1 << 16) + 1),
        (at(&path).segment_bytes(1 << 37), "segment_bytes", 1 << 37),
    ] {
        let (error, said) = refused(builder);
        assert!(
            matches!(error, OpenError::Setting { setting, given: found, .. } if setting == name && found == given),
            "{said}"
        );
        assert_says(&said, &[name, &given.to_string(), "give a"]);
    }
    assert!(!path.exists());
}

/// Runs `body` with `dir` read-only, on a thread that has no right to write there all the same, as root has.
fn without_privileges(dir: &Path, body: impl FnOnce() + Send) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if fs::metadata(dir).unwrap().uid() == 0 {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65_534)).unwrap();
            }
            body();
        });
        thread.join().unwrap();
    });
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written() {
    let outer = tempfile::tempdir().unwrap();
    fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = new_store(outer.path());
    let before = image(&store);
    without_privileges(&store, || {
        let (error, said) = refused(at(&store));
        let OpenError::Locked(LockError::Io(error)) = error else { panic!("{said}") };
        assert_eq!((error.operation(), error.kind()), (IoOperation::Lock, ErrorKind::PermissionDenied));
        assert_says(&said, &["LOCK", "permission to read and write"]);
    });
    assert_eq!(image(&store), before);
    let empty = outer.path().join("empty");
    fs::create_dir(&empty).unwrap();
    without_privileges(&empty, || {
        let (error, said) = refused(at(&empty));
        assert!(matches!(error, OpenError::Locked(LockError::Io(_))), "{said}");
        let (error, said) = refused(at(&empty.join("new")));
        assert!(
            matches!(&error, OpenError::Io(error) if error.kind() == ErrorKind::PermissionDenied),
            "{said}"
        );
    });
    assert_eq!(image(&empty), []);
    assert_whole(&store);
}

/// In a child process: the store to fill up.
const CHILD_STORE: &str = "SKIPSTONE_TEST_FULL_STORE";

/// The child of the test below; run as an ordinary test it has nothing to do but look that it is no child.
///
/// From some moment on the system refuses to write, as a full disk would.
#[test]
fn fills_a_disk_when_told_to() {
    let Some(store) = std::env::var_os(CHILD_STORE) else { return };
    let device = if store.to_str().unwrap().ends_with("portable") {
        DeviceChoice::Portable
    } else {
        DeviceChoice::Auto
    };
    let db = Database::builder().path(&store).segment_bytes(1 << 16).device(device).open().unwrap();
    let things = db.collection("things").unwrap();
    let insert = |id: i32| things.insert(doc! { "_id": id, "text": "x".repeat(1_000) });
    let mut stored = 20;
    (0..stored).for_each(|id| drop(insert(id).unwrap()));
    let limit = rustix::process::Rlimit { current: Some(1 << 12), maximum: Some(1 << 12) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = loop {
        match insert(stored) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    let Error::ReadOnly { cause, .. } = error else { panic!("{text}") };
    assert_eq!(cause.kind(), ErrorKind::FileTooLarge, "{text}");
    assert_says(&text, &["read-only since a write to it failed", "log-", "open it again"]);
    assert!(matches!(things.insert(doc! {}), Err(Error::ReadOnly { .. })), "nothing later is taken");
    assert!(matches!(db.collection("new"), Err(Error::ReadOnly { .. })));
    assert!(matches!(things.delete(0), Err(Error::ReadOnly { .. })));
    assert!(
        things.exists(0).unwrap()
            && db.snapshot().unwrap().collection(&things).unwrap().count() >= stored as u64,
        "what is there can be read"
    );
    assert!(matches!(db.close(), Err(Error::ReadOnly { .. })));
    println!("\nstored {stored}");
}

#[test]
fn a_disk_without_room() {
    for device in ["auto", "portable"] {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join(device);
        // The signal that comes with the limit is ignored: the error is what counts.
        let run = "trap '' XFSZ; exec \"$0\" --exact stores::fills_a_disk_when_told_to --nocapture";
        let child = std::process::Command::new("sh")
            .args(["-c", run, std::env::current_exe().unwrap().to_str().unwrap()])
            .env(CHILD_STORE, &store)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&child.stdout);
        let stored = out.lines().find_map(|line| line.strip_prefix("stored ")?.parse::<i32>().ok());
        let stored = stored.unwrap_or_else(|| panic!("{out}\n{}", String::from_utf8_lossy(&child.stderr)));
        assert!(stored > 10 && child.status.success(), "{out}");
        let db = at(&store).open().unwrap();
        let things = db.collection("things").unwrap();
        for id in 0..stored {
            assert!(things.exists(id).unwrap(), "{id} was acknowledged");
        }
        things.insert(doc! { "_id": "after", "text": "x".repeat(50_000) }).unwrap();
    }
}

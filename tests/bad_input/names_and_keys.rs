//! Keys, values and names that are too long, or cannot be names.

use crate::{assert_says, refused, state, store};
use skipstone::bson::doc;
use skipstone::{Database, DocumentError, Error, Limits, MAX_KEY_BYTES, Patch};

#[test]
fn ids_that_are_too_long() {
    let (db, things) = store();
    let before = state(&db);
    for id in [skipstone::DocumentId::from("x".repeat(2_000)), vec![0; 2_000].into()] {
        let mut transaction = db.begin().unwrap();
        let mut within = transaction.collection(&things).unwrap();
        for (error, said) in [
            refused(things.insert(doc! { "_id": bson_of(&id) })),
            refused(things.upsert(doc! { "_id": bson_of(&id) })),
            refused(things.get(&id)),
            refused(things.exists(&id)),
            refused(things.replace(&id, doc! {})),
            refused(things.update(&id, |_| {})),
            refused(things.patch(&id, &Patch::new())),
            refused(things.delete(&id)),
            refused(things.delete_if(&id, 1)),
            refused(things.delete_many([&id])),
            refused(things.delete_many_if([(&id, 1)])),
            refused(things.get_many([&id])),
            refused(things.replace_many([(&id, doc! {})])),
            refused(things.replace_many_if([(&id, 1, doc! {})])),
            refused(things.update_many([&id], |_| {})),
            refused(things.update_many_if([(&id, 1)], |_| {})),
            refused(things.patch_many([&id], &Patch::new())),
            refused(things.patch_many_if([(&id, 1)], &Patch::new())),
            refused(within.get(&id).map(drop)),
            refused(within.insert(doc! { "_id": bson_of(&id) })),
            refused(within.range(..id.clone()).map(drop)),
            refused(db.snapshot().unwrap().collection(&things).unwrap().get(&id).map(drop)),
            refused(db.snapshot().unwrap().collection(&things).unwrap().range(id.clone()..).map(drop)),
        ] {
            let DocumentError::KeyTooLong { length_bytes, limit_bytes, .. } = error else { panic!("{said}") };
            assert!(length_bytes > 2_000 && limit_bytes == MAX_KEY_BYTES, "{said}");
            assert_says(&said, &["key takes", &length_bytes.to_string(), "limit is 1024"]);
        }
    }
    assert_eq!(state(&db), before);
}

fn bson_of(id: &skipstone::DocumentId) -> skipstone::bson::Bson {
    id.to_raw().try_into().unwrap()
}

#[test]
fn keys_and_values_of_keyspaces() {
    let limits = Limits { max_document_bytes: 1_000, ..Limits::default() };
    let db = Database::builder().limits(limits).open().unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    bytes.put(&[0; MAX_KEY_BYTES], &[0; 1_000]).unwrap();
    let before = db.position();
    let (key, value) = (vec![0; MAX_KEY_BYTES + 1], vec![0; 1_001]);
    let mut transaction = db.begin().unwrap();
    let mut within = transaction.keyspace(&bytes).unwrap();
    for error in [
        bytes.put(&key, b"").unwrap_err(),
        bytes.delete(&key).unwrap_err(),
        within.put(&key, b"").unwrap_err(),
        within.delete(&key).unwrap_err(),
    ] {
        assert!(matches!(error, Error::KeyTooLong { len: 1_025, max: MAX_KEY_BYTES, .. }), "{error}");
        assert_says(&error.to_string(), &["1025 bytes", "1024 are allowed"]);
    }
    for error in [bytes.put(b"x", &value).unwrap_err(), within.put(b"x", &value).unwrap_err()] {
        assert!(matches!(error, Error::ValueTooLarge { len: 1_001, max: 1_000, .. }), "{error}");
        assert_says(&error.to_string(), &["1001 bytes", "1000 are allowed", "Builder::limits"]);
    }
    transaction.commit().unwrap();
    assert_eq!(db.position(), before);
    assert_eq!(bytes.get(&key).unwrap(), None, "what cannot be there is not");
}

#[test]
fn names_of_collections_and_keyspaces() {
    let (db, _) = store();
    let before = (state(&db), db.keyspace_names().unwrap());
    for bad in ["", "a\nb", "\0", "a\u{7f}", &"x".repeat(256), &"ü".repeat(128)] {
        for error in [db.collection(bad).map(drop).unwrap_err(), db.keyspace(bad).map(drop).unwrap_err()] {
            assert!(matches!(&error, Error::Name { name, max: 255, .. } if name == bad), "{error}");
            assert_says(&error.to_string(), &[&format!("{bad:?}"), "1 to 255 bytes", "control characters"]);
        }
        assert!(db.find_collection(bad).unwrap().is_none());
    }
    assert_eq!((state(&db), db.keyspace_names().unwrap()), before);
}

//! What goes in comes out: BSON, JSON and types of the caller's own; and what the caller gets is the caller's.

use crate::collection;
use serde::{Deserialize, Serialize};
use skipstone::bson::{self, Bson, doc, oid::ObjectId, rawdoc, spec::BinarySubtype};
use skipstone::{Error, Json, Serde};
use std::collections::BTreeMap;

#[test]
fn every_type_of_value_comes_back_as_it_was() {
    let (_db, things) = collection();
    let given = doc! {
        "_id": 1, "double": 1.5, "nan": f64::INFINITY, "text": "zürich\0", "nested": { "deep": { "er": [1, [2, {}], null] } },
        "empty": [], "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
        "uuid": bson::Uuid::from_bytes([9; 16]), "yes": true, "no": false, "none": null, "int": i32::MIN, "long": i64::MAX,
        "date": bson::DateTime::from_millis(-1), "stamp": bson::Timestamp { time: 7, increment: 8 },
        "decimal": Bson::Decimal128("1.50".parse().unwrap()), "oid": ObjectId::from_bytes([3; 12]), "": "no name", "a.b": 1, "$x": 2,
    };
    things.insert(&given).unwrap();
    let found = things.get(1).unwrap().unwrap();
    assert_eq!(found.to::<bson::Document>().unwrap(), given);
    assert_eq!(found.to_raw_buf(), bson::RawDocumentBuf::try_from(&given).unwrap());
    assert_eq!(found.raw().as_bytes(), found.to_raw_buf().as_bytes());
    assert_eq!(found.get("text").unwrap().as_str(), Some("zürich\0"));
    assert!(found.get("absent").is_none());
}

#[test]
fn an_id_in_the_middle_of_a_document_moves_to_its_front() {
    let (_db, things) = collection();
    things.insert(rawdoc! { "a": 1, "_id": 5, "b": 2 }).unwrap();
    assert_eq!(things.get(5).unwrap().unwrap().to_raw_buf(), rawdoc! { "_id": 5, "a": 1, "b": 2 });
    let id = things.insert(&rawdoc! { "a": 1 }).unwrap();
    assert_eq!(things.get(&id).unwrap().unwrap().raw().iter().next().unwrap().unwrap().0.as_str(), "_id");
}

#[test]
fn json_in_and_out() {
    let (_db, things) = collection();
    let text = r#"{"_id":"a","n":1,"big":4294967296,"d":1.5,"s":"é\n","list":[1,[],{"x":null}],"t":true,"when":{"$date":"2020-01-02T03:04:05.678Z"}}"#;
    things.insert(Json(text)).unwrap();
    let found = things.get("a").unwrap().unwrap();
    assert_eq!(found.to_json().unwrap(), text);
    assert_eq!(found.get("when").unwrap().as_datetime().unwrap().timestamp_millis(), 1_577_934_245_678);
    things.replace("a", Json(br#"{"n": 2}"#)).unwrap();
    assert_eq!(things.get("a").unwrap().unwrap().to_json().unwrap(), r#"{"_id":"a","n":2}"#);
    let value: serde_json::Value = serde_json::from_str(r#"{"_id": "b", "n": [3]}"#).unwrap();
    things.insert(&value).unwrap();
    assert_eq!(things.get("b").unwrap().unwrap().to::<serde_json::Value>().unwrap(), value);
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Town {
    #[serde(rename = "_id")]
    id: String,
    people: i64,
    area_km2: f64,
    mayor: Option<String>,
    districts: Vec<District>,
    twins: BTreeMap<String, u16>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum District {
    Old,
    Numbered(u8),
    Named { name: String, since: i32 },
}

fn aachen() -> Town {
    Town {
        id: "aachen".into(),
        people: 249_070,
        area_km2: 160.85,
        mayor: None,
        districts: vec![
            District::Old,
            District::Numbered(52),
            District::Named { name: "Brand".into(), since: 1972 },
        ],
        twins: [("reims".to_owned(), 1967), ("toledo".to_owned(), 1984)].into(),
    }
}

#[test]
fn types_of_the_caller_in_and_out() {
    let (db, things) = collection();
    assert_eq!(things.insert(Serde(&aachen())).unwrap(), "aachen".into());
    let found = things.get("aachen").unwrap().unwrap();
    assert_eq!(found.to::<Town>().unwrap(), aachen());

    #[derive(Deserialize)]
    struct InPlace<'a> {
        #[serde(rename = "_id")]
        id: &'a str,
    }
    let snapshot = db.snapshot().unwrap();
    let seen = snapshot.collection(&things).unwrap().get("aachen").unwrap().unwrap();
    let in_place: InPlace<'_> = seen.to().unwrap();
    assert_eq!(in_place.id, "aachen");
    let bytes = seen.raw().as_bytes().as_ptr_range();
    assert!(bytes.contains(&in_place.id.as_ptr()), "no copy was made");

    let error = found.to::<BTreeMap<String, i32>>().unwrap_err();
    assert!(matches!(error, Error::Document(skipstone::DocumentError::Serde { .. })), "{error}");
    things.replace("aachen", Serde(Town { people: 250_000, ..aachen() })).unwrap();
    assert_eq!(things.get("aachen").unwrap().unwrap().to::<Town>().unwrap().people, 250_000);
}

#[test]
fn what_the_caller_gets_is_the_callers_own() {
    let (db, things) = collection();
    let mut given = doc! { "_id": 1, "list": [1, 2] };
    things.insert(&given).unwrap();
    given.insert("list", "changed");
    let mut found = things.get(1).unwrap().unwrap().to::<bson::Document>().unwrap();
    found.insert("list", "changed too");
    let mut raw = things.get(1).unwrap().unwrap().to_raw_buf();
    raw.append(bson::cstr!("more"), 1);
    let (mut seen, mut kept) = (None, None);
    things
        .update(1, |d| {
            seen = Some(d.clone());
            d.insert("n", 1);
            kept = Some(d.clone());
        })
        .unwrap();
    kept.unwrap().insert("n", 99);
    assert_eq!(seen.unwrap(), doc! { "_id": 1, "list": [1, 2] });
    let owned = things.get(1).unwrap().unwrap();
    let borrowed = db.snapshot().unwrap().collection(&things).unwrap().get(1).unwrap().unwrap().into_owned();
    things.delete(1).unwrap();
    db.sweep().unwrap();
    for document in [owned, borrowed] {
        assert_eq!(document.to::<bson::Document>().unwrap(), doc! { "_id": 1, "list": [1, 2], "n": 1 });
    }
}

/// An update that panics half-way has changed nothing, and the store goes on.
#[test]
fn an_update_that_panics_changes_nothing() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        things.update(1, |d| {
            d.insert("n", 2);
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(things.get(1).unwrap().unwrap().to_json().unwrap(), r#"{"_id":1,"n":1}"#);
    assert_eq!(things.update(1, |d| drop(d.insert("n", 3))).unwrap(), 2);
}

#[test]
fn a_snapshot_goes_on_showing_what_it_showed() {
    let (db, things) = collection();
    things.insert_many((0..100).map(|id| doc! { "_id": id, "n": 0 })).unwrap();
    let snapshot = db.snapshot().unwrap();
    let seen = snapshot.collection(&things).unwrap();
    let before: Vec<String> = seen.scan().map(|d| d.unwrap().to_json().unwrap()).collect();
    let mut scan = seen.scan();
    assert_eq!(scan.by_ref().take(10).count(), 10);
    for id in 0..100 {
        things.update(id, |d| drop(d.insert("n", 1))).unwrap();
        things.insert(doc! { "_id": id + 1_000 }).unwrap();
    }
    things.delete_many(0..50).unwrap();
    db.sweep().unwrap();
    let rest: Vec<String> = scan.map(|d| d.unwrap().to_json().unwrap()).collect();
    assert_eq!(rest, before[10..], "in the middle of a scan too");
    let after: Vec<String> = seen.scan().map(|d| d.unwrap().to_json().unwrap()).collect();
    assert_eq!((after, seen.count()), (before, 100));
    std::thread::scope(|scope| {
        let moved = snapshot.clone();
        let things = &things;
        scope.spawn(move || assert_eq!(moved.collection(things).unwrap().count(), 100)).join().unwrap();
    });
    assert_eq!(things.count().unwrap(), 150);
}

//! Ids of every kind, and their order.

use crate::collection;
use skipstone::bson::{self, Bson, doc, spec::BinarySubtype};
use skipstone::{DocumentId, Error, Json, MAX_KEY_BYTES};
use std::ops::Bound;

fn binary(subtype: BinarySubtype, bytes: &[u8]) -> Bson {
    Bson::Binary(bson::Binary { subtype, bytes: bytes.to_vec() })
}

/// Ids in their order, with the values they have in documents.
fn in_order() -> Vec<(DocumentId, Bson)> {
    let uuid = |first: u8| {
        let mut bytes = [7; 16];
        bytes[0] = first;
        bytes
    };
    let integer = |n: i64| (DocumentId::from(n), i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32));
    let text = |text: &str| (DocumentId::from(text), Bson::String(text.to_owned()));
    let bytes = |bytes: &[u8]| (DocumentId::from(bytes), binary(BinarySubtype::Generic, bytes));
    let uuids = [uuid(0), uuid(200)]
        .map(|u| (DocumentId::Uuid(uuid::Uuid::from_bytes(u)), binary(BinarySubtype::Uuid, &u)));
    let mut ids: Vec<_> =
        [i64::MIN, -(1 << 40), -256, -1, 0, 1, 255, 256, 1 << 31, 1 << 53, (1 << 53) + 1, i64::MAX]
            .map(integer)
            .into();
    ids.extend(["", "\0", "\0\0", "a", "a\0", "a\0b", "aa", "b", "zürich", "\u{10ffff}"].map(text));
    ids.extend([&[][..], &[0], &[255], &[0, 0], &[1; 16], &[255; 16]].map(bytes));
    ids.extend(uuids);
    ids.push(bytes(&[0; 17]));
    ids
}

#[test]
fn every_kind_is_found_again_and_scanned_in_order() {
    let (db, things) = collection();
    let ids = in_order();
    // In an order that is not theirs.
    for (index, (id, value)) in
        ids.iter().enumerate().rev().step_by(2).chain(ids.iter().enumerate().rev().skip(1).step_by(2))
    {
        assert_eq!(&things.insert(doc! { "_id": value.clone(), "at": index as i32 }).unwrap(), id);
    }
    let expected: Vec<_> = ids.iter().map(|(id, _)| id.clone()).collect();
    for (index, (id, value)) in ids.iter().enumerate() {
        let found = things.get(id).unwrap().unwrap();
        assert_eq!(found.id().unwrap(), *id);
        assert_eq!(found.to::<bson::Document>().unwrap(), doc! { "_id": value.clone(), "at": index as i32 });
        assert_eq!(found.raw().iter().next().unwrap().unwrap().0.as_str(), "_id", "the id comes first");
    }
    let snapshot = db.snapshot().unwrap();
    let scanned: Vec<_> =
        snapshot.collection(&things).unwrap().scan().map(|d| d.unwrap().id().unwrap()).collect();
    assert_eq!(scanned, expected);
    let mut sorted = expected.clone();
    sorted.reverse();
    sorted.sort();
    assert_eq!(sorted, expected, "`Ord` is the order of scans");
    sorted.reverse();
    let backwards: Vec<_> =
        snapshot.collection(&things).unwrap().scan_rev().map(|d| d.unwrap().id().unwrap()).collect();
    assert_eq!(backwards, sorted);
}

#[test]
fn ranges_of_every_shape_in_both_directions() {
    let (db, things) = collection();
    let ids: Vec<DocumentId> = in_order().into_iter().map(|(id, _)| id).collect();
    things.insert_many(in_order().into_iter().map(|(_, value)| doc! { "_id": value })).unwrap();
    let snapshot = db.snapshot().unwrap();
    let within = snapshot.collection(&things).unwrap();
    let mut transaction = db.begin().unwrap();
    let transaction = transaction.collection(&things).unwrap();
    let bounds =
        |id: &DocumentId| [Bound::Included(id.clone()), Bound::Excluded(id.clone()), Bound::Unbounded];
    for low in ids.iter().step_by(3).flat_map(bounds) {
        for high in ids.iter().step_by(4).flat_map(bounds) {
            let range = (low.clone(), high);
            let expected: Vec<_> =
                ids.iter().filter(|id| std::ops::RangeBounds::contains(&range, *id)).cloned().collect();
            let seen: Vec<_> =
                within.range(range.clone()).unwrap().map(|d| d.unwrap().id().unwrap()).collect();
            assert_eq!(seen, expected, "{range:?}");
            let seen: Vec<_> =
                transaction.range(range.clone()).unwrap().map(|d| d.unwrap().id().unwrap()).collect();
            assert_eq!(seen, expected, "{range:?}");
            let mut seen: Vec<_> =
                within.range_rev(range.clone()).unwrap().map(|d| d.unwrap().id().unwrap()).collect();
            seen.reverse();
            assert_eq!(seen, expected, "{range:?}");
            let mut seen: Vec<_> =
                transaction.range_rev(range.clone()).unwrap().map(|d| d.unwrap().id().unwrap()).collect();
            seen.reverse();
            assert_eq!(seen, expected, "{range:?}");
        }
    }
}

#[test]
fn integers_are_one_kind_whatever_their_width() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": 5_i32 }).unwrap();
    assert!(matches!(things.insert(doc! { "_id": 5_i64 }), Err(Error::AlreadyExists { .. })));
    assert!(things.exists(5_u32).unwrap() && things.exists(5_i64).unwrap());
    for other in [DocumentId::from("5"), DocumentId::from(vec![5])] {
        assert!(things.get(other).unwrap().is_none());
    }
}

#[test]
fn ids_made_here_are_uuids_of_version_7_that_ascend() {
    let (db, things) = collection();
    let before = uuid::Uuid::now_v7();
    let ids: Vec<DocumentId> = (0..1_000).map(|n| things.insert(doc! { "n": n }).unwrap()).collect();
    for id in &ids {
        let DocumentId::Uuid(uuid) = id else { panic!("{id} is no UUID") };
        assert_eq!(uuid.get_version_num(), 7);
        assert!(uuid.as_bytes()[..6] >= before.as_bytes()[..6], "its time");
    }
    let snapshot = db.snapshot().unwrap();
    let scanned: Vec<_> =
        snapshot.collection(&things).unwrap().scan().map(|d| d.unwrap().id().unwrap()).collect();
    assert_eq!(scanned, ids, "in the order in which they were made");
}

#[test]
fn the_longest_id_is_as_good_as_a_short_one() {
    let (_db, things) = collection();
    let mut len = MAX_KEY_BYTES;
    let longest = loop {
        let id = "x".repeat(len);
        match things.insert(doc! { "_id": &id }) {
            Ok(found) => break found,
            Err(Error::Document(_)) => len -= 1,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(len > MAX_KEY_BYTES - 8, "{len}");
    assert!(things.exists(&longest).unwrap());
    assert_eq!(things.update(&longest, |_| {}).unwrap(), 2);
}

#[test]
fn json_gives_ids_of_every_kind() {
    let (_db, things) = collection();
    let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
    for (json, expected) in [
        (r#"{"_id": -3}"#.to_owned(), DocumentId::from(-3)),
        (r#"{"_id": "x"}"#.to_owned(), "x".into()),
        (format!(r#"{{"_id": {{"$uuid": "{uuid}"}}}}"#), uuid.parse::<uuid::Uuid>().unwrap().into()),
        (r#"{"_id": {"$binary": {"base64": "AAH/", "subType": "00"}}}"#.to_owned(), vec![0, 1, 255].into()),
    ] {
        assert_eq!(things.insert(Json(&json)).unwrap(), expected);
        assert_eq!(things.get(&expected).unwrap().unwrap().id().unwrap(), expected);
    }
}

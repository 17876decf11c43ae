//! Ids and their keys.

use bson::Bson;
use proptest::prelude::*;
use uuid::Uuid;

use super::{DocumentId, MAX_KEY_BYTES};
use crate::document::DocumentError;
use crate::document::order_key::{Direction, encode};

fn key(id: &DocumentId) -> Vec<u8> {
    let mut out = Vec::new();
    id.to_key(&mut out).expect("short enough");
    out
}

fn id() -> impl Strategy<Value = DocumentId> {
    prop_oneof![
        any::<u128>().prop_map(|bits| DocumentId::Uuid(Uuid::from_u128(bits))),
        (0u128..3).prop_map(|bits| DocumentId::Uuid(Uuid::from_u128(bits))),
        any::<String>().prop_map(DocumentId::String),
        "[a\0]{0,3}".prop_map(DocumentId::String),
        any::<i64>().prop_map(DocumentId::Int),
        (-3i64..3).prop_map(DocumentId::Int),
        (-3i64..3).prop_map(|by| DocumentId::Int((1 << 60) + by)),
        prop::collection::vec(0u8..3, 0..4).prop_map(DocumentId::Bytes),
        prop::collection::vec(any::<u8>(), 15..18).prop_map(DocumentId::Bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn ids_order_like_their_keys_and_come_back(a in id(), b in id()) {
        prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
        prop_assert_eq!(a == b, key(&a) == key(&b));
        prop_assert_eq!(DocumentId::from_key(&key(&a)), Ok(a));
    }

    #[test]
    fn ids_survive_serde_in_json_and_bson(id in id()) {
        let json = serde_json::to_string(&id).expect("serialises");
        prop_assert_eq!(&serde_json::from_str::<DocumentId>(&json).expect("reads back"), &id);
        let holder = bson::serialize_to_raw_document_buf(&[("id", &id)].into_iter().collect::<std::collections::BTreeMap<_, _>>())
            .expect("serialises");
        let value = holder.get("id").expect("well formed").expect("present");
        prop_assert_eq!(&DocumentId::try_from(value).expect("an id"), &id);
        let back: std::collections::BTreeMap<String, DocumentId> =
            bson::deserialize_from_slice(holder.as_bytes()).expect("reads back");
        prop_assert_eq!(&back["id"], &id);
    }
}

#[test]
fn uuids_and_integers_have_short_keys() {
    assert!(key(&DocumentId::generate()).len() <= 22);
    for integer in [0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1, (1 << 53) + 1, 1_234_567_890_123_456_789] {
        assert!(key(&DocumentId::Int(integer)).len() <= 22, "{integer}");
    }
}

#[test]
fn generated_ids_are_of_version_7_and_ascend() {
    let ids: Vec<DocumentId> = (0..10_000).map(|_| DocumentId::generate()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let DocumentId::Uuid(uuid) = &ids[0] else { panic!("not a UUID") };
    assert_eq!(uuid.get_version_num(), 7);
}

#[test]
fn long_keys_are_refused_and_leave_the_buffer() {
    let mut out = vec![7];
    let longest = DocumentId::String("x".repeat(MAX_KEY_BYTES - 3));
    longest.to_key(&mut out).expect("exactly at the limit");
    assert_eq!(out.len(), 1 + MAX_KEY_BYTES);
    let mut out = vec![7];
    let refused =
        DocumentId::String("x".repeat(MAX_KEY_BYTES - 2)).to_key(&mut out).expect_err("one too long");
    assert_eq!(refused.to_string(), "the key takes 1025 bytes, the limit is 1024");
    assert_eq!(out, [7]);
}

#[test]
fn values_of_other_types_are_refused_by_name() {
    for (value, named) in [
        (Bson::Double(1.0), "double"),
        (Bson::Null, "null"),
        (bson::bson!([]), "array"),
        (bson::bson!({}), "object"),
        (Bson::Binary(bson::Binary { subtype: 4.into(), bytes: vec![1] }), "UUID of other than 16 bytes"),
        (Bson::Binary(bson::Binary { subtype: 5.into(), bytes: vec![1] }), "subtype other than 0 and 4"),
    ] {
        let refused = DocumentId::try_from(value).expect_err("not an id").to_string();
        assert!(
            refused.contains(named) && refused.contains("UUID, a string, an integer or bytes"),
            "{refused}"
        );
    }
}

#[test]
fn keys_of_other_values_are_refused() {
    let mut out = Vec::new();
    encode(bson::RawBsonRef::Boolean(true), Direction::Ascending, &mut out);
    assert!(matches!(DocumentId::from_key(&out), Err(DocumentError::IdType { found: "boolean" })));
    let mut longer = key(&DocumentId::Int(1));
    longer.push(0);
    assert!(matches!(DocumentId::from_key(&longer), Err(DocumentError::MalformedBson { .. })));
    assert!(DocumentId::from_key(&[]).is_err());
}

#[test]
fn ids_print_for_people() {
    let uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
    assert_eq!(DocumentId::from(uuid).to_string(), "01900000-0000-7000-8000-000000000001");
    assert_eq!(DocumentId::from("as is").to_string(), "as is");
    assert_eq!(DocumentId::from(-5).to_string(), "-5");
    assert_eq!(DocumentId::from(vec![0, 0xab]).to_string(), "0x00ab");
}

//! Everything that takes documents, ids, keys or paths from outside: what is accepted survives its own way out and in again.

use skipstone::bson::{RawBsonRef, RawDocument, doc};
use skipstone::document::order_key::{self, Direction};
use skipstone::document::{FieldPath, Limits, get, json_to_raw, raw_to_json, validate};
use skipstone::{DocumentId, Patch};

/// The first byte says what the others are.
pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind % 4 {
        0 => json(rest),
        1 => bson(rest),
        2 => keys(rest),
        _ => paths(rest),
    }
}

fn json(text: &[u8]) {
    let Ok(raw) = json_to_raw(text, &Limits::default()) else { return };
    validate(raw.as_bytes(), &Limits::default()).expect("what was read of JSON is a document");
    let mut again = Vec::new();
    raw_to_json(&raw, &mut again).expect("what was read of JSON can be written as such");
    let reread = json_to_raw(&again, &Limits::default()).expect("what was written is JSON");
    let mut third = Vec::new();
    raw_to_json(&reread, &mut third).expect("as above");
    assert_eq!(again, third, "what was written once is written so again");
}

fn bson(bytes: &[u8]) {
    let Ok(raw) = validate(bytes, &Limits::default()) else { return };
    let _ = raw_to_json(raw, &mut Vec::new());
    walk(raw);
}

fn walk(raw: &RawDocument) {
    for element in raw.iter() {
        let (_, value) = element.expect("what was checked can be read");
        order(value);
        if let RawBsonRef::Document(inner) = value {
            walk(inner);
        }
    }
}

fn order(value: RawBsonRef<'_>) {
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut key = Vec::new();
        order_key::encode(value, direction, &mut key);
        let mut rest = &key[..];
        order_key::decode(&mut rest, direction).expect("what was encoded can be decoded");
        assert!(rest.is_empty(), "an encoding says where it ends");
    }
}

fn keys(bytes: &[u8]) {
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut rest = bytes;
        let _ = order_key::decode(&mut rest, direction);
    }
    if let Ok(id) = DocumentId::from_key(bytes) {
        let mut key = Vec::new();
        if id.to_key(&mut key).is_ok() {
            assert_eq!(DocumentId::from_key(&key).expect("its own key"), id);
        }
    }
}

/// A path, a zero byte, and a document in JSON.
fn paths(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let (Some(path), Some(text)) = (parts.next(), parts.next()) else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let Ok(raw) = json_to_raw(text, &Limits::default()) else { return };
    if let Ok(path) = FieldPath::try_from(path) {
        let _ = get(&raw, &path);
    }
    for patch in
        [Patch::new().set(path, 7), Patch::new().unset(path), Patch::new().set(path, doc! { "a": [1] })]
    {
        if let Ok(patched) = patch.apply(&raw, &Limits::default()) {
            validate(patched.as_bytes(), &Limits::default()).expect("what was patched is a document");
        }
    }
}

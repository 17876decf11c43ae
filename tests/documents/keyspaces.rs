//! Keyspaces: ordered byte keys, ranges and prefixes in both directions.

use skipstone::{Database, Durability, Error, Limits};

fn keys<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<&'a [u8]> {
    entries.map(|(key, _)| key).collect()
}

#[test]
fn bytes_by_key() {
    let db = Database::in_memory();
    let bytes = db.keyspace("bytes").unwrap();
    let long = vec![7; skipstone::MAX_KEY_BYTES];
    for (key, value) in [(&b""[..], &b"empty key"[..]), (b"\0", b""), (b"a", b"1"), (&long, b"long")] {
        bytes.put(key, value).unwrap();
        assert_eq!(bytes.get(key).unwrap().as_deref(), Some(value));
        assert_eq!(bytes.get_with(key, <[u8]>::len).unwrap(), Some(value.len()));
    }
    bytes.put_with(b"a", b"2", Durability::None).unwrap();
    assert_eq!(bytes.get(b"a").unwrap().unwrap(), b"2");
    bytes.delete(b"a").unwrap();
    bytes.delete(b"a").unwrap();
    assert_eq!((bytes.get(b"a").unwrap(), bytes.get(b"absent").unwrap()), (None, None));
}

#[test]
fn ranges_and_prefixes() {
    let db = Database::in_memory();
    let bytes = db.keyspace("bytes").unwrap();
    let all: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"ab", b"b", b"\xff", b"\xff\xff\x01"];
    all.iter().rev().for_each(|key| bytes.put(key, key).unwrap());
    let snapshot = db.snapshot().unwrap();
    let seen = snapshot.keyspace(&bytes).unwrap();
    assert_eq!(keys(seen.range::<&[u8]>(..)), all);
    let mut reversed = all;
    reversed.reverse();
    assert_eq!(keys(seen.range_rev::<&[u8]>(..)), reversed);
    assert_eq!(keys(seen.range(&b"a"[..]..b"b")), [&b"a"[..], b"a\0", b"ab"]);
    assert_eq!(keys(seen.range(&b"a"[..]..=b"b")), [&b"a"[..], b"a\0", b"ab", b"b"]);
    assert_eq!(keys(seen.range_rev(..=&b"a\0"[..])), [&b"a\0"[..], b"a", b"\0", b""]);
    assert_eq!(keys(seen.range(&b"b"[..]..b"a")), [&b""[..]; 0], "the wrong way round");
    assert_eq!(keys(seen.prefix(b"a")), [&b"a"[..], b"a\0", b"ab"]);
    assert_eq!(keys(seen.prefix(b"\xff")), [&b"\xff"[..], b"\xff\xff\x01"]);
    assert_eq!(keys(seen.prefix(b"")), all);
    assert_eq!(keys(seen.prefix(b"x")), [&b""[..]; 0]);

    let mut transaction = db.begin().unwrap();
    let mut within = transaction.keyspace(&bytes).unwrap();
    within.put(b"aa", b"own").unwrap();
    within.delete(b"ab").unwrap();
    let own: Vec<_> = within.prefix(b"a").map(|(key, _)| key.into_owned()).collect();
    assert_eq!(own, [&b"a"[..], b"a\0", b"aa"]);
    let own: Vec<_> = within.range_rev(&b"a"[..]..b"b").map(|(key, _)| key.into_owned()).collect();
    assert_eq!(own, [&b"aa"[..], b"a\0", b"a"]);
}

#[test]
fn no_limit_lets_a_value_in_that_the_pages_cannot_say_the_length_of() {
    let limits = Limits { max_document_bytes: usize::MAX, ..Limits::default() };
    let db = Database::builder().limits(limits).open().unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    // Never written to: it takes no memory.
    let value = vec![0; Limits::BYTES_CEILING + 1];
    let error = bytes.put(b"key", &value).unwrap_err();
    assert!(matches!(error, Error::ValueTooLarge { max: Limits::BYTES_CEILING, .. }), "{error}");
    assert_eq!(bytes.get(b"key").unwrap(), None);
}

//! A catalog that no program writes, with the right checksums: the greatest number there is was given to a name already. Nothing panics, and what is there
//! stays in use.

use super::chain::device;
use super::harness::*;
use crate::engine::salvage::salvage_on;
use crate::engine::verify::verify_on;
use crate::io::SimulatedDisk;
use crate::{Durability, Error};
use std::path::Path;

/// A store whose catalog says that the keyspace `last` has number `u32::MAX`, in the log or in pages.
fn store(in_pages: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    opened.commit(&[put("a", "1")], Durability::Sync).unwrap();
    let (catalog, number) = (opened.engine.store().space(0), u32::MAX.to_le_bytes());
    opened.engine.put_alone(catalog, b"klast", Some(&number), Durability::Sync).ok().unwrap();
    if in_pages {
        opened.db.checkpoint().unwrap();
    }
    drop(opened);
    copy(&disk)
}

#[test]
fn a_name_more_is_refused_and_those_that_are_there_are_used() {
    for in_pages in [false, true] {
        let disk = store(in_pages);
        let opened = open(&disk).unwrap();
        for _ in 0..2 {
            let refused = [
                opened.db.keyspace("more").map(drop).unwrap_err(),
                opened.db.collection("more").map(drop).unwrap_err(),
            ];
            for error in refused {
                assert!(matches!(&error, Error::NoNumberLeft { name } if name == "more"), "{error}");
            }
        }
        let last = opened.db.keyspace("last").unwrap();
        last.put(b"key", b"value").unwrap();
        opened.commit(&[put("a", "2")], Durability::Sync).unwrap();
        opened.db.checkpoint().unwrap();
        assert!(opened.db.verify().unwrap().is_sound());
        drop((opened, last));
        let opened = open(&disk).unwrap();
        assert_eq!(opened.db.keyspace_names().unwrap(), ["k", "last"]);
        let last = opened.db.keyspace("last").unwrap();
        assert_eq!(last.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(opened.state()[&b"a"[..]], b"2");
        drop((opened, last));
        let found = verify_on(&device(&disk), Path::new("disk"), &config()).unwrap();
        assert!(found.is_sound(), "{:#?}", found.findings);
        let target = open(&SimulatedDisk::new(2)).unwrap();
        assert!(salvage_on(&device(&disk), Path::new("disk"), &target.engine).unwrap().is_complete());
        assert_eq!(target.state()[&b"a"[..]], b"2");
    }
}

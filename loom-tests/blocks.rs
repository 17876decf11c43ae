//! The list of blocks: what is in it is found while blocks are replaced, split and die, and each part is freed once.
//!
//! In a model a block has room for two items, so the third key splits it.

use super::*;
use crate::map::{Alone, Towards};
use loom::thread;

/// Puts a key in; of a capital letter, takes the small one out.
fn change(list: &Alone, key: u8) {
    let is_done = match key.is_ascii_uppercase() {
        true => list.remove(&[key.to_ascii_lowercase()]),
        false => list.insert(&[key], 1),
    };
    assert!(is_done);
}

/// Explores two threads on a list, after some changes; afterwards it has those of one of the outcomes, and is freed with all that it ever had.
fn explore_outcomes(
    name: &str,
    before: &'static [u8],
    one: fn(&Alone),
    other: fn(&Alone),
    outcomes: &'static [&'static [u8]],
) {
    explore(name, move || {
        let baseline = Canary::alive();
        let list = Arc::new(Alone::new());
        before.iter().for_each(|key| change(&list, *key));
        let thread = {
            let list = Arc::clone(&list);
            thread::spawn(move || other(&list))
        };
        one(&list);
        thread.join().unwrap();
        list.audit();
        let after = list.keys(Towards::Greater);
        assert!(outcomes.contains(&&*after), "{after:?}");
        let mut backwards = list.keys(Towards::Lesser);
        backwards.reverse();
        assert_eq!(backwards, after);
        after.iter().for_each(|key| assert!(list.get(&[*key]).is_some()));
        // By way of the levels above, also behind what is there.
        assert!(list.get(b"z").is_none());
        drop(list);
        drop(epoch::pin());
        assert_eq!(Canary::alive(), baseline, "freed once");
    });
}

/// The same where there is one outcome.
fn explore_list(name: &str, before: &'static [u8], one: fn(&Alone), other: fn(&Alone), after: &'static [u8]) {
    let outcomes: &[&[u8]] = Vec::leak(vec![after]);
    explore_outcomes(name, before, one, other, outcomes);
}

#[test]
fn two_inserts_into_one_block() {
    explore_list("two inserts", b"", |list| _ = list.insert(b"a", 1), |list| _ = list.insert(b"b", 2), b"ab");
}

#[test]
fn one_key_twice() {
    explore_list(
        "one key twice",
        b"b",
        |list| _ = list.insert(b"a", 1),
        |list| _ = list.insert(b"a", 2),
        b"ab",
    );
}

#[test]
fn a_split_against_an_insert() {
    let one = |list: &Alone| assert!(list.insert(b"c", 1));
    explore_list("split against insert", b"bd", one, |list| assert!(list.insert(b"e", 1)), b"bcde");
}

#[test]
fn a_key_is_found_while_its_block_is_split() {
    let look = |list: &Alone| {
        assert!(list.get(b"d").is_some());
        let keys = list.keys(Towards::Greater);
        assert!(keys.starts_with(b"b") && keys.ends_with(b"d"), "{keys:?}");
    };
    explore_list("look-up against split", b"bd", |list| assert!(list.insert(b"c", 1)), look, b"bcd");
}

#[test]
fn a_walk_back_against_a_split() {
    let look = |list: &Alone| {
        let keys = list.keys(Towards::Lesser);
        assert!(keys.starts_with(b"d") && keys.ends_with(b"b"), "{keys:?}");
    };
    explore_list("walk back against split", b"bd", |list| assert!(list.insert(b"c", 1)), look, b"bcd");
}

#[test]
fn the_last_key_goes_while_another_comes() {
    explore_list(
        "death against insert",
        b"abc",
        |list| assert!(list.remove(b"c")),
        |list| assert!(list.insert(b"d", 1)),
        b"abd",
    );
}

#[test]
fn neighbours_die() {
    explore_list(
        "neighbours die",
        b"abcdefg",
        |list| assert!(list.remove(b"c") && list.remove(b"d")),
        |list| assert!(list.remove(b"e") && list.remove(b"f")),
        b"abg",
    );
}

#[test]
fn a_holder_dies_while_it_is_listed() {
    let one = |list: &Alone| assert!(list.insert(b"c", 1));
    let other = |list: &Alone| _ = list.remove(b"c");
    explore_outcomes("death against listing", b"ab", one, other, &[b"ab", b"abc"]);
}

#[test]
fn a_key_comes_again_where_its_holder_died() {
    let one = |list: &Alone| assert!(list.remove(b"c") && list.insert(b"c", 1) && list.insert(b"d", 1));
    explore_list("a key comes again", b"abc", one, |list| assert!(list.insert(b"e", 1)), b"abcde");
}

/// Above, `[e] ► g [i]` becomes `[e j]`: who looked for `h` in vain behind `g` must not begin at the last one.
#[test]
fn a_key_is_found_while_a_holder_above_dies() {
    let one = |list: &Alone| assert!(list.remove(b"i") && list.insert(b"j", 1));
    let look = |list: &Alone| assert!(list.get(b"h").is_some());
    explore_list("death above against look-up", b"abcdefghijCDFGHhJ", one, look, b"abehj");
}

/// Who lists a dead holder late finds a living one there, of the same least key.
#[test]
fn a_holder_comes_where_a_dead_one_is_not_listed_yet() {
    let one = |list: &Alone| assert!(list.insert(b"c", 1));
    let other = |list: &Alone| {
        if list.remove(b"c") {
            assert!(list.insert(b"c", 1));
        }
    };
    explore_list("a late lister", b"ab", one, other, b"abc");
}

//! Where serializable draws the line: what is a read, how far a range goes, and who is never refused.

use crate::script::check;

#[test]
fn a_phantom_in_a_range_is_a_conflict_and_one_outside_is_none() {
    check(
        "setup b=1 y=2
         T1 begin
         T2 begin
         T1 range a..c => b=1
         T2 range a..c => b=1
         T3 begin
         T3 put c 3
         T3 put z 3
         T3 delete y
         T3 commit     => ok
         T1 put other1 1
         T1 commit     => ok
         T4 begin
         T4 put aa 4
         T4 commit     => ok
         T2 put other2 1
         T2 commit     => ok | ok | range conflict aa
         end => aa=4 b=1 c=3 other1=1 other2=1 z=3 | aa=4 b=1 c=3 other1=1 other2=1 z=3 | aa=4 b=1 c=3 other1=1 z=3",
    );
}

/// A range counts as far as it was walked: behind the last entry that was taken nothing was read.
#[test]
fn a_walk_that_stops_early_read_no_further() {
    check(
        "setup b=1 d=2 f=3
         T1 begin
         T2 begin
         T1 first a..z => b=1
         T2 last a..z  => f=3
         T3 begin
         T3 put c 9
         T3 delete d
         T3 commit     => ok
         T1 put zz1 1
         T1 commit     => ok
         T2 put zz2 1
         T2 commit     => ok
         end           => b=1 c=9 f=3 zz1=1 zz2=1",
    );
}

#[test]
fn before_the_place_where_a_walk_stopped_all_was_read() {
    check(
        "setup b=1 d=2 f=3
         T1 begin
         T2 begin
         T1 first a..z => b=1
         T2 last a..z  => f=3
         T3 begin
         T3 put a 9
         T3 put g 9
         T3 commit     => ok
         T1 put zz1 1
         T1 commit     => ok | ok | range conflict a
         T2 put zz2 1
         T2 commit     => ok | ok | range conflict g
         end           => a=9 b=1 d=2 f=3 g=9 zz1=1 zz2=1 | a=9 b=1 d=2 f=3 g=9 zz1=1 zz2=1 | a=9 b=1 d=2 f=3 g=9",
    );
}

#[test]
fn a_reader_is_never_refused() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 get x  => 10
         T1 get z  => none
         T1 all    => x=10 y=20
         T2 begin
         T2 put x 11
         T2 delete y
         T2 put z 30
         T2 commit => ok
         T1 all    => x=11 z=30 | x=10 y=20 | x=10 y=20
         T1 get z  => 30 | none | none
         T1 commit => ok
         end       => x=11 z=30",
    );
}

/// A blind write read nothing: it goes after whatever else was written, unless to the same key.
#[test]
fn blind_writes_to_different_keys_never_conflict() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T2 put y 21
         T2 commit => ok
         T1 commit => ok
         end       => x=11 y=21",
    );
}

/// Reading what one wrote oneself is no read of what others write.
#[test]
fn own_writes_are_not_reads() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 put z 1
         T1 get z  => 1
         T2 begin
         T2 put y 21
         T2 commit => ok
         T1 put x 11
         T1 get x  => 11
         T1 commit => ok
         end       => x=11 y=21 z=1",
    );
}

/// An old transaction over keys that nobody else touched commits after any number of others.
#[test]
fn age_alone_refuses_nobody() {
    let mut script = "setup a=1 b=2 hot=0\nT0 begin\nT0 get a => 1\nT0 range a..c => a=1 b=2\n".to_owned();
    for n in 1..=500 {
        script += &format!("T{n} begin\nT{n} put hot {n}\nT{n} commit => ok\n");
    }
    script += "T0 put b 3\nT0 commit => ok\nend => a=1 b=3 hot=500";
    check(&script);
}

//! G2-item, write skew: two transactions read the same keys, and each writes another of them. Serializable stops it.

use crate::script::check;

#[test]
fn two_keys_read_and_one_written_by_each() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 get x  => 10
         T1 get y  => 20
         T2 get x  => 10
         T2 get y  => 20
         T1 put x 11
         T2 put y 21
         T1 commit => ok
         T2 commit => ok | ok | read conflict x
         end       => x=11 y=21 | x=11 y=21 | x=11 y=20",
    );
}

/// Three transactions in a ring, each writes what the one before has read.
#[test]
fn a_ring_of_three() {
    check(
        "setup x=1 y=2 z=3
         T1 begin
         T2 begin
         T3 begin
         T1 get x  => 1
         T2 get y  => 2
         T3 get z  => 3
         T1 put y 20
         T2 put z 30
         T3 put x 10
         T3 commit => ok
         T2 commit => ok
         T1 commit => ok | ok | read conflict x
         end       => x=10 y=20 z=30 | x=10 y=20 z=30 | x=10 y=2 z=30",
    );
}

/// Both look whether a key is there, which it is not, and put another one.
#[test]
fn absent_keys_are_reads_too() {
    check(
        "setup x=10
         T1 begin
         T2 begin
         T1 get a  => none
         T2 get b  => none
         T1 put b 1
         T2 put a 1
         T1 commit => ok
         T2 commit => ok | ok | read conflict b
         end       => a=1 b=1 x=10 | a=1 b=1 x=10 | b=1 x=10",
    );
}

/// What was read is deleted by one, and brought back by a third, before the other commits.
#[test]
fn a_key_that_went_and_came_back_has_changed() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 get x  => 10
         T2 begin
         T2 delete x
         T2 commit => ok
         T3 begin
         T3 put x 10
         T3 commit => ok
         T1 put y 21
         T1 commit => ok | ok | read conflict x
         end       => x=10 y=21 | x=10 y=21 | x=10 y=20",
    );
}

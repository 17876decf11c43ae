//! PMP, predicate-many-preceders: what matches a predicate changes while it is being used. Read committed allows it.

use crate::script::check;

#[test]
fn a_predicate_that_is_read_twice() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 where 30 => none
         T2 put z 30
         T2 commit   => ok
         T1 where 30 => z | none | none
         T1 commit   => ok
         end         => x=10 y=20 z=30",
    );
}

#[test]
fn a_range_that_is_read_twice_in_both_directions() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 range x..zz => x=10 y=20
         T2 begin
         T2 put xx 15
         T2 delete y
         T2 commit      => ok
         T1 range x..zz => x=10 xx=15 | x=10 y=20 | x=10 y=20
         T1 rev x..zz   => xx=15 x=10 | y=20 x=10 | y=20 x=10
         T1 commit      => ok
         end            => x=10 xx=15",
    );
}

/// What matches a predicate is deleted, after another transaction raised all values by 10: under read committed `y` goes, although
/// it holds 30 by then.
#[test]
fn a_predicate_that_decides_what_is_written() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 20
         T1 put y 30
         T2 where 20 => y
         T2 delete y
         T1 commit   => ok
         T2 commit   => ok | write conflict y | write conflict y
         end         => x=20 | x=20 y=30 | x=20 y=30",
    );
}

/// The statement comes after the other commit: read committed sees the new values, snapshot the old ones and is refused.
#[test]
fn a_predicate_that_decides_what_is_written_afterwards() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T2 get x    => 10
         T1 put x 20
         T1 put y 30
         T1 commit   => ok
         T2 where 20 => x | y | y
         T2 rollback
         T3 begin
         T3 where 20 => x
         T3 delete x
         T3 commit   => ok
         end         => y=30",
    );
}

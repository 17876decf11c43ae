//! G1a, aborted read: what a transaction wrote is read, and then it is rolled back. Every level stops it.

use crate::script::check;

#[test]
fn what_is_rolled_back_is_never_seen() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 101
         T1 put z 1
         T2 all      => x=10 y=20
         T1 rollback
         T2 get x    => 10
         T2 get z    => none
         T2 all      => x=10 y=20
         T2 commit   => ok
         end         => x=10 y=20",
    );
}

#[test]
fn a_commit_that_conflicts_leaves_nothing_either() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 get y    => 20
         T2 begin
         T2 put y 22
         T2 commit   => ok
         T1 put w 1
         T1 put y 21
         T1 put z 1
         T1 commit   => ok | write conflict y | write conflict y
         T3 begin
         T3 all      => w=1 x=10 y=21 z=1 | x=10 y=22 | x=10 y=22
         T3 rollback
         end         => w=1 x=10 y=21 z=1 | x=10 y=22 | x=10 y=22",
    );
}

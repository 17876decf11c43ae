//! OTV, observed transaction vanishes: of a transaction whose effects were seen, other effects are not there. Every level stops it.

use crate::script::check;

#[test]
fn what_was_seen_in_part_is_there_as_a_whole() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T1 put y 19
         T2 put x 12
         T1 commit => ok
         T3 begin
         T3 get x  => 11
         T2 put y 18
         T3 get y  => 19
         T2 commit => ok | write conflict x | write conflict x
         T3 get y  => 18 | 19 | 19
         T3 get x  => 12 | 11 | 11
         T3 commit => ok
         end       => x=12 y=18 | x=11 y=19 | x=11 y=19",
    );
}

#[test]
fn one_scan_sees_each_transaction_whole() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 put x 11
         T1 put y 19
         T3 begin
         T3 all    => x=10 y=20
         T1 commit => ok
         T3 all    => x=11 y=19 | x=10 y=20 | x=10 y=20
         T3 rev a..zz => y=19 x=11 | y=20 x=10 | y=20 x=10
         T3 commit => ok
         end       => x=11 y=19",
    );
}

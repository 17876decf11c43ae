//! G0, dirty write: two transactions write the same two keys, and the outcome mixes them. Every level stops it.

use crate::script::check;

#[test]
fn the_writes_of_two_transactions_are_never_mixed() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T2 put x 12
         T1 put y 21
         T1 commit => ok
         T2 put y 22
         T2 commit => ok | write conflict x | write conflict x
         end       => x=12 y=22 | x=11 y=21 | x=11 y=21",
    );
}

#[test]
fn the_same_in_opposite_orders() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T2 put y 22
         T1 put y 21
         T2 put x 12
         T2 commit => ok
         T1 commit => ok | write conflict x | write conflict x
         end       => x=11 y=21 | x=12 y=22 | x=12 y=22",
    );
}

#[test]
fn a_deletion_is_a_write_and_so_is_bringing_a_key_into_being() {
    check(
        "setup x=10
         T1 begin
         T2 begin
         T1 delete x
         T1 put new 1
         T2 put x 12
         T2 put new 2
         T1 commit => ok
         T2 commit => ok | write conflict new | write conflict new
         end       => new=2 x=12 | new=1 | new=1",
    );
}

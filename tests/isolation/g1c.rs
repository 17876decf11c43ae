//! G1c, circular information flow: each of two transactions reads what the other wrote. Every level stops it.

use crate::script::check;

#[test]
fn two_transactions_do_not_read_from_each_other() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T2 put y 22
         T1 get y  => 20
         T2 get x  => 10
         T1 commit => ok
         T2 commit => ok | ok | read conflict x
         end       => x=11 y=22 | x=11 y=22 | x=11 y=20",
    );
}

#[test]
fn nor_does_the_later_one_read_the_earlier_one_and_the_other_way_round() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 11
         T1 get y  => 20
         T1 commit => ok
         T2 get x  => 11 | 10 | 10
         T2 put y 22
         T2 commit => ok | ok | read conflict x
         end       => x=11 y=22 | x=11 y=22 | x=11 y=20",
    );
}

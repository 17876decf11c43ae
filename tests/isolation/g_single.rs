//! G-single, read skew: one transaction sees another's effect in one place and misses it in another. Read committed allows it.

use crate::script::check;

#[test]
fn two_keys_read_before_and_after_another_commit() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 get x  => 10
         T2 get x  => 10
         T2 get y  => 20
         T2 put x 12
         T2 put y 18
         T2 commit => ok
         T1 get y  => 18 | 20 | 20
         T1 commit => ok
         end       => x=12 y=18",
    );
}

#[test]
fn through_two_predicates() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 where 10 => x
         T2 put x 12
         T2 put y 10
         T2 commit   => ok
         T1 where 20 => none | y | y
         T1 where 10 => y | x | x
         T1 commit   => ok
         end         => x=12 y=10",
    );
}

#[test]
fn and_the_second_read_decides_what_is_written() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 get x    => 10
         T2 put x 12
         T2 put y 18
         T2 commit   => ok
         T1 where 20 => none | y | y
         T1 delete y
         T1 commit   => ok | write conflict y | write conflict y
         end         => x=12 | x=12 y=18 | x=12 y=18",
    );
}

/// A transaction that will be refused has a consistent view as well, up to its end.
#[test]
fn a_transaction_that_will_be_refused_sees_one_moment() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 put x 11
         T2 begin
         T2 put x 12
         T2 put y 18
         T2 commit => ok
         T1 get y  => 18 | 20 | 20
         T1 all    => x=11 y=18 | x=11 y=20 | x=11 y=20
         T1 commit => ok | write conflict x | write conflict x
         end       => x=11 y=18 | x=12 y=18 | x=12 y=18",
    );
}

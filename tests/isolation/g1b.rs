//! G1b, intermediate read: a value is read that its writer overwrites before it commits. Every level stops it.

use crate::script::check;

#[test]
fn only_the_last_write_of_a_transaction_is_seen() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 put x 101
         T2 get x  => 10
         T1 put x 11
         T1 get x  => 11
         T1 commit => ok
         T2 get x  => 11 | 10 | 10
         T2 commit => ok
         end       => x=11 y=20",
    );
}

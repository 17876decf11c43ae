//! G2, anti-dependency cycle: write skew through ranges and predicates. Serializable stops it.

use crate::script::check;

#[test]
fn each_puts_what_the_other_looked_for() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 where 30 => none
         T2 where 30 => none
         T1 put z 30
         T2 put w 30
         T1 commit   => ok
         T2 commit   => ok | ok | range conflict z
         end         => w=30 x=10 y=20 z=30 | w=30 x=10 y=20 z=30 | x=10 y=20 z=30",
    );
}

#[test]
fn each_puts_into_the_range_of_the_other() {
    check(
        "setup x=10
         T1 begin
         T2 begin
         T1 range a..b => none
         T2 rev c..d   => none
         T1 put c1 1
         T2 put a1 1
         T1 commit     => ok
         T2 commit     => ok | ok | range conflict c1
         end           => a1=1 c1=1 x=10 | a1=1 c1=1 x=10 | c1=1 x=10",
    );
}

#[test]
fn a_deletion_in_a_range_changes_it() {
    check(
        "setup a=1 b=2 c=3
         T1 begin
         T2 begin
         T1 all    => a=1 b=2 c=3
         T2 delete b
         T2 commit => ok
         T1 put d 6
         T1 commit => ok | ok | range conflict b
         end       => a=1 c=3 d=6 | a=1 c=3 d=6 | a=1 c=3",
    );
}

/// Fekete's two edges: the third transaction makes the cycle, by reading alone.
#[test]
fn two_edges() {
    check(
        "setup x=10 y=20
         T1 begin
         T1 all    => x=10 y=20
         T2 begin
         T2 put y 25
         T2 commit => ok
         T3 begin
         T3 all    => x=10 y=25
         T3 commit => ok
         T1 put x 0
         T1 commit => ok | ok | range conflict y
         end       => x=0 y=25 | x=0 y=25 | x=10 y=25",
    );
}

/// The read-only anomaly: a withdrawal with its fee is decided before a deposit that a report has seen already.
#[test]
fn a_report_that_fits_no_order() {
    check(
        "setup checking=0 savings=0
         withdrawal begin
         withdrawal get checking => 0
         withdrawal get savings  => 0
         deposit begin
         deposit get savings     => 0
         deposit put savings 20
         deposit commit          => ok
         report begin
         report get checking     => 0
         report get savings      => 20
         report commit           => ok
         withdrawal put checking -11
         withdrawal commit       => ok | ok | read conflict savings
         end => checking=-11 savings=20 | checking=-11 savings=20 | checking=0 savings=20",
    );
}

//! Results for asynchronous callers.

use futures_core::Stream;
use skipstone::bson::doc;
use skipstone::{Collection, Database, DocumentStream, Index, Query, field};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn numbers(db: &Database) -> Collection {
    let numbers = db.collection("numbers").unwrap();
    numbers.insert_many((0..1_000).map(|n| doc! { "_id": n, "n": n, "third": n % 3 })).unwrap();
    numbers
}

/// Everything that is left, and how often a poll gave nothing yet.
fn drain(mut stream: DocumentStream) -> (Vec<i32>, usize) {
    let (mut all, mut pending) = (Vec::new(), 0);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut stream).poll_next(&mut context) {
            Poll::Ready(Some(found)) => all.push(found.unwrap().get("n").unwrap().as_i32().unwrap()),
            Poll::Ready(None) => return (all, pending),
            Poll::Pending => pending += 1,
        }
    }
}

#[test]
fn a_stream_gives_what_a_search_gives_and_lets_others_go_on() {
    let db = Database::in_memory();
    let numbers = numbers(&db);
    let (found, pending) = drain(numbers.stream(field("n").ge(990)).unwrap());
    assert_eq!(found, (990..1_000).collect::<Vec<_>>());
    assert!(pending >= 7, "{pending}: it looked at too many documents in a poll");
    let page = Query::new(field("third").eq(1)).skip(2).limit(3);
    assert_eq!(drain(numbers.stream(page.clone()).unwrap()).0, [7, 10, 13]);
    assert_eq!(drain(numbers.stream(page.sort_desc("n")).unwrap()).0, [991, 988, 985]);
    numbers.create_index(Index::on("n").unwrap()).unwrap();
    assert_eq!(drain(numbers.stream(Query::new(field("n").lt(4)).sort("n")).unwrap()).0, [0, 1, 2, 3]);
}

#[test]
fn a_stream_goes_on_at_its_moment_on_another_thread_and_keeps_its_store() {
    let db = Database::in_memory();
    let numbers = numbers(&db);
    let stream = numbers.stream(field("third").eq(0)).unwrap();
    numbers.delete_matching(Query::all()).unwrap();
    drop((numbers, db));
    let found = std::thread::spawn(move || drain(stream).0).join().unwrap();
    assert_eq!(found, (0..1_000).step_by(3).collect::<Vec<_>>());
}

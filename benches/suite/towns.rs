//! Documents of ten fields and about a kilobyte, with the indexes that they are asked by.

use fastrand::Rng;
use skipstone::bson::{RawDocumentBuf, rawdoc};
use skipstone::{Collection, Index};

const NOTES: &str = "A harbour town of some two hundred and fifty thousand, known for its springs, its granite quarries, \
    and the orchards on the slopes by the river. ";
/// Documents in one transaction, where all are written.
const BATCH: usize = 256;
/// Countries that towns are in.
const COUNTRIES: i32 = 200;

pub(crate) fn document(serial: i32, rng: &mut Rng) -> RawDocumentBuf {
    rawdoc! {
        "_id": serial,
        "name": format!("town {serial:08}"),
        "country": rng.i32(0..COUNTRIES),
        "people": rng.i32(..).unsigned_abs() as i64,
        "founded": rng.i32(800..2000),
        "active": rng.bool(),
        "area": rng.f64() * 1000.0,
        "mayor": { "name": format!("mayor {}", rng.u16(..)), "since": rng.i32(1990..2026) },
        "twin": rng.i32(0..i32::MAX),
        "notes": NOTES.repeat(5),
    }
}

pub(crate) fn indexes() -> [Index; 3] {
    let on = |path: &str| Index::on(path).expect("it is a path");
    [on("name").unique(), on("people"), on("country").and("founded").expect("it is a path")]
}

/// Writes so many.
pub(crate) fn fill(collection: &Collection, count: usize) -> skipstone::Result<()> {
    let mut rng = Rng::with_seed(8);
    let serials: Vec<i32> = (0..count as i32).collect();
    for batch in serials.chunks(BATCH) {
        collection.insert_many(batch.iter().map(|serial| document(*serial, &mut rng)))?;
    }
    Ok(())
}

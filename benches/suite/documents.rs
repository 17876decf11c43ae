//! Documents of about a kilobyte, as JSON text: fields of every common type, nested and in arrays.

use fastrand::Rng;
use serde_json::{Value, json};

const WORDS: &[&str] = &[
    "amber", "basalt", "cobalt", "delta", "ember", "fjord", "granite", "harbour", "inlet", "juniper",
    "kestrel", "lantern", "meadow", "north", "orchard", "pebble", "quarry", "river", "slate", "timber",
    "upland", "valley", "willow", "yarrow", "zephyr",
];

/// One JSON text each; the field `serial` counts them.
pub(crate) fn texts(count: usize) -> Vec<String> {
    let mut rng = Rng::with_seed(6);
    (0..count).map(|serial| document(serial, &mut rng).to_string()).collect()
}

fn document(serial: usize, rng: &mut Rng) -> Value {
    let day = |rng: &mut Rng| format!("20{:02}-{:02}-{:02}", rng.u8(10..26), rng.u8(1..13), rng.u8(1..29));
    json!({
        "serial": serial,
        "name": words(rng, 2),
        "email": format!("{}.{}@example.org", word(rng), word(rng)),
        "active": rng.bool(),
        "age": rng.u8(18..99),
        "balance": rng.u32(..) as f64 / 100.0,
        "registered": day(rng),
        "referrer": null,
        "address": {
            "street": words(rng, 2),
            "number": rng.u16(1..400),
            "town": word(rng),
            "location": { "latitude": rng.f64() * 180.0 - 90.0, "longitude": rng.f64() * 360.0 - 180.0 },
        },
        "tags": (0..5).map(|_| word(rng)).collect::<Vec<_>>(),
        "scores": (0..8).map(|_| rng.u16(..1000)).collect::<Vec<_>>(),
        "orders": (0..3).map(|_| json!({
            "article": word(rng), "count": rng.u8(1..9), "price": f64::from(rng.u16(..)) / 100.0, "day": day(rng),
        })).collect::<Vec<_>>(),
        "notes": words(rng, 52),
    })
}

fn word(rng: &mut Rng) -> &'static str {
    WORDS[rng.usize(..WORDS.len())]
}

fn words(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| word(rng)).collect::<Vec<_>>().join(" ")
}

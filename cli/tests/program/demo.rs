//! `demo`: passes, and tidies up.

use crate::support::{Place, run};
use std::fs;

#[test]
fn the_demo_passes_and_leaves_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("tmp")).unwrap();
    let ended = run(place.command(&["demo"]).env("TMPDIR", place.path("tmp")), b"").expect(0);
    assert!(ended.out.ends_with("\nAll checks passed.\n"), "{ended:?}");
    assert!(!ended.out.contains("FAILED"));
    assert_eq!(place.names("tmp"), [""; 0]);
}

#[test]
fn the_demos_store_can_be_kept() {
    let place = Place::new();
    let steps = place.run(&["demo", "--dir", "kept", "--json"]).expect(0).values();
    let checks: Vec<_> = steps.iter().filter_map(|step| step["checks"].as_object()).flatten().collect();
    assert!(checks.len() >= 10 && checks.iter().all(|(_, passed)| **passed == true), "{steps:?}");
    let crash = steps.iter().find(|step| step["step"] == "crash").unwrap();
    let stats = place.run(&["stats", "kept"]).expect(0).value();
    assert_eq!(stats["collections"]["clock_changes"], 4229);
    assert_eq!(stats["collections"]["under_fire"], crash["figures"]["recovered"]);
    place.run(&["demo", "--dir", "kept"]).expect_saying(2, &["`kept` is not empty"]);
}

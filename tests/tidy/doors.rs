//! Things that may be used in one place only, so that loom and shuttle can stand in for them there.

use crate::source::{Finding, SourceFile};

/// A path, the folder that alone may name it, and where everybody else gets the like.
struct Door {
    path: &'static [&'static str],
    home: &'static str,
    instead: &'static str,
}

const DOORS: &[Door] = &[
    door(&["std", "sync", "atomic"], "src/sync/", "the atomics of crate::sync, which loom can see"),
    door(&["core", "sync", "atomic"], "src/sync/", "the atomics of crate::sync, which loom can see"),
    door(&["std", "sync", "Mutex"], "src/sync/", "the locks of crate::sync, which loom can see"),
    door(&["std", "sync", "RwLock"], "src/sync/", "the locks of crate::sync, which loom can see"),
    door(&["std", "sync", "Condvar"], "src/sync/", "the parking of crate::sync, which loom can see"),
    door(&["std", "thread"], "src/sync/", "the threads of crate::sync, which loom can see"),
    door(&["loom"], "src/sync/", "crate::sync, which chooses between std, loom and shuttle"),
    door(&["shuttle"], "src/sync/", "crate::sync, which chooses between std, loom and shuttle"),
    door(&["crossbeam_epoch"], "src/sync/", "the epochs of crate::sync"),
];

/// Uses outside the home that are right all the same: file, path, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

const fn door(path: &'static [&'static str], home: &'static str, instead: &'static str) -> Door {
    Door { path, home, instead }
}

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    check_with(file, EXCEPTIONS)
}

fn check_with(file: &SourceFile, exceptions: &[(&str, &str, &str)]) -> Vec<Finding> {
    let own: Vec<&str> =
        exceptions.iter().filter(|(path, ..)| *path == file.path).map(|(_, used, _)| *used).collect();
    let uses = forbidden_uses(file);
    let mut findings = Vec::new();
    for (line, path, door) in &uses {
        if !own.contains(&door.path.join("::").as_str()) {
            findings.push(file.finding(
                *line,
                format!("`{path}` outside {}", door.home),
                format!("use {}", door.instead),
            ));
        }
    }
    for path in own {
        if uses.iter().all(|(.., door)| door.path.join("::") != path) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("the exception for `{path}` is no longer needed"),
                "take it out of EXCEPTIONS in tests/tidy/doors.rs",
            ));
        }
    }
    findings
}

/// Each use of a door from outside its home: line, path as written, door.
fn forbidden_uses(file: &SourceFile) -> Vec<(usize, String, &'static Door)> {
    let mut uses = Vec::new();
    for path in file.paths() {
        let line = file.line_of(path.offset);
        let door = DOORS
            .iter()
            .find(|door| leads_through(&path.segments, door.path) && !file.path.starts_with(door.home));
        if let Some(door) = door.filter(|_| !file.is_test(line)) {
            uses.push((line, path.segments.join("::"), door));
        }
    }
    uses
}

/// Whether a path names the door or something behind it, or brings its whole parent module (`use std::sync;`) into
/// scope, by which it could be named unseen.
fn leads_through(segments: &[String], door: &[&str]) -> bool {
    let names =
        |path: &[&str]| segments.len() >= path.len() && path.iter().zip(segments).all(|(a, b)| a == b);
    let parent = &door[..door.len() - 1];
    let whole_parent = match &segments[parent.len().min(segments.len())..] {
        [] => segments.len() == parent.len(),
        [last] => last == "*" || last == "self",
        _ => false,
    };
    names(door) || (parent.len() > 1 && names(parent) && whole_parent)
}

#[cfg(test)]
fn findings(path: &str, text: &str) -> Vec<String> {
    check(&SourceFile::parse(path, text))
        .into_iter()
        .map(|finding| format!("{}: {}", finding.line, finding.what))
        .collect()
}

#[test]
fn a_use_outside_the_home_is_found() {
    assert_eq!(
        findings("src/log/ring.rs", "//! x\nuse std::sync::atomic::AtomicU64;"),
        ["2: `std::sync::atomic::AtomicU64` outside src/sync/"]
    );
    for planted in [
        "use std::{io, sync::{Arc, Mutex}};",
        "let x = core::sync::atomic::AtomicBool::new(true);",
        "std::thread::spawn(run);",
        "use std::sync::{Arc, RwLock};",
        "static C: std::sync::Condvar = x;",
        "use std::sync;",
        "use std::sync::*;",
        "use std::thread as t;",
        "use crossbeam_epoch as epoch;",
        "loom::model(f);",
        "use shuttle::sync::Mutex;",
    ] {
        assert_eq!(findings("src/log/ring.rs", planted).len(), 1, "{planted}");
    }
}

#[test]
fn a_use_at_home_and_harmless_ones_are_left_alone() {
    assert!(
        findings(
            "src/sync/mod.rs",
            "use std::sync::atomic::AtomicU64; use loom::thread; use crossbeam_epoch::Guard;"
        )
        .is_empty()
    );
    assert!(
        findings(
            "src/log/ring.rs",
            "use std::sync::Arc; use std::sync::{Arc, OnceLock}; use crate::sync::thread;"
        )
        .is_empty()
    );
    assert!(findings("src/log/ring.rs", "// std::thread::spawn\nlet s = \"loom::model\";").is_empty());
    assert!(findings("src/log/ring.rs", "#[cfg(test)]\nmod tests {\n    use std::thread;\n}").is_empty());
}

#[test]
fn an_exception_holds_while_it_is_needed() {
    let exceptions: &[(&str, &str, &str)] = &[("src/log/ring.rs", "std::thread", "planted")];
    let check = |text| check_with(&SourceFile::parse("src/log/ring.rs", text), exceptions);
    assert!(check("std::thread::yield_now();").is_empty());
    assert_eq!(check("fn f() {}")[0].what, "the exception for `std::thread` is no longer needed");
}

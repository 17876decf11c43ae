//! Which part of the library may know which: imports go to lower layers only.

use crate::source::{Finding, SourceFile};

/// Folder (or file) directly below `src`, and its level.
const LEVELS: &[(&str, u8)] = &[
    ("fuzzing", 9),
    ("api", 8),
    ("query", 7),
    ("engine", 6),
    ("txn", 5),
    ("index", 4),
    ("filter", 3),
    ("checkpoint", 4),
    ("mvcc", 3),
    ("log", 3),
    ("map", 2),
    ("document", 2),
    ("crypt", 2),
    ("io", 1),
    ("format", 1),
    ("sync", 0),
    ("error", 0),
    ("options", 0),
    ("lsn", 0),
    ("stats", 0),
];

/// The words that all layers share. They may know each other, and count with the atomics of `sync`.
const VOCABULARY: &[&str] = &["error", "options", "lsn", "stats"];

/// Pairs that meet in few files only, and those files with the reason for each.
const MEETING_POINTS: &[(&str, &str)] = &[
    ("src/txn/commit", "the live commit: a position from the log, then the stamp on the versions"),
    ("src/engine/recovery", "the replay: frames of the log become versions"),
    (
        "src/engine/checkpointer",
        "the checkpoint: the log says what changed, a snapshot of the versions what it is now",
    ),
    ("src/engine/feed", "change feeds: the log says what was committed, snapshots what was there before"),
    ("src/engine/verify_open", "verifying: whether the log and the versions hold the same"),
    ("src/engine/salvage", "salvaging: what the old log says becomes transactions of a new store"),
    ("src/engine/history", "the past: what of versions and log is old enough to go"),
    ("src/engine/mod", "an open store owns both, and joins them nowhere"),
    ("src/engine/maintenance", "one thread for each: flushing the log, sweeping the versions"),
];

/// Imports that the levels forbid and that are right all the same: file, module, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    check_with(file, EXCEPTIONS)
}

fn check_with(file: &SourceFile, exceptions: &[(&str, &str, &str)]) -> Vec<Finding> {
    if file.path == "src/lib.rs" {
        return Vec::new();
    }
    let own = module_path(&file.path);
    let mut findings = Vec::new();
    if level(own[0]).is_none() {
        findings.push(Finding::new(
            &file.path,
            0,
            format!("`{}` stands in no layer", own[0]),
            "give it a level in LEVELS of tests/tidy/layers.rs",
        ));
    }
    let imports = imports(file, &own);
    for (line, module) in &imports {
        let excepted = exceptions.iter().any(|(path, to, _)| *path == file.path && to == module);
        if let Some((what, fix)) = objection(own[0], module).filter(|_| !excepted) {
            findings.push(file.finding(*line, what, fix));
        }
    }
    findings.extend(unneeded(file, &imports, exceptions));
    findings.extend(meeting(file, &imports));
    findings
}

/// Exceptions for this file that it does not use.
fn unneeded(
    file: &SourceFile,
    imports: &[(usize, String)],
    exceptions: &[(&str, &str, &str)],
) -> Vec<Finding> {
    let unused = |to: &str| imports.iter().all(|(_, module)| module != to);
    let stale = exceptions.iter().filter(|(path, to, _)| *path == file.path && unused(to));
    let finding = |(_, to, _): &(&str, &str, &str)| {
        Finding::new(
            &file.path,
            0,
            format!("the exception for `{to}` is no longer needed"),
            "take it out of EXCEPTIONS in tests/tidy/layers.rs",
        )
    };
    stale.map(finding).collect()
}

/// `mvcc` and `log` meet in the listed files only.
fn meeting(file: &SourceFile, imports: &[(usize, String)]) -> Option<Finding> {
    let line_of = |name: &str| imports.iter().find(|(_, module)| module == name).map(|(line, _)| *line);
    let both = line_of("mvcc").zip(line_of("log"));
    let allowed = MEETING_POINTS.iter().any(|(stem, _)| is_or_is_below(&file.path, stem));
    let (versions, log) = both.filter(|_| !allowed)?;
    Some(file.finding(
        versions.max(log),
        "sees both `mvcc` and `log`",
        "go through txn::commit or engine::recovery, which join the two",
    ))
}

fn is_or_is_below(path: &str, stem: &str) -> bool {
    path.strip_prefix(stem).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// What speaks against `from` importing `to`, and the remedy.
fn objection(from: &str, to: &str) -> Option<(String, String)> {
    if from == to {
        return None;
    }
    let Some(target) = level(to) else {
        return Some((
            format!("`crate::{to}` is no module of a layer"),
            "name the module that defines it, not the root's re-export".to_owned(),
        ));
    };
    let source = level(from)?;
    let among_words = VOCABULARY.contains(&from) && (VOCABULARY.contains(&to) || to == "sync");
    if target < source || among_words {
        return None;
    }
    let relation = if target == source { "the same level as" } else { "above" };
    Some((
        format!("`{from}` (level {source}) imports `{to}` (level {target}), which is {relation} it"),
        "move the shared part down, or pass it in from above".to_owned(),
    ))
}

fn level(module: &str) -> Option<u8> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are both `a::b`.
fn module_path(path: &str) -> Vec<&str> {
    let stem = path.trim_start_matches("src/").trim_end_matches(".rs");
    stem.strip_suffix("/mod").unwrap_or(stem).split('/').collect()
}

/// The top-level modules that the code (without test code) names: line and module.
fn imports(file: &SourceFile, own: &[&str]) -> Vec<(usize, String)> {
    let outside_tests = |line: &usize| !file.is_test(*line);
    let resolve = |path: crate::source::NamedPath| {
        let line = Some(file.line_of(path.offset)).filter(outside_tests)?;
        let nesting = || own.len() + inline_modules(file, path.offset);
        Some((line, top_module(&path.segments, nesting)?))
    };
    file.paths().into_iter().filter_map(resolve).collect()
}

/// The module directly below the root that a path leads to; nothing for a path that stays in its own, or starts
/// elsewhere. `nesting` says how deep the path stands.
fn top_module(segments: &[String], nesting: impl Fn() -> usize) -> Option<String> {
    let own = usize::from(segments[0] == "self");
    let supers = segments.iter().skip(own).take_while(|segment| *segment == "super").count();
    let skipped = match segments[0].as_str() {
        "crate" => 1,
        _ if supers > 0 && supers >= nesting() => own + supers,
        _ => return None,
    };
    segments.get(skipped).cloned()
}

/// How many `mod x { … }` stand around the byte at `offset`.
fn inline_modules(file: &SourceFile, offset: usize) -> usize {
    let words = file.words();
    let opens = |name: (usize, &str)| {
        let after = name.0 + name.1.len();
        let open = after + file.code[after..].len() - file.code[after..].trim_start().len();
        file.code[open..].starts_with('{').then_some(open)
    };
    let around = |open: &usize| *open < offset && offset < file.bracket_end(*open);
    words
        .windows(2)
        .filter(|pair| pair[0].1 == "mod")
        .filter_map(|pair| opens(pair[1]))
        .filter(around)
        .count()
}

#[cfg(test)]
fn findings(path: &str, text: &str) -> Vec<String> {
    check(&SourceFile::parse(path, text))
        .into_iter()
        .map(|finding| format!("{}: {}", finding.line, finding.what))
        .collect()
}

#[test]
fn an_upward_import_is_found() {
    assert_eq!(
        findings("src/map/mod.rs", "//! x\nuse crate::{lsn::Lsn, txn::commit};\n"),
        ["2: `map` (level 2) imports `txn` (level 5), which is above it"]
    );
    assert_eq!(findings("src/log/ring.rs", "use super::super::api::Database;").len(), 1);
    assert_eq!(findings("src/log/ring.rs", "fn f() { crate::engine::open(); }").len(), 1);
    assert_eq!(findings("src/sync/mod.rs", "use crate::error::Error;").len(), 1);
}

#[test]
fn a_sideways_import_is_found() {
    assert_eq!(
        findings("src/mvcc/chain.rs", "use crate::log::Ring;"),
        ["1: `mvcc` (level 3) imports `log` (level 3), which is the same level as it"]
    );
}

#[test]
fn the_roots_reexports_and_unknown_modules_are_found() {
    assert_eq!(findings("src/log/ring.rs", "use crate::Lsn;"), ["1: `crate::Lsn` is no module of a layer"]);
    assert_eq!(findings("src/log/ring.rs", "use crate::*;").len(), 1);
    assert_eq!(findings("src/misc.rs", ""), ["0: `misc` stands in no layer"]);
}

#[test]
fn versions_and_log_meet_in_listed_files_only() {
    let both = "use crate::mvcc::Chain;\nuse crate::log::Ring;\n";
    assert_eq!(findings("src/txn/validate.rs", both), ["2: sees both `mvcc` and `log`"]);
    assert_eq!(findings("src/txn/commitment.rs", both).len(), 1);
    for path in ["src/txn/commit.rs", "src/txn/commit/publish.rs", "src/engine/recovery.rs"] {
        assert!(findings(path, both).is_empty(), "{path}");
    }
}

#[test]
fn downward_imports_are_left_alone() {
    assert!(
        findings(
            "src/txn/write_set.rs",
            "use crate::{mvcc::Chain, map::Map, sync::Arc};\nuse super::commit;"
        )
        .is_empty()
    );
    assert!(
        findings("src/mvcc/mod.rs", "mod sealed { use super::super::sync::Arc; use super::chain; }")
            .is_empty()
    );
    assert!(findings("src/stats.rs", "use crate::sync::AtomicU64;\nuse crate::lsn::Lsn;").is_empty());
    assert!(
        findings("src/log/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::txn::commit;\n}").is_empty()
    );
    assert!(
        findings("src/log/mod.rs", "// crate::txn\nlet s = \"crate::txn::x\"; pub(crate) struct X;")
            .is_empty()
    );
    assert!(findings("src/lib.rs", "pub use crate::api::Database;").is_empty());
}

#[test]
fn an_inline_module_climbs_one_step_more() {
    assert!(findings("src/log/ring.rs", "mod a { use super::super::api; }").is_empty());
    assert_eq!(findings("src/log/ring.rs", "mod a { use super::super::super::api; }").len(), 1);
}

#[test]
fn an_exception_holds_while_it_is_needed() {
    let exceptions: &[(&str, &str, &str)] = &[("src/io/mod.rs", "format", "planted")];
    let check = |text| check_with(&SourceFile::parse("src/io/mod.rs", text), exceptions);
    assert!(check("use crate::format::Header;").is_empty());
    assert_eq!(check("use crate::lsn::Lsn;")[0].what, "the exception for `format` is no longer needed");
}

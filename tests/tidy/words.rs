//! Words that do not belong into finished code, module headers, and the count of assertions.

use crate::lexer::is_word;
use crate::source::{Finding, SourceFile};

const UNFINISHED_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const PRINTING_MACROS: &[&str] = &["print", "println", "eprint", "eprintln"];
const ASSERTION_MACROS: &[&str] =
    &["assert", "assert_eq", "assert_ne", "debug_assert", "debug_assert_eq", "debug_assert_ne"];
const MARKERS: &[&str] = &["FIXME", "XXX"];

/// Nothing unfinished, no skipped test, no dead code kept.
pub(crate) fn check_unfinished(file: &SourceFile) -> Vec<Finding> {
    let mut findings = macros(file, UNFINISHED_MACROS, "finish it, or take it out");
    findings.extend(attributes(file));
    for (line, comment) in file.comments.iter().enumerate() {
        let marker = comment.split(|c| !is_word(c)).find(|word| MARKERS.contains(word));
        findings.extend(marker.map(|marker| {
            file.finding(line, format!("`{marker}` in a comment"), "do it now, or say what holds")
        }));
        if comment
            .split_once("```")
            .is_some_and(|(_, flags)| flags.split(|c| !is_word(c)).any(|flag| flag == "ignore"))
        {
            findings.push(file.finding(
                line,
                "a doc example that is never compiled",
                "make it compile (`no_run` if it must not run)",
            ));
        }
    }
    findings
}

/// The library does not print; test code may.
pub(crate) fn check_printing(file: &SourceFile) -> Vec<Finding> {
    let mut findings =
        macros(file, PRINTING_MACROS, "return it, or put it into an error: a library does not print");
    findings.retain(|finding| !file.is_test(finding.line - 1));
    findings
}

/// Each module says what it is for.
pub(crate) fn check_header(file: &SourceFile) -> Vec<Finding> {
    let code = file.code_lines();
    let first = (0..code.len())
        .find(|line| !code[*line].trim().is_empty() || !file.comments[*line].trim().is_empty());
    let has_header = first.is_some_and(|line| file.comments[line].starts_with("//!"));
    let finding = || {
        Finding::new(
            &file.path,
            1,
            "no module header",
            "begin with `//!`: purpose, invariants, what it does not do",
        )
    };
    (!has_header).then(finding).into_iter().collect()
}

/// Assertions and lines of code (neither empty nor comment) outside test code.
pub(crate) fn count_assertions(file: &SourceFile) -> (usize, usize) {
    let live = |line: usize| !file.is_test(line);
    let lines = file
        .code_lines()
        .iter()
        .enumerate()
        .filter(|(line, code)| live(*line) && !code.trim().is_empty())
        .count();
    let assertions = calls(file, ASSERTION_MACROS).into_iter().filter(|(line, _)| live(*line)).count();
    (assertions, lines)
}

fn macros(file: &SourceFile, names: &[&str], fix: &str) -> Vec<Finding> {
    calls(file, names).into_iter().map(|(line, name)| file.finding(line, format!("`{name}!`"), fix)).collect()
}

/// Calls of the named macros: line and name.
fn calls<'a>(file: &'a SourceFile, names: &[&str]) -> Vec<(usize, &'a str)> {
    let is_call =
        |(at, word): &(usize, &str)| names.contains(word) && file.code[at + word.len()..].starts_with('!');
    file.words().into_iter().filter(is_call).map(|(at, word)| (file.line_of(at), word)).collect()
}

/// `ignore` as an attribute of its own or in `cfg_attr`, and lints that keep dead code quiet.
fn attributes(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let opens = file
        .code
        .match_indices('#')
        .filter(|(at, _)| file.code[at + 1..].trim_start_matches('!').starts_with('['));
    for (at, _) in opens {
        let open = at + 1 + usize::from(file.code[at + 1..].starts_with('!'));
        let attribute = &file.code[open..file.bracket_end(open)];
        let line = file.line_of(at);
        let words: Vec<&str> = attribute.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
        if words.first() == Some(&"ignore")
            || (words.first() == Some(&"cfg_attr") && words.contains(&"ignore"))
        {
            findings.push(file.finding(line, "a test that is skipped", "make it run, or take it out"));
        }
        if words.contains(&"dead_code") && (words.contains(&"allow") || words.contains(&"expect")) {
            findings.push(file.finding(
                line,
                "dead code is kept",
                "take the code out until something uses it",
            ));
        }
    }
    findings
}

#[cfg(test)]
fn lines(rule: fn(&SourceFile) -> Vec<Finding>, text: &str) -> Vec<usize> {
    rule(&SourceFile::parse("src/log/ring.rs", text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn what_is_unfinished_is_found() {
    for bad in [
        "x\ntodo!()",
        "x\nunimplemented!(\"later\")",
        "x\ndbg!(x);",
        "x\n// FIXME: later",
        "x\n/* XXX */",
        "x\n#[ignore]",
        "x\n#[ignore = \"slow\"]",
        "x\n#[cfg_attr(loom, ignore)]",
        "x\n#![allow(dead_code)]",
        "x\n#[cfg_attr(loom, allow(unused, dead_code))]",
        "x\n/// ```ignore",
        "x\n/// ```rust,ignore",
    ] {
        assert_eq!(lines(check_unfinished, bad), [2], "{bad}");
    }
}

#[test]
fn what_is_finished_is_left_alone() {
    for good in [
        "let todo = \"todo!()\"; // not a dbg! call",
        "fn ignore() {}",
        "// XXXL, prefixme",
        "#[allow(unused_mut)]",
        "/// ```no_run",
    ] {
        assert_eq!(lines(check_unfinished, good), [] as [usize; 0], "{good}");
    }
}

#[test]
fn printing_is_found_outside_tests() {
    for bad in ["println!(\"a\")", "std::eprintln!()", "print!(\"\")", "eprint!(\"\")"] {
        assert_eq!(lines(check_printing, bad), [1], "{bad}");
    }
    for good in
        ["writeln!(f, \"println!\")", "#[cfg(test)]\nmod t {\n    fn f() { println!(); }\n}", "// println!()"]
    {
        assert_eq!(lines(check_printing, good), [] as [usize; 0], "{good}");
    }
}

#[test]
fn a_missing_header_is_found() {
    assert_eq!(lines(check_header, "use std::io;\n//! Late."), [1]);
    assert_eq!(lines(check_header, "// A plain comment.\n"), [1]);
    assert_eq!(lines(check_header, ""), [1]);
    assert_eq!(lines(check_header, "//! The ring.\n\nuse std::io;"), [] as [usize; 0]);
}

#[test]
fn assertions_outside_tests_are_counted() {
    let text = "//! x\n\nfn f() {\n    assert!(a);\n    debug_assert_eq!(a, b); // assert!\n}\n#[test]\nfn t() {\n    assert!(c);\n}\n";
    assert_eq!(count_assertions(&SourceFile::parse("src/x.rs", text)), (2, 4));
}

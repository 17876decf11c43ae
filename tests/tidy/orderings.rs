//! Each atomic ordering has its reason beside it.

use crate::source::{Finding, SourceFile};

const ATOMIC: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// A statement is followed upwards for this many lines of code.
const LINES_ABOVE_MAX: usize = 6;

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut last_line = None;
    for path in file.paths() {
        let line = file.line_of(path.offset);
        let Some(at) = path.segments.iter().position(|segment| segment == "Ordering") else { continue };
        let of_comparison = at > 0 && path.segments[at - 1] == "cmp";
        let Some(name) = path.segments.get(at + 1).filter(|_| !file.is_test(line) && !of_comparison) else {
            continue;
        };
        if is_import(file, line) && (name == "*" || ATOMIC.contains(&name.as_str())) {
            let what = format!("imports `Ordering::{name}`, which hides orderings from this rule");
            findings.push(file.finding(line, what, "import Ordering and write Ordering::… at each access"));
        } else if ATOMIC.contains(&name.as_str())
            && last_line != Some(line)
            && !has_comment(file, line, |_| true)
        {
            let what = format!("`Ordering::{name}` without a reason");
            findings.push(file.finding(
                line,
                what,
                "say on this line or directly above what it pairs with and what that buys",
            ));
            last_line = Some(line);
        }
    }
    findings
}

/// Whether the statement that holds `line` begins with `use`.
fn is_import(file: &SourceFile, line: usize) -> bool {
    let code = file.code_lines();
    let above =
        |line: usize| line > 0 && !ends_statement(code[line - 1]) && !code[line - 1].trim().is_empty();
    let mut first = line;
    while above(first) || (first > 0 && code[first - 1].trim_end().ends_with("::{")) {
        first -= 1;
    }
    let start = code[first].trim_start();
    start.starts_with("use ") || (start.starts_with("pub") && start.contains(" use "))
}

fn ends_statement(code: &str) -> bool {
    code.trim_end().ends_with([';', '{', '}'])
}

/// Whether a comment that `suits` stands on the line or directly above it: above the start of the statement, or within
/// it. Another statement, a block's brace or an empty line ends the search; comments above each other count as one.
pub(crate) fn has_comment(file: &SourceFile, line: usize, suits: impl Fn(&str) -> bool) -> bool {
    let code = file.code_lines();
    let good =
        |line: usize| file.comments[line].chars().any(char::is_alphabetic) && suits(&file.comments[line]);
    let mut code_lines = 0;
    for above in (0..=line).rev() {
        let is_comment_only = code[above].trim().is_empty();
        let is_empty = is_comment_only && file.comments[above].trim().is_empty();
        let is_other = above < line && ends_statement(code[above]);
        code_lines += usize::from(!is_comment_only);
        if is_empty || is_other || code_lines > LINES_ABOVE_MAX + 1 {
            return false;
        }
        if good(above) {
            return true;
        }
    }
    false
}

#[cfg(test)]
fn lines(text: &str) -> Vec<usize> {
    check(&SourceFile::parse("src/log/ring.rs", text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn an_ordering_without_a_reason_is_found() {
    assert_eq!(lines("a.load(Ordering::Acquire);"), [1]);
    assert_eq!(lines("// Of the other statement.\nb();\na.load(Ordering::Acquire);"), [3]);
    assert_eq!(lines("// Too far away.\n\na.load(atomic::Ordering::SeqCst);"), [3]);
    assert_eq!(lines("a.store(1, Ordering::Release); // pairs with x\nb.load(Ordering::Relaxed);"), [2]);
    assert_eq!(lines("// Of the block.\nif x {\n    a.load(Ordering::Acquire);\n}"), [3]);
    assert_eq!(lines("a.load(Ordering::Acquire); //"), [1]);
    assert_eq!(lines("// Too far.\na\n.b()\n.c()\n.d()\n.e()\n.f()\n.g()\n.load(Ordering::Acquire);"), [9]);
}

#[test]
fn an_import_of_orderings_is_found() {
    assert_eq!(lines("use crate::sync::Ordering::{self, Acquire};"), [1]);
    assert_eq!(lines("use crate::sync::Ordering::*; // reason"), [1]);
    assert_eq!(lines("use crate::sync::{\n    Ordering::Release,\n};"), [2]);
}

#[test]
fn an_ordering_with_its_reason_is_left_alone() {
    for good in [
        "a.load(Ordering::Acquire); // pairs with the store in publish",
        "// Acquire: pairs with publish,\n// so the frame is whole.\na.load(Ordering::Acquire);",
        "// AcqRel and Acquire: see the table.\nlet x = a.compare_exchange(\n    old,\n    new,\n    Ordering::AcqRel, // with install\n    Ordering::Acquire,\n);",
        "match a.cmp(b) {\n    Ordering::Less => 1,\n    std::cmp::Ordering::Equal => 2,\n}",
        "use crate::sync::Ordering;\nuse std::cmp::Ordering::*;",
        "#[cfg(test)]\nmod tests {\n    fn f() { a.load(Ordering::Acquire); }\n}",
        "let s = \"Ordering::Acquire\";",
    ] {
        assert_eq!(lines(good), [] as [usize; 0], "{good}");
    }
}

//! What is built otherwise for loom is built otherwise for shuttle too.

use crate::lexer::is_word;
use crate::source::{Finding, SourceFile};

/// The files that tell the two apart: the model of `sync`.
const HOME: &str = "src/sync/model/";

/// `cfg(loom)`, `cfg!(loom)` and `not(loom)` leave the build for shuttle with what is meant for the real machine.
pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    if file.path.starts_with(HOME) {
        return Vec::new();
    }
    let is_alone = |at: usize, word: &str| {
        let (before, after) = (file.code[..at].trim_end(), file.code[at + word.len()..].trim_start());
        let outer = before.strip_suffix('(').map(|outer| outer.trim_end_matches('!'));
        let condition = outer.and_then(|outer| outer.rsplit(|c| !is_word(c)).next());
        after.starts_with(')') && condition.is_some_and(|name| name == "cfg" || name == "not")
    };
    file.words()
        .into_iter()
        .filter(|(at, word)| *word == "loom" && is_alone(*at, word))
        .map(|(at, _)| {
            file.finding(
                file.line_of(at),
                "a condition on `loom` alone",
                "write `any(loom, shuttle)`: both build the models",
            )
        })
        .collect()
}

#[cfg(test)]
fn lines(path: &str, text: &str) -> Vec<usize> {
    check(&SourceFile::parse(path, text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn a_condition_on_loom_alone_is_found() {
    for bad in [
        "\n#[cfg(loom)]\nmod model;",
        "\n#[cfg(all(test, not(loom)))]\nmod tests;",
        "\nconst N: usize = if cfg!(loom) { 1 } else { 64 };",
        "\n#[cfg(not( loom ))]\nmod real;",
    ] {
        assert_eq!(lines("src/log/ring.rs", bad), [2], "{bad}");
    }
}

#[test]
fn a_condition_on_both_is_left_alone() {
    for good in [
        "#[cfg(any(loom, shuttle))]\nmod model;",
        "#[cfg(all(test, not(any(loom, shuttle))))]\nmod tests;",
        "#[cfg(all(test, loom))]\nmod loom_tests;",
        "// cfg(loom)\nlet s = \"cfg(loom)\"; explore(loom)",
    ] {
        assert_eq!(lines("src/log/ring.rs", good), [] as [usize; 0], "{good}");
    }
    assert!(lines("src/sync/model/mod.rs", "#[cfg(loom)]\nuse loom as checker;").is_empty());
}

//! One source file as the rules see it: code, comments, which lines are test code, and the paths it names.

use std::fmt;

use crate::lexer::{is_word, separate};

/// What a rule found, where, and what to do about it.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1; 0 means the whole file.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    fix: {}", self.path, self.line, self.what, self.fix)
    }
}

/// A path with `::` in the code, groups of a `use` taken apart; a glob ends in `*`.
#[derive(Debug, PartialEq)]
pub(crate) struct NamedPath {
    pub(crate) offset: usize,
    pub(crate) segments: Vec<String>,
}

/// A Rust file, separated. Lines are indices from 0 here.
pub(crate) struct SourceFile {
    /// Relative to the project, with `/`.
    pub(crate) path: String,
    /// The code without comments and contents of literals.
    pub(crate) code: String,
    /// The comments of each line.
    pub(crate) comments: Vec<String>,
    is_test_line: Vec<bool>,
    line_starts: Vec<usize>,
}

impl SourceFile {
    pub(crate) fn parse(path: &str, text: &str) -> SourceFile {
        let halves = separate(text);
        let line_starts =
            std::iter::once(0).chain(halves.code.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let comments: Vec<String> = halves.comments.split('\n').map(str::to_owned).collect();
        let is_test_line = vec![false; comments.len()];
        let mut file =
            SourceFile { path: path.to_owned(), code: halves.code, comments, is_test_line, line_starts };
        file.mark_test_items();
        file
    }

    /// The index of the line that holds the byte at `offset` of the code.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// The code of each line.
    pub(crate) fn code_lines(&self) -> Vec<&str> {
        self.code.split('\n').collect()
    }

    /// Lines as an editor counts them: the newline at the end starts no further line.
    pub(crate) fn line_count(&self) -> usize {
        self.line_starts.len() - usize::from(self.code.ends_with('\n') || self.code.is_empty())
    }

    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.is_test_line[line]
    }

    /// Declares the whole file to be test code.
    pub(crate) fn mark_all_as_test(&mut self) {
        self.is_test_line.fill(true);
    }

    /// A finding at a line index.
    pub(crate) fn finding(&self, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding::new(&self.path, line + 1, what, fix)
    }

    /// The identifiers and keywords of the code, with their offsets.
    pub(crate) fn words(&self) -> Vec<(usize, &str)> {
        let mut words = Vec::new();
        let mut rest = 0;
        while let Some(found) = self.code[rest..].find(is_word) {
            let start = rest + found;
            let end =
                self.code[start..].find(|c| !is_word(c)).map_or(self.code.len(), |length| start + length);
            words.push((start, &self.code[start..end]));
            rest = end;
        }
        words
    }

    /// The modules (`#[cfg(test)] mod x;`) whose files are test code.
    pub(crate) fn test_modules(&self) -> Vec<&str> {
        let words = self.words();
        let declares = |at: usize, name: &str| self.code[at + name.len()..].trim_start().starts_with(';');
        words
            .windows(2)
            .filter(|pair| {
                pair[0].1 == "mod" && declares(pair[1].0, pair[1].1) && self.is_test(self.line_of(pair[0].0))
            })
            .map(|pair| pair[1].1)
            .collect()
    }

    /// The end (exclusive) of the bracket that opens at `open`; the end of the code if it never closes.
    pub(crate) fn bracket_end(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (at, c) in self.code[open..].char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return open + at + 1;
            }
        }
        self.code.len()
    }

    /// All paths that the code names, in order.
    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut done = 0;
        let mut after_use = false;
        for (offset, word) in self.words() {
            let imported = std::mem::replace(&mut after_use, word == "use");
            let continued = self.code[offset + word.len()..].trim_start().starts_with("::");
            if offset >= done && (imported || continued) {
                done = self.read_path(offset, &mut Vec::new(), &mut paths);
            }
        }
        paths
    }

    /// Reads one tree of paths at `at` below `prefix`, and returns where it ends.
    fn read_path(&self, at: usize, prefix: &mut Vec<String>, paths: &mut Vec<NamedPath>) -> usize {
        let depth = prefix.len();
        let mut at = at;
        loop {
            at += self.code[at..].len() - self.code[at..].trim_start().len();
            let rest = &self.code[at..];
            if rest.starts_with('{') {
                let end = self.read_group(at, prefix, paths);
                prefix.truncate(depth);
                return end;
            }
            let length =
                if rest.starts_with('*') { 1 } else { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) };
            if length > 0 {
                prefix.push(rest[..length].to_owned());
            }
            let after = rest[length..].trim_start();
            if length == 0 || !after.starts_with("::") {
                paths.push(NamedPath { offset: at, segments: prefix.clone() });
                prefix.truncate(depth);
                return at + length;
            }
            at += rest.len() - after.len() + 2;
        }
    }

    /// Reads the members of a group `{a, b::c}` at `open`.
    fn read_group(&self, open: usize, prefix: &mut Vec<String>, paths: &mut Vec<NamedPath>) -> usize {
        let end = self.bracket_end(open);
        let mut at = open + 1;
        while at < end {
            let rest = &self.code[at..end];
            if rest.starts_with(|c| is_word(c) || c == '*') {
                at = self.read_path(at, prefix, paths);
                // What is left of the member is `as name`.
                at += self.code[at..end].find([',', '}']).unwrap_or(end - at);
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        end
    }

    fn mark_test_items(&mut self) {
        let mut rest = 0;
        while let Some(found) = self.code[rest..].find("#[").map(|at| rest + at) {
            let end = self.bracket_end(found + 1);
            if is_test_attribute(&self.code[found + 2..end - 1]) {
                let item_end = self.item_end(end);
                let lines = self.line_of(found)..=self.line_of(item_end.saturating_sub(1));
                self.is_test_line[lines].fill(true);
            }
            rest = end;
        }
        let inner = self.code.find("#![cfg(").map(|at| (at, self.bracket_end(at + 2)));
        if inner.is_some_and(|(at, end)| is_test_attribute(&self.code[at + 3..end - 1])) {
            self.mark_all_as_test();
        }
    }

    /// Where the item after an attribute ends: at its `;`, its block's `}`, or what closes around it.
    fn item_end(&self, from: usize) -> usize {
        let mut at = from;
        let mut ends_at_comma = None;
        while let Some(c) = self.code[at..].chars().next() {
            match c {
                '#' => at += self.code[at..].find('[').map_or(0, |open| self.bracket_end(at + open) - at - 1),
                '{' => return self.bracket_end(at),
                '(' | '[' => at = self.bracket_end(at) - 1,
                ';' => return at + 1,
                ')' | ']' | '}' => return at,
                ',' if ends_at_comma == Some(true) => return at + 1,
                c if is_word(c) && ends_at_comma.is_none() => {
                    ends_at_comma = Some(!starts_item(&self.code[at..]))
                }
                _ => {}
            }
            at += self.code[at..].chars().next().map_or(1, char::len_utf8);
        }
        self.code.len()
    }
}

/// Fields, variants and match arms end at a comma; items do not.
fn starts_item(code: &str) -> bool {
    const ITEMS: &[&str] = &[
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "unsafe",
        "use",
    ];
    let word = code.split(|c| !is_word(c)).next().unwrap_or_default();
    ITEMS.contains(&word)
}

/// Whether an attribute keeps its item out of every build but the test build.
fn is_test_attribute(attribute: &str) -> bool {
    let attribute: String = attribute.split_whitespace().collect();
    let condition = attribute.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')'));
    attribute == "test" || condition.is_some_and(requires_test)
}

/// Whether a `cfg` condition can hold only in a test build.
fn requires_test(condition: &str) -> bool {
    let inside = |name: &str| condition.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(all) = inside("all") {
        return arguments(all).into_iter().any(requires_test);
    }
    if let Some(any) = inside("any") {
        return arguments(any).into_iter().all(requires_test);
    }
    condition == "test"
}

/// Splits at the commas that stand in no bracket.
fn arguments(list: &str) -> Vec<&str> {
    let mut depth = 0;
    list.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
fn named(text: &str) -> Vec<String> {
    SourceFile::parse("src/x.rs", text).paths().into_iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn paths_are_taken_apart() {
    assert_eq!(named("use std::sync::Arc;"), ["std::sync::Arc"]);
    assert_eq!(
        named("use crate::{a::B, c::{D, self}, e as f};"),
        ["crate::a::B", "crate::c::D", "crate::c::self", "crate::e"]
    );
    assert_eq!(named("use super::\n    super::log::*;"), ["super::super::log::*"]);
    assert_eq!(
        named("use loom; let x = Vec::<std::cell::Cell<u8>>::new();"),
        ["loom", "Vec", "std::cell::Cell"]
    );
    assert_eq!(named("let s = \"a::b\"; // c::d"), Vec::<String>::new());
}

#[test]
fn test_code_is_known() {
    let cases: &[(&str, &[bool])] = &[
        ("fn a() {}\n#[cfg(test)]\nmod t {\n}\nfn b() {}", &[false, true, true, true, false]),
        ("#[cfg(all(test, not(loom)))]\nmod t {\n}\nfn b() {}", &[true, true, true, false]),
        ("#[cfg(not(test))]\nfn a() {}", &[false, false]),
        ("#[cfg(any(test, loom))]\nfn a() {}", &[false, false]),
        ("#[cfg(test)]\nfn a<X, Y>() {\n}\nfn b() {}", &[true, true, true, false]),
        ("struct S {\n#[cfg(test)]\nhook: u8,\nother: u8,\n}", &[false, true, true, false, false]),
        ("#[test]\n#[should_panic]\nfn a() {\n}\nfn b() {}", &[true, true, true, true, false]),
        ("#![cfg(test)]\nfn a() {}", &[true, true]),
    ];
    for (text, expected) in cases {
        let file = SourceFile::parse("src/x.rs", text);
        let found: Vec<bool> = (0..expected.len()).map(|line| file.is_test(line)).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn test_modules_in_files_of_their_own_are_found() {
    let file =
        SourceFile::parse("src/x.rs", "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod inline {}\n");
    assert_eq!(file.test_modules(), ["tests"]);
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for (text, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("a\n\n", 2)] {
        assert_eq!(SourceFile::parse("x.rs", text).line_count(), lines, "{text:?}");
    }
}

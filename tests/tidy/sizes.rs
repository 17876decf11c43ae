//! Ratchets on the sizes of files and functions: what is listed as too big may shrink, and never grows.

use crate::lexer::is_word;
use crate::source::{Finding, SourceFile};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Files over the limit: path, its present length in lines.
pub(crate) const FILE_EXCEPTIONS: &[(&str, usize)] = &[];

/// Functions over the limit: path, name, its present length in lines.
pub(crate) const FUNCTION_EXCEPTIONS: &[(&str, &str, usize)] =
    &[("src/document/order_key/tests.rs", "types_and_numbers_stand_in_the_documented_order", 77)];

pub(crate) fn check(
    files: &[SourceFile],
    file_exceptions: &[(&str, usize)],
    function_exceptions: &[(&str, &str, usize)],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let allowed = file_exceptions.iter().find(|(path, _)| *path == file.path).map(|(_, lines)| *lines);
        findings.extend(ratchet(&file.path, 0, "the file", file.line_count(), FILE_LINES_MAX, allowed));
        for function in functions(file) {
            let listed =
                |exception: &&(&str, &str, usize)| exception.0 == file.path && exception.1 == function.name;
            let allowed = function_exceptions.iter().find(listed).map(|(.., lines)| *lines);
            let subject = format!("`fn {}`", function.name);
            findings.extend(ratchet(
                &file.path,
                function.line + 1,
                &subject,
                function.lines,
                FUNCTION_LINES_MAX,
                allowed,
            ));
        }
    }
    findings.extend(orphans(files, file_exceptions, function_exceptions));
    findings
}

/// Exceptions for what does not exist any more.
fn orphans(
    files: &[SourceFile],
    file_exceptions: &[(&str, usize)],
    function_exceptions: &[(&str, &str, usize)],
) -> Vec<Finding> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let has = |path: &str, name: &str| {
        find(path).is_some_and(|file| functions(file).iter().any(|function| function.name == name))
    };
    let gone_files = file_exceptions
        .iter()
        .filter(|(path, _)| find(path).is_none())
        .map(|(path, _)| (*path, "the file".to_owned()));
    let gone_functions = function_exceptions.iter().filter(|(path, name, _)| !has(path, name));
    let gone = gone_files.chain(gone_functions.map(|(path, name, _)| (*path, format!("`fn {name}`"))));
    gone.map(|(path, subject)| {
        Finding::new(path, 0, format!("{subject} is gone"), "take its exception out of tests/tidy/sizes.rs")
    })
    .collect()
}

fn ratchet(
    path: &str,
    line: usize,
    subject: &str,
    lines: usize,
    limit: usize,
    allowed: Option<usize>,
) -> Option<Finding> {
    let fix = match allowed {
        None if lines > limit => "split it by what it does".to_owned(),
        Some(_) if lines <= limit => {
            "take its exception out of tests/tidy/sizes.rs: it is no longer needed".to_owned()
        }
        Some(allowed) if lines > allowed => {
            format!("bring it back to {allowed}, the size it once had, or less")
        }
        Some(allowed) if lines < allowed => format!("lower its exception in tests/tidy/sizes.rs to {lines}"),
        _ => return None,
    };
    Some(Finding::new(path, line, format!("{subject} has {lines} lines (limit {limit})"), fix))
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// The functions of a file that have a body, closures excepted.
fn functions(file: &SourceFile) -> Vec<Function<'_>> {
    let words = file.words();
    let named = words
        .windows(2)
        .filter(|pair| pair[0].1 == "fn" && file.code[pair[0].0 + 2..pair[1].0].trim().is_empty());
    let measure = |pair: &[(usize, &'_ str)]| {
        let (line, end) = (file.line_of(pair[0].0), body_end(file, pair[1].0)?);
        Some((line, file.line_of(end - 1) + 1 - line))
    };
    named
        .filter_map(|pair| measure(pair).map(|(line, lines)| Function { name: pair[1].1, line, lines }))
        .collect()
}

/// The end of the body of the function whose name stands at `name`; nothing for a mere declaration.
fn body_end(file: &SourceFile, name: usize) -> Option<usize> {
    let mut at = name + file.code[name..].find(|c| !is_word(c))?;
    loop {
        at += file.code[at..].find(['(', '[', '{', ';'])?;
        match file.code.as_bytes()[at] {
            b';' => return None,
            b'{' => return Some(file.bracket_end(at)),
            _ => at = file.bracket_end(at),
        }
    }
}

#[cfg(test)]
fn fixes(text: &str, files: &[(&str, usize)], functions: &[(&str, &str, usize)]) -> Vec<String> {
    let found = check(&[SourceFile::parse("src/x.rs", text)], files, functions);
    found.into_iter().map(|finding| format!("{}: {}", finding.line, finding.fix)).collect()
}

#[cfg(test)]
fn function_of(lines: usize) -> String {
    format!("\nfn long(a: [u8; 2]) -> u8 {{\n{}}}\n", "    call();\n".repeat(lines - 2))
}

#[test]
fn what_is_too_big_is_found() {
    assert_eq!(fixes(&"\n".repeat(501), &[], &[]), ["0: split it by what it does"]);
    assert_eq!(fixes(&function_of(71), &[], &[]), ["2: split it by what it does"]);
    assert_eq!(
        fixes(&"\n".repeat(511), &[("src/x.rs", 510)], &[]),
        ["0: bring it back to 510, the size it once had, or less"]
    );
}

#[test]
fn an_exception_only_goes_down() {
    let listed: &[(&str, &str, usize)] = &[("src/x.rs", "long", 80)];
    assert_eq!(fixes(&function_of(79), &[], listed), ["2: lower its exception in tests/tidy/sizes.rs to 79"]);
    let unneeded = "take its exception out of tests/tidy/sizes.rs: it is no longer needed";
    assert_eq!(fixes(&function_of(70), &[], listed), [format!("2: {unneeded}")]);
    assert_eq!(fixes("\n", &[("src/x.rs", 510)], &[]), [format!("0: {unneeded}")]);
    assert_eq!(
        fixes("", &[("src/y.rs", 510)], listed),
        ["0: take its exception out of tests/tidy/sizes.rs"; 2]
    );
}

#[test]
fn what_keeps_its_size_is_left_alone() {
    assert!(fixes(&"\n".repeat(500), &[], &[]).is_empty());
    assert!(fixes(&function_of(70), &[], &[]).is_empty());
    assert!(fixes(&function_of(80), &[], &[("src/x.rs", "long", 80)]).is_empty());
    assert!(fixes("trait T { fn f(&self); fn g(self) -> [u8; 4]; }\ntype F = fn(u8);", &[], &[]).is_empty());
}

//! Each `unsafe` says why it is sound, or what its caller has to see to.

use crate::lexer::is_word;
use crate::orderings::has_comment;
use crate::source::{Finding, SourceFile};

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let words = file.words().into_iter().filter(|(_, word)| *word == "unsafe");
    words.filter_map(|(offset, word)| check_one(file, offset, offset + word.len())).collect()
}

fn check_one(file: &SourceFile, offset: usize, after: usize) -> Option<Finding> {
    let line = file.line_of(offset);
    let next = file.code[after..].trim_start();
    let reasoned = || has_comment(file, line, |comment| comment.contains("SAFETY:"));
    let documented = || has_comment(file, line, |comment| comment.contains("# Safety"));
    let (what, fix) = match kind(next)? {
        Kind::Proof if reasoned() => return None,
        Kind::Proof => (
            "without a `SAFETY:` comment",
            "say directly above, after `// SAFETY:`, why each precondition holds",
        ),
        Kind::Contract if reasoned() || documented() => return None,
        Kind::Contract => (
            "without a `# Safety` section",
            "say in its docs, under `# Safety`, what the caller has to see to",
        ),
    };
    let first_line = next.lines().next().unwrap_or_default().trim_end();
    Some(file.finding(line, format!("`unsafe {first_line}` {what}"), fix))
}

enum Kind {
    /// Somebody vouches for something: a block, an implementation, a foreign block.
    Proof,
    /// Somebody demands something: a function, a trait.
    Contract,
}

/// What kind of `unsafe` the code after the keyword makes it; nothing for function pointer types and attributes.
fn kind(next: &str) -> Option<Kind> {
    let word = next.split(|c| !is_word(c)).next().unwrap_or_default();
    let after_fn = next.split_once("fn").map(|(_, rest)| rest.trim_start());
    let is_function = || after_fn.is_some_and(|rest| rest.starts_with(is_word));
    match word {
        "" if next.starts_with('{') => Some(Kind::Proof),
        "impl" => Some(Kind::Proof),
        "trait" => Some(Kind::Contract),
        "extern" if next.find('{') < next.find("fn") && next.contains('{') => Some(Kind::Proof),
        "fn" | "extern" if is_function() => Some(Kind::Contract),
        _ => None,
    }
}

#[cfg(test)]
fn lines(text: &str) -> Vec<usize> {
    check(&SourceFile::parse("src/log/ring.rs", text)).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn unsafe_without_a_reason_is_found() {
    for (bad, line) in [
        ("let x = unsafe { *p };", 1),
        ("// It is fine.\nlet x = unsafe { *p };", 2),
        ("// SAFETY: far away.\n\nunsafe { f() }", 3),
        ("// SAFETY: of another.\nlet a = unsafe { b };\nlet x = unsafe { *p };", 3),
        ("unsafe impl Send for X {}", 1),
        ("/// Does it.\nunsafe fn f() {}", 2),
        ("pub unsafe extern \"C\" fn f() {}", 1),
        ("unsafe extern \"C\" { fn f(); }", 1),
        ("/// A trait.\npub unsafe trait T {}", 2),
        ("#[cfg(test)]\nmod tests {\n    fn f() { unsafe { g() } }\n}", 3),
    ] {
        assert_eq!(lines(bad), [line], "{bad}");
    }
}

#[test]
fn unsafe_with_a_reason_is_left_alone() {
    for good in [
        "// SAFETY: p is valid, see new.\nlet x = unsafe { *p };",
        "let x = unsafe { *p }; // SAFETY: p is valid.",
        "// SAFETY: a long reason\n// over two lines.\nlet x: Long =\n    unsafe { *p };",
        "// SAFETY: X owns what it points to.\nunsafe impl Send for X {}",
        "/// Does it.\n///\n/// # Safety\n///\n/// `p` is valid.\n#[inline]\npub unsafe fn f() {}",
        "// SAFETY: as in the C header.\nunsafe extern \"C\" { fn f(); }",
        "struct Drop { call: unsafe fn(*mut u8) }",
        "#[unsafe(no_mangle)]\nfn f() {}",
        "// unsafe { }\nlet s = \"unsafe { }\";",
    ] {
        assert_eq!(lines(good), [] as [usize; 0], "{good}");
    }
}

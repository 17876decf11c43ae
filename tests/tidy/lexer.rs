//! Separates Rust source into code and comments.
//!
//! Both results have the lines of the source. What belongs to neither (the contents of string and character literals)
//! is blank in both, so that no rule mistakes a quoted word for code. Quotes stay in the code.

/// The two halves of a source text, line for line.
pub(crate) struct Separated {
    pub(crate) code: String,
    pub(crate) comments: String,
}

/// Separates `text`. An unclosed literal or comment runs to the end, as it would for the compiler.
pub(crate) fn separate(text: &str) -> Separated {
    let mut lexer =
        Lexer { chars: text.chars().collect(), at: 0, code: String::new(), comments: String::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    Separated { code: lexer.code, comments: lexer.comments }
}

/// Whether `c` can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Code,
    Comment,
    Neither,
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Moves `count` characters to `half`, or as many as are left.
    fn take(&mut self, count: usize, half: Half) {
        for _ in 0..count {
            let Some(c) = self.peek(0) else { return };
            let put = |wanted| if c == '\n' || half == wanted { c } else { ' ' };
            self.code.push(put(Half::Code));
            self.comments.push(put(Half::Comment));
            self.at += 1;
        }
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('\''), _) => self.character_or_lifetime(),
            (Some(c), _) if is_word(c) => self.word(),
            _ => self.take(1, Half::Code),
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(1, Half::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(first) = self.peek(0) {
            match (first, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.take(1, Half::Comment);
                    continue;
                }
            }
            self.take(2, Half::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(1, Half::Code);
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.take(1, Half::Code),
                '\\' => self.take(2, Half::Neither),
                _ => self.take(1, Half::Neither),
            }
        }
    }

    /// `'x'` and `'\n'` are literals; `'a` without a closing quote is a lifetime.
    fn character_or_lifetime(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.take(1, Half::Code);
        }
        self.take(1, Half::Code);
        self.take(if escaped { 2 } else { 1 }, Half::Neither);
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.take(1, Half::Neither);
        }
        self.take(1, Half::Code);
    }

    /// A whole identifier, and the raw string that may hang on it (`r#"…"#`).
    fn word(&mut self) {
        let length = self.chars[self.at..].iter().take_while(|c| is_word(**c)).count();
        let word: String = self.chars[self.at..self.at + length].iter().collect();
        self.take(length, Half::Code);
        if ["r", "br", "cr"].contains(&word.as_str()) {
            let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
            if self.peek(hashes) == Some('"') {
                self.raw_string(hashes);
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.take(hashes + 1, Half::Code);
        while let Some(c) = self.peek(0) {
            if c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                return self.take(hashes + 1, Half::Code);
            }
            self.take(1, Half::Neither);
        }
    }
}

#[test]
fn comments_and_literals_leave_the_code() {
    let cases = [
        ("a // b", "a     ", "  // b"),
        ("a /* b /* c */ d */ e", "a                   e", "  /* b /* c */ d */  "),
        (r#"f("x // y")"#, r#"f("      ")"#, "           "),
        (r#"f("\"x")"#, r#"f("   ")"#, "        "),
        (r##"f(r#"a"b"#)"##, r##"f(r#"   "#)"##, "           "),
        (r#"f(b"ab")"#, r#"f(b"  ")"#, "        "),
        ("r#type + 'a' + '\\'' + '\"'", "r#type + ' ' + '  ' + ' '", "                         "),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "                    "),
        ("a\n// b\nc", "a\n    \nc", " \n// b\n "),
    ];
    for (text, code, comments) in cases {
        let halves = separate(text);
        assert_eq!(halves.code, code, "code of {text}");
        assert_eq!(halves.comments, comments, "comments of {text}");
    }
}

#[test]
fn an_unclosed_literal_runs_to_the_end() {
    assert_eq!(separate("f(\"ab\ncd").code, "f(\"  \n  ");
    assert_eq!(separate("f(r#\"ab\"").code, "f(r#\"   ");
    assert_eq!(separate("a /* b").code, "a     ");
}

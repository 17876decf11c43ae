//! What could stand at a place in a line: commands, collections, flags, indexes, and fields that are indexed.

use super::words::{Tail, Words};
use clap::Command;

/// The names in a store.
pub(super) trait Known {
    fn collections(&self) -> Vec<String>;
    fn indexes(&self, collection: &str) -> Vec<String>;
    /// Those that an index has.
    fn fields(&self, collection: &str) -> Vec<String>;
}

/// What could stand at a place.
enum Names {
    /// A word, which ends with it.
    Words(Vec<String>),
    /// A part of a word, which may go on.
    Parts(Vec<String>),
}

/// Where the name begins that stands unfinished at the end of `line`, and what could become of it.
pub(super) fn complete(line: &str, grammar: &Command, known: &impl Known) -> (usize, Vec<String>) {
    let mut read = Words::default();
    read.read(line);
    let (words, tail) = read.so_far();
    let (command, arguments) = command_of(words, grammar);
    let (start, names) = match tail {
        Tail::Json(start) => (start, Names::Parts(of_collection(arguments, |name| known.fields(name)))),
        Tail::Word(start) => match names(command, arguments, &line[start..], known) {
            Names::Parts(fields) => (start + before_field(&line[start..]), Names::Parts(fields)),
            words => (start, words),
        },
        Tail::Other => (line.len(), Names::Parts(Vec::new())),
    };
    let is_meant = |name: &String| name.starts_with(&line[start..]);
    let mut names: Vec<String> = match names {
        Names::Words(names) => names.into_iter().filter(is_meant).map(|name| written(&name) + " ").collect(),
        Names::Parts(names) => names.into_iter().filter(is_meant).collect(),
    };
    names.sort();
    names.dedup();
    (start, names)
}

/// What stands in a word before the last field: other fields, a name for a result, the sign of its order.
fn before_field(word: &str) -> usize {
    let field = word.rfind([',', '=']).map_or(0, |at| at + 1);
    field + usize::from(word[field..].starts_with('-'))
}

/// A name as a word, in quotes if it would be several or none otherwise.
fn written(name: &str) -> String {
    if name.contains(|c: char| c.is_whitespace() || "'\"{}[]".contains(c)) {
        return format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    name.to_owned()
}

/// The command that the words name, and the words behind that.
fn command_of<'a>(words: &'a [String], grammar: &'a Command) -> (&'a Command, &'a [String]) {
    let (mut command, mut rest) = (grammar, words);
    while let Some((word, behind)) = rest.split_first() {
        match command.find_subcommand(word) {
            Some(found) => (command, rest) = (found, behind),
            None => break,
        }
    }
    (command, rest)
}

fn names(command: &Command, arguments: &[String], word: &str, known: &impl Known) -> Names {
    if command.has_subcommands() {
        let is_next = arguments.is_empty();
        let names = command.get_subcommands().filter(|_| is_next).map(|inner| inner.get_name().to_owned());
        return Names::Words(names.collect());
    }
    if word.starts_with("--") && !word.contains('=') {
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        return Names::Words(flags.map(|flag| format!("--{flag}")).collect());
    }
    match (arguments, command.get_name()) {
        _ if !command.get_arguments().any(|argument| argument.get_id() == "collection") => {
            Names::Words(Vec::new())
        }
        ([], _) => Names::Words(known.collections()),
        (_, "drop") => Names::Words(of_collection(arguments, |name| known.indexes(name))),
        _ => Names::Parts(of_collection(arguments, |name| known.fields(name))),
    }
}

fn of_collection(arguments: &[String], names: impl FnOnce(&str) -> Vec<String>) -> Vec<String> {
    arguments.first().map_or_else(Vec::new, |collection| names(collection))
}

#[cfg(test)]
mod tests {
    use super::super::Line;
    use super::*;
    use clap::CommandFactory;

    struct Store;

    impl Known for Store {
        fn collections(&self) -> Vec<String> {
            ["towns", "tolls", "rivers", "o ther"].map(str::to_owned).to_vec()
        }

        fn indexes(&self, collection: &str) -> Vec<String> {
            vec![format!("{collection}_people")]
        }

        fn fields(&self, collection: &str) -> Vec<String> {
            if collection == "towns" {
                ["people", "mayor.since"].map(str::to_owned).to_vec()
            } else {
                Vec::new()
            }
        }
    }

    #[test]
    fn what_could_stand_there_is_offered() {
        let mut grammar = Line::command();
        grammar.build();
        for (line, start, expected) in [
            ("fi", 0, &["find "][..]),
            ("ex", 0, &["exit ", "export "]),
            ("index ", 6, &["create ", "drop ", "help ", "list "]),
            ("help in", 5, &["index "]),
            ("find to", 5, &["tolls ", "towns "]),
            ("find o", 5, &["\"o ther\" "]),
            ("index drop towns t", 17, &["towns_people "]),
            ("index create towns pe", 19, &["people"]),
            ("find towns {\"ma", 13, &["mayor.since"]),
            ("find towns {\"a\": 1, \"", 21, &["mayor.since", "people"]),
            ("find rivers {\"", 14, &[]),
            ("find towns --so", 11, &["--sort "]),
            ("find towns - --sort people,-ma", 28, &["mayor.since"]),
            ("find towns - --sort=-pe", 21, &["people"]),
            ("aggregate towns --sum all=pe", 26, &["people"]),
            ("stats ", 6, &[]),
            ("nothing such", 8, &[]),
        ] {
            assert_eq!(
                complete(line, &grammar, &Store),
                (start, expected.iter().map(|n| (*n).to_owned()).collect()),
                "{line}"
            );
        }
    }
}

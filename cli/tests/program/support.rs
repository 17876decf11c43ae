//! Running the program in a directory of its own.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_skipstone");

/// A directory in which the program runs; paths in its arguments are relative to it.
pub(crate) struct Place(TempDir);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// With the collection `c` of the store `s`, and these lines in it.
    pub(crate) fn with_documents(lines: &str) -> Place {
        let place = Place::new();
        place.run_with(&["import", "s", "c", "-"], lines).expect(0);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ended {
        run(&mut self.command(args), input.as_ref())
    }

    /// The documents of the collection `c` in the store `s`, in the order of their ids.
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.run(&["scan", "s", "c"]).expect(0).values()
    }

    /// The ids of these documents.
    pub(crate) fn ids(&self) -> Vec<Value> {
        self.documents().into_iter().map(|mut document| document["_id"].take()).collect()
    }

    /// The space that a directory's files take.
    pub(crate) fn disk_bytes(&self, name: &str) -> u64 {
        fs::read_dir(self.path(name))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().blocks() * 512)
            .sum()
    }

    /// All bytes below a path, by name.
    pub(crate) fn contents(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let path = self.path(name);
        if path.is_dir() {
            self.names(name).iter().flat_map(|inner| self.contents(&format!("{name}/{inner}"))).collect()
        } else {
            vec![(path.clone(), fs::read(path).unwrap())]
        }
    }
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // A program that has stopped reading is no failure of the test.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Ended {
        code: output.status.code().expect("the program ends by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// Fails unless the program ended with this code; and unless it said why, in one line, when it failed.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self:?}");
        if code != 0 {
            assert!(self.err.starts_with("skipstone: "), "{self:?}");
            assert_eq!(self.err.lines().count(), 1, "{self:?}");
        }
        self
    }

    /// The same, and the message has these words.
    #[track_caller]
    pub(crate) fn expect_saying(self, code: i32, words: &[&str]) -> Ended {
        let ended = self.expect(code);
        for word in words {
            assert!(ended.err.contains(word), "{word:?} is not in {ended:?}");
        }
        ended
    }

    /// The one line of JSON that was printed.
    #[track_caller]
    pub(crate) fn value(&self) -> Value {
        let mut values = self.values();
        assert_eq!(values.len(), 1, "{self:?}");
        values.remove(0)
    }

    #[track_caller]
    pub(crate) fn values(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program's demo data.
pub(crate) fn records() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/clock-changes.ndjson")
}

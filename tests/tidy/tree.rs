//! The files of the project, as they are found: what does not exist yet is simply not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::SourceFile;

/// Where Rust code of the project lives.
const RUST_FOLDERS: &[&str] = &["src", "cli/src", "cli/tests", "loom-tests", "tests", "benches", "fuzz"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The library's sources; the files of `#[cfg(test)] mod x;` count as test code.
pub(crate) fn library() -> Vec<SourceFile> {
    let mut files = rust_files(&["src"]);
    let tests: Vec<String> = files.iter().flat_map(test_file_stems).collect();
    for file in &mut files {
        let stem = file.path.trim_end_matches(".rs");
        if tests.iter().any(|test| stem == test || stem.starts_with(&format!("{test}/"))) {
            file.mark_all_as_test();
        }
    }
    files
}

/// All Rust code of the project.
pub(crate) fn all_rust() -> Vec<SourceFile> {
    rust_files(RUST_FOLDERS)
}

/// Tracked text files with their contents. Without git (an unpacked package) every file outside the build folder.
pub(crate) fn tracked_text() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|git| git.status.success());
    let paths: Vec<String> = match listed {
        Some(git) => String::from_utf8_lossy(&git.stdout).split_terminator('\0').map(str::to_owned).collect(),
        None => walk(&root()).iter().filter_map(|path| relative(path)).collect(),
    };
    let read = |path: String| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text));
    paths.into_iter().filter_map(read).collect()
}

fn rust_files(folders: &[&str]) -> Vec<SourceFile> {
    let mut paths: Vec<PathBuf> = folders.iter().flat_map(|folder| walk(&root().join(folder))).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> SourceFile {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    SourceFile::parse(&relative(path).expect("the walk stays inside the project"), &text)
}

fn relative(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root()).ok()?;
    Some(inside.to_str()?.replace('\\', "/"))
}

/// All files below a folder, without build output and hidden folders.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a folder of the project can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !path.is_dir() {
            files.push(path);
        } else if name != "target" && name != ".git" {
            files.extend(walk(&path));
        }
    }
    files
}

/// Where the test modules that `file` declares may be, without `.rs` or `/mod.rs`.
fn test_file_stems(file: &SourceFile) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let folder = ["/mod", "/lib"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem);
    file.test_modules().into_iter().map(|module| format!("{folder}/{module}")).collect()
}

#[test]
fn test_files_belong_to_their_module() {
    let stems = |path| test_file_stems(&SourceFile::parse(path, "#[cfg(test)]\nmod tests;\nmod other;"));
    assert_eq!(stems("src/lib.rs"), ["src/tests"]);
    assert_eq!(stems("src/log/mod.rs"), ["src/log/tests"]);
    assert_eq!(stems("src/log/ring.rs"), ["src/log/ring/tests"]);
}

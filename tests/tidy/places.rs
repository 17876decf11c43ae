//! No tracked file names a folder of somebody's machine, or the host of a package registry.

use crate::source::Finding;

/// Where machines keep people's and programs' own files.
const FOLDERS: &[&str] =
    &[concat!("/", "work/"), concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/")];

const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("files.", "pythonhosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
];

/// What cargo itself writes into each lock file.
const LOCK_SOURCE: &str = concat!("source = \"registry+https://", "github.com/rust-lang/crates.io-index\"");

pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let folder = FOLDERS.iter().find(|folder| names_folder(line, folder));
        let host = HOSTS.iter().find(|host| line.contains(**host));
        let foreign_source =
            line.contains("registry+") && path.ends_with("Cargo.lock") && line != LOCK_SOURCE;
        let mut found = |what: String, fix: &str| findings.push(Finding::new(path, index + 1, what, fix));
        if let Some(folder) = folder {
            found(
                format!("names `{folder}`, a folder of one machine"),
                "name it relative to the project, or by a variable",
            );
        }
        if let Some(host) = host {
            found(
                format!("names `{host}`, the host of a package registry"),
                "name the package: its client knows the host",
            );
        }
        if foreign_source {
            found(
                "locks a package to the registry of one machine".to_owned(),
                "make the lock file with cargo's own registry",
            );
        }
    }
    findings
}

/// Whether an absolute path begins with `folder` somewhere in the line: what stands before it is part of no path.
fn names_folder(line: &str, folder: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || "_-.}/~".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(is_path))
}

#[test]
fn a_machine_or_registry_is_found() {
    for folder in FOLDERS {
        assert_eq!(check("a.md", &format!("x\nsee `{folder}main`"))[0].line, 2, "{folder}");
        assert_eq!(check("a.sh", &format!("cd {folder}")).len(), 1, "{folder}");
    }
    for host in HOSTS {
        assert_eq!(check("a.toml", &format!("url = \"https://{host}/x\"")).len(), 1, "{host}");
    }
    assert_eq!(check("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
}

#[test]
fn relative_paths_and_the_lock_file_are_left_alone() {
    for (path, good) in [
        ("a.md", "see docs/work/plan.md, ../home/x, $DIR/root/y and https://example.org/home/z"),
        ("Cargo.lock", LOCK_SOURCE),
        ("a.md", "cargo add skipstone"),
    ] {
        assert_eq!(check(path, good), [], "{good}");
    }
}

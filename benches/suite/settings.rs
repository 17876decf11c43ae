//! What was asked for: figures by arguments, sizes by the environment.

use super::Result;
use super::environment::positive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The type that `statfs` gives a file system in memory.
const TMPFS_MAGIC: u64 = 0x0102_1994;

pub(crate) struct Settings {
    pub(crate) records: usize,
    pub(crate) documents: usize,
    pub(crate) rounds: usize,
    /// One measurement of one contestant.
    pub(crate) time: Duration,
    pub(crate) json: Option<PathBuf>,
    dir: PathBuf,
    chosen: Vec<String>,
}

impl Settings {
    pub(crate) fn from_environment(names: &[&str]) -> Result<Settings> {
        // Cargo adds `--bench` of its own.
        let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
        if let Some(unknown) = chosen.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!("no figure is called {unknown}; there are {}", names.join(", ")).into());
        }
        Ok(Settings {
            records: positive("SKIPSTONE_BENCH_RECORDS", 1_000_000)?,
            documents: positive("SKIPSTONE_BENCH_DOCUMENTS", 100_000)?,
            rounds: positive("SKIPSTONE_BENCH_ROUNDS", 5)?,
            time: Duration::from_millis(positive("SKIPSTONE_BENCH_MILLIS", 1000)? as u64),
            json: std::env::var_os("SKIPSTONE_BENCH_JSON").map(PathBuf::from),
            dir: std::env::var_os("SKIPSTONE_BENCH_DIR")
                .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from),
            chosen,
        })
    }

    pub(crate) fn is_chosen(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|chosen| chosen == name)
    }

    pub(crate) fn chosen(&self) -> &[String] {
        &self.chosen
    }

    /// A fresh folder on a real file system, removed when the result is dropped.
    pub(crate) fn folder(&self) -> Result<tempfile::TempDir> {
        std::fs::create_dir_all(&self.dir)?;
        refuse_memory(&self.dir)?;
        Ok(tempfile::Builder::new().prefix("figures-").tempdir_in(&self.dir)?)
    }
}

fn refuse_memory(dir: &Path) -> Result<()> {
    if rustix::fs::statfs(dir)?.f_type as u64 == TMPFS_MAGIC {
        let dir = dir.display();
        return Err(format!("{dir} is in memory: set SKIPSTONE_BENCH_DIR to a folder on a disk").into());
    }
    Ok(())
}

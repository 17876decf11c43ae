//! What a run was made on, and how to repeat it.

use super::Result;
use super::settings::Settings;
use serde_json::{Value, json};
use std::process::Command;

/// The first JSON line of a run. Names no host and no folder.
pub(crate) fn describe(target: &str, allocator: &str, settings: &Settings) -> Result<Value> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(json!({
        "kind": "run",
        "date": skipstone::bson::DateTime::now().try_to_rfc3339_string()?,
        "command": command(target, settings),
        "commit": commit(),
        "rustc": output_of("rustc", &["--version"]),
        "allocator": allocator,
        "cpu": model.map(|(_, model)| model),
        "cores": std::thread::available_parallelism()?.get(),
        "kernel": kernel.trim(),
        "records": settings.records,
        "documents": settings.documents,
        "rounds": settings.rounds,
        "millis": settings.time.as_millis() as u64,
    }))
}

fn command(target: &str, settings: &Settings) -> String {
    let mut command = format!("cargo bench --bench {target}");
    if !settings.chosen().is_empty() {
        command += " -- ";
        command += &settings.chosen().join(" ");
    }
    command
}

/// The commit, marked if the work tree differs from it.
fn commit() -> Option<String> {
    let commit = output_of("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changes = output_of("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}, changed") })
}

/// What a program says, if it is there and content.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

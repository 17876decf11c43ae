//! How much memory the process has, watched while it works.

use super::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(200);

/// Seconds since the beginning, and resident MiB then.
type Sample = (f64, f64);

/// What was seen over a while.
pub(crate) struct Watched {
    /// Of the line through the samples, per second.
    pub(crate) slope_mib: f64,
    /// What the line rises from one end to the other, as a share of the mean.
    pub(crate) growth: f64,
}

/// Runs `work`, and watches the memory meanwhile.
pub(crate) fn watch<T>(work: impl FnOnce() -> T) -> Result<(T, Watched)> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> std::result::Result<Vec<Sample>, String> {
            let (began, mut samples) = (Instant::now(), Vec::new());
            // Relaxed: it says when, and nothing else.
            while !done.load(Ordering::Relaxed) {
                samples.push((began.elapsed().as_secs_f64(), resident_mib()?));
                // From one sample to the next.
                std::thread::sleep(PAUSE);
            }
            Ok(samples)
        });
        let result = work();
        done.store(true, Ordering::Relaxed); // as above
        let samples = watcher.join().expect("the watcher only reads a file")?;
        Ok((result, fit(&samples)))
    })
}

fn resident_mib() -> std::result::Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| "the system does not tell the resident memory".to_owned())
}

/// The line of least squares.
fn fit(samples: &[Sample]) -> Watched {
    let count = samples.len() as f64;
    let mean_seconds = samples.iter().map(|(seconds, _)| seconds).sum::<f64>() / count;
    let mean_mib = samples.iter().map(|(_, mib)| mib).sum::<f64>() / count;
    let covariance: f64 = samples.iter().map(|(s, mib)| (s - mean_seconds) * (mib - mean_mib)).sum();
    let variance: f64 = samples.iter().map(|(s, _)| (s - mean_seconds).powi(2)).sum();
    // A single sample has no slope.
    let slope_mib = if variance > 0.0 { covariance / variance } else { 0.0 };
    let seconds = samples.last().map_or(0.0, |(seconds, _)| *seconds);
    Watched { slope_mib, growth: slope_mib * seconds / mean_mib }
}

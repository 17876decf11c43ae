//! How urgent a thread's reads and writes are to the system.

/// Has what the calling thread reads and writes come after what others do, as far as the disk's scheduler heeds priorities: it is what a
/// checkpoint does in the background. Never fails: a system that does not have them treats all alike.
#[cfg(target_os = "linux")]
pub(crate) fn lower_priority() {
    // SAFETY: the call takes three numbers and touches no memory of ours. Zero means the calling thread.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, LOWEST) };
}

/// Elsewhere there is nothing to ask for it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lower_priority() {}

#[cfg(target_os = "linux")]
const WHO_PROCESS: libc::c_int = 1;
/// The class "best effort" (2), and in it the last of eight levels. The class "idle" could be put off for ever, and a log that grows
/// for ever is worse than a slow one.
#[cfg(target_os = "linux")]
const LOWEST: libc::c_int = 2 << 13 | 7;

#[cfg(all(test, target_os = "linux", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_threads_own() {
        // SAFETY: as in `lower_priority`.
        let priority = || unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0) };
        let before = priority();
        let lowered = std::thread::spawn(move || {
            lower_priority();
            priority()
        });
        let lowered = lowered.join().unwrap();
        // A system without priorities refuses to say.
        assert!(lowered == i64::from(LOWEST) || before < 0, "{lowered}");
        assert_eq!(priority(), before);
    }
}

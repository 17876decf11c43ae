//! A pool of threads that is over when it is dropped.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::thread::JoinHandle;

/// Threads for one piece of work. Rayon's own pool leaves its threads to end some time later; whoever closes a store, or looks for leaks, wants
/// them gone, with all that they held: versions to be freed among it.
pub(crate) struct JoinedPool {
    /// Dropped first, which tells the threads to end.
    pool: Option<ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl JoinedPool {
    /// Starts `count` threads of this name, each of which calls `start` first.
    pub(crate) fn new(
        count: usize,
        name: &'static str,
        start: impl Fn() + Send + Sync + 'static,
    ) -> Result<JoinedPool, ThreadPoolBuildError> {
        let mut joined = JoinedPool { pool: None, threads: Vec::with_capacity(count) };
        let builder = ThreadPoolBuilder::new().num_threads(count).start_handler(move |_| start());
        let spawned = builder.spawn_handler(|thread| {
            let spawned = std::thread::Builder::new().name(name.into()).spawn(|| thread.run())?;
            joined.threads.push(spawned);
            Ok(())
        });
        let pool = spawned.build()?;
        joined.pool = Some(pool);
        Ok(joined)
    }

    /// Runs the work on the pool's threads, and waits for it. Panics if the work does.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let pool = self.pool.as_ref().expect("it is there until the drop");
        pool.install(work)
    }
}

impl Drop for JoinedPool {
    fn drop(&mut self) {
        drop(self.pool.take());
        for thread in self.threads.drain(..) {
            // A panic of a job went to whoever installed it; those of the pool itself abort.
            let _ = thread.join();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sync::Arc;
    use rayon::prelude::*;
    use std::cell::RefCell;
    use std::time::Duration;

    /// Takes its time to go, as a thread's share of what is to be freed may.
    struct Slow {
        _counted: Arc<()>,
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            // So long that a thread nobody waits for would be seen.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    thread_local! {
        static HELD: RefCell<Option<Slow>> = const { RefCell::new(None) };
    }

    #[test]
    fn what_its_threads_held_is_gone_with_it() {
        let counted = Arc::new(());
        let held = Arc::clone(&counted);
        let start = move || HELD.with(|slow| *slow.borrow_mut() = Some(Slow { _counted: Arc::clone(&held) }));
        let pool = JoinedPool::new(3, "skipstone-test", start).unwrap();
        let sum: u64 = pool.install(|| (0..1000_u64).into_par_iter().sum());
        assert_eq!(sum, 499_500);
        drop(pool);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

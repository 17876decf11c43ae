//! A cell that fails the model if two threads are at it at the same time and one of them writes: loom's, or this one under shuttle.
//!
//! Loom's reports accesses that nothing orders. This one reports those that overlap in the schedule at hand, so it lets others run
//! in the middle of each access.

#[cfg(loom)]
pub(crate) use super::checker::cell::UnsafeCell;
#[cfg(shuttle)]
pub(crate) use overlap::UnsafeCell;

#[cfg(shuttle)]
mod overlap {
    use super::super::checker::thread;
    use std::cell::Cell;
    use std::time::Duration;

    pub(crate) struct UnsafeCell<T> {
        value: std::cell::UnsafeCell<T>,
        readers: Cell<usize>,
        has_writer: Cell<bool>,
    }

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self {
                value: std::cell::UnsafeCell::new(value),
                readers: Cell::new(0),
                has_writer: Cell::new(false),
            }
        }

        pub(crate) fn with<R>(&self, act: impl FnOnce(*const T) -> R) -> R {
            assert!(!self.has_writer.get(), "read while it was written");
            self.readers.set(self.readers.get() + 1);
            let_others_run();
            let result = act(self.value.get());
            self.readers.set(self.readers.get() - 1);
            result
        }

        pub(crate) fn with_mut<R>(&self, act: impl FnOnce(*mut T) -> R) -> R {
            assert!(!self.has_writer.replace(true), "written by two at the same time");
            assert!(self.readers.get() == 0, "written while it was read");
            let_others_run();
            let result = act(self.value.get());
            self.has_writer.set(false);
            result
        }
    }

    /// A point where shuttle may switch, and no yield: that would lower the thread's priority.
    fn let_others_run() {
        thread::sleep(Duration::ZERO);
    }
}

//! What an asynchronous commit hands out.

use super::{Error, Result};
use crate::log::Log;
use crate::lsn::Lsn;
use crate::sync::Arc;
use crate::txn::commit::Committed;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A commit that is in effect, and on its way to stable storage.
///
/// The store's flusher takes care of that, whether anybody waits or not. A future that needs no thread of its own; or
/// [`CommitHandle::wait`]. Dropping it takes nothing back.
#[must_use = "the commit is not known to be on stable storage before this is ready"]
pub struct CommitHandle {
    log: Option<Arc<Log>>,
    committed: Committed,
}

impl CommitHandle {
    pub(super) fn new(log: Option<Arc<Log>>, committed: Committed) -> CommitHandle {
        CommitHandle { log, committed }
    }

    /// Where it was committed.
    pub fn position(&self) -> Lsn {
        self.committed.lsn
    }

    /// Returns the position once the commit is on stable storage; in memory, at once.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]: the log failed, and the outcome is open.
    pub fn wait(self) -> Result<Lsn> {
        if let Some(log) = &self.log {
            log.wait_durable(self.committed.end).map_err(|cause| Error::ReadOnly { cause })?;
        }
        Ok(self.committed.lsn)
    }
}

impl Future for CommitHandle {
    type Output = Result<Lsn>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Lsn>> {
        let Some(log) = &self.log else {
            return Poll::Ready(Ok(self.committed.lsn));
        };
        if !log.poll_durable(self.committed.end, context.waker()) {
            return Poll::Pending;
        }
        if log.durable() >= self.committed.end {
            return Poll::Ready(Ok(self.committed.lsn));
        }
        Poll::Ready(log.check().map(|()| self.committed.lsn).map_err(|cause| Error::ReadOnly { cause }))
    }
}

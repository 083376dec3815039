//! Work that waits for its turn: requests that arrive together are evaluated together, on all threads.
//!
//! Each is evaluated on its rows alone, in one parallel region with the others: sums of products depend on how many rows they
//! are of, in their last bits, and an answer must not depend on who else asked.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use super::fault::Fault;

/// A request's work.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The most requests that are evaluated together.
const TOGETHER: usize = 64;

/// A queue and the thread that works it off.
pub(crate) struct Queue {
    jobs: SyncSender<Job>,
}

impl Queue {
    /// Starts one in which at most `most` wait.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(name: &str, most: usize) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(most);
        thread::Builder::new().name(name.to_owned()).spawn(move || work_off(&waiting))?;
        Ok(Self { jobs })
    }

    /// Adds a job.
    ///
    /// # Errors
    /// When as many wait as may.
    pub(crate) fn push(&self, job: Job) -> Result<(), Fault> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Fault::busy("as many requests wait as may"),
            TrySendError::Disconnected(_) => Fault::internal("nobody works the queue off"),
        })
    }
}

fn work_off(waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(TOGETHER - 1));
        rayon::scope(|scope| {
            for job in batch {
                scope.spawn(|_| job());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_queue_says_so_and_takes_jobs_again() {
        let queue = Queue::start("test", 2).unwrap();
        let (go, gate) = channel::<()>();
        let (done, all_done) = channel();
        let (started, has_started) = channel();
        let first = done.clone();
        queue
            .push(Box::new(move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
                first.send(0).unwrap();
            }))
            .unwrap();
        has_started.recv().unwrap();
        for k in [1, 2] {
            let done = done.clone();
            queue.push(Box::new(move || done.send(k).unwrap())).unwrap();
        }
        let refused = queue.push(Box::new(|| ())).unwrap_err();
        assert_eq!(refused.status, axum::http::StatusCode::TOO_MANY_REQUESTS);
        go.send(()).unwrap();
        let mut all: Vec<i32> = (0..3).map(|_| all_done.recv().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        queue.push(Box::new(move || done.send(3).unwrap())).unwrap();
        assert_eq!(all_done.recv().unwrap(), 3);
    }
}

//! Work that waits for its turn: requests that arrive together are evaluated together, on all threads.
//!
//! Each is evaluated on its rows alone, side by side with the others: sums of products depend on how many rows they
//! are of, in their last bits, and an answer must not depend on who else asked.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use super::fault::Fault;

/// A request's work.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The most requests that are evaluated together; the others wait where they can still be refused.
const TOGETHER: usize = 8;

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
    // One that takes long holds up no more than a thread.
    let (free, slots) = sync_channel(TOGETHER);
    (0..TOGETHER).for_each(|_| free.send(()).expect("the other end is here"));
    while let Ok(job) = waiting.recv() {
        let _ = slots.recv();
        let free = free.clone();
        rayon::spawn(move || {
            job();
            let _ = free.send(());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_full_queue_says_so_and_takes_jobs_again() {
        let queue = Queue::start("test", 2).unwrap();
        let (go, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (done, all_done) = channel();
        // Held until the gate opens: as many as run, the one that the thread has in hand, and those that wait.
        let mut taken = 0;
        let refused = loop {
            let (gate, done) = (Arc::clone(&gate), done.clone());
            let job = move || {
                gate.lock().unwrap().recv().unwrap();
                done.send(()).unwrap();
            };
            match queue.push(Box::new(job)) {
                Ok(()) => taken += 1,
                Err(refused) => break refused,
            }
            thread::sleep(std::time::Duration::from_millis(20));
            assert!(taken < 100);
        };
        assert_eq!(refused.status, axum::http::StatusCode::TOO_MANY_REQUESTS);
        assert!((3..=TOGETHER + 3).contains(&taken), "{taken}");
        (0..=taken).for_each(|_| go.send(()).unwrap());
        (0..taken).for_each(|_| all_done.recv().unwrap());
        queue.push(Box::new(move || done.send(()).unwrap())).unwrap();
        all_done.recv().unwrap();
    }
}

//! Tonbo's tasks, counted. Tonbo flushes in a task that nobody can wait for, and reads that meet such a flush lack rows;
//! so it is given this executor, and every call of ours ends by waiting until all that it has started is done.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use fusio::dynamic::{MaybeSend, MaybeSendFuture, MaybeSync};
use fusio::executor::{Executor, Timer};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Outcome, failure, status};

/// Longer than any flush takes: what is not done then never will be.
const REST_MAX: Duration = Duration::from_secs(600);
/// A log's writer ends as soon as its database is gone.
const END_MAX: Duration = Duration::from_secs(10);
/// Tasks of Tonbo's manifest that change it at a time of their own, one of them for ever, also behind the end of the
/// database; they make an open fail that meets them. They look for what a killed writer has left, and we never open such
/// a store again: they are not run.
const NEVER_RUN: &str = "orphan_recovery";

/// One for the process; Tonbo panics where it has one thread only.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(16)
            .thread_name("sabot-tonbo")
            .enable_time()
            .build()
            .expect("a thread for Tonbo can be started")
    })
}

#[derive(Default)]
struct Tasks {
    /// Tasks that live as long as the store (its log's writer) are started before this is set.
    opened: AtomicBool,
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Default)]
struct Count {
    lasting: usize,
    running: usize,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether it came to that in time.
    fn wait_while(&self, max: Duration, busy: impl FnMut(&mut Count) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), max, busy);
        !waited.unwrap_or_else(|poisoned| poisoned.into_inner()).1.timed_out()
    }
}

#[derive(Clone, Default)]
pub struct Watched {
    tasks: Arc<Tasks>,
}

/// A task that is counted until it ends, also by a panic.
struct Counted {
    tasks: Arc<Tasks>,
    lasting: bool,
}

impl Counted {
    fn new(tasks: &Arc<Tasks>) -> Counted {
        let lasting = !tasks.opened.load(Ordering::SeqCst);
        let mut count = tasks.lock();
        *(if lasting { &mut count.lasting } else { &mut count.running }) += 1;
        drop(count);
        Counted { tasks: Arc::clone(tasks), lasting }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut count = self.tasks.lock();
        *(if self.lasting { &mut count.lasting } else { &mut count.running }) -= 1;
        drop(count);
        self.tasks.changed.notify_all();
    }
}

impl Watched {
    /// From here on tasks are those that are waited for.
    pub fn opened(&self) {
        self.tasks.opened.store(true, Ordering::SeqCst);
    }

    pub fn rest(&self) -> Outcome<()> {
        if self.tasks.wait_while(REST_MAX, |count| count.running > 0) {
            return Ok(());
        }
        let seconds = REST_MAX.as_secs();
        Err(failure(status::ERR_IO, format!("Tonbo's threads have not come to rest within {seconds} s")))
    }

    /// Behind the drop of the database: its log's writer has ended too, and no file of it is open.
    pub fn end(&self) -> Outcome<()> {
        self.rest()?;
        if self.tasks.wait_while(END_MAX, |count| count.lasting > 0) {
            return Ok(());
        }
        let seconds = END_MAX.as_secs();
        Err(failure(status::ERR_IO, format!("Tonbo still has files open {seconds} s behind its end")))
    }
}

impl Executor for Watched {
    type JoinHandle<R>
        = tokio::task::JoinHandle<R>
    where
        R: MaybeSend;

    type Mutex<T>
        = tokio::sync::Mutex<T>
    where
        T: MaybeSend + MaybeSync;

    type RwLock<T>
        = tokio::sync::RwLock<T>
    where
        T: MaybeSend + MaybeSync;

    fn spawn<F>(&self, future: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + MaybeSend + 'static,
        F::Output: MaybeSend,
    {
        if std::any::type_name::<F>().contains(NEVER_RUN) {
            drop(future);
            let never = runtime().spawn(std::future::pending());
            never.abort();
            return never;
        }
        let counted = Counted::new(&self.tasks);
        runtime().spawn(async move {
            let result = future.await;
            drop(counted);
            result
        })
    }

    fn mutex<T>(value: T) -> Self::Mutex<T>
    where
        T: MaybeSend + MaybeSync,
    {
        tokio::sync::Mutex::new(value)
    }

    fn rw_lock<T>(value: T) -> Self::RwLock<T>
    where
        T: MaybeSend + MaybeSync,
    {
        tokio::sync::RwLock::new(value)
    }
}

impl Timer for Watched {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn MaybeSendFuture<Output = ()>>> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_time(&self) -> SystemTime {
        SystemTime::now()
    }
}

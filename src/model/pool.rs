//! A persistent pool of threads for short parallel loops.
//!
//! A decoded token is some hundreds of loops of a few microseconds each, so the cost of a fork and join
//! is what matters: a worker that has just finished spins for `SPIN` before it sleeps, and finds the
//! next loop without a system call. Tasks are claimed one by one from a shared cursor, so a slow or
//! descheduled thread holds up nobody: the caller waits only for workers that have entered the loop, and
//! one that comes late finds it closed. An idle pool costs nothing.
//!
//! Threads beyond the processors that the process may run on rest: they would take the processor from one that
//! holds a task, or spins for it. Work is still divided as for all of them.
//!
//! # Protocol
//! One atomic word: the number of the loop (high 32 bits), whether it is `OPEN`, and how many workers are inside.
//! The caller writes the task, opens the loop, works through the cursor itself, closes the loop, and waits until
//! nobody is inside. A worker enters by a compare-exchange that succeeds only while the loop is open, so
//! it never sees the task of a loop that has returned.
//!
//! No wake-up is lost: a worker that is about to sleep counts itself among the sleepers, and then looks at
//! the word again, under the lock; the caller opens the loop, and then reads the number of sleepers. In the one
//! total order of these four sequentially consistent operations, either the worker sees the open loop or the
//! caller sees the sleeper, and takes the lock to wake it.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::divide::{Chunks, Divide};
use super::system;
use super::trace::Tracer;
use crate::isa::DefaultEnvironment;

/// How long a thread spins for the next event before it sleeps: longer than the serial stretches between
/// the loops of a forward pass, short enough not to matter to anything else.
const SPIN: Duration = Duration::from_micros(100);

/// The loop may be entered.
const OPEN: u64 = 1 << 31;
/// Workers inside the loop.
const INSIDE: u64 = OPEN - 1;
/// One in the loop's number.
const NEXT: u64 = 1 << 32;

/// Threads that run parallel loops together with the thread that asks for them.
pub struct Pool {
    shared: Arc<Shared>,
    /// Its own threads; none where the workers are lent.
    handles: Vec<JoinHandle<()>>,
    /// The calling thread, and every worker.
    size: NonZeroUsize,
    threads: AtomicUsize,
    /// More threads than these would only take turns, and hold each other up.
    processors: usize,
    /// Loops of several callers take turns.
    turn: Mutex<()>,
}

struct Shared {
    state: AtomicU64,
    cursor: AtomicUsize,
    /// The loop's body; read only by those who are inside.
    task: TaskCell,
    sleepers: AtomicUsize,
    /// Threads that work on a loop, the caller among them: workers of higher numbers rest.
    active: AtomicUsize,
    /// Guards only the condition variables.
    lock: Mutex<()>,
    opened: Condvar,
    rested: Condvar,
    left: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicUsize,
}

/// A body and the number of its tasks, without its lifetime.
#[derive(Clone, Copy)]
struct Task {
    body: *const (dyn Fn(usize) + Sync),
    count: usize,
    /// Whom to tell when threads wait.
    tracer: Option<*const Tracer>,
}

struct TaskCell(Cell<Option<Task>>);

// SAFETY: the cell is written by the caller alone, while the loop is closed and nobody is inside, and read
// by workers only after entering; entering acquires what opening released. The body and the tracer are `Sync`.
unsafe impl Sync for TaskCell {}
// SAFETY: as above; the pointers are used only within `Pool::run_traced`, which outlives every use.
unsafe impl Send for TaskCell {}

thread_local! {
    /// The number of this thread among those of the pool, while it runs tasks: a loop inside a task runs inline.
    static INSIDE_TASK: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of the calling thread in the pool that it works for: 0 for one that asks for loops.
pub(super) fn current() -> usize {
    INSIDE_TASK.get().unwrap_or(0)
}

impl Pool {
    /// A pool of `threads`: the calling thread, and one fewer worker.
    ///
    /// # Errors
    /// If the system gives no thread; those already made are ended.
    pub fn new(threads: NonZeroUsize) -> io::Result<Pool> {
        Self::on_processors(threads, system::processors())
    }

    fn on_processors(threads: NonZeroUsize, processors: NonZeroUsize) -> io::Result<Pool> {
        let (mut pool, workers) = Self::with_workers(threads, processors);
        for worker in workers {
            let name = format!("quintile-{}", worker.number);
            pool.handles.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
        }
        Ok(pool)
    }

    /// A pool of `threads` that starts none: the calling thread, and the threads that run these workers, one fewer. A worker that is
    /// not run is missed by nobody: the others do its part.
    ///
    /// For threads that are pinned to a processor, have a priority, or do other work before and after.
    ///
    /// ```
    /// use quintile::model::Pool;
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    ///
    /// let (pool, workers) = Pool::with_own_threads(3.try_into().unwrap());
    /// let sum = AtomicUsize::new(0);
    /// std::thread::scope(|scope| {
    ///     for worker in workers {
    ///         scope.spawn(|| worker.run());
    ///     }
    ///     pool.run(100, |i| {
    ///         sum.fetch_add(i, Relaxed);
    ///     });
    ///     // The workers return: otherwise the scope would wait for ever.
    ///     drop(pool);
    /// });
    /// assert_eq!(sum.into_inner(), 4950);
    /// ```
    pub fn with_own_threads(threads: NonZeroUsize) -> (Pool, Vec<Worker>) {
        Self::with_workers(threads, system::processors())
    }

    fn with_workers(size: NonZeroUsize, processors: NonZeroUsize) -> (Pool, Vec<Worker>) {
        let (threads, processors) = (size.get(), processors.get());
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            cursor: AtomicUsize::new(0),
            task: TaskCell(Cell::new(None)),
            sleepers: AtomicUsize::new(0),
            active: AtomicUsize::new(threads.min(processors)),
            lock: Mutex::new(()),
            opened: Condvar::new(),
            rested: Condvar::new(),
            left: Condvar::new(),
            panic: Mutex::new(None),
            stop: AtomicUsize::new(0),
        });
        let worker = |number| Worker { shared: Arc::clone(&shared), number };
        let workers = (1..threads).map(worker).collect();
        let pool = Pool {
            shared,
            handles: Vec::new(),
            size,
            threads: AtomicUsize::new(threads),
            processors,
            turn: Mutex::new(()),
        };
        (pool, workers)
    }

    /// Threads that the pool was made with.
    pub fn size(&self) -> NonZeroUsize {
        self.size
    }

    /// Threads that work on a loop.
    pub fn threads(&self) -> usize {
        self.threads.load(Relaxed)
    }

    /// Those of them that do so at the same time: at most as many as there are processors.
    pub fn active(&self) -> usize {
        self.shared.active.load(Relaxed)
    }

    /// From now on, so many threads work on a loop, of those that the pool was made with; the others sleep.
    pub fn set_threads(&self, threads: NonZeroUsize) {
        let threads = threads.get().min(self.size.get());
        self.threads.store(threads, Relaxed);
        let active = threads.min(self.processors);
        if self.shared.active.swap(active, SeqCst) < active {
            let _guard = lock(&self.shared.lock);
            self.shared.rested.notify_all();
        }
    }

    /// Loops so far that more than one thread was asked to: each begins with handing out, and ends with waiting.
    pub fn loops(&self) -> u64 {
        self.shared.state.load(Relaxed) >> 32
    }

    /// Calls `task(i)` once for every `i < tasks`, on any thread in any order, and returns when all are
    /// done. Inside a task it runs inline.
    ///
    /// # Panics
    /// If a task panics: after the others have ended.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        self.run_traced(None, tasks, task);
    }

    /// As [`run`](Self::run); how long threads wait for each other is told to the tracer.
    pub(super) fn run_traced(
        &self,
        tracer: Option<&Tracer>,
        tasks: usize,
        task: impl Fn(usize) + Sync,
    ) {
        let _environment = DefaultEnvironment::enter();
        if tasks <= 1 || self.active() == 1 || INSIDE_TASK.get().is_some() {
            return (0..tasks).for_each(task);
        }
        let turn = lock(&self.turn);
        let shared = &*self.shared;
        let body: &(dyn Fn(usize) + Sync) = &task;
        // SAFETY: only the lifetime changes. The loop is closed and empty before this function returns or
        // unwinds (`finish` waits, and nothing before it unwinds), so nobody uses the body later.
        let body = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync)>(
                body,
            )
        };
        let task = Task { body, count: tasks, tracer: tracer.map(std::ptr::from_ref) };
        shared.task.0.set(Some(task));
        shared.cursor.store(0, Relaxed);
        let closed = shared.state.load(Relaxed);
        debug_assert_eq!(closed & (OPEN | INSIDE), 0);
        let open = closed.wrapping_add(NEXT) | OPEN;
        shared.state.store(open, SeqCst);
        if shared.sleepers.load(SeqCst) > 0 {
            let _guard = lock(&shared.lock);
            shared.opened.notify_all();
        }
        shared.claim(task, 0);
        let start = tracer.map(|tracer| (tracer, Instant::now()));
        shared.finish();
        if let Some((tracer, start)) = start {
            tracer.waited(start, Instant::now(), (open >> 32) as u32);
        }
        let panic = lock(&shared.panic).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `f(i, chunk)` for the chunks of `items`, as `items.chunks_mut(chunk)` numbers them, in
    /// parallel.
    ///
    /// # Panics
    /// If `chunk` is 0, or a call panics.
    pub fn chunks_mut<T: Send>(
        &self,
        items: &mut [T],
        chunk: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        self.each(None, Chunks::of(items, chunk), f);
    }

    /// Calls `f(i, piece)` for every piece, in parallel.
    ///
    /// # Panics
    /// If a call panics.
    pub(super) fn each<D: Divide>(
        &self,
        tracer: Option<&Tracer>,
        all: D,
        f: impl Fn(usize, D::Piece) + Sync,
    ) {
        // SAFETY: `run_traced` calls each `i` once.
        self.run_traced(tracer, all.pieces(), |i| f(i, unsafe { all.piece(i) }));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(1, SeqCst);
        {
            let _guard = lock(&self.shared.lock);
            self.shared.opened.notify_all();
            self.shared.rested.notify_all();
        }
        for handle in self.handles.drain(..) {
            // Workers catch the panics of tasks, and do nothing else that panics.
            let _ = handle.join();
        }
    }
}

/// A part in a pool's loops, for a thread of the caller's: [`Pool::with_own_threads`].
pub struct Worker {
    shared: Arc<Shared>,
    number: usize,
}

impl Worker {
    /// Works for the pool until that is dropped; sleeps while there is nothing to do.
    pub fn run(self) {
        self.shared.work(self.number);
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, number: usize) {
        // A thread begins with the environment of the one that made it.
        let _environment = DefaultEnvironment::enter();
        let mut seen = 0;
        while let Some(entered) = self.enter(number, seen) {
            seen = entered;
            let task = self.task.0.get().expect("written before the loop was opened");
            self.claim(task, number);
            if let Some(tracer) = task.tracer {
                // SAFETY: this thread is inside the loop, which the tracer outlives.
                unsafe { &*tracer }.arrived(number, Instant::now(), entered as u32);
            }
            let before = self.state.fetch_sub(1, SeqCst);
            if before & INSIDE == 1 && before & OPEN == 0 {
                // The last to leave a closed loop: the caller may be asleep.
                let _guard = lock(&self.lock);
                self.left.notify_all();
            }
        }
    }

    /// Waits for an open loop other than number `seen`, and enters it; `None` when the pool ends.
    fn enter(&self, number: usize, seen: u64) -> Option<u64> {
        let mut deadline = None;
        loop {
            if number >= self.active.load(SeqCst) {
                let guard = lock(&self.lock);
                let resting = || number >= self.active.load(SeqCst) && self.stop.load(SeqCst) == 0;
                drop(self.rested.wait_while(guard, |()| resting()));
                deadline = None;
            }
            for _ in 0..64 {
                let state = self.state.load(SeqCst);
                let open = state & OPEN != 0 && state >> 32 != seen;
                if open && number < self.active.load(SeqCst) {
                    if self.state.compare_exchange(state, state + 1, SeqCst, SeqCst).is_ok() {
                        return Some(state >> 32);
                    }
                } else {
                    std::hint::spin_loop();
                }
            }
            if self.stop.load(SeqCst) != 0 {
                return None;
            }
            let now = Instant::now();
            if now < *deadline.get_or_insert(now + SPIN) {
                continue;
            }
            let guard = lock(&self.lock);
            self.sleepers.fetch_add(1, SeqCst);
            let idle = || {
                let state = self.state.load(SeqCst);
                (state & OPEN == 0 || state >> 32 == seen)
                    && self.stop.load(SeqCst) == 0
                    && number < self.active.load(SeqCst)
            };
            let guard = self.opened.wait_while(guard, |()| idle());
            self.sleepers.fetch_sub(1, SeqCst);
            drop(guard);
            deadline = None;
        }
    }

    /// Runs tasks until none is left to claim. The first panic is kept; the other tasks still run, on
    /// whichever threads claim them.
    fn claim(&self, task: Task, number: usize) {
        INSIDE_TASK.set(Some(number));
        loop {
            let i = self.cursor.fetch_add(1, Relaxed);
            if i >= task.count {
                break;
            }
            // SAFETY: this thread is inside the loop (or is its caller), which outlives the call.
            let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*task.body)(i) }));
            if let Err(panic) = result {
                lock(&self.panic).get_or_insert(panic);
            }
        }
        INSIDE_TASK.set(None);
    }

    /// Closes the loop, and waits until every worker that entered has left.
    fn finish(&self) {
        let mut state = self.state.fetch_and(!OPEN, SeqCst) & !OPEN;
        let mut deadline = None;
        while state & INSIDE != 0 {
            for _ in 0..64 {
                std::hint::spin_loop();
                state = self.state.load(SeqCst);
                if state & INSIDE == 0 {
                    break;
                }
            }
            let now = Instant::now();
            if state & INSIDE != 0 && now >= *deadline.get_or_insert(now + SPIN) {
                let guard = lock(&self.lock);
                let inside = || self.state.load(SeqCst) & INSIDE != 0;
                drop(self.left.wait_while(guard, |()| inside()));
                state = self.state.load(SeqCst);
            }
        }
    }
}

/// No code under these locks leaves anything half done, so a poisoned one is as good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! Loops, panics, and what rests when.

use super::*;

/// All its threads take part, however few the processors.
fn pool(threads: usize) -> Pool {
    let threads = NonZeroUsize::new(threads).unwrap();
    Pool::on_processors(threads, threads).unwrap()
}

#[test]
fn every_index_is_called_once_for_any_number_of_tasks_and_threads() {
    for threads in [1, 2, 3, 8] {
        let pool = pool(threads);
        for tasks in [0, 1, 2, 3, 7, 8, 64, 1000] {
            let calls: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, |i| {
                calls[i].fetch_add(1, Relaxed);
            });
            assert!(calls.iter().all(|c| c.load(Relaxed) == 1), "{threads} threads, {tasks} tasks");
        }
    }
}

#[test]
fn a_pool_of_lent_threads_calls_every_index_once_whichever_of_them_run() {
    for running in 0..3 {
        let threads = NonZeroUsize::new(3).unwrap();
        let (pool, workers) = Pool::with_workers(threads, threads);
        assert_eq!((pool.size(), workers.len()), (threads, 2));
        thread::scope(|scope| {
            for worker in workers.into_iter().take(running) {
                scope.spawn(|| worker.run());
            }
            let calls: Vec<AtomicUsize> = (0..500).map(|_| AtomicUsize::new(0)).collect();
            pool.run(calls.len(), |i| {
                calls[i].fetch_add(1, Relaxed);
            });
            assert!(calls.iter().all(|c| c.load(Relaxed) == 1), "{running} run");
            drop(pool);
        });
    }
}

#[test]
fn chunks_are_those_of_chunks_mut() {
    let pool = pool(3);
    for len in [0, 1, 5, 100] {
        let mut items = vec![0; len];
        pool.chunks_mut(&mut items, 7, |i, chunk| chunk.iter_mut().for_each(|x| *x = i));
        let expected: Vec<usize> = (0..len).map(|at| at / 7).collect();
        assert_eq!(items, expected);
    }
}

#[test]
fn a_panic_reaches_the_caller_after_the_other_tasks_and_the_pool_works_on() {
    let pool = pool(4);
    let done = AtomicUsize::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.run(100, |i| {
            if i % 10 == 3 {
                panic!("task {i}");
            }
            done.fetch_add(1, Relaxed);
        });
    }));
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("task "), "{message}");
    assert_eq!(done.load(Relaxed), 90);
    pool.run(10, |_| {
        done.fetch_add(1, Relaxed);
    });
    assert_eq!(done.load(Relaxed), 100);
}

#[test]
fn a_loop_inside_a_task_and_loops_of_two_callers_run() {
    let pool = pool(3);
    let sum = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(4, |_| pool.run(5, |j| _ = sum.fetch_add(j, Relaxed)));
                }
            });
        }
    });
    assert_eq!(sum.load(Relaxed), 2 * 200 * 4 * 10);
}

#[test]
fn many_loops_on_more_threads_than_cores_end_soon() {
    let pool = pool(8);
    let start = Instant::now();
    let sum = AtomicUsize::new(0);
    for _ in 0..20_000 {
        pool.run(8, |i| _ = sum.fetch_add(i, Relaxed));
    }
    assert_eq!(sum.load(Relaxed), 20_000 * 28);
    // About 2 us each when alone; the bound only catches a collapse.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn threads_that_rest_take_no_task_until_they_are_asked_to() {
    let pool = pool(4);
    let names = || {
        let names = Mutex::new(std::collections::BTreeSet::new());
        for _ in 0..50 {
            pool.run(64, |_| {
                thread::sleep(Duration::from_micros(20));
                lock(&names).insert(thread::current().name().unwrap_or("").to_owned());
            });
        }
        names.into_inner().unwrap()
    };
    let set = |threads| pool.set_threads(NonZeroUsize::new(threads).unwrap());
    set(2);
    // Workers that were about to enter the first loop.
    names();
    assert!(names().iter().all(|name| name != "quintile-2" && name != "quintile-3"));
    set(1);
    let loops = pool.loops();
    assert_eq!(names().len(), 1);
    assert_eq!(pool.loops(), loops);
    set(9);
    assert_eq!(pool.threads(), 4);
    // However busy the machine is, each gets a task at some time.
    assert!((0..500).any(|_| names().len() == 4));
}

#[test]
fn threads_beyond_the_processors_rest() {
    let [two, five] = [2, 5].map(|n| NonZeroUsize::new(n).unwrap());
    let pool = Pool::on_processors(five, two).unwrap();
    assert_eq!((pool.threads(), pool.active()), (5, 2));
    pool.set_threads(NonZeroUsize::MIN);
    assert_eq!((pool.threads(), pool.active()), (1, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_pool_burns_no_processor_time() {
    let pool = pool(4);
    // Of this pool's workers alone: other tests run on other threads of this process.
    let count = || -> (usize, u64) {
        let (mut workers, mut ticks) = (0, 0);
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            if let Some((name, rest)) = stat.unwrap_or_default().rsplit_once(") ")
                && name.contains("(idle-")
            {
                let fields: Vec<&str> = rest.split(' ').collect();
                ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
                workers += 1;
            }
        }
        (workers, ticks)
    };
    pool.run(64, |_| {
        if thread::current().name().is_some_and(|n| n.starts_with("quintile-")) {
            // SAFETY: `gettid` and `prctl(PR_SET_NAME)` with a terminated string of 8 bytes.
            unsafe { libc::prctl(libc::PR_SET_NAME, c"idle-".as_ptr()) };
        }
        thread::sleep(Duration::from_millis(1));
    });
    thread::sleep(Duration::from_millis(50));
    let (workers, before) = count();
    assert!(workers > 0);
    thread::sleep(Duration::from_millis(400));
    // A tick is 10 ms; spinning workers would use 40 each.
    assert!(count().1 - before <= 2);
}

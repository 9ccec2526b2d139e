//! stub
use std::num::NonZeroUsize;
/// stub
pub struct Pool(usize);
impl Pool {
    /// stub
    pub fn new(t: NonZeroUsize) -> std::io::Result<Pool> {
        Ok(Pool(t.get()))
    }
    /// stub
    pub fn threads(&self) -> usize {
        self.0
    }
    /// stub
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.0 == 1 {
            for i in 0..tasks {
                task(i)
            }
            return;
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || loop {
            let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if i >= tasks {
                break;
            }
            task(i)
        };
        std::thread::scope(|s| {
            for _ in 1..self.0 {
                s.spawn(&work);
            }
            work();
        });
    }
    /// stub
    pub fn chunks_mut<T: Send>(
        &self,
        items: &mut [T],
        chunk: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        for (i, c) in items.chunks_mut(chunk).enumerate() {
            f(i, c)
        }
    }
}

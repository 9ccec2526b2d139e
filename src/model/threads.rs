//! The pool as threads of products of matrices.

use super::Pool;
use crate::matmul::f32::Threads;

// SAFETY: tasks are claimed from a cursor, and `Pool::run` waits for them.
unsafe impl Threads for Pool {
    fn count(&self) -> usize {
        self.threads()
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        Pool::run(self, tasks, task);
    }
}

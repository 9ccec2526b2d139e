//! Slices between pages that cannot be touched.

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::slice;

/// Where a slice lies between its guard pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its first byte is the first after a guard page.
    Start,
    /// Its last byte is the last before one.
    End,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Start, Side::End];
}

/// What lies around a slice where no guard page is.
const CANARY: u8 = 0xa5;

/// Plain numbers: any bytes are a value, and there is no padding.
///
/// # Safety
/// As it says.
pub unsafe trait Plain: Copy {}
// SAFETY: numbers, and structs of numbers without padding (of which the crate asserts the size).
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for half::f16 {}
// SAFETY: as above.
unsafe impl Plain for half::bf16 {}
// SAFETY: as above.
unsafe impl Plain for [f32; 2] {}
// SAFETY: as above.
unsafe impl Plain for quintile::formats::ActBlock {}
// SAFETY: as above.
unsafe impl Plain for quintile::kernels::sgemm::Line {}

/// Room for a slice, with a page before it and one behind it that fault when they are touched.
pub struct Buffer<T> {
    /// The first page after the guard.
    room: *mut u8,
    bytes: usize,
    page: usize,
    /// The slice: offset and length in bytes.
    at: (usize, usize),
    of: PhantomData<T>,
}

impl<T: Plain> Buffer<T> {
    /// Room for at most `len` elements.
    pub fn new(len: usize) -> Buffer<T> {
        // SAFETY: a question.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let bytes = (len * size_of::<T>()).next_multiple_of(page).max(page);
        // SAFETY: a new mapping at no given place.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            libc::mmap(ptr::null_mut(), bytes + 2 * page, libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(base, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        // SAFETY: inside the mapping.
        let room = unsafe { base.cast::<u8>().add(page) };
        Buffer { room, bytes, page, at: (0, 0), of: PhantomData }
    }

    fn protect(&mut self, protection: libc::c_int) {
        // SAFETY: the pages between the guards, which this owns.
        let done = unsafe { libc::mprotect(self.room.cast(), self.bytes, protection) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
    }

    fn put(&mut self, side: Side, values: &[T]) {
        let len = size_of_val(values);
        assert!(len <= self.bytes);
        self.protect(libc::PROT_READ | libc::PROT_WRITE);
        self.at = (if side == Side::Start { 0 } else { self.bytes - len }, len);
        // SAFETY: the room can be written, and the slice lies in it.
        unsafe {
            self.room.write_bytes(CANARY, self.bytes);
            self.room.add(self.at.0).copy_from_nonoverlapping(values.as_ptr().cast(), len);
        }
    }

    /// The values, where a write faults as well.
    pub fn input(&mut self, side: Side, values: &[T]) -> &[T] {
        self.put(side, values);
        self.protect(libc::PROT_READ);
        self.values()
    }

    /// The values, to be written.
    pub fn output(&mut self, side: Side, values: &[T]) -> &mut [T] {
        self.put(side, values);
        let len = self.at.1 / size_of::<T>();
        // SAFETY: as in `values`; the borrow is unique.
        unsafe { slice::from_raw_parts_mut(self.room.add(self.at.0).cast(), len) }
    }

    fn values(&self) -> &[T] {
        // SAFETY: `put` wrote that many elements there. They are aligned, as pages are, and as the size of a type
        // is a multiple of its alignment.
        unsafe {
            slice::from_raw_parts(self.room.add(self.at.0).cast(), self.at.1 / size_of::<T>())
        }
    }

    /// The values, and that nothing around them was written.
    pub fn written(&self) -> &[T] {
        // SAFETY: the room can be read.
        let room = unsafe { slice::from_raw_parts(self.room, self.bytes) };
        let (start, end) = (self.at.0, self.at.0 + self.at.1);
        let intact = |bytes: &[u8]| bytes.iter().all(|&byte| byte == CANARY);
        assert!(intact(&room[..start]), "written before the output");
        assert!(intact(&room[end..]), "written behind the output");
        self.values()
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, guards included.
        unsafe { libc::munmap(self.room.sub(self.page).cast(), self.bytes + 2 * self.page) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether touching a byte ends a process.
    fn faults(touch: impl Fn()) -> bool {
        // SAFETY: the child does nothing but touch memory and end.
        unsafe {
            let child = libc::fork();
            assert!(child >= 0);
            if child == 0 {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                touch();
                libc::_exit(0);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            libc::WIFSIGNALED(status)
        }
    }

    #[test]
    fn a_byte_beyond_either_guard_faults_and_none_inside_does() {
        let mut buffer = Buffer::<u8>::new(10);
        for side in Side::BOTH {
            let first = buffer.input(side, &[7; 10]).as_ptr();
            let read = |offset: isize| {
                // SAFETY: none: this is what is to fault.
                faults(|| unsafe { _ = first.wrapping_offset(offset).read_volatile() })
            };
            assert_eq!(
                [read(-1), read(0), read(9), read(10)],
                match side {
                    Side::Start => [true, false, false, false],
                    Side::End => [false, false, false, true],
                }
            );
            // SAFETY: as above.
            assert!(faults(|| unsafe { first.cast_mut().write_volatile(1) }), "inputs are written");
        }
    }

    #[test]
    #[should_panic(expected = "written behind the output")]
    fn a_write_behind_an_output_is_seen() {
        let mut buffer = Buffer::<u8>::new(10);
        let end = buffer.output(Side::Start, &[7; 10]).as_mut_ptr_range().end;
        // SAFETY: a canary, inside the room.
        unsafe { end.write(1) };
        buffer.written();
    }

    #[test]
    #[should_panic(expected = "written before the output")]
    fn a_write_before_an_output_is_seen() {
        let mut buffer = Buffer::<u8>::new(10);
        let start = buffer.output(Side::End, &[7; 10]).as_mut_ptr();
        // SAFETY: a canary, inside the room.
        unsafe { start.sub(1).write(1) };
        buffer.written();
    }
}

//! What the process does with memory that it no longer needs, and how it gets some.

use core::mem::MaybeUninit;

use rayon::prelude::*;

/// Zeros that a thread writes at a time; no more are written by the one that asks.
const GRAIN: usize = 1 << 16;

/// Asks the allocator to keep freed memory for the next use instead of giving it back to the system.
///
/// A training step allocates and frees the same large maps again and again, and memory that is fresh
/// from the system costs a page fault for every 4 KiB: a quarter of a step of PixelRNN. Call it once, at
/// the start of a program that trains. It does nothing where the C library is not glibc.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: both settings may be changed at any time; an unknown one is refused.
        unsafe {
            // Large blocks from the heap too: a mapping of its own goes back when it is freed.
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        }
    }
}

/// Zeros, written by all threads where there are many: a buffer of a step is as large as a cache, and its zeros would be
/// all that one thread does meanwhile.
pub(crate) fn zeros<E: Copy + Default + Send + Sync>(len: usize) -> Vec<E> {
    if len <= GRAIN {
        return vec![E::default(); len];
    }
    let mut out = Vec::with_capacity(len);
    let zero = MaybeUninit::new(E::default());
    out.spare_capacity_mut()[..len].par_chunks_mut(GRAIN).for_each(|part| part.fill(zero));
    // SAFETY: so many have been written.
    unsafe { out.set_len(len) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_whatever_was_there() {
        for len in [0, 1, GRAIN, GRAIN + 1, 5 * GRAIN + 3] {
            drop(vec![7.0_f32; len]);
            let zeros = zeros::<f32>(len);
            assert!(zeros.len() == len && zeros.iter().all(|x| x.to_bits() == 0));
        }
    }
}

//! Which order of summation should the contract fix for formats with blocks of 32 (Q8_0, Q4_0)?
//! `cargo bench --bench block32_order` (x86-64 with AVX2, FMA and F16C; elsewhere it says so and ends.)
//!
//! The integer sum `isum[b]` of a block is exact, so only the few float operations on it need an order.
//! With `s[b] = d[b]·dx[b]`, rounded, the candidates are:
//!
//! ```text
//! chain   acc = fma(s[b], isum[b], acc)                            for each block in order
//! tree    p[b] = s[b]·isum[b]                                      for each eight blocks in order:
//!         acc = acc + (((p0+p1)+(p2+p3)) + ((p4+p5)+(p6+p7)))
//! lanes   lane[b % 8] = fma(s[b], isum[b], lane[b % 8])            for each block in order; then
//!         ((l0+l1)+(l2+l3)) + ((l4+l5)+(l6+l7))
//! ```
//!
//! Two loops decide. The *row dot* holds one block in one register, so that its sum lies across the
//! lanes: there a chain waits four cycles a block. In the *GEMM* micro-kernel eight rows are
//! interleaved and a lane is a row: there a chain is free, a tree costs one more operation a block and
//! column, and eight lanes do not fit the registers.
//!
//! Every variant first proves that it has the bits of [`scalar`](variants::scalar). Then the variants
//! take turns in 15 rounds, each round begun by another. Times are medians, ratios the medians of the
//! rounds' ratios. `cargo test --benches` only compares the bits.
//!
//! Tried for the tree's row dot: reducing four groups with one tree of `vhaddps`. It took 0.78 of the
//! chain's time instead of 0.84, where lanes took 0.69 to 0.74 (Xeon, family 6 model 207).

#[cfg(target_arch = "x86_64")]
mod filter;

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("block32_order: the variants are written for x86-64 only");
}

#[cfg(target_arch = "x86_64")]
fn main() {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("f16c")) {
        println!("block32_order: this CPU lacks AVX2, FMA or F16C");
        return;
    }
    let measure = std::env::args().any(|arg| arg == "--bench");
    let formats = ["Q8_0", "Q4_0"].map(|name| filter::wants(&format!("block32_order {name}")));
    if measure && formats.contains(&true) {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name"));
        println!("CPU{}", name.unwrap_or(": not named by /proc/cpuinfo"));
        println!("{:<12}{:<7}{:>12}{:>10}{:>10}", "kernel", "order", "ns", "GMAC/s", "to chain");
    }
    if formats[0] {
        variants::compare::<{ variants::Q8_0 }>("Q8_0", measure);
    }
    if formats[1] {
        variants::compare::<{ variants::Q4_0 }>("Q4_0", measure);
    }
}

#[cfg(target_arch = "x86_64")]
mod variants {
    use core::arch::x86_64::*;
    use std::hint::black_box;
    use std::time::Instant;

    use half::f16;
    use quintile::formats::ActBlock;

    /// Formats by the bytes of quants in a block.
    pub const Q8_0: usize = 32;
    pub const Q4_0: usize = 16;

    /// The orders, as const generics: an enum cannot be one yet.
    const CHAIN: u8 = 0;
    const TREE: u8 = 1;
    const LANES: u8 = 2;
    const ORDERS: [&str; 3] = ["chain", "tree", "lanes"];

    const ROUNDS: usize = 15;
    /// One row and one column of so many values: first-level cache.
    const ROW_K: usize = 4096;
    /// The GEMM streams `GROUPS * 8` packed rows (Q8_0: 1.1 MB, Q4_0: 0.6 MB) from the second level.
    const GEMM_K: usize = 2048;
    const GROUPS: usize = 64;
    const COLUMNS: usize = 4;

    /// A block as the file stores it: an f16 scale, then `Q` bytes of quants.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Block<const Q: usize> {
        d: u16,
        qs: [u8; Q],
    }

    impl<const Q: usize> Block<Q> {
        fn quant(&self, i: usize) -> i32 {
            match Q {
                Q8_0 => i32::from(self.qs[i] as i8),
                _ if i < 16 => i32::from(self.qs[i] & 15) - 8,
                _ => i32::from(self.qs[i - 16] >> 4) - 8,
            }
        }
    }

    /// One block of each of eight rows: `qs[4 * s + j]` holds bytes `4 * s` to `4 * s + 3` of the rows
    /// `2 * j` and `2 * j + 1`, so that 32 consecutive bytes are one step of four bytes of every row.
    #[repr(C)]
    struct Packed<const Q: usize> {
        d: [u16; 8],
        qs: [[u8; 8]; Q],
    }

    fn pack<const Q: usize>(rows: [&[Block<Q>]; 8]) -> Vec<Packed<Q>> {
        let interleave = |b: usize| {
            let mut packed = Packed { d: rows.map(|row| row[b].d), qs: [[0; 8]; Q] };
            for (r, row) in rows.iter().enumerate() {
                for (i, &q) in row[b].qs.iter().enumerate() {
                    packed.qs[i / 4 * 4 + r / 2][r % 2 * 4 + i % 4] = q;
                }
            }
            packed
        };
        (0..rows[0].len()).map(interleave).collect()
    }

    /// The orders, stated: what every variant below must equal to the bit.
    fn scalar<const Q: usize>(order: u8, row: &[Block<Q>], x: &[ActBlock]) -> f32 {
        let tree = |p: [f32; 8]| ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
        let (mut acc, mut lane) = (0.0_f32, [0.0_f32; 8]);
        for (blocks, x) in row.chunks_exact(8).zip(x) {
            let mut p = [0.0; 8];
            for (b, block) in blocks.iter().enumerate() {
                let isum: i32 = (0..32).map(|i| block.quant(i) * i32::from(x.qs[32 * b + i])).sum();
                let s = f16::from_bits(block.d).to_f32() * x.d[b];
                match order {
                    CHAIN => acc = s.mul_add(isum as f32, acc),
                    TREE => p[b] = s * isum as f32,
                    _ => lane[b] = s.mul_add(isum as f32, lane[b]),
                }
            }
            if order == TREE {
                acc += tree(p);
            }
        }
        if order == LANES { tree(lane) } else { acc }
    }

    /// Eight consecutive blocks of a row times a column: the lane of a block has its `s` and `isum`.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn group<const Q: usize>(w: &[Block<Q>; 8], x: &ActBlock) -> (__m256, __m256) {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); 8];
        for b in 0..8 {
            // SAFETY: `qs` of a block holds `Q` bytes, 32 for Q8_0 and 16 otherwise; `b < 8`, so the 32
            // activations lie in `x.qs`.
            let (w, x) = unsafe {
                let qs = w[b].qs.as_ptr();
                let w = if Q == Q8_0 {
                    _mm256_loadu_si256(qs.cast())
                } else {
                    let bytes = _mm_loadu_si128(qs.cast());
                    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
                    _mm256_and_si256(both, _mm256_set1_epi8(15))
                };
                (w, _mm256_load_si256(x.qs.as_ptr().add(32 * b).cast()))
            };
            let pairs = if Q == Q8_0 {
                _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
            } else {
                _mm256_maddubs_epi16(w, x)
            };
            sums[b] = _mm256_madd_epi16(pairs, ones);
        }
        let quad = |v: &[__m256i]| {
            _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]))
        };
        let (low, high) = (quad(&sums[..4]), quad(&sums[4..]));
        let mut isum = _mm256_add_epi32(
            _mm256_permute2x128_si256::<0x20>(low, high),
            _mm256_permute2x128_si256::<0x31>(low, high),
        );
        if Q != Q8_0 {
            // SAFETY: `bsums` are 32 bytes, at offset 256 of a block aligned to 64.
            let bsums = unsafe { _mm256_load_si256(x.bsums.as_ptr().cast()) };
            isum = _mm256_add_epi32(isum, _mm256_madd_epi16(bsums, _mm256_set1_epi16(-8)));
        }
        let d = w.map(|w| w.d as i16);
        let d = _mm_setr_epi16(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
        // SAFETY: `d` holds eight f32.
        let dx = unsafe { _mm256_loadu_ps(x.d.as_ptr()) };
        (_mm256_mul_ps(_mm256_cvtph_ps(d), dx), _mm256_cvtepi32_ps(isum))
    }

    /// The tree of the eight lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn tree_of_lanes(p: __m256) -> f32 {
        let pairs = _mm256_hadd_ps(p, p);
        let quads = _mm256_hadd_ps(pairs, pairs);
        let high = _mm256_extractf128_ps::<1>(quads);
        _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(quads), high))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn row_dot<const ORDER: u8, const Q: usize>(row: &[Block<Q>], x: &[ActBlock]) -> f32 {
        let (mut acc, mut lanes) = (0.0_f32, _mm256_setzero_ps());
        for (w, x) in row.as_chunks::<8>().0.iter().zip(x) {
            let (s, isum) = group(w, x);
            match ORDER {
                CHAIN => {
                    let (mut factors, mut sums) = ([0.0_f32; 8], [0.0_f32; 8]);
                    // SAFETY: each array holds eight f32.
                    unsafe {
                        _mm256_storeu_ps(factors.as_mut_ptr(), s);
                        _mm256_storeu_ps(sums.as_mut_ptr(), isum);
                    }
                    for (s, isum) in factors.into_iter().zip(sums) {
                        acc = s.mul_add(isum, acc);
                    }
                }
                TREE => acc += tree_of_lanes(_mm256_mul_ps(s, isum)),
                _ => lanes = _mm256_fmadd_ps(s, isum, lanes),
            }
        }
        if ORDER == LANES { tree_of_lanes(lanes) } else { acc }
    }

    /// Block `b` of eight rows times four columns, in integers: lane `r` of vector `c` is the sum of
    /// row `r` and column `c`.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn block_sums<const Q: usize>(
        w: &Packed<Q>,
        x: [&ActBlock; COLUMNS],
        b: usize,
    ) -> [__m256i; COLUMNS] {
        assert!(b < 8);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); COLUMNS];
        // SAFETY: `s < 8` and `b < 8`: four bytes inside `qs`, which is aligned.
        let quants = |x: &ActBlock, s: usize| unsafe {
            _mm256_set1_epi32(x.qs.as_ptr().cast::<i32>().add(8 * b + s).read())
        };
        for s in 0..Q / 4 {
            // SAFETY: `qs` of a packed block are `8 * Q` bytes, and `32 * (s + 1) <= 8 * Q`.
            let bytes = unsafe { _mm256_loadu_si256(w.qs.as_ptr().cast::<__m256i>().add(s)) };
            if Q == Q8_0 {
                let magnitude = _mm256_abs_epi8(bytes);
                for (sum, x) in sums.iter_mut().zip(x) {
                    let signed = _mm256_sign_epi8(quants(x, s), bytes);
                    let pairs = _mm256_maddubs_epi16(magnitude, signed);
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            } else {
                // Eight pairs of nibbles fit i16, so these sums widen only once a block.
                let mask = _mm256_set1_epi8(15);
                let low = _mm256_and_si256(bytes, mask);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(low, quants(x, s)));
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(high, quants(x, s + 4)));
                }
            }
        }
        if Q != Q8_0 {
            for (sum, x) in sums.iter_mut().zip(x) {
                // SAFETY: `b < 8`: two of the sixteen `bsums`, which are aligned to 4.
                let bsums = unsafe { x.bsums.as_ptr().cast::<i32>().add(b).read() };
                let eights = _mm256_madd_epi16(_mm256_set1_epi32(bsums), _mm256_set1_epi16(-8));
                *sum = _mm256_add_epi32(_mm256_madd_epi16(*sum, ones), eights);
            }
        }
        sums
    }

    /// The tree of eight vectors, for each column.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn tree_of_vectors(p: &[[__m256; COLUMNS]; 8], c: usize) -> __m256 {
        let pair = |i: usize| _mm256_add_ps(p[2 * i][c], p[2 * i + 1][c]);
        _mm256_add_ps(_mm256_add_ps(pair(0), pair(1)), _mm256_add_ps(pair(2), pair(3)))
    }

    /// Eight interleaved rows times four columns.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn tile<const ORDER: u8, const Q: usize>(
        rows: &[Packed<Q>],
        x: [&[ActBlock]; COLUMNS],
    ) -> [__m256; COLUMNS] {
        let mut acc = [_mm256_setzero_ps(); COLUMNS];
        // The products of the tree, or the lanes: 32 registers, so they live in memory.
        let mut parts = [[_mm256_setzero_ps(); COLUMNS]; 8];
        let groups = rows.as_chunks::<8>().0;
        let x = x.map(|x| &x[..groups.len()]);
        for (g, blocks) in groups.iter().enumerate() {
            let x = x.map(|x| &x[g]);
            for (b, w) in blocks.iter().enumerate() {
                let sums = block_sums(w, x, b);
                // SAFETY: `d` are 16 bytes.
                let d = unsafe { _mm256_cvtph_ps(_mm_loadu_si128(w.d.as_ptr().cast())) };
                for c in 0..COLUMNS {
                    let s = _mm256_mul_ps(d, _mm256_set1_ps(x[c].d[b]));
                    let isum = _mm256_cvtepi32_ps(sums[c]);
                    match ORDER {
                        CHAIN => acc[c] = _mm256_fmadd_ps(s, isum, acc[c]),
                        TREE => parts[b][c] = _mm256_mul_ps(s, isum),
                        _ => parts[b][c] = _mm256_fmadd_ps(s, isum, parts[b][c]),
                    }
                }
            }
            if ORDER == TREE {
                for (c, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_ps(*acc, tree_of_vectors(&parts, c));
                }
            }
        }
        if ORDER == LANES {
            for (c, acc) in acc.iter_mut().enumerate() {
                *acc = tree_of_vectors(&parts, c);
            }
        }
        acc
    }

    /// The results of a group: column by column, eight rows.
    type Tile = [[f32; 8]; COLUMNS];

    #[target_feature(enable = "avx2,fma,f16c")]
    fn gemm<const ORDER: u8, const Q: usize>(
        w: &[Vec<Packed<Q>>],
        x: [&[ActBlock]; COLUMNS],
        out: &mut [Tile],
    ) {
        for (rows, out) in w.iter().zip(out) {
            for (out, v) in out.iter_mut().zip(tile::<ORDER, Q>(rows, x)) {
                // SAFETY: `out` holds eight f32.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), v) };
            }
        }
    }

    /// A linear congruential generator: the high bits of its state.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % n
        }
        /// Between 0.005 and 0.015.
        fn scale(&mut self) -> f32 {
            (500 + self.below(1000)) as f32 * 1e-5
        }
        fn row<const Q: usize>(&mut self, k: usize) -> Vec<Block<Q>> {
            let mut block = || Block {
                d: f16::from_f32(self.scale()).to_bits(),
                qs: [(); Q].map(|()| self.below(256) as u8),
            };
            (0..k / 32).map(|_| block()).collect()
        }
        fn column(&mut self, k: usize) -> Vec<ActBlock> {
            let mut block = || {
                let qs = [(); 256].map(|()| (self.below(255) as i32 - 127) as i8);
                let mut bsums = [0; 16];
                for (sum, qs) in bsums.iter_mut().zip(qs.chunks_exact(16)) {
                    *sum = qs.iter().copied().map(i16::from).sum();
                }
                ActBlock { qs, bsums, d: [(); 8].map(|()| self.scale()) }
            };
            (0..k / 256).map(|_| block()).collect()
        }
    }

    type Dot<const Q: usize> = unsafe fn(&[Block<Q>], &[ActBlock]) -> f32;
    type Gemm<const Q: usize> = unsafe fn(&[Vec<Packed<Q>>], [&[ActBlock]; COLUMNS], &mut [Tile]);

    /// Compares the bits of all variants of a format with [`scalar`], then times them.
    pub fn compare<const Q: usize>(format: &str, measure: bool) {
        let mut random = Random(1);
        let (row, x) = (random.row::<Q>(ROW_K), random.column(ROW_K));
        let dots: [Dot<Q>; 3] = [row_dot::<CHAIN, Q>, row_dot::<TREE, Q>, row_dot::<LANES, Q>];

        let rows: Vec<_> = (0..8 * GROUPS).map(|_| random.row::<Q>(GEMM_K)).collect();
        let columns = [(); COLUMNS].map(|()| random.column(GEMM_K));
        let columns = columns.each_ref().map(Vec::as_slice);
        let packed: Vec<_> =
            rows.chunks_exact(8).map(|rows| pack(std::array::from_fn(|r| &rows[r][..]))).collect();
        let gemms: [Gemm<Q>; 3] = [gemm::<CHAIN, Q>, gemm::<TREE, Q>, gemm::<LANES, Q>];
        let mut out = vec![Tile::default(); GROUPS];

        for (order, name) in (0..).zip(ORDERS) {
            // SAFETY: `main` checked the features.
            let dot = unsafe { dots[usize::from(order)](&row, &x) };
            let want = scalar(order, &row, &x);
            assert_eq!(dot.to_bits(), want.to_bits(), "{format} row dot, {name}: {dot}, {want}");
            // SAFETY: as above.
            unsafe { gemms[usize::from(order)](&packed, columns, &mut out[..]) };
            for (r, row) in rows.iter().enumerate() {
                for (c, x) in columns.iter().enumerate() {
                    let (got, want) = (out[r / 8][c][r % 8], scalar(order, row, x));
                    let place = format!("{format} gemm, {name}, row {r}, column {c}");
                    assert_eq!(got.to_bits(), want.to_bits(), "{place}: {got}, {want}");
                }
            }
        }
        if !measure {
            return;
        }
        // SAFETY: `main` checked the features.
        report(&format!("{format} row"), ROW_K, 4000, |order| unsafe {
            black_box(dots[order](black_box(&row), black_box(&x)));
        });
        let macs = 8 * GROUPS * COLUMNS * GEMM_K;
        // SAFETY: as above.
        report(&format!("{format} gemm"), macs, 20, |order| unsafe {
            gemms[order](black_box(&packed), black_box(columns), black_box(&mut out[..]));
        });
    }

    /// Times `run(order)` in turns, `calls` calls a turn, and prints a line for each order.
    fn report(kernel: &str, macs: usize, calls: u32, mut run: impl FnMut(usize)) {
        let mut time = |order| {
            let start = Instant::now();
            (0..calls).for_each(|_| run(order));
            start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        };
        // A fixed order could keep step with the scheduler's time slices and charge one variant.
        let mut round = |first: usize| {
            let mut ns = [0.0; 3];
            (first..first + 3).for_each(|turn| ns[turn % 3] = time(turn % 3));
            ns
        };
        round(0);
        let rounds: Vec<[f64; 3]> = (0..ROUNDS).map(round).collect();
        let median = |of: &dyn Fn(&[f64; 3]) -> f64| {
            let mut sorted: Vec<f64> = rounds.iter().map(of).collect();
            sorted.sort_by(f64::total_cmp);
            sorted[ROUNDS / 2]
        };
        for (order, name) in ORDERS.iter().enumerate() {
            let (ns, ratio) = (median(&|t| t[order]), median(&|t| t[order] / t[0]));
            let rate = macs as f64 / ns;
            println!("{kernel:<12}{name:<7}{ns:>12.0}{rate:>10.1}{ratio:>10.3}");
        }
    }
}

//! [`super::idct`] for two blocks at once with AVX2: one in each half of the registers.
//!
//! 16-bit numbers are multiplied in pairs and summed in 32 bits, so two products of a rotation cost one instruction.

use std::arch::x86_64::__m256i;

use pulp::x86::V3;

use super::idct::constants::*;
use super::idct::{BETWEEN, FRACTION, LAST, write_flat};
use super::scan::Pair;

pub(super) fn transform(simd: V3, pairs: &[Pair], ends: &[[u8; 2]], out: &mut [u8], stride: usize) {
    pulp::Simd::vectorize(simd, Rows { simd, pairs, ends, out, stride });
}

struct Rows<'a> {
    simd: V3,
    pairs: &'a [Pair],
    ends: &'a [[u8; 2]],
    out: &'a mut [u8],
    stride: usize,
}

impl pulp::NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Rows { simd, pairs, ends, out, stride } = self;
        for (at, (pair, &ends)) in pairs.iter().zip(ends).enumerate() {
            let out = &mut out[at * 16..][..stride * 7 + 16];
            if ends == [0, 0] {
                write_flat(pair, out, stride);
            } else {
                write(simd, pair, out, stride);
            }
        }
    }
}

#[inline(always)]
fn write(simd: V3, pair: &Pair, out: &mut [u8], stride: usize) {
    let mut rows = [simd.avx._mm256_setzero_si256(); 8];
    for (to, from) in rows.iter_mut().zip(pair) {
        *to = pulp::cast(*from);
    }
    let rows = lines::<{ (FRACTION - BETWEEN) as i32 }>(simd, rows);
    let columns = lines::<{ LAST as i32 }>(simd, turn(simd, rows));
    let level = simd.avx._mm256_set1_epi8(-128);
    for (two, samples) in turn_bytes(simd, columns).into_iter().enumerate() {
        let samples = simd.avx2._mm256_add_epi8(samples, level);
        let [first, second]: [[u8; 16]; 2] = pulp::cast(samples);
        out[two * 2 * stride..][..16].copy_from_slice(&first);
        out[(two * 2 + 1) * stride..][..16].copy_from_slice(&second);
    }
}

/// x·a + y·b for neighbours x, y.
#[inline(always)]
fn rotate(simd: V3, xy: [__m256i; 2], a: i32, b: i32) -> [__m256i; 2] {
    let factors = simd.avx._mm256_set1_epi32((a & 0xFFFF) | b << 16);
    [simd.avx2._mm256_madd_epi16(xy[0], factors), simd.avx2._mm256_madd_epi16(xy[1], factors)]
}

#[inline(always)]
fn zip(simd: V3, x: __m256i, y: __m256i) -> [__m256i; 2] {
    [simd.avx2._mm256_unpacklo_epi16(x, y), simd.avx2._mm256_unpackhi_epi16(x, y)]
}

#[inline(always)]
fn add(simd: V3, x: [__m256i; 2], y: [__m256i; 2]) -> [__m256i; 2] {
    [simd.avx2._mm256_add_epi32(x[0], y[0]), simd.avx2._mm256_add_epi32(x[1], y[1])]
}

#[inline(always)]
fn sub(simd: V3, x: [__m256i; 2], y: [__m256i; 2]) -> [__m256i; 2] {
    [simd.avx2._mm256_sub_epi32(x[0], y[0]), simd.avx2._mm256_sub_epi32(x[1], y[1])]
}

/// `super::idct::line` for 16 lines side by side.
#[inline(always)]
fn lines<const SHIFT: i32>(simd: V3, x: [__m256i; 8]) -> [__m256i; 8] {
    const UP: i32 = 16 - FRACTION as i32;
    let zero = simd.avx._mm256_setzero_si256();
    let half = simd.avx._mm256_set1_epi32(1 << (SHIFT - 1));
    let raised = |value: __m256i| {
        // Into the high half of 32 bits, and down to 13 fractional bits; with the ½ of rounding.
        let [low, high] = zip(simd, zero, value);
        let low = simd.avx2._mm256_srai_epi32::<UP>(low);
        let high = simd.avx2._mm256_srai_epi32::<UP>(high);
        add(simd, [low, high], [half, half])
    };
    // The even half.
    let z = zip(simd, x[2], x[6]);
    let low = rotate(simd, z, C0_541, C0_541 - C1_847);
    let high = rotate(simd, z, C0_541 + C0_765, C0_541);
    let sum = raised(simd.avx2._mm256_add_epi16(x[0], x[4]));
    let difference = raised(simd.avx2._mm256_sub_epi16(x[0], x[4]));
    let even = [
        add(simd, sum, high),
        add(simd, difference, low),
        sub(simd, difference, low),
        sub(simd, sum, high),
    ];
    // The odd half.
    let (a, b) = (simd.avx2._mm256_add_epi16(x[7], x[3]), simd.avx2._mm256_add_epi16(x[5], x[1]));
    let z = zip(simd, a, b);
    let c = rotate(simd, z, C1_175 - C1_961, C1_175);
    let d = rotate(simd, z, C1_175, C1_175 - C0_390);
    let outer = zip(simd, x[7], x[1]);
    let inner = zip(simd, x[5], x[3]);
    let odd = [
        add(simd, rotate(simd, outer, -C0_899, C1_501 - C0_899), d),
        add(simd, rotate(simd, inner, -C2_562, C3_072 - C2_562), c),
        add(simd, rotate(simd, inner, C2_053 - C2_562, -C2_562), d),
        add(simd, rotate(simd, outer, C0_298 - C0_899, -C0_899), c),
    ];
    let packed = |[low, high]: [__m256i; 2]| {
        let low = simd.avx2._mm256_srai_epi32::<SHIFT>(low);
        let high = simd.avx2._mm256_srai_epi32::<SHIFT>(high);
        simd.avx2._mm256_packs_epi32(low, high)
    };
    [
        packed(add(simd, even[0], odd[0])),
        packed(add(simd, even[1], odd[1])),
        packed(add(simd, even[2], odd[2])),
        packed(add(simd, even[3], odd[3])),
        packed(sub(simd, even[3], odd[3])),
        packed(sub(simd, even[2], odd[2])),
        packed(sub(simd, even[1], odd[1])),
        packed(sub(simd, even[0], odd[0])),
    ]
}

/// Rows to columns, in each half.
#[inline(always)]
fn turn(simd: V3, x: [__m256i; 8]) -> [__m256i; 8] {
    let lo16 = |a, b| simd.avx2._mm256_unpacklo_epi16(a, b);
    let hi16 = |a, b| simd.avx2._mm256_unpackhi_epi16(a, b);
    let lo32 = |a, b| simd.avx2._mm256_unpacklo_epi32(a, b);
    let hi32 = |a, b| simd.avx2._mm256_unpackhi_epi32(a, b);
    let lo64 = |a, b| simd.avx2._mm256_unpacklo_epi64(a, b);
    let hi64 = |a, b| simd.avx2._mm256_unpackhi_epi64(a, b);
    let (a0, a1) = (lo16(x[0], x[1]), hi16(x[0], x[1]));
    let (a2, a3) = (lo16(x[2], x[3]), hi16(x[2], x[3]));
    let (a4, a5) = (lo16(x[4], x[5]), hi16(x[4], x[5]));
    let (a6, a7) = (lo16(x[6], x[7]), hi16(x[6], x[7]));
    let (b0, b1) = (lo32(a0, a2), hi32(a0, a2));
    let (b2, b3) = (lo32(a1, a3), hi32(a1, a3));
    let (b4, b5) = (lo32(a4, a6), hi32(a4, a6));
    let (b6, b7) = (lo32(a5, a7), hi32(a5, a7));
    [
        lo64(b0, b4),
        hi64(b0, b4),
        lo64(b1, b5),
        hi64(b1, b5),
        lo64(b2, b6),
        hi64(b2, b6),
        lo64(b3, b7),
        hi64(b3, b7),
    ]
}

/// Columns to rows of bytes, clamped: two rows of both blocks, four times.
#[inline(always)]
fn turn_bytes(simd: V3, x: [__m256i; 8]) -> [__m256i; 4] {
    let pack = |a, b| simd.avx2._mm256_packs_epi16(a, b);
    let lo8 = |a, b| simd.avx2._mm256_unpacklo_epi8(a, b);
    let hi8 = |a, b| simd.avx2._mm256_unpackhi_epi8(a, b);
    let lo16 = |a, b| simd.avx2._mm256_unpacklo_epi16(a, b);
    let hi16 = |a, b| simd.avx2._mm256_unpackhi_epi16(a, b);
    let lo32 = |a, b| simd.avx2._mm256_unpacklo_epi32(a, b);
    let hi32 = |a, b| simd.avx2._mm256_unpackhi_epi32(a, b);
    let (a, b) = (pack(x[0], x[4]), pack(x[1], x[5]));
    let (c, d) = (pack(x[2], x[6]), pack(x[3], x[7]));
    let (left, right) = ([lo8(a, b), lo8(c, d)], [hi8(a, b), hi8(c, d)]);
    let (l0, l1) = (lo16(left[0], left[1]), hi16(left[0], left[1]));
    let (r0, r1) = (lo16(right[0], right[1]), hi16(right[0], right[1]));
    let rows = [lo32(l0, r0), hi32(l0, r0), lo32(l1, r1), hi32(l1, r1)];
    // Each half has two rows of its block: bring a row's halves together.
    [
        simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(rows[0]),
        simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(rows[1]),
        simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(rows[2]),
        simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(rows[3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::idct::transform_plainly;
    use super::*;
    use crate::random::{Stream, at, below};

    #[test]
    fn both_transforms_give_the_same_samples() {
        let pulp::Arch::V3(simd) = pulp::Arch::new() else { return };
        let mut rng = at(3, Stream::Init, 0, 0);
        for round in 0..2000 {
            let mut pair = [[0i16; 16]; 8];
            // Few coefficients or many, small or as large as a picture's can be.
            let range = [2, 30, 300, 1200][round % 4];
            for _ in 0..below(&mut rng, [4, 20, 120][round % 3]) {
                let (row, column) = (below(&mut rng, 8) as usize, below(&mut rng, 16) as usize);
                pair[row][column] = below(&mut rng, 2 * range + 1) as i16 - range as i16;
            }
            let ends = [[0; 2], [63; 2]][usize::from(round % 5 > 0)];
            if ends == [0; 2] {
                let flat = [pair[0][0], pair[0][8]];
                pair = [[0; 16]; 8];
                [pair[0][0], pair[0][8]] = flat;
            }
            let (mut fast, mut plain, mut full) = ([0; 16 * 8], [0; 16 * 8], [0; 16 * 8]);
            transform(simd, &[pair], &[ends], &mut fast, 16);
            transform_plainly(&[pair], &[ends], &mut plain, 16);
            transform_plainly(&[pair], &[[63; 2]], &mut full, 16);
            assert_eq!(fast, plain, "{pair:?}");
            assert_eq!(fast, full, "{pair:?}");
        }
    }
}

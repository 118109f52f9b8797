//! The inverse cosine transform, to the bits of libjpeg's accurate whole-number one ("islow"): after Loeffler, Ligtenberg
//! and Moschytz (1989), constants of 13 fractional bits, columns first, rounded to 2 fractional bits between the passes.

use super::scan::Pair;

/// Fractional bits of the constants.
pub(super) const FRACTION: u32 = 13;
/// Fractional bits kept between the two passes.
pub(super) const BETWEEN: u32 = 2;
/// The second pass also divides by 8.
pub(super) const LAST: u32 = FRACTION + BETWEEN + 3;

/// The constants, by their value × 2¹³.
pub(super) mod constants {
    pub(in super::super) const C0_298: i32 = 2446;
    pub(in super::super) const C0_390: i32 = 3196;
    pub(in super::super) const C0_541: i32 = 4433;
    pub(in super::super) const C0_765: i32 = 6270;
    pub(in super::super) const C0_899: i32 = 7373;
    pub(in super::super) const C1_175: i32 = 9633;
    pub(in super::super) const C1_501: i32 = 12299;
    pub(in super::super) const C1_847: i32 = 15137;
    pub(in super::super) const C1_961: i32 = 16069;
    pub(in super::super) const C2_053: i32 = 16819;
    pub(in super::super) const C2_562: i32 = 20995;
    pub(in super::super) const C3_072: i32 = 25172;
}

/// Samples of a row of pairs; `out` is its 8 rows of `stride` bytes, 16 for each pair.
pub(super) fn transform(pairs: &[Pair], ends: &[[u8; 2]], out: &mut [u8], stride: usize) {
    assert!(pairs.len() == ends.len() && stride >= pairs.len() * 16 && out.len() >= stride * 8);
    #[cfg(target_arch = "x86_64")]
    if let pulp::Arch::V3(simd) = pulp::Arch::new() {
        return super::idct_avx2::transform(simd, pairs, ends, out, stride);
    }
    transform_plainly(pairs, ends, out, stride);
}

/// On any machine.
pub(super) fn transform_plainly(pairs: &[Pair], ends: &[[u8; 2]], out: &mut [u8], stride: usize) {
    for (at, (pair, &ends)) in pairs.iter().zip(ends).enumerate() {
        let out = &mut out[at * 16..];
        if ends == [0, 0] {
            write_flat(pair, out, stride);
            continue;
        }
        for half in 0..2 {
            let samples = block(|row, column| i32::from(pair[row][half * 8 + column]));
            for (row, samples) in samples.iter().enumerate() {
                out[row * stride + half * 8..][..8].copy_from_slice(samples);
            }
        }
    }
}

/// Two blocks that have nothing but their mean.
#[inline(always)]
pub(super) fn write_flat(pair: &Pair, out: &mut [u8], stride: usize) {
    let value = |half: usize| sample((i32::from(pair[0][half * 8]) + 4) >> 3);
    let mut row = [value(0); 16];
    row[8..].fill(value(1));
    for at in 0..8 {
        out[at * stride..][..16].copy_from_slice(&row);
    }
}

fn block(coefficient: impl Fn(usize, usize) -> i32) -> [[u8; 8]; 8] {
    let mut columns = [[0; 8]; 8];
    for (x, column) in columns.iter_mut().enumerate() {
        *column = line([0, 1, 2, 3, 4, 5, 6, 7].map(|y| coefficient(y, x)), FRACTION - BETWEEN);
    }
    let mut samples = [[0; 8]; 8];
    for (y, row) in samples.iter_mut().enumerate() {
        *row = line(columns.map(|column| column[y]), LAST).map(sample);
    }
    samples
}

/// Levels are stored around 0.
fn sample(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// Eight samples of one row or column, rounded by `shift` bits.
fn line(x: [i32; 8], shift: u32) -> [i32; 8] {
    use constants::*;
    // The even half.
    let z = (x[2] + x[6]) * C0_541;
    let (low, high) = (z - x[6] * C1_847, z + x[2] * C0_765);
    let (sum, difference) = ((x[0] + x[4]) << FRACTION, (x[0] - x[4]) << FRACTION);
    let even = [sum + high, difference + low, difference - low, sum - high];
    // The odd half.
    let z = (x[7] + x[3] + x[5] + x[1]) * C1_175;
    let (a, b) = ((x[7] + x[1]) * -C0_899, (x[5] + x[3]) * -C2_562);
    let (c, d) = (z + (x[7] + x[3]) * -C1_961, z + (x[5] + x[1]) * -C0_390);
    let odd = [
        x[1] * C1_501 + a + d,
        x[3] * C3_072 + b + c,
        x[5] * C2_053 + b + d,
        x[7] * C0_298 + a + c,
    ];
    let round = |value: i32| (value + (1 << (shift - 1))) >> shift;
    let mut out = [0; 8];
    for k in 0..4 {
        out[k] = round(even[k] + odd[k]);
        out[7 - k] = round(even[k] - odd[k]);
    }
    out
}

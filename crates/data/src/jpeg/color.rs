//! Components to RGB.
//!
//! YCbCr to the bits of libjpeg: BT.601 at full range, in 16 fractional bits.
//!
//! R = Y + 1.402 Cr, G = Y − 0.34414 Cb − 0.71414 Cr, B = Y + 1.772 Cb, with Cb and Cr around 0; what is added to Y is
//! rounded to a whole level first.
//!
//! Inks to the bits of Pillow, which takes all CMYK files to be stored inverted, as Adobe does: with ink c and light k left
//! by black, R = k − c·k/255. Of YCCK, the colours from YCbCr are the inks.

const CR_TO_R: i32 = 91881;
const CB_TO_G: i32 = -22554;
const CR_TO_G: i32 = -46802;
const CB_TO_B: i32 = 116130;
const HALF: i32 = 1 << 15;

/// Pixels that are computed side by side.
const LANES: usize = 32;

/// A row of pixels; `out` is three times as long as each of the others.
#[inline(always)]
pub(super) fn write_ycbcr(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let (to, to_rest) = out.as_chunks_mut::<{ LANES * 3 }>();
    let ((y, y_rest), (cb, cb_rest), (cr, cr_rest)) =
        (y.as_chunks::<LANES>(), cb.as_chunks::<LANES>(), cr.as_chunks::<LANES>());
    for (((to, y), cb), cr) in to.iter_mut().zip(y).zip(cb).zip(cr) {
        *to = interleave(&rgb(y, cb, cr));
    }
    let count = y_rest.len();
    if count > 0 {
        let mut padded = [[0; LANES]; 3];
        for (to, from) in padded.iter_mut().zip([y_rest, cb_rest, cr_rest]) {
            to[..count].copy_from_slice(&from[..count]);
        }
        let rest = interleave(&rgb(&padded[0], &padded[1], &padded[2]));
        to_rest.copy_from_slice(&rest[..count * 3]);
    }
}

#[inline(always)]
fn rgb(y: &[u8; LANES], cb: &[u8; LANES], cr: &[u8; LANES]) -> [[u8; LANES]; 3] {
    let mut out = [[0; LANES]; 3];
    for at in 0..LANES {
        let (y, cb, cr) = (i32::from(y[at]), i32::from(cb[at]) - 128, i32::from(cr[at]) - 128);
        out[0][at] = (y + ((CR_TO_R * cr + HALF) >> 16)).clamp(0, 255) as u8;
        out[1][at] = (y + ((CB_TO_G * cb + CR_TO_G * cr + HALF) >> 16)).clamp(0, 255) as u8;
        out[2][at] = (y + ((CB_TO_B * cb + HALF) >> 16)).clamp(0, 255) as u8;
    }
    out
}

#[inline(always)]
fn interleave(planes: &[[u8; LANES]; 3]) -> [u8; LANES * 3] {
    let mut out = [0; LANES * 3];
    for at in 0..LANES {
        for (channel, plane) in planes.iter().enumerate() {
            out[at * 3 + channel] = plane[at];
        }
    }
    out
}

/// A row of pixels whose components are red, green and blue; or three times the same grey.
#[inline(always)]
pub(super) fn write_rgb(r: &[u8], g: &[u8], b: &[u8], out: &mut [u8]) {
    let (to, _) = out.as_chunks_mut::<3>();
    for (((to, &r), &g), &b) in to.iter_mut().zip(r).zip(g).zip(b) {
        *to = [r, g, b];
    }
}

/// What is stored inverted.
#[inline(always)]
pub(super) fn invert(values: &mut [u8]) {
    values.iter_mut().for_each(|value| *value = 255 - *value);
}

/// From the inks cyan, magenta and yellow in `out`, and the light that black leaves.
#[inline(always)]
pub(super) fn inks_to_rgb(light: &[u8], out: &mut [u8]) {
    let (to, _) = out.as_chunks_mut::<3>();
    for (to, &light) in to.iter_mut().zip(light) {
        *to = to.map(|ink| {
            let product = u32::from(ink) * u32::from(light) + 128;
            light - ((product + (product >> 8)) >> 8) as u8
        });
    }
}

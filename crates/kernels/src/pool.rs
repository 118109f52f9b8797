//! Pooling: the maximum or the mean over windows, with PyTorch's rules for padding and for windows
//! that overhang (`ceil_mode`), and the mean over whole images.
//!
//! Backward passes gather: each row of the input adds up what its windows send it, in order.

use std::ops::Range;

use crate::check;
use crate::element::{self, Element};
use crate::isa::{Isa, vectorised};
use crate::output::Output;
use crate::parallel;
use crate::scratch::Slot;

/// The dims of a pool over windows; `x` is `[n, h, w, c]`, `y` is `[n, out_h, out_w, c]`, pairs are
/// `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool2d {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    /// Whether a last window that overhangs the padded image counts.
    pub ceil_mode: bool,
    /// Whether a mean divides by the window's size with padding or without. A maximum ignores it.
    pub count_include_pad: bool,
}

impl Pool2d {
    fn out_extent(&self, input: usize, axis: usize) -> usize {
        let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
        assert!(kernel > 0 && stride > 0, "pool: kernel and stride must be positive: {self:?}");
        assert!(2 * padding <= kernel, "pool: padding is over half of the kernel: {self:?}");
        // With `ceil_mode` the last window may overhang by all of a stride but one.
        let overhang = if self.ceil_mode { stride - 1 } else { 0 };
        let reach = input + 2 * padding + overhang;
        assert!(reach >= kernel, "pool: kernel over padded image: {self:?}");
        let out = (reach - kernel) / stride + 1;
        // The last window must start inside the image or its left padding.
        if self.ceil_mode && (out - 1) * stride >= input + padding { out - 1 } else { out }
    }

    /// Height of the output.
    pub fn out_h(&self) -> usize {
        self.out_extent(self.h, 0)
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        self.out_extent(self.w, 1)
    }

    /// Length of `x`.
    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Length of `y`.
    pub fn y_len(&self) -> usize {
        self.n * self.out_h() * self.out_w() * self.c
    }

    #[track_caller]
    fn check(&self, operation: &str, x: usize, y: usize) {
        check::length(operation, "x", x, self.x_len());
        check::length(operation, "y", y, self.y_len());
    }

    fn extent(&self, axis: usize) -> usize {
        [self.h, self.w][axis]
    }

    /// The part of window `out` that is inside the image.
    pub(crate) fn window(&self, axis: usize, out: usize) -> Range<usize> {
        let start = out * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.padding[axis]);
        start.saturating_sub(self.padding[axis])..end.min(self.extent(axis))
    }

    /// The extent of window `out` inside the padded image.
    pub(crate) fn padded_window(&self, axis: usize, out: usize) -> usize {
        let start = out * self.stride[axis];
        let end = (start + self.kernel[axis]).min(self.extent(axis) + 2 * self.padding[axis]);
        end - start
    }

    /// Some lines of one of the images.
    fn lines<'a, E>(&self, x: &'a [E], image: usize, lines: Range<usize>) -> &'a [E] {
        let line = self.w * self.c;
        &x[(image * self.h + lines.start) * line..][..lines.len() * line]
    }

    /// The windows that contain position `at`.
    fn windows_over(&self, axis: usize, at: usize, out: usize) -> Range<usize> {
        let padded = at + self.padding[axis];
        let first = (padded + 1).saturating_sub(self.kernel[axis]).div_ceil(self.stride[axis]);
        first..(padded / self.stride[axis] + 1).min(out)
    }

    /// What a mean over the window at `(oy, ox)` divides by.
    pub(crate) fn divisor(&self, oy: usize, ox: usize) -> usize {
        if self.count_include_pad {
            self.padded_window(0, oy) * self.padded_window(1, ox)
        } else {
            self.window(0, oy).len() * self.window(1, ox).len()
        }
    }

    #[track_caller]
    pub(crate) fn check_argmax(&self, operation: &str, argmax: usize) {
        assert!(
            self.kernel[0] * self.kernel[1] <= 256,
            "{operation}: a window of {:?} has places that do not fit a byte",
            self.kernel
        );
        check::length(operation, "argmax", argmax, self.y_len());
    }
}

/// Channels compared at once.
const BLOCK: usize = 32;

/// The maximum of each window. `argmax`, as long as `y`, receives its place in the window,
/// `ky * kw + kx`. Of equal values the first one wins, and NaN wins over all.
#[track_caller]
pub fn max_pool_forward<'a, E: Element>(
    d: &Pool2d,
    x: &[E],
    y: impl Into<Output<'a, E>>,
    argmax: &mut [u8],
) {
    let y = &mut *y.into().writer();
    d.check("max_pool_forward", x.len(), y.len());
    d.check_argmax("max_pool_forward", argmax.len());
    let (isa, out_h, row) = (Isa::current(), d.out_h(), d.out_w() * d.c);
    parallel::chunks2((y, row), (argmax, row), |index, y, argmax| {
        let lines = d.lines(x, index / out_h, d.window(0, index % out_h));
        element::read(isa, Slot::First, lines, |lines| {
            element::write(isa, Slot::Result, y, |y| {
                max_row(isa, d, lines, index % out_h, y, argmax);
            });
        });
    });
}

vectorised! {
    /// The maxima of one row of windows, from the lines of the image that they are over.
    fn max_row(d: &Pool2d, lines: &[f32], oy: usize, y: &mut [f32], argmax: &mut [u8]) {
        let rows = d.window(0, oy);
        let ky = rows.start + d.padding[0] - oy * d.stride[0];
        let pixels = y.chunks_exact_mut(d.c).zip(argmax.chunks_exact_mut(d.c));
        for (ox, (y, argmax)) in pixels.enumerate() {
            let columns = d.window(1, ox);
            let kx = columns.start + d.padding[1] - ox * d.stride[1];
            let window = Window {
                image: &lines[columns.start * d.c..],
                channels: d.c,
                pitch: d.w * d.c,
                extent: [rows.len(), columns.len()],
                first_place: (ky * d.kernel[1] + kx) as u32,
                places: d.kernel[1] as u32,
            };
            let mut channel = 0;
            while channel + BLOCK <= d.c {
                window.maximum::<BLOCK>(channel, y, argmax);
                channel += BLOCK;
            }
            while channel + 8 <= d.c {
                window.maximum::<8>(channel, y, argmax);
                channel += 8;
            }
            for channel in channel..d.c {
                window.maximum::<1>(channel, y, argmax);
            }
        }
    }
}

/// The part of a window that is inside the image.
struct Window<'a> {
    /// From its first pixel on.
    image: &'a [f32],
    channels: usize,
    /// From one row of the image to the next.
    pitch: usize,
    extent: [usize; 2],
    /// The place of its first pixel in the whole window.
    first_place: u32,
    /// Places from one row to the next.
    places: u32,
}

impl Window<'_> {
    /// The maximum for `L` channels.
    #[inline(always)]
    fn maximum<const L: usize>(&self, channel: usize, y: &mut [f32], argmax: &mut [u8]) {
        let mut best = [f32::NEG_INFINITY; L];
        // As wide as the values, so that the choice is vectorised.
        let mut chosen = [self.first_place; L];
        for row in 0..self.extent[0] {
            for column in 0..self.extent[1] {
                let at = row * self.pitch + column * self.channels + channel;
                let here = self.first_place + row as u32 * self.places + column as u32;
                let values: &[f32; L] = self.image[at..][..L].try_into().expect("L values");
                for lane in 0..L {
                    let (value, old) = (values[lane], best[lane]);
                    // Greater, or the first NaN; without branches.
                    let better = (value > old) | (value.is_nan() & !old.is_nan());
                    best[lane] = if better { value } else { old };
                    chosen[lane] = if better { here } else { chosen[lane] };
                }
            }
        }
        y[channel..][..L].copy_from_slice(&best);
        for (to, &from) in argmax[channel..][..L].iter_mut().zip(&chosen) {
            *to = from as u8;
        }
    }
}

/// Sends each `dy` to the maximum of its window.
#[track_caller]
pub fn max_pool_backward<'a, E: Element>(
    d: &Pool2d,
    argmax: &[u8],
    dy: &[E],
    dx: impl Into<Output<'a, E>>,
) {
    let dx = &mut *dx.into().writer();
    d.check("max_pool_backward", dx.len(), dy.len());
    d.check_argmax("max_pool_backward", argmax.len());
    gather(d, dy, dx, |at, place, dy, dx| {
        let argmax = &argmax[at..][..dx.len()];
        for ((dx, &chosen), &dy) in dx.iter_mut().zip(argmax).zip(dy) {
            *dx += if usize::from(chosen) == place { dy } else { 0.0 };
        }
    });
}

/// For each pixel of `dx` and each window over it, in order, calls `body(start of the window's
/// channels in y, the pixel's place in the window, the window's channels of dy, the pixel's channels)`;
/// `dx` starts at zero.
fn gather<E: Element>(
    d: &Pool2d,
    dy: &[E],
    dx: &mut [E],
    body: impl Fn(usize, usize, &[f32], &mut [f32]) + Sync,
) {
    let (isa, out_h, out_w) = (Isa::current(), d.out_h(), d.out_w());
    let line = out_w * d.c;
    parallel::chunks(dx, d.w * d.c, |index, row| {
        let (image, iy) = (index / d.h, index % d.h);
        let windows = d.windows_over(0, iy, out_h);
        let first = (image * out_h + windows.start) * line;
        let lines = &dy[first.min(dy.len())..][..windows.len() * line];
        let gather = |lines: &[f32], row: &mut [f32]| {
            row.fill(0.0);
            isa.run(|| {
                for (ix, pixel) in row.chunks_exact_mut(d.c).enumerate() {
                    for oy in windows.clone() {
                        let ky = iy + d.padding[0] - oy * d.stride[0];
                        for ox in d.windows_over(1, ix, out_w) {
                            let kx = ix + d.padding[1] - ox * d.stride[1];
                            let at = (oy - windows.start) * line + ox * d.c;
                            let dy = &lines[at..][..d.c];
                            body(first + at, ky * d.kernel[1] + kx, dy, pixel);
                        }
                    }
                }
            });
        };
        element::read(isa, Slot::First, lines, |lines| {
            element::write(isa, Slot::Result, row, |row| gather(lines, row));
        });
    });
}

/// The mean of each window.
#[track_caller]
pub fn avg_pool_forward<'a, E: Element>(d: &Pool2d, x: &[E], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    d.check("avg_pool_forward", x.len(), y.len());
    let (isa, out_h) = (Isa::current(), d.out_h());
    parallel::chunks(y, d.out_w() * d.c, |index, row| {
        let (image, oy) = (index / out_h, index % out_h);
        let rows = d.window(0, oy);
        let mean = |lines: &[f32], row: &mut [f32]| {
            row.fill(0.0);
            isa.run(|| {
                for (ox, pixel) in row.chunks_exact_mut(d.c).enumerate() {
                    for line in 0..rows.len() {
                        for ix in d.window(1, ox) {
                            let x = &lines[(line * d.w + ix) * d.c..][..d.c];
                            for (y, &x) in pixel.iter_mut().zip(x) {
                                *y += x;
                            }
                        }
                    }
                    let share = 1.0 / d.divisor(oy, ox) as f32;
                    for y in pixel {
                        *y *= share;
                    }
                }
            });
        };
        element::read(isa, Slot::First, d.lines(x, image, rows.clone()), |lines| {
            element::write(isa, Slot::Result, row, |row| mean(lines, row));
        });
    });
}

/// Spreads each `dy` over its window.
#[track_caller]
pub fn avg_pool_backward<'a, E: Element>(d: &Pool2d, dy: &[E], dx: impl Into<Output<'a, E>>) {
    let dx = &mut *dx.into().writer();
    d.check("avg_pool_backward", dx.len(), dy.len());
    let (out_h, out_w) = (d.out_h(), d.out_w());
    gather(d, dy, dx, |at, _, dy, dx| {
        let window = at / d.c;
        let share = 1.0 / d.divisor(window / out_w % out_h, window % out_w) as f32;
        for (dx, &dy) in dx.iter_mut().zip(dy) {
            *dx += dy * share;
        }
    });
}

/// The dims of a mean over whole images; `x` is `[n, hw, c]`, `y` is `[n, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlobalPool {
    pub n: usize,
    pub hw: usize,
    pub c: usize,
}

impl GlobalPool {
    #[track_caller]
    fn check(&self, operation: &str, x: usize, y: usize) {
        assert!(self.hw > 0, "{operation}: an image without pixels has no mean");
        check::length(operation, "x", x, self.n * self.hw * self.c);
        check::length(operation, "y", y, self.n * self.c);
    }
}

/// The mean of each image.
#[track_caller]
pub fn global_avg_pool_forward<'a, E: Element>(
    d: &GlobalPool,
    x: &[E],
    y: impl Into<Output<'a, f32>>,
) {
    let y = &mut *y.into().writer();
    d.check("global_avg_pool_forward", x.len(), y.len());
    let isa = Isa::current();
    let share = 1.0 / d.hw as f32;
    // The length of the pixels that are processed together.
    let together = (element::ROW / d.c.max(1)).max(1) * d.c;
    parallel::chunks(y, d.c, |image, y| {
        y.fill(0.0);
        for pixels in x[image * d.hw * d.c..][..d.hw * d.c].chunks(together) {
            element::read(isa, Slot::First, pixels, |pixels| {
                isa.run(|| {
                    for pixel in pixels.chunks_exact(d.c) {
                        for (y, &x) in y.iter_mut().zip(pixel) {
                            *y += x;
                        }
                    }
                });
            });
        }
        for y in y {
            *y *= share;
        }
    });
}

/// Spreads each `dy` over its image.
#[track_caller]
pub fn global_avg_pool_backward<'a, E: Element>(
    d: &GlobalPool,
    dy: &[f32],
    dx: impl Into<Output<'a, E>>,
) {
    let dx = &mut *dx.into().writer();
    d.check("global_avg_pool_backward", dx.len(), dy.len());
    let isa = Isa::current();
    let share = 1.0 / d.hw as f32;
    parallel::chunks(dx, d.hw * d.c, |image, dx| {
        let dy = &dy[image * d.c..][..d.c];
        let (first, rest) = dx.split_at_mut(d.c);
        element::write(isa, Slot::Result, first, |first| {
            for (dx, &dy) in first.iter_mut().zip(dy) {
                *dx = dy * share;
            }
        });
        for pixel in rest.chunks_exact_mut(d.c) {
            pixel.copy_from_slice(first);
        }
    });
}

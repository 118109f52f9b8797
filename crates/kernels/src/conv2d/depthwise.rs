//! Depthwise convolution: each channel by a filter of its own, vectorised over channels.

use super::{Conv2d, Tap, patches::input_taps, phases};
use crate::isa::{Isa, prefetch, vectorised};
use crate::parallel;
use crate::scratch::{self, Slot};

/// The weight gradient is summed in at most this many chunks of output rows.
const CHUNKS: usize = 64;

pub(super) fn forward(d: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let phases = [vec![input_taps(d)]];
    let side = Side {
        image: x,
        extent: [d.h, d.w],
        channels: d.c_in,
        out: [d.out_h(), d.out_w()],
        phases: &phases,
        step: d.stride,
    };
    side.gather(w, y);
}

pub(super) fn input_grad(d: &Conv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let mut table: Vec<Vec<Vec<Tap>>> = Vec::new();
    for phase in phases(d) {
        if phase.first[1] == 0 {
            table.push(Vec::new());
        }
        table.last_mut().expect("phases come row by row").push(phase.taps);
    }
    let side = Side {
        image: dy,
        extent: [d.out_h(), d.out_w()],
        channels: d.c_in,
        out: [d.h, d.w],
        phases: &table,
        step: [1, 1],
    };
    side.gather(w, dx);
}

/// A gathering sum: each position of `out` reads its phase's taps from an image.
struct Side<'a> {
    image: &'a [f32],
    extent: [usize; 2],
    channels: usize,
    out: [usize; 2],
    /// The taps of a position, by its coordinates modulo the number of phases.
    phases: &'a [Vec<Vec<Tap>>],
    /// How far apart neighbours of a phase read.
    step: [usize; 2],
}

impl Side<'_> {
    fn gather(&self, w: &[f32], out: &mut [f32]) {
        let isa = Isa::current();
        let (channels, taps) = (self.channels, w.len() / self.channels.max(1));
        scratch::with(Slot::Shared, w.len(), |turned| {
            transpose(w, channels, turned);
            let turned = &*turned;
            debug_assert_eq!(turned.len(), taps * channels);
            parallel::chunks(out, self.out[1] * channels, |index, row| {
                self.row(isa, index, turned, row);
            });
        });
    }

    /// One row of positions: for each phase, the taps that are inside vertically, as slices.
    fn row(&self, isa: Isa, index: usize, w: &[f32], row: &mut [f32]) {
        let (image, y) = (index / self.out[0], index % self.out[0]);
        let phases = &self.phases[y % self.phases.len()];
        let y = (y / self.phases.len() * self.step[0]) as isize;
        let pitch = self.extent[1] * self.channels;
        for (phase, taps) in phases.iter().enumerate() {
            let inside = taps.iter().filter(|tap| ((y + tap.y) as usize) < self.extent[0]);
            let reads: Vec<Read<'_>> = inside
                .map(|tap| Read {
                    line: &self.image[(image * self.extent[0] + (y + tap.y) as usize) * pitch..]
                        [..pitch],
                    weights: &w[tap.index * self.channels..][..self.channels],
                    x: tap.x,
                })
                .collect();
            let line = Line {
                channels: self.channels,
                extent: self.extent[1],
                step: self.step[1],
                phase: [phase, phases.len()],
                most: reads.iter().map(|read| read.x).max().unwrap_or(0),
            };
            sum_line(isa, &line, &reads, row);
        }
    }
}

/// A tap that reads from a line of the image.
struct Read<'a> {
    line: &'a [f32],
    weights: &'a [f32],
    /// Where it reads, relative to the position.
    x: isize,
}

/// How the positions of a row read from a line.
struct Line {
    channels: usize,
    /// Pixels of the line.
    extent: usize,
    /// Pixels of the line from one position to the next.
    step: usize,
    /// The first position, and how far on the next is.
    phase: [usize; 2],
    /// How far right a tap reads.
    most: isize,
}

/// Positions summed at once, and channels of them: eight vectors of eight lanes.
const STRIP: usize = 4;
const BLOCK: usize = 16;

vectorised! {
    /// Writes the sums of the positions of one phase.
    fn sum_line(line: &Line, reads: &[Read<'_>], row: &mut [f32]) {
        let channels = line.channels;
        let [first, stride] = line.phase;
        let count = (row.len() / channels).saturating_sub(first).div_ceil(stride);
        // From `begin` to `end`, every tap is inside the line.
        let least = reads.iter().map(|read| read.x).min().unwrap_or(0);
        let begin = ((-least).max(0) as usize).div_ceil(line.step).min(count);
        let end = ((line.extent as isize - line.most).max(0) as usize).div_ceil(line.step);
        let end = end.clamp(begin, count);
        let mut at = 0;
        while at < count {
            let inner = at >= begin && at + STRIP <= end;
            let mut channel = 0;
            if inner {
                while channel + BLOCK <= channels {
                    line.strip::<STRIP, BLOCK>(reads, at, channel, row);
                    channel += BLOCK;
                }
                while channel < channels {
                    line.strip::<STRIP, 1>(reads, at, channel, row);
                    channel += 1;
                }
                at += STRIP;
                continue;
            }
            while channel + BLOCK <= channels {
                line.single::<BLOCK>(reads, at, channel, row);
                channel += BLOCK;
            }
            while channel < channels {
                line.single::<1>(reads, at, channel, row);
                channel += 1;
            }
            at += 1;
        }
    }
}

impl Line {
    /// `S` positions from `at` on, for `C` channels; every tap is inside.
    #[inline(always)]
    fn strip<const S: usize, const C: usize>(
        &self,
        reads: &[Read<'_>],
        at: usize,
        channel: usize,
        row: &mut [f32],
    ) {
        let mut sums = [[0.0f32; C]; S];
        let apart = self.step * self.channels;
        for read in reads {
            let weights: &[f32; C] = read.weights[channel..][..C].try_into().expect("C weights");
            let start = ((at * self.step) as isize + read.x) as usize * self.channels + channel;
            let line = &read.line[start..start + (S - 1) * apart + C];
            if read.x == self.most {
                // What the next strip is the first to read.
                for position in S..2 * S {
                    prefetch(line.as_ptr().wrapping_add(position * apart));
                }
            }
            for (position, sum) in sums.iter_mut().enumerate() {
                let values: &[f32; C] = line[position * apart..][..C].try_into().expect("C values");
                for lane in 0..C {
                    sum[lane] += values[lane] * weights[lane];
                }
            }
        }
        let [first, stride] = self.phase;
        for (position, sum) in sums.iter().enumerate() {
            let place = (first + (at + position) * stride) * self.channels + channel;
            row[place..][..C].copy_from_slice(sum);
        }
    }

    /// The position `at`, for `C` channels, by those taps that are inside.
    #[inline(always)]
    fn single<const C: usize>(
        &self,
        reads: &[Read<'_>],
        at: usize,
        channel: usize,
        row: &mut [f32],
    ) {
        let mut sums = [0.0f32; C];
        for read in reads {
            let x = ((at * self.step) as isize + read.x) as usize;
            if x >= self.extent {
                continue;
            }
            let values = &read.line[x * self.channels + channel..][..C];
            let weights = &read.weights[channel..][..C];
            for lane in 0..C {
                sums[lane] += values[lane] * weights[lane];
            }
        }
        let [first, stride] = self.phase;
        row[(first + at * stride) * self.channels + channel..][..C].copy_from_slice(&sums);
    }
}

pub(super) fn weight_grad(d: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let isa = Isa::current();
    let taps = input_taps(d);
    let rows = d.n * d.out_h();
    if rows == 0 || dw.is_empty() {
        dw.fill(0.0);
        return;
    }
    let chunk = rows.div_ceil(CHUNKS);
    let chunks = rows.div_ceil(chunk);
    let length = dw.len();
    scratch::with(Slot::Partials, (chunks + 1) * length, |all| {
        let (turned, partials) = all.split_at_mut(length);
        parallel::chunks(partials, length, |index, partial| {
            partial.fill(0.0);
            for row in index * chunk..((index + 1) * chunk).min(rows) {
                weight_grad_row(isa, d, &taps, row, x, dy, partial);
            }
        });
        parallel::sum_in_order(partials, turned);
        transpose(turned, length / d.c_in, dw);
    });
}

vectorised! {
    /// Adds what one row of output positions gives, to `partial`, `[taps, channels]`.
    fn weight_grad_row(
        d: &Conv2d,
        taps: &[Tap],
        row: usize,
        x: &[f32],
        dy: &[f32],
        partial: &mut [f32],
    ) {
        let (channels, width) = (d.c_in, d.out_w());
        let (image, oy) = (row / d.out_h(), row % d.out_h());
        let dy = &dy[row * width * channels..][..width * channels];
        let mut pairs = Vec::with_capacity(taps.len());
        for tap in taps {
            let y = ((oy * d.stride[0]) as isize + tap.y) as usize;
            // The output positions whose tap is inside: 0 <= ox * stride + tap.x < w.
            let first = ((-tap.x).max(0) as usize).div_ceil(d.stride[1]);
            let last = (d.w as isize - tap.x).max(0) as usize;
            let last = last.div_ceil(d.stride[1]).min(width);
            if y < d.h && first < last {
                let start = ((first * d.stride[1]) as isize + tap.x) as usize;
                pairs.push(Pair {
                    line: &x[((image * d.h + y) * d.w + start) * channels..],
                    dy: &dy[first * channels..last * channels],
                    sums: tap.index * channels,
                });
            }
        }
        // Channels outside, taps inside: what a few channels need stays in the first-level cache.
        let apart = [channels, d.stride[1] * channels];
        let mut channel = 0;
        while channel + 32 <= channels {
            pairs.iter().for_each(|pair| pair.add_products::<32>(apart, channel, partial));
            channel += 32;
        }
        while channel + 8 <= channels {
            pairs.iter().for_each(|pair| pair.add_products::<8>(apart, channel, partial));
            channel += 8;
        }
        while channel < channels {
            pairs.iter().for_each(|pair| pair.add_products::<1>(apart, channel, partial));
            channel += 1;
        }
    }
}

/// What a tap multiplies in one row of positions.
struct Pair<'a> {
    /// The image's line, from the first position on.
    line: &'a [f32],
    dy: &'a [f32],
    /// Where the tap's sums start.
    sums: usize,
}

impl Pair<'_> {
    /// Adds up the products for `C` channels; `apart` are the floats from one position to the next
    /// in `dy` and in `line`.
    #[inline(always)]
    fn add_products<const C: usize>(&self, apart: [usize; 2], channel: usize, sums: &mut [f32]) {
        let mut kept = [0.0f32; C];
        for position in 0..self.dy.len() / apart[0] {
            let a: &[f32; C] =
                self.dy[position * apart[0] + channel..][..C].try_into().expect("C values");
            let b: &[f32; C] =
                self.line[position * apart[1] + channel..][..C].try_into().expect("C values");
            for lane in 0..C {
                kept[lane] += a[lane] * b[lane];
            }
        }
        for (sum, kept) in sums[self.sums + channel..][..C].iter_mut().zip(kept) {
            *sum += kept;
        }
    }
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(from: &[f32], rows: usize, to: &mut [f32]) {
    let columns = from.len() / rows.max(1);
    for (row, values) in from.chunks_exact(columns.max(1)).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            to[column * rows + row] = value;
        }
    }
}

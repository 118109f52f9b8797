//! Depthwise convolution: each channel by a filter of its own, vectorised over channels.
//!
//! A strip of a few neighbouring positions is summed at once, all its channels before the next
//! strip, so that memory is read in order. A tap that is outside of the image reads zeros.

use super::{Conv2d, Tap, patches::input_taps, phases};
use crate::element::{self, Element};
use crate::finish::Finish;
use crate::isa::{Isa, prefetch};
use crate::lanes::{Lanes, laned};
use crate::parallel;
use crate::scratch::{self, Slot};
use crate::stream;

/// The weight gradient is summed in at most this many chunks of output rows.
const CHUNKS: usize = 32;
/// Positions of a strip; with two vectors of channels each, eight sums.
const STRIP: usize = 4;

/// `turned` are the weights as [`turn`] leaves them.
pub(super) fn forward<E: Element>(
    d: &Conv2d,
    x: &[E],
    turned: &[f32],
    finish: Option<Finish<'_>>,
    y: &mut [E],
) {
    Side { finish, ..Side::of_input(d, x) }.gather(turned, y);
}

pub(super) fn input_grad<E: Element>(d: &Conv2d, dy: &[E], w: &[f32], dx: &mut [E]) {
    let side = Side::of_output(d, dy);
    turned(d, w, |turned| side.gather(turned, dx));
}

/// Calls `body` with the weights as [`turn`] leaves them.
pub(super) fn turned(d: &Conv2d, w: &[f32], body: impl FnOnce(&[f32])) {
    scratch::with(Slot::Weights, turned_length(d), |turned| {
        turn(d, w, turned);
        body(turned);
    });
}

/// The length of turned weights.
pub(super) fn turned_length(d: &Conv2d) -> usize {
    d.w_len() + d.c_in
}

/// The weights as `[taps, channels]`, and after them the zeros of a pixel outside.
pub(super) fn turn(d: &Conv2d, w: &[f32], turned: &mut [f32]) {
    let (taps, zeros) = turned.split_at_mut(w.len());
    transpose(w, d.c_in, taps);
    zeros.fill(0.0);
}

/// A gathering sum: each position of the result reads its phase's taps from an image.
pub(super) struct Side<'a, E> {
    image: &'a [E],
    extent: [usize; 2],
    channels: usize,
    out: [usize; 2],
    /// The taps of a position, by its coordinates modulo the number of phases.
    phases: Vec<Vec<Vec<Tap>>>,
    /// How far apart neighbours of a phase read.
    step: [usize; 2],
    finish: Option<Finish<'a>>,
}

impl<'a, E: Element> Side<'a, E> {
    /// The sums of the forward product, or what the weight gradient reads.
    pub(super) fn of_input(d: &Conv2d, x: &'a [E]) -> Self {
        Self {
            image: x,
            extent: [d.h, d.w],
            channels: d.c_in,
            out: [d.out_h(), d.out_w()],
            phases: vec![vec![input_taps(d)]],
            step: d.stride,
            finish: None,
        }
    }

    /// The sums of the input gradient.
    pub(super) fn of_output(d: &Conv2d, dy: &'a [E]) -> Self {
        let mut table: Vec<Vec<Vec<Tap>>> = Vec::new();
        for phase in phases(d) {
            if phase.first[1] == 0 {
                table.push(Vec::new());
            }
            table.last_mut().expect("phases come row by row").push(phase.taps);
        }
        Self {
            image: dy,
            extent: [d.out_h(), d.out_w()],
            channels: d.c_in,
            out: [d.h, d.w],
            phases: table,
            step: [1, 1],
            finish: None,
        }
    }

    fn gather(&self, turned: &[f32], out: &mut [E]) {
        let isa = Isa::current();
        let (w, zeros) = turned.split_at(turned.len() - self.channels);
        if let Some(finish) = &self.finish {
            finish.check(out.len(), self.channels);
        }
        let streams = streams(self.channels, out);
        let length = self.out[1] * self.channels;
        parallel::chunks(out, length, |index, row| {
            let place = Place { start: index * length, finish: self.finish.as_ref(), streams };
            let image = index / self.out[0];
            self.row(
                isa,
                index % self.out[0],
                |line| self.line(image, line),
                [w, zeros],
                &place,
                row,
            );
            if streams {
                stream::fence();
            }
        });
    }

    /// Lines of an image.
    pub(super) fn lines(&self) -> usize {
        self.extent[0]
    }

    /// A line of an image.
    pub(super) fn line(&self, image: usize, line: usize) -> &[E] {
        let length = self.extent[1] * self.channels;
        &self.image[(image * self.extent[0] + line) * length..][..length]
    }

    /// Row `y` of the result, of an image with these lines.
    pub(super) fn row<'b>(
        &self,
        isa: Isa,
        y: usize,
        line: impl Fn(usize) -> &'b [E],
        [w, zeros]: [&'b [f32]; 2],
        place: &Place<'_>,
        row: &mut [E],
    ) {
        let phases = &self.phases[y % self.phases.len()];
        let y = y / self.phases.len() * self.step[0];
        for (phase, taps) in phases.iter().enumerate() {
            let count = self.out[1].saturating_sub(phase).div_ceil(phases.len());
            let mut reads = Reads::of(self, y, &line, taps, count, zeros);
            let target = Target { first: phase, apart: phases.len(), place };
            // SAFETY: the finish was checked for the whole result, and the reads are those of
            // this row.
            unsafe { sum_row(isa, &mut reads, w, &target, row) };
        }
    }

    /// Adds what row `y` of `dy` gives to the gradient of the weights, turned, of an image with these
    /// lines.
    pub(super) fn add<'b>(
        &self,
        isa: Isa,
        y: usize,
        line: impl Fn(usize) -> &'b [E],
        zeros: &'b [f32],
        dy: &[E],
        sums: &mut [f32],
    ) {
        let taps = &self.phases[0][0];
        let mut reads = Reads::of(self, y * self.step[0], line, taps, self.out[1], zeros);
        // SAFETY: the reads are those of this row.
        unsafe { add_row(isa, &mut reads, dy, sums) };
    }
}

/// Whether a result is written past the caches.
pub(super) fn streams<E: Element>(channels: usize, out: &[E]) -> bool {
    !element::is_half::<E>()
        && out.len() >= stream::STREAMED
        && channels.is_multiple_of(stream::ALIGNED)
        && out.as_ptr().addr().is_multiple_of(4 * stream::ALIGNED)
}

/// Where a row lies in the result, and how it is written there.
pub(super) struct Place<'a> {
    pub(super) start: usize,
    pub(super) finish: Option<&'a Finish<'a>>,
    /// Whether to write past the caches; then vectors are aligned.
    pub(super) streams: bool,
}

/// Where the positions of one phase of a row go.
struct Target<'a> {
    /// The first position, and how far on the next is.
    first: usize,
    apart: usize,
    place: &'a Place<'a>,
}

/// What a row of positions reads, strip by strip.
struct Reads<'a, E> {
    taps: Vec<Read<E>>,
    channels: usize,
    /// Pixels of a line, and of them from one position to the next.
    extent: usize,
    step: usize,
    count: usize,
    /// From `begin` to `end`, every tap is inside of its line.
    begin: usize,
    end: usize,
    /// Whether the strip is between them.
    inner: bool,
    zeros: &'a [f32],
}

/// What one tap reads.
struct Read<E> {
    line: *const E,
    /// Where it reads, relative to the position.
    x: isize,
    /// Where the weights of the tap start.
    weights: usize,
    /// The strip's pixels.
    pixels: [*const E; STRIP],
    /// Whether it is the first to read them.
    first: bool,
}

impl<'a, E: Element> Reads<'a, E> {
    /// Those of a row of `count` positions that reads around line `y` of an image with these lines.
    fn of(
        side: &Side<'_, E>,
        y: usize,
        line: impl Fn(usize) -> &'a [E],
        taps: &[Tap],
        count: usize,
        zeros: &'a [f32],
    ) -> Self {
        let (channels, step, [height, extent]) = (side.channels, side.step[1], side.extent);
        assert_eq!(zeros.len(), channels);
        let inside = taps.iter().filter(|tap| y.wrapping_add_signed(tap.y) < height);
        let least = inside.clone().map(|tap| tap.x).min().unwrap_or(0);
        let most = inside.clone().map(|tap| tap.x).max().unwrap_or(0);
        let reads = inside.map(|tap| {
            let line = line(y.wrapping_add_signed(tap.y));
            assert_eq!(line.len(), extent * channels);
            Read {
                line: line.as_ptr(),
                x: tap.x,
                weights: tap.index * channels,
                pixels: [zeros.as_ptr().cast(); STRIP],
                first: tap.x + step as isize > most,
            }
        });
        let begin = ((-least).max(0) as usize).div_ceil(step).min(count);
        let end = ((extent as isize - most).max(0) as usize).div_ceil(step);
        let end = end.clamp(begin, count);
        Self {
            taps: reads.collect(),
            channels,
            extent,
            step,
            count,
            begin,
            end,
            inner: false,
            zeros,
        }
    }

    /// Moves from the strip before, or the row's start, to the one that starts at `at`.
    #[inline(always)]
    fn seek(&mut self, at: usize) {
        let inner = at >= self.begin && at + STRIP <= self.end;
        if inner && self.inner {
            for read in &mut self.taps {
                for pixel in &mut read.pixels {
                    *pixel = pixel.wrapping_add(STRIP * self.step * self.channels);
                }
            }
            return;
        }
        self.inner = inner;
        for read in &mut self.taps {
            for (position, pixel) in read.pixels.iter_mut().enumerate() {
                // A negative coordinate is a huge one.
                let x = ((at + position) * self.step).wrapping_add_signed(read.x);
                let inside = at + position < self.count && x < self.extent;
                *pixel = if inside {
                    read.line.wrapping_add(x * self.channels)
                } else {
                    self.zeros.as_ptr().cast()
                };
            }
        }
    }
}

laned! {
    /// Writes the sums of the positions of one phase.
    ///
    /// # Safety
    ///
    /// `reads` are new, its lines are alive, and the finish was checked for the result.
    unsafe fn sum_row[E: Element][E](
        reads: &mut Reads<'_, E>,
        w: &[f32],
        target: &Target<'_>,
        row: &mut [E],
    ) = sum_row_of
}

/// # Safety
///
/// As [`sum_row`].
#[inline(always)]
unsafe fn sum_row_of<V: Lanes, E: Element>(
    reads: &mut Reads<'_, E>,
    w: &[f32],
    target: &Target<'_>,
    row: &mut [E],
) {
    let channels = reads.channels;
    assert!(reads.taps.iter().all(|read| read.weights + channels <= w.len()));
    for at in (0..reads.count).step_by(STRIP) {
        reads.seek(at);
        let last = (at + STRIP).min(reads.count) - 1;
        let start = (target.first + at * target.apart) * channels;
        assert!((target.first + last * target.apart + 1) * channels <= row.len());
        let strip = Strip {
            taps: &reads.taps,
            ahead: STRIP * reads.step * channels,
            w: w.as_ptr(),
            start: target.place.start + start,
            apart: target.apart * channels,
            live: last + 1 - at,
            target,
            y: row[start..].as_mut_ptr(),
        };
        let mut channel = 0;
        // SAFETY: the assertions above; pixels have `channels` floats.
        unsafe {
            while channel + 2 * V::COUNT <= channels {
                strip.sum::<V, 2>(channel);
                channel += 2 * V::COUNT;
            }
            while channel + V::COUNT <= channels {
                strip.sum::<V, 1>(channel);
                channel += V::COUNT;
            }
            while channel < channels {
                strip.sum::<f32, 1>(channel);
                channel += 1;
            }
        }
    }
}

/// A strip of a row.
struct Strip<'a, E> {
    taps: &'a [Read<E>],
    /// How far after a pixel the next strip's is.
    ahead: usize,
    w: *const f32,
    /// Where it starts in the result, and how far on the next position is.
    start: usize,
    apart: usize,
    /// Positions that are there.
    live: usize,
    target: &'a Target<'a>,
    y: *mut E,
}

impl<E: Element> Strip<'_, E> {
    /// Sums `U` vectors of channels.
    ///
    /// # Safety
    ///
    /// The vectors are below the channels of pixels, weights and places.
    #[inline(always)]
    unsafe fn sum<V: Lanes, const U: usize>(&self, channel: usize) {
        let mut sums = [[V::zero(); U]; STRIP];
        for read in self.taps {
            if read.first && channel.is_multiple_of(stream::ALIGNED) {
                for pixel in read.pixels {
                    prefetch(pixel.wrapping_add(self.ahead + channel));
                }
            }
            let mut weights = [V::zero(); U];
            for (unit, weight) in weights.iter_mut().enumerate() {
                let at = read.weights + channel + unit * V::COUNT;
                // SAFETY: the caller's promise.
                *weight = unsafe { V::load(self.w.add(at)) };
            }
            for (sums, pixel) in sums.iter_mut().zip(read.pixels) {
                for (unit, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    let value = unsafe { E::load::<V>(pixel.add(channel + unit * V::COUNT)) };
                    *sum = sum.plus_product(value, weights[unit]);
                }
            }
        }
        for (position, sums) in sums.iter().enumerate() {
            if position >= self.live {
                break;
            }
            for (unit, &sum) in sums.iter().enumerate() {
                let channel = channel + unit * V::COUNT;
                let at = position * self.apart + channel;
                // SAFETY: the caller's promise; aligned where it streams.
                unsafe {
                    let value = match self.target.place.finish {
                        Some(finish) => finish.lanes(sum, self.start + at, channel),
                        None => sum,
                    };
                    if self.target.place.streams {
                        E::stream(value, self.y.add(at));
                    } else {
                        E::store(value, self.y.add(at));
                    }
                }
            }
        }
    }
}

pub(super) fn weight_grad<E: Element>(d: &Conv2d, x: &[E], dy: &[E], dw: &mut [f32]) {
    let isa = Isa::current();
    let (channels, height, width) = (d.c_in, d.out_h(), d.out_w());
    let rows = d.n * height;
    if rows == 0 || dw.is_empty() {
        dw.fill(0.0);
        return;
    }
    let side = Side::of_input(d, x);
    let chunk = rows.div_ceil(CHUNKS);
    let chunks = rows.div_ceil(chunk);
    let length = dw.len();
    scratch::with(Slot::Partials, (chunks + 1) * length + channels, |all| {
        let (zeros, all) = all.split_at_mut(channels);
        zeros.fill(0.0);
        let zeros = &*zeros;
        let (turned, partials) = all.split_at_mut(length);
        parallel::chunks(partials, length, |index, partial| {
            partial.fill(0.0);
            for row in index * chunk..((index + 1) * chunk).min(rows) {
                let line = |line| side.line(row / height, line);
                let dy = &dy[row * width * channels..][..width * channels];
                side.add(isa, row % height, line, zeros, dy, partial);
            }
        });
        parallel::sum_in_order(partials, turned);
        transpose(turned, length / channels, dw);
    });
}

laned! {
    /// Adds what one row of output positions gives to `sums`, `[taps, channels]`.
    ///
    /// # Safety
    ///
    /// `reads` are new, and its lines are alive.
    unsafe fn add_row[E: Element][E](
        reads: &mut Reads<'_, E>,
        dy: &[E],
        sums: &mut [f32],
    ) = add_row_of
}

/// # Safety
///
/// As [`add_row`].
#[inline(always)]
unsafe fn add_row_of<V: Lanes, E: Element>(reads: &mut Reads<'_, E>, dy: &[E], sums: &mut [f32]) {
    let channels = reads.channels;
    assert!(reads.taps.iter().all(|read| read.weights + channels <= sums.len()));
    assert_eq!(dy.len(), reads.count * channels);
    for at in (0..reads.count).step_by(STRIP) {
        reads.seek(at);
        let mut factors = [reads.zeros.as_ptr().cast(); STRIP];
        for (factor, position) in factors.iter_mut().zip(at..reads.count) {
            *factor = dy[position * channels..].as_ptr();
        }
        let ahead = STRIP * channels;
        let strip = Products { taps: &reads.taps, ahead: [ahead, ahead * reads.step], factors };
        let mut channel = 0;
        // SAFETY: the assertions above; pixels have `channels` floats.
        unsafe {
            while channel + 2 * V::COUNT <= channels {
                strip.add::<V, 2>(channel, sums.as_mut_ptr());
                channel += 2 * V::COUNT;
            }
            while channel + V::COUNT <= channels {
                strip.add::<V, 1>(channel, sums.as_mut_ptr());
                channel += V::COUNT;
            }
            while channel < channels {
                strip.add::<f32, 1>(channel, sums.as_mut_ptr());
                channel += 1;
            }
        }
    }
}

/// A strip of a row of the weight gradient.
struct Products<'a, E> {
    taps: &'a [Read<E>],
    /// How far after a factor and after a pixel the next strip's are.
    ahead: [usize; 2],
    /// The strip's pixels of `dy`.
    factors: [*const E; STRIP],
}

impl<E: Element> Products<'_, E> {
    /// Adds the products of `U` vectors of channels.
    ///
    /// # Safety
    ///
    /// The vectors are below the channels of pixels and sums.
    #[inline(always)]
    unsafe fn add<V: Lanes, const U: usize>(&self, channel: usize, sums: *mut f32) {
        let prefetches = channel.is_multiple_of(stream::ALIGNED);
        let mut factors = [[V::zero(); U]; STRIP];
        for (factors, from) in factors.iter_mut().zip(self.factors) {
            if prefetches {
                prefetch(from.wrapping_add(self.ahead[0] + channel));
            }
            for (unit, factor) in factors.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *factor = unsafe { E::load::<V>(from.add(channel + unit * V::COUNT)) };
            }
        }
        for read in self.taps {
            if read.first && prefetches {
                for pixel in read.pixels {
                    prefetch(pixel.wrapping_add(self.ahead[1] + channel));
                }
            }
            let place = sums.wrapping_add(read.weights + channel);
            let mut kept = [V::zero(); U];
            for (unit, kept) in kept.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *kept = unsafe { V::load(place.add(unit * V::COUNT)) };
            }
            for (factors, pixel) in factors.iter().zip(read.pixels) {
                for (unit, kept) in kept.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    let value = unsafe { E::load::<V>(pixel.add(channel + unit * V::COUNT)) };
                    *kept = kept.plus_product(value, factors[unit]);
                }
            }
            for (unit, kept) in kept.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { kept.store(place.add(unit * V::COUNT)) };
            }
        }
    }
}

/// `[rows, columns]` to `[columns, rows]`.
pub(super) fn transpose(from: &[f32], rows: usize, to: &mut [f32]) {
    let columns = from.len() / rows.max(1);
    for (row, values) in from.chunks_exact(columns.max(1)).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            to[column * rows + row] = value;
        }
    }
}

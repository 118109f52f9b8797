//! Chroma at full size, to the bits of libjpeg's "fancy" upsampling: triangle filters, ¾ of the nearer sample and ¼ of
//! the further one, along each axis that is halved; both at once where both are. Edges repeat their samples.
//!
//! Rounding alternates, so that it has no bias: across, +1 then +2 before a division by 4; down the same; both ways +8
//! then +7 before a division by 16. Where a component is at most two samples wide and halved across, samples are
//! repeated instead, as in libjpeg.

/// A component's samples, from sample (`left`, `top`) of the whole picture on.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    pub(super) left: usize,
    pub(super) top: usize,
    /// Samples of the whole picture; beyond them a plane may hold padding.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels to a sample, 1 or 2.
    pub(super) across: usize,
    pub(super) down: usize,
}

/// Rows that are used again.
#[derive(Debug, Default)]
pub(super) struct Row {
    sums: Vec<u16>,
    pixels: Vec<u8>,
}

impl Plane {
    /// Samples along an axis that the pixels `first..last` need: (first, one past the last).
    pub(super) fn needed(
        first: usize,
        last: usize,
        factor: usize,
        length: usize,
    ) -> (usize, usize) {
        match factor {
            1 => (first, last),
            _ => ((first / 2).saturating_sub(1), (last.div_ceil(2) + 1).min(length)),
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.samples[(y - self.top) * self.stride..][..self.stride]
    }

    /// Pixels `first..last` of row `y` of the picture.
    #[inline(always)]
    pub(super) fn pixels<'a>(
        &'a self,
        y: usize,
        first: usize,
        last: usize,
        memory: &'a mut Row,
    ) -> &'a [u8] {
        let (from, to) = Plane::needed(first, last, self.across, self.width);
        let span = from - self.left..to - self.left;
        let near = &self.row(y / self.down)[span.clone()];
        if self.across == 2 && self.width <= 2 {
            memory.pixels.clear();
            memory.pixels.extend((first..last).map(|x| near[x / 2 - from]));
            return &memory.pixels;
        }
        let far = match self.down {
            1 => near,
            _ if y.is_multiple_of(2) => &self.row((y / 2).saturating_sub(1))[span],
            _ => &self.row((y / 2 + 1).min(self.height - 1))[span],
        };
        let Row { sums, pixels } = memory;
        match (self.across, self.down) {
            (1, 1) => return near,
            (1, _) => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                pixels.resize(near.len(), 0);
                for ((to, &near), &far) in pixels.iter_mut().zip(near).zip(far) {
                    *to = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
                }
                return pixels;
            }
            (_, 1) => {
                sums.resize(near.len(), 0);
                for (to, &near) in sums.iter_mut().zip(near) {
                    *to = u16::from(near);
                }
                double::<1, 2, 2>(sums, pixels);
            }
            _ => {
                sums.resize(near.len(), 0);
                for ((to, &near), &far) in sums.iter_mut().zip(near).zip(far) {
                    *to = u16::from(near) * 3 + u16::from(far);
                }
                double::<8, 7, 4>(sums, pixels);
            }
        }
        // Samples at the ends were only neighbours.
        &pixels[first - 2 * from..][..last - first]
    }
}

/// Two pixels for each sum: ¾ of it and ¼ of the one before, then of the one after.
///
/// At the ends a sum is its own neighbour. That is right at the picture's ends; at others, that pixel is not used.
#[inline(always)]
fn double<const BEFORE: u16, const AFTER: u16, const SHIFT: u32>(sums: &[u16], to: &mut Vec<u8>) {
    let count = sums.len();
    to.resize(count * 2, 0);
    let (to, _) = to.as_chunks_mut::<2>();
    let mut set = |at: usize, before: u16, after: u16| {
        to[at] = [
            ((sums[at] * 3 + before + BEFORE) >> SHIFT) as u8,
            ((sums[at] * 3 + after + AFTER) >> SHIFT) as u8,
        ];
    };
    if count == 1 {
        return set(0, sums[0], sums[0]);
    }
    set(0, sums[0], sums[1]);
    set(count - 1, sums[count - 2], sums[count - 1]);
    let inner = &mut to[1..count - 1];
    let neighbours = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
    for (to, ((&before, &here), &after)) in inner.iter_mut().zip(neighbours) {
        *to = [
            ((here * 3 + before + BEFORE) >> SHIFT) as u8,
            ((here * 3 + after + AFTER) >> SHIFT) as u8,
        ];
    }
}

//! Boxes as x₀, y₀, x₁, y₁: positions between pixels, so that the width is x₁ − x₀.

/// The area of a box; 0 for one that is empty.
pub(crate) fn area([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    (x1 - x0).max(0.0) * (y1 - y0).max(0.0)
}

/// The area that two boxes share, divided by the area that they cover together; 0 where they share nothing.
#[cfg(test)]
pub(crate) fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}

/// The box without what lies outside an image of width × height.
pub(crate) fn clipped(corners: [f32; 4], [width, height]: [f32; 2]) -> [f32; 4] {
    let [x0, y0, x1, y1] = corners;
    [x0.clamp(0.0, width), y0.clamp(0.0, height), x1.clamp(0.0, width), y1.clamp(0.0, height)]
}

/// Many boxes, one list for each coordinate, so that loops over them are vectorised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    corners: [Vec<f32>; 4],
    areas: Vec<f32>,
}

impl Columns {
    pub(crate) fn of(boxes: &[[f32; 4]]) -> Columns {
        let mut columns = Columns::default();
        boxes.iter().for_each(|&corners| columns.push(corners));
        columns
    }

    pub(crate) fn push(&mut self, corners: [f32; 4]) {
        self.corners.iter_mut().zip(corners).for_each(|(column, value)| column.push(value));
        self.areas.push(area(corners));
    }

    pub(crate) fn len(&self) -> usize {
        self.areas.len()
    }

    /// Writes the overlap of `other` with each box to `to`.
    pub(crate) fn overlaps(&self, other: [f32; 4], to: &mut [f32]) {
        let count = self.len();
        let [x0, y0, x1, y1] = &self.corners;
        let (x0, y0, x1, y1) = (&x0[..count], &y0[..count], &x1[..count], &y1[..count]);
        let (areas, to) = (&self.areas[..count], &mut to[..count]);
        let own = area(other);
        for at in 0..count {
            to[at] = shares([x0[at], y0[at], x1[at], y1[at]], areas[at], other, own);
        }
    }

    /// Whether any box from `from` to `until` overlaps `other` by more than `limit`.
    pub(crate) fn any_over(&self, other: [f32; 4], limit: f32) -> bool {
        /// Boxes that are compared before the loop looks at the results.
        const TOGETHER: usize = 16;
        let own = area(other);
        let [x0, y0, x1, y1] = &self.corners;
        let mut from = 0;
        while from < self.len() {
            let until = (from + TOGETHER).min(self.len());
            let mut most = 0.0f32;
            let sides = x0[from..until].iter().zip(&y0[from..until]);
            let sides = sides.zip(x1[from..until].iter().zip(&y1[from..until]));
            for (((x0, y0), (x1, y1)), &area) in sides.zip(&self.areas[from..until]) {
                let overlap = shares([*x0, *y0, *x1, *y1], area, other, own);
                most = if overlap > most { overlap } else { most };
            }
            if most > limit {
                return true;
            }
            from = until;
        }
        false
    }
}

/// The area that two boxes share, divided by the area that they cover together, given both areas; without branches.
#[inline(always)]
fn shares(a: [f32; 4], area: f32, b: [f32; 4], own: f32) -> f32 {
    let least = |a: f32, b: f32| if a < b { a } else { b };
    let most = |a: f32, b: f32| if a > b { a } else { b };
    let width = most(least(a[2], b[2]) - most(a[0], b[0]), 0.0);
    let height = most(least(a[3], b[3]) - most(a[1], b[1]), 0.0);
    let shared = width * height;
    let together = area + own - shared;
    // Two empty boxes at one place share nothing of nothing.
    if shared > 0.0 { shared / together } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_shares_of_the_union() {
        for (a, b, expected) in [
            ([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], 1.0 / 3.0),
            ([0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], 1.0),
            ([0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 3.0, 2.0], 0.0),
            ([0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 2.0, 2.0], 1.0 / 16.0),
            ([0.0, 0.0, 0.0, 4.0], [0.0, 0.0, 0.0, 4.0], 0.0),
            ([3.0, 0.0, 1.0, 4.0], [0.0, 0.0, 4.0, 4.0], 0.0),
        ] {
            assert_eq!(overlap(a, b), expected, "{a:?} and {b:?}");
            assert_eq!(overlap(b, a), expected, "{b:?} and {a:?}");
            let mut many = [0.0; 2];
            Columns::of(&[a, b]).overlaps(b, &mut many);
            assert_eq!(many[0], expected, "{a:?} and {b:?} in columns");
            assert_eq!(Columns::of(&[a]).any_over(b, 0.3), expected > 0.3);
        }
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        assert_eq!(clipped([-3.0, 2.0, 9.0, 30.0], [8.0, 6.0]), [0.0, 2.0, 8.0, 6.0]);
        assert_eq!(area(clipped([9.0, 2.0, 12.0, 3.0], [8.0, 6.0])), 0.0);
    }
}

//! §6.1 Anchors: the boxes that the region proposal network corrects, the same ones around every cell.
//!
//! w₀ = ⌊√(base²/r)⌉ and h₀ = ⌊w₀ r⌉ (halves to even) for each ratio r = h/w; an anchor of scale s reaches (w₀s − 1)/2 to
//! both sides of the first cell's centre (base − 1)/2. Ratios come first, scales second. Cell (i, j) is `stride` further
//! down and right for each row and column. These are the authors' and py-faster-rcnn's anchors, to the bit.

use recipe::Anchors;

/// The anchors of the first cell.
pub(crate) fn first_cell(anchors: &Anchors) -> Vec<[f32; 4]> {
    let base = anchors.base;
    let centre = 0.5 * (base - 1.0);
    let mut cell = Vec::new();
    for &ratio in &anchors.ratios {
        let width = (base * base / ratio).sqrt().round_ties_even();
        let height = (width * ratio).round_ties_even();
        for &scale in &anchors.scales {
            let [x, y] = [width, height].map(|side| (side * scale - 1.0) * 0.5);
            cell.push([centre - x, centre - y, centre + x, centre + y].map(|value| value as f32));
        }
    }
    cell
}

/// The anchors of all cells: row by row, column by column, those of a cell together.
pub(crate) fn grid(cell: &[[f32; 4]], [rows, columns]: [usize; 2], stride: usize) -> Vec<[f32; 4]> {
    let mut all = Vec::with_capacity(rows * columns * cell.len());
    for row in 0..rows {
        for column in 0..columns {
            let (x, y) = ((column * stride) as f32, (row * stride) as f32);
            all.extend(cell.iter().map(|&[x0, y0, x1, y1]| [x0 + x, y0 + y, x1 + x, y1 + y]));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use recipe::BorderAnchors;

    fn paper() -> Anchors {
        let (scales, ratios) = (vec![2.0, 4.0, 8.0, 16.0, 32.0], vec![0.5, 1.0, 2.0]);
        Anchors { base: 16.0, scales, ratios, border: BorderAnchors::Ignored }
    }

    /// As the authors' code writes them.
    #[test]
    fn the_first_cell_is_the_authors() {
        let cell = first_cell(&paper());
        assert_eq!(cell.len(), 15);
        for (index, expected) in [
            (0, [-15.0, -4.0, 30.0, 19.0]),
            (5, [-8.0, -8.0, 23.0, 23.0]),
            (10, [-3.0, -14.0, 18.0, 29.0]),
            (4, [-360.0, -184.0, 375.0, 199.0]),
            (9, [-248.0, -248.0, 263.0, 263.0]),
            (14, [-168.0, -344.0, 183.0, 359.0]),
        ] {
            assert_eq!(cell[index], expected, "anchor {index}");
        }
    }

    #[test]
    fn cells_follow_each_other_row_by_row() {
        let cell = first_cell(&paper());
        let all = grid(&cell, [2, 3], 16);
        assert_eq!(all.len(), 2 * 3 * 15);
        assert_eq!(all[15], [1.0, -4.0, 46.0, 19.0]);
        assert_eq!(all[3 * 15], [-15.0, 12.0, 30.0, 35.0]);
    }
}

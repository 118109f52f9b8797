//! §6.1 A box in terms of another one: ((gx − ax)/aw, (gy − ay)/ah, ln(gw/aw), ln(gh/ah)), each divided by its scale; x and
//! y are centres.

/// The code of box `of` as seen from `from`.
pub(crate) fn encoded(of: [f32; 4], from: [f32; 4], scales: [f32; 4]) -> [f32; 4] {
    let ([gx, gy, gw, gh], [ax, ay, aw, ah]) = (centred(of), centred(from));
    let code = [(gx - ax) / aw, (gy - ay) / ah, (gw / aw).ln(), (gh / ah).ln()];
    [0, 1, 2, 3].map(|at| code[at] / scales[at])
}

/// The box that a code means as seen from `from`. ln(w/aw) and ln(h/ah) are cut at `most`, where there is a limit.
pub(crate) fn decoded(
    code: [f32; 4],
    from: [f32; 4],
    scales: [f32; 4],
    most: Option<f32>,
) -> [f32; 4] {
    let [ax, ay, aw, ah] = centred(from);
    let code = [0, 1, 2, 3].map(|at| code[at] * scales[at]);
    let grown = |log: f32| most.map_or(log, |most| log.min(most)).exp();
    let (x, y) = (code[0] * aw + ax, code[1] * ah + ay);
    let (w, h) = (grown(code[2]) * aw * 0.5, grown(code[3]) * ah * 0.5);
    [x - w, y - h, x + w, y + h]
}

/// Centre, width and height.
fn centred([x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
    let (width, height) = (x1 - x0, y1 - y0);
    [x0 + 0.5 * width, y0 + 0.5 * height, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALES: [f32; 4] = [0.1, 0.1, 0.2, 0.2];

    #[test]
    fn a_code_is_what_the_formula_says() {
        let code = encoded([3.0, 4.0, 7.0, 12.0], [2.0, 2.0, 4.0, 6.0], [1.0; 4]);
        assert_eq!(code, [1.0, 1.0, 2.0f32.ln(), 2.0f32.ln()]);
        let scaled = encoded([3.0, 4.0, 7.0, 12.0], [2.0, 2.0, 4.0, 6.0], SCALES);
        assert_eq!(scaled, [1.0 / 0.1, 1.0 / 0.1, 2.0f32.ln() / 0.2, 2.0f32.ln() / 0.2]);
    }

    #[test]
    fn decoding_brings_the_box_back() {
        let anchor = [-15.0, -4.0, 30.0, 19.0];
        for wanted in [[0.0, 0.0, 10.0, 10.0], [3.5, -2.0, 200.0, 4.0], anchor] {
            let back = decoded(encoded(wanted, anchor, SCALES), anchor, SCALES, None);
            for (found, expected) in back.iter().zip(wanted) {
                assert!((found - expected).abs() < 1e-4, "{back:?}, not {wanted:?}");
            }
        }
    }

    #[test]
    fn a_limit_keeps_boxes_from_exploding() {
        let square = [0.0, 0.0, 2.0, 2.0];
        let far = decoded([0.0, 0.0, 50.0, 50.0], square, [1.0; 4], Some(2.0f32.ln()));
        assert!((far[2] - 3.0).abs() < 1e-6 && (far[0] + 1.0).abs() < 1e-6, "{far:?}");
        let free = decoded([0.0, 0.0, 200.0, 0.0], square, [1.0; 4], None);
        assert!(free[2].is_infinite());
    }
}

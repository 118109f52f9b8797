//! The transforms of F(2×2, 3×3) and F(4×4, 3×3) (Lavin and Gray 2015, arXiv 1509.09308), in one
//! dimension; both dimensions have the same.
//!
//! A tile of M×M results comes from a tile of A×A inputs, A = M + 2, as
//! Y = Zᵀ[(W g Wᵀ) ⊙ (D x Dᵀ)]Z. Where that is the product, the gradient of the weights is its
//! transpose, Wᵀ[(D x Dᵀ) ⊙ (Z y Zᵀ)]W.

use crate::lanes::Lanes;

pub(super) trait Scheme<const A: usize, const M: usize>: Sync {
    /// D: inputs.
    fn input<V: Lanes>(x: [V; A]) -> [V; A];
    /// W: weights.
    fn weight<V: Lanes>(w: [V; 3]) -> [V; A];
    /// Zᵀ: results.
    fn output<V: Lanes>(u: [V; A]) -> [V; M];
    /// Z: gradients of results.
    fn output_gradient<V: Lanes>(y: [V; M]) -> [V; A];
    /// Wᵀ: gradients of weights.
    fn weight_gradient<V: Lanes>(u: [V; A]) -> [V; 3];
}

/// F(2×2, 3×3), by the points 0, ±1, ∞.
pub(super) struct Two;

impl Scheme<4, 2> for Two {
    #[inline(always)]
    fn input<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 4] {
        [a.sub(c), b.add(c), c.sub(b), b.sub(d)]
    }

    #[inline(always)]
    fn weight<V: Lanes>([a, b, c]: [V; 3]) -> [V; 4] {
        let (even, odd) = (a.add(c).scale(0.5), b.scale(0.5));
        [a, even.add(odd), even.sub(odd), c]
    }

    #[inline(always)]
    fn output<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 2] {
        [a.add(b).add(c), b.sub(c).sub(d)]
    }

    #[inline(always)]
    fn output_gradient<V: Lanes>([a, b]: [V; 2]) -> [V; 4] {
        [a, a.add(b), a.sub(b), V::zero().sub(b)]
    }

    #[inline(always)]
    fn weight_gradient<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 3] {
        let (even, odd) = (b.add(c).scale(0.5), b.sub(c).scale(0.5));
        [a.add(even), odd, even.add(d)]
    }
}

/// F(4×4, 3×3), by the points 0, ±P, ±Q, ∞, whose differences and products are near 1: with P = 1
/// and Q = 2, which are usual, its error is four times as great.
pub(super) struct Four;

const P: f32 = 0.6875;
const Q: f32 = 1.5;
const PP: f32 = P * P;
const QQ: f32 = Q * Q;
/// What the weights are divided by at each point.
const AT_ZERO: f32 = 1.0 / (PP * QQ);
const AT_P: f32 = 1.0 / (2.0 * PP * (PP - QQ));
const AT_Q: f32 = 1.0 / (2.0 * QQ * (QQ - PP));

impl Scheme<6, 4> for Four {
    #[inline(always)]
    fn input<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 6] {
        let (p_even, p_odd) = (e.plus(-QQ, c), d.plus(-QQ, b));
        let (q_even, q_odd) = (e.plus(-PP, c), d.plus(-PP, b));
        [
            p_even.plus(PP * QQ, a).plus(-PP, c),
            p_even.plus(P, p_odd),
            p_even.plus(-P, p_odd),
            q_even.plus(Q, q_odd),
            q_even.plus(-Q, q_odd),
            f.plus(-PP, d).plus(-QQ, q_odd),
        ]
    }

    #[inline(always)]
    fn weight<V: Lanes>([a, b, c]: [V; 3]) -> [V; 6] {
        let (p_even, p_odd) = (a.plus(PP, c).scale(AT_P), b.scale(P * AT_P));
        let (q_even, q_odd) = (a.plus(QQ, c).scale(AT_Q), b.scale(Q * AT_Q));
        [
            a.scale(AT_ZERO),
            p_even.add(p_odd),
            p_even.sub(p_odd),
            q_even.add(q_odd),
            q_even.sub(q_odd),
            c,
        ]
    }

    #[inline(always)]
    fn output<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 4] {
        let (p_even, p_odd) = (b.add(c), b.sub(c));
        let (q_even, q_odd) = (d.add(e), d.sub(e));
        [
            a.add(p_even).add(q_even),
            p_odd.scale(P).plus(Q, q_odd),
            p_even.scale(PP).plus(QQ, q_even),
            f.plus(P * PP, p_odd).plus(Q * QQ, q_odd),
        ]
    }

    #[inline(always)]
    fn output_gradient<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 6] {
        let (p_even, p_odd) = (a.plus(PP, c), b.plus(PP, d));
        let (q_even, q_odd) = (a.plus(QQ, c), b.plus(QQ, d));
        [
            a,
            p_even.plus(P, p_odd),
            p_even.plus(-P, p_odd),
            q_even.plus(Q, q_odd),
            q_even.plus(-Q, q_odd),
            d,
        ]
    }

    #[inline(always)]
    fn weight_gradient<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 3] {
        let (p_even, p_odd) = (b.add(c).scale(AT_P), b.sub(c).scale(P * AT_P));
        let (q_even, q_odd) = (d.add(e).scale(AT_Q), d.sub(e).scale(Q * AT_Q));
        [p_even.add(q_even).plus(AT_ZERO, a), p_odd.add(q_odd), f.plus(PP, p_even).plus(QQ, q_even)]
    }
}

/// A transform in both dimensions, of `$from` by `$from` vectors to `$to` by `$to`: down the
/// columns, then along the rows.
///
/// (A macro and loops, because neither a function that is passed nor a closure of an iterator would
/// be inlined into a function that has the instruction set.)
macro_rules! both {
    ($vector:ty, $from:expr, $to:expr, $tile:expr, $line:expr) => {{
        let mut half = [[<$vector>::zero(); $from]; $to];
        for column in 0..$from {
            let mut values = [<$vector>::zero(); $from];
            for row in 0..$from {
                values[row] = $tile[row][column];
            }
            let values = $line(values);
            for row in 0..$to {
                half[row][column] = values[row];
            }
        }
        let mut done = [[<$vector>::zero(); $to]; $to];
        for row in 0..$to {
            done[row] = $line(half[row]);
        }
        done
    }};
}
pub(super) use both;

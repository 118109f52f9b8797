//! The transforms of Winograd's algorithm (Lavin and Gray 2015, arXiv 1509.09308): in one dimension,
//! F(2, 3), F(4, 3) and F(3, 4), and in two F(2×2, 3×3) and F(4×4, 3×3), which have those of one
//! dimension in both.
//!
//! In one dimension a tile of M results of T taps comes from A = M + T − 1 inputs, as
//! y = Zᵀ[(W g) ⊙ (D x)]. Where that is the product, the gradient of the weights is its
//! transpose, Wᵀ[(D x) ⊙ (Z y)].

use crate::lanes::Lanes;

/// A tile of M results from A inputs, which are as many elements once transformed, by T taps; those
/// of two dimensions row after row.
pub(super) trait Scheme<const A: usize, const M: usize, const T: usize>: Sync {
    /// D: inputs.
    fn input<V: Lanes>(x: [V; A]) -> [V; A];
    /// W: weights.
    fn weight<V: Lanes>(w: [V; T]) -> [V; A];
    /// Zᵀ: results.
    fn output<V: Lanes>(u: [V; A]) -> [V; M];
    /// Z: gradients of results.
    fn output_gradient<V: Lanes>(y: [V; M]) -> [V; A];
    /// Wᵀ: gradients of weights.
    fn weight_gradient<V: Lanes>(u: [V; A]) -> [V; T];
}

/// F(2, 3), by the points 0, ±1, ∞.
struct Two;

impl Scheme<4, 2, 3> for Two {
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

/// F(4, 3), by the points 0, ±P, ±Q, ∞, whose differences and products are near 1: with P = 1
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

/// The sums and differences of two pairs.
#[inline(always)]
fn pairs<V: Lanes>([b, c, d, e]: [V; 4]) -> [V; 4] {
    [b.add(c), b.sub(c), d.add(e), d.sub(e)]
}

/// Polynomials at P, −P, Q and −Q from their even and odd parts there.
#[inline(always)]
fn at_points<V: Lanes>([p_even, p_odd, q_even, q_odd]: [V; 4]) -> [V; 4] {
    [p_even.plus(P, p_odd), p_even.plus(-P, p_odd), q_even.plus(Q, q_odd), q_even.plus(-Q, q_odd)]
}

/// Even and odd parts at P and at Q, divided as weights are.
#[inline(always)]
fn divided<V: Lanes>([p_even, p_odd, q_even, q_odd]: [V; 4]) -> [V; 4] {
    [p_even.scale(AT_P), p_odd.scale(P * AT_P), q_even.scale(AT_Q), q_odd.scale(Q * AT_Q)]
}

impl Scheme<6, 4, 3> for Four {
    #[inline(always)]
    fn input<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 6] {
        let (p_even, p_odd) = (e.plus(-QQ, c), d.plus(-QQ, b));
        let (q_even, q_odd) = (e.plus(-PP, c), d.plus(-PP, b));
        let zero = p_even.plus(PP * QQ, a).plus(-PP, c);
        let infinity = f.plus(-PP, d).plus(-QQ, q_odd);
        let [b, c, d, e] = at_points([p_even, p_odd, q_even, q_odd]);
        [zero, b, c, d, e, infinity]
    }

    #[inline(always)]
    fn weight<V: Lanes>([a, b, c]: [V; 3]) -> [V; 6] {
        let [p, minus_p, q, minus_q] = pairs(divided([a.plus(PP, c), b, a.plus(QQ, c), b]));
        [a.scale(AT_ZERO), p, minus_p, q, minus_q, c]
    }

    #[inline(always)]
    fn output<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 4] {
        let [p_even, p_odd, q_even, q_odd] = pairs([b, c, d, e]);
        [
            a.add(p_even).add(q_even),
            p_odd.scale(P).plus(Q, q_odd),
            p_even.scale(PP).plus(QQ, q_even),
            f.plus(P * PP, p_odd).plus(Q * QQ, q_odd),
        ]
    }

    #[inline(always)]
    fn output_gradient<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 6] {
        let parts = [a.plus(PP, c), b.plus(PP, d), a.plus(QQ, c), b.plus(QQ, d)];
        let [p, minus_p, q, minus_q] = at_points(parts);
        [a, p, minus_p, q, minus_q, d]
    }

    #[inline(always)]
    fn weight_gradient<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 3] {
        let [p_even, p_odd, q_even, q_odd] = divided(pairs([b, c, d, e]));
        [p_even.add(q_even).plus(AT_ZERO, a), p_odd.add(q_odd), f.plus(PP, p_even).plus(QQ, q_even)]
    }
}

/// F(3, 4), by the points of [`Four`]: the transpose, in which results and taps change places.
pub(super) struct Three;

impl Scheme<6, 3, 4> for Three {
    #[inline(always)]
    fn input<V: Lanes>(x: [V; 6]) -> [V; 6] {
        Four::input(x)
    }

    #[inline(always)]
    fn weight<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 6] {
        let parts = [a.plus(PP, c), b.plus(PP, d), a.plus(QQ, c), b.plus(QQ, d)];
        let [p, minus_p, q, minus_q] = pairs(divided(parts));
        [a.scale(AT_ZERO), p, minus_p, q, minus_q, d]
    }

    #[inline(always)]
    fn output<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 3] {
        let [p_even, p_odd, q_even, q_odd] = pairs([b, c, d, e]);
        [
            a.add(p_even).add(q_even),
            p_odd.scale(P).plus(Q, q_odd),
            f.plus(PP, p_even).plus(QQ, q_even),
        ]
    }

    #[inline(always)]
    fn output_gradient<V: Lanes>([a, b, c]: [V; 3]) -> [V; 6] {
        let [p, minus_p, q, minus_q] = at_points([a.plus(PP, c), b, a.plus(QQ, c), b]);
        [a, p, minus_p, q, minus_q, c]
    }

    #[inline(always)]
    fn weight_gradient<V: Lanes>([a, b, c, d, e, f]: [V; 6]) -> [V; 4] {
        let [p_even, p_odd, q_even, q_odd] = divided(pairs([b, c, d, e]));
        [
            p_even.add(q_even).plus(AT_ZERO, a),
            p_odd.add(q_odd),
            p_even.scale(PP).plus(QQ, q_even),
            f.plus(PP, p_odd).plus(QQ, q_odd),
        ]
    }
}

/// A transform in both dimensions, of `$from` by `$from` vectors to `$to` by `$to`: down the
/// columns, then along the rows.
///
/// (A macro and loops, because neither a function that is passed nor a closure of an iterator would
/// be inlined into a function that has the instruction set.)
macro_rules! both {
    ($from:literal, $to:literal, $tile:expr, $line:expr) => {{
        let tile = $tile;
        let mut half = [V::zero(); $from * $to];
        for column in 0..$from {
            let mut values = [V::zero(); $from];
            for row in 0..$from {
                values[row] = tile[row * $from + column];
            }
            let values = $line(values);
            for row in 0..$to {
                half[row * $from + column] = values[row];
            }
        }
        let mut done = [V::zero(); $to * $to];
        for row in 0..$to {
            let mut values = [V::zero(); $from];
            for column in 0..$from {
                values[column] = half[row * $from + column];
            }
            let values = $line(values);
            for column in 0..$to {
                done[row * $to + column] = values[column];
            }
        }
        done
    }};
}

/// The scheme `$name` that is `$line` in both dimensions.
macro_rules! square {
    ($(#[$meta:meta])* $name:ident, $line:ident, $a:literal, $m:literal) => {
        $(#[$meta])*
        pub(super) struct $name;

        impl Scheme<{ $a * $a }, { $m * $m }, 9> for $name {
            #[inline(always)]
            fn input<V: Lanes>(x: [V; $a * $a]) -> [V; $a * $a] {
                both!($a, $a, x, $line::input)
            }

            #[inline(always)]
            fn weight<V: Lanes>(w: [V; 9]) -> [V; $a * $a] {
                both!(3, $a, w, $line::weight)
            }

            #[inline(always)]
            fn output<V: Lanes>(u: [V; $a * $a]) -> [V; $m * $m] {
                both!($a, $m, u, $line::output)
            }

            #[inline(always)]
            fn output_gradient<V: Lanes>(y: [V; $m * $m]) -> [V; $a * $a] {
                both!($m, $a, y, $line::output_gradient)
            }

            #[inline(always)]
            fn weight_gradient<V: Lanes>(u: [V; $a * $a]) -> [V; 9] {
                both!($a, 3, u, $line::weight_gradient)
            }
        }
    };
}

square!(
    /// F(2×2, 3×3).
    TwoByTwo, Two, 4, 2
);
square!(
    /// F(4×4, 3×3).
    FourByFour, Four, 6, 4
);

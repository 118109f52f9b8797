//! §2.1 initialization: weights by Xavier, biases and β 0, γ 1 (or 0 where §3.1's *zero γ* acts).

use rand::Rng;
use tricks::Init;

use crate::parameter::{Fans, ParameterSpec};

/// The first value of a parameter. `last_gamma` is γ at the end of a residual block.
pub(crate) fn values(
    init: Init,
    spec: &ParameterSpec,
    last_gamma: f32,
    rng: &mut impl Rng,
) -> Vec<f32> {
    if let Some(constant) = tricks::zero_gamma::initial(spec.role, last_gamma) {
        return vec![constant; spec.len()];
    }
    let fans = spec.fans.expect("a weight knows its fans");
    (0..spec.len()).map(|_| draw(init, fans, rng)).collect()
}

fn draw(init: Init, fans: Fans, rng: &mut impl Rng) -> f32 {
    let uniform = |total: usize, rng: &mut _| {
        let bound = (6.0 / total as f64).sqrt();
        (bound * (2.0 * unit(rng) - 1.0)) as f32
    };
    match init {
        Init::Xavier => uniform(fans.fan_in + fans.fan_out, rng),
        Init::XavierChannels => uniform(fans.channels_in + fans.channels_out, rng),
        Init::MsraPrelu => {
            let mean_fan = (fans.fan_in + fans.fan_out) as f64 / 2.0;
            let deviation = (2.0 / (1.0 + 0.25 * 0.25) / mean_fan).sqrt();
            // Box and Muller; 1 − u keeps the logarithm finite.
            let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
            (deviation * radius * (std::f64::consts::TAU * unit(rng)).cos()) as f32
        }
    }
}

/// Uniform in [0, 1).
fn unit(rng: &mut impl Rng) -> f64 {
    rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use tricks::Role;

    fn spec(role: Role) -> ParameterSpec {
        // 64 → 128 channels, 3×3, 2 groups.
        let fans = Fans { fan_in: 288, fan_out: 576, channels_in: 64, channels_out: 128 };
        ParameterSpec {
            fans: Some(fans),
            ..ParameterSpec::new("w".into(), role, vec![128, 3, 3, 32])
        }
    }

    fn draw(init: Init) -> Vec<f64> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let values = super::values(init, &spec(Role::Weight), 0.0, &mut rng);
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn weights_have_the_spread_of_the_formula() {
        for (init, variance, bound) in [
            (Init::Xavier, 2.0 / 864.0, Some((6.0f64 / 864.0).sqrt())),
            (Init::XavierChannels, 2.0 / 192.0, Some((6.0f64 / 192.0).sqrt())),
            (Init::MsraPrelu, 2.0 / 1.0625 / 432.0, None),
        ] {
            let values = draw(init);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let measured = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 4.0 * (variance / n).sqrt(), "{init:?}: mean {mean}");
            assert!((measured / variance - 1.0).abs() < 0.03, "{init:?}: variance {measured}");
            let largest = values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
            if let Some(bound) = bound {
                assert!(largest <= bound && largest > 0.999 * bound, "{init:?}: {largest}");
            }
        }
    }

    #[test]
    fn other_roles_start_at_constants() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for (role, expected) in [
            (Role::Bias, 0.0),
            (Role::Beta, 0.0),
            (Role::Gamma { last_in_block: false }, 1.0),
            (Role::Gamma { last_in_block: true }, 0.25),
        ] {
            let values = super::values(Init::Xavier, &spec(role), 0.25, &mut rng);
            assert!(values.iter().all(|&value| value == expected), "{role:?}");
        }
    }
}

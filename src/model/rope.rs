//! Angles of the rotary position embedding.
//!
//! Frequencies are computed in f64, by the software `libm`: the same on every CPU.

use super::config::{RopeConfig, RopeScaling};

/// The frequencies of the pairs of a head, and what rotated elements are multiplied by.
#[derive(Clone, Debug)]
pub(super) struct Frequencies {
    pairs: Vec<f64>,
    magnitude: f64,
}

impl Frequencies {
    /// Pair `i` of `dims / 2` turns by `base^(-2i/dims) / factors[i]` a position, and slower as the scaling says; no
    /// factors are ones.
    pub fn new(rope: &RopeConfig, factors: Option<&[f32]>) -> Frequencies {
        let frequency = |i: usize| {
            let factor = factors.map_or(1.0, |f| f64::from(f[i]));
            let own = own_frequency(rope.dims, rope.base, i);
            let stretched = own / f64::from(rope.scale);
            match rope.scaling {
                RopeScaling::Yarn => {
                    let kept = yarn_kept(rope, i) * f64::from(rope.yarn_ext_factor);
                    (stretched * (1.0 - kept) + own * kept) / factor
                }
                _ => stretched / factor,
            }
        };
        Frequencies {
            pairs: (0..rope.dims / 2).map(frequency).collect(),
            magnitude: rope.magnitude,
        }
    }

    /// Pair `i` of `dims / 2` turns by `base^(-2i/dims)` a position.
    pub fn plain(dims: usize, base: f32) -> Frequencies {
        let pairs = (0..dims / 2).map(|i| own_frequency(dims, base, i)).collect();
        Frequencies { pairs, magnitude: 1.0 }
    }

    /// Pairs that are rotated.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Writes `[cos, sin]` of each pair's angle at `position`, multiplied by the magnitude: computed in f64, rounded once.
    pub fn angles(&self, position: usize, out: &mut [[f32; 2]]) {
        for (out, frequency) in out.iter_mut().zip(&self.pairs) {
            let (sin, cos) = libm::sincos(position as f64 * frequency);
            *out = [(cos * self.magnitude) as f32, (sin * self.magnitude) as f32];
        }
    }
}

fn own_frequency(dims: usize, base: f32, i: usize) -> f64 {
    libm::pow(f64::from(base), -2.0 * i as f64 / dims as f64)
}

/// How much of its own speed YaRN leaves to a pair: 1 to those that turn `beta_fast` times or more within the original
/// context, 0 to those that turn `beta_slow` times or less, and between them by their number.
fn yarn_kept(rope: &RopeConfig, i: usize) -> f64 {
    let pair_that_turns = |times: f32| {
        let wavelength = rope.original_context as f64 / f64::from(times);
        let radian = libm::log(wavelength / (2.0 * std::f64::consts::PI));
        rope.dims as f64 * radian / (2.0 * libm::log(f64::from(rope.base)))
    };
    let last = rope.dims as f64 - 1.0;
    let low = libm::floor(pair_that_turns(rope.yarn_beta_fast)).max(0.0);
    let high = libm::ceil(pair_that_turns(rope.yarn_beta_slow)).min(last);
    let ramp = (i as f64 - low) / (high - low).max(0.001);
    1.0 - ramp.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads of 64 elements, stretched from 2048 positions to four times as many.
    fn longer(scaling: RopeScaling) -> RopeConfig {
        RopeConfig {
            dims: 64,
            base: 10_000.0,
            scaling,
            scale: 4.0,
            original_context: 2048,
            magnitude: 1.0,
            yarn_ext_factor: 1.0,
            yarn_beta_fast: 32.0,
            yarn_beta_slow: 1.0,
            window_base: None,
        }
    }

    #[test]
    fn a_scale_divides_every_frequency_and_factors_each_its_own() {
        let plain = Frequencies::plain(64, 10_000.0).pairs;
        let factors: Vec<f32> = (1..=32).map(|i| i as f32).collect();
        let linear = longer(RopeScaling::Linear);
        for (i, own) in plain.iter().enumerate() {
            let factor = f64::from(factors[i]);
            assert_eq!(Frequencies::new(&linear, None).pairs[i], own / 4.0);
            assert_eq!(Frequencies::new(&linear, Some(&factors)).pairs[i], own / 4.0 / factor);
        }
    }

    #[test]
    fn yarn_leaves_fast_pairs_alone_and_stretches_slow_ones() {
        let plain = Frequencies::plain(64, 10_000.0).pairs;
        let yarn = Frequencies::new(&longer(RopeScaling::Yarn), None).pairs;
        // Turns within the original context: 32 at pair 8.06, 1 at pair 20.1.
        for i in 0..=8 {
            assert_eq!(yarn[i], plain[i], "pair {i}");
        }
        for i in 9..21 {
            assert!(plain[i] / 4.0 < yarn[i] && yarn[i] < plain[i], "pair {i}");
        }
        for i in 21..32 {
            assert_eq!(yarn[i], plain[i] / 4.0, "pair {i}");
        }
        let mut linear = longer(RopeScaling::Yarn);
        linear.yarn_ext_factor = 0.0;
        let linear = Frequencies::new(&linear, None).pairs;
        assert!(linear.iter().zip(&plain).all(|(a, b)| *a == b / 4.0));
    }

    #[test]
    fn no_sound_option_makes_a_frequency_that_is_no_number() {
        for base in [1.0, f32::MIN_POSITIVE, f32::MAX] {
            for (fast, slow) in [(0.0, 0.0), (1.0, 1.0), (0.0, 32.0), (f32::MAX, 0.0)] {
                for original_context in [1, 1 << 32] {
                    let mut rope = longer(RopeScaling::Yarn);
                    (rope.base, rope.yarn_beta_fast, rope.yarn_beta_slow) = (base, fast, slow);
                    rope.original_context = original_context;
                    let frequencies = Frequencies::new(&rope, None).pairs;
                    assert!(frequencies.iter().all(|f| !f.is_nan()), "{rope:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_pair_turns_by_one_radian_a_position() {
        let mut angles = [[0.0; 2]; 4];
        Frequencies::plain(8, 10_000.0).angles(3, &mut angles);
        assert_eq!(angles[0], [3f64.cos() as f32, 3f64.sin() as f32]);
        assert_eq!(angles[2], [0.03f64.cos() as f32, 0.03f64.sin() as f32]);
    }
}

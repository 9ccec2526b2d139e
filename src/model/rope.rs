//! Angles of the rotary position embedding.

/// The frequencies of the pairs of a head.
#[derive(Clone, Debug)]
pub(super) struct Frequencies(Vec<f64>);

impl Frequencies {
    /// Pair `i` of `dims / 2` turns by `base^(-2i/dims) / scale / factors[i]` a position; no
    /// factors are ones. In f64, by the software `libm`: the same on every CPU.
    pub fn new(dims: usize, base: f32, scale: f32, factors: Option<&[f32]>) -> Frequencies {
        let frequency = |i: usize| {
            let exponent = -2.0 * i as f64 / dims as f64;
            let factor = factors.map_or(1.0, |f| f64::from(f[i]));
            libm::pow(f64::from(base), exponent) / f64::from(scale) / factor
        };
        Frequencies((0..dims / 2).map(frequency).collect())
    }

    /// Pairs that are rotated.
    pub fn pairs(&self) -> usize {
        self.0.len()
    }

    /// Writes `[cos, sin]` of each pair's angle at `position`: computed in f64, rounded once.
    pub fn angles(&self, position: usize, out: &mut [[f32; 2]]) {
        for (out, frequency) in out.iter_mut().zip(&self.0) {
            let (sin, cos) = libm::sincos(position as f64 * frequency);
            *out = [cos as f32, sin as f32];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pair_turns_by_one_radian_a_position_and_the_scale_divides_it() {
        let mut angles = [[0.0; 2]; 4];
        Frequencies::new(8, 10_000.0, 1.0, None).angles(3, &mut angles);
        assert_eq!(angles[0], [3f64.cos() as f32, 3f64.sin() as f32]);
        assert_eq!(angles[2], [0.03f64.cos() as f32, 0.03f64.sin() as f32]);
        Frequencies::new(8, 10_000.0, 3.0, Some(&[1.0; 4])).angles(3, &mut angles);
        assert_eq!(angles[0], [1f64.cos() as f32, 1f64.sin() as f32]);
    }
}

//! Which format a file type gives to which tensor: the mixtures that llama.cpp 0.5.0 uses by the
//! same names without an importance matrix. The rules were found by trial, not
//! derived: `tests/data/mixtures` is what they are checked against.
//!
//! A tensor gets the format of the first [rule](rules) that holds for it, else the file type's
//! [base](FileType::base); then come what every file type does alike
//! ([`Mixture::wanted`]) and the [fallback](fitting) for rows that blocks do not divide.

use super::error::Error;
use super::role::{Role, layer_of};
use super::traits::Traits;
use super::{Fallback, FileType};
use crate::formats::{BLOCK_32, Format};
use crate::gguf::TensorInfo;

/// A better (or other) format than the base for the tensors of one role.
struct Rule {
    role: Role,
    place: Place,
    format: Format,
}

/// Where a rule holds. Positions count the tensors of the role: those before this one, and all.
enum Place {
    Everywhere,
    /// The first few tensors.
    First(usize),
    /// The first of so many equal parts of the tensors.
    FirstPart(usize),
    /// Where [`more_bits`] says so.
    MoreBits,
    /// Four or more query heads share a key head, so that keys and values are small.
    SmallValues,
}

/// A tensor's place among those of its role.
#[derive(Clone, Copy, Default)]
struct Position {
    index: usize,
    count: usize,
}

use Place::{Everywhere, First, FirstPart, MoreBits, SmallValues};
use Role::{AttentionOutput, Down, Value};

const fn rule(role: Role, place: Place, format: Format) -> Rule {
    Rule { role, place, format }
}

const Q2_K: &[Rule] = &[
    rule(Value, SmallValues, Format::Q4K),
    rule(Value, Everywhere, Format::Q3K),
    rule(Down, Everywhere, Format::Q3K),
    rule(AttentionOutput, Everywhere, Format::Q3K),
];
const Q2_K_FALCON: &[Rule] = &[
    rule(Value, SmallValues, Format::Q4K),
    rule(Value, Everywhere, Format::Q3K),
    rule(Down, Everywhere, Format::Q3K),
];
const Q3_K_M: &[Rule] = &[
    rule(Value, First(2), Format::Q5K),
    rule(Value, Everywhere, Format::Q4K),
    rule(Down, FirstPart(16), Format::Q5K),
    rule(Down, Everywhere, Format::Q4K),
    rule(AttentionOutput, Everywhere, Format::Q4K),
];
const Q3_K_M_FALCON: &[Rule] = &[
    rule(Value, First(2), Format::Q5K),
    rule(Value, Everywhere, Format::Q4K),
    rule(Down, FirstPart(16), Format::Q5K),
    rule(Down, MoreBits, Format::Q4K),
];
const Q4_K_S: &[Rule] =
    &[rule(Value, First(4), Format::Q5K), rule(Down, FirstPart(8), Format::Q5K)];
const Q4_K_S_FALCON: &[Rule] = &[rule(Value, First(4), Format::Q5K)];
const Q4_K_M: &[Rule] = &[rule(Value, MoreBits, Format::Q6K), rule(Down, MoreBits, Format::Q6K)];
const Q4_K_M_FALCON: &[Rule] = &[
    rule(Value, MoreBits, Format::Q6K),
    rule(Down, FirstPart(16), Format::Q6K),
    rule(Down, MoreBits, Format::Q5K),
];
const Q5_K_M: &[Rule] = &[rule(Value, MoreBits, Format::Q6K), rule(Down, MoreBits, Format::Q6K)];

/// The rules of a file type, the first that holds first.
fn rules(file_type: FileType, falcon: bool) -> &'static [Rule] {
    match (file_type, falcon) {
        (FileType::Q2K, false) => Q2_K,
        (FileType::Q2K, true) => Q2_K_FALCON,
        (FileType::Q3KM, false) => Q3_K_M,
        (FileType::Q3KM, true) => Q3_K_M_FALCON,
        (FileType::Q4KS, false) => Q4_K_S,
        (FileType::Q4KS, true) => Q4_K_S_FALCON,
        (FileType::Q4KM, false) => Q4_K_M,
        (FileType::Q4KM, true) => Q4_K_M_FALCON,
        (FileType::Q5KM, _) => Q5_K_M,
        _ => &[],
    }
}

/// The half of the positions that `_k_m` types give more bits: the first and the last eighth, and
/// between them every third.
fn more_bits(Position { index, count }: Position) -> bool {
    let eighth = count / 8;
    index < eighth || index >= 7 * count / 8 || (index - eighth) % 3 == 2
}

impl Place {
    fn holds(&self, at: Position, traits: &Traits) -> bool {
        match *self {
            Everywhere => true,
            First(n) => at.index < n,
            FirstPart(parts) => at.index < at.count / parts,
            MoreBits => more_bits(at),
            SmallValues => traits.heads_per_kv_head >= 4,
        }
    }
}

/// The choice of formats for one file, tensor by tensor.
pub(super) struct Mixture<'a> {
    file_type: FileType,
    traits: &'a Traits,
    /// Value tensors and down projections so far.
    values: usize,
    downs: usize,
}

impl<'a> Mixture<'a> {
    pub fn new(file_type: FileType, traits: &'a Traits) -> Self {
        Mixture { file_type, traits, values: 0, downs: 0 }
    }

    /// The format of the next tensor that is quantised at all, and what it stands in for.
    ///
    /// Tensors must come by ascending layer, those without one before, and by name within a layer:
    /// rules count them.
    pub fn next(&mut self, tensor: &TensorInfo) -> Result<(Format, Option<Fallback>), Error> {
        let base = self.file_type.base();
        if base.block_len() == 1 {
            return Ok((base, None));
        }
        let wanted = self.wanted(tensor)?;
        let format = fitting(wanted, tensor.dims.k());
        Ok((format, (format != wanted).then_some(Fallback { wanted })))
    }

    /// The format of a tensor whose rows are long enough.
    fn wanted(&mut self, tensor: &TensorInfo) -> Result<Format, Error> {
        let Traits { falcon, tied, eight_experts, large, .. } = *self.traits;
        let role = match Role::of(&tensor.name) {
            Role::Embedding if tied => Role::Output,
            role => role,
        };
        let base = self.file_type.base();
        let at = self.position(role, &tensor.name)?;
        let format = rules(self.file_type, falcon)
            .iter()
            .find(|rule| rule.role == role && rule.place.holds(at, self.traits))
            .map_or(base, |rule| rule.format);
        Ok(match role {
            Role::Output if falcon || base == Format::Q8_0 => Format::Q8_0,
            Role::Output => Format::Q6K,
            Role::Key | Role::Value if eight_experts => Format::Q8_0,
            // Eight query heads share a key head there: more bits cost next to nothing.
            Role::Value if large && matches!(format, Format::Q3K | Format::Q4K) => Format::Q5K,
            Role::AttentionOutput if eight_experts && !falcon => match base {
                Format::Q2K | Format::Q3K | Format::Q4K => Format::Q5K,
                _ => base,
            },
            _ => format,
        })
    }

    fn position(&mut self, role: Role, name: &str) -> Result<Position, Error> {
        let layers = self.traits.layers;
        match role {
            Role::Value => {
                self.values += 1;
                Ok(Position { index: self.values - 1, count: self.traits.values })
            }
            // A layer has many of them.
            Role::Down if self.traits.experts => match layer_of(name) {
                Some(index) if index < layers => Ok(Position { index, count: layers }),
                _ => Err(self.traits.no_layer(name)),
            },
            Role::Down => {
                self.downs += 1;
                Ok(Position { index: self.downs - 1, count: layers })
            }
            _ => Ok(Position::default()),
        }
    }
}

/// `wanted`, or what stands in for it where its block does not divide rows of `k` values: a format
/// of about the same quality with blocks of 32, or f16.
fn fitting(wanted: Format, k: usize) -> Format {
    if k.is_multiple_of(wanted.block_len()) {
        return wanted;
    }
    match wanted {
        _ if !k.is_multiple_of(BLOCK_32) => Format::F16,
        Format::Q2K | Format::Q3K => Format::Q4_0,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        // No other format that a rule names has blocks of more than 32.
        _ => Format::F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bits_are_the_outer_eighths_and_every_third_between() {
        let places = |count| {
            let digit = |index| if more_bits(Position { index, count }) { '6' } else { '4' };
            (0..count).map(digit).collect::<String>()
        };
        assert_eq!(places(0), "");
        assert_eq!(places(1), "6");
        assert_eq!(places(7), "4464466");
        assert_eq!(places(16), "6644644644644666");
        assert_eq!(places(32), "66664464464464464464464464466666");
    }
}

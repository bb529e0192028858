//! The `capabilities` register by name (section "IOMMU capabilities").

/// Single-bit capabilities: name and bit.
pub const FEATURES: &[(&str, u32)] = &[
    ("Sv32", 8),
    ("Sv39", 9),
    ("Sv48", 10),
    ("Sv57", 11),
    ("Svrsw60t59b", 14),
    ("Svpbmt", 15),
    ("Sv32x4", 16),
    ("Sv39x4", 17),
    ("Sv48x4", 18),
    ("Sv57x4", 19),
    ("AMO_MRIF", 21),
    ("MSI_FLAT", 22),
    ("MSI_MRIF", 23),
    ("AMO_HWAD", 24),
    ("ATS", 25),
    ("T2GPA", 26),
    ("END", 27),
    ("HPM", 30),
    ("DBG", 31),
    ("PD8", 38),
    ("PD17", 39),
    ("PD20", 40),
    ("QOSID", 41),
    ("NL", 42),
    ("S", 43),
];

/// MSI_FLAT: extended device contexts.
pub const MSI_FLAT: u64 = 1 << 22;
/// Sv39.
pub const SV39: u64 = 1 << 9;
/// Sv48.
pub const SV48: u64 = 1 << 10;
/// Sv57.
pub const SV57: u64 = 1 << 11;
/// Position of IGS: 0 MSI, 1 WSI, 2 both.
pub const IGS_SHIFT: u32 = 28;
/// Position of PAS.
pub const PAS_SHIFT: u32 = 32;

/// The bit of a feature.
#[must_use]
pub fn feature(name: &str) -> Option<u64> {
    FEATURES
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|&(_, bit)| 1 << bit)
}

/// Names of the features in a set of bits.
#[must_use]
pub fn names(bits: u64) -> Vec<&'static str> {
    FEATURES
        .iter()
        .filter(|&&(_, bit)| bits >> bit & 1 != 0)
        .map(|&(n, _)| n)
        .collect()
}

/// What leans on another capability, and on which.
const LEANS: &[(&str, &str)] = &[
    ("Sv48", "Sv39"),
    ("Sv57", "Sv48"),
    ("Sv48x4", "Sv39x4"),
    ("Sv57x4", "Sv48x4"),
    ("Sv32x4", "Sv32"),
    // MRIF is no use without the flat table, its atomics neither.
    ("MSI_MRIF", "MSI_FLAT"),
    ("AMO_MRIF", "MSI_MRIF"),
    ("T2GPA", "ATS"),
];

/// A mask from which also goes what leans on what it takes away: one that a block may have.
#[must_use]
pub fn legal(mut mask: u64) -> u64 {
    for &(name, on) in LEANS {
        let bit = |n| feature(n).unwrap_or(0);
        if mask & bit(on) == 0 {
            mask &= !bit(name);
        }
    }
    mask
}

/// The mask of two, one on top of the other.
#[must_use]
pub fn both(a: u64, b: u64) -> u64 {
    const IGS: u64 = 3 << IGS_SHIFT;
    const PAS: u64 = 0x3f << PAS_SHIFT;
    // 0 messages, 1 wires; 2 and 3 leave it as it is.
    let igs = if a & 2 << IGS_SHIFT != 0 { b } else { a } & IGS;
    a & b & !(IGS | PAS) | (a & PAS).min(b & PAS) | igs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leans_on_another_goes_with_it() {
        let without = |names: &[&str]| names.iter().fold(u64::MAX, |m, n| m & !feature(n).unwrap());
        assert_eq!(legal(u64::MAX), u64::MAX);
        let left = legal(without(&["Sv39", "ATS"]));
        assert_eq!(left, without(&["Sv39", "Sv48", "Sv57", "ATS", "T2GPA"]));
        let left = legal(without(&["MSI_FLAT"]));
        assert_eq!(left, without(&["MSI_FLAT", "MSI_MRIF", "AMO_MRIF"]));
    }

    #[test]
    fn a_mask_on_a_mask() {
        let pas = |n: u64| !(0x3f << PAS_SHIFT) | n << PAS_SHIFT;
        let igs = |n: u64| !(3 << IGS_SHIFT) | n << IGS_SHIFT;
        assert_eq!(both(pas(48), pas(40)), pas(40));
        assert_eq!(both(!SV57, !SV48), !(SV57 | SV48));
        assert_eq!(both(u64::MAX, igs(1)), igs(1));
        assert_eq!(both(igs(0), u64::MAX), igs(0));
    }
}

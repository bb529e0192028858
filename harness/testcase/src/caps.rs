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

//! The register page by name (section "Register layout").

/// `capabilities`.
pub const CAPABILITIES: u16 = 0;
/// `fctl`.
pub const FCTL: u16 = 8;
/// `ddtp`.
pub const DDTP: u16 = 16;
/// `cqb`.
pub const CQB: u16 = 24;
/// `cqh`.
pub const CQH: u16 = 32;
/// `cqt`.
pub const CQT: u16 = 36;
/// `fqb`.
pub const FQB: u16 = 40;
/// `fqh`.
pub const FQH: u16 = 48;
/// `fqt`.
pub const FQT: u16 = 52;
/// `pqb`.
pub const PQB: u16 = 56;
/// `pqh`.
pub const PQH: u16 = 64;
/// `pqt`.
pub const PQT: u16 = 68;
/// `cqcsr`.
pub const CQCSR: u16 = 72;
/// `fqcsr`.
pub const FQCSR: u16 = 76;
/// `pqcsr`.
pub const PQCSR: u16 = 80;
/// `ipsr`.
pub const IPSR: u16 = 84;
/// `iocountinh`.
pub const IOCOUNTINH: u16 = 92;
/// `iohpmcycles`.
pub const IOHPMCYCLES: u16 = 96;
/// `iohpmctr1`, 31 counters of 8 bytes.
pub const IOHPMCTR1: u16 = 104;
/// `iohpmevt1`, 31 selectors of 8 bytes.
pub const IOHPMEVT1: u16 = 352;
/// `tr_req_iova`.
pub const TR_REQ_IOVA: u16 = 600;
/// `tr_req_ctl`.
pub const TR_REQ_CTL: u16 = 608;
/// `tr_response`.
pub const TR_RESPONSE: u16 = 616;
/// `iommu_qosid`.
pub const IOMMU_QOSID: u16 = 624;
/// `icvec`.
pub const ICVEC: u16 = 760;
/// `msi_cfg_tbl`: 16 entries of 16 bytes.
pub const MSI_CFG_TBL: u16 = 768;

/// Name, offset, size of each register that has a name of its own.
pub const NAMED: &[(&str, u16, u8)] = &[
    ("capabilities", 0, 8),
    ("fctl", 8, 4),
    ("ddtp", 16, 8),
    ("cqb", 24, 8),
    ("cqh", 32, 4),
    ("cqt", 36, 4),
    ("fqb", 40, 8),
    ("fqh", 48, 4),
    ("fqt", 52, 4),
    ("pqb", 56, 8),
    ("pqh", 64, 4),
    ("pqt", 68, 4),
    ("cqcsr", 72, 4),
    ("fqcsr", 76, 4),
    ("pqcsr", 80, 4),
    ("ipsr", 84, 4),
    ("iocountovf", 88, 4),
    ("iocountinh", 92, 4),
    ("iohpmcycles", 96, 8),
    ("tr_req_iova", 600, 8),
    ("tr_req_ctl", 608, 8),
    ("tr_response", 616, 8),
    ("iommu_qosid", 624, 4),
    ("icvec", 760, 8),
];

/// Families of numbered registers: prefix, offset of the first, distance, size, first number,
/// last number.
const FAMILIES: &[(&str, u16, u16, u8, u16, u16)] = &[
    ("iohpmctr", 104, 8, 8, 1, 31),
    ("iohpmevt", 352, 8, 8, 1, 31),
    ("msi_addr_", 768, 16, 8, 0, 15),
    ("msi_data_", 776, 16, 4, 0, 15),
    ("msi_vec_ctl_", 780, 16, 4, 0, 15),
];

/// Offset and size of a register.
#[must_use]
pub fn find(name: &str) -> Option<(u16, u8)> {
    if let Some(&(_, offset, size)) = NAMED.iter().find(|(n, ..)| *n == name) {
        return Some((offset, size));
    }
    FAMILIES
        .iter()
        .find_map(|&(prefix, base, step, size, first, last)| {
            let n: u16 = name.strip_prefix(prefix)?.parse().ok()?;
            (first..=last)
                .contains(&n)
                .then(|| (base + step * (n - first), size))
        })
}

/// All names, for suggestions.
#[must_use]
pub fn names() -> Vec<String> {
    NAMED
        .iter()
        .map(|(n, ..)| (*n).to_owned())
        .chain(FAMILIES.iter().flat_map(|&(prefix, _, _, _, first, last)| {
            (first..=last).map(move |n| format!("{prefix}{n}"))
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_table() {
        assert_eq!(find("iohpmctr1"), Some((104, 8)));
        assert_eq!(find("iohpmctr31"), Some((344, 8)));
        assert_eq!(find("msi_vec_ctl_15"), Some((0x3fc, 4)));
        assert_eq!(find("msi_addr_16"), None);
        assert_eq!(find("nothing"), None);
        assert!(names().iter().all(|n| find(n).is_some()));
    }
}

//! Each rule of the golden model: taken, and evaluated without being taken.

use iommu_golden::config::{Reserved, WideAddress};
use iommu_golden::{Capabilities as C, Rule};

use super::{FIRST, PD, SECOND, needs_any};
use crate::cover::{Axis, Impossible, Target, Why};
use crate::{covers, first, needs, when};

const P2IOVA: &str = "Process to translate an IOVA";
const GET_DC: &str = "Process to locate the Device-context";
const GET_PC: &str = "Process to locate the Process-context";
const VATP: &str = "Virtual Address Translation Process";
const GPAT: &str = "Guest Physical Address Translation";
const DC: &str = "Device-context configuration checks";
const PC: &str = "Process-context configuration checks";
const MSI: &str = "Process to translate addresses of MSIs";
const RAS: &str = "RAS";
const TC: &str = "Translation control";

/// What a block must have so that a rule can apply.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    /// All of these.
    All(&'static str, u64),
    /// One of these.
    Any(&'static str, u64),
}
use Need::{All, Any, Nothing};

const S1: Need = Any("a first stage", FIRST);
const S2: Need = Any("a second stage", SECOND);
const PDT: Need = Any("a process directory", PD);
const FLAT: Need = All("MSI_FLAT", C::MSI_FLAT);

macro_rules! rules {
    ($($section:ident $step:literal $label:literal $need:expr;)*) => {
        /// Section, step, short name, need.
        const RULES: &[(&str, &str, &str, Need)] = &[$(($section, $step, $label, $need)),*];
    };
}

rules! {
    P2IOVA "1" "P2IOVA-1" Nothing;
    P2IOVA "2" "P2IOVA-2" Nothing;
    P2IOVA "2.a" "P2IOVA-2.a" Nothing;
    P2IOVA "5" "P2IOVA-5" Nothing;
    P2IOVA "7.a" "P2IOVA-7.a" Nothing;
    P2IOVA "7.b" "P2IOVA-7.b" Nothing;
    P2IOVA "7.c" "P2IOVA-7.c" Any("PD8 or PD17", C::PD8 | C::PD17);
    P2IOVA "8" "P2IOVA-8" All("ATS", C::ATS);
    P2IOVA "9" "P2IOVA-9" All("T2GPA", C::T2GPA);
    P2IOVA "10" "P2IOVA-10" Nothing;
    P2IOVA "12" "P2IOVA-12" Nothing;
    P2IOVA "13" "P2IOVA-13" Nothing;
    P2IOVA "15.a" "P2IOVA-15.a" PDT;
    P2IOVA "16" "P2IOVA-16" PDT;
    GET_DC "3" "GET_DC-3" Nothing;
    GET_DC "4" "GET_DC-4" Nothing;
    GET_DC "5" "GET_DC-5" Nothing;
    GET_DC "6" "GET_DC-6" Nothing;
    GET_DC "8" "GET_DC-8-access" Nothing;
    GET_DC "8 corrupt" "GET_DC-8-corrupt" Nothing;
    GET_DC "9" "GET_DC-9" Nothing;
    DC "1: reserved bits" "DC-1" Nothing;
    DC "2: EN_ATS, EN_PRI or PRPR without capabilities.ATS" "DC-2" Nothing;
    DC "3: T2GPA without EN_ATS" "DC-3" Nothing;
    DC "4: EN_PRI without EN_ATS" "DC-4" All("ATS", C::ATS);
    DC "5: PRPR without EN_PRI" "DC-5" All("ATS", C::ATS);
    DC "6: T2GPA without capabilities.T2GPA" "DC-6" All("ATS", C::ATS);
    DC "7: T2GPA with iohgatp Bare" "DC-7" All("T2GPA", C::ATS | C::T2GPA);
    DC "8: pdtp.MODE not supported" "DC-8" Nothing;
    DC "9: iosatp.MODE is not a valid encoding" "DC-9" Nothing;
    DC "10: iosatp.MODE not supported (SXL=0)" "DC-10" Nothing;
    DC "11: iosatp.MODE not supported (SXL=1)" "DC-11" Nothing;
    DC "12: DPE without PDTV" "DC-12" Nothing;
    DC "13: iohgatp.MODE is not a valid encoding" "DC-13" Nothing;
    DC "14: iohgatp.MODE not supported (GXL=0)" "DC-14" Nothing;
    DC "15: iohgatp.MODE not supported (GXL=1)" "DC-15" Any("GXL", C::SV32 | C::SV32X4);
    DC "16: msiptp.MODE is not Off and not Flat" "DC-16" FLAT;
    DC "17: second-stage root not aligned to 16 KiB" "DC-17" S2;
    DC "18: SADE or GADE without capabilities.AMO_HWAD" "DC-18" Nothing;
    DC "19: SBE differs from fctl.BE without capabilities.END" "DC-19" Nothing;
    DC "20: SXL is not a legal value" "DC-20" Nothing;
    DC "22: RCID or MCID wider than supported" "DC-22" All("QOSID", C::QOSID);
    DC "last paragraph: msiptp not Off with iohgatp Bare" "DC-last" FLAT;
    DC "note: address wider than capabilities.PAS" "DC-note" Nothing;
    GET_PC "5" "GET_PC-5" Any("PD17 or PD20", C::PD17 | C::PD20);
    GET_PC "6" "GET_PC-6" Any("PD17 or PD20", C::PD17 | C::PD20);
    GET_PC "7" "GET_PC-7" Any("PD17 or PD20", C::PD17 | C::PD20);
    GET_PC "8" "GET_PC-8" Any("PD17 or PD20", C::PD17 | C::PD20);
    GET_PC "10" "GET_PC-10-access" PDT;
    GET_PC "10 corrupt" "GET_PC-10-corrupt" PDT;
    GET_PC "11" "GET_PC-11" PDT;
    PC "1: reserved bits" "PC-1" PDT;
    PC "2: fsc.MODE is not a valid encoding" "PC-2" PDT;
    PC "3: fsc.MODE not supported (SXL=0)" "PC-3" PDT;
    PC "4: fsc.MODE not supported (SXL=1)" "PC-4" PDT;
    PC "note: address wider than capabilities.PAS" "PC-note" PDT;
    ADDRESSING "IOVA beyond the scheme" "VATP-canonical" S1;
    VATP "2" "VATP-2" S1;
    RAS "first-stage PTE corrupt" "RAS-first" S1;
    VATP "3: V=0" "VATP-3-V" S1;
    VATP "3: R=0 and W=1" "VATP-3-RW" S1;
    VATP "3: reserved bits 60:54" "VATP-3-reserved" S1;
    VATP "3: reserved PBMT encoding" "VATP-3-PBMT" S1;
    VATP "3: reserved NAPOT encoding" "VATP-3-NAPOT" S1;
    VATP "3: D, A or U in a non-leaf entry" "VATP-3-DAU" S1;
    VATP "3: PBMT or N in a non-leaf entry" "VATP-3-nonleaf" S1;
    VATP "4: pointer at the last level" "VATP-4" S1;
    VATP "5: misaligned superpage" "VATP-5" S1;
    VATP "6: user access to U=0" "VATP-6-user" S1;
    VATP "6: supervisor access to U=1 without SUM" "VATP-6-SUM" PDT;
    VATP "8: no permission" "VATP-8" S1;
    VATP "9: A or D clear, no hardware update" "VATP-9" S1;
    VATP "9: store to the PTE" "VATP-9-store" All("AMO_HWAD", C::AMO_HWAD);
    VATP "9: entry never stands still" "VATP-9-still" S1;
    GPAT "GPA beyond the scheme" "GPAT-range" S2;
    TC "SXL=1: GPA beyond bit 33" "TC-SXL" All("Sv32x4", C::SV32X4);
    GPAT "2" "GPAT-2" S2;
    RAS "second-stage PTE corrupt" "RAS-second" S2;
    GPAT "3: V=0" "GPAT-3-V" S2;
    GPAT "3: R=0 and W=1" "GPAT-3-RW" S2;
    GPAT "3: reserved bits 60:54" "GPAT-3-reserved" S2;
    GPAT "3: reserved PBMT encoding" "GPAT-3-PBMT" S2;
    GPAT "3: reserved NAPOT encoding" "GPAT-3-NAPOT" S2;
    GPAT "3: D, A or U in a non-leaf entry" "GPAT-3-DAU" S2;
    GPAT "3: PBMT or N in a non-leaf entry" "GPAT-3-nonleaf" S2;
    GPAT "4: pointer at the last level" "GPAT-4" S2;
    GPAT "5: misaligned superpage" "GPAT-5" S2;
    GPAT "6: U=0" "GPAT-6" S2;
    GPAT "8: no permission" "GPAT-8" S2;
    GPAT "9: A or D clear, no hardware update" "GPAT-9" S2;
    GPAT "9: store to the PTE" "GPAT-9-store" All("AMO_HWAD and a second stage", C::AMO_HWAD);
    GPAT "9: entry never stands still" "GPAT-9-still" S2;
    MSI "7" "MSI-7" FLAT;
    MSI "8" "MSI-8" FLAT;
    MSI "9" "MSI-9" FLAT;
    MSI "10: no custom format" "MSI-10" FLAT;
    MSI "12" "MSI-12" FLAT;
    MSI "13.a" "MSI-13.a" FLAT;
    MSI "14.a" "MSI-14.a" FLAT;
    MSI "14.b" "MSI-14.b" All("MSI_MRIF", C::MSI_MRIF);
    MSI "15.a" "MSI-15.a" FLAT;
    CAPS "translated address beyond PAS" "PAS" Nothing;
    DEBUG "MSI PTE in MRIF mode" "DBG-MRIF" All("DBG and MSI_MRIF", C::DBG | C::MSI_MRIF);
}

const ADDRESSING: &str = "Addressing and Memory Protection";
const CAPS: &str = "IOMMU capabilities";
const DEBUG: &str = "Debug support";

/// A rule of the golden model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u8);

impl Axis for RuleId {
    const NAME: &'static str = "rule";
    const COUNT: usize = RULES.len();
    #[inline]
    fn index(self) -> usize {
        self.0.into()
    }
    fn from_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }
    fn label(self) -> String {
        self.name().to_owned()
    }
}

impl RuleId {
    /// Short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        RULES[self.index()].2
    }

    /// The rule with this short name. Known at compile time, or the build fails.
    pub(crate) const fn named(name: &str) -> Self {
        let mut n = 0;
        while n < RULES.len() {
            if same(RULES[n].2, name) {
                return Self(n as u8);
            }
            n += 1;
        }
        panic!("no such rule")
    }

    /// Of the model's rule; `corrupt` where one step names two causes.
    #[must_use]
    pub fn of(rule: &Rule, corrupt: bool) -> Option<Self> {
        RULES
            .iter()
            .position(|(section, step, ..)| {
                let (step, also) = match step.strip_suffix(" corrupt") {
                    Some(step) if !step.contains(' ') => (step, true),
                    _ => (*step, false),
                };
                rule.section == *section
                    && rule.step == step
                    && (also == corrupt || !two_causes(section, step))
            })
            .map(|n| Self(n as u8))
    }

    /// Which rules can apply in a block of this configuration.
    pub(crate) fn possible(config: &iommu_golden::Config) -> Vec<bool> {
        let target = Target {
            config: config.clone(),
            device_atomics: false,
        };
        (0..RULES.len())
            .map(|n| unreachable(Self(n as u8), &target).is_none())
            .collect()
    }

    fn needs(self, target: &Target) -> Option<Why> {
        match RULES[self.index()].3 {
            Nothing => None,
            All(what, bits) => needs(target, what, bits, true),
            Any(what, bits) => needs_any(target, what, bits, true),
        }
    }
}

fn two_causes(section: &str, step: &str) -> bool {
    (section == GET_DC && step == "8") || (section == GET_PC && step == "10")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut n = 0;
    while n < a.len() {
        if a[n] != b[n] {
            return false;
        }
        n += 1;
    }
    true
}

macro_rules! list {
    ($name:ident: $($rule:literal),* $(,)?) => {
        /// Rules of an entry, in the order in which they are evaluated.
        pub(crate) const $name: &[RuleId] = &[$(RuleId::named($rule)),*];
    };
}

list!(DDT_NON_LEAF: "GET_DC-3", "GET_DC-4", "GET_DC-5", "GET_DC-6");
list!(DC_ENTRY: "GET_DC-8-access", "GET_DC-8-corrupt", "GET_DC-9", "DC-1", "DC-2", "DC-3", "DC-4",
    "DC-5", "DC-6", "DC-7", "DC-8", "DC-9", "DC-10", "DC-11", "DC-12", "DC-13", "DC-14", "DC-15", "DC-16",
    "DC-17", "DC-18", "DC-19", "DC-20", "DC-22", "DC-last", "DC-note");
list!(TYPE: "P2IOVA-7.a", "P2IOVA-7.b", "P2IOVA-7.c");
list!(PDT_NON_LEAF: "GET_PC-5", "GET_PC-6", "GET_PC-7", "GET_PC-8");
list!(PC_ENTRY: "GET_PC-10-access", "GET_PC-10-corrupt", "GET_PC-11", "PC-1", "PC-2", "PC-3", "PC-4",
    "PC-note", "P2IOVA-15.a");
list!(S1_POINTER: "VATP-2", "RAS-first", "VATP-3-V", "VATP-3-RW", "VATP-3-reserved", "VATP-3-PBMT",
    "VATP-3-DAU", "VATP-3-nonleaf", "VATP-4");
list!(S1_LEAF: "VATP-2", "RAS-first", "VATP-3-V", "VATP-3-RW", "VATP-3-reserved", "VATP-3-PBMT",
    "VATP-3-NAPOT", "VATP-5", "VATP-6-user", "VATP-6-SUM", "VATP-8", "VATP-9", "VATP-9-store", "VATP-9-still");
list!(S2_POINTER: "GPAT-2", "RAS-second", "GPAT-3-V", "GPAT-3-RW", "GPAT-3-reserved", "GPAT-3-PBMT",
    "GPAT-3-DAU", "GPAT-3-nonleaf", "GPAT-4");
list!(S2_LEAF: "GPAT-2", "RAS-second", "GPAT-3-V", "GPAT-3-RW", "GPAT-3-reserved", "GPAT-3-PBMT",
    "GPAT-3-NAPOT", "GPAT-5", "GPAT-6", "GPAT-8", "GPAT-9", "GPAT-9-store", "GPAT-9-still");
list!(MSI_BASIC: "MSI-7", "MSI-8", "MSI-9", "MSI-10", "MSI-12", "MSI-13.a", "MSI-15.a");
list!(MSI_MRIF: "MSI-7", "MSI-8", "MSI-9", "MSI-10", "MSI-12", "MSI-14.a", "MSI-14.b", "MSI-15.a");

/// Names that the collector uses by themselves.
pub(crate) mod id {
    use super::RuleId;
    pub const OFF: RuleId = RuleId::named("P2IOVA-1");
    pub const BARE: RuleId = RuleId::named("P2IOVA-2");
    pub const BARE_TYPE: RuleId = RuleId::named("P2IOVA-2.a");
    pub const WIDE: RuleId = RuleId::named("P2IOVA-5");
    pub const DONE: RuleId = RuleId::named("P2IOVA-8");
    pub const T2GPA: RuleId = RuleId::named("P2IOVA-9");
    pub const NO_PDT: RuleId = RuleId::named("P2IOVA-10");
    pub const NO_PROCESS: RuleId = RuleId::named("P2IOVA-12");
    pub const PDT_BARE: RuleId = RuleId::named("P2IOVA-13");
    pub const PROCESS: RuleId = RuleId::named("P2IOVA-16");
    pub const CANONICAL: RuleId = RuleId::named("VATP-canonical");
    pub const S2_RANGE: RuleId = RuleId::named("GPAT-range");
    pub const S2_SXL: RuleId = RuleId::named("TC-SXL");
    pub const PAS: RuleId = RuleId::named("PAS");
    pub const S1_STILL: RuleId = RuleId::named("VATP-9-still");
    pub const S2_STILL: RuleId = RuleId::named("GPAT-9-still");
    pub const DC_NOTE: RuleId = RuleId::named("DC-note");
    pub const PC_NOTE: RuleId = RuleId::named("PC-note");
    pub const DC_LAST: RuleId = RuleId::named("DC-last");
    pub const DC_QOS: RuleId = RuleId::named("DC-22");
    pub const DBG: RuleId = RuleId::named("DBG-MRIF");
    pub const S1_STORE: RuleId = RuleId::named("VATP-9-store");
    pub const S2_STORE: RuleId = RuleId::named("GPAT-9-store");
    pub const SUM: RuleId = RuleId::named("VATP-6-SUM");
    pub const USER: RuleId = RuleId::named("VATP-6-user");
}

static STANDS_STILL: Impossible = Impossible {
    name: "memory-stands-still",
    why: "the model's own bound on retries of a compare-and-swap; no memory changes 64 times under one walk",
};
static FOUND_WHEN_USED: Impossible = Impossible {
    name: "wide-addresses-found-when-used",
    why: "dut.yaml: addresses wider than PAS are found when used, not when the context is located",
};
static BARE_MSI_ACCEPTED: Impossible = Impossible {
    name: "msi-with-bare-second-stage-accepted",
    why: "dut.yaml: msiptp with iohgatp Bare is accepted",
};
static ALL_QOS_BITS: Impossible = Impossible {
    name: "all-qos-bits",
    why: "dut.yaml: RCID and MCID have all 12 bits, none is wider",
};
static NOT_OF_REQUESTS: Impossible = Impossible {
    name: "not-of-device-requests",
    why: "a rule of the debug interface: device requests do not evaluate it",
};

fn unreachable(rule: RuleId, target: &Target) -> Option<Why> {
    let c = &target.config.choices;
    first([
        when(&STANDS_STILL, [id::S1_STILL, id::S2_STILL].contains(&rule)),
        when(
            &FOUND_WHEN_USED,
            [id::DC_NOTE, id::PC_NOTE].contains(&rule)
                && c.wide_address != WideAddress::Misconfigured,
        ),
        when(
            &BARE_MSI_ACCEPTED,
            rule == id::DC_LAST && c.bare_iohgatp_with_msi != Reserved::Rejected,
        ),
        when(
            &ALL_QOS_BITS,
            rule == id::DC_QOS && c.rcid_bits >= 12 && c.mcid_bits >= 12,
        ),
        rule.needs(target),
        needs_any(
            target,
            "a second stage",
            SECOND,
            // "no valid GSCID exists" without one: an MSI table with iohgatp Bare is misconfigured.
            rule == id::S2_STORE
                || (rule.name().starts_with("MSI-")
                    && c.bare_iohgatp_with_msi == Reserved::Rejected),
        ),
    ])
}

covers! {
    /// Rules of the golden model, over all requests.
    pub struct RuleCoverage: "rule" {
        /// The rule decided: it refused the request, or chose how the translation goes on.
        must "IOVA-01" taken: [RuleId] except |(rule,), target| unreachable(rule, target);
        /// The rule was evaluated, and did not apply.
        must "IOVA-01" not_taken: [RuleId] except |(rule,), target| first([
            unreachable(rule, target),
            when(&NOT_OF_REQUESTS, rule == id::DBG),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_again() {
        for (n, (section, step, label, _)) in RULES.iter().enumerate() {
            let corrupt = matches!(*label, "GET_DC-8-corrupt" | "GET_PC-10-corrupt");
            let step: &'static str = if corrupt {
                step.split(' ').next().unwrap_or(step)
            } else {
                step
            };
            let rule = Rule { section, step };
            assert_eq!(RuleId::of(&rule, corrupt), Some(RuleId(n as u8)), "{label}");
        }
        let unknown = Rule::new("no such section", "1");
        assert_eq!(RuleId::of(&unknown, false), None);
    }

    #[test]
    fn names_are_unique() {
        for (n, r) in RULES.iter().enumerate() {
            assert!(RULES[..n].iter().all(|o| o.2 != r.2), "{}", r.2);
        }
    }
}

//! What a cached entry is, and which commands reach it (sections "Caching in-memory data
//! structures", "IOMMU Page-Table cache invalidation commands", "IOMMU directory cache
//! invalidation commands", and the non-leaf and address range extensions).
//!
//! The model has no cache. This module tells an oracle that tracks what a device under test may
//! have cached which of those entries a command must have removed.

use crate::addr::{Gpa, Iova};
use crate::caps::Capabilities;
use crate::command::{Command, Iotinval};
use crate::label::{Holder, Label};
use crate::pte::{Kind, Pte};

/// A naturally aligned range of 2^`log2` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// log2 of its size, 12 to 64.
    pub log2: u8,
}

impl Range {
    /// The range of 2^`log2` bytes that holds `address`; sizes outside 12 to 64 are clamped.
    #[must_use]
    pub const fn around(address: u64, log2: u8) -> Self {
        let log2 = if log2 < 12 {
            12
        } else if log2 > 64 {
            64
        } else {
            log2
        };
        Self {
            base: address & !Self::offset_mask(log2),
            log2,
        }
    }

    const fn offset_mask(log2: u8) -> u64 {
        if log2 >= 64 {
            u64::MAX
        } else {
            (1 << log2) - 1
        }
    }

    /// Whether the ranges share an address: aligned powers of two do if the larger holds the
    /// other's base.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        let log2 = if self.log2 > other.log2 {
            self.log2
        } else {
            other.log2
        };
        (self.base ^ other.base) & !Self::offset_mask(log2) == 0
    }
}

/// An entry with V=1 that the IOMMU may cache, with the ids that tag it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Non-leaf entry of the device directory.
    DdtNonLeaf,
    /// Device context.
    Dc {
        /// `device_id`.
        device_id: u32,
    },
    /// Non-leaf entry of a device's process directory.
    PdtNonLeaf {
        /// `device_id`.
        device_id: u32,
    },
    /// Process context.
    Pc {
        /// `device_id`.
        device_id: u32,
        /// `process_id`.
        process_id: u32,
    },
    /// A guest pointer in a directory entry, kept translated with it.
    Pointer(Holder),
    /// First-stage page-table entry.
    FirstStage {
        /// `GSCID`; `None` for host address spaces.
        gscid: Option<u16>,
        /// `PSCID`.
        pscid: u32,
        /// A global mapping.
        global: bool,
        /// Leaf, or pointer to the next level.
        leaf: bool,
        /// IOVAs that it maps or leads to.
        range: Range,
    },
    /// Second-stage page-table entry.
    SecondStage {
        /// `GSCID`.
        gscid: u16,
        /// Leaf, or pointer to the next level.
        leaf: bool,
        /// GPAs that it maps or leads to.
        range: Range,
    },
    /// MSI page-table entry.
    MsiPte {
        /// `GSCID`, if a second stage is in use.
        gscid: Option<u16>,
        /// The guest page.
        range: Range,
    },
}

/// log2 of the bytes of the one NAPOT region that Svnapot has.
pub const NAPOT_LOG2: u8 = 16;

impl Entry {
    /// What of this entry serves the address of a load. Svnapot: "Implicit reads of NAPOT page
    /// table entries may create address-translation cache entries mapping a + j*PTESIZE ... for any
    /// or all j" of the region: each of its pages may be an entry of its own, and a command that
    /// names one of them need not reach the others. A superpage is one entry.
    #[must_use]
    pub const fn serving(self, label: &Label) -> Self {
        match (self, label) {
            (
                Self::FirstStage {
                    gscid,
                    pscid,
                    global,
                    leaf: true,
                    range:
                        Range {
                            log2: NAPOT_LOG2, ..
                        },
                },
                Label::FirstStage { iova, .. },
            ) => Self::FirstStage {
                gscid,
                pscid,
                global,
                leaf: true,
                range: Range::around(iova.0, 12),
            },
            (
                Self::SecondStage {
                    gscid,
                    leaf: true,
                    range:
                        Range {
                            log2: NAPOT_LOG2, ..
                        },
                },
                Label::SecondStage { gpa, .. },
            ) => Self::SecondStage {
                gscid,
                leaf: true,
                range: Range::around(gpa.0, 12),
            },
            _ => self,
        }
    }

    /// The pages of a NAPOT region; `None` for every other entry.
    #[must_use]
    pub fn pages(self) -> Option<impl Iterator<Item = Self>> {
        let (Self::FirstStage {
            leaf: true, range, ..
        }
        | Self::SecondStage {
            leaf: true, range, ..
        }) = self
        else {
            return None;
        };
        (range.log2 == NAPOT_LOG2).then(|| {
            (0..1u64 << (NAPOT_LOG2 - 12)).map(move |n| {
                let mut page = self;
                if let Self::FirstStage { range, .. } | Self::SecondStage { range, .. } = &mut page
                {
                    *range = Range::around(range.base + (n << 12), 12);
                }
                page
            })
        })
    }
}

/// What the IOMMU may cache of a load that returned `words` (values: byte order resolved): the
/// entry itself, and the translated pointer that a directory entry may keep of it.
///
/// Both are `None` for V=0: "This specification does not allow the caching of (entries) whose V
/// (valid) bit is clear", and for accesses to queues and interrupt files.
#[must_use]
pub fn describe(caps: Capabilities, label: &Label, words: &[u64]) -> [Option<Entry>; 2] {
    let first = words.first().copied().unwrap_or(0);
    if first & 1 == 0 {
        return [None, None];
    }
    let pte = Pte(first);
    match *label {
        Label::DdtNonLeaf { .. } => [Some(Entry::DdtNonLeaf), None],
        Label::Dc { device_id } => [Some(Entry::Dc { device_id }), None],
        Label::PdtNonLeaf { device_id, .. } => [Some(Entry::PdtNonLeaf { device_id }), None],
        Label::Pc {
            device_id,
            process_id,
        } => [
            Some(Entry::Pc {
                device_id,
                process_id,
            }),
            None,
        ],
        Label::FirstStage {
            gscid,
            pscid,
            iova: Iova(iova),
            level,
            range_log2,
            global,
        } => {
            let leaf = is_leaf(pte, caps, level);
            let range = Range::around(iova, size(pte, leaf, level, range_log2));
            [
                Some(Entry::FirstStage {
                    gscid,
                    pscid,
                    global: global || pte.g(),
                    leaf,
                    range,
                }),
                None,
            ]
        }
        Label::SecondStage {
            gscid,
            gpa: Gpa(gpa),
            level,
            range_log2,
            holder,
            ..
        } => {
            let leaf = is_leaf(pte, caps, level);
            let range = Range::around(gpa, size(pte, leaf, level, range_log2));
            [
                Some(Entry::SecondStage { gscid, leaf, range }),
                holder.map(Entry::Pointer),
            ]
        }
        Label::MsiPte { gscid, gpa } => [
            Some(Entry::MsiPte {
                gscid,
                range: Range::around(gpa.0, 12),
            }),
            None,
        ],
        Label::Mrif
        | Label::Notice
        | Label::CommandQueue
        | Label::Fence
        | Label::FaultQueue
        | Label::PageRequestQueue
        | Label::Msi => [None, None],
    }
}

/// Whether a valid page-table entry, of which this is the first doubleword, is kept as a leaf; false
/// for a pointer. None for an entry with V=0, and for all other structures.
#[must_use]
pub const fn leaf(caps: Capabilities, label: &Label, first: u64) -> Option<bool> {
    match *label {
        Label::FirstStage { level, .. } | Label::SecondStage { level, .. } if first & 1 == 1 => {
            Some(is_leaf(Pte(first), caps, level))
        }
        _ => None,
    }
}

/// Whether a page-table entry is a leaf that translates, permissions and A/D aside: valid, and no
/// misaligned superpage.
#[must_use]
pub const fn translates(caps: Capabilities, label: &Label, first: u64) -> bool {
    match *label {
        Label::FirstStage {
            level, range_log2, ..
        }
        | Label::SecondStage {
            level, range_log2, ..
        } => {
            let pte = Pte(first);
            let aligned = pte.n() || !pte.misaligned_in(range_log2);
            matches!(pte.kind(caps, level), Kind::Leaf) && aligned
        }
        _ => false,
    }
}

const fn is_leaf(pte: Pte, caps: Capabilities, level: u8) -> bool {
    !matches!(pte.kind(caps, level), Kind::Pointer)
}

fn size(pte: Pte, leaf: bool, level: u8, range_log2: u8) -> u8 {
    // "a range is the whole superpage or NAPOT region"
    if leaf && level == 0 && pte.n() {
        range_log2.max(16)
    } else {
        range_log2
    }
}

/// The addresses that an `IOTINVAL` with AV=1 names: one page, or with S the NAPOT range.
#[must_use]
pub const fn operand_range(o: &Iotinval) -> Range {
    if !o.s {
        return Range::around(o.addr << 12, 12);
    }
    // "Starting from bit position 0 of the ADDR operand, if the first 0 bit is at position X, the
    // range size is 2^(X+1) * 4 KiB." With all 52 bits 1 the behaviour is UNSPECIFIED: everything.
    let x = (o.addr | !((1 << 52) - 1)).trailing_ones() as u8;
    Range::around(o.addr << 12, if x >= 52 { 64 } else { x + 1 + 12 })
}

/// Whether a completed `command` must have removed `entry`; of a NAPOT region, some of it (see
/// [`Entry::serving`]).
#[must_use]
pub fn covers(command: &Command, entry: &Entry) -> bool {
    match command {
        Command::InvalDdt { device_id } => inval_ddt(*device_id, entry),
        Command::InvalPdt {
            device_id,
            process_id,
        } => inval_pdt(*device_id, *process_id, entry),
        Command::IotinvalVma(o) => vma(o, entry),
        Command::IotinvalGvma(o) => gvma(o, entry),
        Command::Iofence(_) | Command::AtsInval(_) | Command::AtsPrgr(_) => false,
    }
}

/// "If DV is 0, then the command invalidates all DDT and PDT entries cached for all devices. If DV
/// is 1, then the command invalidates cached leaf-level DDT entry for the device identified by DID
/// operand and all associated PDT entries."
fn inval_ddt(did: Option<u32>, entry: &Entry) -> bool {
    let device = match entry {
        Entry::DdtNonLeaf => return did.is_none(),
        Entry::Dc { device_id } | Entry::PdtNonLeaf { device_id } | Entry::Pc { device_id, .. } => {
            device_id
        }
        Entry::Pointer(
            Holder::Dc { device_id }
            | Holder::PdtNonLeaf { device_id }
            | Holder::Pc { device_id, .. },
        ) => device_id,
        Entry::FirstStage { .. } | Entry::SecondStage { .. } | Entry::MsiPte { .. } => {
            return false;
        }
    };
    did.is_none_or(|d| d == *device)
}

/// "The command invalidates cached leaf PDT entry for the specified PID and DID."
fn inval_pdt(did: u32, pid: u32, entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::Pc { device_id, process_id } | Entry::Pointer(Holder::Pc { device_id, process_id })
            if *device_id == did && *process_id == pid
    )
}

/// Table "IOTINVAL.VMA operands and operations" and its extension by NL.
fn vma(o: &Iotinval, entry: &Entry) -> bool {
    let Entry::FirstStage {
        gscid,
        pscid,
        global,
        leaf,
        range,
    } = entry
    else {
        return false;
    };
    // "When GV is 0, the translations associated with the host (i.e. those where the second-stage
    // is Bare) are operated on."
    let space = if o.gv {
        *gscid == Some(o.gscid)
    } else {
        gscid.is_none()
    };
    // "for the ... address space identified by PSCID ..., except for entries containing global
    // mappings"
    let process = !o.pscv || (*pscid == o.pscid && !global);
    // "entries that contain first-stage leaf page table entries ... corresponding to the IOVA in
    // ADDR operand"; with NL "information cached from all levels".
    let address = !o.av || ((*leaf || o.nl) && range.overlaps(operand_range(o)));
    space && process && address
}

/// Table "IOTINVAL.GVMA operands and operations" and its extension by NL. "MSI page table:
/// GSCID, GPA: IOTINVAL.GVMA".
fn gvma(o: &Iotinval, entry: &Entry) -> bool {
    let (gscid, leaf, range) = match entry {
        Entry::SecondStage { gscid, leaf, range } => (Some(*gscid), *leaf, range),
        Entry::MsiPte { gscid, range } => (*gscid, true, range),
        _ => return false,
    };
    // GV=0: "Invalidates information cached from any level of the second-stage page table, for
    // all VM address spaces."
    if !o.gv {
        return true;
    }
    gscid == Some(o.gscid) && (!o.av || ((leaf || o.nl) && range.overlaps(operand_range(o))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Iotinval = Iotinval {
        gv: false,
        av: false,
        pscv: false,
        nl: false,
        s: false,
        gscid: 7,
        pscid: 9,
        addr: 0x1234,
    };

    fn first(
        gscid: Option<u16>,
        pscid: u32,
        global: bool,
        leaf: bool,
        page: u64,
        log2: u8,
    ) -> Entry {
        Entry::FirstStage {
            gscid,
            pscid,
            global,
            leaf,
            range: Range::around(page << 12, log2),
        }
    }

    #[test]
    fn vma_rows_of_the_table() {
        // (GV, AV, PSCV, NL) against every kind of entry, by the words of each row.
        for n in 0..16u32 {
            let o = Iotinval {
                gv: n & 1 != 0,
                av: n & 2 != 0,
                pscv: n & 4 != 0,
                nl: n & 8 != 0,
                ..BASE
            };
            for gscid in [None, Some(7), Some(8)] {
                for pscid in [9, 10] {
                    for global in [false, true] {
                        for leaf in [false, true] {
                            for page in [0x1234, 0x1235] {
                                let e = first(gscid, pscid, global, leaf, page, 12);
                                let mut want = if o.gv {
                                    gscid == Some(7)
                                } else {
                                    gscid.is_none()
                                };
                                if o.pscv && (pscid != 9 || global) {
                                    want = false;
                                }
                                if o.av && (page != 0x1234 || !leaf && !o.nl) {
                                    want = false;
                                }
                                assert_eq!(
                                    covers(&Command::IotinvalVma(o), &e),
                                    want,
                                    "{o:?} {e:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
        // Nothing else is reached.
        for e in [
            Entry::DdtNonLeaf,
            Entry::Dc { device_id: 1 },
            Entry::Pc {
                device_id: 1,
                process_id: 1,
            },
            Entry::SecondStage {
                gscid: 7,
                leaf: true,
                range: Range::around(0, 12),
            },
            Entry::MsiPte {
                gscid: Some(7),
                range: Range::around(0, 12),
            },
        ] {
            assert!(!covers(&Command::IotinvalVma(BASE), &e));
            assert!(!covers(
                &Command::IotinvalVma(Iotinval { gv: true, ..BASE }),
                &e
            ));
        }
    }

    #[test]
    fn gvma_rows_of_the_table() {
        for n in 0..8u32 {
            let o = Iotinval {
                gv: n & 1 != 0,
                av: n & 2 != 0,
                nl: n & 4 != 0,
                ..BASE
            };
            for gscid in [7, 8] {
                for page in [0x1234, 0x1235] {
                    for leaf in [false, true] {
                        let range = Range::around(page << 12, 12);
                        let e = Entry::SecondStage { gscid, leaf, range };
                        let want =
                            !o.gv || gscid == 7 && (!o.av || page == 0x1234 && (leaf || o.nl));
                        assert_eq!(covers(&Command::IotinvalGvma(o), &e), want, "{o:?} {e:?}");
                    }
                    let e = Entry::MsiPte {
                        gscid: Some(gscid),
                        range: Range::around(page << 12, 12),
                    };
                    let want = !o.gv || gscid == 7 && (!o.av || page == 0x1234);
                    assert_eq!(covers(&Command::IotinvalGvma(o), &e), want);
                }
            }
            assert!(!covers(
                &Command::IotinvalGvma(o),
                &first(Some(7), 9, false, true, 0x1234, 12)
            ));
        }
    }

    #[test]
    fn superpages_and_napot_operands() {
        // Any page of a superpage invalidates it.
        let e = first(None, 9, false, true, 0x1200, 21);
        assert!(covers(
            &Command::IotinvalVma(Iotinval { av: true, ..BASE }),
            &e
        ));
        // ARINV: X=0 is 8 KiB.
        let o = Iotinval {
            s: true,
            addr: 0x1234,
            ..BASE
        };
        assert_eq!(
            operand_range(&o),
            Range {
                base: 0x1234 << 12,
                log2: 13
            }
        );
        let o = Iotinval {
            s: true,
            addr: 0x1237,
            ..BASE
        };
        assert_eq!(
            operand_range(&o),
            Range {
                base: 0x1230 << 12,
                log2: 16
            }
        );
        // "most significant bit of the ADDR operand is 0 while all other bits are 1, the specified
        // address range covers the entire address space"
        let o = Iotinval {
            s: true,
            addr: (1 << 51) - 1,
            ..BASE
        };
        assert_eq!(operand_range(&o), Range { base: 0, log2: 64 });
        assert!(covers(
            &Command::IotinvalVma(Iotinval { av: true, ..o }),
            &e
        ));
    }

    #[test]
    fn directory_commands() {
        let ddt = |device_id| Command::InvalDdt { device_id };
        let all = [
            Entry::DdtNonLeaf,
            Entry::Dc { device_id: 1 },
            Entry::PdtNonLeaf { device_id: 1 },
            Entry::Pc {
                device_id: 1,
                process_id: 2,
            },
            Entry::Pointer(Holder::Dc { device_id: 1 }),
            Entry::Pointer(Holder::PdtNonLeaf { device_id: 1 }),
            Entry::Pointer(Holder::Pc {
                device_id: 1,
                process_id: 2,
            }),
        ];
        for e in &all {
            assert!(covers(&ddt(None), e));
            // INVAL_DDT also drops PDT entries, but no non-leaf DDT entry.
            assert_eq!(covers(&ddt(Some(1)), e), *e != Entry::DdtNonLeaf);
            assert!(!covers(&ddt(Some(2)), e));
            let pc = matches!(e, Entry::Pc { .. } | Entry::Pointer(Holder::Pc { .. }));
            assert_eq!(
                covers(
                    &Command::InvalPdt {
                        device_id: 1,
                        process_id: 2
                    },
                    e
                ),
                pc
            );
            assert!(!covers(
                &Command::InvalPdt {
                    device_id: 1,
                    process_id: 3
                },
                e
            ));
            // "The IOTINVAL command has no effect on the IOMMU directory caches."
            assert!(!covers(&Command::IotinvalGvma(BASE), e));
            assert!(!covers(&Command::IotinvalVma(BASE), e));
        }
    }

    #[test]
    fn only_valid_entries_are_cached_and_global_is_inherited() {
        let caps = Capabilities::version_1_0();
        let label = Label::FirstStage {
            gscid: None,
            pscid: 1,
            iova: Iova(0x1_2345_6000),
            level: 0,
            range_log2: 12,
            global: true,
        };
        assert_eq!(describe(caps, &label, &[0xfe]), [None, None]);
        let Some(Entry::FirstStage {
            global,
            leaf,
            range,
            ..
        }) = describe(caps, &label, &[0xdf | 1 << 63 | 8 << 10])[0]
        else {
            panic!()
        };
        assert_eq!(
            (global, leaf, range),
            (
                true,
                true,
                Range {
                    base: 0x1_2345_0000,
                    log2: 16
                }
            )
        );
    }
}

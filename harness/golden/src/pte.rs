//! Page-table entries and the part of "Virtual Address Translation Process" (privileged
//! specification, section of Sv32) that looks at one entry alone: steps 3 to 8 and 10.

use crate::caps::Capabilities;
use crate::context::{FirstStageMode, SecondStageMode};
use crate::outcome::{Pbmt, Permissions};

/// Shape of a paged scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme {
    /// LEVELS.
    pub levels: u8,
    /// log2 of the entries of a table.
    pub index_bits: u8,
    /// PTESIZE.
    pub pte_size: u8,
    /// Bits of the incoming address.
    pub va_bits: u8,
    /// Extra index bits at the root (2 for the x4 schemes).
    pub root_extra: u8,
}

impl Scheme {
    const fn new(levels: u8, index_bits: u8, pte_size: u8, root_extra: u8) -> Self {
        Self {
            levels,
            index_bits,
            pte_size,
            va_bits: 12 + levels * index_bits + root_extra,
            root_extra,
        }
    }

    /// The scheme of a first-stage mode; `None` for Bare.
    #[inline]
    pub const fn first(mode: FirstStageMode) -> Option<Self> {
        match mode {
            FirstStageMode::Bare => None,
            // "(For Sv32, PAGESIZE=2^12 and LEVELS=2.)" "(For Sv32, PTESIZE=4.)"
            FirstStageMode::Sv32 => Some(Self::new(2, 10, 4, 0)),
            // "except LEVELS equals 3 and PTESIZE equals 8"
            FirstStageMode::Sv39 => Some(Self::new(3, 9, 8, 0)),
            FirstStageMode::Sv48 => Some(Self::new(4, 9, 8, 0)),
            FirstStageMode::Sv57 => Some(Self::new(5, 9, 8, 0)),
        }
    }

    /// The scheme of a second-stage mode; `None` for Bare. "the size of the incoming address
    /// is widened by 2 bits ... the root page table (only) is expanded by a factor of 4".
    #[inline]
    pub const fn second(mode: SecondStageMode) -> Option<Self> {
        match mode {
            SecondStageMode::Bare => None,
            SecondStageMode::Sv32x4 => Some(Self::new(2, 10, 4, 2)),
            SecondStageMode::Sv39x4 => Some(Self::new(3, 9, 8, 2)),
            SecondStageMode::Sv48x4 => Some(Self::new(4, 9, 8, 2)),
            SecondStageMode::Sv57x4 => Some(Self::new(5, 9, 8, 2)),
        }
    }

    /// log2 of the range that an entry of level `i` covers.
    #[inline]
    pub const fn range_log2(&self, i: u8) -> u8 {
        12 + i * self.index_bits
    }

    /// va.vpn[i]
    #[inline]
    pub const fn index(&self, va: u64, i: u8) -> u64 {
        let bits = self.index_bits
            + if i + 1 == self.levels {
                self.root_extra
            } else {
                0
            };
        (va >> self.range_log2(i)) & ((1 << bits) - 1)
    }
}

/// A page-table entry as a value (4-byte entries zero-extended).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pte(pub u64);

/// What an entry is, by steps 3 and 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Step 3 refuses it.
    NotValid(&'static str),
    /// Pointer to the next level.
    Pointer,
    /// Leaf.
    Leaf,
}

/// A/D bits.
pub(crate) const A: u64 = 1 << 6;
pub(crate) const D: u64 = 1 << 7;

impl Pte {
    const fn bit(self, n: u32) -> bool {
        self.0 >> n & 1 == 1
    }
    pub const fn r(self) -> bool {
        self.bit(1)
    }
    pub const fn w(self) -> bool {
        self.bit(2)
    }
    pub const fn x(self) -> bool {
        self.bit(3)
    }
    pub const fn u(self) -> bool {
        self.bit(4)
    }
    pub const fn g(self) -> bool {
        self.bit(5)
    }
    pub const fn a(self) -> bool {
        self.bit(6)
    }
    pub const fn d(self) -> bool {
        self.bit(7)
    }
    pub const fn n(self) -> bool {
        self.bit(63)
    }

    /// Bits 53:10 (Sv32: 31:10, the bits above being zero).
    pub const fn ppn(self) -> u64 {
        self.0 >> 10 & ((1 << 44) - 1)
    }

    pub const fn permissions(self) -> Permissions {
        Permissions {
            read: self.r(),
            write: self.w(),
            execute: self.x(),
        }
    }

    /// Memory type of a valid leaf.
    pub const fn pbmt(self) -> Pbmt {
        match Pbmt::from_code(self.0 >> 61 & 3) {
            Some(p) => p,
            None => Pbmt::Pma,
        }
    }

    /// Steps 3 and 4, for an entry of level `i`: "If pte.v=0, or if pte.r=0 and pte.w=1, or if
    /// any bits or encodings that are reserved for future standard use are set within pte".
    ///
    /// V=0 comes first: "if it is 0, all other bits in the PTE are don't-cares".
    #[inline]
    pub const fn kind(self, caps: Capabilities, i: u8) -> Kind {
        if !self.bit(0) {
            return Kind::NotValid("3: V=0");
        }
        // The encodings xwr=010 and 110; 010 "remains a reserved encoding for IO transactions".
        if !self.r() && self.w() {
            return Kind::NotValid("3: R=0 and W=1");
        }
        // "Bits 60-54 are reserved for future standard use", 60-59 but for Svrsw60t59b.
        let soft = if caps.has(Capabilities::SVRSW60T59B) {
            3 << 59
        } else {
            0
        };
        if self.0 & (0x7f << 54) & !soft != 0 {
            return Kind::NotValid("3: reserved bits 60:54");
        }
        // "If Svpbmt is not implemented, bits 62-61 remain reserved"; with it, 3 is reserved.
        let pbmt = self.0 >> 61 & 3;
        if pbmt == 3 || (pbmt != 0 && !caps.has(Capabilities::SVPBMT)) {
            return Kind::NotValid("3: reserved PBMT encoding");
        }
        // "If pte.r=1 or pte.x=1 ... Otherwise, this PTE is a pointer"
        if self.r() || self.x() {
            // Svnapot: only 64 KiB, that is i=0 and ppn[3:0]=1000, is not reserved.
            if self.n() && (i != 0 || self.ppn() & 0xf != 8) {
                return Kind::NotValid("3: reserved NAPOT encoding");
            }
            return Kind::Leaf;
        }
        // "For non-leaf PTEs, the D, A, and U bits are reserved for future standard use."
        if self.0 & (A | D) != 0 || self.u() {
            return Kind::NotValid("3: D, A or U in a non-leaf entry");
        }
        // PBMT and N are reserved in non-leaf entries as well.
        if pbmt != 0 || self.n() {
            return Kind::NotValid("3: PBMT or N in a non-leaf entry");
        }
        Kind::Pointer
    }

    /// log2 of the range that this leaf of level `i` covers.
    #[inline]
    pub const fn leaf_range_log2(self, scheme: &Scheme, i: u8) -> u8 {
        if self.n() { 16 } else { scheme.range_log2(i) }
    }

    /// Step 5: "If i>0 and pte.ppn[i-1:0] != 0, this is a misaligned superpage".
    #[inline]
    pub const fn misaligned(self, scheme: &Scheme, i: u8) -> bool {
        self.misaligned_in(scheme.range_log2(i))
    }

    /// The same of an entry whose range has 2^`range_log2` bytes.
    #[inline]
    pub const fn misaligned_in(self, range_log2: u8) -> bool {
        self.ppn() & ((1 << (range_log2 - 12)) - 1) != 0
    }

    /// Step 10: the translated address. For NAPOT, ppn[3:0] stands for va.vpn[3:0].
    #[inline]
    pub const fn address(self, scheme: &Scheme, i: u8, va: u64) -> u64 {
        let in_page = (1u64 << self.leaf_range_log2(scheme, i)) - 1;
        (self.ppn() << 12 & !in_page) | (va & in_page)
    }
}

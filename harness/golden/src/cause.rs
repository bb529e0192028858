//! Fault causes (table "Fault record CAUSE field encodings").

use std::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $n:literal, $text:literal, $dtf:literal;)*) => {
        /// Cause of a fault or event, with the number it has in a fault record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        #[allow(missing_docs)] // each variant is its row of the table, given by `text`
        pub enum Cause {
            $($(#[$doc])* #[doc = $text] $name = $n,)*
        }

        impl Cause {
            /// Every cause that the table defines.
            pub const ALL: &'static [Cause] = &[$(Cause::$name,)*];

            /// The table's description.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Cause::$name => $text,)* }
            }

            /// The table's column "Reported if DTF is 1?".
            #[must_use]
            pub const fn reported_with_dtf(self) -> bool {
                match self { $(Cause::$name => $dtf,)* }
            }

            /// The cause with number `n`, if the table defines it.
            #[must_use]
            pub const fn from_code(n: u16) -> Option<Cause> {
                match n { $($n => Some(Cause::$name),)* _ => None }
            }
        }
    };
}

causes! {
    InstructionAccessFault = 1, "Instruction access fault", false;
    ReadAddressMisaligned = 4, "Read address misaligned", false;
    ReadAccessFault = 5, "Read access fault", false;
    WriteAddressMisaligned = 6, "Write/AMO address misaligned", false;
    WriteAccessFault = 7, "Write/AMO access fault", false;
    InstructionPageFault = 12, "Instruction page fault", false;
    ReadPageFault = 13, "Read page fault", false;
    WritePageFault = 15, "Write/AMO page fault", false;
    InstructionGuestPageFault = 20, "Instruction guest page fault", false;
    ReadGuestPageFault = 21, "Read guest-page fault", false;
    WriteGuestPageFault = 23, "Write/AMO guest-page fault", false;
    AllInboundDisallowed = 256, "All inbound transactions disallowed", true;
    DdtLoadAccessFault = 257, "DDT entry load access fault", true;
    DdtNotValid = 258, "DDT entry not valid", true;
    DdtMisconfigured = 259, "DDT entry misconfigured", true;
    TypeDisallowed = 260, "Transaction type disallowed", false;
    MsiPteLoadAccessFault = 261, "MSI PTE load access fault", false;
    MsiPteNotValid = 262, "MSI PTE not valid", false;
    MsiPteMisconfigured = 263, "MSI PTE misconfigured", false;
    MrifAccessFault = 264, "MRIF access fault", false;
    PdtLoadAccessFault = 265, "PDT entry load access fault", false;
    PdtNotValid = 266, "PDT entry not valid", false;
    PdtMisconfigured = 267, "PDT entry misconfigured", false;
    DdtCorruption = 268, "DDT data corruption", true;
    PdtCorruption = 269, "PDT data corruption", false;
    MsiPtCorruption = 270, "MSI PT data corruption", false;
    MrifCorruption = 271, "MSI MRIF data corruption", false;
    InternalDataPathError = 272, "Internal data path error", true;
    MsiWriteAccessFault = 273, "IOMMU MSI write access fault", true;
    PtCorruption = 274, "First/second-stage PT data corruption", false;
}

impl Cause {
    /// The number in a fault record's `CAUSE` field.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether this is one of the three guest-page faults, which report a GPA in `iotval2`.
    #[must_use]
    pub const fn is_guest_page_fault(self) -> bool {
        matches!(
            self,
            Cause::InstructionGuestPageFault
                | Cause::ReadGuestPageFault
                | Cause::WriteGuestPageFault
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (cause = {})", self.text(), self.code())
    }
}

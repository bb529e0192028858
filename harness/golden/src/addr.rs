//! Addresses of the three address spaces, so that none is taken for another.

use std::fmt;

/// Bytes of a page, the unit of every table of the specification.
pub const PAGE_SIZE: u64 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The page number: the address shifted right by 12.
            #[must_use]
            pub const fn page(self) -> u64 {
                self.0 >> 12
            }

            /// The offset in the page, bits 11:0.
            #[must_use]
            pub const fn offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }

            /// First byte of page `ppn`; page-number bits that leave 64 bits are dropped.
            #[must_use]
            pub const fn from_page(ppn: u64) -> Self {
                Self(ppn << 12)
            }

            /// The address `n` bytes on, wrapping at 2^64.
            #[must_use]
            pub const fn offset_by(self, n: u64) -> Self {
                Self(self.0.wrapping_add(n))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// I/O virtual address: what a device puts on the bus.
    Iova
}
address! {
    /// Guest physical address: what the first stage yields and the second stage takes.
    Gpa
}
address! {
    /// Supervisor physical address: what memory is addressed with.
    Spa
}

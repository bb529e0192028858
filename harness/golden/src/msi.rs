//! MSI address translation (section "Process to translate addresses of MSIs").

use crate::addr::{Gpa, Spa};
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::context::DeviceContext;
use crate::label::Label;
use crate::memory::{MemError, Memory};
use crate::observe::Observer;
use crate::outcome::Permissions;
use crate::request::{Access, RequestKind};
use crate::walk::{Fault, Walker};

const MSI: &str = "Process to translate addresses of MSIs";

/// What an MSI page-table entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MsiPage {
    /// Basic translate mode: the translated address.
    Basic(u64),
    /// MRIF mode.
    Mrif { mrif: Spa, notice: Spa, nid: u16 },
}

/// "discards all bits from x whose matching bits in the same positions in the mask y are zeros,
/// and packs the remaining bits from x contiguously at the least-significant end of the result,
/// keeping the same bit order as x and filling any other bits ... with zeros"
#[must_use]
pub const fn extract(x: u64, y: u64) -> u64 {
    let (mut result, mut at, mut rest) = (0, 0, y);
    while rest != 0 {
        let n = rest.trailing_zeros();
        result |= (x >> n & 1) << at;
        at += 1;
        rest &= rest - 1;
    }
    result
}

/// Permissions of step 16: "R=W=U=1 and X=0".
pub(crate) const MSI_PERMISSIONS: Permissions = Permissions {
    read: true,
    write: true,
    execute: false,
};

impl<M: Memory, O: Observer> Walker<'_, M, O> {
    /// Steps 1 to 17; `None` if `gpa` is not that of a virtual interrupt file.
    pub(crate) fn msi(&mut self, dc: &DeviceContext, gpa: u64) -> Result<Option<MsiPage>, Fault> {
        let iommu = self.iommu;
        let caps = iommu.config.capabilities;
        // 3. and 4. "If the address is not determined to be that of a virtual interrupt file then
        // stop this process and instead use the regular translation data structures"
        if !dc.is_interrupt_file(gpa >> 12) {
            return Ok(None);
        }
        // 5. "I = extract(A >> 12, DC.msi_addr_mask)"
        let number = extract(gpa >> 12, dc.msi_addr_mask);
        // 6. "Let m be (DC.msiptp.PPN x 2^12)."
        let m = dc.msiptp_ppn() << 12;
        // 7. "Let msipte be the value of sixteen bytes at address (m | (I x 16))." I has at most
        // 52 bits, so I x 16 has at most 56.
        let mut msipte = [0; 2];
        let label = Label::MsiPte {
            gscid: (dc.iohgatp_mode() != 0).then(|| dc.gscid()),
            gpa: Gpa(gpa),
        };
        match self.load_entry(m | number << 4, &mut msipte, label, iommu.regs.be) {
            Err(MemError::Access) => {
                return Err(Fault::new(Cause::MsiPteLoadAccessFault, MSI, "7"));
            }
            // 8. "If msipte access detects a data corruption ... (cause = 270)."
            Err(MemError::Corrupt) => return Err(Fault::new(Cause::MsiPtCorruption, MSI, "8")),
            Ok(()) => {}
        }
        let [w0, w1] = msipte;
        // 9. "If msipte.V == 0 ... (cause = 262)."
        if w0 & 1 == 0 {
            return Err(Fault::new(Cause::MsiPteNotValid, MSI, "9"));
        }
        // 10. "If msipte.C == 1, then further processing to interpret the PTE is implementation
        // defined." The model has no custom format.
        if w0 >> 63 == 1 {
            return Err(Fault::new(
                Cause::MsiPteMisconfigured,
                MSI,
                "10: no custom format",
            ));
        }
        let page = match w0 >> 1 & 3 {
            // 13. "If msipte.M == 3 the PTE is in basic translate mode"
            3 => {
                // a. reserved bits: all but C, PPN, M and V. The second doubleword is ignored.
                if w0 & !(1 << 63 | ((1 << 44) - 1) << 10 | 7) != 0 {
                    return Err(Fault::new(Cause::MsiPteMisconfigured, MSI, "13.a"));
                }
                // b. "Compute the translated address as msipte.PPN << 12 | A[11:0]."
                MsiPage::Basic((w0 >> 10 & ((1 << 44) - 1)) << 12 | gpa & 0xfff)
            }
            // 14. "If msipte.M == 1 the PTE is in MRIF mode"
            1 => {
                // a. "If capabilities.MSI_MRIF == 0 ... (cause = 263)."
                if !caps.has(Capabilities::MSI_MRIF) {
                    return Err(Fault::new(Cause::MsiPteMisconfigured, MSI, "14.a"));
                }
                // b. reserved bits: first doubleword all but C, MRIF_Address 53:7, M and V;
                // second all but N10 (60), NPPN (53:10) and N (9:0).
                let first = 1 << 63 | ((1 << 47) - 1) << 7 | 7;
                let second = 1 << 60 | ((1 << 54) - 1);
                if w0 & !first != 0 || w1 & !second != 0 {
                    return Err(Fault::new(Cause::MsiPteMisconfigured, MSI, "14.b"));
                }
                MsiPage::Mrif {
                    // c. "msipte.MRIF_Address[55:9] * 512"
                    mrif: Spa((w0 >> 7 & ((1 << 47) - 1)) << 9),
                    // d. "msipte.NPPN << 12"
                    notice: Spa((w1 >> 10 & ((1 << 44) - 1)) << 12),
                    // e. "(msipte.N10 << 10) | msipte.N[9:0]"
                    nid: ((w1 >> 60 & 1) << 10 | w1 & 0x3ff) as u16,
                }
            }
            // 12. "If msipte.M == 0 or msipte.M == 2 ... (cause = 263)."
            _ => return Err(Fault::new(Cause::MsiPteMisconfigured, MSI, "12")),
        };
        // 15. "R=W=U=1 and X=0": "If the transaction is an Untranslated or Translated
        // read-for-execute then stop and report Instruction access fault (cause = 1)."
        if self.req.kind != RequestKind::AtsTranslation && self.req.access == Access::Execute {
            return Err(Fault::new(Cause::InstructionAccessFault, MSI, "15.a"));
        }
        // 16. "MSI address translation process is complete."
        Ok(Some(page))
    }
}

/// The largest aligned range round `gpa`, at most 2^`range_log2` bytes, in which no page is that
/// of a virtual interrupt file: a superpage may cover some, and its translation must not be used
/// for them. `gpa` itself is not one.
pub(crate) fn range_without_interrupt_files(dc: &DeviceContext, gpa: u64, range_log2: u8) -> u8 {
    let differs = (gpa >> 12 ^ dc.msi_addr_pattern) & !dc.msi_addr_mask;
    // A block of 2^n bytes has an interrupt file unless a compared bit above n differs.
    let highest = 63 - differs.leading_zeros().min(63) as u8 + 12;
    range_log2.min(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extract_packs_the_selected_bits() {
        // The example of the section, with a=1 c=0 f=1 g=1 and the rest noise.
        assert_eq!(extract(0b1100_0110, 0b1010_0110), 0b1011);
        assert_eq!(extract(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(extract(u64::MAX, 0), 0);
    }

    #[test]
    fn range_stops_below_the_differing_bit() {
        let dc = DeviceContext {
            msi_addr_mask: 0,
            msi_addr_pattern: 0x100,
            ..Default::default()
        };
        // Page 0 and file page 0x100 differ in page bit 8: blocks of up to 2^20 bytes are free.
        assert_eq!(range_without_interrupt_files(&dc, 0, 30), 20);
        assert_eq!(range_without_interrupt_files(&dc, 0x101 << 12, 30), 12);
        assert_eq!(range_without_interrupt_files(&dc, 0, 12), 12);
    }
}

//! Page-table walks of both stages, and the directory walks that precede them.

use crate::addr::{Gpa, Iova, Spa};
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::context::{DeviceContext, FirstStageMode, PdtMode, ProcessContext, SecondStageMode};
use crate::iommu::Iommu;
use crate::label::{Holder, Label};
use crate::memory::{MemError, Memory};
use crate::observe::{Observer, Rule, Walk, WalkEvent};
use crate::outcome::{Pbmt, Permissions};
use crate::pte::{A, D, Kind, Pte, Scheme};
use crate::request::{Access, Request, RequestKind};

const GET_DC: &str = "Process to locate the Device-context";
const GET_PC: &str = "Process to locate the Process-context";
const VATP: &str = "Virtual Address Translation Process";
const GPAT: &str = "Guest Physical Address Translation";

/// How often a failed compare-and-swap of A/D bits restarts a walk before the model gives up
/// with cause 272. Memory that changes under every one of so many attempts is no memory.
const RETRIES: u32 = 64;

/// A range with no bound, where a stage is Bare.
pub(crate) const UNBOUNDED: u8 = 64;

/// Why a translation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub cause: Cause,
    pub iotval2: u64,
    pub rule: Rule,
}

impl Fault {
    pub const fn new(cause: Cause, section: &'static str, step: &'static str) -> Self {
        Self {
            cause,
            iotval2: 0,
            rule: Rule::new(section, step),
        }
    }
}

/// What a walk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The device's own access, or an ATS translation request for it.
    Final,
    /// Implicit access to a first-stage entry; `write` for an A/D update.
    FirstStage { write: bool, holder: Option<Holder> },
    /// Implicit read of the process directory.
    Pdt { process_id: u32, holder: Holder },
}

/// What a stage made of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageResult {
    pub address: u64,
    pub range_log2: u8,
    pub permissions: Permissions,
    pub pbmt: Pbmt,
    pub global: bool,
}

impl StageResult {
    /// A Bare stage: "No translation or protection."
    pub const fn bare(address: u64) -> Self {
        Self {
            address,
            range_log2: UNBOUNDED,
            permissions: Permissions::ALL,
            pbmt: Pbmt::Pma,
            global: false,
        }
    }
}

/// First-stage parameters, as steps 9 to 16 of the process give them to step 17.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstStage {
    pub mode: FirstStageMode,
    pub ppn: u64,
    pub pscid: u32,
    /// The access asks for supervisor privilege.
    pub supervisor: bool,
    pub sum: bool,
    /// The process whose context holds the root pointer; `None` if the device context does.
    pub process_id: Option<u32>,
}

impl FirstStage {
    fn holder(&self, device_id: u32) -> Holder {
        match self.process_id {
            Some(process_id) => Holder::Pc {
                device_id,
                process_id,
            },
            None => Holder::Dc { device_id },
        }
    }

    /// "Let iosatp.MODE be Bare"
    pub const BARE: Self = Self {
        mode: FirstStageMode::Bare,
        ppn: 0,
        pscid: 0,
        supervisor: false,
        sum: false,
        process_id: None,
    };
}

/// A translation under way.
pub(crate) struct Walker<'a, M, O> {
    pub iommu: &'a Iommu,
    pub mem: &'a mut M,
    pub obs: &'a mut O,
    pub req: &'a Request,
    /// Original access type, for causes.
    pub original: Access,
    /// `DC.tc.DTF`, once a context has been located.
    pub dtf: bool,
    /// ATS: what the first stage granted, so that the second sets no D for a write that will
    /// not be granted.
    pub granted: Permissions,
}

/// Swaps a value read as little-endian if its structure is big-endian.
const fn swap(value: u64, size: u8, big_endian: bool) -> u64 {
    match (big_endian, size) {
        (false, _) => value,
        (true, 4) => (value as u32).swap_bytes() as u64,
        (true, _) => value.swap_bytes(),
    }
}

impl<M: Memory, O: Observer> Walker<'_, M, O> {
    fn caps(&self) -> Capabilities {
        self.iommu.config.capabilities
    }

    pub(crate) fn rule(&mut self, section: &'static str, step: &'static str) {
        self.obs.on(&WalkEvent::Rule(Rule::new(section, step)));
    }

    /// "If the IO bridge is not capable of signaling deferred errors uniquely ... the IOMMU may
    /// report such errors as access faults instead" (section "RAS").
    fn error(&self, e: MemError) -> MemError {
        if self.iommu.config.choices.reports_corruption {
            e
        } else {
            MemError::Access
        }
    }

    /// Reads an entry of doublewords; an address at or above 2^PAS is an access fault.
    pub(crate) fn load_entry(
        &mut self,
        addr: u64,
        words: &mut [u64],
        label: Label,
        big: bool,
    ) -> Result<(), MemError> {
        let addr = Spa(addr);
        let got = if self.iommu.reachable(addr, words.len() as u64 * 8) {
            self.mem
                .load_entry(addr, words, &label)
                .map_err(|e| self.error(e))
        } else {
            Err(MemError::Access)
        };
        let value = got.map(|()| &*words);
        self.obs.on(&WalkEvent::Load { addr, label, value });
        got?;
        if big {
            words.iter_mut().for_each(|w| *w = w.swap_bytes());
        }
        Ok(())
    }

    /// Reads a page-table entry.
    fn load_pte(&mut self, addr: u64, size: u8, label: Label, big: bool) -> Result<Pte, MemError> {
        let addr = Spa(addr);
        let got = if self.iommu.reachable(addr, size.into()) {
            self.mem.load(addr, size, &label).map_err(|e| self.error(e))
        } else {
            Err(MemError::Access)
        };
        let words = [got.unwrap_or(0)];
        let value = got.map(|_| words.as_slice());
        self.obs.on(&WalkEvent::Load { addr, label, value });
        got.map(|v| Pte(swap(v, size, big)))
    }

    /// Step 9, second and third bullet: sets A/D bits in an entry. `Ok(false)` if the entry had
    /// changed.
    fn update_pte(
        &mut self,
        addr: u64,
        size: u8,
        pte: Pte,
        set: u64,
        label: Label,
        big: bool,
    ) -> Result<bool, MemError> {
        let addr = Spa(addr);
        let before = swap(pte.0, size, big);
        let after = swap(pte.0 | set, size, big);
        let done = if self.iommu.reachable(addr, size.into()) {
            let old = self.mem.compare_and_swap(addr, size, before, after, &label);
            old.map(|old| old == before).map_err(|e| self.error(e))
        } else {
            Err(MemError::Access)
        };
        self.obs.on(&WalkEvent::Update {
            addr,
            label,
            change: (before, after),
            done,
        });
        done
    }

    // ---- section "Process to locate the Device-context"

    pub(crate) fn locate_dc(&mut self, levels: u8) -> Result<DeviceContext, Fault> {
        let caps = self.caps();
        let did = self.req.did();
        let be = self.iommu.regs.be;
        self.obs.on(&WalkEvent::Begin(Walk::DeviceDirectory));
        // "DDI[0] be device_id[6:0]" in base format, "device_id[5:0]" in extended format.
        let leaf_bits: u32 = if caps.has(Capabilities::MSI_FLAT) {
            6
        } else {
            7
        };
        let ddi = |i: u8| -> u64 {
            match i {
                0 => u64::from(did) & ((1 << leaf_bits) - 1),
                1 => u64::from(did) >> leaf_bits & 0x1ff,
                _ => u64::from(did) >> (leaf_bits + 9) & 0x1ff,
            }
        };
        // 1. "Let a be ddtp.PPN x 2^12 and let i = LEVELS - 1."
        let mut a = self.iommu.regs.ddtp_ppn << 12;
        let mut i = levels.clamp(1, 3) - 1;
        // 2. "If i == 0 go to step 8."
        while i != 0 {
            // 3. "Let ddte be the value of the eight bytes at address a + DDI[i] x 8. If
            // accessing ddte violates a PMA or PMP check ... (cause = 257)."
            let mut ddte = [0];
            let label = Label::DdtNonLeaf {
                device_id: did,
                level: i,
            };
            match self.load_entry(a + ddi(i) * 8, &mut ddte, label, be) {
                Err(MemError::Access) => {
                    return Err(Fault::new(Cause::DdtLoadAccessFault, GET_DC, "3"));
                }
                // 4. "If ddte access detects a data corruption ... (cause = 268)."
                Err(MemError::Corrupt) => {
                    return Err(Fault::new(Cause::DdtCorruption, GET_DC, "4"));
                }
                Ok(()) => {}
            }
            let ddte = ddte[0];
            // 5. "If ddte.V == 0 ... (cause = 258)."
            if ddte & 1 == 0 {
                return Err(Fault::new(Cause::DdtNotValid, GET_DC, "5"));
            }
            // 6. "If any bits or encoding that are reserved for future standard use are set
            // within ddte ... (cause = 259)." Reserved are 9:1 and 63:54.
            if ddte & NON_LEAF_RESERVED != 0 {
                return Err(Fault::new(Cause::DdtMisconfigured, GET_DC, "6"));
            }
            // 7. "Let i = i - 1 and let a = ddte.PPN x 2^12. Go to step 2."
            i -= 1;
            a = (ddte >> 10 & PPN) << 12;
        }
        // 8. "Let DC be the value of DC_SIZE bytes at address a + DDI[0] * DC_SIZE."
        let size = caps.dc_size();
        let mut words = [0; 8];
        let words = &mut words[..(size / 8) as usize];
        match self.load_entry(a + ddi(0) * size, words, Label::Dc { device_id: did }, be) {
            Err(MemError::Access) => {
                return Err(Fault::new(Cause::DdtLoadAccessFault, GET_DC, "8"));
            }
            Err(MemError::Corrupt) => return Err(Fault::new(Cause::DdtCorruption, GET_DC, "8")),
            Ok(()) => {}
        }
        let dc = DeviceContext::from_words(words);
        // 9. "If DC.tc.V == 0 ... (cause = 258)."
        if !dc.v() {
            return Err(Fault::new(Cause::DdtNotValid, GET_DC, "9"));
        }
        // 10. "If the DC is misconfigured ... (cause = 259)."
        dc.check(&self.iommu.config, be, self.iommu.regs.gxl)
            .map_err(|rule| Fault {
                cause: Cause::DdtMisconfigured,
                iotval2: 0,
                rule,
            })?;
        // 11. "The device-context has been successfully located."
        self.obs.on(&WalkEvent::Context(&dc));
        Ok(dc)
    }

    // ---- section "Process to locate the Process-context"

    pub(crate) fn locate_pc(
        &mut self,
        dc: &DeviceContext,
        mode: PdtMode,
        pid: u32,
    ) -> Result<ProcessContext, Fault> {
        let did = self.req.did();
        let sbe = dc.sbe();
        self.obs.on(&WalkEvent::Begin(Walk::ProcessDirectory));
        let pdi = |i: u8| -> u64 {
            match i {
                0 => u64::from(pid) & 0xff,
                1 => u64::from(pid) >> 8 & 0x1ff,
                _ => u64::from(pid) >> 17 & 0x7,
            }
        };
        // 1. "Let a be pdtp.PPN x 2^12 and let i = LEVELS - 1."
        let mut a = dc.fsc_ppn() << 12;
        let mut i = mode.levels().max(1) - 1;
        let mut holder = Holder::Dc { device_id: did };
        loop {
            // 2. "If i != 0, then let a = a + PDI[i] x 8; otherwise, let a = a + PDI[0] x 16."
            a += if i != 0 { pdi(i) * 8 } else { pdi(0) * 16 };
            // 3. "If DC.iohgatp.mode != Bare, then a is a GPA. Invoke the process to translate
            // a to a SPA as an implicit memory access."
            let at = self
                .second_stage(
                    dc,
                    a,
                    Purpose::Pdt {
                        process_id: pid,
                        holder,
                    },
                )?
                .address;
            // 4. "If i == 0 go to step 10."
            if i == 0 {
                // 10. "Let PC be the value of the 16-bytes at address a."
                let mut words = [0; 2];
                let label = Label::Pc {
                    device_id: did,
                    process_id: pid,
                };
                match self.load_entry(at, &mut words, label, sbe) {
                    Err(MemError::Access) => {
                        return Err(Fault::new(Cause::PdtLoadAccessFault, GET_PC, "10"));
                    }
                    Err(MemError::Corrupt) => {
                        return Err(Fault::new(Cause::PdtCorruption, GET_PC, "10"));
                    }
                    Ok(()) => {}
                }
                let pc = ProcessContext {
                    ta: words[0],
                    fsc: words[1],
                };
                // 11. "If PC.ta.V == 0 ... (cause = 266)."
                if !pc.v() {
                    return Err(Fault::new(Cause::PdtNotValid, GET_PC, "11"));
                }
                // 12. "If the PC is misconfigured ... (cause = 267)."
                pc.check(&self.iommu.config, dc).map_err(|rule| Fault {
                    cause: Cause::PdtMisconfigured,
                    iotval2: 0,
                    rule,
                })?;
                // 13. "The Process-context has been successfully located."
                return Ok(pc);
            }
            // 5. "Let pdte be the value of the eight bytes at address a. If accessing pdte
            // violates a PMA or PMP check ... (cause = 265)."
            let mut pdte = [0];
            let label = Label::PdtNonLeaf {
                device_id: did,
                process_id: pid,
                level: i,
            };
            match self.load_entry(at, &mut pdte, label, sbe) {
                Err(MemError::Access) => {
                    return Err(Fault::new(Cause::PdtLoadAccessFault, GET_PC, "5"));
                }
                // 6. "If pdte access detects a data corruption ... (cause = 269)."
                Err(MemError::Corrupt) => {
                    return Err(Fault::new(Cause::PdtCorruption, GET_PC, "6"));
                }
                Ok(()) => {}
            }
            let pdte = pdte[0];
            // 7. "If pdte.V == 0 ... (cause = 266)."
            if pdte & 1 == 0 {
                return Err(Fault::new(Cause::PdtNotValid, GET_PC, "7"));
            }
            // 8. "If any bits or encoding that are reserved ... (cause = 267)."
            if pdte & NON_LEAF_RESERVED != 0 {
                return Err(Fault::new(Cause::PdtMisconfigured, GET_PC, "8"));
            }
            // 9. "Let i = i - 1 and let a = pdte.PPN x 2^12. Go to step 2."
            i -= 1;
            a = (pdte >> 10 & PPN) << 12;
            holder = Holder::PdtNonLeaf { device_id: did };
        }
    }

    // ---- first stage: "Virtual Address Translation Process" of the privileged specification

    /// Whether the request is an ATS translation request: missing R, W, X permissions then
    /// shape the answer instead of stopping the walk.
    fn ats(&self) -> bool {
        self.req.kind == RequestKind::AtsTranslation
    }

    /// The access may write, so that D must be set where a write is permitted.
    fn wants_write(&self) -> bool {
        self.req.access == Access::Write
    }

    /// Translates the IOVA to a GPA (step 17 of the process).
    pub(crate) fn first_stage(
        &mut self,
        dc: &DeviceContext,
        fs: &FirstStage,
    ) -> Result<StageResult, Fault> {
        let va = self.req.iova.0;
        let Some(scheme) = Scheme::first(fs.mode) else {
            return Ok(StageResult::bare(va));
        };
        let caps = self.caps();
        let big = dc.sbe();
        let original = self.original;
        let page_fault = |step| Fault::new(original.page_fault(), VATP, step);
        let access_fault = |step| Fault::new(original.access_fault(), VATP, step);
        let corrupt = Fault::new(Cause::PtCorruption, "RAS", "first-stage PTE corrupt");
        let gscid = (dc.iohgatp_mode() != 0).then(|| dc.gscid());

        // "When SXL is 1 ... If the first-stage is not Bare, then a page fault corresponding to
        // the original access type occurs if the IOVA has bits beyond bit 31 set to 1."
        // Else "must have bits 63-39 all equal to bit 38" (47, 56), "or else a page-fault".
        let canonical = if dc.sxl() {
            va >> 32 == 0
        } else {
            let unused = 64 - u32::from(scheme.va_bits);
            ((va << unused) as i64 >> unused) as u64 == va
        };
        if !canonical {
            return Err(Fault::new(
                original.page_fault(),
                "Addressing and Memory Protection",
                "IOVA beyond the scheme",
            ));
        }
        self.obs.on(&WalkEvent::Begin(Walk::FirstStage));
        // 1. "Let a be satp.ppn x PAGESIZE, and let i=LEVELS-1."
        let mut a = fs.ppn << 12;
        let mut i = scheme.levels - 1;
        let mut global = false;
        let mut retries = 0;
        loop {
            let label = Label::FirstStage {
                gscid,
                pscid: fs.pscid,
                iova: Iova(va),
                level: i,
                range_log2: scheme.range_log2(i),
                global,
            };
            // 2. "Let pte be the value of the PTE at address a+va.vpn[i]xPTESIZE." With a second
            // stage that address is a GPA, and the read an implicit one.
            let holder = if i + 1 == scheme.levels {
                Some(fs.holder(self.req.did()))
            } else {
                None
            };
            let entry = a + scheme.index(va, i) * u64::from(scheme.pte_size);
            let at = self
                .second_stage(
                    dc,
                    entry,
                    Purpose::FirstStage {
                        write: false,
                        holder,
                    },
                )?
                .address;
            let pte = match self.load_pte(at, scheme.pte_size, label, big) {
                // "If accessing pte violates a PMA or PMP check, raise an access-fault
                // exception corresponding to the original access type."
                Err(MemError::Access) => return Err(access_fault("2")),
                Err(MemError::Corrupt) => return Err(corrupt),
                Ok(pte) => pte,
            };
            match pte.kind(caps, i) {
                // 3. "stop and raise a page-fault exception"
                Kind::NotValid(step) => return Err(page_fault(step)),
                // 4. "this PTE is a pointer to the next level of the page table"
                Kind::Pointer => {
                    // "For non-leaf PTEs, the global setting implies that all mappings in the
                    // subsequent levels of the page table are global."
                    global |= pte.g();
                    // "Let i=i-1. If i<0, stop and raise a page-fault exception"
                    if i == 0 {
                        return Err(page_fault("4: pointer at the last level"));
                    }
                    i -= 1;
                    a = pte.ppn() << 12;
                    continue;
                }
                Kind::Leaf => {}
            }
            // 5. "If i>0 and pte.ppn[i-1:0] != 0, this is a misaligned superpage"
            if pte.misaligned(&scheme, i) && !pte.n() {
                return Err(page_fault("5: misaligned superpage"));
            }
            // 6. "Determine if the requested memory access is allowed by the pte.u bit, given
            // the current privilege mode and the value of the SUM ... fields."
            let mut permissions = pte.permissions();
            if !fs.supervisor {
                if !pte.u() {
                    return Err(page_fault("6: user access to U=0"));
                }
            } else if pte.u() {
                // "When SUM is 0, supervisor privilege transactions to pages mapped with U bit
                // in PTE set to 1 are disallowed."
                if !fs.sum {
                    return Err(page_fault("6: supervisor access to U=1 without SUM"));
                }
                // "supervisor privilege transactions that read with execute intent to pages
                // mapped with U bit in PTE set to 1 are disallowed, regardless of SUM"
                permissions.execute = false;
            }
            // 8. "Determine if the requested memory access is allowed by the pte.r, pte.w, and
            // pte.x bits." (7 is about shadow stacks, which IO transactions do not have.)
            if !self.allowed(permissions) {
                return Err(page_fault("8: no permission"));
            }
            // 9. "If pte.a=0, or if the original memory access is a store and pte.d=0"
            let (set, permissions) = self.accessed_dirty(pte, permissions, dc.sade());
            match set {
                AdBits::Clean => {}
                // "If SADE is 0, the IOMMU causes a page-fault corresponding to the original
                // access type"
                AdBits::Fault => return Err(page_fault("9: A or D clear, no hardware update")),
                AdBits::Set(bits) => {
                    retries += 1;
                    if retries > RETRIES {
                        return Err(Fault::new(
                            Cause::InternalDataPathError,
                            VATP,
                            "9: entry never stands still",
                        ));
                    }
                    // "If a store to the PTE ... would violate a PMA or PMP check, raise an
                    // access-fault exception corresponding to the original access type." With a
                    // second stage the store is an implicit one, checked as such.
                    let at = self
                        .second_stage(
                            dc,
                            entry,
                            Purpose::FirstStage {
                                write: true,
                                holder,
                            },
                        )?
                        .address;
                    match self.update_pte(at, scheme.pte_size, pte, bits, label, big) {
                        Err(MemError::Access) => return Err(access_fault("9: store to the PTE")),
                        Err(MemError::Corrupt) => return Err(corrupt),
                        // "If the comparison fails, return to step 2."
                        Ok(false) => continue,
                        Ok(true) => {}
                    }
                }
            }
            // 10. "The translation is successful."
            return Ok(StageResult {
                address: pte.address(&scheme, i, va),
                range_log2: pte.leaf_range_log2(&scheme, i),
                permissions,
                pbmt: pte.pbmt(),
                global: global || pte.g(),
            });
        }
    }

    /// Step 8 for the device's own access. For an ATS translation request every permission is an
    /// answer, but without R none is granted ("The X permission is granted only if the R permission
    /// is also granted"): a page fault, which is answered so.
    fn allowed(&self, p: Permissions) -> bool {
        if self.ats() {
            return p.read;
        }
        match self.original {
            Access::Read => p.read,
            Access::Write => p.write,
            Access::Execute => p.execute,
        }
    }

    /// Step 9 for the device's own access: what becomes of A and D, and which permissions are
    /// left.
    fn accessed_dirty(&self, pte: Pte, mut p: Permissions, update: bool) -> (AdBits, Permissions) {
        if self.ats() {
            p = p.and(self.granted);
            let write = p.write && self.wants_write();
            if !pte.d() && !write {
                // Writes nobody asked for may be granted, but not without D.
                p.write = false;
            }
            if !update && pte.a() && write && !pte.d() {
                use crate::config::AtsCleanPage::{DenyWrite, PageFault};
                return match self.iommu.config.choices.ats_clean_page {
                    PageFault => (AdBits::Fault, p),
                    DenyWrite => (AdBits::Clean, Permissions { write: false, ..p }),
                };
            }
            return (AdBits::of(pte, write, update), p);
        }
        (AdBits::of(pte, self.wants_write(), update), p)
    }

    // ---- second stage: "Guest Physical Address Translation" of the privileged specification

    /// Translates a GPA to a SPA.
    pub(crate) fn second_stage(
        &mut self,
        dc: &DeviceContext,
        gpa: u64,
        purpose: Purpose,
    ) -> Result<StageResult, Fault> {
        let gxl = self.iommu.regs.gxl;
        let mode = SecondStageMode::decode(dc.iohgatp_mode(), gxl).unwrap_or(SecondStageMode::Bare);
        // "When ... Bare, guest physical addresses are equal to supervisor physical addresses
        // without modification, and no memory protection applies"
        let Some(scheme) = Scheme::second(mode) else {
            return Ok(StageResult::bare(gpa));
        };
        let caps = self.caps();
        let big = self.iommu.regs.be;
        let original = self.original;
        let offset = if self.iommu.config.choices.iotval2_offset {
            3
        } else {
            0xfff
        };
        // "If the CAUSE is a guest-page fault then bits 63:2 of the zero-extended
        // guest-physical-address are reported in iotval2[63:2]. If bit 0 of iotval2 is 1, then
        // the guest-page-fault was caused by an implicit memory access for first-stage address
        // translation. If bit 0 of iotval2 is 1, and the implicit access was a write then bit 1
        // of iotval2 is set to 1 else it is set to 0." "If a guest-page fault was caused by
        // implicit memory access to read PDT entries, then bit 0 of iotval2 is reported as 1
        // and bit 1 as 0."
        let implicit = match purpose {
            Purpose::Final => 0,
            Purpose::FirstStage { write, .. } => 1 | u64::from(write) << 1,
            Purpose::Pdt { .. } => 1,
        };
        // "any exception is always reported for the original access type"
        let guest_page_fault = |section, step| Fault {
            cause: original.guest_page_fault(),
            iotval2: gpa & !offset | implicit,
            rule: Rule::new(section, step),
        };
        // "An access fault in the second stage is reported as PDT entry load access fault
        // (cause = 265). If the second-stage accesses detect data corruption ... (cause = 269)."
        let (access, corrupt) = match purpose {
            Purpose::Pdt { .. } => (Cause::PdtLoadAccessFault, Cause::PdtCorruption),
            _ => (original.access_fault(), Cause::PtCorruption),
        };
        let failed = |e, step| match e {
            MemError::Access => Fault::new(access, GPAT, step),
            MemError::Corrupt => Fault::new(corrupt, "RAS", "second-stage PTE corrupt"),
        };

        // "When SXL is 1 ... If the second-stage is not Bare, then a guest page fault
        // corresponding to the original access type occurs if the incoming GPA has bits beyond
        // bit 33 set to 1."
        if dc.sxl() && gpa >> 34 != 0 {
            return Err(guest_page_fault(
                "Translation control",
                "SXL=1: GPA beyond bit 33",
            ));
        }
        // "Address bits 63:41 [63:50, 63:59] must all be zeros, or else a guest-page-fault"
        if gpa >> scheme.va_bits != 0 {
            return Err(guest_page_fault(GPAT, "GPA beyond the scheme"));
        }
        self.obs.on(&WalkEvent::Begin(Walk::SecondStage));
        let (pdt_of, holder) = match purpose {
            Purpose::Pdt { process_id, holder } => {
                (Some((self.req.did(), process_id)), Some(holder))
            }
            Purpose::FirstStage { holder, .. } => (None, holder),
            Purpose::Final => (None, None),
        };
        // 1. "hgatp substitutes for the usual satp"
        let mut a = dc.iohgatp_ppn() << 12;
        let mut i = scheme.levels - 1;
        let mut retries = 0;
        loop {
            let label = Label::SecondStage {
                gscid: dc.gscid(),
                gpa: Gpa(gpa),
                level: i,
                range_log2: scheme.range_log2(i),
                pdt_of,
                holder,
            };
            // 2. The entry; "raise an access-fault exception corresponding to the original
            // access type"
            let at = a + scheme.index(gpa, i) * u64::from(scheme.pte_size);
            let pte = self
                .load_pte(at, scheme.pte_size, label, big)
                .map_err(|e| failed(e, "2"))?;
            match pte.kind(caps, i) {
                // 3. "guest-page-fault exceptions are raised instead of regular page-fault
                // exceptions"
                Kind::NotValid(step) => return Err(guest_page_fault(GPAT, step)),
                // 4. "The G bit in all G-stage PTEs ... must be ignored by hardware."
                Kind::Pointer => {
                    if i == 0 {
                        return Err(guest_page_fault(GPAT, "4: pointer at the last level"));
                    }
                    i -= 1;
                    a = pte.ppn() << 12;
                    continue;
                }
                Kind::Leaf => {}
            }
            // 5.
            if pte.misaligned(&scheme, i) && !pte.n() {
                return Err(guest_page_fault(GPAT, "5: misaligned superpage"));
            }
            // 6. "when checking the U bit, the current privilege mode is always taken to be
            // U-mode"
            if !pte.u() {
                return Err(guest_page_fault(GPAT, "6: U=0"));
            }
            // 8. "For a memory access made to support VS-stage address translation ...
            // permissions and the need to set A and/or D bits at the G-stage level are checked
            // as though for an implicit load or store, not for the original access type."
            let permissions = pte.permissions();
            let (allowed, ad, permissions) = match purpose {
                Purpose::Final => {
                    let (ad, left) = self.accessed_dirty(pte, permissions, dc.gade());
                    (self.allowed(permissions), ad, left)
                }
                Purpose::FirstStage { write: true, .. } => (
                    permissions.write,
                    AdBits::of(pte, true, dc.gade()),
                    permissions,
                ),
                Purpose::FirstStage { write: false, .. } | Purpose::Pdt { .. } => (
                    permissions.read,
                    AdBits::of(pte, false, dc.gade()),
                    permissions,
                ),
            };
            if !allowed {
                return Err(guest_page_fault(GPAT, "8: no permission"));
            }
            // 9. "If GADE is 0, the IOMMU causes a guest-page-fault corresponding to the
            // original access type if the A bit is 0 or if the memory access is a store and the
            // D bit is 0."
            match ad {
                AdBits::Clean => {}
                AdBits::Fault => {
                    return Err(guest_page_fault(
                        GPAT,
                        "9: A or D clear, no hardware update",
                    ));
                }
                AdBits::Set(bits) => {
                    retries += 1;
                    if retries > RETRIES {
                        return Err(Fault::new(
                            Cause::InternalDataPathError,
                            GPAT,
                            "9: entry never stands still",
                        ));
                    }
                    match self.update_pte(at, scheme.pte_size, pte, bits, label, big) {
                        Err(e) => return Err(failed(e, "9: store to the PTE")),
                        Ok(false) => continue,
                        Ok(true) => {}
                    }
                }
            }
            // 10.
            return Ok(StageResult {
                address: pte.address(&scheme, i, gpa),
                range_log2: pte.leaf_range_log2(&scheme, i),
                permissions,
                pbmt: pte.pbmt(),
                global: false,
            });
        }
    }
}

/// What step 9 wants done to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AdBits {
    /// Nothing.
    Clean,
    /// Fault: A or D is missing and hardware does not set them.
    Fault,
    /// Set these bits.
    Set(u64),
}

impl AdBits {
    /// "If pte.a=0, or if the original memory access is a store and pte.d=0"
    fn of(pte: Pte, store: bool, update: bool) -> Self {
        if pte.a() && (!store || pte.d()) {
            AdBits::Clean
        } else if update {
            AdBits::Set(if store { A | D } else { A })
        } else {
            AdBits::Fault
        }
    }
}

/// `PPN` of a non-leaf directory entry, after the shift by 10.
const PPN: u64 = (1 << 44) - 1;
/// Bits 9:1 and 63:54, reserved in non-leaf directory entries.
const NON_LEAF_RESERVED: u64 = 0x1ff << 1 | 0x3ff << 54;

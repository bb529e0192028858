//! The process to translate an IOVA (section "Process to translate an IOVA") and the answers to
//! ATS translation requests (section "PCIe ATS translation request handling").

use crate::addr::Spa;
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::context::{DeviceContext, FirstStageMode, PdtMode};
use crate::iommu::Iommu;
use crate::memory::Memory;
use crate::msi::{MSI_PERMISSIONS, MsiPage, range_without_interrupt_files};
use crate::observe::Observer;
use crate::outcome::{
    AtsCompletion, AtsStatus, Denial, MrifTarget, Outcome, Pbmt, Permissions, Translation,
};
use crate::record::FaultRecord;
use crate::registers::IommuMode;
use crate::request::{Access, Request, RequestKind};
use crate::walk::{Fault, FirstStage, Purpose, StageResult, UNBOUNDED, Walker};

const P2IOVA: &str = "Process to translate an IOVA";

/// Where the process ended.
enum Done {
    Through(Translation, Context),
    /// To an interrupt file in memory, with the permissions of both stages.
    Mrif(MrifTarget, Permissions),
}

/// What of the device context an ATS answer needs.
#[derive(Clone, Copy, Default)]
struct Context {
    /// The guest physical address, where `T2GPA` asks for it.
    gpa: Option<u64>,
    msi: bool,
}

impl Iommu {
    /// Translates one request: a pure function of registers, memory and request (memory
    /// changes only by A/D updates).
    ///
    /// ```
    /// use iommu_golden::*;
    /// let iommu = Iommu::new(Config::new(Capabilities::version_1_0().with_pas(56))).unwrap();
    /// let mut mem = SimpleMemory::new();
    /// // After reset the mode is Off: "All inbound transactions disallowed".
    /// let out = iommu.translate(&mut mem, &Request::read(1, Iova(0x1000)), &mut ());
    /// assert_eq!(out.cause(), Some(Cause::AllInboundDisallowed));
    /// ```
    pub fn translate<M: Memory, O: Observer>(
        &self,
        mem: &mut M,
        req: &Request,
        obs: &mut O,
    ) -> Outcome {
        let mut w = Walker {
            iommu: self,
            mem,
            obs,
            req,
            original: self.original_access(req),
            dtf: false,
            granted: Permissions::ALL,
        };
        let done = w.process();
        let dtf = w.dtf;
        if req.kind == RequestKind::AtsTranslation {
            return Outcome::Ats(self.ats_completion(req, done, dtf));
        }
        match done {
            Ok(Done::Through(t, _)) => Outcome::Granted(t),
            Ok(Done::Mrif(t, _)) => Outcome::Mrif(t),
            // "the IOMMU requests the IO bridge to abort the transaction"
            Err(f) => Outcome::Denied(Denial {
                cause: f.cause,
                record: self.record(req, &f, dtf),
                rule: f.rule,
            }),
        }
    }

    /// Original access type, which picks among the causes of a fault.
    fn original_access(&self, req: &Request) -> Access {
        if req.kind != RequestKind::AtsTranslation {
            return req.access;
        }
        // The text gives an ATS translation request no access type of its own.
        if req.execute_requested || req.access == Access::Execute {
            Access::Execute
        } else if req.access == Access::Write && self.config.choices.ats_fault_is_write {
            Access::Write
        } else {
            Access::Read
        }
    }

    /// The record of a fault, unless `DTF` hides its cause.
    fn record(&self, req: &Request, f: &Fault, dtf: bool) -> Option<FaultRecord> {
        if dtf && !f.cause.reported_with_dtf() {
            return None;
        }
        let mut r = FaultRecord::of_request(f.cause, req, f.iotval2);
        if !self.config.choices.iotval_offset {
            r.iotval &= !0xfff;
        }
        Some(r)
    }

    // ---- section "PCIe ATS translation request handling"

    fn ats_completion(&self, req: &Request, done: Result<Done, Fault>, dtf: bool) -> AtsCompletion {
        let pasid = req.process_id.is_some();
        let mut c = AtsCompletion {
            status: AtsStatus::Success,
            address: 0,
            range_log2: 12,
            permissions: Permissions::NONE,
            untranslated_only: false,
            // "N field of the ATS translation completion is always set to 0."
            no_snoop: false,
            global: false,
            // "Priv field ... is always set to 0 if the request does not have a PASID. When a
            // PASID is present then the Priv field is set to the value in Privilege Mode
            // Requested field"
            privileged: req.supervisor(),
            // "If requesting device is not a CXL device then CXL.io is set to 0."
            cxl_io: if req.cxl { None } else { Some(false) },
            // "The AMA field is by default set to 000b."
            ama: 0,
            cause: None,
            record: None,
            rule: None,
        };
        match done {
            Ok(Done::Through(t, ctx)) => {
                c.range_log2 = t.range_log2;
                c.permissions = t.permissions;
                c.address = ctx.gpa.unwrap_or(t.spa.0) & !0xfff;
                // "Global field is set to the value determined from the first-stage page tables
                // if translation could be successfully completed and the request had a PASID
                // present. In all other cases, including MSI address translations, ... 0."
                c.global = pasid && t.global && !ctx.msi;
                // "If the address is determined to be a MSI then the CXL.io bit is set to 1.
                // Else if T2GPA is 1 ... Else if the memory type ... is NC or IO ..."
                if req.cxl && (ctx.msi || ctx.gpa.is_some() || t.pbmt != Pbmt::Pma) {
                    c.cxl_io = Some(true);
                }
            }
            Ok(Done::Mrif(_, permissions)) => {
                // "but the MSI PTE is configured in MRIF mode, a Success response is generated
                // with the U bit (Untranslated access only) set to 1 ... The R, W, and Exe bits
                // in the response indicate the granted permissions."
                c.untranslated_only = true;
                c.permissions = self.ats_permissions(req, permissions);
                if req.cxl {
                    c.cxl_io = Some(true);
                }
            }
            Err(f) => {
                c.status = ats_status(f.cause);
                c.cause = Some(f.cause);
                c.rule = Some(f.rule);
                // "when a UR or CA response is generated ..., the corresponding fault is
                // reported to software"; "When a Success response is generated ..., no fault
                // records are reported".
                if c.status != AtsStatus::Success {
                    c.record = self.record(req, &f, dtf);
                    c.privileged = false;
                    c.cxl_io = Some(false);
                }
            }
        }
        c
    }

    /// "returned with the denied permission (R, W or X) set to 0 and the other permission bits
    /// set to the value determined from the page tables. The X permission is granted only if the
    /// R permission is also granted and the execute permission was requested."
    fn ats_permissions(&self, req: &Request, p: Permissions) -> Permissions {
        let execute = req.execute_requested || req.access == Access::Execute;
        if p.read {
            Permissions {
                execute: p.execute && execute,
                ..p
            }
        } else {
            Permissions::NONE
        }
    }
}

/// Which completion a cause leads to.
fn ats_status(cause: Cause) -> AtsStatus {
    use Cause::*;
    match cause {
        // "If there is a permanent error or if ATS transactions are disabled"
        AllInboundDisallowed | DdtLoadAccessFault | DdtNotValid | DdtMisconfigured
        | TypeDisallowed => AtsStatus::UnsupportedRequest,
        // "When translation could not be completed due to the following causes a Success Response
        // with R and W bits set to 0 is generated."
        InstructionPageFault
        | ReadPageFault
        | WritePageFault
        | InstructionGuestPageFault
        | ReadGuestPageFault
        | WriteGuestPageFault
        | PdtNotValid
        | MsiPteNotValid => AtsStatus::Success,
        // "a configuration error results in a Completer Abort"; section "RAS": "For PCIe, for
        // example, a Completer Abort (CA) response is appropriate" for data corruption.
        _ => AtsStatus::CompleterAbort,
    }
}

impl<M: Memory, O: Observer> Walker<'_, M, O> {
    /// The numbered steps.
    fn process(&mut self) -> Result<Done, Fault> {
        let iommu = self.iommu;
        let caps = iommu.config.capabilities;
        let req = self.req;
        let disallowed = |step| Fault::new(Cause::TypeDisallowed, P2IOVA, step);

        // 1. "If ddtp.iommu_mode == Off then stop and report All inbound transactions disallowed
        // (cause = 256)."
        let levels = match iommu.regs.mode {
            IommuMode::Off => return Err(Fault::new(Cause::AllInboundDisallowed, P2IOVA, "1")),
            // 2. "If ddtp.iommu_mode == Bare and any of the following conditions hold then stop
            // and report Transaction type disallowed (cause = 260); else go to step 20 with
            // translated address same as the IOVA."
            IommuMode::Bare => {
                // a. "Transaction type is a Translated request ... or is a PCIe ATS Translation
                // request."
                if req.kind != RequestKind::Untranslated {
                    return Err(disallowed("2.a"));
                }
                self.rule(P2IOVA, "2");
                // "When ddtp.iommu_mode == Bare, all device-originated requests are associated
                // with the QoS IDs configured in the iommu_qosid register."
                let q = iommu.regs.iommu_qosid;
                let qos = ((q & 0xfff) as u16, (q >> 16 & 0xfff) as u16);
                let all = StageResult::bare(req.iova.0);
                return self.complete(qos, None, None, all, false, Context::default());
            }
            IommuMode::Levels(n) => n,
        };
        // 3., 4. Base or extended format: the widths of DDI[0] and DDI[1].
        // 5. "If the device_id is wider than that supported by the IOMMU mode ... (cause = 260)."
        // a. 2LVL and DDI[2] is not 0; b. 1LVL and DDI[2] or DDI[1] is not 0.
        if u64::from(req.did()) >> iommu.device_id_bits() != 0 {
            return Err(disallowed("5"));
        }
        // 6. "Use device_id to then locate the device-context"
        let dc = self.locate_dc(levels)?;
        self.dtf = dc.dtf();
        // 7. "If any of the following conditions hold then stop and report Transaction type
        // disallowed (cause = 260)."
        // a. "Translated request ... or is a PCIe ATS Translation request and DC.tc.EN_ATS is 0."
        if req.kind != RequestKind::Untranslated && !dc.en_ats() {
            return Err(disallowed("7.a"));
        }
        let pdt = PdtMode::decode(dc.fsc_mode()).unwrap_or(PdtMode::Bare);
        if let Some(pid) = req.process_id {
            // b. "Transaction has a valid process_id and DC.tc.PDTV is 0."
            if !dc.pdtv() {
                return Err(disallowed("7.b"));
            }
            // c. "... and the process_id is wider than that supported by pdtp.MODE."
            if pid >> pdt.width() != 0 {
                return Err(disallowed("7.c"));
            }
        }
        // d. "Transaction type is not supported by the IOMMU." Without capabilities.ATS, EN_ATS
        // is 0 and (a) has refused what remains.

        let qos = if caps.has(Capabilities::QOSID) {
            (dc.rcid(), dc.mcid())
        } else {
            (0, 0)
        };
        // 8. "If request is a Translated request and DC.tc.T2GPA is 0 then the translation
        // process is complete. Go to step 20."
        if req.kind == RequestKind::Translated && !dc.t2gpa() {
            self.rule(P2IOVA, "8");
            return self.complete(
                qos,
                None,
                None,
                StageResult::bare(req.iova.0),
                false,
                Context::default(),
            );
        }
        let first = if req.kind == RequestKind::Translated {
            // 9. "If request is a Translated request and DC.tc.T2GPA is 1 then the IOVA is a GPA.
            // ... Let iosatp.MODE be Bare"
            self.rule(P2IOVA, "9");
            FirstStage::BARE
        } else if !dc.pdtv() {
            // 10. "If DC.tc.PDTV is set to 0 then go to step 17": iosatp from DC.fsc, PSCID from
            // DC.ta. A request without process_id is a user access.
            self.rule(P2IOVA, "10");
            FirstStage {
                mode: FirstStageMode::decode(dc.fsc_mode(), dc.sxl())
                    .unwrap_or(FirstStageMode::Bare),
                ppn: dc.fsc_ppn(),
                pscid: dc.pscid(),
                supervisor: false,
                sum: false,
                process_id: None,
            }
        } else {
            self.pdt_steps(&dc, pdt)?
        };
        // 17. "Use the process specified in Section Two-Stage Address Translation ... to
        // determine the GPA accessed by the transaction. ... let A be the translated GPA."
        let s1 = self.first_stage(&dc, &first)?;
        let pscid = (first.mode != FirstStageMode::Bare).then_some(first.pscid);
        if req.kind == RequestKind::AtsTranslation {
            self.granted = s1.permissions;
        }
        // 18. and 19.
        self.guest(&dc, qos, pscid, s1)
    }

    /// Steps 11 to 16: PDTV is 1.
    fn pdt_steps(&mut self, dc: &DeviceContext, pdt: PdtMode) -> Result<FirstStage, Fault> {
        let req = self.req;
        let pid = match req.process_id {
            Some(pid) => pid,
            // 11. "If DPE is 1 and there is no process_id associated with the transaction then
            // let process_id be the default value of 0."
            None if dc.dpe() => 0,
            // 12. "If DPE is 0 and there is no process_id ... Let iosatp.MODE be Bare"
            None => {
                self.rule(P2IOVA, "12");
                return Ok(FirstStage::BARE);
            }
        };
        // 13. "If DC.fsc.pdtp.MODE = Bare ... Let iosatp.MODE be Bare"
        if pdt == PdtMode::Bare {
            self.rule(P2IOVA, "13");
            return Ok(FirstStage::BARE);
        }
        // 14. "Locate the process-context (PC)"
        let pc = self.locate_pc(dc, pdt, pid)?;
        // 15. "The transaction requests supervisor privilege but PC.ta.ENS is not set." (260)
        if req.supervisor() && !pc.ens() {
            return Err(Fault::new(Cause::TypeDisallowed, P2IOVA, "15.a"));
        }
        // 16. "Let iosatp.MODE be the value in the PC.fsc.MODE field", PPN, PSCID.
        self.rule(P2IOVA, "16");
        Ok(FirstStage {
            mode: FirstStageMode::decode(pc.fsc_mode(), dc.sxl()).unwrap_or(FirstStageMode::Bare),
            ppn: pc.fsc_ppn(),
            pscid: pc.pscid(),
            supervisor: req.supervisor(),
            // "When ENS is 1, the SUM bit modifies the privilege"
            sum: pc.sum(),
            process_id: Some(pid),
        })
    }

    /// Steps 18 and 19: from the GPA to the SPA.
    fn guest(
        &mut self,
        dc: &DeviceContext,
        qos: (u16, u16),
        pscid: Option<u32>,
        s1: StageResult,
    ) -> Result<Done, Fault> {
        let iommu = self.iommu;
        let gscid = (dc.iohgatp_mode() != 0).then(|| dc.gscid());
        let a = s1.address;
        let ats = self.req.kind == RequestKind::AtsTranslation;
        let mut ctx = Context {
            gpa: (ats && dc.t2gpa()).then_some(a),
            msi: false,
        };
        let msi_on = iommu.config.capabilities.has(Capabilities::MSI_FLAT) && dc.msiptp_mode() != 0;
        // 18. "If MSI address translations using MSI page tables is enabled (i.e.,
        // DC.msiptp.MODE != Off) then the MSI address translation process is invoked. If the GPA A
        // is not determined to be the address of a virtual interrupt file then the process
        // continues at step 19."
        if msi_on && let Some(page) = self.msi(dc, a)? {
            ctx.msi = true;
            return match page {
                MsiPage::Basic(spa) => {
                    // "either zero-extended or clipped at the upper end as needed to make it the
                    // width of a real physical address" (AIA, "MSI PTE, basic translate mode")
                    let width = iommu.config.capabilities.pas();
                    let s2 = StageResult {
                        address: spa & ((1 << width) - 1),
                        range_log2: 12,
                        permissions: MSI_PERMISSIONS,
                        pbmt: Pbmt::Pma,
                        global: false,
                    };
                    let both = combine(s1, s2);
                    self.complete(qos, gscid, pscid, both, true, ctx)
                }
                MsiPage::Mrif { mrif, notice, nid } => {
                    let target = MrifTarget {
                        mrif,
                        notice,
                        nid,
                        rcid: qos.0,
                        mcid: qos.1,
                        gscid,
                        dtf: dc.dtf(),
                    };
                    let permissions = s1.permissions.and(MSI_PERMISSIONS);
                    Ok(Done::Mrif(target, permissions))
                }
            };
        }
        // 19. "Use the second-stage address translation process ... to translate the GPA A"
        let mut s2 = self.second_stage(dc, a, Purpose::Final)?;
        if msi_on {
            s2.range_log2 = range_without_interrupt_files(dc, a, s2.range_log2);
        }
        self.complete(qos, gscid, pscid, combine(s1, s2), false, ctx)
    }

    /// 20. "Translation process is complete"
    fn complete(
        &mut self,
        (rcid, mcid): (u16, u16),
        gscid: Option<u16>,
        pscid: Option<u32>,
        both: StageResult,
        msi: bool,
        ctx: Context,
    ) -> Result<Done, Fault> {
        let iommu = self.iommu;
        let choices = &iommu.config.choices;
        // "The physical address space addressable by the IOMMU ranges from 0 to 2^PAS - 1." A
        // page never straddles that bound, so its first byte decides.
        if choices.check_spa && !iommu.reachable(Spa(both.address), 1) {
            let cause = self.original.access_fault();
            return Err(Fault::new(
                cause,
                "IOMMU capabilities",
                "translated address beyond PAS",
            ));
        }
        let range_log2 = if both.range_log2 == UNBOUNDED {
            choices.bare_range_log2
        } else {
            both.range_log2
        };
        let permissions = if self.req.kind == RequestKind::AtsTranslation {
            iommu.ats_permissions(self.req, both.permissions)
        } else {
            both.permissions
        };
        let t = Translation {
            spa: Spa(both.address),
            pbmt: both.pbmt,
            rcid,
            mcid,
            range_log2,
            permissions,
            global: both.global,
            gscid,
            pscid,
            msi,
        };
        Ok(Done::Through(t, ctx))
    }
}

/// First stage, then second: the smaller range, permissions of both.
fn combine(s1: StageResult, s2: StageResult) -> StageResult {
    StageResult {
        address: s2.address,
        range_log2: s1.range_log2.min(s2.range_log2),
        permissions: s1.permissions.and(s2.permissions),
        // Svpbmt: the second stage's type overrides the PMA, the first stage's overrides both.
        pbmt: if s1.pbmt == Pbmt::Pma {
            s2.pbmt
        } else {
            s1.pbmt
        },
        global: s1.global,
    }
}

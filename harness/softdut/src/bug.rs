//! Wrong behaviours: each a small deviation of an otherwise legal device.

use iommu_golden::Command;
use iommu_golden::command::Iotinval;
use iommu_golden::invalidate::{Entry, Range, covers, operand_range};

use crate::cache::Held;

macro_rules! bugs {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal;)*) => {
        /// A wrong behaviour.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $(#[doc = $doc] $variant,)*
        }

        impl Bug {
            /// Every one.
            pub const ALL: &'static [Bug] = &[$(Bug::$variant,)*];

            /// Its name on the command line: `--dut soft:<name>`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Bug::$variant => $name,)*
                }
            }

            /// What it does wrong, in a sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Bug::$variant => $doc.trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// IOTINVAL.VMA with AV=1 does nothing.
    VmaAddressKept = "vma-av-kept";
    /// IOTINVAL.VMA with PSCV=1 and AV=0 does nothing.
    VmaProcessKept = "vma-pscv-kept";
    /// IOTINVAL.VMA with GV=1 does nothing.
    VmaGuestKept = "vma-gv-kept";
    /// IOTINVAL.VMA with AV=0 drops leaves and keeps what leads to them.
    VmaNonLeafKept = "vma-non-leaf-kept";
    /// IOTINVAL.VMA ignores NL: with AV=1 it drops leaves alone.
    VmaNlIgnored = "vma-nl-ignored";
    /// IOTINVAL.VMA ignores S: one page instead of the range.
    VmaRangeIgnored = "vma-s-ignored";
    /// IOTINVAL.VMA drops second-stage entries and no first-stage ones.
    VmaDropsSecond = "vma-drops-second-stage";
    /// IOTINVAL.VMA without PSCV spares global entries.
    GlobalKept = "global-kept";
    /// Every first-stage entry serves every PSCID.
    EveryEntryGlobal = "every-entry-global";
    /// IOTINVAL.GVMA with AV=1 does nothing.
    GvmaAddressKept = "gvma-av-kept";
    /// IOTINVAL.GVMA with GV=1 and AV=0 does nothing.
    GvmaGuestKept = "gvma-gv-kept";
    /// IOTINVAL.GVMA with GV=0 does nothing.
    GvmaAllKept = "gvma-all-kept";
    /// IOTINVAL.GVMA with AV=0 drops leaves and keeps what leads to them.
    GvmaNonLeafKept = "gvma-non-leaf-kept";
    /// IOTINVAL.GVMA ignores NL.
    GvmaNlIgnored = "gvma-nl-ignored";
    /// IOTINVAL.GVMA ignores S.
    GvmaRangeIgnored = "gvma-s-ignored";
    /// IOTINVAL.GVMA drops first-stage entries and no second-stage ones.
    GvmaDropsFirst = "gvma-drops-first-stage";
    /// What was combined from both stages survives IOTINVAL.GVMA.
    CombinedKept = "combined-kept";
    /// IOTINVAL.GVMA spares MSI page-table entries.
    MsiKept = "msi-pte-kept";
    /// IODIR.INVAL_DDT with DV=1 spares the device context.
    InvalDdtKeepsDc = "inval-ddt-keeps-dc";
    /// IODIR.INVAL_DDT spares what belongs to the process directory.
    InvalDdtKeepsPdt = "inval-ddt-keeps-pdt";
    /// IODIR.INVAL_DDT with DV=0 spares non-leaf directory entries.
    InvalDdtKeepsNonLeaf = "inval-ddt-keeps-non-leaf";
    /// IODIR.INVAL_DDT spares guest pointers that were translated.
    InvalDdtKeepsPointer = "inval-ddt-keeps-pointer";
    /// IODIR.INVAL_PDT does nothing.
    InvalPdtKept = "inval-pdt-kept";
    /// Of a superpage that one address of is invalidated, the other pages stay.
    SuperpageSplit = "superpage-split";
    /// IOTINVAL with AV=1 finds a NAPOT range by the address of its first page only.
    NapotFirstPage = "napot-first-page-only";
    /// Bit 0 of PSCID is not compared.
    PscidBitIgnored = "pscid-bit-ignored";
    /// Bit 0 of GSCID is not compared.
    GscidBitIgnored = "gscid-bit-ignored";
    /// Bit 1 of device_id is not compared.
    DeviceIdBitIgnored = "device-id-bit-ignored";
    /// Bit 0 of process_id is not compared.
    ProcessIdBitIgnored = "process-id-bit-ignored";
    /// Host address spaces are tagged as GSCID 0.
    HostTakenForGuest = "host-taken-for-guest";
    /// Entries with V=0 are held too.
    InvalidCached = "invalid-cached";
    /// A read that an invalidation overtook fills the cache.
    StaleWalkFills = "stale-walk-fills";
    /// A walk that joined another's read takes V=0 from before its request.
    MergedNotRedone = "merged-not-redone";
    /// IOFENCE.C completes before the invalidations that were put off.
    FenceBeforeInvalidation = "fence-before-invalidation";
    /// IOFENCE.C with PR does not wait for reads.
    FenceIgnoresReads = "fence-ignores-pr";
    /// IOFENCE.C with PW does not wait for writes.
    FenceIgnoresWrites = "fence-ignores-pw";
    /// IOFENCE.C with PR or PW does not care for walks under way, nor for what waits for `m_dev`.
    FenceIgnoresWalks = "fence-ignores-walks";
    /// `cqh` moves past IOFENCE.C when it is fetched.
    HeadBeforeFence = "head-before-fence";
    /// `fqt` moves when the record is sent.
    TailBeforeRecord = "tail-before-record";
    /// One fault record in eight is lost.
    RecordDropped = "record-dropped";
    /// One fault record in eight is written twice.
    RecordTwice = "record-twice";
    /// A leaf that is held grants writes whether or not it has W.
    HeldLeafWritable = "held-leaf-writable";
    /// A leaf that is held serves users whether or not it has U.
    HeldLeafUser = "held-leaf-user";
    /// `ddtp.busy` falls at once, whatever is under way.
    OffEarly = "off-early";
    /// Refused reads return what the last granted one did.
    RefusedDataLeaks = "refused-data-leaks";
    /// Nothing is dropped at reset.
    KeptOverReset = "kept-over-reset";
    /// The memory type of a leaf that is held is lost.
    HeldTypeLost = "held-pbmt-lost";
    /// The notice of an MRIF goes out before its update's B.
    NoticeEarly = "notice-before-mrif";
    /// A leaf that is held with D=0 serves writes and D stays 0.
    DirtyForgotten = "dirty-forgotten";
    /// The update for a write sets A and not D.
    UpdateWithoutDirty = "update-without-dirty";
    /// The update for a read sets D too.
    ReadSetsDirty = "read-sets-dirty";
    /// An update is a plain store of the entry as it is to be.
    UpdateNotAtomic = "update-not-atomic";
    /// An entry that has changed under its update is taken for what it was.
    CompareIgnored = "update-compare-ignored";
    /// A walk goes on before its update is answered.
    UpdateNotAwaited = "update-not-awaited";
    /// A translation completion grants W wherever it grants R.
    AtsGrantsWrite = "ats-grants-write";
    /// A translation completion names a range twice as large.
    AtsRangeDoubled = "ats-range-doubled";
    /// T2GPA is ignored: translation completions tell where pages are.
    T2gpaIgnored = "t2gpa-ignored";
    /// A translation request that is granted nothing leaves a fault record.
    AtsFaultRecorded = "ats-fault-recorded";
    /// Every invalidation request has ITag 0.
    ItagReused = "itag-reused";
    /// IOFENCE.C does not wait for the devices' invalidation completions.
    FenceIgnoresAts = "fence-ignores-ats";
    /// Bit 0 of the PRGI of page request group responses is inverted.
    ResponseIndexWrong = "prgr-index-wrong";
    /// A page request that is refused is answered with Success.
    RefusalSucceeds = "prgr-refusal-succeeds";
    /// One page request in eight is lost.
    PageRequestLost = "page-request-lost";
    /// Untranslated requests are counted as Translated ones, and the other way round.
    WrongEventCounted = "hpm-wrong-event";
    /// One request in eight is counted twice.
    CountedTwice = "hpm-counts-twice";
    /// OF of an event counter that overflows stays 0.
    OverflowLost = "hpm-overflow-lost";
    /// One accepted MSI in eight does not reach its file.
    MrifBitLost = "mrif-bit-lost";
    /// A notice goes to the next word.
    NoticeElsewhere = "notice-elsewhere";
    /// Walks have the RCID and MCID of the IOMMU itself.
    WalkQosWrong = "qos-of-walks-wrong";
    /// Forwarded requests have no MCID.
    McidLost = "qos-mcid-lost";
    /// One request in 64 waits while there is any other.
    Starved = "request-starved";
    /// The debug interface answers with the page beside.
    DebugPageWrong = "debug-page-wrong";
    /// IOTINVAL.VMA with AV=1 does nothing where bit 63 of the address is 1.
    VmaHighHalfKept = "vma-high-half-kept";
    /// IOTINVAL.VMA and GVMA with S=1 reach the lower half of the range only.
    RangeHalfKept = "range-half-kept";
    /// IOTINVAL.VMA with GV=0, AV=0 and PSCV=0 does nothing.
    VmaAllKept = "vma-all-kept";
    /// IOTINVAL.VMA with AV=1 and PSCV=1 does nothing.
    VmaAddressProcessKept = "vma-av-pscv-kept";
    /// IOTINVAL.VMA with AV=1 and without PSCV spares global entries.
    VmaAddressGlobalKept = "vma-av-global-kept";
    /// IOTINVAL.VMA with AV=1 spares superpages.
    VmaSuperpageKept = "vma-superpage-kept";
    /// IOTINVAL.GVMA with AV=1 spares superpages.
    GvmaSuperpageKept = "gvma-superpage-kept";
    /// IODIR.INVAL_DDT with DV=0 spares device contexts.
    InvalDdtAllKeepsDc = "inval-ddt-all-keeps-dc";
    /// IODIR.INVAL_PDT does nothing for a PID above 0xff.
    InvalPdtHighKept = "inval-pdt-high-kept";
    /// The highest bit of PSCID is not compared.
    PscidTopIgnored = "pscid-top-ignored";
    /// The highest bit of GSCID is not compared.
    GscidTopIgnored = "gscid-top-ignored";
    /// The highest bit of device_id is not compared.
    DeviceIdTopIgnored = "device-id-top-ignored";
    /// Bit 16 of process_id is not compared.
    ProcessIdTopIgnored = "process-id-top-ignored";
    /// Bits 63:47 of an IOVA are not compared.
    IovaTagNarrow = "iova-tag-narrow";
    /// Bits 63:39 of a GPA are not compared: the two bits that Sv39x4 has more than Sv39.
    GpaTagNarrow = "gpa-tag-narrow";
    /// An MSI page-table entry that is held serves every guest.
    MsiAnyGuest = "msi-pte-any-guest";
    /// A leaf that is held lets whoever may read execute.
    HeldLeafExecutable = "held-leaf-executable";
    /// A leaf that is held lets whoever may execute read.
    HeldLeafReadable = "held-leaf-readable";
    /// A second-stage leaf that is held grants writes whether or not it has W.
    HeldGuestWritable = "held-guest-writable";
    /// The first page of a NAPOT range that is held stands for all of them.
    HeldNapotFirst = "held-napot-first";
    /// Bits 55:44 of the translated address are lost.
    SpaTopLost = "spa-top-lost";
    /// Translated requests are taken for untranslated ones.
    TranslatedIgnored = "translated-ignored";
    /// SADE has the value of GADE.
    SadeIsGade = "sade-is-gade";
    /// GADE has the value of SADE.
    GadeIsSade = "gade-is-sade";
    /// An access that page permissions refuse sets the A bit of the leaf.
    RefusedUpdates = "refused-updates";
    /// Translation requests that fault are recorded whatever DTF says.
    DtfIgnoredByAts = "dtf-ignored-by-ats";
    /// A page of D=0 is told to be writable in a translation completion, and D stays 0.
    AtsDirtyIgnored = "ats-dirty-ignored";
    /// A translation completion lets execute what may be read.
    AtsGrantsExecute = "ats-grants-execute";
    /// A translation completion never has Priv.
    AtsPrivLost = "ats-priv-lost";
    /// A translation completion always has Global.
    AtsGlobalAlways = "ats-global-always";
    /// A translation completion never has U.
    AtsUntranslatedLost = "ats-untranslated-lost";
    /// Unsupported Request and Completer Abort are taken for one another.
    AtsStatusSwapped = "ats-status-swapped";
    /// ATS.INVAL leaves before a fence in front of it has completed.
    AtsOvertakesFence = "ats-inval-overtakes-fence";
    /// One invalidation completion is enough, whatever its count says.
    CompletionCountIgnored = "completion-count-ignored";
    /// Time-outs of invalidation requests are not noticed.
    TimeoutLost = "ats-timeout-lost";
    /// A time-out ends the wait of IOFENCE.C, which completes.
    TimeoutCompletes = "ats-timeout-completes";
    /// PRPR is inverted: responses to page requests that are refused have a PASID where they must not.
    PrprInverted = "prpr-inverted";
    /// Page requests that are refused have the response code of another reason.
    RefusalCodeWrong = "prgr-code-wrong";
    /// A page request that is refused without being the last of its group is answered too.
    RefusalUnasked = "prgr-unasked";
    /// `fqof` stays 0 when a record finds the queue full.
    FaultOverflowLost = "fqof-lost";
    /// `fqmf` stays 0 when a record cannot be stored.
    FaultMemoryLost = "fqmf-lost";
    /// `pqof` stays 0 when a page request finds the queue full.
    PageOverflowLost = "pqof-lost";
    /// Bits 1:0 of `iotval2` are lost.
    GuestFlagsLost = "iotval2-flags-lost";
    /// The last two records of one cycle change places, and the second has the address of the first.
    RecordAddressStale = "record-address-stale";
    /// The store of IOFENCE.C goes out before what the fence waits for.
    FenceStoreEarly = "fence-store-early";
    /// One store of IOFENCE.C in eight is lost.
    FenceStoreLost = "fence-store-lost";
    /// The store of IOFENCE.C is little-endian whatever `fctl.BE` says.
    FenceLittleEndian = "fence-little-endian";
    /// `fence_w_ip` is set when the store of the fence is sent.
    FenceWipEarly = "fence-wip-early";
    /// `fqon` and `pqon` fall while a record is being stored.
    QueueOffEarly = "queue-off-early";
    /// A bit of `ipsr` that is set within 16 clocks of a write of `ipsr` is lost.
    PendingLost = "ipsr-set-lost";
    /// Where two messages are due, each has the data of the other.
    MessagesSwapped = "messages-swapped";
    /// One message of an interrupt in eight is sent twice.
    MessageTwice = "message-twice";
    /// Records have the RCID and MCID 0.
    RecordQosLost = "qos-of-records-lost";
    /// One notice of an MRIF in eight is lost.
    NoticeLost = "notice-lost";
    /// A device's write to an MRIF is answered before the update's B.
    MrifAnsweredEarly = "mrif-answered-early";
    /// Counters count while `iocountinh` forbids it.
    InhibitIgnored = "hpm-inhibit-ignored";
    /// DMASK of an event counter is ignored.
    MaskIgnored = "hpm-dmask-ignored";
    /// PV_PSCV of an event counter is ignored.
    ProcessFilterIgnored = "hpm-process-ignored";
    /// IDT of an event counter is ignored: identifiers are always device_id and process_id.
    IdTypeIgnored = "hpm-idt-ignored";
    /// The debug interface does not tell of faults.
    DebugFaultLost = "debug-fault-lost";
    /// Exclusive writes are forwarded as normal ones.
    WriteLockLost = "write-lock-lost";
    /// EXOKAY of memory becomes OKAY.
    ExokayLost = "exokay-lost";
    /// An error of a read beat stays for the rest of the burst.
    ReadErrorSticks = "read-error-sticks";
}

impl Bug {
    /// The random profile whose runs do what it is about; or the directed test that does, where
    /// profiles come to it in more than 30 seeds or never.
    #[must_use]
    pub const fn profile(self) -> &'static str {
        match self {
            Bug::VmaGuestKept
            | Bug::VmaDropsSecond
            | Bug::GvmaAddressKept
            | Bug::GvmaGuestKept
            | Bug::GvmaAllKept
            | Bug::GvmaNonLeafKept
            | Bug::GvmaDropsFirst
            | Bug::CombinedKept
            | Bug::MsiKept
            | Bug::InvalDdtKeepsPdt
            | Bug::InvalDdtKeepsPointer
            | Bug::ProcessIdBitIgnored
            | Bug::HostTakenForGuest
            | Bug::ProcessIdTopIgnored
            | Bug::GpaTagNarrow
            | Bug::HeldGuestWritable
            | Bug::SadeIsGade
            | Bug::GadeIsSade
            | Bug::GuestFlagsLost => "invalidation-guests",
            Bug::GvmaNlIgnored
            | Bug::GvmaRangeIgnored
            | Bug::GscidBitIgnored
            | Bug::NapotFirstPage
            | Bug::StaleWalkFills
            | Bug::GvmaSuperpageKept
            | Bug::CompareIgnored
            | Bug::InvalPdtKept
            | Bug::InvalPdtHighKept => "invalidation-exact",
            Bug::KeptOverReset => "resets",
            Bug::AtsGrantsWrite
            | Bug::AtsRangeDoubled
            | Bug::T2gpaIgnored
            | Bug::AtsFaultRecorded
            | Bug::ItagReused
            | Bug::FenceIgnoresAts
            | Bug::ResponseIndexWrong
            | Bug::RefusalSucceeds
            | Bug::PageRequestLost
            | Bug::TranslatedIgnored
            | Bug::DtfIgnoredByAts
            | Bug::AtsDirtyIgnored
            | Bug::AtsGrantsExecute
            | Bug::AtsPrivLost
            | Bug::AtsGlobalAlways
            | Bug::AtsUntranslatedLost
            | Bug::AtsStatusSwapped
            | Bug::CompletionCountIgnored
            | Bug::TimeoutLost
            | Bug::TimeoutCompletes
            | Bug::PrprInverted
            | Bug::RefusalCodeWrong
            | Bug::RefusalUnasked => "ats",
            Bug::Starved => "saturation",
            Bug::NoticeEarly | Bug::MrifBitLost | Bug::NoticeElsewhere | Bug::NoticeLost => "msi",
            Bug::FaultMemoryLost | Bug::QueueOffEarly | Bug::PendingLost | Bug::MessageTwice => {
                "queues"
            }
            Bug::SpaTopLost | Bug::IovaTagNarrow => "translation",
            Bug::AtsOvertakesFence => "ats-inval-behind-fence",
            Bug::FenceWipEarly => "fence-interrupt-behind-store",
            Bug::FaultOverflowLost => "fault-queue-overflow",
            Bug::PageOverflowLost => "page-request-queue-full",
            Bug::GscidTopIgnored => "one-bit-apart-guests",
            Bug::PscidTopIgnored => "one-bit-apart-ids",
            Bug::ReadSetsDirty => "nested",
            Bug::MaskIgnored => "hpm-filters",
            Bug::MessagesSwapped => "messages-due-together",
            Bug::MrifAnsweredEarly => "mrif-fence",
            Bug::MsiAnyGuest => "msi-files-of-two-guests",
            Bug::WriteLockLost | Bug::ExokayLost | Bug::ReadErrorSticks => "axi-edges",
            Bug::WrongEventCounted
            | Bug::CountedTwice
            | Bug::OverflowLost
            | Bug::InhibitIgnored
            | Bug::ProcessFilterIgnored
            | Bug::IdTypeIgnored
            | Bug::DebugFaultLost
            | Bug::DebugPageWrong => "registers",
            _ => "invalidation-races",
        }
    }

    /// The bug of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Bug> {
        Self::ALL.iter().copied().find(|b| b.name() == name)
    }
}

/// Whether this device drops an entry at a command: what the specification says, but for the bug.
pub(crate) fn reaches(bug: Option<Bug>, command: &Command, held: &Held) -> bool {
    let entry = &held.entry;
    let right = covers(command, entry);
    let Some(bug) = bug else { return right };
    match (bug, command) {
        (Bug::VmaAddressKept, Command::IotinvalVma(o)) => right && !o.av,
        (Bug::VmaProcessKept, Command::IotinvalVma(o)) => right && (!o.pscv || o.av),
        (Bug::VmaGuestKept, Command::IotinvalVma(o)) => right && !o.gv,
        (Bug::VmaNonLeafKept, Command::IotinvalVma(o)) => right && (o.av || held.leaf()),
        (Bug::VmaNlIgnored, Command::IotinvalVma(o)) => right && (!o.av || held.leaf()),
        (Bug::VmaRangeIgnored, Command::IotinvalVma(o)) => {
            covers(&Command::IotinvalVma(Iotinval { s: false, ..*o }), entry)
        }
        (Bug::VmaDropsSecond, Command::IotinvalVma(o)) => covers(&Command::IotinvalGvma(*o), entry),
        (Bug::GlobalKept, Command::IotinvalVma(o)) => {
            right && (o.pscv || !matches!(entry, Entry::FirstStage { global: true, .. }))
        }
        (Bug::GvmaAddressKept, Command::IotinvalGvma(o)) => right && !(o.gv && o.av),
        (Bug::GvmaGuestKept, Command::IotinvalGvma(o)) => right && (!o.gv || o.av),
        (Bug::GvmaAllKept, Command::IotinvalGvma(o)) => right && o.gv,
        (Bug::GvmaNonLeafKept, Command::IotinvalGvma(o)) => {
            right && ((o.gv && o.av) || held.leaf())
        }
        (Bug::GvmaNlIgnored, Command::IotinvalGvma(o)) => right && (!(o.gv && o.av) || held.leaf()),
        (Bug::GvmaRangeIgnored, Command::IotinvalGvma(o)) => {
            covers(&Command::IotinvalGvma(Iotinval { s: false, ..*o }), entry)
        }
        (Bug::GvmaDropsFirst, Command::IotinvalGvma(o)) => covers(&Command::IotinvalVma(*o), entry),
        (Bug::CombinedKept, Command::IotinvalGvma(_)) => right && !held.combined,
        (Bug::MsiKept, Command::IotinvalGvma(_)) => right && !matches!(entry, Entry::MsiPte { .. }),
        (Bug::InvalDdtKeepsDc, Command::InvalDdt { device_id: Some(_) }) => {
            right && !matches!(entry, Entry::Dc { .. })
        }
        (Bug::InvalDdtKeepsPdt, Command::InvalDdt { .. }) => {
            right && !matches!(entry, Entry::PdtNonLeaf { .. } | Entry::Pc { .. })
        }
        (Bug::InvalDdtKeepsNonLeaf, Command::InvalDdt { device_id: None }) => {
            right && !matches!(entry, Entry::DdtNonLeaf)
        }
        (Bug::InvalDdtKeepsPointer, Command::InvalDdt { .. }) => {
            right && !matches!(entry, Entry::Pointer(_))
        }
        (Bug::InvalPdtKept, Command::InvalPdt { .. }) => false,
        (Bug::InvalPdtHighKept, Command::InvalPdt { process_id, .. }) => {
            right && *process_id <= 0xff
        }
        (Bug::InvalDdtAllKeepsDc, Command::InvalDdt { device_id: None }) => {
            right && !matches!(entry, Entry::Dc { .. })
        }
        (Bug::VmaHighHalfKept, Command::IotinvalVma(o)) => right && !(o.av && o.addr >> 51 == 1),
        (Bug::RangeHalfKept, Command::IotinvalVma(o)) => {
            covers(&Command::IotinvalVma(lower_half(o)), entry)
        }
        (Bug::RangeHalfKept, Command::IotinvalGvma(o)) => {
            covers(&Command::IotinvalGvma(lower_half(o)), entry)
        }
        (Bug::VmaAllKept, Command::IotinvalVma(o)) => right && (o.gv || o.av || o.pscv),
        (Bug::VmaAddressProcessKept, Command::IotinvalVma(o)) => right && !(o.av && o.pscv),
        (Bug::VmaAddressGlobalKept, Command::IotinvalVma(o)) => {
            right && (!o.av || o.pscv || !matches!(entry, Entry::FirstStage { global: true, .. }))
        }
        (Bug::VmaSuperpageKept, Command::IotinvalVma(o))
        | (Bug::GvmaSuperpageKept, Command::IotinvalGvma(o)) => {
            right && !(o.av && held.leaf() && held.level > 0)
        }
        (Bug::NapotFirstPage, Command::IotinvalVma(o) | Command::IotinvalGvma(o)) if o.av => {
            let first = |e: Entry| covers(command, &e);
            right
                && entry
                    .pages()
                    .is_none_or(|mut p| p.next().is_some_and(first))
        }
        _ => right,
    }
}

/// The operands with half of the range, where it is one.
fn lower_half(o: &Iotinval) -> Iotinval {
    if !o.s {
        return *o;
    }
    match o.addr.trailing_ones() {
        0 => Iotinval { s: false, ..*o },
        ones => Iotinval {
            addr: o.addr & !(1 << (ones - 1)),
            ..*o
        },
    }
}

/// The piece of a dropped range that a splitting device keeps: the half beside the page named. Of
/// a NAPOT range that is legal (Svnapot: each of its pages may be an entry of its own).
pub(crate) fn piece(
    bug: Option<Bug>,
    napot_pieces: bool,
    command: &Command,
    held: &Held,
) -> Option<Range> {
    let (Command::IotinvalVma(o) | Command::IotinvalGvma(o)) = command else {
        return None;
    };
    let (Entry::FirstStage {
        leaf: true, range, ..
    }
    | Entry::SecondStage {
        leaf: true, range, ..
    }) = held.entry
    else {
        return None;
    };
    let napot = held.level == 0 && range.log2 > 12;
    let splits = napot && napot_pieces || held.level > 0 && bug == Some(Bug::SuperpageSplit);
    // The half of the range in which the operand is not.
    let named = operand_range(o);
    (splits && o.av && named.log2 < range.log2).then(|| {
        let half = 1 << (range.log2 - 1);
        Range::around(named.base ^ half, range.log2 - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (n, bug) in Bug::ALL.iter().enumerate() {
            assert_eq!(Bug::of_name(bug.name()), Some(*bug));
            assert!(Bug::ALL[..n].iter().all(|b| b.name() != bug.name()));
        }
        assert!(Bug::ALL.len() >= 70);
    }
}

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
    /// ATS.INVAL leaves before the invalidations that were put off.
    AtsBeforeInvalidation = "ats-inval-before-invalidation";
    /// ATS.INVAL leaves before the translation completions of before.
    AtsOvertakes = "ats-inval-overtakes";
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
}

impl Bug {
    /// The random profile whose runs do what it is about.
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
            | Bug::InvalPdtKept
            | Bug::ProcessIdBitIgnored
            | Bug::HostTakenForGuest => "invalidation-guests",
            Bug::GvmaNlIgnored
            | Bug::GvmaRangeIgnored
            | Bug::GscidBitIgnored
            | Bug::NapotFirstPage
            | Bug::StaleWalkFills
            | Bug::CompareIgnored => "invalidation-exact",
            Bug::KeptOverReset => "resets",
            Bug::AtsGrantsWrite
            | Bug::AtsRangeDoubled
            | Bug::T2gpaIgnored
            | Bug::AtsFaultRecorded
            | Bug::AtsBeforeInvalidation
            | Bug::AtsOvertakes
            | Bug::ItagReused
            | Bug::FenceIgnoresAts
            | Bug::ResponseIndexWrong
            | Bug::RefusalSucceeds
            | Bug::PageRequestLost => "ats",
            Bug::Starved => "saturation",
            Bug::NoticeEarly | Bug::MrifBitLost | Bug::NoticeElsewhere => "msi",
            Bug::WrongEventCounted
            | Bug::CountedTwice
            | Bug::OverflowLost
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

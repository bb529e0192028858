//! Every row of docs/invalidation.md: what the block may still use of an entry that memory has
//! returned to it, after the entry was taken out of its table and a command has completed.

use iommu_bus::mem::SparseMemory;
use iommu_golden::command::{Iofence, Iotinval};
use iommu_golden::{Access, Capabilities, Command, Config, Iommu, IommuMode, Iova, Request, Spa};

use super::*;

const PAGE: u64 = 4096;
const DDT: u64 = 0x1_0000;
const DDT_LEAF: u64 = 0x1_1000;
/// Two host processes' tables (PSCID 5 and 6), and where their page 0 is mapped to.
const HOST: [u64; 2] = [0x2_0000, 0x3_0000];
const HOST_DATA: [u64; 2] = [0x100_0000, 0x200_0000];
/// Second stage of VMs 7 and 8: roots, and guest page 0 of each; guest pages 0..512 are mapped one
/// by one.
const VM: [u64; 2] = [0x4_0000, 0x5_0000];
const GUEST: [u64; 2] = [0x1000_0000, 0x2000_0000];
const MSI_TABLE: u64 = 0x6_0000;
const MSI_FILE: u64 = 0x7_0000;
/// Guest pages of the first-stage tables, of the process directory, and of interrupt files.
const G_FIRST: u64 = 0x10;
const G_PDT: u64 = 0x20;
const G_MSI: u64 = 0x80;
/// The page that everybody translates.
const IOVA: u64 = 0;

const PTR: u64 = 1;
const RWU: u64 = 0xd7;
const GLOBAL: u64 = 1 << 5;

fn pte(addr: u64, flags: u64) -> u64 {
    addr >> 12 << 10 | flags
}

/// Device 1 is the host's, 2 and 3 belong to VMs 7 and 8 (two stages, interrupt files), 4 to VM 7
/// with a process directory.
struct Bench {
    oracle: Oracle,
    iommu: Iommu,
    mem: SparseMemory,
    now: u64,
    count: u64,
}

impl Bench {
    fn new() -> Self {
        let caps = Capabilities::version_1_0()
            .with(Capabilities::SV39)
            .with(Capabilities::SV39X4)
            .with(Capabilities::AMO_HWAD)
            .with(Capabilities::END)
            .with(Capabilities::PD8)
            .with(Capabilities::PD17)
            .with(Capabilities::MSI_FLAT)
            .with_pas(46);
        let mut iommu = Iommu::new(Config::new(caps)).expect("an IOMMU that exists");
        iommu.registers_mut().mode = IommuMode::Levels(2);
        iommu.registers_mut().ddtp_ppn = DDT >> 12;
        let mut mem = SparseMemory::new();
        mem.write_u64(DDT, (DDT_LEAF >> 12) << 10 | 1);
        for n in 0..2 {
            // Host tables: three levels in three pages.
            first_stage(
                &mut mem,
                |page| HOST[n] + page * PAGE,
                HOST[n],
                HOST_DATA[n],
            );
            // The second stage: root of four pages, then two more.
            let (root, one, zero) = (VM[n], VM[n] + 4 * PAGE, VM[n] + 5 * PAGE);
            mem.write_u64(root, pte(one, PTR));
            mem.write_u64(one, pte(zero, PTR));
            for page in 0..512 {
                mem.write_u64(zero + 8 * page, pte(GUEST[n] + page * PAGE, RWU));
            }
            // First-stage tables and directories of the guest, at guest pages.
            let at = |page: u64| GUEST[n] + (G_FIRST + page) * PAGE;
            first_stage(&mut mem, at, G_FIRST * PAGE, 0x1f0 * PAGE);
            let pdt = GUEST[n] + G_PDT * PAGE;
            mem.write_u64(pdt, (G_PDT + 1) << 10 | 1);
            for pid in 0..2 {
                mem.write_u64(pdt + PAGE + 16 * pid, 1 | (5 + pid) << 12);
                mem.write_u64(pdt + PAGE + 16 * pid + 8, 8 << 60 | G_FIRST);
            }
            // The interrupt file of guest page G_MSI.
            mem.write_u64(MSI_TABLE + PAGE * n as u64, pte(MSI_FILE, 7));
        }
        let mut dc = |id: u64, words: [u64; 7]| {
            for (i, w) in (0u64..).zip(words) {
                mem.write_u64(DDT_LEAF + 64 * id + 8 * i, w);
            }
        };
        let vm = |n: usize| 8 << 60 | (7 + n as u64) << 44 | VM[n] >> 12;
        let msi = |n: usize| 1 << 60 | ((MSI_TABLE >> 12) + n as u64);
        dc(1, [1, 0, 5 << 12, 8 << 60 | HOST[0] >> 12, 0, 0, 0]);
        dc(2, [1, vm(0), 5 << 12, 8 << 60 | G_FIRST, msi(0), 0, G_MSI]);
        dc(3, [1, vm(1), 5 << 12, 8 << 60 | G_FIRST, msi(1), 0, G_MSI]);
        dc(4, [1 | 1 << 5, vm(0), 0, 2 << 60 | G_PDT, 0, 0, 0]);
        dc(5, [1, 0, 6 << 12, 8 << 60 | HOST[1] >> 12, 0, 0, 0]);
        Self {
            oracle: Oracle::new(caps, false),
            iommu,
            mem,
            now: 10,
            count: 0,
        }
    }

    fn ask_at(&mut self, request: &Request, accepted: u64) -> Legal {
        let mut legal = Legal::default();
        let query = Query {
            request: *request,
            accepted,
            write: request.access == Access::Write,
            lax: false,
            ordered: false,
        };
        let all = self
            .oracle
            .legal(&self.iommu, &self.mem, &query, self.now, &mut legal);
        assert!(all);
        // What is remembered says the same, when it is made and when it is used.
        for _ in 0..2 {
            let mut known = Legal::default();
            let (iommu, mem) = (&self.iommu, &self.mem);
            let all = self
                .oracle
                .legal_now(iommu, mem, &query, self.now, &mut known);
            assert!(all);
            assert_eq!(unproven(&known), unproven(&legal));
            assert_eq!(known.loads, legal.loads);
        }
        legal
    }

    /// Where the request may go, and whether it may be refused, if it is accepted now.
    fn ask(&mut self, request: &Request) -> (Vec<u64>, bool) {
        self.now += 10;
        let legal = self.ask_at(request, self.now);
        outcomes(&legal)
    }

    /// The block walks for the request, and memory returns all that the walk reads.
    /// The block reads all tables of a request. True if others are to be asked again.
    fn walk(&mut self, request: &Request) -> bool {
        self.now += 10;
        let legal = self.ask_at(request, self.now);
        let mut again = false;
        for l in &legal.loads {
            let wanted = Wanted {
                label: l.label,
                addr: l.addr,
                len: l.len,
                big: l.big,
            };
            let data: Vec<(u64, u64)> = (l.addr..l.addr + u64::from(l.len))
                .step_by(8)
                .map(|a| (a, self.mem.read_u64(a)))
                .collect();
            again |= self.oracle.returned(self.now, &data, &[wanted]);
        }
        again
    }

    fn store(&mut self, addr: u64, value: u64) {
        self.oracle.words.store(addr, 8, self.now);
        self.mem.write_u64(addr, value);
        self.oracle.words.catch_up(&self.mem);
        self.now += 10;
    }

    /// The command and a fence are fetched; and the fence is seen to have completed.
    fn command(&mut self, command: Command, pr: bool, pw: bool) {
        self.fetch(command, pr, pw);
        self.complete();
    }

    fn fetch(&mut self, command: Command, pr: bool, pw: bool) {
        self.now += 10;
        self.oracle.log.fetched(self.count, self.now, &command);
        let fence = Command::Iofence(Iofence {
            av: false,
            wsi: false,
            pr,
            pw,
            data: 0,
            addr: Spa(0),
        });
        self.oracle.log.fetched(self.count + 1, self.now, &fence);
        self.count += 2;
    }

    fn complete(&mut self) {
        self.now += 10;
        self.oracle.log.visible(self.count, self.now);
    }
}

fn first_stage(mem: &mut SparseMemory, at: impl Fn(u64) -> u64, root: u64, data: u64) {
    mem.write_u64(at(0), pte(root + PAGE, PTR));
    mem.write_u64(at(1), pte(root + 2 * PAGE, PTR));
    mem.write_u64(at(2), pte(data, RWU));
}

/// The outcomes without the evidence for them: memory has returned what a remembered answer rests on,
/// so that there is some, whether or not the block still holds it.
fn unproven(legal: &Legal) -> Vec<Verdict> {
    let unproven = |v: &Verdict| match *v {
        Verdict::Grant {
            spa,
            user,
            bare,
            after_update,
            ..
        } => Verdict::Grant {
            spa,
            user,
            bare,
            after_update,
            evidence: None,
        },
        other => other,
    };
    legal.verdicts.iter().map(unproven).collect()
}

fn outcomes(legal: &Legal) -> (Vec<u64>, bool) {
    let mut to: Vec<u64> = legal
        .verdicts
        .iter()
        .filter_map(|v| match v {
            Verdict::Grant { spa, .. } => Some(*spa),
            _ => None,
        })
        .collect();
    to.sort_unstable();
    to.dedup();
    (to, legal.may_deny())
}

fn read(device: u32) -> Request {
    Request::read(device, Iova(IOVA))
}

fn of_process(pid: u32) -> Request {
    Request {
        process_id: Some(pid),
        ..read(4)
    }
}

const NONE: Iotinval = Iotinval {
    gv: false,
    av: false,
    pscv: false,
    nl: false,
    s: false,
    gscid: 7,
    pscid: 5,
    addr: 0,
};

fn vma(o: Iotinval) -> Command {
    Command::IotinvalVma(o)
}

fn gvma(o: Iotinval) -> Command {
    Command::IotinvalGvma(o)
}

fn ddt(device_id: Option<u32>) -> Command {
    Command::InvalDdt { device_id }
}

fn pdt(device_id: u32, process_id: u32) -> Command {
    Command::InvalPdt {
        device_id,
        process_id,
    }
}

/// What was granted stays possible after any of `spare`, and is gone after any of `reach`.
fn row(what: &str, request: Request, edit: u64, spare: &[Command], reach: &[Command]) {
    for (commands, gone) in [(spare, false), (reach, true)] {
        for command in commands {
            let mut b = Bench::new();
            b.walk(&request);
            let (to, deny) = b.ask(&request);
            assert!(to.len() == 1 && !deny, "{what}: {to:x?} {deny}");
            b.store(edit, 0);
            assert_eq!(b.ask(&request), (to.clone(), true), "{what}: before");
            b.command(*command, false, false);
            let want = if gone { vec![] } else { to };
            assert_eq!(b.ask(&request), (want, true), "{what}: after {command:?}");
        }
    }
}

#[test]
fn ddt_non_leaf_entries() {
    let dv0 = [ddt(None)];
    row(
        "DDT non-leaf",
        read(1),
        DDT,
        &[ddt(Some(1)), vma(NONE), gvma(NONE), pdt(1, 0)],
        &dv0,
    );
}

#[test]
fn device_contexts() {
    row(
        "DC",
        read(1),
        DDT_LEAF + 64,
        &[ddt(Some(2)), vma(NONE), gvma(NONE), pdt(1, 0)],
        &[ddt(None), ddt(Some(1))],
    );
}

#[test]
fn process_directories() {
    let root = GUEST[0] + G_PDT * PAGE;
    row(
        "PDT non-leaf",
        of_process(1),
        root,
        &[ddt(Some(2)), pdt(4, 1), vma(NONE), gvma(NONE)],
        &[ddt(None), ddt(Some(4))],
    );
    row(
        "PC",
        of_process(1),
        root + PAGE + 16,
        &[ddt(Some(2)), pdt(4, 0), pdt(2, 1), vma(NONE), gvma(NONE)],
        &[ddt(None), ddt(Some(4)), pdt(4, 1)],
    );
}

#[test]
fn first_stage_leaves_of_the_host() {
    let av = Iotinval { av: true, ..NONE };
    let pscv = Iotinval { pscv: true, ..NONE };
    row(
        "host leaf",
        read(1),
        HOST[0] + 2 * PAGE,
        &[
            vma(Iotinval { gv: true, ..NONE }),
            vma(Iotinval { addr: 1, ..av }),
            vma(Iotinval { pscid: 6, ..pscv }),
            vma(Iotinval {
                addr: 0b100,
                s: true,
                ..av
            }),
            gvma(NONE),
            ddt(None),
            pdt(1, 0),
        ],
        &[
            vma(NONE),
            vma(av),
            vma(pscv),
            vma(Iotinval { av: true, ..pscv }),
            vma(Iotinval { nl: true, ..av }),
            vma(Iotinval {
                addr: 0b011,
                s: true,
                ..av
            }),
        ],
    );
}

#[test]
fn first_stage_non_leaves_need_av_0_or_nl() {
    let av = Iotinval { av: true, ..NONE };
    row(
        "host non-leaf",
        read(1),
        HOST[0] + PAGE,
        &[
            vma(av),
            vma(Iotinval {
                addr: 512,
                nl: true,
                ..av
            }),
            gvma(NONE),
        ],
        &[vma(NONE), vma(Iotinval { nl: true, ..av })],
    );
}

#[test]
fn first_stage_of_a_vm() {
    let gv = Iotinval { gv: true, ..NONE };
    row(
        "VM leaf",
        read(2),
        GUEST[0] + (G_FIRST + 2) * PAGE,
        &[
            vma(NONE),
            vma(Iotinval { gscid: 8, ..gv }),
            gvma(gv),
            ddt(None),
        ],
        &[
            vma(gv),
            vma(Iotinval { av: true, ..gv }),
            vma(Iotinval { pscv: true, ..gv }),
        ],
    );
}

#[test]
fn global_mappings_are_spared_by_pscid_and_serve_every_process() {
    for (command, gone) in [
        (vma(Iotinval { pscv: true, ..NONE }), false),
        (vma(NONE), true),
    ] {
        let mut b = Bench::new();
        b.store(HOST[0] + 2 * PAGE, pte(HOST_DATA[0], RWU | GLOBAL));
        b.walk(&read(1));
        b.store(HOST[0] + 2 * PAGE, 0);
        b.command(command, true, true);
        let (to, deny) = b.ask(&read(1));
        assert_eq!((to.is_empty(), deny), (gone, true));
        // The other process maps the page elsewhere: a hit on the global entry is legal too.
        let (to, _) = b.ask(&read(5));
        assert_eq!(to.contains(&HOST_DATA[0]), !gone);
        assert!(to.contains(&HOST_DATA[1]));
    }
    // Not so an entry that is not global.
    let mut b = Bench::new();
    b.walk(&read(1));
    assert_eq!(b.ask(&read(5)), (vec![HOST_DATA[1]], false));
}

#[test]
fn second_stage_entries() {
    let gv = Iotinval { gv: true, ..NONE };
    let data = Iotinval {
        av: true,
        addr: 0x1f0,
        ..gv
    };
    row(
        "second-stage leaf of the data",
        read(2),
        VM[0] + 5 * PAGE + 8 * 0x1f0,
        &[
            vma(NONE),
            vma(gv),
            ddt(None),
            gvma(Iotinval { gscid: 8, ..gv }),
            gvma(Iotinval {
                addr: 0x1f1,
                ..data
            }),
        ],
        &[
            gvma(NONE),
            gvma(gv),
            gvma(data),
            gvma(Iotinval {
                av: true,
                addr: 0x1f1,
                s: false,
                ..NONE
            }),
        ],
    );
    row(
        "second-stage non-leaf",
        read(2),
        VM[0] + 4 * PAGE,
        &[
            gvma(data),
            gvma(Iotinval {
                addr: 512,
                nl: true,
                ..data
            }),
        ],
        &[gvma(gv), gvma(Iotinval { nl: true, ..data })],
    );
}

#[test]
fn a_translated_pointer_has_two_homes() {
    // The second-stage leaf that translates the root pointer of the first stage.
    let leaf = VM[0] + 5 * PAGE + 8 * G_FIRST;
    let gv = Iotinval { gv: true, ..NONE };
    let first = vma(Iotinval { gv: true, ..NONE });
    for (commands, gone) in [
        // Neither the first-stage entries nor the pointer may be left.
        (&[gvma(gv), first][..], false),
        (&[ddt(Some(2)), first][..], false),
        (&[gvma(gv), ddt(Some(2))][..], false),
        (&[gvma(gv), ddt(Some(3)), first][..], false),
        (&[gvma(gv), ddt(Some(2)), first][..], true),
        (&[gvma(gv), ddt(None), first][..], true),
    ] {
        let mut b = Bench::new();
        b.walk(&read(2));
        b.store(leaf, 0);
        for c in commands {
            b.command(*c, true, true);
        }
        let (to, deny) = b.ask(&read(2));
        assert_eq!((to.is_empty(), deny), (gone, true), "{commands:?}");
    }
    // The same for a process context: INVAL_PDT reaches the pointer in it.
    let of_vm = Request {
        process_id: Some(1),
        ..read(4)
    };
    for (second, gone) in [(pdt(4, 1), true), (pdt(4, 0), false)] {
        let mut b = Bench::new();
        b.walk(&of_vm);
        b.store(leaf, 0);
        for c in [gvma(gv), first, second] {
            b.command(c, true, true);
        }
        assert_eq!(b.ask(&of_vm).0.is_empty(), gone);
    }
}

#[test]
fn msi_entries() {
    let gv = Iotinval { gv: true, ..NONE };
    let to_file = Request {
        access: Access::Write,
        ..read(2)
    };
    for (command, gone) in [
        (vma(gv), false),
        (ddt(None), false),
        (gvma(Iotinval { gscid: 8, ..gv }), false),
        (
            gvma(Iotinval {
                av: true,
                addr: G_MSI + 1,
                ..gv
            }),
            false,
        ),
        (
            gvma(Iotinval {
                av: true,
                addr: G_MSI,
                ..gv
            }),
            true,
        ),
        (gvma(gv), true),
        (gvma(NONE), true),
    ] {
        let mut b = Bench::new();
        // The guest maps its page to the interrupt file.
        b.store(GUEST[0] + (G_FIRST + 2) * PAGE, pte(G_MSI * PAGE, RWU));
        b.walk(&to_file);
        assert_eq!(b.ask(&to_file), (vec![MSI_FILE], false));
        b.store(MSI_TABLE, 0);
        b.command(command, true, true);
        let (to, deny) = b.ask(&to_file);
        assert_eq!((to.is_empty(), deny), (gone, true), "{command:?}");
    }
}

#[test]
fn one_vm_is_not_served_from_the_entries_of_another() {
    // The tables are the same but for the GSCID; VM 8's page goes, and was never read for VM 8.
    let mut b = Bench::new();
    b.walk(&read(2));
    b.store(GUEST[1] + (G_FIRST + 2) * PAGE, 0);
    assert_eq!(b.ask(&read(3)), (vec![], true));
}

#[test]
fn a_superpage_is_one_entry_and_each_page_of_a_napot_range_may_be_one() {
    let mut b = Bench::new();
    b.store(HOST[0] + PAGE, pte(0x4000_0000, RWU));
    b.walk(&read(1));
    b.store(HOST[0] + PAGE, pte(HOST[0] + 2 * PAGE, PTR));
    let at = |iova| Request::read(1, Iova(iova));
    // Page 1 is in the superpage that is still held, and not in the new table.
    assert_eq!(b.ask(&at(PAGE)), (vec![0x4000_1000], true));
    // Any page of it takes all of it away.
    let far = Iotinval {
        av: true,
        addr: 0x1ff,
        ..NONE
    };
    b.command(vma(far), true, true);
    assert_eq!(b.ask(&at(PAGE)), (vec![], true));
    assert_eq!(b.ask(&at(0)), (vec![HOST_DATA[0]], false));

    let mut b = Bench::new();
    let napot = pte(HOST_DATA[0] | (8 * PAGE), RWU) | 1 << 63;
    for n in 0..16 {
        b.store(HOST[0] + 2 * PAGE + 8 * n, napot);
    }
    b.walk(&at(3 * PAGE));
    for n in 0..16 {
        b.store(HOST[0] + 2 * PAGE + 8 * n, 0);
    }
    assert_eq!(b.ask(&at(9 * PAGE)), (vec![HOST_DATA[0] + 9 * PAGE], true));
    // Svnapot: a cache may have made an entry of any of the pages, or of all.
    b.command(vma(Iotinval { addr: 15, ..far }), true, true);
    assert_eq!(b.ask(&at(9 * PAGE)), (vec![HOST_DATA[0] + 9 * PAGE], true));
    assert_eq!(b.ask(&at(15 * PAGE)), (vec![], true));
    let last = Iotinval { addr: 9, ..far };
    b.command(vma(last), true, true);
    assert_eq!(b.ask(&at(9 * PAGE)), (vec![], true));
    assert_eq!(b.ask(&at(8 * PAGE)), (vec![HOST_DATA[0] + 8 * PAGE], true));
    // The range of 16 pages.
    let range = Iotinval {
        addr: 7,
        s: true,
        ..far
    };
    b.command(vma(range), true, true);
    for page in 0..16 {
        assert_eq!(b.ask(&at(page * PAGE)), (vec![], true), "page {page}");
    }
}

#[test]
fn a_held_leaf_is_used_although_its_pointer_was_revoked_in_the_window() {
    let mut b = Bench::new();
    b.walk(&read(1));
    let accepted = b.now;
    // The pointer above it goes; NL by another page's address takes it, and spares the leaf.
    b.store(HOST[0] + PAGE, 0);
    let other = Iotinval {
        av: true,
        nl: true,
        addr: 5,
        ..NONE
    };
    b.command(vma(other), true, true);
    let early = b.ask_at(&read(1), accepted);
    assert_eq!(outcomes(&early), (vec![HOST_DATA[0]], true));
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], true));
    b.command(vma(NONE), true, true);
    let early = b.ask_at(&read(1), accepted);
    assert_eq!(outcomes(&early), (vec![], true));
}

#[test]
fn an_old_leaf_is_used_although_the_walk_now_ends_above_it() {
    for edit in [HOST[0], HOST[0] + PAGE] {
        let mut b = Bench::new();
        b.walk(&read(1));
        // A pointer becomes a superpage.
        b.store(edit, pte(0x4000_0000, RWU));
        let (to, deny) = b.ask(&read(1));
        assert_eq!((to, deny), (vec![HOST_DATA[0], 0x4000_0000], false));
    }
    // The context leads to other tables with the same PSCID.
    let mut b = Bench::new();
    b.walk(&read(1));
    b.store(DDT_LEAF + 64 + 24, 8 << 60 | HOST[1] >> 12);
    b.walk(&read(1));
    b.command(ddt(None), true, true);
    assert_eq!(b.ask(&read(1)).0, vec![HOST_DATA[0], HOST_DATA[1]]);
    b.command(vma(NONE), true, true);
    assert_eq!(b.ask(&read(1)).0, vec![HOST_DATA[1]]);
}

#[test]
fn a_held_table_entry_is_used_although_the_second_stage_now_hides_its_table() {
    // Of the page with the first stage's root: every way in which a leaf may not translate. A
    // pointer there is none: "Otherwise, if i<0, stop and raise a page-fault exception".
    let leaf = VM[0] + 5 * PAGE + 8 * G_FIRST;
    let superpage = VM[0] + 4 * PAGE;
    let good = pte(GUEST[0] + G_FIRST * PAGE, RWU);
    for (at, edit) in [
        (leaf, 0),
        (leaf, pte(0x9000, PTR)),
        (leaf, good & !0x12),
        (leaf, good & !(1 << 6)),
        (leaf, good | 1 << 54),
        (leaf, good | 1 << 63),
        (leaf, pte(1 << 46, RWU)),
        // A superpage out of line.
        (superpage, pte(0x1000_1000, RWU)),
    ] {
        let mut b = Bench::new();
        b.walk(&read(2));
        b.store(at, edit);
        // Neither command reaches the first stage; leaf and root pointer are gone.
        let gv = Iotinval {
            gv: true,
            av: true,
            addr: G_FIRST,
            nl: true,
            ..NONE
        };
        b.command(gvma(gv), true, true);
        b.command(ddt(Some(2)), true, true);
        let legal = b.ask_at(&read(2), b.now + 10);
        // By entries that are held, or refused where the root is.
        let all = outcomes(&legal);
        assert_eq!(all, (vec![GUEST[0] + 0x1f0 * PAGE], true), "{edit:#x}");
    }
}

#[test]
fn what_was_never_returned_is_not_held() {
    let mut b = Bench::new();
    b.ask(&read(1));
    b.store(HOST[0] + 2 * PAGE, 0);
    assert_eq!(b.ask(&read(1)), (vec![], true));
}

#[test]
fn an_entry_sampled_before_the_command_and_returned_after_the_fence_is_gone() {
    let mut b = Bench::new();
    b.walk(&read(1));
    let leaf = HOST[0] + 2 * PAGE;
    let (old, sampled) = (b.mem.read_u64(leaf), b.now);
    let label = {
        let legal = b.ask_at(&read(1), b.now);
        *legal.loads.iter().find(|l| l.addr == leaf).expect("a leaf")
    };
    b.store(leaf, 0);
    b.command(vma(NONE), true, true);
    let wanted = Wanted {
        label: label.label,
        addr: leaf,
        len: 8,
        big: false,
    };
    b.oracle.returned(sampled, &[(leaf, old)], &[wanted]);
    assert_eq!(b.ask(&read(1)), (vec![], true));
    // Sampled after the command was fetched: that is what memory held then.
    b.oracle.returned(b.now, &[(leaf, old)], &[wanted]);
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], true));
}

#[test]
fn a_window_shows_both_sides_of_an_edit_and_no_invalid_entry_from_before_it() {
    let leaf = HOST[0] + 2 * PAGE;
    let mut b = Bench::new();
    b.ask(&read(1));
    b.store(leaf, 0);
    b.store(leaf, pte(HOST_DATA[1], RWU));
    let early = outcomes(&b.ask_at(&read(1), 20));
    assert_eq!(early, (vec![HOST_DATA[0], HOST_DATA[1]], true));
    // Accepted after the entry became valid again: V=0 is not cached, and was not seen.
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[1]], false));
}

#[test]
fn fences_bind_open_requests_only_with_pr_or_pw() {
    let write = Request {
        access: Access::Write,
        ..read(1)
    };
    for (pr, pw) in [(false, false), (true, false), (false, true)] {
        for (request, bound) in [(read(1), pr), (write, pw)] {
            let mut b = Bench::new();
            b.walk(&request);
            let accepted = b.now;
            b.store(HOST[0] + 2 * PAGE, 0);
            b.fetch(vma(NONE), pr, pw);
            let between = b.now;
            let before = outcomes(&b.ask_at(&request, accepted));
            assert_eq!(before, (vec![HOST_DATA[0]], true));
            b.complete();
            let want = if bound { vec![] } else { vec![HOST_DATA[0]] };
            // Both what memory held in its window and what was held before it.
            for at in [accepted, between] {
                let after = outcomes(&b.ask_at(&request, at));
                assert_eq!(after, (want.clone(), true), "PR {pr} PW {pw}");
            }
            assert_eq!(b.ask(&request), (vec![], true));
        }
    }
    // A refusal by an old entry is over before any fence: it stays legal.
    let mut b = Bench::new();
    b.store(HOST[0] + 2 * PAGE, pte(HOST_DATA[0], 0xd3));
    b.walk(&write);
    let accepted = b.now;
    b.store(HOST[0] + 2 * PAGE, pte(HOST_DATA[0], RWU));
    b.command(vma(NONE), true, true);
    let after = outcomes(&b.ask_at(&write, accepted));
    assert_eq!(after, (vec![HOST_DATA[0]], true));
    assert_eq!(b.ask(&write), (vec![HOST_DATA[0]], false));
}

#[test]
fn without_a_fence_nothing_has_completed() {
    let mut b = Bench::new();
    b.walk(&read(1));
    b.store(HOST[0] + 2 * PAGE, 0);
    b.oracle.log.fetched(0, b.now, &vma(NONE));
    b.oracle.log.visible(1, b.now);
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], true));
}

#[test]
fn off_and_bare_empty_nothing_and_reset_does() {
    let mut b = Bench::new();
    b.walk(&read(1));
    b.store(HOST[0] + 2 * PAGE, 0);
    b.iommu.registers_mut().mode = IommuMode::Bare;
    b.oracle.registers_changed();
    assert_eq!(b.ask(&read(1)), (vec![IOVA], false));
    b.iommu.registers_mut().mode = IommuMode::Levels(2);
    b.oracle.registers_changed();
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], true));
    b.oracle.reset();
    assert_eq!(b.ask(&read(1)), (vec![], true));
}

#[test]
fn misconfigured_entries_are_held_too() {
    let leaf = HOST[0] + 2 * PAGE;
    let mut b = Bench::new();
    // V=1 and a reserved bit.
    b.store(leaf, pte(HOST_DATA[0], RWU) | 1 << 60);
    b.walk(&read(1));
    b.store(leaf, pte(HOST_DATA[0], RWU));
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], true));
    b.command(vma(NONE), false, false);
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], false));
}

#[test]
fn a_context_edited_word_by_word_may_be_read_torn_but_is_held_whole() {
    let dc = DDT_LEAF + 64;
    let torn = |b: &mut Bench, accepted| {
        let legal = b.ask_at(&read(1), accepted);
        outcomes(&legal).0
    };
    let mut b = Bench::new();
    b.walk(&read(1));
    let accepted = b.now;
    // Another address space: PSCID and root change one after the other.
    b.store(dc + 16, 6 << 12);
    b.store(dc + 24, 8 << 60 | HOST[1] >> 12);
    assert_eq!(torn(&mut b, accepted), HOST_DATA);
    // Held whole or read now: old PSCID with old root, or new with new.
    assert_eq!(b.ask(&read(1)).0, HOST_DATA);
    b.command(ddt(Some(1)), true, true);
    assert_eq!(b.ask(&read(1)).0, [HOST_DATA[1]]);
}

#[test]
fn speculation_is_held_as_whatever_it_is() {
    let leaf = HOST[0] + 2 * PAGE;
    for (raw, command, gone) in [
        (false, ddt(None), true),
        (true, ddt(None), false),
        (true, vma(NONE), true),
    ] {
        let mut b = Bench::new();
        b.oracle.keeps_raw = raw;
        b.ask(&read(1));
        b.oracle
            .returned(b.now, &[(leaf, b.mem.read_u64(leaf))], &[]);
        b.store(leaf, 0);
        b.command(command, true, true);
        assert_eq!(b.ask(&read(1)).0.is_empty(), gone);
    }
}

#[test]
fn an_update_of_a_and_d_needs_the_entry_in_memory() {
    let leaf = HOST[0] + 2 * PAGE;
    let mut b = Bench::new();
    let sade = 1 << 8;
    b.store(DDT_LEAF + 64, 1 | sade);
    b.store(leaf, pte(HOST_DATA[0], 0x17));
    b.walk(&read(1));
    b.now += 10;
    let legal = b.ask_at(&read(1), b.now);
    assert_eq!(legal.updates.len(), 1);
    assert!(matches!(
        legal.verdicts[..],
        [Verdict::Grant {
            after_update: true,
            ..
        }]
    ));
    // The entry that it holds says A=0: the swap fails, and what is there now counts.
    b.store(leaf, pte(HOST_DATA[1], RWU));
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[1]], false));
    // An entry with A=1 needs no swap.
    b.walk(&read(1));
    b.store(leaf, 0);
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[1]], true));
}

#[test]
fn the_story_names_edit_command_and_fence() {
    let leaf = HOST[0] + 2 * PAGE;
    let mut b = Bench::new();
    b.walk(&read(1));
    b.store(leaf, 0);
    b.command(vma(NONE), true, false);
    b.now += 10;
    let query = Query {
        request: read(1),
        accepted: b.now,
        write: false,
        lax: false,
        ordered: false,
    };
    let fits = |v: &Verdict| matches!(v, Verdict::Grant { spa, .. } if *spa == HOST_DATA[0]);
    let stale = b
        .oracle
        .explain(&b.iommu, &b.mem, &query, b.now, fits)
        .expect("an explanation");
    let story = b.oracle.history(&stale);
    for part in [
        "memory gave the block 0x4000d7 at 0x22000",
        "0x4000d7 at 0x22000 becomes 0x0",
        "fetched IotinvalVma",
        "seen to have completed, which orders reads",
    ] {
        assert!(story.contains(part), "{part}: {story}");
    }
    let never = |v: &Verdict| matches!(v, Verdict::Grant { spa: 1, .. });
    assert!(
        b.oracle
            .explain(&b.iommu, &b.mem, &query, b.now, never)
            .is_none()
    );
}

/// The A/D update of the host's leaf.
fn update(from: u64, to: u64) -> Update {
    Update {
        addr: HOST[0] + 2 * PAGE,
        size: 8,
        change: (from, to),
        user: 0,
        big: false,
    }
}

#[test]
fn what_an_entry_was_before_its_update_counts_where_no_bit_is_set() {
    let leaf = HOST[0] + 2 * PAGE;
    let (clean, set) = (pte(HOST_DATA[0], 0x17), pte(HOST_DATA[0], 0x57));
    let mut b = Bench::new();
    // Devices 1 and 5 share the tables and PSCID 5; only device 1 has SADE.
    b.store(DDT_LEAF + 64, 1 | 1 << 8);
    b.store(DDT_LEAF + 64 * 5 + 16, 5 << 12);
    b.store(DDT_LEAF + 64 * 5 + 24, 8 << 60 | HOST[0] >> 12);
    b.store(leaf, clean);
    b.walk(&read(1));
    let before = b.now;
    b.now += 10;
    b.mem.write_u64(leaf, set);
    b.oracle.updated(b.now, &update(clean, set), &b.mem);
    b.now += 10;
    // Accepted before: memory had A=0. Accepted later: the entry is kept.
    assert_eq!(
        outcomes(&b.ask_at(&read(5), before)),
        (vec![HOST_DATA[0]], true)
    );
    assert_eq!(b.ask(&read(5)), (vec![HOST_DATA[0]], true));
    // Who sets A itself needs no other outcome than before.
    assert_eq!(b.ask_at(&read(1), before).verdicts.len(), 1);
    assert_eq!(b.ask(&read(1)), (vec![HOST_DATA[0]], false));
    // It goes with an invalidation, as every entry does.
    b.command(vma(NONE), true, true);
    assert_eq!(b.ask(&read(5)), (vec![HOST_DATA[0]], false));
}

#[test]
fn a_kept_entry_may_be_read_in_the_byte_order_of_either_context() {
    let mut b = Bench::new();
    // Devices 1 and 5 share the tables and PSCID 5; device 5 has SBE.
    b.store(DDT_LEAF + 64 * 5, 1 | 1 << 10);
    b.store(DDT_LEAF + 64 * 5 + 16, 5 << 12);
    b.store(DDT_LEAF + 64 * 5 + 24, 8 << 60 | HOST[0] >> 12);
    assert_eq!(b.ask(&read(5)), (vec![], true));
    b.walk(&read(1));
    assert_eq!(b.ask(&read(5)), (vec![HOST_DATA[0]], true));
    // Not with another PSCID.
    b.store(DDT_LEAF + 64 * 5 + 16, 6 << 12);
    assert_eq!(b.ask(&read(5)), (vec![], true));
}

#[test]
fn open_requests_are_asked_again_once_contexts_differ_in_byte_order() {
    // What memory says is all there is: nobody is asked again.
    let mut b = Bench::new();
    assert!(!b.walk(&read(1)));
    assert!(!b.walk(&read(1)));
    // Device 5 has SBE: an entry that device 1 brings in is another for it than memory's.
    let mut b = Bench::new();
    b.store(DDT_LEAF + 64 * 5, 1 | 1 << 10);
    b.store(DDT_LEAF + 64 * 5 + 16, 5 << 12);
    b.store(DDT_LEAF + 64 * 5 + 24, 8 << 60 | HOST[0] >> 12);
    assert!(!b.walk(&read(5)));
    assert!(b.walk(&read(1)));
}

#[test]
fn an_update_that_fails_below_a_second_stage_is_tried_once_more() {
    let mut b = Bench::new();
    let leaf = GUEST[0] + (G_FIRST + 2) * PAGE;
    let data = 0x1f0 * PAGE;
    b.store(DDT_LEAF + 64 * 2, 1 | 1 << 8);
    b.store(leaf, pte(data, 0x17));
    b.walk(&read(2));
    // The entry is kept as it was; memory holds another.
    b.store(leaf, pte(data + PAGE, 0xd7));
    let at = GUEST[0] + data;
    assert_eq!(b.ask(&read(2)), (vec![at + PAGE], false));
}

#[test]
fn an_answer_is_remembered_until_what_it_rests_on_changes() {
    let mut b = Bench::new();
    let at = |offset| Request::read(1, Iova(IOVA + offset));
    let known = |b: &mut Bench, offset| {
        // Of any length.
        let query = Query {
            request: Request {
                len: 64,
                ..at(offset)
            },
            accepted: b.now,
            write: false,
            lax: false,
            ordered: false,
        };
        let mut out = Legal::default();
        let (words, mem) = (&b.oracle.words, &b.mem);
        let known = b.oracle.memos.answer(words, mem, &query, &mut out);
        known.then(|| outcomes(&out).0)
    };
    assert_eq!(known(&mut b, 0), None);
    let (first, _) = b.ask(&at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(known(&mut b, 8), Some(vec![first[0] + 8]));
    // The block reads the entries: it may hold from now on what memory says too.
    b.walk(&at(0));
    assert!(known(&mut b, 16).is_some());
    // A store to an entry, and the same value again: the window has both.
    let leaf = b.ask_at(&at(0), b.now).loads.last().unwrap().addr;
    let value = b.mem.read_u64(leaf);
    for v in [0, value] {
        b.oracle.words.store(leaf, 8, b.now);
        b.mem.write_u64(leaf, v);
        b.oracle.words.catch_up(&b.mem);
        assert_eq!(known(&mut b, 0), None);
    }
    b.ask(&at(0));
    assert!(known(&mut b, 0).is_some());
    b.oracle.registers_changed();
    assert_eq!(known(&mut b, 0), None);
}

#[test]
fn an_answer_is_forgotten_when_another_value_was_read_meanwhile() {
    let mut b = Bench::new();
    let at = Request::read(1, Iova(IOVA));
    let leaf = b.ask_at(&at, b.now).loads.last().unwrap().addr;
    let value = b.mem.read_u64(leaf);
    let (first, _) = b.ask(&at);
    // Another value for a while, which the block reads; long ago by the time of the next request.
    b.store(leaf, pte(HOST_DATA[1], 0xdf));
    b.walk(&Request {
        access: Access::Write,
        ..at
    });
    b.store(leaf, value);
    b.now += 10;
    b.oracle.words.prune(b.now);
    let (both, _) = b.ask(&at);
    assert_eq!(both.len(), 2);
    assert!(both.contains(&first[0]) && both.iter().any(|a| a >> 12 == HOST_DATA[1] >> 12));
}

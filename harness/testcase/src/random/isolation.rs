//! Non-interference (design 6, "Isolation beyond addresses"): two virtual
//! machines on one IOMMU. Run twice with the same seed, VM B's data, tables,
//! traffic and edits differing, everything that VM A's devices observe, except
//! timing, has to be the same bit for bit.
//!
//! So that this is true of every right block, what A does has one outcome: in a
//! round A either reads, or writes with one AXI id; A's memory and tables are
//! A's alone; the device_ids of both differ in one bit.

use crate::driver::Directory;
use crate::op::{Op, OpAt};

use super::contexts::tc;
use super::profile::Amount;
use super::tables::Which;
use super::world::{Cast, DATA, Streams, World};

/// Bytes of data of each VM.
const BYTES: u64 = 0x1000_0000;
/// VM B's data.
const DATA_B: u64 = DATA + 0x2000_0000;

/// device_ids of VM A.
pub(super) fn observers(w: &World) -> Vec<u32> {
    ids(w).0
}

/// Without contexts there are no machines: the mode that was drawn, or one that has them.
fn mode(w: &World) -> Directory {
    if w.mode.levels() > 0 {
        w.mode
    } else {
        w.target.levels.last().copied().unwrap_or(Directory::One)
    }
}

/// device_ids of A and of B: pairs that differ in one bit.
fn ids(w: &World) -> (Vec<u32>, Vec<u32>) {
    let mut r = crate::rng::Random::new(w.seed, "isolation ids");
    let levels = mode(w).levels();
    let first = if w.driver.cfg.extended { 6 } else { 7 };
    let bits = (first + 9 * (levels - 1)).min(24);
    let start = r.below(1 << bits) as u32;
    let flip = |id: u32, r: &mut crate::rng::Random| id ^ 1 << r.below(u64::from(bits));
    let b = flip(start, &mut r);
    let mut all = vec![start, b];
    let (mut xs, mut ys) = (vec![start], vec![b]);
    for n in 0..2 {
        let id = flip(if n == 0 { b } else { start }, &mut r);
        if !all.contains(&id) {
            all.push(id);
            if n == 0 { xs.push(id) } else { ys.push(id) }
        }
    }
    (xs, ys)
}

/// The operations; `variant` is the other VM B.
pub(super) fn ops(mut w: World, variant: bool) -> Vec<OpAt> {
    w.mode = mode(&w);
    w.driver.cfg.directory = w.mode;
    w.racing = false;
    let p = w.profile.clone();
    let (ids_a, ids_b) = ids(&w);
    let mut b = Streams::new(w.seed, if variant { "other B: " } else { "B: " });

    // A's part, then B's, each from its own streams.
    let a_part = build(&mut w, DATA, &ids_a);
    std::mem::swap(&mut w.r, &mut b);
    let b_part = build(&mut w, DATA_B, &ids_b);
    std::mem::swap(&mut w.r, &mut b);
    w.start();

    for round in 1..=p.amount(Amount::Rounds, &mut w.r.run) {
        w.round = round as u32;
        let writes = w.r.traffic.percent(40);
        let id = w.r.traffic.below(256);
        let count = p
            .amount(Amount::Accesses, &mut w.r.traffic)
            .min(w.room() / 2);
        let mut a_accesses = Vec::new();
        w.cast = a_part.clone();
        for _ in 0..count {
            let mut dma = w.draw_access(256);
            if dma.write.is_some() != writes {
                continue;
            }
            if writes {
                dma.id = id as u8;
            }
            dma.lock = false;
            dma.atop = 0;
            a_accesses.push(dma);
        }
        std::mem::swap(&mut w.r, &mut b);
        w.cast = b_part.clone();
        let many = p
            .amount(Amount::Accesses, &mut w.r.traffic)
            .min(w.room() / 2);
        let b_accesses: Vec<_> = (0..many).map(|_| w.draw_access(256)).collect();
        std::mem::swap(&mut w.r, &mut b);

        let (mut x, mut y) = (a_accesses.into_iter(), b_accesses.into_iter());
        loop {
            let (next_a, next_b) = (x.next(), y.next());
            if next_a.is_none() && next_b.is_none() {
                break;
            }
            if let Some(d) = next_b {
                w.push("VM B", Op::Dma(d));
            }
            if let Some(d) = next_a {
                w.push("VM A", Op::Dma(d));
            }
        }
        w.drain();
        w.resume_faults();
        w.cast = a_part.clone();
        w.edits(1);
        std::mem::swap(&mut w.r, &mut b);
        w.cast = b_part.clone();
        w.edits(1);
        std::mem::swap(&mut w.r, &mut b);
    }
    w.drain();
    w.push("end", Op::WaitIdle);
    w.out
}

/// A VM: tables, devices, and memory full of what only it may see.
fn build(w: &mut World, data: u64, ids: &[u32]) -> Cast {
    let (domains, devices) = (w.domains.len(), w.devices.len());
    // With a second stage, where the profile and the block have one.
    let machine = w.build_machine((data, BYTES));
    w.build_domain_in(machine, (data, BYTES));
    let which = Which::Domain(domains);
    for page in 0..8 {
        // Where leaves lead, so that a byte of it in the wrong place shows.
        let last = machine.map_or(which, Which::Machine);
        let to = w.leaves(last).get(page).map_or(data, |l| l.to);
        let bytes = w.r.data.bytes(4096);
        w.push(
            "data",
            Op::Store {
                addr: to & !0xfff,
                data: bytes,
            },
        );
    }
    for &id in ids {
        w.build_device_in(id, Some(domains));
    }
    // One device would be refused for A=0 or not by when another's walk sets A: timing, which
    // the other VM may change.
    const UPDATES: u64 = tc::SADE | tc::GADE;
    let updates = w.devices.get(devices).map_or(0, |d| d.tc & UPDATES);
    for n in devices..w.devices.len() {
        let d = &mut w.devices[n];
        d.tc = d.tc & !UPDATES | updates;
        d.spoil[0] &= !UPDATES;
        let d = d.clone();
        w.write_context(&d);
    }
    Cast {
        devices: (devices..w.devices.len()).collect(),
        domains: vec![domains],
        strict: true,
    }
}

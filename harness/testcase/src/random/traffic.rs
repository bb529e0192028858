//! Device accesses: where they go, and every shape that AXI has.

use iommu_bus::event::Burst;

use crate::driver::PAGE;
use crate::op::{Dma, Op, Shape};
use crate::rng::Random;

use super::contexts::tc;
use super::knobs::{Address, BurstKind, Bytes, Strobes};
use super::profile::{Amount, Chance};
use super::tables::{Leaf, Which};
use super::world::{DATA, DATA_BYTES, TABLES, World, one_of};

impl World {
    /// A round's accesses, with what goes on beside them.
    pub fn traffic(&mut self, count: u64, ids: u64) {
        let p = self.profile.clone();
        for _ in 0..count {
            self.access(ids);
            self.ats_beside(false);
            if p.chance(Chance::Pause, &mut self.r.traffic) {
                let gap = p.amount(Amount::PauseClocks, &mut self.r.traffic) as u32;
                self.push("pause", Op::Cycles(gap));
            }
        }
    }

    /// One access; the fault queue has room for its record, unless software is lazy.
    pub fn access(&mut self, ids: u64) {
        let mut dma = self.draw_access(ids);
        self.through_cache(&mut dma);
        self.unread += 1;
        self.last = Some(dma.clone());
        let read = dma.lock && dma.write.is_none();
        let p = self.profile.clone();
        let pair = read && p.chance(Chance::ExclusivePair, &mut self.r.aim);
        self.push("traffic", Op::Dma(dma));
        if pair
            && self.room() > 2
            && let Some(mut dma) = self.last.clone()
        {
            // With the monitor set, as whoever takes a lock does it.
            self.push("exclusive pair", Op::WaitDma);
            let bytes = dma.shape.map_or(1, |s| 1 << s.size);
            dma.write = Some(self.r.aim.bytes(bytes));
            dma.execute = false;
            self.unread += 1;
            self.push("exclusive pair", Op::Dma(dma));
        }
    }

    /// The leaves that an access may aim at, and whether it may as well go anywhere.
    fn aim(&mut self, domain: Option<usize>, machine: Option<usize>) -> Option<Leaf> {
        let which = match (domain, machine) {
            (Some(d), _) if self.domains[d].tree.is_some() => Which::Domain(d),
            (_, Some(m)) => Which::Machine(m),
            _ => return None,
        };
        let count = self.leaves(which).len();
        let n = self.r.traffic.below(count as u64) as usize;
        self.leaves(which).get(n).copied()
    }

    pub fn draw_access(&mut self, ids: u64) -> Dma {
        let p = self.profile.clone();
        let wreck = self.aim_at_wreck();
        let special = self.special_aim();
        let special = wreck.map(|w| w.aim).or(special);
        let n = one_of(&mut self.r.traffic, &self.cast.devices, self.devices.len());
        let n = special.map_or(n, |a| a.device);
        let device = self.devices[n].clone();
        let mut id = device.id;
        if p.chance(Chance::Stranger, &mut self.r.traffic) {
            let other = id ^ 1 << self.r.traffic.below(24);
            // In a run of two machines a stranger must not be the neighbour.
            if !self.cast.strict || self.devices.iter().all(|d| d.id != other) {
                id = other;
            }
        }
        // Whose address space it is.
        let odd = p.chance(Chance::OddProcess, &mut self.r.traffic);
        let bare = device.tc & tc::PDTV != 0;
        let (process, domain) = match &device.processes {
            Some(x) if !x.list.is_empty() && !odd => {
                let drawn = *self.r.traffic.pick(&x.list);
                let aimed = special.and_then(|a| a.process);
                let x = x
                    .list
                    .iter()
                    .find(|x| Some(x.id) == aimed)
                    .copied()
                    .unwrap_or(drawn);
                (Some(x.id), Some(x.domain))
            }
            Some(x) => (
                // Without one, or with one that nobody has.
                self.r
                    .traffic
                    .percent(60)
                    .then(|| self.r.traffic.below(1 << 20) as u32),
                x.list.first().map(|x| x.domain),
            ),
            // PDTV with a Bare directory: any process may come.
            None if odd || bare && self.r.traffic.percent(60) => {
                (Some(self.r.traffic.below(1 << 20) as u32), device.domain)
            }
            None => (None, device.domain),
        };
        let process = process.filter(|_| !wreck.is_some_and(|w| w.translated));
        let drawn = self.aim(domain, device.machine);
        let aimed = special.and_then(|a| a.leaf);
        let leaf = aimed.or(drawn);
        let last = self.last.clone();
        let again = p.chance(Chance::Again, &mut self.r.traffic) && aimed.is_none();
        let message = match device.machine {
            Some(m) if self.machines[m].messages.is_some() => Some(m),
            _ => None,
        };
        let through = domain.is_none() && device.machine.is_none();
        let address = p.pick_of(&mut self.r.traffic, |a: Address| match a {
            Address::Message => message.is_some(),
            Address::Table => through,
            Address::Inside | Address::Random => true,
            _ => leaf.is_some(),
        });
        let address = match wreck {
            Some(w) if w.message => Some(Address::Message),
            Some(w) if w.aim.leaf.is_some() => Some(Address::Inside),
            _ => address,
        };
        let mut table = false;
        let draw = self.r.traffic.bits();
        let guest = message.map_or(0, |m| self.message_address(m, draw));
        let by_table = domain.is_some_and(|d| self.domains[d].tree.is_some());
        let r = &mut self.r.traffic;
        let mut iova = match (address, leaf) {
            // By the guest's own tables, if it has any, else directly.
            (Some(Address::Message), Some(l)) if by_table || wreck.is_some() => l.at,
            (Some(Address::Message), _) => guest,
            (Some(Address::Table), _) => {
                table = true;
                TABLES + r.below(1 << 16)
            }
            (Some(Address::Before), Some(l)) => l.at.wrapping_sub(r.range(1, 64)),
            (Some(Address::Behind), Some(l)) => l.at.wrapping_add(1 << l.shift),
            (Some(Address::Flip), Some(l)) => l.at ^ 1 << r.below(64),
            (Some(Address::Ends), Some(l)) => {
                if r.percent(50) {
                    l.at.wrapping_add(r.below(16))
                } else {
                    l.at.wrapping_add((1u64 << l.shift) - r.range(1, 16))
                }
            }
            (Some(Address::Random), _) if !through => r.bits(),
            (_, Some(l)) => l.at.wrapping_add(r.below(1 << l.shift)),
            // Untranslated: where data is.
            _ => DATA + r.below(DATA_BYTES),
        };
        if again && let Some(l) = &last {
            iova = l.iova;
        }
        // A spoilt process context may let users pass.
        let passes = process.is_some() && p.value("tables.spoil_context.rule").unwrap_or(0) > 0;
        table |= (through || self.bare || passes) && may_be_table(iova);
        if address == Some(Address::Message) && !again {
            // What an interrupt file takes, mostly: 4 bytes, aligned, at its start.
            iova &= !3;
            if r.percent(80) {
                // At 4 an interrupt file takes a big-endian number.
                iova = iova & !0xfff | *r.pick(&[0, 0, 0, 4]);
            }
        }
        let writes = if wreck.is_some() {
            u64::from(p.percent(Chance::Writes))
        } else if address == Some(Address::Message) {
            90
        } else {
            u64::from(p.percent(Chance::Writes))
        };
        let write = r.percent(writes) && !table;
        let mut dma = self.draw_burst(id, iova, write, address == Some(Address::Message));
        let r = &mut self.r.traffic;
        dma.execute = p.chance(Chance::Execute, r) && !write;
        dma.id = r.below(ids) as u8;
        dma.process_id = process;
        dma.privileged = p.chance(Chance::Privileged, r);
        let direct = through || may_be_table(dma.iova);
        let translated = p.chance(Chance::Translated, r) || wreck.is_some_and(|w| w.translated);
        dma.translated = translated && !(write && direct);
        dma.attributes = [
            match r.below(16) as u8 {
                0 => 0,
                cache => cache | 1,
            },
            r.below(16) as u8,
            r.below(16) as u8,
            r.below(2) as u8,
        ];
        dma
    }

    /// Bytes, shape, strobes of an access.
    fn draw_burst(&mut self, id: u32, iova: u64, write: bool, message: bool) -> Dma {
        let p = self.profile.clone();
        let room = 0x1000 - (iova & 0xfff);
        let r = &mut self.r.traffic;
        let bytes = match p.pick::<Bytes>(r) {
            Bytes::Small => r.range(1, 64.min(room)),
            Bytes::Medium => r.range(1, 512.min(room)),
            Bytes::Large => r.range(1, 2048.min(room)),
            // At most 256 beats of 8 bytes, the first one not aligned.
            Bytes::Page => room.min(2048 - (iova & 7)),
        };
        let kind = p.pick::<BurstKind>(r);
        let exclusive = p.chance(Chance::Exclusive, r);
        let atomic = p.chance(Chance::Atomic, r);
        let strobes = p.pick::<Strobes>(r);
        if message && r.percent(85) {
            let mut dma = if write {
                // An identity, or what an MRIF must not take.
                let word = if r.percent(80) {
                    r.below(2048)
                } else {
                    r.bits()
                } as u32;
                Dma::write(id, iova, word.to_le_bytes().to_vec())
            } else {
                Dma::read(id, iova, 4)
            };
            dma.shape = Some(Shape {
                len: 0,
                size: 2,
                burst: Burst::Incr,
            });
            return dma;
        }
        let mut iova = iova;
        let shape = draw_shape(r, kind, &mut iova, room);
        let shape = if exclusive || atomic {
            let size = r.below(4) as u8;
            iova &= !((1 << size) - 1);
            Some(Shape {
                len: 0,
                size,
                burst: Burst::Incr,
            })
        } else {
            shape
        };
        let bytes = shape.map_or(bytes, |s| (u64::from(s.len) + 1) << s.size);
        let mut dma = if write {
            let data = self.r.data.bytes(bytes as usize);
            Dma::write(id, iova, data)
        } else {
            Dma::read(id, iova, bytes as u32)
        };
        dma.shape = shape;
        let r = &mut self.r.traffic;
        if atomic && write {
            // AtomicStore, AtomicLoad of every operation and swap; or what AXI reserves.
            dma.atop = if r.percent(80) {
                *r.pick(&[0x10u8, 0x13, 0x17, 0x20, 0x23, 0x27, 0x30])
            } else {
                r.range(1, 63) as u8
            };
        } else {
            dma.lock = exclusive;
        }
        if write && dma.atop == 0 && strobes != Strobes::All {
            let beats = shape.map_or((iova & 7).wrapping_add(bytes).div_ceil(8), |s| {
                u64::from(s.len) + 1
            });
            dma.strobes = Some(
                (0..beats)
                    .map(|_| match strobes {
                        Strobes::None => 0,
                        _ => r.below(256) as u8,
                    })
                    .collect(),
            );
        }
        dma
    }
}

/// Whether an access that is not translated may reach tables there. They are read only: who writes
/// them may cut off a device whose answer a fence waits for.
pub(super) fn may_be_table(address: u64) -> bool {
    (TABLES - PAGE..DATA).contains(&address)
}

/// The shape that a kind of burst has; moves the address where it has to.
fn draw_shape(r: &mut Random, kind: BurstKind, iova: &mut u64, room: u64) -> Option<Shape> {
    // Beats of 2^size bytes; what leaves its page is refused (design 4).
    let size = r.below(4) as u8;
    let fit = (room >> size).max(1);
    let aligned = *iova & !((1 << size) - 1);
    match kind {
        BurstKind::Plain => None,
        BurstKind::Narrow => Some(Shape {
            len: r.below(fit.min(16)) as u8,
            size,
            burst: Burst::Incr,
        }),
        BurstKind::Long => Some(Shape {
            len: *r.pick(&[fit.min(256) - 1, fit.min(256) / 2, 0]) as u8,
            size,
            burst: Burst::Incr,
        }),
        BurstKind::Fixed => Some(Shape {
            len: r.below(16) as u8,
            size,
            burst: Burst::Fixed,
        }),
        BurstKind::Wrap => {
            *iova = aligned;
            Some(Shape {
                len: *r.pick(&[1u8, 3, 7, 15]),
                size,
                burst: Burst::Wrap,
            })
        }
        BurstKind::Crossing => {
            let beats = r.range(2, 256);
            let bytes = beats << size;
            // The border is somewhere in it, often right behind its first or before its last byte.
            let before = match r.below(3) {
                0 => 1 << size,
                1 => bytes - (1 << size),
                _ => r.range(1, bytes - 1),
            };
            *iova = (*iova & !0xfff)
                .wrapping_add(0x1000)
                .wrapping_sub(before.min(0x1000));
            Some(Shape {
                len: (beats - 1) as u8,
                size,
                burst: Burst::Incr,
            })
        }
        BurstKind::Illegal => Some(match r.below(5) {
            0 => Shape {
                len: r.below(16) as u8,
                size,
                burst: Burst::Reserved,
            },
            1 => Shape {
                len: r.range(16, 255) as u8,
                size,
                burst: Burst::Fixed,
            },
            2 => Shape {
                len: *r.pick(&[0u8, 2, 4, 6, 14, 16, 31]),
                size,
                burst: Burst::Wrap,
            },
            3 => Shape {
                len: *r.pick(&[0u8, 1, 3, 15]),
                size: r.range(4, 7) as u8,
                burst: *r.pick(&[Burst::Incr, Burst::Incr, Burst::Fixed, Burst::Wrap]),
            },
            _ => {
                let size = size.max(1);
                *iova |= 1;
                Shape {
                    len: 3,
                    size,
                    burst: Burst::Wrap,
                }
            }
        }),
    }
}

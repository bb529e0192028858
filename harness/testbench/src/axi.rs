//! AXI burst arithmetic on a 64-bit bus, and which bursts AXI allows.

use iommu_bus::event::{AxiAddr, Burst};

use crate::protocol::Rule;

/// log2 of the bytes of the bus.
pub const BUS_SIZE: u8 = 3;

/// Bytes of a full beat.
#[must_use]
pub fn beat_bytes(size: u8) -> u64 {
    1 << size.min(BUS_SIZE)
}

/// Address of beat `n`: of its first byte, so not aligned in the first beat of an unaligned burst.
#[must_use]
pub fn beat_addr(a: &AxiAddr, n: u32) -> u64 {
    let bytes = beat_bytes(a.size);
    let aligned = a.addr & !(bytes - 1);
    let n = u64::from(n);
    match a.burst {
        Burst::Fixed => a.addr,
        _ if n == 0 => a.addr,
        Burst::Incr | Burst::Reserved => aligned.wrapping_add(n * bytes),
        Burst::Wrap => {
            let total = bytes * (u64::from(a.len) + 1);
            let lower = aligned - aligned % total;
            lower.wrapping_add((aligned - lower + n * bytes) % total)
        }
    }
}

/// Byte lanes of the bus that a beat at `addr` uses.
#[must_use]
pub fn lanes(addr: u64, size: u8) -> u8 {
    let bytes = beat_bytes(size);
    let first = addr & 7;
    let end = (addr & 7 & !(bytes - 1)) + bytes;
    ((0xffu16 >> (8 - end)) & (0xff << first)) as u8
}

/// Byte lanes that beat `n` of a write may use. The address of an atomic
/// compare points to the half that is compared; its beats have all their lanes.
#[must_use]
pub fn write_lanes(a: &AxiAddr, n: u32) -> u8 {
    let at = beat_addr(a, n);
    if a.atop == 0 {
        lanes(at, a.size)
    } else {
        lanes(at & !(beat_bytes(a.size) - 1), a.size)
    }
}

/// Whether a beat's bytes lie in more than one 4 KiB page, which AXI forbids.
#[must_use]
pub fn crosses_4k(a: &AxiAddr) -> bool {
    if matches!(a.burst, Burst::Fixed | Burst::Wrap) {
        return false; // a FIXED beat and a legal WRAP stay in their aligned container
    }
    let bytes = beat_bytes(a.size);
    let offset = a.addr & !(bytes - 1) & 0xfff;
    offset + bytes * (u64::from(a.len) + 1) > 4096
}

/// What AWATOP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    /// Operation without data back.
    Store(AtomicOp),
    /// Operation; the old value comes back on R.
    Load(AtomicOp),
    /// Swap; the old value comes back on R.
    Swap,
    /// Compare and swap; the old value comes back on R.
    Compare,
}

/// The operation of an AtomicStore or AtomicLoad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicOp {
    /// Sum.
    Add,
    /// Bits set in the operand are cleared.
    Clr,
    /// Exclusive or.
    Eor,
    /// Bits set in the operand are set.
    Set,
    /// Signed maximum.
    Smax,
    /// Signed minimum.
    Smin,
    /// Unsigned maximum.
    Umax,
    /// Unsigned minimum.
    Umin,
}

impl Atomic {
    /// Decodes AWATOP: `None` for 0 (no atomic), `Some(None)` for what AXI reserves.
    #[must_use]
    pub fn decode(atop: u8) -> Option<Option<Self>> {
        let op = match atop & 7 {
            0 => AtomicOp::Add,
            1 => AtomicOp::Clr,
            2 => AtomicOp::Eor,
            3 => AtomicOp::Set,
            4 => AtomicOp::Smax,
            5 => AtomicOp::Smin,
            6 => AtomicOp::Umax,
            _ => AtomicOp::Umin,
        };
        match atop {
            0 => None,
            0b01_0000..=0b01_1111 => Some(Some(Self::Store(op))),
            0b10_0000..=0b10_1111 => Some(Some(Self::Load(op))),
            0b11_0000 => Some(Some(Self::Swap)),
            0b11_0001 => Some(Some(Self::Compare)),
            _ => Some(None),
        }
    }

    /// Beats of read data that answer an atomic write burst: AXI5 gives them
    /// to every AWATOP with bit 5, errors included.
    #[must_use]
    pub fn read_beats(a: &AxiAddr) -> u32 {
        match (a.atop >> 5 & 1, a.atop) {
            (0, _) => 0,
            (_, 0b11_0001) => (u32::from(a.len) + 1).div_ceil(2),
            _ => u32::from(a.len) + 1,
        }
    }
}

/// The first rule that an address beat breaks.
#[must_use]
pub fn shape_rule(a: &AxiAddr) -> Option<Rule> {
    let beats = u64::from(a.len) + 1;
    let bytes = beat_bytes(a.size);
    let total = bytes * beats;
    if a.size > BUS_SIZE {
        return Some(Rule::BurstSize);
    }
    if let Some(atomic) = Atomic::decode(a.atop) {
        let fits = match atomic {
            None => false,
            Some(Atomic::Compare) => {
                // The address is that of the compare value, half of the whole; the
                // swap value lies in the other half.
                let half = total / 2;
                let upper = total > 0 && a.addr & (total - 1) == half;
                (2..=32).contains(&total)
                    && total.is_power_of_two()
                    && half != 0
                    && a.addr & (half - 1) == 0
                    && (a.len == 0 || a.size == BUS_SIZE)
                    && a.burst == if upper { Burst::Wrap } else { Burst::Incr }
            }
            Some(_) => a.len == 0 && a.burst == Burst::Incr && a.addr & (bytes - 1) == 0,
        };
        return (!fits || a.lock).then_some(Rule::AtomicShape);
    }
    match a.burst {
        Burst::Reserved => return Some(Rule::BurstType),
        Burst::Fixed if beats > 16 => return Some(Rule::BurstLength),
        Burst::Wrap if !matches!(beats, 2 | 4 | 8 | 16) => return Some(Rule::BurstLength),
        Burst::Wrap if a.addr & (bytes - 1) != 0 => return Some(Rule::BurstAlignment),
        _ => {}
    }
    if crosses_4k(a) {
        return Some(Rule::Burst4K);
    }
    if a.lock
        && (beats > 16 || total > 128 || !total.is_power_of_two() || a.addr & (total - 1) != 0)
    {
        return Some(Rule::ExclusiveShape);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(addr: u64, len: u8, size: u8, burst: Burst) -> AxiAddr {
        AxiAddr {
            id: 0,
            addr,
            len,
            size,
            burst,
            lock: false,
            cache: 0,
            prot: 0,
            qos: 0,
            region: 0,
            atop: 0,
            user: 0,
        }
    }

    fn addresses(a: &AxiAddr) -> Vec<u64> {
        (0..=u32::from(a.len)).map(|n| beat_addr(a, n)).collect()
    }

    #[test]
    fn beat_addresses_as_in_the_axi_examples() {
        assert_eq!(
            addresses(&burst(0x1003, 3, 2, Burst::Incr)),
            [0x1003, 0x1004, 0x1008, 0x100c]
        );
        assert_eq!(
            addresses(&burst(0x1003, 2, 2, Burst::Fixed)),
            [0x1003, 0x1003, 0x1003]
        );
        assert_eq!(
            addresses(&burst(0x1038, 3, 3, Burst::Wrap)),
            [0x1038, 0x1020, 0x1028, 0x1030]
        );
        assert_eq!(
            addresses(&burst(0x1006, 3, 1, Burst::Wrap)),
            [0x1006, 0x1000, 0x1002, 0x1004]
        );
    }

    #[test]
    fn lanes_of_narrow_and_unaligned_beats() {
        assert_eq!(lanes(0x1000, 3), 0xff);
        assert_eq!(lanes(0x1003, 3), 0b1111_1000);
        assert_eq!(lanes(0x1003, 2), 0b0000_1000);
        assert_eq!(lanes(0x1005, 2), 0b1110_0000);
        assert_eq!(lanes(0x1006, 1), 0b1100_0000);
        assert_eq!(lanes(0x1007, 0), 0b1000_0000);
        assert_eq!(lanes(0x1007, 7), 0b1000_0000); // wider than the bus: as the bus
    }

    #[test]
    fn legality() {
        use Burst::{Fixed, Incr, Reserved, Wrap};
        let rule = |addr, len, size, b| shape_rule(&burst(addr, len, size, b));
        assert_eq!(rule(0x1000, 255, 3, Incr), None);
        assert_eq!(rule(0x1001, 255, 3, Incr), None);
        assert_eq!(rule(0x1800, 255, 3, Incr), None);
        assert_eq!(rule(0x1808, 255, 3, Incr), Some(Rule::Burst4K));
        assert_eq!(rule(0x1fff, 0, 3, Incr), None);
        assert_eq!(rule(0x1fff, 1, 0, Incr), Some(Rule::Burst4K));
        assert_eq!(rule(0x1000, 0, 4, Incr), Some(Rule::BurstSize));
        assert_eq!(rule(0x1000, 0, 3, Reserved), Some(Rule::BurstType));
        assert_eq!(rule(0x1001, 15, 3, Fixed), None);
        assert_eq!(rule(0x1001, 16, 3, Fixed), Some(Rule::BurstLength));
        assert_eq!(rule(0x1ff8, 15, 3, Wrap), None);
        assert_eq!(rule(0x1ff8, 2, 3, Wrap), Some(Rule::BurstLength));
        assert_eq!(rule(0x1ffc, 3, 3, Wrap), Some(Rule::BurstAlignment));
        let lock = |addr, len, size| {
            shape_rule(&AxiAddr {
                lock: true,
                ..burst(addr, len, size, Incr)
            })
        };
        assert_eq!(lock(0x1080, 15, 3), None);
        assert_eq!(lock(0x1040, 15, 3), Some(Rule::ExclusiveShape));
        assert_eq!(lock(0x1000, 2, 3), Some(Rule::ExclusiveShape));
    }

    #[test]
    fn atomics() {
        use Burst::{Incr, Wrap};
        let rule = |atop, addr, len, size, b| {
            shape_rule(&AxiAddr {
                atop,
                ..burst(addr, len, size, b)
            })
        };
        let bad = Some(Rule::AtomicShape);
        assert_eq!(rule(0x31, 0x1000, 1, 3, Incr), None); // PTE of 8 bytes
        assert_eq!(rule(0x31, 0x1008, 1, 3, Wrap), None);
        assert_eq!(rule(0x31, 0x1008, 1, 3, Incr), bad);
        assert_eq!(rule(0x31, 0x1000, 1, 3, Wrap), bad);
        assert_eq!(rule(0x31, 0x1004, 0, 3, Wrap), None); // PTE of 4 bytes
        assert_eq!(rule(0x31, 0x1002, 0, 3, Incr), bad);
        assert_eq!(rule(0x31, 0x1000, 1, 2, Incr), bad); // narrow and two beats
        assert_eq!(rule(0x13, 0x1004, 0, 2, Incr), None); // STORE SET
        assert_eq!(rule(0x23, 0x1004, 0, 2, Incr), None);
        assert_eq!(rule(0x13, 0x1002, 0, 2, Incr), bad);
        assert_eq!(rule(0x13, 0x1000, 1, 3, Incr), bad);
        assert_eq!(rule(0x32, 0x1000, 0, 3, Incr), bad); // reserved opcode
        assert_eq!(rule(0x03, 0x1000, 0, 3, Incr), bad);
        let r = |atop, len| {
            Atomic::read_beats(&AxiAddr {
                atop,
                ..burst(0x1000, len, 3, Incr)
            })
        };
        assert_eq!([r(0x13, 0), r(0x23, 0), r(0x30, 0)], [0, 1, 1]);
        assert_eq!([r(0x31, 0), r(0x31, 1), r(0x31, 3)], [1, 1, 2]);
    }
}

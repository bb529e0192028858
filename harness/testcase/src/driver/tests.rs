//! Tests of the driver: what it stores is what the specification reads.

use super::*;
use crate::op::Op;

fn words(ops: &[Op]) -> HashMap<u64, u64> {
    let mut out = HashMap::new();
    for op in ops {
        if let Op::Store { addr, data } = op {
            for (n, chunk) in data.chunks_exact(8).enumerate() {
                out.insert(
                    addr + 8 * n as u64,
                    u64::from_le_bytes(chunk.try_into().unwrap()),
                );
            }
        }
    }
    out
}

/// A walk as the privileged architecture describes it, on what was stored.
fn walk(mem: &HashMap<u64, u64>, root: u64, levels: u32, iova: u64) -> Option<u64> {
    let mut a = root;
    for level in (0..levels).rev() {
        let e = *mem.get(&(a + 8 * (iova >> (12 + 9 * level) & 0x1ff)))?;
        if e & 1 == 0 {
            return None;
        }
        let mut p = e >> 10 & ((1 << 44) - 1);
        if e & 0xe != 0 {
            let low = (1u64 << (9 * level)) - 1;
            assert_eq!(p & low, 0, "misaligned superpage");
            if e >> 63 != 0 {
                assert_eq!((level, p & 15), (0, 8));
                p = p & !15 | iova >> 12 & 15;
            }
            return Some((p | iova >> 12 & low) << 12 | iova & 0xfff);
        }
        a = p << 12;
    }
    None
}

const RW: u64 = pte::V | pte::R | pte::W | pte::U | pte::A | pte::D;

#[test]
fn tables_of_every_scheme_and_size_translate_as_mapped() {
    for scheme in [Scheme::Sv39, Scheme::Sv48, Scheme::Sv57] {
        let mut d = Driver::new(DriverConfig::default());
        let dom = d.domain(scheme, 5);
        let top = !0u64 << (11 + 9 * scheme.levels());
        for (iova, pa, bytes) in [
            (0x1000, 0x8000_0000, 0x3000),
            (0x1_0000, 0x9001_0000, 0x1_0000),
            (0x20_0000, 0xa000_0000, 0x40_0000),
            (0x4000_0000, 0x40_0000_0000, 0x4000_0000),
            (top, 0x8123_4000, 0x1000),
        ] {
            d.map(dom, iova, pa, bytes, None, RW).unwrap();
        }
        let root = d.domain_ref(dom).root();
        let ops = d.take();
        let mem = words(&ops);
        let stored = ops.iter().filter(|o| matches!(o, Op::Store { .. })).count();
        assert!(stored < 60, "large leaves are used: {stored}");
        for iova in [
            0x1008,
            0x3fff,
            0x1_2345,
            0x20_1234,
            0x5f_ffff,
            0x7fff_ffff,
            top + 9,
        ] {
            let (pa, _) = d.lookup(dom, iova).unwrap();
            assert_eq!(
                walk(&mem, root, scheme.levels(), iova),
                Some(pa),
                "{iova:#x}"
            );
        }
        assert_eq!(d.lookup(dom, 0x4000), None);
        // Unmapped leaves are gone, the rest stays.
        let gone = d.unmap(dom, 0x20_0000, 0x20_0000).unwrap();
        assert_eq!(gone.len(), 1);
        let mut mem = mem;
        mem.extend(words(&d.take()));
        assert_eq!(walk(&mem, root, scheme.levels(), 0x20_0000), None);
        assert!(walk(&mem, root, scheme.levels(), 0x40_0000).is_some());
    }
}

#[test]
fn mistakes_are_refused() {
    let mut d = Driver::new(DriverConfig::default());
    let dom = d.domain(Scheme::Sv39, 1);
    assert!(d.map(dom, 0x1000, 0x1800, 0x1000, None, RW).is_err());
    assert!(d.map(dom, 1 << 39, 0x1000, 0x1000, None, RW).is_err());
    d.map(dom, 0x20_0000, 0, 0x20_0000, None, RW).unwrap();
    assert!(d.map(dom, 0x20_1000, 0x1000, 0x1000, None, RW).is_err());
    assert!(d.unmap(dom, 0x20_0000, 0x1000).is_err());
    assert!(d.unmap(dom, 0, 0x1000).is_err());
    let bare = d.domain(Scheme::Bare, 0);
    assert!(d.map(bare, 0, 0, 0x1000, None, RW).is_err());
}

#[test]
fn directories_of_both_formats() {
    // device_id 0x123456: extended DDI 0x16, 0xd1, 0x24; base DDI 0x56, 0x68, 0x12.
    for (extended, index) in [(true, [0x16, 0xd1, 0x24]), (false, [0x56, 0x68, 0x12])] {
        let mut d = Driver::new(DriverConfig {
            extended,
            ..DriverConfig::default()
        });
        d.attach(0x12_3456, None).unwrap();
        let mem = words(&d.take());
        let next = |at: u64| (mem[&at] >> 10) << 12;
        let a = next(d.ddt_root + 8 * index[2]);
        let a = next(a + 8 * index[1]);
        assert_eq!(mem[&(a + d.context_bytes() * index[0])], 1);
    }
    let mut d = Driver::new(DriverConfig {
        directory: Directory::One,
        ..DriverConfig::default()
    });
    assert!(d.attach(63, None).is_ok());
    assert!(d.attach(64, None).is_err());
}

#[test]
fn the_command_queue_wraps_and_never_overflows() {
    let mut d = Driver::new(DriverConfig {
        cq_log2: 1,
        ..DriverConfig::default()
    });
    for _ in 0..5 {
        d.invalidate_all();
    }
    d.fence(true, true);
    let ops = d.take();
    let mut tail = 0;
    let mut stored = 0;
    for op in &ops {
        match op {
            Op::Store { addr, .. } => {
                assert!((d.cq_base..d.cq_base + 32).contains(addr));
                stored += 1;
            }
            Op::RegWrite { value, .. } => {
                assert_eq!(*value, stored % 2);
                tail = *value;
            }
            Op::PollReg { value, .. } => assert_eq!(*value, tail),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 6);
}

#[test]
fn commands_are_those_that_linux_issued() {
    let mut d = Driver::new(DriverConfig::default());
    let dom = d.domain(Scheme::Sv39, 5);
    d.take();
    d.invalidate_directory(Some(0x20));
    d.invalidate_domain(dom);
    d.invalidate_address(dom, 0xfffe_7000);
    d.fence(true, true);
    let data: Vec<Vec<u8>> = d
        .take()
        .into_iter()
        .filter_map(|o| match o {
            Op::Store { data, .. } => Some(data),
            _ => None,
        })
        .collect();
    for (data, want) in data.iter().zip([
        (0x2002_0000_0003_u64, 0u64),
        (0x1_0000_5001, 0),
        (0x1_0000_5401, 0x3fff_9c00),
        (0x3002, 0),
    ]) {
        assert_eq!(data[..8], want.0.to_le_bytes());
        assert_eq!(data[8..], want.1.to_le_bytes());
    }
}

/// A second-stage walk, root of 16 KiB, on what was stored.
fn walk_guest(mem: &HashMap<u64, u64>, root: u64, levels: u32, gpa: u64) -> Option<u64> {
    let top = levels - 1;
    let index = gpa >> (12 + 9 * top);
    let e = *mem.get(&(root + 8 * index))?;
    if e & 1 == 0 {
        return None;
    }
    let low = (1u64 << (12 + 9 * top)) - 1;
    if e & 0xe != 0 {
        return Some((e >> 10 & ((1 << 44) - 1)) << 12 | gpa & low);
    }
    // Below the root, the tables are those of a first stage.
    walk(mem, (e >> 10 & ((1 << 44) - 1)) << 12, top, gpa & low)
}

#[test]
fn nested_tables_lie_in_the_guest_and_translate_as_mapped() {
    for (guest, levels) in [
        (GuestScheme::Sv39x4, 3),
        (GuestScheme::Sv48x4, 4),
        (GuestScheme::Sv57x4, 5),
    ] {
        let mut d = Driver::new(DriverConfig::default());
        let vm = d.vm(guest, 7, 0x1000_0000);
        assert_eq!(d.vm_ref(vm).root() & 0x3fff, 0);
        let dom = d.domain_in(Scheme::Sv39, 5, Some(vm), false).unwrap();
        // In the extra bits of the root, too.
        let top = 3 << (12 + 9 * levels);
        d.map(vm, 0x8000_0000, 0x1_0000_0000, 0x40_0000, None, RW)
            .unwrap();
        d.map(vm, top, 0x2_0000_0000, 0x1_0000, None, RW).unwrap();
        d.map(dom, 0x4000, 0x8000_3000, 0x2000, None, RW).unwrap();
        let context = d.context_of(Some(dom));
        assert_eq!(context.words[1] >> 44, guest.mode() << 16 | 7);
        let ops = d.take();
        let mem = words(&ops);
        let (groot, root) = (d.vm_ref(vm).root(), d.domain_ref(dom).root());
        // Each access of the first stage goes through the second.
        let mut a = root;
        let iova = 0x5008u64;
        for level in (0..3).rev() {
            let at = a + 8 * (iova >> (12 + 9 * level) & 0x1ff);
            let spa = walk_guest(&mem, groot, levels, at).expect("table page mapped");
            assert_ne!(spa, at);
            a = (mem[&spa] >> 10 & ((1 << 44) - 1)) << 12;
        }
        assert_eq!(a, 0x8000_4000);
        assert_eq!(walk_guest(&mem, groot, levels, a | 8), Some(0x1_0000_4008));
        assert_eq!(
            walk_guest(&mem, groot, levels, top | 0x1234),
            Some(0x2_0000_1234)
        );
        let to = Attachment {
            domain: Some(dom),
            ..Attachment::default()
        };
        assert_eq!(
            d.resolve(&to, None, iova),
            Some(Target::Memory { pa: 0x1_0000_4008 })
        );
    }
}

#[test]
fn sv32_has_entries_of_four_bytes() {
    let mut d = Driver::new(DriverConfig::default());
    let dom = d.domain(Scheme::Sv32, 1);
    d.map(dom, 0x40_0000, 0x3_0040_0000, 0x40_0000, None, RW)
        .unwrap();
    d.map(dom, 0x1000, 0x8000_0000, 0x1000, None, RW).unwrap();
    assert!(d.map(dom, 1 << 32, 0, 0x1000, None, RW).is_err());
    assert!(d.map_leaf(dom, 0, 0, 21, RW).is_err());
    let root = d.domain_ref(dom).root();
    let stored: Vec<(u64, Vec<u8>)> = d
        .take()
        .into_iter()
        .filter_map(|o| match o {
            Op::Store { addr, data } => Some((addr, data)),
            _ => None,
        })
        .collect();
    assert!(stored.iter().all(|(_, data)| data.len() == 4));
    let entry = stored.iter().find(|(a, _)| *a == root + 4).unwrap();
    let value = u32::from_le_bytes(entry.1.clone().try_into().unwrap());
    assert_eq!(u64::from(value), 0x3_0040_0000 >> 2 | RW);
    assert_eq!(d.context_of(Some(dom)).words[0], 1 | 1 << 11);
}

#[test]
fn process_directories_of_every_depth() {
    // process_id 0xabcde: PDI 0xde, 0x0bc >> 0 ..., as the specification slices it.
    for (mode, process, indices) in [
        (ProcessMode::Pd8, 0xde_u32, vec![0xde]),
        (ProcessMode::Pd17, 0x1_bcde, vec![0xde, 0x1bc]),
        (ProcessMode::Pd20, 0xa_bcde, vec![0xde, 0xbc, 0x5]),
    ] {
        let mut d = Driver::new(DriverConfig::default());
        let dom = d.domain(Scheme::Sv39, 9);
        let pdt = d.process_directory(mode, None, false).unwrap();
        let context = ProcessContext {
            domain: Some(dom),
            ens: true,
            sum: false,
        };
        d.set_process(pdt, process, &context).unwrap();
        let dc = d.context_for(&Attachment {
            processes: Some(pdt),
            ..Attachment::default()
        });
        assert_eq!(dc.words[0], 1 | 1 << 5);
        assert_eq!(dc.words[3] >> 60, u64::from(mode.levels()));
        let mem = words(&d.take());
        let mut a = (dc.words[3] & ((1 << 44) - 1)) << 12;
        for level in (1..mode.levels() as usize).rev() {
            a = (mem[&(a + 8 * indices[level])] >> 10) << 12;
        }
        let at = a + 16 * indices[0];
        assert_eq!(mem[&at], 1 | 1 << 1 | 9 << 12);
        assert_eq!(mem[&(at + 8)], 8 << 60 | d.domain_ref(dom).root() >> 12);
        assert!(
            mode == ProcessMode::Pd20 || d.set_process(pdt, 1 << mode.bits(), &context).is_err()
        );
    }
}

#[test]
fn interrupt_files_are_found_by_the_masked_bits_of_their_page() {
    let mut d = Driver::new(DriverConfig::default());
    let vm = d.vm(GuestScheme::Sv39x4, 1, 0x1000_0000);
    // Bits 0 and 3 of the page number select one of four files.
    d.msi_table(vm, 0x2800_0000, 0b1001).unwrap();
    assert_eq!(d.msi_address(vm, 0).unwrap(), 0x2800_0000);
    assert_eq!(d.msi_address(vm, 2).unwrap(), 0x2800_8000);
    assert_eq!(d.msi_address(vm, 3).unwrap(), 0x2800_9000);
    assert!(d.msi_address(vm, 4).is_err());
    let file = MsiFile::Mrif {
        mrif: 0x9000_0200,
        notice: 0x2400_0000,
        nid: 0x405,
    };
    let at = d.set_msi_file(vm, 3, file).unwrap();
    assert_eq!(at, d.msi_entry(vm, 0).unwrap() + 48);
    assert_eq!(d.word(at), (0x9000_0200 >> 9) << 7 | 0b011);
    assert_eq!(d.word(at + 8), 0x2_4000 << 10 | 5 | 1 << 60);
    assert_eq!(
        d.resolve_guest(vm, 0x2800_9000),
        Some(Target::Mrif { file: 3 })
    );
    assert_eq!(d.resolve_guest(vm, 0x2800_8000), None);
}

#[test]
fn commands_with_all_operands() {
    // Field positions of section "IOMMU Page-Table cache invalidation commands".
    let vma = Vma {
        gscid: Some(0xabcd),
        pscid: Some(0x12345),
        addr: Some(0x7000),
        non_leaf: true,
        range: false,
    };
    assert_eq!(
        vma.encode(),
        [
            1 | 1 << 10 | 0x12345 << 12 | 1 << 32 | 1 << 33 | 1 << 34 | 0xabcd << 44,
            7 << 10
        ]
    );
    let gvma = Gvma {
        addr: Some(range_operand(0x1_0000, 16)),
        range: true,
        ..Gvma::default()
    };
    // 64 KiB: the first zero of ADDR is at position 3.
    assert_eq!(gvma.encode(), [1 | 1 << 7 | 1 << 10, 0x17 << 10 | 1 << 9]);
    // 8 KiB: at position 0.
    assert_eq!(range_operand(0x3000, 13), 0x2000);
    assert_eq!(range_operand(0, 64), 0x7fff_ffff_ffff_f000);
}

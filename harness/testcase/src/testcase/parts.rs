//! Small pieces of test cases: capabilities, timing, flags, values.

use std::ops::RangeInclusive;

use iommu_bus::event::Burst;
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::caps;
use crate::case::Timings;
use crate::diag;
use crate::driver::{LEAF_SIZES, MEGAPAGE, pte};
use crate::yaml::{Fields, Node, Result, Source};

pub(super) fn features(src: &Source, node: &Node) -> Result<u64> {
    let mut bits = 0;
    for n in src.list(node, "a list of capabilities")? {
        let text = src.string(n, "a capability")?;
        bits |= caps::feature(text).ok_or_else(|| {
            src.at(n, format!("unknown capability '{text}'"))
                .with_help(diag::suggest(text, caps::FEATURES.iter().map(|&(f, _)| f)))
        })?;
    }
    Ok(bits)
}

pub(super) fn mask(src: &Source, node: &Node) -> Result<u64> {
    let f = src.fields(node, "capabilities")?;
    let mut mask = u64::MAX;
    if let Some(n) = f.get("without") {
        mask &= !features(src, n)?;
    }
    if let Some(m) = f.number("mask", u64::MAX)? {
        mask &= m;
    }
    f.finish()?;
    Ok(mask)
}

/// `8` or `8..20` (both ends included).
pub(super) fn range(
    src: &Source,
    node: &Node,
    what: &str,
    max: u64,
) -> Result<RangeInclusive<u32>> {
    let text = src.string(node, what)?;
    let wrong = || {
        src.at(node, format!("{what} is a number or a range, not '{text}'"))
            .with_help("for example 8 or 4..20")
    };
    let number = |t: &str| {
        crate::yaml::parse_number(t.trim())
            .filter(|&v| v <= max)
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(wrong)
    };
    match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high.trim_start_matches('='))?);
            if low > high {
                return Err(wrong());
            }
            Ok(low..=high)
        }
        None => number(text).map(|n| n..=n),
    }
}

pub(super) fn port_timing(src: &Source, node: &Node, mut t: PortTiming) -> Result<PortTiming> {
    let f = src.fields(node, "the timing of a memory port")?;
    if let Some(n) = f.get("latency") {
        t.latency = range(src, n, "latency", 100_000)?;
    }
    t.out_of_order = f.flag("out_of_order", t.out_of_order)?;
    t.interleave = f.flag("interleave", t.interleave)?;
    percent(&f, "ready", &mut t.ready_percent)?;
    percent(&f, "gap", &mut t.gap_percent)?;
    t.stopped = f.flag("stopped", t.stopped)?;
    f.finish()?;
    Ok(t)
}

pub(super) fn percent(f: &Fields<'_>, name: &'static str, to: &mut u8) -> Result<()> {
    if let Some(n) = f.number(name, 100)? {
        *to = n as u8;
    }
    Ok(())
}

pub(super) fn dev_timing(src: &Source, node: &Node, mut t: DevTiming) -> Result<DevTiming> {
    let f = src.fields(node, "the timing of devices")?;
    percent(&f, "aw_gap", &mut t.aw_gap_percent)?;
    percent(&f, "w_gap", &mut t.w_gap_percent)?;
    percent(&f, "ar_gap", &mut t.ar_gap_percent)?;
    percent(&f, "b_ready", &mut t.b_ready_percent)?;
    percent(&f, "r_ready", &mut t.r_ready_percent)?;
    for (name, field) in [
        ("aw_delay", &mut t.aw_delay),
        ("w_delay", &mut t.w_delay),
        ("max_reads", &mut t.max_reads),
        ("max_writes", &mut t.max_writes),
    ] {
        if let Some(n) = f.number(name, 100_000)? {
            *field = n as u32;
        }
    }
    t.w_before_aw = f.flag("w_before_aw", t.w_before_aw)?;
    t.stop_requests = f.flag("stop_requests", t.stop_requests)?;
    t.stop_responses = f.flag("stop_responses", t.stop_responses)?;
    f.finish()?;
    Ok(t)
}

pub(super) fn reg_timing(src: &Source, node: &Node, mut t: RegTiming) -> Result<RegTiming> {
    let f = src.fields(node, "the timing of the register port")?;
    percent(&f, "gap", &mut t.gap_percent)?;
    percent(&f, "ready", &mut t.ready_percent)?;
    if let Some(n) = f.number("max_outstanding", 64)? {
        t.max_outstanding = (n as u32).max(1);
    }
    f.finish()?;
    Ok(t)
}

pub(super) fn read_timings(src: &Source, node: &Node) -> Result<Timings> {
    let f = src.fields(node, "timing")?;
    let mut t = Timings::default();
    if let Some(n) = f.get("memory") {
        t.mem = port_timing(src, n, t.mem)?;
    }
    if let Some(n) = f.get("output") {
        t.out = port_timing(src, n, t.out)?;
    }
    if let Some(n) = f.get("devices") {
        t.dev = dev_timing(src, n, t.dev)?;
    }
    if let Some(n) = f.get("registers") {
        t.reg = reg_timing(src, n, t.reg)?;
    }
    f.finish()?;
    Ok(t)
}

/// PTE bits of `access: rwx...` and the flags beside it.
pub(super) fn pte_flags(f: &Fields<'_>) -> Result<u64> {
    let src = f.src;
    let mut flags = pte::V;
    let access = f.get("access");
    let text = access.map_or(Ok("rw"), |n| src.string(n, "access"))?;
    for c in text.chars() {
        flags |= match c {
            'r' => pte::R,
            'w' => pte::W,
            'x' => pte::X,
            '-' => 0,
            _ => {
                return Err(src
                    .at(access.unwrap_or(f.node), format!("unknown access '{text}'"))
                    .with_help("letters of rwx"));
            }
        };
    }
    for (name, bit, default) in [
        ("user", pte::U, true),
        ("global", pte::G, false),
        ("accessed", pte::A, true),
        ("dirty", pte::D, flags & pte::W != 0),
        ("valid", pte::V, true),
    ] {
        if f.flag(name, default)? {
            flags |= bit;
        } else {
            flags &= !bit;
        }
    }
    for (name, shift, max) in [
        ("pbmt", pte::PBMT_SHIFT, 3),
        ("rsw", pte::RSW_SHIFT, 3),
        ("software", pte::SOFTWARE_SHIFT, 3),
    ] {
        if let Some(n) = f.get(name) {
            let value = match src.string(n, name)? {
                "pma" if name == "pbmt" => 0,
                "nc" if name == "pbmt" => 1,
                "io" if name == "pbmt" => 2,
                _ => src.number(n, name, max)?,
            };
            flags |= value << shift;
        }
    }
    Ok(flags)
}

/// log2 of a page size by name.
pub(super) fn leaf_shift(src: &Source, node: &Node) -> Result<u32> {
    let sizes = || LEAF_SIZES.iter().chain([&MEGAPAGE]);
    let names: Vec<&str> = sizes().map(|&(n, _)| n).collect();
    let size = src.word(node, "page size", &names)?;
    Ok(sizes().nth(size).map_or(12, |&(_, s)| s as u32))
}

pub(super) fn burst(src: &Source, node: &Node) -> Result<Burst> {
    Ok([Burst::Fixed, Burst::Incr, Burst::Wrap, Burst::Reserved]
        [src.word(node, "burst", &["fixed", "incr", "wrap", "reserved"])?])
}

/// Bytes of a value: `value` and `size`, or `data` as a list of bytes.
pub(super) fn read_data(f: &Fields<'_>) -> Result<Vec<u8>> {
    if let Some(n) = f.get("data") {
        return f
            .src
            .list(n, "data")?
            .iter()
            .map(|b| Ok(f.src.number(b, "a byte", 0xff)? as u8))
            .collect();
    }
    let size = value_size(f)?;
    let value = f.src.number(f.need("value")?, "value", u64::MAX)?;
    Ok(value.to_le_bytes()[..size as usize].to_vec())
}

pub(super) fn value_size(f: &Fields<'_>) -> Result<u8> {
    match f.get("size") {
        None => Ok(8),
        Some(n) => match f.src.number(n, "size", 8)? {
            v @ (1 | 2 | 4 | 8) => Ok(v as u8),
            _ => Err(f.src.at(n, "size is 1, 2, 4 or 8")),
        },
    }
}

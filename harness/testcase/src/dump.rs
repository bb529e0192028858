//! Writes operations as a YAML test case, so that what a machine found can be
//! read, replayed and kept by a person. The other direction is
//! [`testcase`](crate::testcase).

use std::collections::HashSet;
use std::fmt::Write as _;

use iommu_bus::event::Burst;
use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::ats::{Atc, AtsExpect};
use crate::case::{Setting, Timings};
use crate::op::{Dma, Expect, ExpectedUser, Op, OpAt};
use crate::regs;

/// What stands above the steps.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Name of the test case.
    pub name: &'a str,
    /// What it is.
    pub description: &'a str,
    /// Comment lines at the top.
    pub comment: &'a str,
    /// The original waits before it edits.
    pub quiesced: bool,
    /// Capabilities and timing.
    pub setting: &'a Setting,
}

/// A test case that lowers to these operations (bar waits that another wait contains).
///
/// # Errors
/// An operation that test cases cannot say: expectations of recorded streams, memory images.
pub fn to_yaml(head: &Head<'_>, ops: &[OpAt]) -> Result<String, String> {
    let mut out = String::new();
    for line in head.comment.lines() {
        let _ = writeln!(out, "# {line}");
    }
    let _ = writeln!(out, "name: {}", head.name);
    let _ = writeln!(out, "description: {:?}", head.description);
    if !head.quiesced {
        out.push_str("quiesced: false\n");
    }
    let _ = writeln!(out, "capabilities: {{mask: {:#x}}}", head.setting.caps_mask);
    let t = &head.setting.timings;
    if *t != Timings::default() {
        let _ = writeln!(
            out,
            "timing:\n  memory: {}\n  output: {}\n  devices: {}\n  registers: {}",
            port(&t.mem),
            port(&t.out),
            devices(&t.dev),
            registers(&t.reg)
        );
    }
    // The steps write every register themselves.
    out.push_str("iommu: {mode: Off, start: false}\nsteps:\n");
    let mut dirty = HashSet::new();
    let mut said = String::new();
    for (n, o) in ops.iter().enumerate() {
        let next = ops.get(n + 1).map(|o| &o.op);
        let Some(line) = step(&o.op, next, &mut dirty)? else {
            continue;
        };
        let what = if o.at.line > 0 {
            format!("round {}: {}", o.at.line, o.at.text)
        } else {
            o.at.text.to_string()
        };
        if what != said && !what.is_empty() {
            let _ = writeln!(out, "  # {}", what.replace('\n', " "));
            said = what;
        }
        let _ = writeln!(out, "  - {line}");
    }
    Ok(out)
}

/// One operation as a step; `None` where nothing needs to be said.
fn step(op: &Op, next: Option<&Op>, dirty: &mut HashSet<u64>) -> Result<Option<String>, String> {
    let line = match op {
        Op::Store { addr, data } => {
            for page in (addr >> 12)..=(addr.saturating_add(data.len().max(1) as u64 - 1) >> 12) {
                dirty.insert(page);
            }
            match <[u8; 8]>::try_from(data.as_slice()) {
                Ok(word) => format!(
                    "poke: {{address: {addr:#x}, value: {:#x}, quiesce: false}}",
                    u64::from_le_bytes(word)
                ),
                Err(_) => format!(
                    "poke: {{address: {addr:#x}, data: {}, quiesce: false}}",
                    bytes(data)
                ),
            }
        }
        Op::ZeroPage { addr } => {
            // Memory begins as zeros.
            if !dirty.contains(&(addr >> 12)) {
                return Ok(None);
            }
            format!(
                "poke: {{address: {:#x}, data: {}, quiesce: false}}",
                addr & !0xfff,
                bytes(&[0; 4096])
            )
        }
        Op::MemFault {
            range,
            access,
            fault,
        } => format!(
            "memory_error: {{address: {:#x}, size: {}, access: {}, kind: {}}}",
            range.start,
            range.end - range.start,
            match access {
                FaultAccess::Any => "any",
                FaultAccess::Read => "read",
                FaultAccess::Write => "write",
            },
            match fault {
                MemFault::SlvErr => "error",
                MemFault::DecErr => "decode_error",
                MemFault::Poison => "poison",
            }
        ),
        Op::ClearFaults => "clear_memory_errors: {quiesce: false}".into(),
        Op::Unspecified => "unspecified".into(),
        Op::ExpectMemory { addr, data } => {
            format!(
                "expect_memory: {{address: {addr:#x}, data: {}}}",
                bytes(data)
            )
        }
        Op::PollMem {
            addr,
            size,
            mask,
            value,
        } => format!(
            "poll_memory: {{address: {addr:#x}, size: {size}, mask: {mask:#x}, value: {value:#x}}}"
        ),
        Op::RegWrite {
            offset,
            size,
            value,
        } => format!(
            "write_register: {{{}, value: {value:#x}}}",
            register(*offset, *size)
        ),
        Op::RegWriteRaw { offset, data, strb } => {
            format!("raw_register: {{offset: {offset:#x}, data: {data:#x}, strobes: {strb:#x}}}")
        }
        Op::RegBegin {
            offset,
            size,
            write: None,
        } => format!(
            "read_register: {{{}, wait: false}}",
            register(*offset, *size)
        ),
        Op::RegBegin {
            offset,
            size,
            write: Some(value),
        } => format!(
            "write_register: {{{}, value: {value:#x}, wait: false}}",
            register(*offset, *size)
        ),
        Op::RegRead {
            offset,
            size,
            expect,
        } => match expect {
            None => format!("read_register: {{{}}}", register(*offset, *size)),
            Some((value, mask)) => format!(
                "read_register: {{{}, value: {value:#x}, mask: {mask:#x}}}",
                register(*offset, *size)
            ),
        },
        Op::PollReg {
            offset,
            size,
            mask,
            value,
        } => format!(
            "poll_register: {{{}, value: {value:#x}, mask: {mask:#x}}}",
            register(*offset, *size)
        ),
        Op::Dma(d) => access(d)?,
        Op::WaitDma => "wait: dma".into(),
        // Taking the records waits as well.
        Op::WaitIdle
            if matches!(
                next,
                Some(Op::TakeFaults { .. } | Op::TakePageRequests { .. })
            ) =>
        {
            return Ok(None);
        }
        Op::WaitIdle => "wait: idle".into(),
        Op::Cycles(n) => format!("wait: {{cycles: {n}}}"),
        Op::TakeFaults { expect: None } => "expect_faults: any".into(),
        Op::TakePageRequests { expect: None } => "expect_page_requests: any".into(),
        Op::AtsDevices(d) => format!(
            "ats: {{answers: {}, delay: {}, completions: {}, stopped: {}, ready: {}}}",
            d.answers, d.delay, d.completions, d.stopped, d.ready
        ),
        Op::AtsRequest(a) if a.expect == AtsExpect::default() => format!(
            "ats_request: {{device: {:#x}{}, iova: {:#x}, execute: {}, no_write: {}, count: {}, cxl: {}, wait: false}}",
            a.device_id,
            of_process(a.process_id, a.privileged),
            a.addr,
            a.execute,
            a.no_write,
            a.count,
            a.cxl
        ),
        Op::PageRequest(p) => format!(
            "page_request: {{device: {:#x}{}, iova: {:#x}, execute: {}, prgi: {}, last: {}, write: {}, read: {}, wait: false}}",
            p.device_id,
            of_process(p.process_id, p.privileged),
            p.payload & !0xfff,
            p.execute,
            p.payload >> 3 & 0x1ff,
            p.payload & 4 != 0,
            p.payload & 2 != 0,
            p.payload & 1 != 0
        ),
        Op::AnswerInvalidations { from: None } => "answer_invalidations: {}".into(),
        Op::AnswerInvalidations { from: Some(id) } => {
            format!("answer_invalidations: {{device: {id:#x}}}")
        }
        Op::WaitInvalidations { count } => format!("wait: {{invalidations: {count}}}"),
        Op::AtsTimeout => "ats_timeout".into(),
        Op::MemTiming(t) => format!("timing: {{memory: {}}}", port(t)),
        Op::OutTiming(t) => format!("timing: {{output: {}}}", port(t)),
        Op::DevTiming(t) => format!("timing: {{devices: {}}}", devices(t)),
        Op::RegTiming(t) => format!("timing: {{registers: {}}}", registers(t)),
        Op::Reset { cycles } => format!("reset: {{cycles: {cycles}}}"),
        Op::Note(text) => format!("note: {text:?}"),
        other => return Err(format!("a test case cannot say {other:?}")),
    };
    Ok(Some(line))
}

fn register(offset: u16, size: u8) -> String {
    match regs::NAMED
        .iter()
        .find(|&&(_, o, s)| o == offset && s == size)
    {
        Some((name, ..)) => format!("name: {name}"),
        None => format!("offset: {offset:#x}, size: {size}"),
    }
}

fn bytes(data: &[u8]) -> String {
    let list: Vec<String> = data.iter().map(|b| format!("{b:#04x}")).collect();
    format!("[{}]", list.join(", "))
}

fn of_process(process: Option<u32>, privileged: bool) -> String {
    process.map_or(String::new(), |p| {
        format!(", process: {p:#x}, privileged: {privileged}")
    })
}

fn access(d: &Dma) -> Result<String, String> {
    if d.expect != Expect::Any || d.expect_data.is_some() || d.user != ExpectedUser::default() {
        return Err("an access of a random test expects nothing of its own".into());
    }
    let kind = match (&d.write, d.execute) {
        (Some(_), _) => "write",
        (None, true) => "execute",
        (None, false) => "read",
    };
    let mut s = format!("dma: {{device: {:#x}, {kind}: {:#x}", d.device_id, d.iova);
    match &d.write {
        Some(data) => {
            let _ = write!(s, ", data: {}", bytes(data));
        }
        None => {
            let _ = write!(s, ", bytes: {}", d.bytes);
        }
    }
    if d.id != 0 {
        let _ = write!(s, ", id: {}", d.id);
    }
    if let Some(p) = d.process_id {
        let _ = write!(s, ", process: {p:#x}");
    }
    for (on, name) in [
        (d.privileged, "privileged"),
        (d.translated, "translated"),
        (d.lock, "exclusive"),
    ] {
        if on {
            let _ = write!(s, ", {name}: true");
        }
    }
    if d.atc == Atc::Any {
        s.push_str(", atc: any");
    }
    if d.atop != 0 {
        let _ = write!(s, ", atomic: {:#x}", d.atop);
    }
    for (value, name) in d
        .attributes
        .iter()
        .zip(["cache", "qos", "region", "nonsecure"])
    {
        if *value != 0 {
            let _ = write!(s, ", {name}: {value}");
        }
    }
    if let Some(shape) = d.shape {
        let burst = match shape.burst {
            Burst::Fixed => "fixed",
            Burst::Incr => "incr",
            Burst::Wrap => "wrap",
            Burst::Reserved => "reserved",
        };
        let _ = write!(
            s,
            ", shape: {{beats: {}, size: {}, burst: {burst}}}",
            u32::from(shape.len) + 1,
            shape.size
        );
    }
    if let Some(strobes) = &d.strobes {
        let _ = write!(s, ", strobes: {}", bytes(strobes));
    }
    s.push('}');
    Ok(s)
}

fn port(t: &PortTiming) -> String {
    let (low, high) = (t.latency.start(), t.latency.end());
    let mut s = if low == high {
        format!("{{latency: {low}")
    } else {
        format!("{{latency: {low}..{high}")
    };
    for (on, name) in [
        (t.out_of_order, "out_of_order"),
        (t.interleave, "interleave"),
        (t.stopped, "stopped"),
    ] {
        if on {
            let _ = write!(s, ", {name}: true");
        }
    }
    let _ = write!(s, ", ready: {}, gap: {}}}", t.ready_percent, t.gap_percent);
    s
}

fn devices(t: &DevTiming) -> String {
    let mut s = format!(
        "{{aw_gap: {}, w_gap: {}, ar_gap: {}, aw_delay: {}, w_delay: {}, b_ready: {}, r_ready: {}, max_reads: {}, max_writes: {}",
        t.aw_gap_percent,
        t.w_gap_percent,
        t.ar_gap_percent,
        t.aw_delay,
        t.w_delay,
        t.b_ready_percent,
        t.r_ready_percent,
        t.max_reads,
        t.max_writes
    );
    for (on, name) in [
        (t.w_before_aw, "w_before_aw"),
        (t.stop_requests, "stop_requests"),
        (t.stop_responses, "stop_responses"),
    ] {
        if on {
            let _ = write!(s, ", {name}: true");
        }
    }
    s.push('}');
    s
}

fn registers(t: &RegTiming) -> String {
    format!(
        "{{gap: {}, ready: {}, max_outstanding: {}}}",
        t.gap_percent, t.ready_percent, t.max_outstanding
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{self, Profile, Target};
    use std::path::Path;

    /// The operations without those that the text need not say.
    fn essence(ops: Vec<OpAt>) -> Vec<Op> {
        let mut out: Vec<Op> = Vec::new();
        for o in ops {
            match o.op {
                Op::ZeroPage { .. } => {}
                Op::TakeFaults { .. } | Op::WaitIdle | Op::TakePageRequests { .. }
                    if matches!(out.last(), Some(Op::WaitIdle)) =>
                {
                    out.pop();
                    out.push(o.op);
                }
                op => out.push(op),
            }
        }
        out
    }

    #[test]
    fn every_random_test_can_be_said_in_yaml() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases/profiles");
        for (name, _) in random::profile::list(&folder).unwrap() {
            let profile = Profile::load(&folder, &name).unwrap();
            let case = random::case(&profile, &Target::default());
            for seed in 0..3 {
                let ops: Vec<OpAt> = case.ops(seed).unwrap().map(|o| o.unwrap()).collect();
                let setting = case.setting(seed);
                let head = Head {
                    name: "again",
                    description: "d",
                    comment: "two\nlines",
                    quiesced: false,
                    setting: &setting,
                };
                let text = to_yaml(&head, &ops).unwrap();
                let path = Path::new("again.yaml");
                let again = crate::testcase::parse(path, "again.yaml", &text)
                    .unwrap_or_else(|e| panic!("{name} seed {seed}: {e}"));
                assert_eq!(again.setting(seed).caps_mask, setting.caps_mask);
                assert_eq!(again.setting(seed).timings, setting.timings);
                assert_eq!((again.needs, again.quiesced), (0, false));
                let back: Vec<OpAt> = again.ops(seed).unwrap().map(|o| o.unwrap()).collect();
                let (a, b) = (essence(ops), essence(back));
                assert_eq!(a.len(), b.len(), "{name} seed {seed}");
                for (x, y) in a.iter().zip(&b) {
                    assert_eq!(x, y, "{name} seed {seed}");
                }
            }
        }
    }
}

//! Reduces a failing run to few operations that still fail the same check.
//!
//! Delta debugging: operations are cut off behind the failure, then removed in
//! ranges of halving size, then those that are left are made simpler. Commands
//! are kept apart from the queue's slots they were stored in, and laid out anew
//! for each trial: a program without some of its commands is again one that
//! a driver could have run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iommu_testcase::op::{CaseError, Ops, Shape};
use iommu_testcase::{Case, Op, OpAt, Setting, Source, Timings, Where, regs};

use crate::report::Failure;
use crate::run::{self, Setup};
use crate::suite::Ticket;

/// What is left of a failing run.
#[derive(Debug)]
pub struct Least {
    /// Its operations.
    pub ops: Vec<OpAt>,
    /// Capabilities and timing.
    pub setting: Setting,
    /// Operations of the original.
    pub from: usize,
    /// Runs that it took.
    pub trials: u32,
}

/// Reduces; the time is a bound for beginning another trial.
///
/// # Errors
/// The run does not fail the same check when its operations are given as a list.
pub fn reduce(
    case: &Case,
    setup: &Setup,
    failure: &Failure,
    time: Duration,
    ticket: &Ticket<'_>,
) -> Result<Least, String> {
    let counter = Arc::new(AtomicU64::new(0));
    let all: Vec<OpAt> = case
        .ops(setup.seed)
        .and_then(Iterator::collect)
        .map_err(|e| e.to_string())?;
    let mut r = Reducer {
        case,
        setup,
        failure,
        ticket,
        until: Instant::now() + time,
        // Twice the time of the original is a failure of another kind (polls that fail take
        // less in a trial).
        most_cycles: failure.cycle.saturating_mul(2) + 200_000,
        setting: case.setting(setup.seed),
        counter,
        trials: 0,
    };
    let from = all.len();
    let mut program = Program::of(&all);
    // As a program first; if commands laid out anew change the failure, as plain operations.
    if !r.fails(&program) {
        program = Program::plain(&all);
        if !r.fails(&program) {
            return Err(format!(
                "the run's operations alone do not fail check {}",
                failure.check
            ));
        }
    }
    // What the failing run never came to.
    let pulled = usize::try_from(r.counter.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let mut cut = program.clone();
    cut.truncate_to_ops(pulled);
    if cut.0.len() < program.0.len() && r.fails(&cut) {
        program = cut;
    }
    loop {
        let before = program.0.len();
        r.remove_ranges(&mut program);
        if !r.simplify(&mut program) && program.0.len() == before || r.over() {
            break;
        }
    }
    Ok(Least {
        ops: program.lower(),
        setting: r.setting,
        from,
        trials: r.trials,
    })
}

struct Reducer<'a> {
    case: &'a Case,
    setup: &'a Setup,
    failure: &'a Failure,
    ticket: &'a Ticket<'a>,
    until: Instant,
    most_cycles: u64,
    setting: Setting,
    counter: Arc<AtomicU64>,
    trials: u32,
}

/// A list of operations as a source; counts how many were asked for.
struct Listed {
    ops: Vec<OpAt>,
    asked: Arc<AtomicU64>,
}

impl Source for Listed {
    fn ops(&self, _seed: u64) -> Result<Ops, CaseError> {
        let asked = self.asked.clone();
        asked.store(0, Ordering::Relaxed);
        let ops = self.ops.clone().into_iter().map(move |o| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(o)
        });
        Ok(Box::new(ops))
    }
}

/// Whether a trial fails as the run did. A poll that never ends may have any reason: there the
/// register and, in words, the state of the queues have to be the same.
fn alike(trial: &Failure, failure: &Failure) -> bool {
    let words = |f: &Failure| -> String {
        let first = f.got.lines().next().unwrap_or_default();
        let is_number = |w: &&str| w.starts_with(|c: char| c.is_ascii_digit());
        first.split_whitespace().filter(|w| !is_number(w)).collect()
    };
    let offset = |f: &Failure| f.expected.split_once(" at offset ").map(|e| e.1.to_owned());
    trial.check == failure.check
        && (failure.check != "register-poll"
            || (words(trial) == words(failure) && offset(trial) == offset(failure)))
}

impl Reducer<'_> {
    fn over(&self) -> bool {
        Instant::now() >= self.until || self.ticket.stopped()
    }

    /// Whether this program, under this setting, fails the same check.
    fn fails_under(&mut self, program: &Program, setting: &Setting) -> bool {
        self.trials += 1;
        let case = Case {
            draw: None,
            fixed: setting.clone(),
            source: Arc::new(Listed {
                ops: program.lower(),
                asked: self.counter.clone(),
            }),
            ..self.case.clone()
        };
        let silent = self.ticket.silent();
        let ticket = silent.watched(None, self.most_cycles);
        let outcome = run::run(&case, self.setup, &ticket);
        outcome.error.is_none()
            && outcome
                .failures
                .first()
                .is_some_and(|f| alike(f, self.failure))
    }

    fn fails(&mut self, program: &Program) -> bool {
        let setting = self.setting.clone();
        self.fails_under(program, &setting)
    }

    /// Removes ranges of halving size, from the end on, as long as the rest fails.
    fn remove_ranges(&mut self, program: &mut Program) {
        let mut size = (program.0.len() / 2).max(1);
        loop {
            let mut end = program.0.len();
            while end > 0 {
                if self.over() {
                    return;
                }
                let begin = end.saturating_sub(size);
                let mut less = program.clone();
                less.0.drain(begin..end);
                if self.fails(&less) {
                    *program = less;
                }
                end = begin;
            }
            if size == 1 {
                return;
            }
            size /= 2;
        }
    }

    /// Makes timing, capabilities and accesses simpler; whether anything became so.
    fn simplify(&mut self, program: &mut Program) -> bool {
        let mut any = false;
        let (t, d) = (self.setting.timings.clone(), Timings::default());
        for timings in [
            d.clone(),
            Timings {
                mem: d.mem.clone(),
                ..t.clone()
            },
            Timings {
                out: d.out.clone(),
                ..t.clone()
            },
            Timings {
                dev: d.dev.clone(),
                ..t.clone()
            },
            Timings {
                reg: d.reg.clone(),
                ..t.clone()
            },
        ] {
            let setting = Setting {
                timings,
                ..self.setting.clone()
            };
            if setting != self.setting && !self.over() && self.fails_under(program, &setting) {
                self.setting = setting;
                any = true;
            }
        }
        for n in 0..program.0.len() {
            for simpler in simpler(&program.0[n]) {
                if self.over() {
                    return any;
                }
                let mut less = program.clone();
                less.0[n] = simpler;
                if self.fails(&less) {
                    *program = less;
                    any = true;
                }
            }
        }
        any
    }
}

/// Simpler forms of an item, the simplest first.
fn simpler(item: &Item) -> Vec<Item> {
    let Item::Op(OpAt { op, at }) = item else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut put = |new: Op| {
        if new != *op {
            out.push(Item::Op(OpAt {
                op: new,
                at: at.clone(),
            }));
        }
    };
    match op {
        Op::Dma(d) => {
            let mut plain = d.clone();
            plain.attributes = [0; 4];
            plain.id = 0;
            put(Op::Dma(plain.clone()));
            plain.shape = None;
            plain.strobes = None;
            plain.lock = false;
            plain.bytes = plain.bytes.min(8);
            if let Some(data) = &mut plain.write {
                data.truncate(8);
            }
            put(Op::Dma(plain.clone()));
            if let Some(s) = d.shape {
                let mut short = d.clone();
                short.shape = Some(Shape { len: 0, ..s });
                put(Op::Dma(short));
            }
        }
        Op::Cycles(n) if *n > 1 => put(Op::Cycles(n / 2)),
        Op::Reset { cycles } if *cycles > 1 => put(Op::Reset { cycles: 1 }),
        _ => {}
    }
    out
}

/// One step of a program.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Op(OpAt),
    /// A command, wherever its slot is then.
    Command([u8; 16], Where),
    /// Bytes into a slot so many before the tail.
    Slot(u32, Vec<u8>, Where),
    /// `cqt` is written.
    Kick(Where),
    /// Until all commands have been executed.
    Wait(Where),
}

/// Operations, with commands apart from their slots.
#[derive(Debug, Clone, PartialEq)]
struct Program(Vec<Item>);

/// Where a driver is in its command queue.
#[derive(Debug, Clone, Copy, Default)]
struct Queue {
    base: u64,
    entries: u32,
    tail: u32,
    kicked: u32,
    head: u32,
}

impl Queue {
    /// Follows a write of `cqb`.
    fn write_base(&mut self, value: u64) {
        *self = Self {
            base: (value >> 10 & ((1 << 44) - 1)) << 12,
            entries: 2u32 << (value & 0x1f).min(20),
            ..Self::default()
        };
    }

    fn slot(&self, index: u32) -> u64 {
        self.base + 16 * u64::from(index)
    }

    fn mask(&self) -> u32 {
        self.entries - 1
    }
}

const CQB: u16 = regs::CQB;

impl Program {
    fn plain(ops: &[OpAt]) -> Self {
        Self(ops.iter().cloned().map(Item::Op).collect())
    }

    fn of(ops: &[OpAt]) -> Self {
        let mut q = Queue::default();
        let items = ops.iter().map(|o| {
            let at = o.at.clone();
            match &o.op {
                Op::RegWrite {
                    offset: CQB,
                    size: 8,
                    value,
                } => q.write_base(*value),
                Op::RegWrite {
                    offset: regs::CQT,
                    size: 4,
                    value,
                } if q.entries > 0 && *value == u64::from(q.tail) && q.kicked != q.tail => {
                    q.kicked = q.tail;
                    return Item::Kick(at);
                }
                Op::PollReg {
                    offset: regs::CQH,
                    size: 4,
                    value,
                    ..
                } if q.entries > 0 && *value == u64::from(q.tail) => return Item::Wait(at),
                Op::Store { addr, data } if q.entries > 0 => {
                    let end = q.slot(q.entries);
                    if *addr == q.slot(q.tail)
                        && let Ok(command) = <[u8; 16]>::try_from(data.as_slice())
                    {
                        q.tail = (q.tail + 1) & q.mask();
                        return Item::Command(command, at);
                    }
                    if (q.base..end).contains(addr) && (addr - q.base).is_multiple_of(16) {
                        let index = ((addr - q.base) / 16) as u32;
                        let back = q.tail.wrapping_sub(index) & q.mask();
                        return Item::Slot(back, data.clone(), at);
                    }
                }
                _ => {}
            }
            Item::Op(o.clone())
        });
        Self(items.collect())
    }

    /// Operations again: commands into the slots that are next, waits where the queue is full.
    fn lower(&self) -> Vec<OpAt> {
        let mut q = Queue::default();
        let mut out = Vec::with_capacity(self.0.len());
        for item in &self.0 {
            match item {
                Item::Op(o) => {
                    if let Op::RegWrite {
                        offset: CQB,
                        size: 8,
                        value,
                    } = &o.op
                    {
                        q.write_base(*value);
                    }
                    out.push(o.clone());
                }
                // Without a queue there are no commands.
                _ if q.entries == 0 => {}
                Item::Command(data, at) => {
                    if (q.tail + 1) & q.mask() == q.head {
                        kick(&mut q, &mut out, at);
                        wait(&mut q, &mut out, at);
                    }
                    out.push(OpAt {
                        op: Op::Store {
                            addr: q.slot(q.tail),
                            data: data.to_vec(),
                        },
                        at: at.clone(),
                    });
                    q.tail = (q.tail + 1) & q.mask();
                }
                Item::Slot(back, data, at) => out.push(OpAt {
                    op: Op::Store {
                        addr: q.slot(q.tail.wrapping_sub(*back) & q.mask()),
                        data: data.clone(),
                    },
                    at: at.clone(),
                }),
                Item::Kick(at) => kick(&mut q, &mut out, at),
                Item::Wait(at) => {
                    kick(&mut q, &mut out, at);
                    wait(&mut q, &mut out, at);
                }
            }
        }
        out
    }

    /// Drops what lowers to operations behind the first `n`.
    fn truncate_to_ops(&mut self, n: usize) {
        let (mut low, mut high) = (0, self.0.len());
        // The longest prefix that lowers to at most n operations.
        while low < high {
            let middle = (low + high).div_ceil(2);
            if Self(self.0[..middle].to_vec()).lower().len() <= n {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        self.0.truncate((low + 1).min(self.0.len()));
    }
}

fn kick(q: &mut Queue, out: &mut Vec<OpAt>, at: &Where) {
    if q.kicked != q.tail {
        q.kicked = q.tail;
        out.push(OpAt {
            op: Op::RegWrite {
                offset: regs::CQT,
                size: 4,
                value: u64::from(q.tail),
            },
            at: at.clone(),
        });
    }
}

fn wait(q: &mut Queue, out: &mut Vec<OpAt>, at: &Where) {
    if q.head != q.tail {
        q.head = q.tail;
        out.push(OpAt {
            op: Op::PollReg {
                offset: regs::CQH,
                size: 4,
                mask: 0xffff_ffff,
                value: u64::from(q.tail),
            },
            at: at.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iommu_testcase::driver::{Driver, DriverConfig};

    fn at(op: Op) -> OpAt {
        OpAt {
            op,
            at: Where::default(),
        }
    }

    fn driven() -> Vec<OpAt> {
        let mut d = Driver::new(DriverConfig {
            cq_log2: 2,
            ..DriverConfig::default()
        });
        d.start();
        for n in 0..7 {
            d.invalidate_directory(Some(n));
        }
        d.fence(true, true);
        d.take().into_iter().map(at).collect()
    }

    #[test]
    fn a_program_lowers_to_what_it_came_from() {
        let ops = driven();
        let program = Program::of(&ops);
        assert!(
            program
                .0
                .iter()
                .filter(|i| matches!(i, Item::Command(..)))
                .count()
                >= 8
        );
        assert_eq!(program.lower(), ops);
        assert_eq!(Program::plain(&ops).lower(), ops);
    }

    #[test]
    fn a_queue_that_is_off_is_not_one_that_is_stuck() {
        let failure = |check: &str, got: &str| Failure {
            cycle: 1,
            check: check.to_owned(),
            rule: String::new(),
            expected: "0xe (mask 0xffffffff) at offset 0x20 within 2000000 clocks".to_owned(),
            got: got.to_owned(),
            story: String::new(),
            at: String::new(),
            waveform: None,
        };
        let poll = |got| failure("register-poll", got);
        let stuck = poll("0xd; command queue: cqt 0xe, on true\ncommand at 0xd: Fence");
        assert!(alike(&poll("0x0; command queue: cqt 0x1, on true"), &stuck));
        assert!(!alike(
            &poll("0x0; command queue: cqt 0x1, on false"),
            &stuck
        ));
        assert!(!alike(&failure("command-head", &stuck.got), &stuck));
        let other = Failure {
            expected: "0x1 (mask 0x1) at offset 0x50 within 2000000 clocks".to_owned(),
            ..poll("0x0; command queue: cqt 0x1, on true")
        };
        assert!(!alike(&other, &stuck));
    }

    #[test]
    fn without_a_command_the_others_move_up() {
        let ops = driven();
        let mut program = Program::of(&ops);
        let n = program
            .0
            .iter()
            .position(|i| matches!(i, Item::Command(..)))
            .unwrap();
        program.0.remove(n);
        let less = program.lower();
        // Slots are still taken one after the other, and the last tail is one less.
        let last = |ops: &[OpAt]| {
            ops.iter()
                .rev()
                .find_map(|o| match &o.op {
                    Op::RegWrite {
                        offset: regs::CQT,
                        value,
                        ..
                    } => Some(*value),
                    _ => None,
                })
                .unwrap()
        };
        assert_eq!((last(&less) + 1) & 3, last(&ops));
        assert_eq!(Program::of(&less).lower(), less);
    }

    #[test]
    fn a_prefix_is_cut_by_its_operations() {
        let ops = driven();
        let mut program = Program::of(&ops);
        program.truncate_to_ops(5);
        assert!((5..=6).contains(&program.lower().len()));
    }
}

//! What is being translated, and for whom.

use std::collections::VecDeque;
use std::sync::Arc;

use iommu_golden::ats::PageRequest;
use iommu_golden::{Access, Iommu, Iova, MrifTarget, Request, RequestKind};

use crate::port::Waiter;
use crate::replay::{Need, Walk};

/// An AXI burst of a device, its fields as on the pins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Burst {
    pub(crate) id: u8,
    pub(crate) addr: u64,
    pub(crate) len: u8,
    pub(crate) size: u8,
    pub(crate) burst: u8,
    pub(crate) lock: u8,
    pub(crate) cache: u8,
    pub(crate) prot: u8,
    pub(crate) qos: u8,
    pub(crate) region: u8,
    pub(crate) atop: u8,
    pub(crate) device_id: u32,
    pub(crate) process_id: Option<u32>,
    pub(crate) translated: bool,
}

impl Burst {
    /// Whether it is no burst of AXI4, or one that leaves its page, or an atomic.
    pub(crate) fn refused(&self) -> bool {
        let wrong = self.size > 3
            || match self.burst {
                0 => self.len > 15,
                1 => {
                    let size = 1u64 << self.size;
                    let last = (self.addr & !(size - 1))
                        .wrapping_add((u64::from(self.len) + 1) * size - 1);
                    last >> 12 != self.addr >> 12
                }
                2 => !matches!(self.len, 1 | 3 | 7 | 15) || self.addr & ((1 << self.size) - 1) != 0,
                _ => true,
            };
        wrong || self.atop != 0
    }

    pub(crate) fn request(&self, write: bool) -> Request {
        Request {
            device_id: self.device_id,
            process_id: self.process_id,
            privileged: self.prot & 1 != 0,
            kind: if self.translated {
                RequestKind::Translated
            } else {
                RequestKind::Untranslated
            },
            access: if write {
                Access::Write
            } else if self.prot & 4 != 0 {
                Access::Execute
            } else {
                Access::Read
            },
            execute_requested: false,
            cxl: false,
            iova: Iova(self.addr),
            len: (u32::from(self.len) + 1) << self.size.min(7),
        }
    }

    /// An access that an interrupt file in memory takes: four bytes, by themselves.
    pub(crate) fn is_word(&self) -> bool {
        self.len == 0 && self.size == 2 && self.addr & 3 == 0 && self.lock == 0
    }
}

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Read(Burst),
    Write(Burst),
    /// ATS translation request: its tag, and how many translations it asks for, minus one.
    Ats {
        tag: u16,
        length: u8,
    },
    /// The debug interface.
    Debug,
    Page(PageRequest),
    /// ATS invalidation completion.
    Invalidated {
        device_id: u32,
        vector: u32,
        count: u8,
    },
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// To be looked at.
    Walk,
    /// It needs something from memory that could not be sent yet.
    Needs(Need),
    /// It waits for memory.
    Waiting,
    /// To be forwarded there.
    Granted { spa: u64, user: u32 },
    /// On the pins of `m_dev`.
    Offered,
    /// Taken at `m_dev`.
    Out,
    /// Answered by the IOMMU itself with this response.
    Answered(u8),
    /// A write to an interrupt file in memory: waits for its data, then for the update.
    Mrif(MrifTarget, Mrif),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mrif {
    Data,
    Update,
}

/// Something that is translated.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) serial: u64,
    /// Clock at which it came.
    pub(crate) since: u64,
    pub(crate) what: What,
    pub(crate) request: Request,
    /// The registers that it is translated with.
    pub(crate) config: Arc<Iommu>,
    pub(crate) walk: Walk,
    pub(crate) stage: Stage,
    /// Write data, and whether all of it is in.
    pub(crate) data: Vec<(u64, u8)>,
    pub(crate) full: bool,
    /// Beats that went out on `m_dev`.
    pub(crate) sent: usize,
    /// Beats of read data from `m_dev`: data, response.
    pub(crate) back: VecDeque<(u64, u8)>,
    /// Beats returned on `s_dev`.
    pub(crate) delivered: usize,
    /// `m_dev` has ended it; with this response, if a write.
    pub(crate) ended: bool,
    pub(crate) resp: u8,
    /// A fence waits for its end.
    pub(crate) must_end: bool,
}

impl Job {
    /// Its walk, as job `n`, waits for this from memory.
    pub(crate) fn waiter(&self, n: usize, need: Need) -> Waiter {
        Waiter {
            job: n,
            serial: self.serial,
            start: self.walk.start,
            need,
        }
    }

    pub(crate) fn new(
        serial: u64,
        what: What,
        request: Request,
        config: Arc<Iommu>,
        now: u64,
    ) -> Self {
        Self {
            config,
            serial,
            since: now,
            what,
            request,
            walk: Walk::new(now),
            stage: Stage::Walk,
            data: Vec::new(),
            full: false,
            sent: 0,
            back: VecDeque::new(),
            delivered: 0,
            ended: false,
            resp: 0,
            must_end: false,
        }
    }

    pub(crate) fn burst(&self) -> Burst {
        match self.what {
            What::Read(b) | What::Write(b) => b,
            _ => Burst::default(),
        }
    }

    /// Not decided yet.
    pub(crate) fn open(&self) -> bool {
        matches!(self.stage, Stage::Walk | Stage::Needs(_) | Stage::Waiting)
    }

    pub(crate) fn is_write(&self) -> bool {
        matches!(self.what, What::Write(_))
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.what, What::Read(_))
    }
}

/// Jobs by number; numbers are used again.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    all: Vec<Option<Box<Job>>>,
    free: Vec<usize>,
    pub(crate) count: usize,
}

impl Jobs {
    pub(crate) fn add(&mut self, job: Job) -> usize {
        self.count += 1;
        let job = Some(Box::new(job));
        match self.free.pop() {
            Some(n) => {
                self.all[n] = job;
                n
            }
            None => {
                self.all.push(job);
                self.all.len() - 1
            }
        }
    }

    pub(crate) fn get(&self, n: usize) -> Option<&Job> {
        self.all.get(n).and_then(|j| j.as_deref())
    }

    pub(crate) fn get_mut(&mut self, n: usize) -> Option<&mut Job> {
        self.all.get_mut(n).and_then(|j| j.as_deref_mut())
    }

    /// Takes a job out, to be put back.
    pub(crate) fn lift(&mut self, n: usize) -> Option<Box<Job>> {
        self.all.get_mut(n).and_then(Option::take)
    }

    pub(crate) fn put(&mut self, n: usize, job: Box<Job>) {
        self.all[n] = Some(job);
    }

    pub(crate) fn remove(&mut self, n: usize) {
        if self.all.get_mut(n).and_then(Option::take).is_some() {
            self.count -= 1;
            self.free.push(n);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.all
            .iter()
            .enumerate()
            .filter_map(|(n, j)| j.as_deref().map(|j| (n, j)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Job)> {
        self.all
            .iter_mut()
            .enumerate()
            .filter_map(|(n, j)| j.as_deref_mut().map(|j| (n, j)))
    }
}

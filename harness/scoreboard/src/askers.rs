//! Walks that no request on `s_dev` is behind: ATS translation requests, messages, the debug
//! interface.

use std::collections::VecDeque;

use iommu_golden::Request;

use crate::oracle::Legal;

/// What a walk is made for, besides device requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskFor {
    /// An ATS translation request.
    Ats,
    /// A message from a device (page request, invalidation completion): only its context is
    /// looked up.
    Message,
    /// The debug interface.
    Debug,
}

/// Such a walk.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) serial: u64,
    pub(crate) what: AskFor,
    pub(crate) request: Request,
    pub(crate) since: u64,
    pub(crate) legal: Legal,
    /// Not answered: it may read and update tables.
    pub(crate) open: bool,
    /// Its record has not been settled.
    pub(crate) awaits_record: bool,
    /// Its record has come: there is no second one, whatever is learnt later.
    pub(crate) recorded: bool,
    /// A record was written that is taken to be its.
    pub(crate) told: bool,
    pub(crate) ask_again: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    all: VecDeque<Asker>,
    next: u64,
    /// When walks came and how many were open then, where there were never more later.
    peaks: VecDeque<(u64, u32)>,
}

impl Askers {
    pub(crate) fn insert(&mut self, what: AskFor, request: Request, since: u64) -> u64 {
        let serial = self.next;
        self.next += 1;
        self.all.push_back(Asker {
            serial,
            what,
            request,
            since,
            legal: Legal::default(),
            open: true,
            awaits_record: false,
            recorded: false,
            told: false,
            ask_again: false,
        });
        let open = self.open().count() as u32;
        while self.peaks.back().is_some_and(|p| p.1 <= open) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((since, open));
        serial
    }

    pub(crate) fn get(&self, serial: u64) -> Option<&Asker> {
        self.all.iter().find(|a| a.serial == serial)
    }

    pub(crate) fn get_mut(&mut self, serial: u64) -> Option<&mut Asker> {
        self.all.iter_mut().find(|a| a.serial == serial)
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Asker> {
        self.all.iter().filter(|a| a.open)
    }

    pub(crate) fn open_mut(&mut self) -> impl Iterator<Item = &mut Asker> {
        self.all.iter_mut().filter(|a| a.open)
    }

    /// The most of them that were open at once since one came at this clock.
    pub(crate) fn most_open(&self, since: u64) -> u32 {
        let most = self.peaks.iter().find(|p| p.0 >= since);
        most.map_or(0, |p| p.1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Forgets those that are answered and have no record coming.
    pub(crate) fn tidy(&mut self) {
        self.all.retain(|a| a.open || a.awaits_record);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.peaks.clear();
    }
}

impl Asker {
    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let r = &self.request;
        let mut text = format!(
            "{} {} of device {:#08x}{} {:?} at {:#x}",
            self.since,
            match self.what {
                AskFor::Ats => "ATS translation request",
                AskFor::Message => "message",
                AskFor::Debug => "debug request",
            },
            r.device_id,
            r.process_id
                .map_or(String::new(), |p| format!(" process {p:#07x}")),
            r.access,
            r.iova.0,
        );
        for v in &self.legal.verdicts {
            text.push_str(&format!("\n  golden: {v}"));
        }
        text
    }
}

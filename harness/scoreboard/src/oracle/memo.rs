//! Answers that still hold: a walk that left no choice, and what it rests on, per page.
//!
//! Most requests go where others have gone shortly before. Where the walk of such a one left no
//! choice, and granted, the next one's does the same as long as every word that it read is what it
//! was, and nothing has come into the may-hold sets that it looked up, but for copies of these very
//! words. (Invalidations only take choices away.)

use iommu_bus::mem::SparseMemory;
use iommu_golden::{Iova, Request};

use super::enumerate::Query;
use super::held::{Looked, MayHold};
use super::versions::{Content, Words};
use super::{Legal, Load, Verdict};

/// Pages remembered at most; a power of two.
const PAGES: usize = 256;
const OFFSET: u64 = 0xfff;

#[derive(Debug, Clone)]
struct Memo {
    /// With the address of its page.
    request: Request,
    verdict: Verdict,
    loads: Vec<Load>,
    looked: Looked,
    words: Vec<(u64, Content)>,
    /// Clock of the answer, and since when its request's window was open.
    at: u64,
    accepted: u64,
}

/// The answers of the last requests.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    /// Direct mapped by the request.
    pages: Vec<Option<Memo>>,
}

fn page(request: &Request) -> (Request, u64) {
    let at = request.iova.0;
    let request = Request {
        iova: Iova(at & !OFFSET),
        // Only an interrupt file in memory minds, which is no grant.
        len: 0,
        ..*request
    };
    (request, at & OFFSET)
}

fn slot(page: &Request) -> usize {
    let mixed = (page.iova.0 >> 12) ^ u64::from(page.device_id) << 3;
    let process = u64::from(page.process_id.unwrap_or(0));
    let access = page.access as u64;
    (mixed ^ process << 1 ^ mixed >> 9 ^ access << 6) as usize & (PAGES - 1)
}

impl Memos {
    /// Registers have changed, or all entries may be read otherwise.
    pub(crate) fn forget(&mut self) {
        self.pages.clear();
    }

    /// What has come into the may-hold sets, by now in `held.news`, concerns some.
    pub(crate) fn forget_concerned(&mut self, held: &MayHold, words: &Words) {
        // What memory holds now may come back to what it was; what was read meanwhile stays.
        let differs = |m: &Memo| m.words.iter().any(|(w, was)| words.known(*w) != Some(*was));
        let concerned = |m: &Memo| {
            let mut found = held.news.iter().filter(|n| n.is_in(&m.looked));
            found.any(|n| n.concerns(&m.looked, false) || differs(m))
        };
        for memo in &mut self.pages {
            if memo.as_ref().is_some_and(concerned) {
                *memo = None;
            }
        }
    }

    /// The answer for this request, if there is one that still holds.
    pub(crate) fn answer(
        &self,
        words: &Words,
        mem: &SparseMemory,
        query: &Query,
        out: &mut Legal,
    ) -> bool {
        let (request, offset) = page(&query.request);
        let Some(Some(m)) = self.pages.get(slot(&request)) else {
            return false;
        };
        let steady = |&(word, was): &(u64, Content)| words.steady(mem, word, was, m.at);
        if m.request != request
            || query.accepted < m.accepted
            || query.lax
            || !m.words.iter().all(steady)
        {
            return false;
        }
        let mut verdict = m.verdict;
        if let Verdict::Grant { spa, .. } = &mut verdict {
            *spa |= offset;
        }
        out.add(verdict);
        for load in &m.loads {
            out.add_load(*load);
        }
        out.looked.join(&m.looked);
        true
    }

    /// Remembers an answer; `out` holds nothing else, and there was no choice.
    pub(crate) fn remember(&mut self, mem: &SparseMemory, query: &Query, now: u64, out: &Legal) {
        let &[
            mut verdict @ Verdict::Grant {
                after_update: false,
                ..
            },
        ] = out.verdicts.as_slice()
        else {
            return;
        };
        if !out.updates.is_empty() {
            return;
        }
        if let Verdict::Grant { spa, .. } = &mut verdict {
            *spa &= !OFFSET;
        }
        if self.pages.is_empty() {
            self.pages.resize_with(PAGES, || None);
        }
        let (request, _) = page(&query.request);
        let memo = &mut self.pages[slot(&request)];
        let (mut loads, mut words) = memo.take().map(|m| (m.loads, m.words)).unwrap_or_default();
        loads.clear();
        words.clear();
        for load in &out.loads {
            loads.push(Load {
                done: false,
                ..*load
            });
            let last = load.addr + u64::from(load.len.max(1)) - 1;
            words.extend((load.addr >> 3..=last >> 3).map(|w| (w, Content::of(mem, w))));
        }
        *memo = Some(Memo {
            request,
            verdict,
            loads,
            looked: out.looked.clone(),
            words,
            at: now,
            accepted: query.accepted,
        });
    }
}

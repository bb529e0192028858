//! What hardware is free to do: drawn from the seed, once a device and then use by use.

/// A small generator (SplitMix64): the device must not share draws with the testbench.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x50f7_d00d_0000_0001)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 if `n` is 0).
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        (self.next() % n as u64) as usize
    }

    /// True in `percent` of 100 cases; no draw where the answer is certain.
    pub(crate) fn percent(&mut self, percent: u8) -> bool {
        match percent {
            0 => false,
            100.. => true,
            p => self.next() % 100 < u64::from(p),
        }
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The habits of one device.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Of 100 cases in which a cached entry fits, it is used in so many; else memory is read.
    pub(crate) use_cached: u8,
    /// ... and a leaf is used without the entries above it.
    pub(crate) skip: u8,
    /// A global entry serves every PSCID.
    pub(crate) global_across: bool,
    /// Guest pointers in directory entries are kept translated.
    pub(crate) pointers: bool,
    /// Of a NAPOT range that one page of is invalidated, some of the others stay.
    pub(crate) napot_pieces: bool,
    /// A walk joins a read of the same entry that is under way.
    pub(crate) merge: bool,
    /// One clock in so many an entry is dropped; 0 is never.
    pub(crate) evict: u32,
    /// Walks at once, 1 to 16.
    pub(crate) walkers: usize,
    /// Requests of a direction that are taken in before the first has ended.
    pub(crate) depth: usize,
    /// Commands in a fetch, at most.
    pub(crate) fetch: u32,
    /// Of 100 invalidations so many are put off to the next fence or the end of the queue.
    pub(crate) lazy: u8,
    /// ATS.INVAL leaves when the invalidations before it are executed and the translations before
    /// it are told; else when it comes.
    pub(crate) ats_in_order: bool,
    /// Of 100 walks under way at a fence that orders them, so many are waited for; others start
    /// again.
    pub(crate) wait: u8,
    /// Requests are looked at, and ids served, in any order; else the oldest first.
    pub(crate) reorder: bool,
    /// Read data of different ids is interleaved.
    pub(crate) interleave: bool,
    /// A write's address goes out only when its data is complete.
    pub(crate) data_first: bool,
    /// Requests under way when `ddtp` goes to Off are aborted; else they end as they began.
    pub(crate) abort_at_off: bool,
    /// Clocks that a command takes, at most.
    pub(crate) command_delay: u32,
    /// Clocks that a register access takes, at most.
    pub(crate) register_delay: u32,
    /// Clocks until an enabled or disabled queue follows, at most.
    pub(crate) queue_delay: u32,
    /// Of 100 clocks, a walk is moved on in so many.
    pub(crate) busy: u8,
}

impl Habits {
    fn apart(rng: &Rng) -> Rng {
        Rng(rng.0 ^ 0xa75_1a7e)
    }

    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            use_cached: rng.of(&[100, 100, 95, 80, 50, 0]),
            skip: rng.of(&[100, 60, 30, 0]),
            global_across: rng.percent(60),
            pointers: rng.percent(60),
            napot_pieces: rng.percent(50),
            merge: rng.percent(70),
            evict: rng.of(&[0, 0, 2000, 300, 40]),
            walkers: rng.of(&[1, 2, 4, 8, 16]),
            depth: rng.of(&[8, 16, 48]),
            fetch: rng.of(&[1, 2, 8]),
            lazy: rng.of(&[0, 30, 100]),
            wait: rng.of(&[0, 50, 100]),
            reorder: rng.percent(60),
            interleave: rng.percent(50),
            data_first: rng.percent(50),
            abort_at_off: rng.percent(50),
            command_delay: rng.of(&[0, 3, 30]),
            register_delay: rng.of(&[0, 0, 2]),
            queue_delay: rng.of(&[0, 4, 60]),
            busy: rng.of(&[100, 100, 100, 30]),
            // From a generator of its own: what else a seed draws stays as it was.
            ats_in_order: Self::apart(rng).percent(50),
        }
    }
}

//! Every knob of a profile: its path, its default (the value without effect
//! where there is one), and what it does. The tables of `docs/profiles.md` are
//! made from here.

use std::fmt::Write as _;

use super::profile::{Choice, Group, Item};

macro_rules! chances {
    ($($(#[doc = $about:literal])+ $name:ident = $path:literal: $default:literal,)+) => {
        /// Percentages.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Chance { $($(#[doc = $about])+ $name,)+ }

        impl Chance {
            /// All, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// `section.key`.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            /// Percent where no profile says otherwise.
            #[must_use]
            pub const fn default(self) -> u8 {
                match self { $(Self::$name => $default,)+ }
            }

            const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($about),+),)+ }
            }
        }
    };
}

macro_rules! amounts {
    ($($(#[doc = $about:literal])+ $name:ident = $path:literal: $low:literal..=$high:literal, most $most:literal;)+) => {
        /// Numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Amount { $($(#[doc = $about])+ $name,)+ }

        impl Amount {
            /// All, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// `section.key`.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            /// Range where no profile says otherwise.
            #[must_use]
            pub const fn default(self) -> (u64, u64) {
                match self { $(Self::$name => ($low, $high),)+ }
            }

            /// Largest number that makes sense.
            #[must_use]
            pub const fn most(self) -> u64 {
                match self { $(Self::$name => $most,)+ }
            }

            const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($about),+),)+ }
            }
        }
    };
}

macro_rules! choices {
    ($($(#[doc = $about:literal])+ $name:ident = $path:literal {
        $($(#[doc = $what:literal])+ $item:ident = $word:literal: $weight:literal,)+
    })+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $name { $($(#[doc = $what])+ $item,)+ }

            impl Choice for $name {
                const GROUP: &'static Group = &Group {
                    path: $path,
                    about: concat!($($about),+),
                    items: &[$(Item { word: $word, weight: $weight, about: concat!($($what),+) },)+],
                };
                const ALL: &'static [Self] = &[$(Self::$item,)+];
            }
        )+

        /// All groups.
        pub const GROUPS: &[&Group] = &[$(<$name as Choice>::GROUP,)+];
    };
}

chances! {
    /// runs that are done again with another state of what reset does not touch: outcome and cycle hash must be equal
    OtherState = "run.other_state": 5,
    /// runs that are done again with other data and tables of VM B: VM A's devices must observe the same
    Isolation = "run.isolation": 0,
    /// runs in which traffic goes on while tables change (otherwise everything comes to rest before an edit)
    Racing = "run.racing": 0,
    /// runs that also do what the specification leaves UNSPECIFIED; from then on only protocol, liveness and isolation are checked
    Unspecified = "run.unspecified": 0,

    /// of each optional capability: it is masked away
    MaskOut = "capabilities.mask_out": 10,
    /// base-format device contexts (MSI_FLAT is masked away)
    BaseContexts = "capabilities.base_contexts": 35,

    /// of each device: it has no domain, and passes untranslated
    PassThrough = "tables.pass_through": 15,
    /// of each device context: a bit or field that makes it misconfigured, or an invalid one
    SpoiltContext = "tables.spoilt_context": 0,
    /// of each leaf: its entry, or one above it, is given an encoding that must fault
    SpoiltEntry = "tables.spoilt_entry": 10,
    /// of each leaf: U is clear
    Supervisor = "tables.supervisor": 8,
    /// of each leaf: A is clear
    NotAccessed = "tables.not_accessed": 5,
    /// of each leaf: D is clear
    NotDirty = "tables.not_dirty": 10,
    /// of each leaf, where there is one domain alone: G is set
    Global = "tables.global": 10,
    /// of each leaf where there is Svpbmt: a memory type
    MemoryType = "tables.memory_type": 30,
    /// of each leaf: bits that software may use (RSW) are set
    SoftwareBits = "tables.software_bits": 10,
    /// of each domain: another domain's table hangs in its own (the same page through several contexts)
    SharedTables = "tables.shared_tables": 0,
    /// of each domain: an entry points back to its own table, to the root or to itself
    LoopedTables = "tables.looped_tables": 0,
    /// of each device context: DTF, so that no fault of it is reported
    FaultsHidden = "tables.faults_hidden": 5,
    /// of each device context: SADE or GADE, where the block has them
    HardwareUpdates = "tables.hardware_updates": 40,
    /// of each device context: its processes have a directory (where there are PD8, PD17 or PD20)
    Processes = "tables.processes": 0,
    /// of each device context in the extended format: it has an MSI page table
    MessageTables = "tables.message_tables": 0,
    /// of each second-stage leaf: like `spoilt_entry`
    SpoiltGuest = "tables.spoilt_guest": 5,
    /// runs in which everything in memory is big-endian (where there is END)
    BigEndian = "tables.big_endian": 0,
    /// runs with QoS ids, of the IOMMU and of each device (where there is QOSID)
    QosIds = "tables.qos_ids": 0,

    /// writes, the rest are reads
    Writes = "traffic.writes": 45,
    /// of reads: instruction reads
    Execute = "traffic.execute": 8,
    /// device_ids that nobody has, a bit away from somebody's
    Stranger = "traffic.stranger": 4,
    /// a process_id where the device has no processes (or none where it has)
    OddProcess = "traffic.odd_process": 3,
    /// privileged (which counts only with a process_id)
    Privileged = "traffic.privileged": 30,
    /// already translated (AT=10)
    Translated = "traffic.translated": 2,
    /// exclusive accesses
    Exclusive = "traffic.exclusive": 0,
    /// of exclusive reads: the exclusive write follows
    ExclusivePair = "traffic.exclusive_pair": 0,
    /// atomics (`awatop`), legal ones and such that AXI reserves
    Atomic = "traffic.atomic": 0,
    /// a pause after an access
    Pause = "traffic.pause": 5,
    /// an access to the address of the one before, of another device or with other attributes
    Again = "traffic.again": 10,

    /// bursts of different ids overtake one another at `m_mem`
    MemOutOfOrder = "timing.memory_out_of_order": 50,
    /// read beats alternate too (of those)
    MemInterleave = "timing.memory_interleave": 50,
    /// the same at `m_dev`
    OutOutOfOrder = "timing.output_out_of_order": 50,
    /// the same at `m_dev`
    OutInterleave = "timing.output_interleave": 50,
    /// write data may be ahead of its address at `s_dev`
    DataFirst = "timing.data_first": 30,
    /// all of it is drawn anew, of each round
    TimingChanges = "timing.changes": 0,
    /// of each round: a port stops for a while under traffic
    PortStops = "timing.port_stops": 0,
    /// of those: for ever; only a reset ends it
    ForEver = "timing.for_ever": 0,

    /// of each round: a word of memory breaks, and heals after it
    MemoryBreaks = "memory.breaks": 10,
    /// of these: another word of the same entry or burst breaks too
    MemoryBreaksTwice = "memory.twice": 20,
    /// of these, of tables and data: it is on the way of one page, at any step of its walk, and most traffic goes there
    Aimed = "memory.aimed": 0,

    /// racing, of each edit: its commands reach less than they had to, so that the old stays legal
    Insufficient = "edits.insufficient": 0,
    /// racing, of each edit: what it edits is in use at that moment (accesses to it go before, and the edit often comes among their walks)
    Warm = "edits.warm": 0,
    /// of those, where a leaf changes: its A and D are clear at that moment, so that the walks want to set them
    Unset = "edits.unset": 0,
    /// of each edit: its commands reach more than they had to
    Generous = "edits.generous": 20,
    /// of each invalidation by address, where there are S and NL: a range, or with NL
    Extended = "edits.extended": 40,

    /// interrupts are enabled
    Interrupts = "queues.interrupts": 80,
    /// of those: by wire, where the block can
    Wires = "queues.wires": 40,
    /// of each round: a command that the IOMMU must not accept, and the recovery from it
    IllegalCommand = "queues.illegal_command": 0,
    /// of each round, where there are messages: the vectors of all queues are masked in it
    Masked = "queues.masked": 0,
    /// of each round, and of illegal commands, where the command queue has several pages: harmless ones up to the end of a page, and what comes then is the first of the next
    PageStart = "queues.page_start": 0,
    /// of each round: a queue is switched off and comes back elsewhere, with another size
    QueueMoves = "queues.moves": 0,
    /// of each round: software does not take the fault records (of a small queue: it overflows)
    LazySoftware = "queues.lazy_software": 0,
    /// of each round: `ddtp` goes to Off or Bare and back
    ModeChanges = "queues.mode_changes": 0,

    /// of each device context, where there is ATS: it may use it (EN_ATS)
    AtsDevices = "ats.devices": 30,
    /// of those: they may ask for pages (EN_PRI), half of them with PRPR
    AtsPages = "ats.pages": 40,
    /// of those under a second stage, where there is T2GPA: what they are told is a guest's address
    AtsGuest = "ats.guest_addresses": 25,
    /// of accesses of such devices: through the device's own translation cache
    AtsCached = "ats.cached": 0,
    /// of each edit: the devices are told as well (ATS.INVAL)
    AtsTold = "ats.told": 0,
    /// of each round: invalidations that devices answer late, for somebody else, or never (the time-out ends them)
    AtsTrouble = "ats.trouble": 0,
    /// of each round: devices take nothing for a while
    AtsStops = "ats.stops": 0,
    /// of each round: the page-request queue is off for a while
    PageQueueOff = "ats.page_queue_off": 0,
    /// of each round: software does not take the page requests
    LazyPages = "ats.lazy_software": 0,

    /// runs in which 8-byte registers are written by halves
    Halves = "registers.halves": 0,
    /// of each start: registers that have a reset value are read before anything else
    AfterReset = "registers.after_reset": 0,
    /// of each start: registers are written in any way before anything is on
    Scribble = "registers.scribble": 0,

    /// of each round: reset, whatever is under way
    Reset = "resets.chance": 0,
    /// of those: with the caches warm and the same tables afterwards (otherwise tables change while reset is low)
    SameTables = "resets.same_tables": 50,
    /// of those: with register accesses under way
    ResetRegisters = "resets.registers": 30,
}

amounts! {
    /// rounds of traffic; tables change between them
    Rounds = "run.rounds": 24..=24, most 100000;
    /// accesses of a round
    Accesses = "run.accesses": 5..=60, most 100000;

    /// domains (address spaces)
    Domains = "tables.domains": 1..=4, most 64;
    /// leaves of a domain, at the beginning
    Leaves = "tables.leaves": 3..=20, most 2000;
    /// devices
    Devices = "tables.devices": 1..=6, most 4096;
    /// processes of a device that has any
    ProcessCount = "tables.process_count": 1..=4, most 256;
    /// virtual machines: second-stage tables, each with a GSCID
    Machines = "tables.machines": 1..=2, most 16;

    /// different AXI ids in use
    Ids = "traffic.ids": 4..=256, most 256;
    /// clocks of a pause
    PauseClocks = "traffic.pause_clocks": 1..=200, most 100000;

    /// `m_mem`: least latency
    MemLatency = "timing.memory_latency": 1..=20, most 10000;
    /// `m_mem`: how much more it may be
    MemSpread = "timing.memory_spread": 0..=40, most 10000;
    /// `m_mem`: chance a clock that it takes a beat
    MemReady = "timing.memory_ready": 40..=100, most 100;
    /// `m_mem`: chance a clock that it holds back a beat
    MemGap = "timing.memory_gap": 0..=50, most 99;
    /// `m_dev`: least latency
    OutLatency = "timing.output_latency": 1..=20, most 10000;
    /// `m_dev`: how much more it may be
    OutSpread = "timing.output_spread": 0..=40, most 10000;
    /// `m_dev`: chance a clock that it takes a beat
    OutReady = "timing.output_ready": 40..=100, most 100;
    /// `m_dev`: chance a clock that it holds back a beat
    OutGap = "timing.output_gap": 0..=50, most 99;
    /// `s_dev`: chance a clock that an address or beat is held back
    DevGap = "timing.device_gap": 0..=60, most 99;
    /// `s_dev`: clocks that an address, or its data, waits
    DevDelay = "timing.device_delay": 0..=8, most 1000;
    /// `s_dev`: chance a clock that a response is taken
    DevReady = "timing.device_ready": 50..=100, most 100;
    /// `s_dev`: bursts in flight, of each direction
    DevFlight = "timing.device_in_flight": 1..=256, most 1024;
    /// `s_reg`: chance a clock that an address or beat is held back
    RegGap = "timing.register_gap": 0..=20, most 99;
    /// `s_reg`: chance a clock that a response is taken
    RegReady = "timing.register_ready": 60..=100, most 100;
    /// clocks that a port stands still
    StopClocks = "timing.stop_clocks": 50..=2000, most 200000;

    /// edits of a round
    Edits = "edits.count": 1..=4, most 1000;
    /// racing: clocks from an edit to its command, and from that to the fence
    EditGap = "edits.gap": 0..=60, most 10000;
    /// racing: accesses between two steps of an edit
    EditTraffic = "edits.traffic": 0..=6, most 1000;

    /// log2 of the entries of the command queue
    CommandLog2 = "queues.command_log2": 1..=9, most 14;
    /// log2 of the entries of the fault queue
    FaultLog2 = "queues.fault_log2": 7..=9, most 14;
    /// harmless commands of a round, besides those that are needed
    Commands = "queues.commands": 0..=0, most 1000;

    /// translation requests of a round
    AtsRequests = "ats.requests": 0..=0, most 10000;
    /// page requests and stop markers of a round
    PageRequests = "ats.page_requests": 0..=0, most 10000;
    /// ATS.INVAL and ATS.PRGR of a round, besides those of edits
    AtsCommands = "ats.commands": 0..=0, most 1000;
    /// clocks from an invalidation to a device's answer
    AtsDelay = "ats.answer_delay": 0..=200, most 10000;
    /// completions that make up an answer
    AtsCompletions = "ats.completions": 1..=8, most 8;
    /// chance a clock that devices take what the IOMMU sends
    AtsReady = "ats.ready": 40..=100, most 100;
    /// log2 of the entries of the page-request queue
    PageLog2 = "ats.page_log2": 1..=7, most 14;

    /// register accesses of a round, while traffic goes on
    RegisterAccesses = "registers.count": 0..=0, most 1000;

    /// clocks that reset stays low
    ResetClocks = "resets.clocks": 1..=40, most 10000;
    /// clocks from the last access of the round to reset
    ResetAfter = "resets.after": 0..=400, most 100000;
}

choices! {
    /// the widest first-stage scheme that the block is left with
    Widest = "capabilities.widest" {
        /// Sv39
        Sv39 = "Sv39": 25,
        /// Sv48
        Sv48 = "Sv48": 25,
        /// Sv57
        Sv57 = "Sv57": 50,
    }
    /// physical address bits (PAS)
    Pas = "capabilities.pas" {
        /// as the block has them
        Own = "own": 75,
        /// 48
        P48 = "48": 10,
        /// 40
        P40 = "40": 10,
        /// anything from 34 on
        Any = "any": 5,
    }
    /// how interrupts can be signalled (IGS)
    SignalKind = "capabilities.signals" {
        /// as the block has it
        Own = "own": 100,
        /// messages only
        Messages = "messages": 0,
        /// wires only
        Wires = "wires": 0,
    }
    /// mode of `ddtp`
    Mode = "tables.mode" {
        /// all is refused
        Off = "Off": 0,
        /// all passes
        Bare = "Bare": 5,
        /// one level
        One = "1LVL": 32,
        /// two levels
        Two = "2LVL": 32,
        /// three levels
        Three = "3LVL": 31,
    }
    /// which device_ids there are
    DeviceIds = "tables.device_ids" {
        /// one, and others that differ from it in one bit
        OneBit = "one-bit": 70,
        /// in sequence
        Dense = "dense": 15,
        /// anywhere
        Sparse = "sparse": 15,
    }
    /// which process_ids there are
    ProcessIds = "tables.process_ids" {
        /// one, and others that differ from it in one bit
        OneBit = "one-bit": 60,
        /// in sequence from 0
        Dense = "dense": 20,
        /// anywhere
        Sparse = "sparse": 20,
    }
    /// PSCIDs and GSCIDs
    Tags = "tables.tags" {
        /// each differs from another in one bit
        OneBit = "one-bit": 60,
        /// in sequence
        Dense = "dense": 20,
        /// all the same where that is defined (other GSCID, or the same table), else in sequence
        Shared = "shared": 20,
    }
    /// first stage of a domain
    FirstStage = "tables.first_stage" {
        /// none
        Bare = "Bare": 0,
        /// Sv32, where the device context can say so
        Sv32 = "Sv32": 10,
        /// Sv39
        Sv39 = "Sv39": 33,
        /// Sv48
        Sv48 = "Sv48": 33,
        /// Sv57
        Sv57 = "Sv57": 33,
    }
    /// second stage of a machine
    SecondStage = "tables.second_stage" {
        /// none
        Bare = "Bare": 100,
        /// Sv32x4, where `fctl.GXL` can be set
        Sv32x4 = "Sv32x4": 0,
        /// Sv39x4
        Sv39x4 = "Sv39x4": 0,
        /// Sv48x4
        Sv48x4 = "Sv48x4": 0,
        /// Sv57x4
        Sv57x4 = "Sv57x4": 0,
    }
    /// size of a leaf
    LeafSize = "tables.leaf_size" {
        /// 4 KiB
        K4 = "4K": 40,
        /// 64 KiB, NAPOT
        K64 = "64K": 20,
        /// level 1: 2 MiB (Sv32: 4 MiB)
        Level1 = "level1": 20,
        /// level 2: 1 GiB
        Level2 = "level2": 10,
        /// level 3: 512 GiB
        Level3 = "level3": 10,
        /// level 4: 256 TiB
        Level4 = "level4": 0,
    }
    /// where a leaf lies
    LeafPlace = "tables.leaf_place" {
        /// in 32 slots of its size, half of them with one address bit flipped above: they alias in every index
        Alias = "alias": 80,
        /// against the leaf before it, so that accesses straddle
        Beside = "beside": 8,
        /// where another domain (or guest) has one of its size
        Twin = "twin": 15,
        /// at an end of the canonical range
        Edge = "edge": 6,
        /// anywhere
        Anywhere = "anywhere": 6,
    }
    /// where a leaf leads
    LeafTarget = "tables.leaf_target" {
        /// to memory for data
        Data = "data": 100,
        /// to a page that another leaf leads to as well
        Shared = "shared": 0,
        /// to the last page below 2^PAS
        Top = "top": 0,
        /// at or above 2^PAS
        Beyond = "beyond": 0,
    }
    /// permissions of a leaf
    Permission = "tables.permission" {
        /// read
        R = "r": 12,
        /// read, write
        Rw = "rw": 50,
        /// read, execute
        Rx = "rx": 12,
        /// read, write, execute
        Rwx = "rwx": 13,
        /// execute
        X = "x": 13,
    }
    /// what spoils a page-table entry
    Spoil = "tables.spoil" {
        /// a reserved bit (60:54), or PBMT where there is no Svpbmt, or its reserved value
        Reserved = "reserved": 20,
        /// W without R
        WriteOnly = "write-only": 20,
        /// a superpage not aligned; a NAPOT size that does not exist
        Misaligned = "misaligned": 20,
        /// N in a superpage or pointer
        BadNapot = "napot": 10,
        /// a pointer with A, D or U; at the last level any pointer
        BadPointer = "pointer": 15,
        /// V is clear, the rest stands
        Invalid = "invalid": 10,
        /// every bit at random
        Noise = "noise": 5,
        /// a pointer beyond 2^PAS
        FarPointer = "far-pointer": 0,
    }
    /// what spoils a device or process context
    SpoilContext = "tables.spoil_context" {
        /// V is clear
        Invalid = "invalid": 20,
        /// a bit that is reserved in every word of it
        Reserved = "reserved": 40,
        /// a mode that does not exist
        Mode = "mode": 15,
        /// a flag that needs a capability or another flag
        Flag = "flag": 20,
        /// every bit of one word at random
        Noise = "noise": 5,
        /// what one rule of the context checks forbids, the rest as it should be
        Rule = "rule": 0,
    }
    /// where an access goes
    Address = "traffic.address" {
        /// inside a leaf
        Inside = "inside": 80,
        /// the first or last bytes of a leaf
        Ends = "ends": 5,
        /// just before a leaf
        Before = "before": 5,
        /// just behind a leaf
        Behind = "behind": 5,
        /// a leaf's address with one of its 64 bits flipped
        Flip = "flip": 5,
        /// anywhere
        Random = "random": 5,
        /// to the message address of a guest, where it has any
        Message = "message": 0,
        /// to a table or queue of the IOMMU
        Table = "table": 0,
    }
    /// bytes of an access
    Bytes = "traffic.bytes" {
        /// 1 to 64
        Small = "small": 80,
        /// up to 512
        Medium = "medium": 20,
        /// up to 2 KiB
        Large = "large": 0,
        /// what is left of the page, 2 KiB at most
        Page = "page": 0,
    }
    /// burst of an access
    BurstKind = "traffic.burst" {
        /// INCR of 8-byte beats, as many as it takes
        Plain = "plain": 90,
        /// INCR of narrower beats, its first one unaligned or not
        Narrow = "narrow": 4,
        /// FIXED
        Fixed = "fixed": 3,
        /// WRAP
        Wrap = "wrap": 3,
        /// INCR of up to 256 beats
        Long = "long": 0,
        /// across 4 KiB
        Crossing = "crossing": 0,
        /// what AXI reserves or forbids: burst type 3, FIXED of more than 16 beats, WRAP of 3 or unaligned
        Illegal = "illegal": 0,
    }
    /// strobes of a write
    Strobes = "traffic.strobes" {
        /// all of its bytes
        All = "all": 100,
        /// some
        Sparse = "sparse": 0,
        /// none
        None = "none": 0,
    }
    /// port that stops
    StopPort = "timing.stop_port" {
        /// `m_mem`
        Memory = "memory": 25,
        /// `m_dev`
        Output = "output": 25,
        /// `s_dev`: no more requests
        Requests = "requests": 25,
        /// `s_dev`: no response is taken
        Responses = "responses": 25,
    }
    /// kind of an edit
    EditKind = "edits.kind" {
        /// a leaf more
        Map = "map": 33,
        /// a leaf less
        Unmap = "unmap": 33,
        /// another target or other permissions in a leaf
        Change = "change": 0,
        /// a leaf becomes a table of smaller ones, or the other way round
        Resize = "resize": 0,
        /// a device loses its context, or gets another
        Context = "context": 17,
        /// a process loses its context, or gets another
        Process = "process": 0,
        /// a pointer of the directory or of a table is cut off, or put back
        Pointer = "pointer": 0,
        /// a non-leaf entry of the device directory, or of a process directory, leads to a copy of its
        /// page, in which a context may differ, or nowhere
        Directory = "directory": 0,
        /// an MSI page-table entry changes
        Message = "message": 0,
        /// a second-stage leaf changes
        Guest = "guest": 0,
        /// software acknowledges interrupts
        Acknowledge = "acknowledge": 17,
        /// a device context gets or loses EN_ATS, EN_PRI, PRPR
        Ats = "ats": 0,
    }
    /// how an edit is told to the IOMMU; always enough for it
    Invalidation = "edits.invalidation" {
        /// as exactly as the commands can
        Exact = "exact": 35,
        /// its address space
        Space = "space": 35,
        /// everything
        All = "all": 30,
    }
    /// the fence behind an edit
    Fence = "edits.fence" {
        /// PR and PW
        Both = "both": 100,
        /// neither
        Neither = "neither": 0,
        /// PR
        Reads = "reads": 0,
        /// PW
        Writes = "writes": 0,
        /// with a store (AV)
        Store = "store": 0,
        /// with an interrupt by wire (WSI)
        Wire = "wire": 0,
    }
    /// what breaks in memory
    Breaks = "memory.where" {
        /// an entry on the way to a leaf
        Entry = "entry": 70,
        /// an entry of the device directory or a device context
        Directory = "directory": 30,
        /// an entry of a process directory or a process context
        Process = "process": 10,
        /// half an MSI page-table entry, an interrupt file in memory or its notice
        Interrupt = "interrupt": 10,
        /// a beat of data
        Data = "data": 0,
        /// either half of a command, of any of the next eight
        Command = "command": 0,
        /// a slot of the fault queue
        Fault = "fault": 0,
        /// where messages go
        Message = "message": 0,
        /// a slot of the page-request queue
        Page = "page": 0,
    }
    /// what memory answers there
    Answer = "memory.answer" {
        /// SLVERR
        Error = "error": 34,
        /// DECERR
        Decode = "decode": 33,
        /// poison
        Poison = "poison": 33,
    }
    /// what a register access does
    RegisterKind = "registers.kind" {
        /// reads any offset that is aligned
        Read = "read": 50,
        /// writes a register that is not in use, within what is defined
        Write = "write": 25,
        /// masks or unmasks a vector in use, where there are messages
        Mask = "mask": 5,
        /// acknowledges interrupts
        Acknowledge = "acknowledge": 10,
        /// performance counters, where there are any
        Counter = "counter": 8,
        /// asks for a translation by the debug interface, where there is one
        Debug = "debug": 8,
        /// writes what is read-only
        ReadOnly = "read-only": 5,
        /// writes with other strobes, misaligned, or across registers
        Illegal = "illegal": 10,
    }
    /// what is done although it is UNSPECIFIED
    Undefined = "unspecified.kind" {
        /// `ddtp` from one directory mode to another, or to Bare
        Mode = "mode": 20,
        /// `ddtp` while it is busy
        BusyMode = "busy-mode": 20,
        /// queue bases while the queue is on
        QueueBase = "queue-base": 20,
        /// queue enables while they are busy
        BusyQueue = "busy-queue": 20,
        /// `fctl` while translating
        Control = "control": 20,
    }
}

/// The tables of `docs/profiles.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    let mut sections: Vec<&str> = Vec::new();
    let all = Chance::ALL.iter().map(|c| c.path());
    let all = all.chain(Amount::ALL.iter().map(|a| a.path()));
    for path in all.chain(GROUPS.iter().map(|g| g.path)) {
        let section = path.split('.').next().unwrap_or(path);
        if !sections.contains(&section) {
            sections.push(section);
        }
    }
    for section in sections {
        let key = |path: &'static str| match path.split_once('.') {
            Some((s, key)) if s == section => Some(key),
            _ => None,
        };
        let _ = writeln!(
            out,
            "### `{section}`\n\n| key | default | what |\n|---|---|---|"
        );
        for c in Chance::ALL {
            if let Some(k) = key(c.path()) {
                let _ = writeln!(out, "| `{k}` | {} % |{} |", c.default(), c.about());
            }
        }
        for a in Amount::ALL {
            if let Some(k) = key(a.path()) {
                let (low, high) = a.default();
                let _ = writeln!(out, "| `{k}` | {low}..{high} |{} |", a.about());
            }
        }
        for g in GROUPS {
            if let Some(k) = key(g.path) {
                let _ = writeln!(out, "| `{k}` | |{}: |", g.about);
                for i in g.items {
                    let _ = writeln!(out, "| {k} `{}` | {} |{} |", i.word, i.weight, i.about);
                }
            }
        }
        out.push('\n');
    }
    out
}

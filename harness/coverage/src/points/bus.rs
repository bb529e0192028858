//! The bus: burst shapes, responses, timing; resets.

use iommu_bus::event::{Burst, Resp};
use iommu_golden::Capabilities as C;

use crate::cover::{Impossible, Target, Why};
use crate::{axis, covers, first, needs, when};

axis! {
    /// Channel.
    pub enum Dir: "direction" { Read = "read", Write = "write" }
}

axis! {
    /// AxBURST.
    pub enum Shape: "burst" { Fixed = "FIXED", Incr = "INCR", Wrap = "WRAP", Reserved = "reserved" }
}

axis! {
    /// Beats.
    pub enum Beats: "beats" {
        One = "1", Two = "2", Few = "3 to 8", Sixteen = "9 to 16", Many = "17 to 255", Max = "256",
    }
}

axis! {
    /// Bytes of a beat.
    pub enum Width: "beat" { B1 = "1", B2 = "2", B4 = "4", B8 = "8" }
}

axis! {
    /// First address of a burst.
    pub enum Aligned: "alignment" { Yes = "aligned", No = "unaligned" }
}

axis! {
    /// Strobes of a beat.
    pub enum Strobes: "strobes" { None = "none", Some = "some", All = "all lanes" }
}

axis! {
    /// xRESP.
    pub enum Response: "response" { Okay = "OKAY", ExOkay = "EXOKAY", SlvErr = "SLVERR", DecErr = "DECERR" }
}

axis! {
    /// What came back on `m_mem`.
    pub enum Back: "response" { Okay = "OKAY", SlvErr = "SLVERR", DecErr = "DECERR", Poison = "poison" }
}

axis! {
    /// Requests accepted and not yet answered.
    pub enum InFlight: "in flight" {
        One = "1", Two = "2", Few = "3 to 8", Many = "9 to 32", Most = "33 or more",
    }
}

axis! {
    /// Why the bridge refuses a burst by itself.
    pub enum Barred: "refused" { Crosses = "crosses 4 KiB", Atomic = "atomic", Wrap = "no legal burst" }
}

axis! {
    /// First data of a write, and its address.
    pub enum Order: "data" { Before = "before its address", With = "with its address", After = "after its address" }
}

axis! {
    /// A side-band of a burst.
    pub enum Attribute: "attribute" {
        Cache = "CACHE", Qos = "QOS", Region = "REGION", Privileged = "PROT[0]", NonSecure = "PROT[1]",
        Instruction = "PROT[2]", Lock = "LOCK",
    }
}

axis! {
    /// A port with an agent.
    pub enum Port: "port" { Mem = "m_mem", Out = "m_dev", Dev = "s_dev", Reg = "s_reg" }
}

axis! {
    /// How an agent behaves.
    pub enum Agent: "agent" {
        Fast = "always ready", Slow = "back-pressure", Reorders = "out of order", Latency = "drawn latency",
        Stopped = "stopped",
    }
}

axis! {
    /// What a transaction cost.
    pub enum Class: "class" {
        Bare = "bare", Hit = "hit", Waited = "waited", Walk = "walk", ContextMiss = "context miss", Msi = "MSI", Fault = "fault",
    }
}

axis! {
    /// Clocks from `s_dev` to `m_dev`, or to the refusal.
    pub enum Clocks: "clocks" {
        Few = "up to 4", Tens = "5 to 31", Hundred = "32 to 127", Hundreds = "128 to 1023", More = "1024 or more",
    }
}

axis! {
    /// What was under way at a reset.
    pub enum During: "under way" {
        Nothing = "nothing", Requests = "device requests", Tables = "table reads", Writes = "m_mem writes",
        Registers = "register accesses",
    }
}

axis! {
    /// Equal ids in flight.
    pub enum SameId: "ids" { Same = "the same id", Other = "another id" }
}

impl From<Burst> for Shape {
    fn from(b: Burst) -> Self {
        match b {
            Burst::Fixed => Shape::Fixed,
            Burst::Incr => Shape::Incr,
            Burst::Wrap => Shape::Wrap,
            Burst::Reserved => Shape::Reserved,
        }
    }
}

impl From<Resp> for Response {
    fn from(r: Resp) -> Self {
        match r {
            Resp::Okay => Response::Okay,
            Resp::ExOkay => Response::ExOkay,
            Resp::SlvErr => Response::SlvErr,
            Resp::DecErr => Response::DecErr,
        }
    }
}

impl Beats {
    /// Of AxLEN.
    #[must_use]
    pub fn of(len: u8) -> Self {
        match len {
            0 => Beats::One,
            1 => Beats::Two,
            2..=7 => Beats::Few,
            8..=15 => Beats::Sixteen,
            16..=254 => Beats::Many,
            255 => Beats::Max,
        }
    }
}

impl InFlight {
    /// Of a number.
    #[must_use]
    pub fn of(n: usize) -> Self {
        match n {
            0 | 1 => InFlight::One,
            2 => InFlight::Two,
            3..=8 => InFlight::Few,
            9..=32 => InFlight::Many,
            _ => InFlight::Most,
        }
    }
}

impl Clocks {
    /// Of a number.
    #[must_use]
    pub fn of(n: u64) -> Self {
        match n {
            0..=4 => Clocks::Few,
            5..=31 => Clocks::Tens,
            32..=127 => Clocks::Hundred,
            128..=1023 => Clocks::Hundreds,
            _ => Clocks::More,
        }
    }
}

static AXI_LENGTHS: Impossible = Impossible {
    name: "axi-lengths",
    why: "AXI A3.4.1: FIXED has at most 16 beats, WRAP 2, 4, 8 or 16",
};
static RESERVED_BURST: Impossible = Impossible {
    name: "reserved-burst",
    why: "AxBURST 3 is reserved; a device that sends it is refused, and counted in axi.barred",
};
static POISON_IS_READ: Impossible = Impossible {
    name: "no-poison-on-writes",
    why: "poison comes with read data",
};
static DEVICE_STOPS: Impossible = Impossible {
    name: "agents-of-subordinates",
    why: "only memory ports answer out of order or with a latency",
};
static NEVER_STOPPED: Impossible = Impossible {
    name: "registers-are-not-stopped",
    why: "the host's register port is never stopped for ever: a test could not go on",
};

covers! {
    /// AXI.
    pub struct AxiCoverage: "axi" {
        /// Shape of a device's burst.
        must "AXI-01" request: [Dir, Shape, Beats, Width] except |(_, shape, beats, _), _| first([
            when(&RESERVED_BURST, shape == Shape::Reserved),
            when(&AXI_LENGTHS, shape == Shape::Fixed && matches!(beats, Beats::Many | Beats::Max)),
            when(&AXI_LENGTHS, shape == Shape::Wrap && matches!(beats, Beats::One | Beats::Many | Beats::Max)),
        ]);
        /// Alignment of a burst's first address to its beats.
        must "AXI-01" align: [Dir, Shape, Aligned] except |(_, shape, aligned), _| first([
            when(&RESERVED_BURST, shape == Shape::Reserved),
            when(&AXI_LENGTHS, shape == Shape::Wrap && aligned == Aligned::No),
        ]);
        /// Strobes of write data.
        must "AXI-02" strobe: [Strobes];
        /// Responses to exclusive accesses.
        must "AXI-03" lock: [Dir, Response];
        /// Responses on `s_dev`.
        must "AXI-05" dev_response: [Dir, Response];
        /// Responses on `m_dev`.
        must "AXI-05" out_response: [Dir, Response];
        /// What came back on `m_mem`.
        must "AXI-07" mem_response: [Dir, Back] except |(dir, back), _|
            when(&POISON_IS_READ, dir == Dir::Write && back == Back::Poison);
        /// Device requests in flight.
        must "AXI-04" in_flight: [Dir, InFlight];
        /// A new request beside one in flight.
        must "AXI-04" same_id: [Dir, SameId];
        /// Bursts that the bridge refuses without translation.
        must "AXI-06" barred: [Dir, Barred] except |(dir, why), t| first([
            when(&READ_ATOMIC, dir == Dir::Read && why == Barred::Atomic),
            when(&ATOMICS, why == Barred::Atomic && t.device_atomics),
        ]);
        /// Write data and its address.
        must "AXI-08" data_first: [Order];
        /// Side-bands, clear and set.
        must "AXI-12" attributes: [Dir, Attribute, bool] except |(dir, a, set), _|
            when(&READS_EXECUTE, dir == Dir::Write && a == Attribute::Instruction && set);
    }
}

static READ_ATOMIC: Impossible = Impossible {
    name: "atomics-are-writes",
    why: "AWATOP is on AW",
};
static ATOMICS: Impossible = Impossible {
    name: "device-atomics-supported",
    why: "dut.yaml: device atomics are translated",
};
static READS_EXECUTE: Impossible = Impossible {
    name: "instruction-is-read",
    why: "design 4: PROT[2] is on AR only",
};

/// Only MRIF pages are taken by the block itself.
fn msi(t: &Target, class: Class) -> Option<Why> {
    needs(t, "MSI_MRIF", C::MSI_MRIF, class == Class::Msi)
}

covers! {
    /// Timing.
    pub struct TimeCoverage: "time" {
        /// What a transaction cost.
        must "AXI-11" class: [Dir, Class] except |(_, class), t| msi(t, class);
        /// How long it took.
        nice "AXI-11" latency: [Class, Clocks] except |(class, _), t| msi(t, class);
        /// How the agents behave.
        must "AXI-09" agent: [Port, Agent] except |(port, agent), _| first([
            when(&DEVICE_STOPS, matches!(port, Port::Dev | Port::Reg) && matches!(agent, Agent::Reorders | Agent::Latency)),
            when(&NEVER_STOPPED, port == Port::Reg && agent == Agent::Stopped),
        ]);
        /// A request refused while another with the same cause and device was under way.
        must "FQ-12" faults_together: [bool] except |(together,), _| when(&COUNTED_ELSEWHERE, !together);
    }
}

static COUNTED_ELSEWHERE: Impossible = Impossible {
    name: "single-faults",
    why: "faults by themselves are in fault.at",
};

covers! {
    /// Resets.
    pub struct ResetCoverage: "reset" {
        /// What was under way when reset began.
        must "AXI-13" during: [During];
    }
}

axis! {
    /// Where ids go.
    pub enum Ids: "ids of" { Iommu = "iommu", Device = "device", Bare = "bare" }
}

axis! {
    /// A structure in memory.
    pub enum Structure: "structure" {
        Ddt = "DDT", Second = "second stage", Msi = "MSI table", Pdt = "PDT", First = "first stage",
        Command = "command", Record = "fault record", Message = "message",
    }
}

covers! {
    /// QoS identifiers.
    pub struct QosCoverage: "qos" {
        /// RCID and MCID on the bus: zero or not.
        must "QOS-01" id: [Ids, bool] except |_, t| needs(t, "QOSID", C::QOSID, true);
    }
}

covers! {
    /// Byte order.
    pub struct EndianCoverage: "be" {
        /// A structure, and whether it was big-endian.
        must "BE-01" structure: [Structure, bool] except |(s, big), t| first([
            needs(t, "END", C::END, big),
            super::needs_any(t, "a second stage", super::SECOND, s == Structure::Second),
            super::needs_any(t, "a process directory", super::PD, s == Structure::Pdt),
            needs(t, "MSI_FLAT", C::MSI_FLAT, s == Structure::Msi),
            super::needs_any(t, "a second stage", super::SECOND, s == Structure::Msi),
        ]);
    }
}

//! What happens at the pins, one value a handshake.
//!
//! The agents (crate `iommu-testbench`) turn pin activity into a list of events a
//! clock; scoreboard, metrics and coverage read nothing else. All data is as
//! it stands on the bus: byte lane `n` of a beat is bits `8n+7:8n`.

/// AXI burst type (AxBURST).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Burst {
    /// Every beat at the same address.
    Fixed,
    /// Incrementing addresses.
    Incr,
    /// Incrementing, wrapping at the burst's size.
    Wrap,
    /// 0b11, which AXI reserves.
    Reserved,
}

/// Response codes of AXI (xRESP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resp {
    /// Normal access success.
    Okay,
    /// Exclusive access success.
    ExOkay,
    /// Subordinate error.
    SlvErr,
    /// Decode error.
    DecErr,
}

/// An address beat (AW or AR) of any AXI4 port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AxiAddr {
    /// Transaction id: 8 bits on the device ports, 6 on `m_mem`.
    pub id: u8,
    /// Address of the first byte.
    pub addr: u64,
    /// Beats minus one.
    pub len: u8,
    /// log2 of the bytes of a beat.
    pub size: u8,
    /// Burst type.
    pub burst: Burst,
    /// Exclusive access.
    pub lock: bool,
    /// AxCACHE, 4 bits.
    pub cache: u8,
    /// AxPROT, 3 bits: privileged, non-secure, instruction.
    pub prot: u8,
    /// AxQOS, 4 bits.
    pub qos: u8,
    /// AxREGION, 4 bits.
    pub region: u8,
    /// AWATOP, 6 bits; 0 on AR.
    pub atop: u8,
    /// User bits: `m_dev` `{MCID[11:0], RCID[11:0], PBMT[1:0]}`, `m_mem`
    /// `{MCID[11:0], RCID[11:0]}`; 0 on `s_dev`.
    pub user: u32,
}

/// Sidebands of a device transaction (AXI5 AxMMU signals).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sideband {
    /// device_id, 24 bits.
    pub device_id: u32,
    /// process_id, 20 bits, when valid.
    pub process_id: Option<u32>,
    /// Address already translated (PCIe AT=10).
    pub translated: bool,
}

/// A beat of write data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WBeat {
    /// Data on the 64-bit bus.
    pub data: u64,
    /// Byte strobes.
    pub strb: u8,
    /// Last beat of the burst.
    pub last: bool,
}

/// A beat of read data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RBeat {
    /// Transaction id.
    pub id: u8,
    /// Data on the 64-bit bus.
    pub data: u64,
    /// Response of this beat.
    pub resp: Resp,
    /// Last beat of the burst.
    pub last: bool,
    /// Data corruption (`m_mem` only).
    pub poison: bool,
}

/// A write response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BBeat {
    /// Transaction id.
    pub id: u8,
    /// Response.
    pub resp: Resp,
}

/// One handshake, or one change of a wire, in the clock it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// `rst_ni` was low at this clock.
    Reset,
    /// Device write address accepted at `s_dev`.
    DevAw(AxiAddr, Sideband),
    /// Device read address accepted at `s_dev`.
    DevAr(AxiAddr, Sideband),
    /// Device write data accepted at `s_dev`.
    DevW(WBeat),
    /// Write response returned at `s_dev`.
    DevB(BBeat),
    /// Read data returned at `s_dev`.
    DevR(RBeat),
    /// Translated write address accepted at `m_dev`.
    OutAw(AxiAddr),
    /// Translated read address accepted at `m_dev`.
    OutAr(AxiAddr),
    /// Write data accepted at `m_dev`.
    OutW(WBeat),
    /// Memory behind `m_dev` stored the write burst `id` (not so an exclusive that failed).
    OutStored {
        /// Id of the burst.
        id: u8,
    },
    /// Write response taken from `m_dev`.
    OutB(BBeat),
    /// Read data taken from `m_dev`.
    OutR(RBeat),
    /// IOMMU write address accepted at `m_mem`.
    MemAw(AxiAddr),
    /// IOMMU read address accepted at `m_mem`.
    MemAr(AxiAddr),
    /// IOMMU write data accepted at `m_mem`.
    MemW(WBeat),
    /// Memory stored the write burst `id` (atomics too); it is visible from here on.
    MemStored {
        /// Id of the burst.
        id: u8,
    },
    /// Memory read one beat for burst `id` (the value that R will carry).
    MemSampled {
        /// Id of the burst.
        id: u8,
        /// Address of the beat, aligned to its size.
        addr: u64,
        /// 64-bit lane value.
        data: u64,
    },
    /// Write response taken from `m_mem`.
    MemB(BBeat),
    /// Read data taken from `m_mem`.
    MemR(RBeat),
    /// Register write accepted: AW and W have both been taken.
    RegWriteAccepted {
        /// Byte offset, 12 bits.
        addr: u16,
        /// Data on the 64-bit bus.
        data: u64,
        /// Byte strobes.
        strb: u8,
    },
    /// Register write answered (B).
    RegWriteDone {
        /// Byte offset.
        addr: u16,
        /// Data on the 64-bit bus.
        data: u64,
        /// Byte strobes.
        strb: u8,
        /// Response.
        resp: Resp,
    },
    /// Register read accepted (AR).
    RegReadAccepted {
        /// Byte offset.
        addr: u16,
    },
    /// Register read answered (R).
    RegReadDone {
        /// Byte offset.
        addr: u16,
        /// Both halves of the bus.
        data: u64,
        /// Response.
        resp: Resp,
    },
    /// The interrupt wires changed to this value.
    Wsi(u16),
    /// An ATS translation completion beat was taken (raw pins).
    AtsCompletion([u32; 3]),
    /// An ATS translation request was accepted (raw pins).
    AtsRequest([u32; 5]),
    /// An ATS invalidation request beat was taken (raw pins).
    AtsInvalidation([u32; 4]),
    /// A page request group response beat was taken (raw pins).
    AtsPrgResponse(u64),
    /// A page request or stop marker was accepted (raw pins).
    AtsPageRequest([u32; 4]),
    /// An ATS invalidation completion was accepted (raw pins).
    AtsInvalidationDone(u64),
    /// `ats_timeout_i` was high in this clock.
    AtsTimeout,
}

/// An event and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// Clocks since the testbench was made.
    pub cycle: u64,
    /// What happened.
    pub event: Event,
}

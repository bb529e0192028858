//! From the pin structs to values and back, port by port.

use iommu_bus::event::{AxiAddr, BBeat, Burst, Event, RBeat, Resp, Sideband, WBeat};
use iommu_sim::{PinsIn, PinsOut};

use crate::protocol::Port;

pub(crate) const fn burst(bits: u8) -> Burst {
    match bits & 3 {
        0 => Burst::Fixed,
        1 => Burst::Incr,
        2 => Burst::Wrap,
        _ => Burst::Reserved,
    }
}

const fn burst_bits(burst: Burst) -> u8 {
    match burst {
        Burst::Fixed => 0,
        Burst::Incr => 1,
        Burst::Wrap => 2,
        Burst::Reserved => 3,
    }
}

pub(crate) const fn resp(bits: u8) -> Resp {
    match bits & 3 {
        0 => Resp::Okay,
        1 => Resp::ExOkay,
        2 => Resp::SlvErr,
        _ => Resp::DecErr,
    }
}

pub(crate) const fn resp_bits(resp: Resp) -> u8 {
    match resp {
        Resp::Okay => 0,
        Resp::ExOkay => 1,
        Resp::SlvErr => 2,
        Resp::DecErr => 3,
    }
}

// What stands on the payload pins from the clock after a handshake on: a block that
// looks at a payload without valid, or a clock late, must not find the right one.

pub(crate) const JUNK: u64 = 0x5aa5_5aa5_5aa5_5aa5;
const JUNK_B: BBeat = BBeat {
    id: 0x2a,
    resp: Resp::DecErr,
};
const JUNK_R: RBeat = RBeat {
    id: 0x2a,
    data: JUNK,
    resp: Resp::SlvErr,
    last: true,
    poison: true,
};
const JUNK_W: WBeat = WBeat {
    data: JUNK,
    strb: 0xa5,
    last: true,
};
const JUNK_ADDR: AxiAddr = AxiAddr {
    id: 0x5a,
    addr: JUNK,
    len: 0xa5,
    size: 5,
    burst: Burst::Reserved,
    lock: true,
    cache: 0xa,
    prot: 5,
    qos: 5,
    region: 0xa,
    atop: 0x2a,
    user: 0,
};
const JUNK_SIDE: Sideband = Sideband {
    device_id: 0x5a_a55a,
    process_id: Some(0x5_a5a5),
    translated: true,
};

/// What a memory port's agent drives in a clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SubordinateDrive {
    pub(crate) awready: bool,
    pub(crate) wready: bool,
    pub(crate) arready: bool,
    pub(crate) b: Option<BBeat>,
    pub(crate) r: Option<RBeat>,
}

/// The pins and events of a port on which the block is manager.
pub(crate) trait ManagerPins {
    const PORT: Port;
    /// Read data can carry poison.
    const POISON: bool;
    /// Name of the port's random streams.
    const STREAM: &'static str;
    fn aw(o: &PinsOut) -> Option<AxiAddr>;
    fn ar(o: &PinsOut) -> Option<AxiAddr>;
    fn w(o: &PinsOut) -> Option<WBeat>;
    fn bready(o: &PinsOut) -> bool;
    fn rready(o: &PinsOut) -> bool;
    fn drive(i: &mut PinsIn, d: &SubordinateDrive);
    fn ev_aw(a: AxiAddr) -> Event;
    fn ev_ar(a: AxiAddr) -> Event;
    fn ev_w(b: WBeat) -> Event;
    fn ev_b(b: BBeat) -> Event;
    fn ev_r(b: RBeat) -> Event;
    fn ev_stored(id: u8) -> Event;
    fn ev_sampled(id: u8, addr: u64, data: u64) -> Option<Event>;
}

/// `m_dev`.
#[derive(Debug)]
pub(crate) struct OutPins;

impl ManagerPins for OutPins {
    const PORT: Port = Port::Out;
    const POISON: bool = false;
    const STREAM: &'static str = "m_dev";

    #[inline]
    fn aw(o: &PinsOut) -> Option<AxiAddr> {
        (o.m_dev_awvalid != 0).then(|| AxiAddr {
            id: o.m_dev_awid,
            addr: o.m_dev_awaddr,
            len: o.m_dev_awlen,
            size: o.m_dev_awsize,
            burst: burst(o.m_dev_awburst),
            lock: o.m_dev_awlock != 0,
            cache: o.m_dev_awcache,
            prot: o.m_dev_awprot,
            qos: o.m_dev_awqos,
            region: o.m_dev_awregion,
            atop: o.m_dev_awatop,
            user: o.m_dev_awuser,
        })
    }

    #[inline]
    fn ar(o: &PinsOut) -> Option<AxiAddr> {
        (o.m_dev_arvalid != 0).then(|| AxiAddr {
            id: o.m_dev_arid,
            addr: o.m_dev_araddr,
            len: o.m_dev_arlen,
            size: o.m_dev_arsize,
            burst: burst(o.m_dev_arburst),
            lock: o.m_dev_arlock != 0,
            cache: o.m_dev_arcache,
            prot: o.m_dev_arprot,
            qos: o.m_dev_arqos,
            region: o.m_dev_arregion,
            atop: 0,
            user: o.m_dev_aruser,
        })
    }

    #[inline]
    fn w(o: &PinsOut) -> Option<WBeat> {
        (o.m_dev_wvalid != 0).then_some(WBeat {
            data: o.m_dev_wdata,
            strb: o.m_dev_wstrb,
            last: o.m_dev_wlast != 0,
        })
    }

    #[inline]
    fn bready(o: &PinsOut) -> bool {
        o.m_dev_bready != 0
    }

    #[inline]
    fn rready(o: &PinsOut) -> bool {
        o.m_dev_rready != 0
    }

    #[inline]
    fn drive(i: &mut PinsIn, d: &SubordinateDrive) {
        i.m_dev_awready = d.awready.into();
        i.m_dev_wready = d.wready.into();
        i.m_dev_arready = d.arready.into();
        if d.b.is_some() || i.m_dev_bvalid != 0 {
            let b = d.b.unwrap_or(JUNK_B);
            i.m_dev_bvalid = d.b.is_some().into();
            i.m_dev_bid = b.id;
            i.m_dev_bresp = resp_bits(b.resp);
        }
        if d.r.is_some() || i.m_dev_rvalid != 0 {
            let r = d.r.unwrap_or(JUNK_R);
            i.m_dev_rvalid = d.r.is_some().into();
            i.m_dev_rid = r.id;
            i.m_dev_rdata = r.data;
            i.m_dev_rresp = resp_bits(r.resp);
            i.m_dev_rlast = r.last.into();
        }
    }

    fn ev_aw(a: AxiAddr) -> Event {
        Event::OutAw(a)
    }
    fn ev_ar(a: AxiAddr) -> Event {
        Event::OutAr(a)
    }
    fn ev_w(b: WBeat) -> Event {
        Event::OutW(b)
    }
    fn ev_b(b: BBeat) -> Event {
        Event::OutB(b)
    }
    fn ev_r(b: RBeat) -> Event {
        Event::OutR(b)
    }
    fn ev_stored(id: u8) -> Event {
        Event::OutStored { id }
    }
    fn ev_sampled(_id: u8, _addr: u64, _data: u64) -> Option<Event> {
        None
    }
}

/// `m_mem`.
#[derive(Debug)]
pub(crate) struct MemPins;

impl ManagerPins for MemPins {
    const PORT: Port = Port::Mem;
    const POISON: bool = true;
    const STREAM: &'static str = "m_mem";

    #[inline]
    fn aw(o: &PinsOut) -> Option<AxiAddr> {
        (o.m_mem_awvalid != 0).then(|| AxiAddr {
            id: o.m_mem_awid,
            addr: o.m_mem_awaddr,
            len: o.m_mem_awlen,
            size: o.m_mem_awsize,
            burst: burst(o.m_mem_awburst),
            lock: o.m_mem_awlock != 0,
            cache: o.m_mem_awcache,
            prot: o.m_mem_awprot,
            qos: o.m_mem_awqos,
            region: o.m_mem_awregion,
            atop: o.m_mem_awatop,
            user: o.m_mem_awuser,
        })
    }

    #[inline]
    fn ar(o: &PinsOut) -> Option<AxiAddr> {
        (o.m_mem_arvalid != 0).then(|| AxiAddr {
            id: o.m_mem_arid,
            addr: o.m_mem_araddr,
            len: o.m_mem_arlen,
            size: o.m_mem_arsize,
            burst: burst(o.m_mem_arburst),
            lock: o.m_mem_arlock != 0,
            cache: o.m_mem_arcache,
            prot: o.m_mem_arprot,
            qos: o.m_mem_arqos,
            region: o.m_mem_arregion,
            atop: 0,
            user: o.m_mem_aruser,
        })
    }

    #[inline]
    fn w(o: &PinsOut) -> Option<WBeat> {
        (o.m_mem_wvalid != 0).then_some(WBeat {
            data: o.m_mem_wdata,
            strb: o.m_mem_wstrb,
            last: o.m_mem_wlast != 0,
        })
    }

    #[inline]
    fn bready(o: &PinsOut) -> bool {
        o.m_mem_bready != 0
    }

    #[inline]
    fn rready(o: &PinsOut) -> bool {
        o.m_mem_rready != 0
    }

    #[inline]
    fn drive(i: &mut PinsIn, d: &SubordinateDrive) {
        i.m_mem_awready = d.awready.into();
        i.m_mem_wready = d.wready.into();
        i.m_mem_arready = d.arready.into();
        if d.b.is_some() || i.m_mem_bvalid != 0 {
            let b = d.b.unwrap_or(JUNK_B);
            i.m_mem_bvalid = d.b.is_some().into();
            i.m_mem_bid = b.id;
            i.m_mem_bresp = resp_bits(b.resp);
        }
        if d.r.is_some() || i.m_mem_rvalid != 0 {
            let r = d.r.unwrap_or(JUNK_R);
            i.m_mem_rvalid = d.r.is_some().into();
            i.m_mem_rid = r.id;
            i.m_mem_rdata = r.data;
            i.m_mem_rresp = resp_bits(r.resp);
            i.m_mem_rlast = r.last.into();
            i.m_mem_rpoison = r.poison.into();
        }
    }

    fn ev_aw(a: AxiAddr) -> Event {
        Event::MemAw(a)
    }
    fn ev_ar(a: AxiAddr) -> Event {
        Event::MemAr(a)
    }
    fn ev_w(b: WBeat) -> Event {
        Event::MemW(b)
    }
    fn ev_b(b: BBeat) -> Event {
        Event::MemB(b)
    }
    fn ev_r(b: RBeat) -> Event {
        Event::MemR(b)
    }
    fn ev_stored(id: u8) -> Event {
        Event::MemStored { id }
    }
    fn ev_sampled(id: u8, addr: u64, data: u64) -> Option<Event> {
        Some(Event::MemSampled { id, addr, data })
    }
}

/// Drives `s_dev_aw`.
#[inline]
pub(crate) fn drive_dev_aw(i: &mut PinsIn, beat: Option<(&AxiAddr, &Sideband)>) {
    if beat.is_none() && i.s_dev_awvalid == 0 {
        return;
    }
    i.s_dev_awvalid = beat.is_some().into();
    let (a, s) = beat.unwrap_or((&JUNK_ADDR, &JUNK_SIDE));
    i.s_dev_awid = a.id;
    i.s_dev_awaddr = a.addr;
    i.s_dev_awlen = a.len;
    i.s_dev_awsize = a.size & 7;
    i.s_dev_awburst = burst_bits(a.burst);
    i.s_dev_awlock = a.lock.into();
    i.s_dev_awcache = a.cache & 0xf;
    i.s_dev_awprot = a.prot & 7;
    i.s_dev_awqos = a.qos & 0xf;
    i.s_dev_awregion = a.region & 0xf;
    i.s_dev_awatop = a.atop & 0x3f;
    i.s_dev_awmmusid = s.device_id & 0xff_ffff;
    i.s_dev_awmmussidv = s.process_id.is_some().into();
    i.s_dev_awmmussid = s.process_id.unwrap_or(0) & 0xf_ffff;
    i.s_dev_awmmuatst = s.translated.into();
}

/// Drives `s_dev_ar`.
#[inline]
pub(crate) fn drive_dev_ar(i: &mut PinsIn, beat: Option<(&AxiAddr, &Sideband)>) {
    if beat.is_none() && i.s_dev_arvalid == 0 {
        return;
    }
    i.s_dev_arvalid = beat.is_some().into();
    let (a, s) = beat.unwrap_or((&JUNK_ADDR, &JUNK_SIDE));
    i.s_dev_arid = a.id;
    i.s_dev_araddr = a.addr;
    i.s_dev_arlen = a.len;
    i.s_dev_arsize = a.size & 7;
    i.s_dev_arburst = burst_bits(a.burst);
    i.s_dev_arlock = a.lock.into();
    i.s_dev_arcache = a.cache & 0xf;
    i.s_dev_arprot = a.prot & 7;
    i.s_dev_arqos = a.qos & 0xf;
    i.s_dev_arregion = a.region & 0xf;

    i.s_dev_armmusid = s.device_id & 0xff_ffff;
    i.s_dev_armmussidv = s.process_id.is_some().into();
    i.s_dev_armmussid = s.process_id.unwrap_or(0) & 0xf_ffff;
    i.s_dev_armmuatst = s.translated.into();
}

/// Drives `s_dev_w`.
#[inline]
pub(crate) fn drive_dev_w(i: &mut PinsIn, beat: Option<WBeat>) {
    if beat.is_none() && i.s_dev_wvalid == 0 {
        return;
    }
    i.s_dev_wvalid = beat.is_some().into();
    let b = beat.unwrap_or(JUNK_W);
    i.s_dev_wdata = b.data;
    i.s_dev_wstrb = b.strb;
    i.s_dev_wlast = b.last.into();
}

/// Drives `s_reg_aw`.
#[inline]
pub(crate) fn drive_reg_aw(i: &mut PinsIn, addr: Option<u16>) {
    if addr.is_some() || i.s_reg_awvalid != 0 {
        i.s_reg_awvalid = addr.is_some().into();
        i.s_reg_awaddr = addr.unwrap_or(0x5a5);
    }
}

/// Drives `s_reg_w`: data and strobes.
#[inline]
pub(crate) fn drive_reg_w(i: &mut PinsIn, beat: Option<(u64, u8)>) {
    if beat.is_some() || i.s_reg_wvalid != 0 {
        i.s_reg_wvalid = beat.is_some().into();
        (i.s_reg_wdata, i.s_reg_wstrb) = beat.unwrap_or((JUNK, 0xff));
    }
}

/// Drives `s_reg_ar`.
#[inline]
pub(crate) fn drive_reg_ar(i: &mut PinsIn, addr: Option<u16>) {
    if addr.is_some() || i.s_reg_arvalid != 0 {
        i.s_reg_arvalid = addr.is_some().into();
        i.s_reg_araddr = addr.unwrap_or(0x5a5);
    }
}

/// Drives `s_ats_tr`.
#[inline]
pub(crate) fn drive_ats_tr(i: &mut PinsIn, words: Option<[u32; 5]>) {
    if words.is_some() || i.s_ats_tr_valid != 0 {
        i.s_ats_tr_valid = words.is_some().into();
        i.s_ats_tr_data = words.unwrap_or([0x5aa5_5aa5, 0x5aa5_5aa5, 0x5aa5_5aa5, 0x5aa5_5aa5, 5]);
    }
}

/// Drives `s_ats_pr`.
#[inline]
pub(crate) fn drive_ats_pr(i: &mut PinsIn, words: Option<[u32; 4]>) {
    if words.is_some() || i.s_ats_pr_valid != 0 {
        i.s_ats_pr_valid = words.is_some().into();
        i.s_ats_pr_data = words.unwrap_or([0x5aa5_5aa5, 0x5aa5_5aa5, 0x5aa5_5aa5, 0x2aa5]);
    }
}

/// Drives `s_ats_ic`.
#[inline]
pub(crate) fn drive_ats_ic(i: &mut PinsIn, word: Option<u64>) {
    if word.is_some() || i.s_ats_ic_valid != 0 {
        i.s_ats_ic_valid = word.is_some().into();
        i.s_ats_ic_data = word.unwrap_or(JUNK & ((1 << 59) - 1));
    }
}

/// No valid high, junk on every payload.
pub(crate) fn idle(i: &mut PinsIn) {
    // A driver writes junk when its valid falls.
    (i.m_dev_bvalid, i.m_dev_rvalid) = (1, 1);
    (i.m_mem_bvalid, i.m_mem_rvalid) = (1, 1);
    (i.s_dev_awvalid, i.s_dev_wvalid, i.s_dev_arvalid) = (1, 1, 1);
    (i.s_reg_awvalid, i.s_reg_wvalid, i.s_reg_arvalid) = (1, 1, 1);
    (i.s_ats_tr_valid, i.s_ats_pr_valid, i.s_ats_ic_valid) = (1, 1, 1);
    OutPins::drive(i, &SubordinateDrive::default());
    MemPins::drive(i, &SubordinateDrive::default());
    drive_dev_aw(i, None);
    drive_dev_w(i, None);
    drive_dev_ar(i, None);
    drive_reg_aw(i, None);
    drive_reg_w(i, None);
    drive_reg_ar(i, None);
    drive_ats_tr(i, None);
    drive_ats_pr(i, None);
    drive_ats_ic(i, None);
}

/// The response that the block offers on `s_dev_b`.
#[inline]
pub(crate) fn dev_b(o: &PinsOut) -> Option<BBeat> {
    (o.s_dev_bvalid != 0).then(|| BBeat {
        id: o.s_dev_bid,
        resp: resp(o.s_dev_bresp),
    })
}

/// The data that the block offers on `s_dev_r`.
#[inline]
pub(crate) fn dev_r(o: &PinsOut) -> Option<RBeat> {
    (o.s_dev_rvalid != 0).then(|| RBeat {
        id: o.s_dev_rid,
        data: o.s_dev_rdata,
        resp: resp(o.s_dev_rresp),
        last: o.s_dev_rlast != 0,
        poison: false,
    })
}

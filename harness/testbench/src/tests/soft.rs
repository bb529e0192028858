//! Software blocks.

use std::collections::VecDeque;

use iommu_bus::event::{AxiAddr, BBeat, RBeat, WBeat};
use iommu_sim::{Device, PinsIn, PinsOut, SimError};

use crate::pins::{JUNK, burst, resp, resp_bits};
use crate::protocol::Hold;

/// A block whose pins a closure drives; it gets the clocks since the last reset.
pub(super) struct Scripted<F> {
    script: F,
    clock: u64,
}

impl<F: FnMut(u64, &PinsIn, &mut PinsOut)> Scripted<F> {
    pub(super) fn new(script: F) -> Self {
        Self { script, clock: 0 }
    }
}

impl<F: FnMut(u64, &PinsIn, &mut PinsOut)> Device for Scripted<F> {
    fn tick(&mut self, i: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        *o = PinsOut::default();
        if i.rst_n == 0 {
            self.clock = 0;
        } else {
            self.clock += 1;
        }
        (self.script)(self.clock, i, o);
        Ok(())
    }
}

/// Id, data, response, last, poison.
type ReadPayload = (u8, u64, u8, u8, u8);

/// A block that holds the agents to the rules they hold it to: what they drive is
/// stable until taken, low in reset and at the first clock after it.
pub(super) struct Watched<D> {
    inner: D,
    quiet: bool,
    dev_a: [Hold<[u64; 4]>; 2],
    dev_w: Hold<(u64, u8, u8)>,
    b: [Hold<(u8, u8)>; 2],
    r: [Hold<ReadPayload>; 2],
    reg_a: [Hold<u16>; 2],
    reg_w: Hold<(u64, u8)>,
    ats: Hold<[u32; 5]>,
}

impl<D> Watched<D> {
    pub(super) fn new(inner: D) -> Self {
        Self {
            inner,
            quiet: true,
            dev_a: Default::default(),
            dev_w: Hold::default(),
            b: Default::default(),
            r: Default::default(),
            reg_a: Default::default(),
            reg_w: Hold::default(),
            ats: Hold::default(),
        }
    }

    fn check(&mut self, i: &PinsIn, o: &PinsOut) {
        if i.rst_n == 0 {
            (self.dev_a, self.dev_w) = Default::default();
            (self.b, self.r, self.reg_a) = Default::default();
            (self.reg_w, self.ats) = Default::default();
        }
        let valids = [
            i.s_dev_awvalid,
            i.s_dev_arvalid,
            i.s_dev_wvalid,
            i.s_reg_awvalid,
            i.s_reg_arvalid,
            i.s_reg_wvalid,
            i.m_dev_bvalid,
            i.m_dev_rvalid,
            i.m_mem_bvalid,
            i.m_mem_rvalid,
            i.s_ats_tr_valid,
        ];
        // No payload outlives its handshake.
        for (valid, data) in [
            (i.s_dev_awvalid, i.s_dev_awaddr),
            (i.s_dev_arvalid, i.s_dev_araddr),
            (i.s_dev_wvalid, i.s_dev_wdata),
            (i.s_reg_wvalid, i.s_reg_wdata),
            (i.m_dev_rvalid, i.m_dev_rdata),
            (i.m_mem_rvalid, i.m_mem_rdata),
        ] {
            assert!(valid != 0 || data == JUNK);
        }
        for (valid, id) in [(i.m_dev_bvalid, i.m_dev_bid), (i.m_mem_bvalid, i.m_mem_bid)] {
            assert!(valid != 0 || id == 0x2a);
        }
        if i.rst_n == 0 || self.quiet {
            assert_eq!(valids, [0; 11], "valid in or right after reset");
        }
        self.quiet = i.rst_n == 0;
        if self.quiet {
            return;
        }
        let aw = [
            i.s_dev_awaddr,
            u64::from(i.s_dev_awid)
                | u64::from(i.s_dev_awlen) << 8
                | u64::from(i.s_dev_awsize) << 16,
            u64::from(i.s_dev_awburst)
                | u64::from(i.s_dev_awlock) << 8
                | u64::from(i.s_dev_awatop) << 16,
            u64::from(i.s_dev_awmmusid)
                | u64::from(i.s_dev_awmmussid) << 32
                | u64::from(i.s_dev_awmmuatst) << 60,
        ];
        let ar = [
            i.s_dev_araddr,
            u64::from(i.s_dev_arid)
                | u64::from(i.s_dev_arlen) << 8
                | u64::from(i.s_dev_arsize) << 16,
            u64::from(i.s_dev_arburst) | u64::from(i.s_dev_arlock) << 8,
            u64::from(i.s_dev_armmusid)
                | u64::from(i.s_dev_armmussid) << 32
                | u64::from(i.s_dev_armmuatst) << 60,
        ];
        let w = (i.s_dev_wdata, i.s_dev_wstrb, i.s_dev_wlast);
        let out_r = (i.m_dev_rid, i.m_dev_rdata, i.m_dev_rresp, i.m_dev_rlast, 0);
        let mem_r = (
            i.m_mem_rid,
            i.m_mem_rdata,
            i.m_mem_rresp,
            i.m_mem_rlast,
            i.m_mem_rpoison,
        );
        let [dev_aw, dev_ar] = &mut self.dev_a;
        let [out_b, mem_b] = &mut self.b;
        let [hold_out_r, hold_mem_r] = &mut self.r;
        let [reg_aw, reg_ar] = &mut self.reg_a;
        fn broken<T: Copy + PartialEq>(hold: &mut Hold<T>, valid: u8, beat: T, ready: u8) -> bool {
            hold.check((valid != 0).then_some(beat), ready != 0)
                .1
                .is_some()
        }
        let broken = [
            broken(dev_aw, i.s_dev_awvalid, aw, o.s_dev_awready),
            broken(dev_ar, i.s_dev_arvalid, ar, o.s_dev_arready),
            broken(&mut self.dev_w, i.s_dev_wvalid, w, o.s_dev_wready),
            broken(
                out_b,
                i.m_dev_bvalid,
                (i.m_dev_bid, i.m_dev_bresp),
                o.m_dev_bready,
            ),
            broken(
                mem_b,
                i.m_mem_bvalid,
                (i.m_mem_bid, i.m_mem_bresp),
                o.m_mem_bready,
            ),
            broken(hold_out_r, i.m_dev_rvalid, out_r, o.m_dev_rready),
            broken(hold_mem_r, i.m_mem_rvalid, mem_r, o.m_mem_rready),
            broken(reg_aw, i.s_reg_awvalid, i.s_reg_awaddr, o.s_reg_awready),
            broken(reg_ar, i.s_reg_arvalid, i.s_reg_araddr, o.s_reg_arready),
            broken(
                &mut self.reg_w,
                i.s_reg_wvalid,
                (i.s_reg_wdata, i.s_reg_wstrb),
                o.s_reg_wready,
            ),
            broken(
                &mut self.ats,
                i.s_ats_tr_valid,
                i.s_ats_tr_data,
                o.s_ats_tr_ready,
            ),
        ];
        assert_eq!(broken, [false; 11], "an agent did not hold a beat");
    }
}

impl<D: Device> Device for Watched<D> {
    fn tick(&mut self, i: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        self.inner.tick(i, o)?;
        self.check(i, o);
        Ok(())
    }
}

/// Something a [`PassThrough`] does on `m_mem`.
#[derive(Debug, Clone, Copy)]
pub(super) enum MemOp {
    Read(AxiAddr),
    Write(AxiAddr),
    Data(WBeat),
    /// Nothing more on any channel for so many clocks.
    Wait(u64),
}

/// A delay line between a valid/ready input and a valid/ready output.
#[derive(Debug)]
struct Pipe<T> {
    items: VecDeque<(u64, T)>,
    depth: usize,
}

impl<T: Copy> Pipe<T> {
    fn new(depth: usize) -> Self {
        Self {
            items: VecDeque::new(),
            depth,
        }
    }
    fn ready(&self) -> bool {
        self.items.len() < self.depth
    }
    fn push(&mut self, due: u64, item: T) {
        self.items.push_back((due, item));
    }
    fn head(&self, now: u64) -> Option<T> {
        self.items
            .front()
            .filter(|(due, _)| *due <= now)
            .map(|x| x.1)
    }
}

/// "Translates" each address to itself, with a latency; has 512 plain registers
/// and plays a script on `m_mem`.
pub(super) struct PassThrough {
    now: u64,
    latency: u64,
    aw: Pipe<AxiAddr>,
    ar: Pipe<AxiAddr>,
    w: Pipe<WBeat>,
    b: Pipe<BBeat>,
    r: Pipe<RBeat>,
    regs: [u64; 512],
    reg_aw: Option<u16>,
    reg_w: Option<(u64, u8)>,
    reg_b: bool,
    reg_r: Option<u64>,
    pub(super) script: VecDeque<MemOp>,
    wait: u64,
    mem_ar: Option<AxiAddr>,
    mem_aw: Option<AxiAddr>,
    mem_w: Option<WBeat>,
}

impl PassThrough {
    pub(super) fn new(latency: u64, depth: usize) -> Self {
        Self {
            now: 0,
            latency: latency.max(1),
            aw: Pipe::new(depth),
            ar: Pipe::new(depth),
            w: Pipe::new(depth),
            b: Pipe::new(depth),
            r: Pipe::new(depth),
            regs: [0; 512],
            reg_aw: None,
            reg_w: None,
            reg_b: false,
            reg_r: None,
            script: VecDeque::new(),
            wait: 0,
            mem_ar: None,
            mem_aw: None,
            mem_w: None,
        }
    }

    pub(super) fn with_script(ops: impl IntoIterator<Item = MemOp>) -> Self {
        let mut p = Self::new(1, 4);
        p.script.extend(ops);
        p
    }

    fn outputs(&self, o: &mut PinsOut) {
        *o = PinsOut::default();
        o.s_dev_awready = self.aw.ready().into();
        o.s_dev_wready = self.w.ready().into();
        o.s_dev_arready = self.ar.ready().into();
        o.m_dev_bready = self.b.ready().into();
        o.m_dev_rready = self.r.ready().into();
        if let Some(a) = self.aw.head(self.now) {
            o.m_dev_awvalid = 1;
            o.m_dev_awid = a.id;
            o.m_dev_awaddr = a.addr;
            o.m_dev_awlen = a.len;
            o.m_dev_awsize = a.size;
            o.m_dev_awburst = a.user as u8;
            o.m_dev_awlock = a.lock.into();
            o.m_dev_awcache = a.cache;
            o.m_dev_awprot = a.prot;
            o.m_dev_awqos = a.qos;
            o.m_dev_awregion = a.region;
            o.m_dev_awatop = a.atop;
        }
        if let Some(a) = self.ar.head(self.now) {
            o.m_dev_arvalid = 1;
            o.m_dev_arid = a.id;
            o.m_dev_araddr = a.addr;
            o.m_dev_arlen = a.len;
            o.m_dev_arsize = a.size;
            o.m_dev_arburst = a.user as u8;
            o.m_dev_arlock = a.lock.into();
            o.m_dev_arcache = a.cache;
            o.m_dev_arprot = a.prot;
            o.m_dev_arqos = a.qos;
            o.m_dev_arregion = a.region;
        }
        if let Some(w) = self.w.head(self.now) {
            o.m_dev_wvalid = 1;
            o.m_dev_wdata = w.data;
            o.m_dev_wstrb = w.strb;
            o.m_dev_wlast = w.last.into();
        }
        if let Some(b) = self.b.head(self.now) {
            o.s_dev_bvalid = 1;
            o.s_dev_bid = b.id;
            o.s_dev_bresp = resp_bits(b.resp);
        }
        if let Some(r) = self.r.head(self.now) {
            o.s_dev_rvalid = 1;
            o.s_dev_rid = r.id;
            o.s_dev_rdata = r.data;
            o.s_dev_rresp = resp_bits(r.resp);
            o.s_dev_rlast = r.last.into();
        }
        o.s_reg_awready = self.reg_aw.is_none().into();
        o.s_reg_wready = self.reg_w.is_none().into();
        o.s_reg_bvalid = self.reg_b.into();
        o.s_reg_arready = self.reg_r.is_none().into();
        if let Some(data) = self.reg_r {
            o.s_reg_rvalid = 1;
            o.s_reg_rdata = data;
        }
        // Register 0 drives the interrupt wires.
        o.wsi = self.regs[0] as u16;
        o.m_mem_bready = 1;
        o.m_mem_rready = 1;
        if let Some(a) = self.mem_ar {
            super::checkers::mem_ar(o, &a);
        }
        if let Some(a) = self.mem_aw {
            super::checkers::mem_aw(o, &a);
        }
        if let Some(w) = self.mem_w {
            super::checkers::mem_w(o, &w);
        }
    }

    fn inputs(&mut self, i: &PinsIn, o: &PinsOut) {
        let due = self.now + self.latency;
        if i.s_dev_awvalid & o.s_dev_awready != 0 {
            self.aw.push(
                due,
                AxiAddr {
                    id: i.s_dev_awid,
                    addr: i.s_dev_awaddr,
                    len: i.s_dev_awlen,
                    size: i.s_dev_awsize,
                    burst: burst(i.s_dev_awburst),
                    lock: i.s_dev_awlock != 0,
                    cache: i.s_dev_awcache,
                    prot: i.s_dev_awprot,
                    qos: i.s_dev_awqos,
                    region: i.s_dev_awregion,
                    atop: i.s_dev_awatop,
                    user: i.s_dev_awburst.into(),
                },
            );
        }
        if i.s_dev_arvalid & o.s_dev_arready != 0 {
            self.ar.push(
                due,
                AxiAddr {
                    id: i.s_dev_arid,
                    addr: i.s_dev_araddr,
                    len: i.s_dev_arlen,
                    size: i.s_dev_arsize,
                    burst: burst(i.s_dev_arburst),
                    lock: i.s_dev_arlock != 0,
                    cache: i.s_dev_arcache,
                    prot: i.s_dev_arprot,
                    qos: i.s_dev_arqos,
                    region: i.s_dev_arregion,
                    atop: 0,
                    user: i.s_dev_arburst.into(),
                },
            );
        }
        if i.s_dev_wvalid & o.s_dev_wready != 0 {
            let beat = WBeat {
                data: i.s_dev_wdata,
                strb: i.s_dev_wstrb,
                last: i.s_dev_wlast != 0,
            };
            self.w.push(due, beat);
        }
        if i.m_dev_bvalid & o.m_dev_bready != 0 {
            let beat = BBeat {
                id: i.m_dev_bid,
                resp: resp(i.m_dev_bresp),
            };
            self.b.push(due, beat);
        }
        if i.m_dev_rvalid & o.m_dev_rready != 0 {
            let beat = RBeat {
                id: i.m_dev_rid,
                data: i.m_dev_rdata,
                resp: resp(i.m_dev_rresp),
                last: i.m_dev_rlast != 0,
                poison: false,
            };
            self.r.push(due, beat);
        }
        for (valid, ready, pipe) in [
            (o.m_dev_awvalid, i.m_dev_awready, &mut self.aw),
            (o.m_dev_arvalid, i.m_dev_arready, &mut self.ar),
        ] {
            if valid & ready != 0 {
                pipe.items.pop_front();
            }
        }
        if o.m_dev_wvalid & i.m_dev_wready != 0 {
            self.w.items.pop_front();
        }
        if o.s_dev_bvalid & i.s_dev_bready != 0 {
            self.b.items.pop_front();
        }
        if o.s_dev_rvalid & i.s_dev_rready != 0 {
            self.r.items.pop_front();
        }
        self.registers(i, o);
        self.play(i);
    }

    fn registers(&mut self, i: &PinsIn, o: &PinsOut) {
        if i.s_reg_awvalid & o.s_reg_awready != 0 {
            self.reg_aw = Some(i.s_reg_awaddr);
        }
        if i.s_reg_wvalid & o.s_reg_wready != 0 {
            self.reg_w = Some((i.s_reg_wdata, i.s_reg_wstrb));
        }
        if o.s_reg_bvalid & i.s_reg_bready != 0 {
            self.reg_b = false;
            self.reg_aw = None;
            self.reg_w = None;
        } else if let (Some(addr), Some((data, strb)), false) =
            (self.reg_aw, self.reg_w, self.reg_b)
        {
            let reg = &mut self.regs[usize::from(addr >> 3)];
            for lane in (0..8).filter(|l| strb >> l & 1 != 0) {
                let mask = 0xff << (8 * lane);
                *reg = *reg & !mask | data & mask;
            }
            self.reg_b = true;
        }
        if o.s_reg_rvalid & i.s_reg_rready != 0 {
            self.reg_r = None;
        }
        if i.s_reg_arvalid & o.s_reg_arready != 0 {
            self.reg_r = Some(self.regs[usize::from(i.s_reg_araddr >> 3)]);
        }
    }

    fn play(&mut self, i: &PinsIn) {
        if i.m_mem_arready != 0 {
            self.mem_ar = None;
        }
        if i.m_mem_awready != 0 {
            self.mem_aw = None;
        }
        if i.m_mem_wready != 0 {
            self.mem_w = None;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        while let Some(&op) = self.script.front() {
            match op {
                MemOp::Read(a) if self.mem_ar.is_none() => self.mem_ar = Some(a),
                MemOp::Write(a) if self.mem_aw.is_none() => self.mem_aw = Some(a),
                MemOp::Data(w) if self.mem_w.is_none() => self.mem_w = Some(w),
                MemOp::Wait(n) => {
                    self.wait = n;
                    self.script.pop_front();
                    return;
                }
                _ => return,
            }
            self.script.pop_front();
        }
    }
}

impl Device for PassThrough {
    fn tick(&mut self, i: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        if i.rst_n == 0 {
            let script = std::mem::take(&mut self.script);
            *self = Self::new(self.latency, self.aw.depth);
            self.script = script;
            *o = PinsOut::default();
            return Ok(());
        }
        self.outputs(o);
        self.inputs(i, o);
        self.now += 1;
        Ok(())
    }
}

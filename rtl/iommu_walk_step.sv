// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// One step of a walk: from a slot's content and what has come for it (a beat of
// read data, the answer of an A/D update, the number of an interrupt file, or
// nothing when it begins) to its next content and state. One step a cycle serves
// all slots. The walk caches of both stages and the second stage's TLB are
// here, for only steps use them.
//
// A step goes through three parts, each optional: interpret what was read; find
// the second stage's next entry for a guest-physical address (or its end, in the
// caches); go on with the physical address for what it was wanted for.
// Combinational from phase_i to nxt_o, so that the next read can leave in the
// cycle in which its address becomes known. With TimingCuts there are registers
// between the parts, and a step takes a cycle a phase; cur_i and rsp_i stand
// still meanwhile. What lookups find is taken once (PhCheck, PhRead), so that an
// invalidation in between changes nothing in a step that has begun before it.

`include "iommu_macros.svh"

module iommu_walk_step
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned FsCache = 16,  // first-stage pointers kept
    parameter int unsigned GsCache = 16,  // second-stage pointers kept
    parameter int unsigned GsTlb   = 16,  // second-stage leaves kept
    parameter bit          TimingCuts = 1'b0  // registers inside a step: more cycles, a faster clock
) (
    input  logic           clk_i,         // clock
    input  logic           rst_ni,        // asynchronous reset, active low
    input  csr_cfg_t       cfg_i,         // capabilities and feature control
    input  logic [PaW-1:0] addr_high_i,   // physical address bits at or above 2^PAS
    input  logic [StepPhases-1:0] phase_i,  // phase of the step, one-hot; without TimingCuts all at once
    input  logic           mem_i,         // a beat of read data, else the slot asked
    input  walk_t          cur_i,         // the slot
    input  logic           keep_i,        // what it reads may be kept
    input  mem_rrsp_t      rsp_i,         // the beat
    input  logic [51:0]    msi_index_i,   // look LkMsi: number of the interrupt file
    input  logic           amo_same_i,    // look LkAmo: the entry was as read, and is updated
    input  logic           amo_err_i,
    input  logic           amo_poison_i,
    output walk_t          nxt_o,
    output walk_state_e    state_o,
    output logic [8:5]     events_o,      // walks that begin, by eventID
    output logic           second_o,      // in PhRoute: PhMatch and PhRead are needed
    // invalidation of the caches
    input  logic           inv_fs_i,
    input  reach_t         inv_fs_reach_i,
    input  logic           inv_gs_i,
    input  reach_t         inv_gs_reach_i,
    input  logic           inv_leaf_i,
    input  reach_t         inv_leaf_reach_i
);

  walk_t cur;
  assign cur = cur_i;

  space_t space;
  assign space = '{gs_mode: cur.dc.gs_mode, gscid: cur.dc.gscid, fs_mode: cur.pc.mode, pscid: cur.pc.pscid};

  logic any;  // every permission is an answer
  assign any = cur.req.kind == KdAts;

  // ---------------------------------------------------------------- read data
  logic        big_endian, updated;
  logic [63:0] raw, data_d, data;
  assign big_endian = (cur.rd inside {RdPdt, RdPc, RdFs}) ? cur.dc.sbe : cfg_i.be;
  assign updated    = !mem_i && (cur.look == LkAmo);

  logic entry32;  // a PTE of 4 bytes
  assign entry32 = ((cur.rd == RdFs) && (cur.pc.mode == Pt32)) || ((cur.rd == RdGs) && (cur.dc.gs_mode == Pt32));

  always_comb begin
    raw = rsp_i.data;
    if (entry32) raw = {32'd0, cur.addr[2] ? rsp_i.data[63:32] : rsp_i.data[31:0]};
    data_d = raw;
    if (big_endian) begin
      for (int unsigned i = 0; i < 8; i++) data_d[8*i+:8] = raw[8*(7-i)+:8];
      if (entry32) data_d = {32'd0, data_d[63:32]};
    end
    // What an update has written.
    if (updated) data_d = cur.pte | {56'd0, cur.set_d, 7'b100_0000};
  end

  logic err, poison;  // of the whole read, at its last beat
  assign err    = mem_i ? (rsp_i.err || cur.err) : amo_err_i;
  assign poison = mem_i ? (rsp_i.poison || cur.poison) : amo_poison_i;

  dc_t      dc_next_d, dc_next;
  verdict_t dc_verdict_d, dc_verdict;
  iommu_dc_check u_dc_check (
      .cfg_i    (cfg_i),
      .beat_i   (cur.beat),
      .data_i   (data),
      .dc_i     (cur.dc),
      .verdict_i(cur.verdict),
      .dc_o     (dc_next_d),
      .verdict_o(dc_verdict_d)
  );

  // ---------------------------------------------------------------- PTE of either stage
  typedef struct packed {
    logic            fault;
    logic            leaf;
    logic            update;
    logic            set_d;
    logic            g;
    logic [PpnW-1:0] ppn;
    page_size_t      size;
    logic [1:0]      pbmt;
    pte_perm_t       perm;
  } checked_t;
  checked_t pte_d, pte;
  logic     is_gs, acc_exec, acc_write;
  assign is_gs = cur.rd == RdGs;

  // Access as the second stage sees it: reads of tables, or writes of A and D.
  always_comb begin
    acc_exec  = cur.req.exec;
    acc_write = cur.req.write;
    if (is_gs) begin
      if (cur.why != WhyData) begin
        acc_exec  = 1'b0;
        acc_write = cur.why == WhyFsAd;
      end else if (any && (cur.pc.mode != PtBare)) begin
        // A clean page of a first stage that does not set D grants no write.
        acc_write = cur.req.write && cur.fs_perm.w && cur.fs_perm.d;
      end
    end
  end

  iommu_pte_check u_pte_check (
      .svpbmt_i(cfg_i.caps.svpbmt),
      .svrsw_i (cfg_i.caps.svrsw60t59b),
      .mode_i  (is_gs ? cur.dc.gs_mode : cur.pc.mode),
      .gs_i    (is_gs),
      .pte_i   (data),
      .level_i (is_gs ? cur.glevel : cur.level),
      .vpn_i   (is_gs ? cur.gpa[58:12] : cur.req.iova[58:12]),
      .exec_i  (acc_exec),
      .write_i (acc_write),
      .priv_i  (cur.priv),
      .sum_i   (cur.pc.sum),
      .any_i   (any && (!is_gs || (cur.why == WhyData))),
      .ade_i   (is_gs ? cur.dc.gade : cur.dc.sade),
      .fault_o (pte_d.fault),
      .leaf_o  (pte_d.leaf),
      .update_o(pte_d.update),
      .set_d_o (pte_d.set_d),
      .ppn_o   (pte_d.ppn),
      .size_o  (pte_d.size),
      .pbmt_o  (pte_d.pbmt),
      .g_o     (pte_d.g),
      .perm_o  (pte_d.perm)
  );

  // ---------------------------------------------------------------- causes
  logic [11:0] access, gs_access, gs_corrupt;
  logic        for_pdt;
  assign access     = access_cause(cur.req.exec, cur.req.write);
  assign for_pdt    = cur.why inside {WhyPdt, WhyPc};
  assign gs_access  = for_pdt ? CausePdtAccess : access;
  assign gs_corrupt = for_pdt ? CausePdtCorrupt : CausePtCorrupt;

  // ---------------------------------------------------------------- directories
  logic [11:0]    ddt_offset;
  logic [PaW-1:0] ddt_addr;
  always_comb begin
    if (cur.level == 3'd2) begin
      ddt_offset = cfg_i.caps.msi_flat ? {cur.req.device_id[14:6], 3'd0} : {cur.req.device_id[15:7], 3'd0};
    end else begin
      ddt_offset = cfg_i.caps.msi_flat ? {cur.req.device_id[5:0], 6'd0} : {cur.req.device_id[6:0], 5'd0};
    end
  end
  assign ddt_addr = {data[53:10], ddt_offset};

  // Entry of the process directory at a level.
  function automatic logic [63:0] pdt_addr(input logic [LevelW-1:0] level, input logic [PpnW-1:0] ppn,
                                           input logic [ProcessIdW-1:0] pid);
    unique case (level)
      3'd2:    pdt_addr = 64'({ppn, 6'd0, pid[19:17], 3'd0});
      3'd1:    pdt_addr = 64'({ppn, pid[16:8], 3'd0});
      default: pdt_addr = 64'({ppn, pid[7:0], 4'd0});
    endcase
  endfunction

  logic [LevelW-1:0] pdt_top, level_down;
  assign pdt_top    = LevelW'(cur.dc.fs_mode[1:0]) - 3'd1;
  assign level_down = cur.level - 3'd1;

  // What the step has made of it.
  typedef struct packed {
    walk_state_e state;
    logic        fail;       // stop with mid.cause
    logic        guest_fail; // a guest-page fault
    logic        go_gpa;     // translate mid.gpa for mid.why
    logic        go_data;    // the same, or mid.gpa is an interrupt file's
    logic        at_page;    // the second stage has led to the page at pte.ppn
    logic        finish;     // the access's page is in mid.ppn
    logic        fs_fill;    // a pointer of the first stage was read
    logic        gs_fill;    // of the second stage
  } said_t;
  walk_t       mid_d, mid;
  said_t       said_d, said;

  // Of the entry that was read.
  typedef struct packed {
    logic high;     // what it points to is at or above 2^PAS; offsets stay inside the page
    logic dir_bad;  // reserved bits of a non-leaf entry of either directory
    logic pc_bad;   // second half of a process context
  } entry_t;
  entry_t entry_d, entry;
  assign entry_d.high    = (data[53:10] & addr_high_i[PaW-1:12]) != '0;
  assign entry_d.dir_bad = (data[9:1] != '0) || (data[63:54] != '0);
  assign entry_d.pc_bad  = (data[59:44] != '0) || !mode_ok(data[63:60], cur.dc.sxl, cfg_i.caps.sv32,
                                                           {cfg_i.caps.sv57, cfg_i.caps.sv48, cfg_i.caps.sv39});

  // ---------------------------------------------------------------- first-stage walk cache
  typedef struct packed {
    logic              hit;
    logic              glob;
    logic [LevelW-1:0] level;
    logic [PpnW-1:0]   ppn;
  } pointer_t;
  pointer_t fs_d, fs;
  logic     fs_lookup;
  assign fs_lookup = phase_i[PhData] && !mem_i && (cur.look == LkStart) && (cur.stage == SgPage) && (cur.pc.mode != PtBare);
  iommu_walk_cache #(
      .Entries   (FsCache),
      .TimingCuts(TimingCuts)
  ) u_fs_cache (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .space_i     (space),
      .vpn_i       (cur.req.iova[58:12]),
      .lookup_i    (fs_lookup),
      .hit_o       (fs_d.hit),
      .level_o     (fs_d.level),
      .ppn_o       (fs_d.ppn),
      .glob_o      (fs_d.glob),
      .fill_i      (said.fs_fill && keep_i && phase_i[PhRoute]),
      .fill_level_i(level_down),
      .fill_ppn_i  (pte.ppn),
      .fill_glob_i (cur.glob || pte.g),
      .inv_i       (inv_fs_i),
      .inv_reach_i (inv_fs_reach_i)
  );

  // ---------------------------------------------------------------- interpret what was read
  logic [63:0] data_gpa;

  // MSI PTE
  logic        msi_reserved_d, msi_reserved;
  always_comb begin
    msi_reserved_d = (cur.pte[62:54] != '0) || (cur.pte[6:3] != '0);
    if (cur.pte[2]) msi_reserved_d = msi_reserved_d || (cur.pte[9:7] != '0);
    else msi_reserved_d = msi_reserved_d || (data[63:61] != '0) || (data[59:54] != '0);
  end

  always_comb begin
    mid_d        = cur;
    said_d       = '0;
    said_d.state = WkDone;
    data_gpa     = cur.req.iova;
    if (phase_i[PhThink]) begin
      mid_d.cause = access;
      if (mem_i) begin
        mid_d.beat   = cur.beat + 3'd1;
        mid_d.err    = err;
        mid_d.poison = poison;
        if (rsp_i.last) begin
          mid_d.beat   = '0;
          mid_d.err    = 1'b0;
          mid_d.poison = 1'b0;
        end
      end

      if (!mem_i && (cur.look == LkStart)) begin
        unique case (cur.stage)
          SgDdt: said_d.state = WkReq;
          SgPdt: begin
            mid_d.level   = pdt_top;
            mid_d.gpa     = pdt_addr(pdt_top, cur.dc.fs_ppn, cur.req.process_id);
            mid_d.why     = (pdt_top == '0) ? WhyPc : WhyPdt;
            said_d.go_gpa = 1'b1;
          end
          default: begin
            if (cur.pc.mode == PtBare) begin
              said_d.go_data = 1'b1;
            end else begin
              mid_d.level = fs.hit ? fs.level : top_level(cur.pc.mode);
              mid_d.glob  = fs.hit && fs.glob;
              mid_d.gpa   = 64'(pte_addr(cur.pc.mode, mid_d.level, 1'b0, fs.hit ? fs.ppn : cur.pc.ppn,
                                       cur.req.iova[58:12]));
              mid_d.why     = WhyFs;
              said_d.go_gpa = 1'b1;
            end
          end
        endcase
      end else if (!mem_i && (cur.look == LkMsi)) begin
        mid_d.rd     = RdMsi;
        mid_d.addr   = {cur.dc.msi_ppn, 12'd0} | {msi_index_i, 4'd0};
        mid_d.cause  = CauseMsiAccess;
        said_d.state = WkReq;
        said_d.fail  = (mid_d.addr & addr_high_i) != '0;
      end else if (updated && !err && !poison && !amo_same_i) begin
        said_d.state = WkReq;  // read it again
      end else begin
        unique case (cur.rd)
          RdDdt: begin
            mid_d.addr   = ddt_addr;
            mid_d.level  = level_down;
            mid_d.rd     = (cur.level == 3'd1) ? RdDc : RdDdt;
            said_d.state = WkReq;
            said_d.fail  = 1'b1;
            if (err) mid_d.cause = CauseDdtAccess;
            else if (poison) mid_d.cause = CauseDdtCorrupt;
            else if (!data[0]) mid_d.cause = CauseDdtInvalid;
            else if (entry.dir_bad) mid_d.cause = CauseDdtMisconf;
            else if (entry.high) mid_d.cause = CauseDdtAccess;
            else said_d.fail = 1'b0;
          end
          RdDc: begin
            mid_d.dc      = dc_next;
            mid_d.verdict = dc_verdict;
            said_d.state  = WkWait;
            if (rsp_i.last) begin
              said_d.state = WkCtx;
              said_d.fail  = 1'b1;
              if (err) mid_d.cause = CauseDdtAccess;
              else if (poison) mid_d.cause = CauseDdtCorrupt;
              else if (!dc_verdict.v) mid_d.cause = CauseDdtInvalid;
              else if (dc_verdict.bad) mid_d.cause = CauseDdtMisconf;
              else begin
                said_d.fail    = 1'b0;
                mid_d.dc_valid = 1'b1;
              end
            end
          end
          RdPdt: begin
            mid_d.level = level_down;
            mid_d.gpa   = pdt_addr(level_down, data[53:10], cur.req.process_id);
            mid_d.why   = (cur.level == 3'd1) ? WhyPc : WhyPdt;
            said_d.fail = 1'b1;
            if (err) mid_d.cause = CausePdtAccess;
            else if (poison) mid_d.cause = CausePdtCorrupt;
            else if (!data[0]) mid_d.cause = CausePdtInvalid;
            else if (entry.dir_bad) mid_d.cause = CausePdtMisconf;
            else begin
              said_d.fail   = 1'b0;
              said_d.go_gpa = 1'b1;
            end
          end
          RdPc: begin
            said_d.state = WkWait;
            if (!rsp_i.last) begin
              mid_d.pc.ens      = data[1];
              mid_d.pc.sum      = data[2];
              mid_d.pc.pscid    = data[31:12];
              mid_d.verdict.v   = data[0];
              mid_d.verdict.bad = (data[11:3] != '0) || (data[63:32] != '0);
            end else begin
              mid_d.pc.mode = decode_mode(data[63:60], cur.dc.sxl);
              mid_d.pc.ppn  = data[PpnW-1:0];
              if (mid_d.pc.mode == PtBare) mid_d.pc.pscid = '0;
              said_d.state = WkCtx;
              said_d.fail  = 1'b1;
              if (err) mid_d.cause = CausePdtAccess;
              else if (poison) mid_d.cause = CausePdtCorrupt;
              else if (!cur.verdict.v) mid_d.cause = CausePdtInvalid;
              else if (cur.verdict.bad || entry.pc_bad) mid_d.cause = CausePdtMisconf;
              else begin
                said_d.fail = 1'b0;
              end
            end
          end
          RdFs: begin
            said_d.fail = 1'b1;
            if (err) mid_d.cause = access;
            else if (poison) mid_d.cause = CausePtCorrupt;
            else if (pte.fault) mid_d.cause = page_cause(cur.req.exec, cur.req.write);
            else begin
              said_d.fail = 1'b0;
              if (!pte.leaf) begin
                said_d.fs_fill = 1'b1;
                mid_d.level    = level_down;
                mid_d.glob     = cur.glob || pte.g;
                mid_d.gpa      = 64'(pte_addr(cur.pc.mode, level_down, 1'b0, pte.ppn, cur.req.iova[58:12]));
                mid_d.why      = WhyFs;
                said_d.go_gpa  = 1'b1;
              end else if (pte.update) begin
                mid_d.fs_pte   = data;
                mid_d.fs_set_d = pte.set_d;
                mid_d.why      = WhyFsAd;  // of the entry that was just read
                said_d.go_gpa  = 1'b1;
              end else begin
                mid_d.fs_size  = pte.size;
                mid_d.fs_pbmt  = pte.pbmt;
                mid_d.fs_perm  = pte.perm;
                mid_d.glob     = cur.glob || pte.g;
                data_gpa       = 64'({pte.ppn, cur.req.iova[11:0]});
                said_d.go_data = 1'b1;
              end
            end
          end
          RdGs: begin
            said_d.fail = 1'b1;
            if (err) begin
              mid_d.cause = gs_access;
            end else if (poison) begin
              mid_d.cause = gs_corrupt;
            end else if (pte.fault) begin
              said_d.guest_fail = 1'b1;
            end else begin
              said_d.fail = 1'b0;
              if (!pte.leaf) begin
                said_d.gs_fill = 1'b1;
                mid_d.glevel   = cur.glevel - 3'd1;
                mid_d.addr     = pte_addr(cur.dc.gs_mode, mid_d.glevel, 1'b0, pte.ppn, cur.gpa[58:12]);
                mid_d.cause    = gs_access;
                said_d.state   = WkReq;
                said_d.fail    = entry.high;
              end else if (pte.update) begin
                mid_d.pte    = data;
                mid_d.set_d  = pte.set_d;
                mid_d.look   = LkAmo;
                said_d.state = WkAmo;
              end else begin
                said_d.at_page = 1'b1;
              end
            end
          end
          default: begin  // RdMsi
            said_d.state = WkWait;
            if (!rsp_i.last) begin
              mid_d.pte = data;
            end else begin
              said_d.fail = 1'b1;
              if (err) mid_d.cause = CauseMsiAccess;
              else if (poison) mid_d.cause = CauseMsiCorrupt;
              else if (!cur.pte[0]) mid_d.cause = CauseMsiInvalid;
              else if (cur.pte[63] || !cur.pte[1] || (!cur.pte[2] && !cfg_i.caps.msi_mrif) || msi_reserved) begin
                mid_d.cause = CauseMsiMisconf;
              end else if (cur.req.exec && !any) begin
                mid_d.cause = CauseExecAccess;
              end else if (!cur.pte[2] && (cur.req.kind == KdDebug)) begin
                mid_d.cause = CauseTypeDisallow;
              end else begin
                said_d.fail   = 1'b0;
                said_d.finish = 1'b1;
                mid_d.msi     = 1'b1;
                mid_d.mrif    = !cur.pte[2];
                mid_d.nppn    = data[53:10];
                mid_d.nid     = {data[60], data[9:0]};
                mid_d.ppn     = cur.pte[2] ? (cur.pte[53:10] & ~addr_high_i[PaW-1:12]) : '0;
                mid_d.gs_size = '0;
                mid_d.gs_pbmt = '0;
                mid_d.gs_perm = '{d: 1'b1, u: 1'b1, x: 1'b0, w: 1'b1, r: 1'b1};
              end
            end
          end
        endcase
      end

      if (said_d.go_data) begin
        mid_d.gpa = data_gpa;
        mid_d.why = WhyData;
      end
    end
  end

  // ---------------------------------------------------------------- second stage
  typedef struct packed {
    logic            hit;
    logic [PpnW-1:0] ppn;
    page_size_t      size;
    logic [1:0]      pbmt;
    pte_perm_t       perm;
  } leaf_t;
  pointer_t gs_d, gs;
  leaf_t    leaf_d, leaf;
  logic     gs_on, gs_lookup, leaf_ok_d, leaf_ok;
  logic     msi_d, msi;        // mid.gpa is an interrupt file's
  logic     gpa_wide_d, gpa_wide;  // beyond what the second stage translates
  logic     go_gpa;            // translate mid.gpa
  assign gs_on     = cur.dc.gs_mode != PtBare;
  assign msi_d     = said.go_data &&
                     msi_match(cur.dc.msi_on, cur.dc.msi_pattern, cur.dc.msi_mask, mid.gpa[63:12], '0);
  assign go_gpa    = said.go_gpa || (said.go_data && !msi);
  assign gs_lookup = go_gpa && gs_on;
  assign second_o  = gs_on && (said.go_gpa || said.go_data);

  iommu_gs_tlb #(
      .Entries   (GsTlb),
      .TimingCuts(TimingCuts)
  ) u_gs_tlb (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .space_i    (space),
      .vpn_i      (mid.gpa[58:12]),
      .lookup_i   (gs_lookup && phase_i[PhMatch]),
      .hit_o      (leaf_d.hit),
      .ppn_o      (leaf_d.ppn),
      .size_o     (leaf_d.size),
      .pbmt_o     (leaf_d.pbmt),
      .perm_o     (leaf_d.perm),
      .fill_i     (said.at_page && keep_i && phase_i[PhAddr]),
      .fill_ppn_i (pte.ppn),
      .fill_size_i(pte.size),
      .fill_pbmt_i(pte.pbmt),
      .fill_perm_i(pte.perm),
      .inv_i      (inv_leaf_i),
      .inv_reach_i(inv_leaf_reach_i)
  );

  iommu_walk_cache #(
      .Entries   (GsCache),
      .Second    (1'b1),
      .TimingCuts(TimingCuts)
  ) u_gs_cache (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .space_i     (space),
      .vpn_i       (mid.gpa[58:12]),
      .lookup_i    (gs_lookup && phase_i[PhMatch] && (TimingCuts || !leaf_ok)),
      .hit_o       (gs_d.hit),
      .level_o     (gs_d.level),
      .ppn_o       (gs_d.ppn),
      .glob_o      (gs_d.glob),
      .fill_i      (said.gs_fill && keep_i && phase_i[PhAddr]),
      .fill_level_i(cur.glevel - 3'd1),
      .fill_ppn_i  (pte.ppn),
      .fill_glob_i (1'b0),
      .inv_i       (inv_gs_i),
      .inv_reach_i (inv_gs_reach_i)
  );

  // A leaf that does not permit the access is read again: what memory says now
  // decides. ATS wants what memory says in any case.
  logic want_exec, want_write;
  assign want_exec  = (mid.why == WhyData) && cur.req.exec;
  assign want_write = (mid.why == WhyData) ? cur.req.write : (mid.why == WhyFsAd);
  assign leaf_ok_d  = leaf.hit && pte_permits(leaf.perm, want_exec, want_write, 1'b0, 1'b0) &&
                      !(any && (mid.why == WhyData));

  always_comb begin
    unique case (cur.dc.gs_mode)
      Pt32:    gpa_wide_d = mid.gpa[63:34] != '0;
      Pt39:    gpa_wide_d = mid.gpa[63:41] != '0;
      Pt48:    gpa_wide_d = mid.gpa[63:50] != '0;
      default: gpa_wide_d = mid.gpa[63:59] != '0;
    endcase
    if (cur.dc.sxl && (mid.gpa[63:34] != '0)) gpa_wide_d = 1'b1;
  end

  // ---------------------------------------------------------------- go on
  logic           resume;    // spa is the physical address of mid.gpa
  logic [PaW-1:0] spa_d, spa, gs_addr_d, gs_addr;
  logic           begin_gs;  // a walk of the second stage begins, at gs_addr
  logic [LevelW-1:0] gs_level;
  assign begin_gs = gs_lookup && !gpa_wide && !leaf_ok;
  assign resume   = said.at_page || (go_gpa && (!gs_on || (!gpa_wide && leaf_ok)));
  always_comb begin
    if (said.at_page) spa_d = {pte.ppn, mid.gpa[11:0]};
    else if (gs_on) spa_d = {leaf.ppn, mid.gpa[11:0]};
    else spa_d = mid.gpa[PaW-1:0];
  end
  assign gs_level  = gs.hit ? gs.level : top_level(cur.dc.gs_mode);
  assign gs_addr_d = pte_addr(cur.dc.gs_mode, gs_level, !gs.hit, gs.hit ? gs.ppn : cur.dc.gs_ppn, mid.gpa[58:12]);

  logic beyond;  // a physical address that is needed next is at or above 2^PAS
  logic deny;
  always_comb begin
    nxt_o   = mid;
    state_o = said.state;
    beyond  = 1'b0;
    deny    = said.fail;
    if (msi) begin
      nxt_o.look = LkMsi;
      state_o    = WkMsi;
    end
    if (phase_i[PhEnd]) begin
      if (said.guest_fail || (gs_lookup && gpa_wide)) begin
        deny          = 1'b1;
        nxt_o.cause   = guest_cause(cur.req.exec, cur.req.write);
        nxt_o.iotval2 = {mid.gpa[63:2], mid.why == WhyFsAd, mid.why != WhyData};
      end else if (begin_gs) begin
        nxt_o.rd     = RdGs;
        nxt_o.glevel = gs_level;
        nxt_o.addr   = gs_addr;
        nxt_o.cause  = (mid.why inside {WhyPdt, WhyPc}) ? CausePdtAccess : access;
        state_o      = WkReq;
        beyond       = (gs_addr & addr_high_i) != '0;
      end else if (resume || said.finish) begin
        beyond = resume && ((spa & addr_high_i) != '0);
        if (resume) nxt_o.addr = spa;
        unique case (mid.why)
          WhyPdt: begin
            nxt_o.rd    = RdPdt;
            nxt_o.cause = CausePdtAccess;
            state_o     = WkReq;
          end
          WhyPc: begin
            nxt_o.rd    = RdPc;
            nxt_o.cause = CausePdtAccess;
            state_o     = WkReq;
          end
          WhyFs: begin
            nxt_o.rd    = RdFs;
            nxt_o.cause = access;
            state_o     = WkReq;
          end
          WhyFsAd: begin
            nxt_o.rd    = RdFs;
            nxt_o.pte   = mid.fs_pte;
            nxt_o.set_d = mid.fs_set_d;
            nxt_o.look  = LkAmo;
            nxt_o.cause = access;
            state_o     = WkAmo;
          end
          default: begin  // WhyData: the end
            nxt_o.cause = access;
            state_o     = WkDone;
            if (resume) begin
              nxt_o.ppn     = spa[PaW-1:12];
              nxt_o.gs_size = said.at_page ? pte.size : gs_on ? leaf.size : '1;
              nxt_o.gs_pbmt = said.at_page ? pte.pbmt : gs_on ? leaf.pbmt : '0;
              nxt_o.gs_perm = said.at_page ? pte.perm : gs_on ? leaf.perm : '1;
            end
          end
        endcase
      end
      if (deny || beyond) begin
        nxt_o.deny = 1'b1;
        state_o    = WkDone;
      end
    end
  end

  always_comb begin
    events_o = '0;
    if (phase_i[PhEnd]) begin
      if (!mem_i && (cur.look == LkStart)) begin
        events_o[5] = cur.stage == SgDdt;
        events_o[6] = cur.stage == SgPdt;
        events_o[7] = (cur.stage == SgPage) && (cur.pc.mode != PtBare);
      end
      events_o[8] = begin_gs;
    end
  end

  // ---------------------------------------------------------------- registers between the parts
  if (TimingCuts) begin : gen_cuts
    always_ff @(posedge clk_i) begin
      if (phase_i[PhData]) data <= data_d;
      if (phase_i[PhCheck]) begin
        dc_next      <= dc_next_d;
        dc_verdict   <= dc_verdict_d;
        pte          <= pte_d;
        msi_reserved <= msi_reserved_d;
        entry        <= entry_d;
        fs           <= fs_d;
      end
      if (phase_i[PhThink]) begin
        mid  <= mid_d;
        said <= said_d;
      end
      if (phase_i[PhRoute]) begin
        msi      <= msi_d;
        gpa_wide <= gpa_wide_d;
      end
      if (phase_i[PhRead]) begin
        leaf <= leaf_d;
        gs   <= gs_d;
      end
      if (phase_i[PhAddr]) begin
        leaf_ok <= leaf_ok_d;
        spa     <= spa_d;
        gs_addr <= gs_addr_d;
      end
    end
  end else begin : gen_no_cuts
    assign data         = data_d;
    assign dc_next      = dc_next_d;
    assign dc_verdict   = dc_verdict_d;
    assign pte          = pte_d;
    assign msi_reserved = msi_reserved_d;
    assign entry        = entry_d;
    assign fs           = fs_d;
    assign mid          = mid_d;
    assign said         = said_d;
    assign msi          = msi_d;
    assign gpa_wide     = gpa_wide_d;
    assign leaf         = leaf_d;
    assign gs           = gs_d;
    assign leaf_ok      = leaf_ok_d;
    assign spa          = spa_d;
    assign gs_addr      = gs_addr_d;
  end

  `IOMMU_ASSERT(StepOnePhase, !TimingCuts || $onehot0(phase_i))
  `IOMMU_ASSERT(StepOneOutcome,
                !phase_i[PhEnd] || $onehot0({said.fail, said.go_gpa, said.go_data, said.at_page, said.finish}))
  `IOMMU_ASSERT(StepContextLength,
                !(phase_i[PhEnd] && mem_i && (cur.rd == RdDc)) ||
                (rsp_i.last == (cur.beat == (cfg_i.caps.msi_flat ? 3'd7 : 3'd3))))
  `IOMMU_ASSERT(StepSingleBeat, !(phase_i[PhEnd] && mem_i) || (cur.rd inside {RdDc, RdPc, RdMsi}) || rsp_i.last)

  logic unused;
  assign unused = &{1'b0, cfg_i, gs.glob, fs_d, gs_d, rsp_i.id};
endmodule

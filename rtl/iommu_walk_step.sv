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
// Combinational from step_valid_i to nxt_o, so that the next read can leave in
// the cycle in which its address becomes known.

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
    input  logic           step_valid_i,
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
  logic [63:0] raw, data;
  assign big_endian = (cur.rd inside {RdPdt, RdPc, RdFs}) ? cur.dc.sbe : cfg_i.be;
  assign updated    = !mem_i && (cur.look == LkAmo);

  logic entry32;  // a PTE of 4 bytes
  assign entry32 = ((cur.rd == RdFs) && (cur.pc.mode == Pt32)) || ((cur.rd == RdGs) && (cur.dc.gs_mode == Pt32));

  always_comb begin
    raw = rsp_i.data;
    if (entry32) raw = {32'd0, cur.addr[2] ? rsp_i.data[63:32] : rsp_i.data[31:0]};
    data = raw;
    if (big_endian) begin
      for (int unsigned i = 0; i < 8; i++) data[8*i+:8] = raw[8*(7-i)+:8];
      if (entry32) data = {32'd0, data[63:32]};
    end
    // What an update has written.
    if (updated) data = cur.pte | {56'd0, cur.set_d, 7'b100_0000};
  end

  logic err, poison;  // of the whole read, at its last beat
  assign err    = mem_i ? (rsp_i.err || cur.err) : amo_err_i;
  assign poison = mem_i ? (rsp_i.poison || cur.poison) : amo_poison_i;

  dc_t      dc_next;
  verdict_t dc_verdict;
  iommu_dc_check u_dc_check (
      .cfg_i    (cfg_i),
      .beat_i   (cur.beat),
      .data_i   (data),
      .dc_i     (cur.dc),
      .verdict_i(cur.verdict),
      .dc_o     (dc_next),
      .verdict_o(dc_verdict)
  );

  // ---------------------------------------------------------------- PTE of either stage
  logic            is_gs, pte_fault, pte_leaf, pte_update, pte_set_d, pte_g;
  logic            acc_exec, acc_write;
  logic [PpnW-1:0] pte_ppn;
  page_size_t      pte_size;
  logic [1:0]      pte_pbmt;
  pte_perm_t       pte_perm;
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
      .fault_o (pte_fault),
      .leaf_o  (pte_leaf),
      .update_o(pte_update),
      .set_d_o (pte_set_d),
      .ppn_o   (pte_ppn),
      .size_o  (pte_size),
      .pbmt_o  (pte_pbmt),
      .g_o     (pte_g),
      .perm_o  (pte_perm)
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

  // ---------------------------------------------------------------- first-stage walk cache
  logic              fs_lookup, fs_hit, fs_glob, fs_fill;
  logic [LevelW-1:0] fs_level;
  logic [PpnW-1:0]   fs_ppn;
  assign fs_lookup = step_valid_i && !mem_i && (cur.look == LkStart) && (cur.stage == SgPage) && (cur.pc.mode != PtBare);
  iommu_walk_cache #(
      .Entries(FsCache)
  ) u_fs_cache (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .space_i     (space),
      .vpn_i       (cur.req.iova[58:12]),
      .lookup_i    (fs_lookup),
      .hit_o       (fs_hit),
      .level_o     (fs_level),
      .ppn_o       (fs_ppn),
      .glob_o      (fs_glob),
      .fill_i      (fs_fill && keep_i),
      .fill_level_i(level_down),
      .fill_ppn_i  (pte_ppn),
      .fill_glob_i (cur.glob || pte_g),
      .inv_i       (inv_fs_i),
      .inv_reach_i (inv_fs_reach_i)
  );

  // ---------------------------------------------------------------- interpret what was read
  walk_t       mid;
  walk_state_e mid_state;
  logic        fail;       // stop with mid.cause
  logic        guest_fail; // a guest-page fault
  logic        go_gpa;     // translate mid.gpa for mid.why
  logic        at_page;    // the second stage has led to the page at pte_ppn
  logic        finish;     // the access's page is in mid.ppn
  logic        gs_fill;    // a pointer of the second stage was read
  logic        go_data;
  logic [63:0] data_gpa;

  // MSI PTE
  logic        msi_reserved;
  always_comb begin
    msi_reserved = (cur.pte[62:54] != '0) || (cur.pte[6:3] != '0);
    if (cur.pte[2]) msi_reserved = msi_reserved || (cur.pte[9:7] != '0);
    else msi_reserved = msi_reserved || (data[63:61] != '0) || (data[59:54] != '0);
  end

  always_comb begin
    mid        = cur;
    mid_state  = WkDone;
    fail       = 1'b0;
    guest_fail = 1'b0;
    go_gpa     = 1'b0;
    at_page    = 1'b0;
    finish     = 1'b0;
    fs_fill    = 1'b0;
    gs_fill    = 1'b0;
    go_data    = 1'b0;
    data_gpa   = cur.req.iova;
    if (step_valid_i) begin
      mid.cause = access;
      if (mem_i) begin
        mid.beat   = cur.beat + 3'd1;
        mid.err    = err;
        mid.poison = poison;
        if (rsp_i.last) begin
          mid.beat   = '0;
          mid.err    = 1'b0;
          mid.poison = 1'b0;
        end
      end

      if (!mem_i && (cur.look == LkStart)) begin
        unique case (cur.stage)
          SgDdt: mid_state = WkReq;
          SgPdt: begin
            mid.level = pdt_top;
            mid.gpa   = pdt_addr(pdt_top, cur.dc.fs_ppn, cur.req.process_id);
            mid.why   = (pdt_top == '0) ? WhyPc : WhyPdt;
            go_gpa    = 1'b1;
          end
          default: begin
            if (cur.pc.mode == PtBare) begin
              go_data = 1'b1;
            end else begin
              mid.level = fs_hit ? fs_level : top_level(cur.pc.mode);
              mid.glob  = fs_hit && fs_glob;
              mid.gpa   = 64'(pte_addr(cur.pc.mode, mid.level, 1'b0, fs_hit ? fs_ppn : cur.pc.ppn,
                                       cur.req.iova[58:12]));
              mid.why   = WhyFs;
              go_gpa    = 1'b1;
            end
          end
        endcase
      end else if (!mem_i && (cur.look == LkMsi)) begin
        mid.rd    = RdMsi;
        mid.addr  = {cur.dc.msi_ppn, 12'd0} | {msi_index_i, 4'd0};
        mid.cause = CauseMsiAccess;
        mid_state = WkReq;
        fail      = (mid.addr & addr_high_i) != '0;
      end else if (updated && !err && !poison && !amo_same_i) begin
        mid_state = WkReq;  // read it again
      end else begin
        unique case (cur.rd)
          RdDdt: begin
            mid.addr  = ddt_addr;
            mid.level = level_down;
            mid.rd    = (cur.level == 3'd1) ? RdDc : RdDdt;
            mid_state = WkReq;
            fail      = 1'b1;
            if (err) mid.cause = CauseDdtAccess;
            else if (poison) mid.cause = CauseDdtCorrupt;
            else if (!data[0]) mid.cause = CauseDdtInvalid;
            else if ((data[9:1] != '0) || (data[63:54] != '0)) mid.cause = CauseDdtMisconf;
            else if ((ddt_addr & addr_high_i) != '0) mid.cause = CauseDdtAccess;
            else fail = 1'b0;
          end
          RdDc: begin
            mid.dc      = dc_next;
            mid.verdict = dc_verdict;
            mid_state   = WkWait;
            if (rsp_i.last) begin
              mid_state = WkCtx;
              fail      = 1'b1;
              if (err) mid.cause = CauseDdtAccess;
              else if (poison) mid.cause = CauseDdtCorrupt;
              else if (!dc_verdict.v) mid.cause = CauseDdtInvalid;
              else if (dc_verdict.bad) mid.cause = CauseDdtMisconf;
              else begin
                fail         = 1'b0;
                mid.dc_valid = 1'b1;
              end
            end
          end
          RdPdt: begin
            mid.level = level_down;
            mid.gpa   = pdt_addr(level_down, data[53:10], cur.req.process_id);
            mid.why   = (cur.level == 3'd1) ? WhyPc : WhyPdt;
            fail      = 1'b1;
            if (err) mid.cause = CausePdtAccess;
            else if (poison) mid.cause = CausePdtCorrupt;
            else if (!data[0]) mid.cause = CausePdtInvalid;
            else if ((data[9:1] != '0) || (data[63:54] != '0)) mid.cause = CausePdtMisconf;
            else begin
              fail   = 1'b0;
              go_gpa = 1'b1;
            end
          end
          RdPc: begin
            mid_state = WkWait;
            if (!rsp_i.last) begin
              mid.pc.ens      = data[1];
              mid.pc.sum      = data[2];
              mid.pc.pscid    = data[31:12];
              mid.verdict.v   = data[0];
              mid.verdict.bad = (data[11:3] != '0) || (data[63:32] != '0);
            end else begin
              mid.pc.mode = decode_mode(data[63:60], cur.dc.sxl);
              mid.pc.ppn  = data[PpnW-1:0];
              if (mid.pc.mode == PtBare) mid.pc.pscid = '0;
              mid_state   = WkCtx;
              fail        = 1'b1;
              if (err) mid.cause = CausePdtAccess;
              else if (poison) mid.cause = CausePdtCorrupt;
              else if (!cur.verdict.v) mid.cause = CausePdtInvalid;
              else if (cur.verdict.bad || (data[59:44] != '0) ||
                       !mode_ok(data[63:60], cur.dc.sxl, cfg_i.caps.sv32,
                                {cfg_i.caps.sv57, cfg_i.caps.sv48, cfg_i.caps.sv39})) begin
                mid.cause = CausePdtMisconf;
              end else begin
                fail = 1'b0;
              end
            end
          end
          RdFs: begin
            fail = 1'b1;
            if (err) mid.cause = access;
            else if (poison) mid.cause = CausePtCorrupt;
            else if (pte_fault) mid.cause = page_cause(cur.req.exec, cur.req.write);
            else begin
              fail = 1'b0;
              if (!pte_leaf) begin
                fs_fill   = 1'b1;
                mid.level = level_down;
                mid.glob  = cur.glob || pte_g;
                mid.gpa   = 64'(pte_addr(cur.pc.mode, level_down, 1'b0, pte_ppn, cur.req.iova[58:12]));
                mid.why   = WhyFs;
                go_gpa    = 1'b1;
              end else if (pte_update) begin
                mid.fs_pte   = data;
                mid.fs_set_d = pte_set_d;
                mid.why      = WhyFsAd;  // of the entry that was just read
                go_gpa       = 1'b1;
              end else begin
                mid.fs_size = pte_size;
                mid.fs_pbmt = pte_pbmt;
                mid.fs_perm = pte_perm;
                mid.glob    = cur.glob || pte_g;
                data_gpa    = 64'({pte_ppn, cur.req.iova[11:0]});
                go_data     = 1'b1;
              end
            end
          end
          RdGs: begin
            fail = 1'b1;
            if (err) begin
              mid.cause = gs_access;
            end else if (poison) begin
              mid.cause = gs_corrupt;
            end else if (pte_fault) begin
              guest_fail = 1'b1;
            end else begin
              fail = 1'b0;
              if (!pte_leaf) begin
                gs_fill    = 1'b1;
                mid.glevel = cur.glevel - 3'd1;
                mid.addr   = pte_addr(cur.dc.gs_mode, mid.glevel, 1'b0, pte_ppn, cur.gpa[58:12]);
                mid.cause  = gs_access;
                mid_state  = WkReq;
                fail       = (mid.addr & addr_high_i) != '0;
              end else if (pte_update) begin
                mid.pte   = data;
                mid.set_d = pte_set_d;
                mid.look  = LkAmo;
                mid_state = WkAmo;
              end else begin
                at_page = 1'b1;
              end
            end
          end
          default: begin  // RdMsi
            mid_state = WkWait;
            if (!rsp_i.last) begin
              mid.pte = data;
            end else begin
              fail = 1'b1;
              if (err) mid.cause = CauseMsiAccess;
              else if (poison) mid.cause = CauseMsiCorrupt;
              else if (!cur.pte[0]) mid.cause = CauseMsiInvalid;
              else if (cur.pte[63] || !cur.pte[1] || (!cur.pte[2] && !cfg_i.caps.msi_mrif) || msi_reserved) begin
                mid.cause = CauseMsiMisconf;
              end else if (cur.req.exec && !any) begin
                mid.cause = CauseExecAccess;
              end else if (!cur.pte[2] && (cur.req.kind == KdDebug)) begin
                mid.cause = CauseTypeDisallow;
              end else begin
                fail        = 1'b0;
                finish      = 1'b1;
                mid.msi     = 1'b1;
                mid.mrif    = !cur.pte[2];
                mid.nppn    = data[53:10];
                mid.nid     = {data[60], data[9:0]};
                mid.ppn     = cur.pte[2] ? (cur.pte[53:10] & ~addr_high_i[PaW-1:12]) : '0;
                mid.gs_size = '0;
                mid.gs_pbmt = '0;
                mid.gs_perm = '{d: 1'b1, u: 1'b1, x: 1'b0, w: 1'b1, r: 1'b1};
              end
            end
          end
        endcase
      end

      if (go_data) begin
        mid.gpa = data_gpa;
        mid.why = WhyData;
        if (msi_match(cur.dc.msi_on, cur.dc.msi_pattern, cur.dc.msi_mask, data_gpa[63:12], '0)) begin
          mid.look  = LkMsi;
          mid_state = WkMsi;
        end else begin
          go_gpa = 1'b1;
        end
      end
    end
  end

  // ---------------------------------------------------------------- second stage
  logic              gs_on, gs_lookup, gs_hit, leaf_hit, leaf_ok, gs_glob;
  logic [LevelW-1:0] gs_level;
  logic [PpnW-1:0]   gs_ppn, leaf_ppn;
  page_size_t        leaf_size;
  logic [1:0]        leaf_pbmt;
  pte_perm_t         leaf_perm;
  assign gs_on     = cur.dc.gs_mode != PtBare;
  assign gs_lookup = go_gpa && gs_on;

  iommu_gs_tlb #(
      .Entries(GsTlb)
  ) u_gs_tlb (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .space_i    (space),
      .vpn_i      (mid.gpa[58:12]),
      .lookup_i   (gs_lookup),
      .hit_o      (leaf_hit),
      .ppn_o      (leaf_ppn),
      .size_o     (leaf_size),
      .pbmt_o     (leaf_pbmt),
      .perm_o     (leaf_perm),
      .fill_i     (at_page && keep_i),
      .fill_ppn_i (pte_ppn),
      .fill_size_i(pte_size),
      .fill_pbmt_i(pte_pbmt),
      .fill_perm_i(pte_perm),
      .inv_i      (inv_leaf_i),
      .inv_reach_i(inv_leaf_reach_i)
  );

  iommu_walk_cache #(
      .Entries(GsCache),
      .Second (1'b1)
  ) u_gs_cache (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .space_i     (space),
      .vpn_i       (mid.gpa[58:12]),
      .lookup_i    (gs_lookup && !leaf_ok),
      .hit_o       (gs_hit),
      .level_o     (gs_level),
      .ppn_o       (gs_ppn),
      .glob_o      (gs_glob),
      .fill_i      (gs_fill && keep_i),
      .fill_level_i(cur.glevel - 3'd1),
      .fill_ppn_i  (pte_ppn),
      .fill_glob_i (1'b0),
      .inv_i       (inv_gs_i),
      .inv_reach_i (inv_gs_reach_i)
  );

  // A leaf that does not permit the access is read again: what memory says now
  // decides. ATS wants what memory says in any case.
  logic want_exec, want_write;
  assign want_exec  = (mid.why == WhyData) && cur.req.exec;
  assign want_write = (mid.why == WhyData) ? cur.req.write : (mid.why == WhyFsAd);
  assign leaf_ok    = leaf_hit && pte_permits(leaf_perm, want_exec, want_write, 1'b0, 1'b0) &&
                      !(any && (mid.why == WhyData));

  logic gpa_wide;  // beyond what the second stage translates
  always_comb begin
    unique case (cur.dc.gs_mode)
      Pt32:    gpa_wide = mid.gpa[63:34] != '0;
      Pt39:    gpa_wide = mid.gpa[63:41] != '0;
      Pt48:    gpa_wide = mid.gpa[63:50] != '0;
      default: gpa_wide = mid.gpa[63:59] != '0;
    endcase
    if (cur.dc.sxl && (mid.gpa[63:34] != '0)) gpa_wide = 1'b1;
  end

  // ---------------------------------------------------------------- go on
  logic           resume;    // spa is the physical address of mid.gpa
  logic [PaW-1:0] spa;
  logic           begin_gs;  // a walk of the second stage begins
  assign begin_gs = gs_lookup && !gpa_wide && !leaf_ok;
  assign resume   = at_page || (go_gpa && (!gs_on || (!gpa_wide && leaf_ok)));
  always_comb begin
    if (at_page) spa = {pte_ppn, mid.gpa[11:0]};
    else if (gs_on) spa = {leaf_ppn, mid.gpa[11:0]};
    else spa = mid.gpa[PaW-1:0];
  end

  logic beyond;  // a physical address that is needed next is at or above 2^PAS
  logic deny;
  always_comb begin
    nxt_o   = mid;
    state_o = mid_state;
    beyond  = 1'b0;
    deny    = fail;
    if (step_valid_i) begin
      if (guest_fail || (gs_lookup && gpa_wide)) begin
        deny          = 1'b1;
        nxt_o.cause   = guest_cause(cur.req.exec, cur.req.write);
        nxt_o.iotval2 = {mid.gpa[63:2], mid.why == WhyFsAd, mid.why != WhyData};
      end else if (begin_gs) begin
        nxt_o.rd     = RdGs;
        nxt_o.glevel = gs_hit ? gs_level : top_level(cur.dc.gs_mode);
        nxt_o.addr   = pte_addr(cur.dc.gs_mode, nxt_o.glevel, !gs_hit, gs_hit ? gs_ppn : cur.dc.gs_ppn, mid.gpa[58:12]);
        nxt_o.cause  = (mid.why inside {WhyPdt, WhyPc}) ? CausePdtAccess : access;
        state_o      = WkReq;
        beyond       = (nxt_o.addr & addr_high_i) != '0;
      end else if (resume || finish) begin
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
              nxt_o.gs_size = at_page ? pte_size : gs_on ? leaf_size : '1;
              nxt_o.gs_pbmt = at_page ? pte_pbmt : gs_on ? leaf_pbmt : '0;
              nxt_o.gs_perm = at_page ? pte_perm : gs_on ? leaf_perm : '1;
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
    if (step_valid_i) begin
      if (!mem_i && (cur.look == LkStart)) begin
        events_o[5] = cur.stage == SgDdt;
        events_o[6] = cur.stage == SgPdt;
        events_o[7] = (cur.stage == SgPage) && (cur.pc.mode != PtBare);
      end
      events_o[8] = begin_gs;
    end
  end

  `IOMMU_ASSERT(StepOneOutcome, $onehot0({fail, go_gpa, at_page, finish}))
  `IOMMU_ASSERT(StepContextLength,
                !(step_valid_i && mem_i && (cur.rd == RdDc)) ||
                (rsp_i.last == (cur.beat == (cfg_i.caps.msi_flat ? 3'd7 : 3'd3))))
  `IOMMU_ASSERT(StepSingleBeat, !(step_valid_i && mem_i) || (cur.rd inside {RdDc, RdPc, RdMsi}) || rsp_i.last)

  logic unused;
  assign unused = &{1'b0, cfg_i, gs_glob, rsp_i.id, TimingCuts};
endmodule

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
// between the parts, and a step takes a cycle a phase; the slot and rsp_i stand
// still meanwhile, so that these registers (iommu_cut) need no enables. What lookups
// find is taken once (PhVerdict, PhRead), so that an invalidation in between changes
// nothing in a step that has begun before it.

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
    input  walk_t          cur_i,         // the slot: its walk,
    input  xreq_t          req_i,         // request,
    input  dc_t            dc_i,          // device context,
    input  pc_t            pc_i,          // and first-stage context
    input  logic           keep_i,        // what it reads may be kept
    input  mem_rrsp_t      rsp_i,         // the beat
    input  logic [51:0]    msi_index_i,   // look LkMsi: number of the interrupt file
    input  logic           amo_same_i,    // look LkAmo: the entry was as read, and is updated
    input  logic           amo_err_i,
    input  logic           amo_poison_i,
    output walk_t          nxt_o,
    output logic           dc_we_o,       // the fields dc_fields_o of dc_o are new too,
    output dc_t            dc_o,
    output dc_t            dc_fields_o,
    output logic           pc_we_o,       // or pc_o is
    output pc_t            pc_o,
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
  xreq_t req;
  dc_t   dc;
  pc_t   pc;
  assign cur = cur_i;
  assign req = req_i;
  assign dc  = dc_i;
  assign pc  = pc_i;

  space_t space;
  assign space = '{gs_mode: dc.gs_mode, gscid: dc.gscid, fs_mode: pc.mode, pscid: pc.pscid};

  logic any;  // every permission is an answer
  assign any = req.kind == KdAts;

  // ---------------------------------------------------------------- read data
  // How it lies in memory, and how a PTE's access is seen.
  typedef struct packed {
    logic big_endian;
    logic entry32;    // a PTE of 4 bytes
    logic high32;     // in the upper half
    logic updated;    // it is what an update has written
    logic acc_exec;
    logic acc_write;
    pt_mode_e          mode;
    logic [LevelW-1:0] level;
    logic              ade;
  } shape_t;
  shape_t      shape_d, shape;
  logic [63:0] raw, ordered, data;
  logic        acc_exec, acc_write;
  assign shape_d = '{
          big_endian: (cur.rd inside {RdPdt, RdPc, RdFs}) ? dc.sbe : cfg_i.be,
          entry32: ((cur.rd == RdFs) && (pc.mode == Pt32)) || ((cur.rd == RdGs) && (dc.gs_mode == Pt32)),
          high32: cur.addr[2],
          updated: !mem_i && (cur.look == LkAmo),
          acc_exec: acc_exec,
          acc_write: acc_write,
          mode: (cur.rd == RdGs) ? dc.gs_mode : pc.mode,
          level: (cur.rd == RdGs) ? cur.glevel : cur.level,
          ade: (cur.rd == RdGs) ? dc.gade : dc.sade
      };
  iommu_cut #(.T(shape_t), .Cut(TimingCuts)) u_cut_shape (.clk_i, .d_i(shape_d), .q_o(shape));
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_data (.clk_i, .d_i(ordered), .q_o(data));

  always_comb begin
    raw = rsp_i.data;
    if (shape.entry32) raw = {32'd0, shape.high32 ? rsp_i.data[63:32] : rsp_i.data[31:0]};
    ordered = raw;
    if (shape.big_endian) begin
      for (int unsigned i = 0; i < 8; i++) ordered[8*i+:8] = raw[8*(7-i)+:8];
      if (shape.entry32) ordered = {32'd0, ordered[63:32]};
    end
    if (shape.updated) ordered = cur.pte | {56'd0, cur.set_d, 7'b100_0000};
  end

  logic err, poison;  // of the whole read, at its last beat
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_err (
      .clk_i, .d_i(mem_i ? (rsp_i.err || cur.err) : amo_err_i), .q_o(err)
  );
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_poison (
      .clk_i, .d_i(mem_i ? (rsp_i.poison || cur.poison) : amo_poison_i), .q_o(poison)
  );

  verdict_t dc_verdict;
  iommu_dc_check #(
      .TimingCuts(TimingCuts)
  ) u_dc_check (
      .clk_i    (clk_i),
      .cfg_i    (cfg_i),
      .beat_i   (cur.beat),
      .data_i   (data),
      .dc_i     (dc),
      .verdict_i(cur.verdict),
      .dc_o     (dc_o),
      .verdict_o(dc_verdict)
  );
  assign dc_we_o     = mem_i && (cur.rd == RdDc);
  assign dc_fields_o = dc_fields(cur.beat);

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
  logic     is_gs;
  assign is_gs = cur.rd == RdGs;
  iommu_cut #(.T(checked_t), .Cut(TimingCuts)) u_cut_pte (.clk_i, .d_i(pte_d), .q_o(pte));

  // Access as the second stage sees it: reads of tables, or writes of A and D.
  always_comb begin
    acc_exec  = req.exec;
    acc_write = req.write;
    if (is_gs) begin
      if (cur.why != WhyData) begin
        acc_exec  = 1'b0;
        acc_write = cur.why == WhyFsAd;
      end else if (any && (pc.mode != PtBare)) begin
        // A clean page of a first stage that does not set D grants no write.
        acc_write = req.write && cur.fs_perm.w && cur.fs_perm.d;
      end
    end
  end

  iommu_pte_check #(
      .TimingCuts(TimingCuts)
  ) u_pte_check (
      .clk_i   (clk_i),
      .svpbmt_i(cfg_i.caps.svpbmt),
      .svrsw_i (cfg_i.caps.svrsw60t59b),
      .mode_i  (shape.mode),
      .gs_i    (is_gs),
      .pte_i   (data),
      .level_i (shape.level),
      .vpn_i   (is_gs ? cur.gpa[58:12] : req.iova[58:12]),
      .exec_i  (shape.acc_exec),
      .write_i (shape.acc_write),
      .priv_i  (cur.priv),
      .sum_i   (pc.sum),
      .any_i   (any && (!is_gs || (cur.why == WhyData))),
      .ade_i   (shape.ade),
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
  iommu_cut #(.T(logic [11:0]), .Cut(TimingCuts)) u_cut_access (
      .clk_i, .d_i(access_cause(req.exec, req.write)), .q_o(access)
  );
  assign for_pdt    = cur.why inside {WhyPdt, WhyPc};
  assign gs_access  = for_pdt ? CausePdtAccess : access;
  assign gs_corrupt = for_pdt ? CausePdtCorrupt : CausePtCorrupt;

  // ---------------------------------------------------------------- directories
  logic [11:0]    ddt_offset;
  always_comb begin
    if (cur.level == 3'd2) begin
      ddt_offset = cfg_i.caps.msi_flat ? {req.device_id[14:6], 3'd0} : {req.device_id[15:7], 3'd0};
    end else begin
      ddt_offset = cfg_i.caps.msi_flat ? {req.device_id[5:0], 6'd0} : {req.device_id[6:0], 5'd0};
    end
  end

  logic [LevelW-1:0] pdt_top, level_down;
  assign pdt_top    = LevelW'(dc.fs_mode[1:0]) - 3'd1;
  assign level_down = cur.level - 3'd1;

  // What the step has made of it.
  typedef struct packed {
    walk_state_e state;
    logic        fail;       // stop with mid.cause
    logic        in_table;   // mid.addr is an MSI PTE's, to be compared with 2^PAS
    logic        guest_fail; // a guest-page fault
    logic        go_gpa;     // translate mid.gpa for mid.why
    logic        go_data;    // the same, or mid.gpa is an interrupt file's
    logic        at_page;    // the second stage has led to the page at pte.ppn
    logic        finish;     // the access's page is in mid.addr
    logic        fs_fill;    // a pointer of the first stage was read
    logic        gs_fill;    // of the second stage
    // what becomes of the walk
    logic        cause;      // heard.cause
    logic        level;      // heard.level
    logic        to_pdt;     // mid.gpa is an entry of the process directory
    logic        to_fs;      // of the first stage
    logic        fs_root;    // the first of a walk
    logic        fs_leaf;    // the first stage's page is known
    logic        fs_ad;      // its entry is to be updated
    logic        gs_ad;      // the second stage's is
    logic        in_ddt;     // mid.addr is in the device directory
    logic        in_gs;      // in the second stage
    logic        dc_done;    // the device context is complete
    logic        msi_first;  // first half of an MSI PTE
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
  iommu_cut #(.T(entry_t), .Cut(TimingCuts)) u_cut_entry (.clk_i, .d_i(entry_d), .q_o(entry));
  assign entry_d.high    = (data[53:10] & addr_high_i[PaW-1:12]) != '0;
  assign entry_d.dir_bad = (data[9:1] != '0) || (data[63:54] != '0);
  assign entry_d.pc_bad  = (data[59:44] != '0) || !mode_ok(data[63:60], dc.sxl, cfg_i.caps.sv32,
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
  assign fs_lookup = phase_i[PhData] && !mem_i && (cur.look == LkStart) && (cur.stage == SgPage) && (pc.mode != PtBare);
  iommu_walk_cache #(
      .Entries   (FsCache),
      .TimingCuts(TimingCuts)
  ) u_fs_cache (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .space_i     (space),
      .vpn_i       (req.iova[58:12]),
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
  // MSI PTE
  logic msi_reserved_d, msi_reserved;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_msi_reserved (.clk_i, .d_i(msi_reserved_d), .q_o(msi_reserved));
  always_comb begin
    msi_reserved_d = (cur.pte[62:54] != '0) || (cur.pte[6:3] != '0);
    if (cur.pte[2]) msi_reserved_d = msi_reserved_d || (cur.pte[9:7] != '0);
    else msi_reserved_d = msi_reserved_d || (data[63:61] != '0) || (data[59:54] != '0);
  end

  // The read's fault, if it has one, and the table or page that it leads to.
  typedef struct packed {
    logic              fault;
    logic              guest;  // a guest-page fault
    logic              pointer;  // of the second stage, without a fault in itself
    logic              again;  // it has changed before the update: to be read again
    logic [11:0]       cause;
    logic [LevelW-1:0] level;
    logic [51:0]       page;
  } heard_t;
  heard_t            heard_d, heard;
  logic              fault, guest;
  logic [11:0]       cause;
  logic [LevelW-1:0] next_level;
  logic [51:0]       next_page;
  logic              begins;
  assign begins  = !mem_i && (cur.look == LkStart);
  assign heard_d = '{fault: fault, guest: guest, pointer: !err && !poison && !pte.fault,
                     again: shape.updated && !err && !poison && !amo_same_i, cause: cause, level: next_level, page: next_page};
  iommu_cut #(.T(heard_t), .Cut(TimingCuts)) u_cut_heard (.clk_i, .d_i(heard_d), .q_o(heard));
  always_comb begin
    fault = 1'b1;
    guest = 1'b0;
    cause = access;
    unique case (cur.rd)
      RdDdt: begin
        if (err) cause = CauseDdtAccess;
        else if (poison) cause = CauseDdtCorrupt;
        else if (!data[0]) cause = CauseDdtInvalid;
        else if (entry.dir_bad) cause = CauseDdtMisconf;
        else if (entry.high) cause = CauseDdtAccess;
        else fault = 1'b0;
      end
      RdDc: begin
        if (err) cause = CauseDdtAccess;
        else if (poison) cause = CauseDdtCorrupt;
        else if (!dc_verdict.v) cause = CauseDdtInvalid;
        else if (dc_verdict.bad) cause = CauseDdtMisconf;
        else fault = 1'b0;
      end
      RdPdt: begin
        if (err) cause = CausePdtAccess;
        else if (poison) cause = CausePdtCorrupt;
        else if (!data[0]) cause = CausePdtInvalid;
        else if (entry.dir_bad) cause = CausePdtMisconf;
        else fault = 1'b0;
      end
      RdPc: begin
        if (err) cause = CausePdtAccess;
        else if (poison) cause = CausePdtCorrupt;
        else if (!cur.verdict.v) cause = CausePdtInvalid;
        else if (cur.verdict.bad || entry.pc_bad) cause = CausePdtMisconf;
        else fault = 1'b0;
      end
      RdFs: begin
        if (err) cause = access;
        else if (poison) cause = CausePtCorrupt;
        else if (pte.fault) cause = page_cause(req.exec, req.write);
        else fault = 1'b0;
      end
      RdGs: begin
        cause = gs_access;
        if (err) fault = 1'b1;
        else if (poison) cause = gs_corrupt;
        else if (pte.fault) guest = 1'b1;
        else fault = !pte.leaf && entry.high;
      end
      default: begin  // RdMsi
        if (err) cause = CauseMsiAccess;
        else if (poison) cause = CauseMsiCorrupt;
        else if (!cur.pte[0]) cause = CauseMsiInvalid;
        else if (cur.pte[63] || !cur.pte[1] || (!cur.pte[2] && !cfg_i.caps.msi_mrif) || msi_reserved) cause = CauseMsiMisconf;
        else if (req.exec && !any) cause = CauseExecAccess;
        else if (!cur.pte[2] && (req.kind == KdDebug)) cause = CauseTypeDisallow;
        else fault = 1'b0;
      end
    endcase

    next_level = (is_gs ? cur.glevel : cur.level) - 3'd1;
    next_page  = {8'd0, (cur.rd inside {RdDdt, RdPdt}) ? data[53:10] : pte.ppn};
    if (begins) begin
      if (cur.stage == SgPdt) begin
        next_level = pdt_top;
        next_page  = 52'(dc.fs_ppn);
      end else begin
        next_level = fs.hit ? fs.level : top_level(pc.mode);
        next_page  = (pc.mode == PtBare) ? req.iova[63:12] : {8'd0, fs.hit ? fs.ppn : pc.ppn};
      end
    end
  end

  // Of the process context that is being read.
  assign pc_we_o = mem_i && (cur.rd == RdPc);
  always_comb begin
    pc_o = pc;
    if (!rsp_i.last) begin
      pc_o.ens   = data[1];
      pc_o.sum   = data[2];
      pc_o.pscid = data[31:12];
    end else begin
      pc_o.mode = decode_mode(data[63:60], dc.sxl);
      pc_o.ppn  = data[PpnW-1:0];
      if (decode_mode(data[63:60], dc.sxl) == PtBare) pc_o.pscid = '0;
    end
  end

  // Offset of the next entry of the process directory, or of the first stage's.
  logic [11:0] offset;
  always_comb begin
    offset = 12'(pte_addr(pc.mode, heard.level, 1'b0, '0, req.iova[58:12]));
    if (said.to_pdt) begin
      unique case (heard.level)
        3'd2:    offset = {6'd0, req.process_id[19:17], 3'd0};
        3'd1:    offset = {req.process_id[16:8], 3'd0};
        default: offset = {req.process_id[7:0], 4'd0};
      endcase
    end
  end

  iommu_cut #(.T(walk_t), .Cut(TimingCuts)) u_cut_mid (.clk_i, .d_i(mid_d), .q_o(mid));
  iommu_cut #(.T(said_t), .Cut(TimingCuts)) u_cut_said (.clk_i, .d_i(said_d), .q_o(said));
  always_comb begin
    said_d       = '0;
    said_d.state = WkDone;
    if (TimingCuts || phase_i[PhSay]) begin
      if (begins) begin
        unique case (cur.stage)
          SgDdt: said_d.state = WkReq;
          SgPdt: begin
            said_d.to_pdt = 1'b1;
            said_d.level  = 1'b1;
            said_d.go_gpa = 1'b1;
          end
          default: begin
            if (pc.mode == PtBare) begin
              said_d.go_data = 1'b1;
            end else begin
              said_d.to_fs   = 1'b1;
              said_d.fs_root = 1'b1;
              said_d.level   = 1'b1;
              said_d.go_gpa  = 1'b1;
            end
          end
        endcase
      end else if (!mem_i && (cur.look == LkMsi)) begin
        said_d.in_table = 1'b1;
        said_d.state    = WkReq;
      end else if (heard.again) begin
        said_d.state = WkReq;
      end else begin
        unique case (cur.rd)
          RdDdt: begin
            said_d.in_ddt = 1'b1;
            said_d.level  = 1'b1;
            said_d.state  = WkReq;
            said_d.fail   = heard.fault;
            said_d.cause  = heard.fault;
          end
          RdDc: begin
            said_d.state = WkWait;
            if (rsp_i.last) begin
              said_d.state   = WkCtx;
              said_d.fail    = heard.fault;
              said_d.cause   = heard.fault;
              said_d.dc_done = !heard.fault;
            end
          end
          RdPdt: begin
            said_d.to_pdt = 1'b1;
            said_d.level  = 1'b1;
            said_d.fail   = heard.fault;
            said_d.cause  = heard.fault;
            said_d.go_gpa = !heard.fault;
          end
          RdPc: begin
            said_d.state = WkWait;
            if (rsp_i.last) begin
              said_d.state = WkCtx;
              said_d.fail  = heard.fault;
              said_d.cause = heard.fault;
            end
          end
          RdFs: begin
            said_d.fail  = heard.fault;
            said_d.cause = heard.fault;
            if (!heard.fault) begin
              if (!pte.leaf) begin
                said_d.fs_fill = 1'b1;
                said_d.to_fs   = 1'b1;
                said_d.level   = 1'b1;
                said_d.go_gpa  = 1'b1;
              end else if (pte.update) begin
                said_d.fs_ad  = 1'b1;
                said_d.go_gpa = 1'b1;
              end else begin
                said_d.fs_leaf = 1'b1;
                said_d.go_data = 1'b1;
              end
            end
          end
          RdGs: begin
            said_d.fail       = heard.fault;
            said_d.guest_fail = heard.guest;
            said_d.cause      = heard.fault || !pte.leaf;
            if (!pte.leaf) begin
              said_d.gs_fill = heard.pointer;
              said_d.in_gs   = 1'b1;
              said_d.state   = WkReq;
            end else if (!heard.fault) begin
              if (pte.update) begin
                said_d.gs_ad = 1'b1;
                said_d.state = WkAmo;
              end else begin
                said_d.at_page = 1'b1;
              end
            end
          end
          default: begin  // RdMsi
            said_d.state = WkWait;
            if (!rsp_i.last) begin
              said_d.msi_first = 1'b1;
            end else begin
              said_d.fail   = heard.fault;
              said_d.cause  = heard.fault;
              said_d.finish = !heard.fault;
            end
          end
        endcase
      end
    end
  end

  // The walk after it.
  always_comb begin
    mid_d = cur;
    if (TimingCuts || phase_i[PhThink]) begin
      mid_d.cause = said.cause ? heard.cause : said.in_table ? CauseMsiAccess : access;
      if (mem_i) begin
        mid_d.beat   = cur.beat + 3'd1;
        mid_d.err    = err;
        mid_d.poison = poison;
        if (rsp_i.last) begin
          mid_d.beat   = '0;
          mid_d.err    = 1'b0;
          mid_d.poison = 1'b0;
        end
        if (cur.rd == RdDc) mid_d.verdict = dc_verdict;
        if (cur.rd == RdPc) mid_d.verdict = '{v: data[0], bad: (data[11:3] != '0) || (data[63:32] != '0)};
      end
      if (said.level) mid_d.level = heard.level;
      if (said.dc_done) mid_d.dc_valid = 1'b1;
      // where the next read is
      if (said.in_table) begin
        mid_d.rd   = RdMsi;
        mid_d.addr = {dc.msi_ppn, 12'd0} | {msi_index_i, 4'd0};
      end
      if (said.in_ddt) begin
        mid_d.rd   = (heard.level == '0) ? RdDc : RdDdt;
        mid_d.addr = {heard.page[PpnW-1:0], ddt_offset};
      end
      if (said.in_gs) begin
        mid_d.glevel = heard.level;
        mid_d.addr   = pte_addr(dc.gs_mode, heard.level, 1'b0, heard.page[PpnW-1:0], cur.gpa[58:12]);
      end
      if (said.finish) begin
        mid_d.addr    = cur.pte[2] ? {cur.pte[53:10] & ~addr_high_i[PaW-1:12], 12'd0} : '0;
        mid_d.msi     = 1'b1;
        mid_d.mrif    = !cur.pte[2];
        mid_d.gs_size = '0;
        mid_d.gs_pbmt = '0;
        mid_d.gs_perm = '{d: 1'b1, u: 1'b1, x: 1'b0, w: 1'b1, r: 1'b1};
      end
      // what the second stage is asked for
      if (said.to_pdt || said.to_fs || said.go_data) mid_d.gpa = {heard.page, said.go_data ? req.iova[11:0] : offset};
      if (said.to_pdt) mid_d.why = (heard.level == '0) ? WhyPc : WhyPdt;
      if (said.to_fs) mid_d.why = WhyFs;
      if (said.fs_ad) mid_d.why = WhyFsAd;  // of the entry that was just read
      if (said.go_data) mid_d.why = WhyData;
      // what was read of the first stage
      if (said.to_fs || said.fs_leaf) mid_d.glob = said.fs_root ? (fs.hit && fs.glob) : (cur.glob || pte.g);
      if (said.fs_leaf) begin
        mid_d.fs_size = pte.size;
        mid_d.fs_pbmt = pte.pbmt;
        mid_d.fs_perm = pte.perm;
      end
      if (said.fs_ad || said.finish) mid_d.fs_pte = data;
      if (said.fs_ad) mid_d.fs_set_d = pte.set_d;
      if (said.gs_ad || said.msi_first) mid_d.pte = data;
      if (said.gs_ad) begin
        mid_d.set_d = pte.set_d;
        mid_d.look  = LkAmo;
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
  assign gs_on     = dc.gs_mode != PtBare;
  assign msi_d     = said.go_data && msi_match(dc.msi_on, dc.msi_pattern, dc.msi_mask, mid.gpa[63:12], '0);
  assign go_gpa    = said.go_gpa || (said.go_data && !msi);
  assign gs_lookup = go_gpa && gs_on;
  assign second_o  = gs_on && (said.go_gpa || said.go_data);
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_msi (.clk_i, .d_i(msi_d), .q_o(msi));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_wide (.clk_i, .d_i(gpa_wide_d), .q_o(gpa_wide));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_leaf_ok (.clk_i, .d_i(leaf_ok_d), .q_o(leaf_ok));

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
  assign want_exec  = (mid.why == WhyData) && req.exec;
  assign want_write = (mid.why == WhyData) ? req.write : (mid.why == WhyFsAd);
  assign leaf_ok_d  = leaf.hit && pte_permits(leaf.perm, want_exec, want_write, 1'b0, 1'b0) &&
                      !(any && (mid.why == WhyData));

  always_comb begin
    unique case (dc.gs_mode)
      Pt32:    gpa_wide_d = mid.gpa[63:34] != '0;
      Pt39:    gpa_wide_d = mid.gpa[63:41] != '0;
      Pt48:    gpa_wide_d = mid.gpa[63:50] != '0;
      default: gpa_wide_d = mid.gpa[63:59] != '0;
    endcase
    if (dc.sxl && (mid.gpa[63:34] != '0)) gpa_wide_d = 1'b1;
  end

  // ---------------------------------------------------------------- go on
  logic [PaW-1:0]    spa_d, spa, gs_addr_d, gs_addr;
  logic [LevelW-1:0] gs_level;
  logic [VpnW-1:0]   leaf_mask;
  assign leaf_mask = page_mask(leaf.size);
  always_comb begin
    if (said.at_page) spa_d = {pte.ppn, mid.gpa[11:0]};
    else if (gs_on) spa_d = {leaf.ppn | (mid.gpa[PaW-1:12] & leaf_mask[PpnW-1:0]), mid.gpa[11:0]};
    else spa_d = mid.gpa[PaW-1:0];
  end
  assign gs_level  = gs.hit ? gs.level : top_level(dc.gs_mode);
  assign gs_addr_d = pte_addr(dc.gs_mode, gs_level, !gs.hit, gs.hit ? gs.ppn : dc.gs_ppn, mid.gpa[58:12]);
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_spa (.clk_i, .d_i(spa_d), .q_o(spa));
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_gs_addr (.clk_i, .d_i(gs_addr_d), .q_o(gs_addr));

  // What the step ends with.
  typedef struct packed {
    logic guest_fault;
    logic begin_gs;   // a walk of the second stage begins, at gs_addr
    logic resume;     // spa is the physical address of mid.gpa
    logic beyond;     // a physical address that is needed next is at or above 2^PAS
  } plan_t;
  plan_t plan_d, plan;
  logic  begin_gs_d, resume_d;
  assign begin_gs_d = gs_lookup && !gpa_wide && !leaf_ok;
  assign resume_d   = said.at_page || (go_gpa && (!gs_on || (!gpa_wide && leaf_ok)));
  assign plan_d = '{
          guest_fault: said.guest_fail || (gs_lookup && gpa_wide),
          begin_gs: begin_gs_d,
          resume: resume_d,
          beyond: (begin_gs_d && ((gs_addr & addr_high_i) != '0)) || (resume_d && ((spa & addr_high_i) != '0)) ||
                  (said.in_table && ((mid.addr & addr_high_i) != '0))
      };
  iommu_cut #(.T(plan_t), .Cut(TimingCuts)) u_cut_plan (.clk_i, .d_i(plan_d), .q_o(plan));

  always_comb begin
    nxt_o   = mid;
    state_o = said.state;
    if (msi) begin
      nxt_o.look = LkMsi;
      state_o    = WkMsi;
    end
    if (TimingCuts || phase_i[PhEnd]) begin
      if (plan.guest_fault) begin
        nxt_o.cause = guest_cause(req.exec, req.write);
        nxt_o.guest = 1'b1;
      end else if (plan.begin_gs) begin
        nxt_o.rd     = RdGs;
        nxt_o.glevel = gs_level;
        nxt_o.addr   = gs_addr;
        nxt_o.cause  = (mid.why inside {WhyPdt, WhyPc}) ? CausePdtAccess : access;
        state_o      = WkReq;
      end else if (plan.resume || said.finish) begin
        if (plan.resume) nxt_o.addr = spa;
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
            if (plan.resume) begin
              nxt_o.gs_size = said.at_page ? pte.size : gs_on ? leaf.size : '1;
              nxt_o.gs_pbmt = said.at_page ? pte.pbmt : gs_on ? leaf.pbmt : '0;
              nxt_o.gs_perm = said.at_page ? pte.perm : gs_on ? leaf.perm : '1;
            end
          end
        endcase
      end
      if (said.fail || plan.guest_fault || plan.beyond) begin
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
        events_o[7] = (cur.stage == SgPage) && (pc.mode != PtBare);
      end
      events_o[8] = plan.begin_gs;
    end
  end

  // What lookups find, taken once.
  if (TimingCuts) begin : gen_cuts
    always_ff @(posedge clk_i) begin
      if (phase_i[PhVerdict]) fs <= fs_d;
      if (phase_i[PhRead]) begin
        leaf <= leaf_d;
        gs   <= gs_d;
      end
    end
  end else begin : gen_no_cuts
    assign fs   = fs_d;
    assign leaf = leaf_d;
    assign gs   = gs_d;
  end

  `IOMMU_ASSERT(StepOnePhase, !TimingCuts || $onehot0(phase_i))
  `IOMMU_ASSERT(StepOneOutcome,
                !phase_i[PhEnd] || $onehot0({said.fail, said.go_gpa, said.go_data, said.at_page, said.finish}))
  `IOMMU_ASSERT(StepContextLength,
                !(phase_i[PhEnd] && mem_i && (cur.rd == RdDc)) ||
                (rsp_i.last == (cur.beat == (cfg_i.caps.msi_flat ? 3'd7 : 3'd3))))
  `IOMMU_ASSERT(StepSingleBeat, !(phase_i[PhEnd] && mem_i) || (cur.rd inside {RdDc, RdPc, RdMsi}) || rsp_i.last)

  logic unused;
  assign unused = &{1'b0, cfg_i, gs.glob, fs_d, gs_d, req, rsp_i.id, leaf_mask[VpnW-1:PpnW]};
endmodule

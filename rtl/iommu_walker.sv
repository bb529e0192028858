// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Walk unit: device-directory and first-stage page-table walks, several at a
// time. A walk lives in a slot; its memory reads carry the slot as id. One
// datapath serves all slots, since one beat of read data comes in a cycle.
//
// A slot is started by start_valid_i; when its device context is located or the
// walk has ended it asks for the lookup pipeline (ctx_o, done_o) with what
// result_o shows for sel_i, until it is started again or freed.
//
// Memory reads: valid/ready, payload stable until taken; one read of a slot is
// outstanding. mem_rreq depends on mem_rrsp and start of the same cycle. Read
// data comes without back-pressure.

`include "iommu_macros.svh"

module iommu_walker
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Slots = 4,  // walks in flight, 1 to 2^WalkIdW
    localparam int unsigned SlotW = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                 clk_i,             // clock
    input  logic                 rst_ni,            // asynchronous reset, active low
    input  csr_cfg_t             cfg_i,             // capabilities and feature control
    input  logic [PaW-1:0]       addr_high_i,       // physical address bits at or above 2^PAS
    // start a walk in a free slot, or in one that asked with ctx_o
    input  logic                 start_valid_i,
    input  logic [SlotW-1:0]     start_slot_i,
    input  walk_start_t          start_i,
    // the pipeline has served a slot
    input  logic                 free_valid_i,
    input  logic [SlotW-1:0]     free_slot_i,
    // slots
    output logic [Slots-1:0]     idle_o,
    output logic [Slots-1:0]     ctx_o,             // device context located
    output logic [Slots-1:0]     done_o,            // ended
    output logic [Slots-1:0]     report_o,          // ended with a fault to be recorded
    input  logic [SlotW-1:0]     sel_i,             // slot to show
    output walk_result_t         result_o,
    // invalidation: what walks have read may not be kept
    input  logic                 stale_i,
    // which walks will bring what a request lacks
    input  logic                 find_dc_i,         // lacks: the device context, else the page
    input  logic [DeviceIdW-1:0] find_did_i,
    input  fs_mode_e             find_mode_i,
    input  logic [PscidW-1:0]    find_pscid_i,
    input  logic [VpnW-1:0]      find_vpn_i,
    output logic [Slots-1:0]     found_o,
    // memory
    output logic                 mem_rreq_valid_o,
    input  logic                 mem_rreq_ready_i,
    output mem_rreq_t            mem_rreq_o,
    input  logic                 mem_rrsp_valid_i,
    input  mem_rrsp_t            mem_rrsp_i
);

  typedef enum logic [2:0] {
    StIdle,
    StReq,   // read to be issued
    StWait,  // read outstanding
    StCtx,   // device context located
    StDone
  } state_e;

  typedef struct packed {
    tr_req_t           req;
    logic              dc_valid;
    phase_e            phase;
    logic [LevelW-1:0] level;
    logic [PaW-1:0]    addr;    // of the read; when granted, of the page
    dc_part_t          part;
    logic [2:0]        beat;    // doublewords of the device context seen
    logic              err;     // on an earlier beat
    logic              poison;  // on an earlier beat
    logic              glob;    // G in a PTE above
    logic              deny;
    logic [11:0]       cause;
    page_size_t        size;
    pte_attr_t         attr;
  } slot_t;

  state_e           state_q[Slots];
  slot_t            slot_q [Slots];
  logic [Slots-1:0] stale_q;

  // ---------------------------------------------------------------- read data
  logic [SlotW-1:0] rsp_slot;
  assign rsp_slot = mem_rrsp_i.id[SlotW-1:0];

  slot_t cur, nxt;
  assign cur = slot_q[rsp_slot];

  logic        big_endian;
  logic [63:0] data;
  assign big_endian = (cur.phase == PhPt) ? cur.part.dc.sbe : cfg_i.be;
  always_comb begin
    for (int unsigned i = 0; i < 8; i++) data[8*i+:8] = mem_rrsp_i.data[big_endian ? 8*(7-i) : 8*i+:8];
  end

  logic err, poison;  // of the whole read, at its last beat
  assign err    = mem_rrsp_i.err || cur.err;
  assign poison = mem_rrsp_i.poison || cur.poison;

  dc_part_t part_next;
  iommu_dc_check u_dc_check (
      .cfg_i (cfg_i),
      .beat_i(cur.beat),
      .data_i(data),
      .part_i(cur.part),
      .part_o(part_next)
  );

  logic            pte_page_fault, pte_access_fault, pte_leaf;
  logic [PpnW-1:0] pte_ppn;
  page_size_t      pte_size;
  pte_attr_t       pte_attr;
  iommu_pte_check u_pte_check (
      .svpbmt_i      (cfg_i.caps.svpbmt),
      .svrsw_i       (cfg_i.caps.svrsw60t59b),
      .ppn_high_i    (addr_high_i[PaW-1:12]),
      .pte_i         (data),
      .level_i       (cur.level),
      .vpn_i         (cur.req.iova[56:12]),
      .exec_i        (cur.req.exec),
      .write_i       (cur.req.write),
      .global_i      (cur.glob),
      .page_fault_o  (pte_page_fault),
      .access_fault_o(pte_access_fault),
      .leaf_o        (pte_leaf),
      .ppn_o         (pte_ppn),
      .size_o        (pte_size),
      .attr_o        (pte_attr)
  );

  // Index into the next page table.
  logic [8:0] pt_index;
  always_comb begin
    unique case (cur.level)
      3'd4:    pt_index = cur.req.iova[47:39];
      3'd3:    pt_index = cur.req.iova[38:30];
      3'd2:    pt_index = cur.req.iova[29:21];
      default: pt_index = cur.req.iova[20:12];
    endcase
  end

  // Next directory page: its entry, or the device context.
  logic [PpnW-1:0] ddte_ppn;
  logic [11:0]     ddt_offset;
  assign ddte_ppn = data[53:10];
  always_comb begin
    if (cur.level == 3'd2) begin
      ddt_offset = cfg_i.caps.msi_flat ? {cur.req.device_id[14:6], 3'd0} : {cur.req.device_id[15:7], 3'd0};
    end else begin
      ddt_offset = cfg_i.caps.msi_flat ? {cur.req.device_id[5:0], 6'd0} : {cur.req.device_id[6:0], 5'd0};
    end
  end
  logic [PaW-1:0] ddt_addr;
  assign ddt_addr = {ddte_ppn, ddt_offset};

  state_e state_next;
  always_comb begin
    nxt        = cur;
    state_next = StWait;
    unique case (cur.phase)
      PhDdt: begin
        state_next = StReq;
        nxt.addr   = ddt_addr;
        nxt.level  = cur.level - 3'd1;
        nxt.phase  = (cur.level == 3'd1) ? PhDc : PhDdt;
        nxt.deny   = 1'b1;
        if (err) nxt.cause = CauseDdtAccess;
        else if (poison) nxt.cause = CauseDdtCorrupt;
        else if (!data[0]) nxt.cause = CauseDdtInvalid;
        else if ((data[9:1] != '0) || (data[63:54] != '0)) nxt.cause = CauseDdtMisconf;
        else if ((ddt_addr & addr_high_i) != '0) nxt.cause = CauseDdtAccess;
        else nxt.deny = 1'b0;
        if (nxt.deny) state_next = StDone;
      end
      PhDc: begin
        nxt.part   = part_next;
        nxt.beat   = cur.beat + 3'd1;
        nxt.err    = err;
        nxt.poison = poison;
        if (mem_rrsp_i.last) begin
          nxt.beat   = '0;
          nxt.err    = 1'b0;
          nxt.poison = 1'b0;
          nxt.deny   = 1'b1;
          state_next = StDone;
          if (err) nxt.cause = CauseDdtAccess;
          else if (poison) nxt.cause = CauseDdtCorrupt;
          else if (!part_next.v) nxt.cause = CauseDdtInvalid;
          else if (part_next.bad) nxt.cause = CauseDdtMisconf;
          else begin
            nxt.deny     = 1'b0;
            nxt.dc_valid = 1'b1;
            state_next   = StCtx;
          end
        end
      end
      default: begin  // PhPt
        state_next = StDone;
        nxt.deny   = 1'b1;
        nxt.size   = pte_size;
        nxt.attr   = pte_attr;
        nxt.glob   = pte_attr.g;
        if (err) nxt.cause = access_cause(cur.req.exec, cur.req.write);
        else if (poison) nxt.cause = CausePtCorrupt;
        else if (pte_page_fault) nxt.cause = page_cause(cur.req.exec, cur.req.write);
        else if (pte_access_fault) nxt.cause = access_cause(cur.req.exec, cur.req.write);
        else begin
          nxt.deny = 1'b0;
          nxt.addr = {pte_ppn, pte_leaf ? 12'd0 : {pt_index, 3'd0}};
          if (!pte_leaf) begin
            nxt.level  = cur.level - 3'd1;
            state_next = StReq;
          end
        end
      end
    endcase
  end

  // ---------------------------------------------------------------- memory port
  // Round robin over the slots that have a read to issue; the choice stands
  // until it is taken. When none waits, a read goes out in the cycle in which it
  // becomes known: the next one of a walk with the data before, the first one
  // with the start.
  logic [Slots-1:0] want;
  logic [SlotW-1:0] turn_q, pick, issue_slot, held_slot_q;
  logic             held_q, early_next, early_start, taken;
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) want[i] = (state_q[i] == StReq);
  end
  always_comb begin
    pick = turn_q;
    for (int unsigned i = Slots; i > 0; i--) begin
      if (want[(32'(turn_q) + i) % Slots]) pick = SlotW'((32'(turn_q) + i) % Slots);
    end
  end
  assign early_next  = (want == '0) && mem_rrsp_valid_i && (state_next == StReq);
  assign early_start = (want == '0) && !early_next && start_valid_i && !start_i.deny;

  phase_e         issue_phase;
  logic [PaW-1:0] issue_addr;
  mem_user_t      issue_user;  // of the device context
  always_comb begin
    if (early_next) begin
      issue_slot  = rsp_slot;
      issue_phase = nxt.phase;
      issue_addr  = nxt.addr;
      issue_user  = '{mcid: cur.part.dc.mcid, rcid: cur.part.dc.rcid};
    end else if (early_start) begin
      issue_slot  = start_slot_i;
      issue_phase = start_i.phase;
      issue_addr  = start_i.addr;
      issue_user  = '{mcid: start_i.dc.mcid, rcid: start_i.dc.rcid};
    end else begin
      issue_slot  = held_q ? held_slot_q : pick;
      issue_phase = slot_q[issue_slot].phase;
      issue_addr  = slot_q[issue_slot].addr;
      issue_user  = '{mcid: slot_q[issue_slot].part.dc.mcid, rcid: slot_q[issue_slot].part.dc.rcid};
    end
  end

  assign mem_rreq_valid_o = (want != '0) || early_next || early_start;
  assign taken            = mem_rreq_valid_o && mem_rreq_ready_i;
  assign mem_rreq_o       = '{
          id: MemIdWide'(issue_slot),
          addr: issue_addr,
          len: (issue_phase != PhDc) ? 8'd0 : cfg_i.caps.msi_flat ? 8'd7 : 8'd3,
          // Directory reads would carry iommu_qosid: no QOSID yet, so zero.
          user: (issue_phase == PhPt) ? issue_user : '0
      };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q      <= 1'b0;
      held_slot_q <= '0;
      turn_q      <= '0;
    end else begin
      held_q      <= mem_rreq_valid_o && !mem_rreq_ready_i;
      held_slot_q <= issue_slot;
      if (taken) turn_q <= issue_slot;
    end
  end

  // ---------------------------------------------------------------- slots
  state_e           state_d[Slots];
  logic [Slots-1:0] stale_d;
  always_comb begin
    stale_d = stale_q;
    for (int unsigned i = 0; i < Slots; i++) begin
      state_d[i] = state_q[i];
      if (start_valid_i && (start_slot_i == SlotW'(i))) begin
        state_d[i] = start_i.deny ? StDone : StReq;
        // A slot that goes on from its context keeps its mark.
        if (state_q[i] == StIdle) stale_d[i] = 1'b0;
      end else if (free_valid_i && (free_slot_i == SlotW'(i))) begin
        state_d[i] = StIdle;
      end else if (mem_rrsp_valid_i && (rsp_slot == SlotW'(i))) begin
        state_d[i] = state_next;
      end
      if (taken && (issue_slot == SlotW'(i))) state_d[i] = StWait;
    end
    if (stale_i) stale_d = '1;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Slots; i++) state_q[i] <= StIdle;
      stale_q <= '0;
    end else begin
      for (int unsigned i = 0; i < Slots; i++) state_q[i] <= state_d[i];
      stale_q <= stale_d;
    end
  end

  // Content; its validity is in state_q.
  slot_t start_slot;
  always_comb begin
    start_slot          = '0;
    start_slot.req      = start_i.req;
    start_slot.dc_valid = start_i.dc_valid;
    start_slot.part.dc  = start_i.dc;
    start_slot.phase    = start_i.phase;
    start_slot.level    = start_i.level;
    start_slot.addr     = start_i.addr;
    start_slot.deny     = start_i.deny;
    start_slot.cause    = start_i.cause;
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Slots; i++) begin
      if (start_valid_i && (start_slot_i == SlotW'(i))) slot_q[i] <= start_slot;
      else if (mem_rrsp_valid_i && (rsp_slot == SlotW'(i))) slot_q[i] <= nxt;
    end
  end

  // ---------------------------------------------------------------- view of the slots
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) begin
      idle_o[i]   = (state_q[i] == StIdle);
      ctx_o[i]    = (state_q[i] == StCtx);
      done_o[i]   = (state_q[i] == StDone);
      report_o[i] = done_o[i] && slot_q[i].deny && !(slot_q[i].dc_valid && slot_q[i].part.dc.dtf);
    end
  end

  slot_t shown;
  assign shown = slot_q[sel_i];
  assign result_o = '{
          req: shown.req,
          dc: shown.part.dc,
          deny: shown.deny,
          cause: shown.cause,
          stale: stale_q[sel_i],
          ppn: shown.addr[PaW-1:12],
          size: shown.size,
          attr: shown.attr
      };

  // A walk looks for its device context until the pipeline has taken it, then
  // for a page.
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) begin
      found_o[i] = !idle_o[i] && !stale_q[i] && !slot_q[i].deny &&
          (find_dc_i ? ((slot_q[i].phase != PhPt) && (slot_q[i].req.device_id == find_did_i))
                     : ((slot_q[i].phase == PhPt) && (slot_q[i].req.iova[56:12] == find_vpn_i) &&
                        (slot_q[i].part.dc.pscid == find_pscid_i) && (slot_q[i].part.dc.fs_mode == find_mode_i)));
    end
  end

  // ---------------------------------------------------------------- assertions
  `IOMMU_ASSERT(WalkDataForOutstandingRead,
                !mem_rrsp_valid_i || ((32'(mem_rrsp_i.id) < Slots) && (state_q[rsp_slot] == StWait)))
  `IOMMU_ASSERT(WalkSingleBeatUnlessContext,
                !mem_rrsp_valid_i || (cur.phase == PhDc) || mem_rrsp_i.last)
  `IOMMU_ASSERT(WalkContextLength,
                !(mem_rrsp_valid_i && (cur.phase == PhDc)) ||
                (mem_rrsp_i.last == (cur.beat == (cfg_i.caps.msi_flat ? 3'd7 : 3'd3))))
  `IOMMU_ASSERT(WalkStartsInOwnSlot,
                !start_valid_i || idle_o[start_slot_i] || ctx_o[start_slot_i])
  `IOMMU_ASSERT(WalkFreedWhenServed,
                !free_valid_i || done_o[free_slot_i] || ctx_o[free_slot_i])
  `IOMMU_ASSERT(WalkReadInRange,
                !mem_rreq_valid_o || ((mem_rreq_o.addr & addr_high_i) == '0))
  `IOMMU_ASSERT(WalkGrantOnlyLeaf,
                !(done_o[sel_i] && !shown.deny) || (shown.phase == PhPt))

  logic unused;
  assign unused = &{1'b0, shown};
endmodule

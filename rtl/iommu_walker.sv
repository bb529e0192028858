// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Walk unit: walks of the device and process directories, of both stages' page
// tables and of MSI page tables, several at a time. A walk lives in a slot; its
// memory accesses carry the slot as id. One step pipeline (iommu_walk_step)
// serves all slots, since one beat of read data comes in a cycle: a beat goes
// first, then a slot that asks, then a walk that begins.
//
// A slot is started by start_valid_i; when a context is located or the walk has
// ended it asks for the lookup pipeline (ctx_o, done_o) with what walk_o shows
// for sel_i, until it is started again or freed.
//
// Memory reads: valid/ready, payload stable until taken; one read of a slot is
// outstanding. mem_rreq depends on mem_rrsp and start of the same cycle. Read
// data comes without back-pressure. Writes are A/D updates (AtomicCompare), held
// until ready; read data with the slot's id and an answer follow, in any order.
//
// With TimingCuts a walk that begins is a slot that asks, read data waits in a
// queue, one step at a time is under way for several cycles (StepPhases), and what
// goes to memory or invalidates the walk caches passes a register.

`include "iommu_macros.svh"

module iommu_walker
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Slots   = 8,   // walks in flight, 1 to 16
    parameter int unsigned FsCache = 16,  // first-stage pointers kept
    parameter int unsigned GsCache = 16,  // second-stage pointers kept
    parameter int unsigned GsTlb   = 16,  // second-stage leaves kept
    parameter bit          TimingCuts = 1'b0,  // registers inside a step: more cycles, a faster clock
    localparam int unsigned SlotW = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic                 clk_i,             // clock
    input  logic                 rst_ni,            // asynchronous reset, active low
    input  csr_cfg_t             cfg_i,             // capabilities and feature control
    input  mem_user_t            qosid_i,           // iommu_qosid
    input  logic [PaW-1:0]       addr_high_i,       // physical address bits at or above 2^PAS
    // start a walk in a free slot, or in one that asked with ctx_o
    input  logic                 start_valid_i,
    input  logic [SlotW-1:0]     start_slot_i,
    input  walk_start_t          start_i,
    input  xreq_t                start_req_i,
    input  logic                 start_dc_valid_i,  // dc is located
    input  dc_t                  start_dc_i,
    input  pc_t                  start_pc_i,        // first-stage context, in stage SgPage
    input  logic                 start_priv_i,      // supervisor privilege in the first stage
    // the pipeline has served a slot
    input  logic                 free_valid_i,
    input  logic [SlotW-1:0]     free_slot_i,
    // slots
    output logic [Slots-1:0]     idle_o,
    output logic [Slots-1:0]     ctx_o,             // context located
    output logic [Slots-1:0]     done_o,            // ended
    output logic [Slots-1:0]     report_o,          // ended with a fault to be recorded
    input  logic [SlotW-1:0]     sel_i,             // slot to show
    output walk_t                walk_o,
    output xreq_t                walk_req_o,        // its request,
    output dc_t                  walk_dc_o,         // device context
    output pc_t                  walk_pc_o,         // and first-stage context
    output logic                 keep_o,            // what it has read may be kept
    // invalidation: what walks have read may not be kept; and the walk caches
    input  logic                 stale_i,
    input  logic                 inv_fs_i,
    input  reach_t               inv_fs_reach_i,
    input  logic                 inv_gs_i,
    input  reach_t               inv_gs_reach_i,
    input  logic                 inv_leaf_i,
    input  reach_t               inv_leaf_reach_i,
    // which walks will bring what a request lacks
    input  logic                 find_i,
    input  stage_e               find_stage_i,
    input  xreq_t                find_req_i,
    input  space_t               find_space_i,
    output logic [Slots-1:0]     found_o,
    // walks that begin, for the HPM
    output hpm_event_t           hpm_o,
    // memory
    output logic                 mem_rreq_valid_o,
    input  logic                 mem_rreq_ready_i,
    output mem_rreq_t            mem_rreq_o,
    input  logic                 mem_rrsp_valid_i,
    input  mem_rrsp_t            mem_rrsp_i,
    output logic                 mem_wreq_valid_o,
    input  logic                 mem_wreq_ready_i,
    output mem_wreq_t            mem_wreq_o,
    input  logic                 mem_wrsp_valid_i,
    input  logic                 mem_wrsp_err_i,
    input  logic [MemIdWide-1:0] mem_wrsp_id_i
);

  walk_state_e      state_q[Slots];
  walk_t            walk_q [Slots];
  xreq_t            req_q  [Slots];
  dc_t              dc_q   [Slots];
  pc_t              pc_q   [Slots];
  logic [Slots-1:0] stale_q;
  logic [Slots-1:0] starting_next;  // a walk is about to begin in the slot, in the next cycle
  logic             denied;    // without a step

  // Slots by state.
  logic [Slots-1:0] want, looks, msis, amos;
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) begin
      want[i]   = (state_q[i] == WkReq);
      looks[i]  = (state_q[i] == WkLook);
      msis[i]   = (state_q[i] == WkMsi);
      amos[i]   = (state_q[i] == WkAmo);
    end
  end

  // First in turn of a set of slots, beginning after `last`.
  function automatic logic [SlotW-1:0] next_of(input logic [Slots-1:0] set, input logic [SlotW-1:0] last);
    logic [SlotW-1:0] pick;
    pick = last;
    for (int unsigned i = Slots; i > 0; i--) begin
      if (set[(32'(last) + i) % Slots]) pick = SlotW'((32'(last) + i) % Slots);
    end
    return pick;
  endfunction

  // ---------------------------------------------------------------- step of this cycle
  logic [SlotW-1:0]      rsp_slot, look_slot, step_slot, look_turn_q;
  logic                  rsp_amo;
  mem_rrsp_t             rsp;         // beat of read data that is taken in this cycle
  logic                  rsp_valid;
  mem_rrsp_t             step_rsp;    // beat of the step
  logic [StepPhases-1:0] step_phase;
  logic                  step_mem, step_look, step_start, step_valid;  // the step ends in this cycle
  logic                  step_second, keep;
  walk_t                 start_walk, cur, nxt;
  xreq_t                 cur_req;
  dc_t                   start_dc, cur_dc, nxt_dc, nxt_dc_fields;
  pc_t                   cur_pc, nxt_pc;
  logic                  nxt_dc_we, nxt_pc_we;
  walk_state_e           state_next;
  logic [8:5]            events;

  assign rsp_slot  = rsp.id[SlotW-1:0];
  assign look_slot = next_of(looks, look_turn_q);

  always_comb begin
    start_walk          = '0;
    start_walk.stage    = start_i.stage;
    start_walk.look     = LkStart;
    start_walk.dc_valid = start_dc_valid_i;
    start_walk.priv     = start_priv_i;
    start_walk.rd       = start_i.rd;
    start_walk.level    = start_i.level;
    start_walk.addr     = start_i.addr;
    start_walk.why      = WhyData;
    start_walk.deny     = start_i.deny;
    start_walk.cause    = start_i.cause;
    start_walk.fs_size  = '1;
  end
  assign start_dc = start_dc_valid_i ? start_dc_i : '0;

  if (TimingCuts) begin : gen_step_cut
    // One step at a time: chosen, loaded from its slot, and through the phases. A
    // slot waits (WkWait, WkLook) until its step writes it.
    localparam int unsigned Beats = 8 * 2 ** SlotW;  // of read data that may wait: a context a slot
    logic                  idle_q, load_q, mem_q;
    logic [SlotW-1:0]      slot_q;
    logic [StepPhases-1:0] phase_q;
    mem_rrsp_t             rsp_q;
    logic                  take, choose, room, beat_valid, beat_ready;
    logic                  amo_q, first_q;  // the beat is of an update; it came into its register a cycle ago
    mem_rrsp_t             beat;

    iommu_fifo #(
        .Width($bits(mem_rrsp_t)),
        .Depth(Beats)
    ) u_beats (
        .clk_i  (clk_i),
        .rst_ni (rst_ni),
        .valid_i(mem_rrsp_valid_i),
        .ready_o(room),
        .data_i (mem_rrsp_i),
        .valid_o(beat_valid),
        .ready_i(beat_ready),
        .data_o (beat)
    );
    iommu_slice #(.T(mem_rrsp_t), .Cut(1'b1)) u_beat (
        .clk_i, .rst_ni,
        .valid_i(beat_valid),
        .ready_o(beat_ready),
        .data_i (beat),
        .valid_o(rsp_valid),
        .ready_i(rsp_amo || take),
        .data_o (rsp)
    );

    // What the beat is for is known a cycle after it.
    assign rsp_amo = rsp_valid && !first_q && amo_q;
    assign take    = idle_q && rsp_valid && !first_q && !amo_q;
    assign choose  = take || (idle_q && (looks != '0));

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        idle_q  <= 1'b1;
        load_q  <= 1'b0;
        phase_q <= '0;
        first_q <= 1'b1;
        amo_q   <= 1'b0;
      end else begin
        if (idle_q) idle_q <= !choose;
        else if (phase_q[PhEnd]) idle_q <= 1'b1;
        load_q           <= choose;
        phase_q          <= phase_q << 1;
        phase_q[PhShape] <= load_q;
        phase_q[PhMatch] <= phase_q[PhRoute] && step_second;
        phase_q[PhAddr]  <= phase_q[PhRead] || (phase_q[PhRoute] && !step_second);
        first_q          <= !rsp_valid || rsp_amo || take;
        amo_q            <= state_q[rsp_slot] inside {WkAmo, WkAmoB};
      end
    end
    // The slot stands from its choice to the end of its step, so that what is made of
    // it needs no enables.
    always_ff @(posedge clk_i) begin
      if (idle_q) begin
        mem_q  <= take;
        slot_q <= take ? rsp_slot : look_slot;
        rsp_q  <= rsp;
      end
    end
    iommu_cut #(.T(walk_t), .Cut(1'b1)) u_cut_cur (.clk_i, .d_i(walk_q[slot_q]), .q_o(cur));
    iommu_cut #(.T(xreq_t), .Cut(1'b1)) u_cut_cur_req (.clk_i, .d_i(req_q[slot_q]), .q_o(cur_req));
    iommu_cut #(.T(dc_t), .Cut(1'b1)) u_cut_cur_dc (.clk_i, .d_i(dc_q[slot_q]), .q_o(cur_dc));
    iommu_cut #(.T(pc_t), .Cut(1'b1)) u_cut_cur_pc (.clk_i, .d_i(pc_q[slot_q]), .q_o(cur_pc));

    assign step_phase = phase_q;
    assign step_valid = phase_q[PhEnd];
    assign step_mem   = mem_q;
    assign step_look  = step_valid && !mem_q;
    assign step_start = 1'b0;
    assign step_slot  = slot_q;
    assign step_rsp   = rsp_q;
    // An invalidation reaches what is filled in its cycle: it comes a cycle later.
    assign keep       = !stale_q[slot_q];

    `IOMMU_ASSERT(WalkRoomForReadData, !mem_rrsp_valid_i || room)
    `IOMMU_ASSERT(WalkStepHasItsSlot,
                  idle_q || (state_q[slot_q] == (mem_q ? WkWait : WkLook)))
  end else begin : gen_step
    logic began_q;
    assign rsp        = mem_rrsp_i;
    assign rsp_valid  = mem_rrsp_valid_i;
    assign rsp_amo    = rsp_valid && (state_q[rsp_slot] inside {WkAmo, WkAmoB});
    assign step_rsp   = mem_rrsp_i;
    assign step_mem   = mem_rrsp_valid_i && !rsp_amo;
    assign step_look  = !step_mem && !began_q && (looks != '0);
    assign step_start = !step_mem && !began_q && (looks == '0) && start_valid_i && !start_i.deny;
    assign step_valid = step_mem || step_look || step_start;
    assign step_phase = {StepPhases{step_valid}};

    // Walks begin at most every other cycle. In a bunch, their read data would come in
    // one as well, with which no other walk could begin; so bunches come apart.
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) began_q <= 1'b0;
      else began_q <= (step_look || step_start) && (cur.look == LkStart);
    end

    always_comb begin
      step_slot = start_slot_i;
      cur       = start_walk;
      cur_req   = start_req_i;
      cur_dc    = start_dc;
      cur_pc    = start_pc_i;
      if (step_mem || step_look) begin
        step_slot = step_mem ? rsp_slot : look_slot;
        cur       = walk_q[step_slot];
        cur_req   = req_q[step_slot];
        cur_dc    = dc_q[step_slot];
        cur_pc    = pc_q[step_slot];
      end
    end

    assign keep = !stale_i && !(stale_q[step_slot] && (state_q[step_slot] != WkIdle));

    logic unused_second;
    assign unused_second = step_second;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) look_turn_q <= '0;
    else if (step_look) look_turn_q <= step_slot;
  end

  // Invalidation of the walk caches. With TimingCuts a cycle later than that of the
  // others: before any walk that begins after it looks into them.
  logic   inv_fs, inv_gs, inv_leaf;
  reach_t inv_fs_reach, inv_gs_reach, inv_leaf_reach;
  if (TimingCuts) begin : gen_inv_cut
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        inv_fs   <= 1'b0;
        inv_gs   <= 1'b0;
        inv_leaf <= 1'b0;
      end else begin
        inv_fs   <= inv_fs_i;
        inv_gs   <= inv_gs_i;
        inv_leaf <= inv_leaf_i;
      end
    end
  end else begin : gen_inv
    assign inv_fs   = inv_fs_i;
    assign inv_gs   = inv_gs_i;
    assign inv_leaf = inv_leaf_i;
  end
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_fs (.clk_i, .d_i(inv_fs_reach_i), .q_o(inv_fs_reach));
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_gs (.clk_i, .d_i(inv_gs_reach_i), .q_o(inv_gs_reach));
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_leaf (.clk_i, .d_i(inv_leaf_reach_i), .q_o(inv_leaf_reach));

  logic [51:0]      msi_index_q;
  logic [Slots-1:0] amo_same_q, amo_err_q, amo_poison_q;

  iommu_walk_step #(
      .FsCache(FsCache),
      .GsCache(GsCache),
      .GsTlb  (GsTlb),
      .TimingCuts(TimingCuts)
  ) u_step (
      .clk_i           (clk_i),
      .rst_ni          (rst_ni),
      .cfg_i           (cfg_i),
      .addr_high_i     (addr_high_i),
      .phase_i         (step_phase),
      .mem_i           (step_mem),
      .cur_i           (cur),
      .req_i           (cur_req),
      .dc_i            (cur_dc),
      .pc_i            (cur_pc),
      .keep_i          (keep),
      .rsp_i           (step_rsp),
      .msi_index_i     (msi_index_q),
      .amo_same_i      (amo_same_q[step_slot]),
      .amo_err_i       (amo_err_q[step_slot] && !amo_poison_q[step_slot]),
      .amo_poison_i    (amo_poison_q[step_slot]),
      .nxt_o           (nxt),
      .dc_we_o         (nxt_dc_we),
      .dc_o            (nxt_dc),
      .dc_fields_o     (nxt_dc_fields),
      .pc_we_o         (nxt_pc_we),
      .pc_o            (nxt_pc),
      .state_o         (state_next),
      .events_o        (events),
      .second_o        (step_second),
      .inv_fs_i        (inv_fs),
      .inv_fs_reach_i  (inv_fs_reach),
      .inv_gs_i        (inv_gs),
      .inv_gs_reach_i  (inv_gs_reach),
      .inv_leaf_i      (inv_leaf),
      .inv_leaf_reach_i(inv_leaf_reach)
  );

  // ---------------------------------------------------------------- number of an interrupt file
  // extract(A >> 12, msi_addr_mask), some bits a cycle from the highest on, for one
  // slot at a time.
  localparam int unsigned MsiBits   = TimingCuts ? 4 : 13;
  localparam int unsigned MsiRounds = 52 / MsiBits;
  logic             msi_busy_q;
  logic [3:0]       msi_left_q;  // rounds
  logic [SlotW-1:0] msi_slot_q;
  logic [51:0]      msi_page_q, msi_mask_q, msi_index_d;
  logic             msi_ready;
  assign msi_ready = msi_busy_q && (msi_left_q == '0) && (state_q[msi_slot_q] == WkMsi);
  always_comb begin
    msi_index_d = msi_index_q;
    if (msi_busy_q) begin
      for (int unsigned i = 0; i < MsiBits; i++) begin
        if (msi_mask_q[51-i]) msi_index_d = {msi_index_d[50:0], msi_page_q[51-i]};
      end
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      msi_busy_q  <= 1'b0;
      msi_left_q  <= '0;
      msi_slot_q  <= '0;
      msi_page_q  <= '0;
      msi_mask_q  <= '0;
      msi_index_q <= '0;
    end else if (!msi_busy_q) begin
      if (msis != '0) begin
        msi_busy_q  <= 1'b1;
        msi_left_q  <= 4'(MsiRounds);
        msi_slot_q  <= next_of(msis, msi_slot_q);
        msi_page_q  <= walk_q[next_of(msis, msi_slot_q)].gpa[63:12];
        msi_mask_q  <= dc_q[next_of(msis, msi_slot_q)].msi_mask;
        msi_index_q <= '0;
      end
    end else if (msi_left_q != '0) begin
      msi_left_q  <= msi_left_q - 4'd1;
      msi_index_q <= msi_index_d;
      msi_page_q  <= msi_page_q << MsiBits;
      msi_mask_q  <= msi_mask_q << MsiBits;
    end else if (step_look && (step_slot == msi_slot_q)) begin
      msi_busy_q <= 1'b0;
    end
  end

  // ---------------------------------------------------------------- read port
  // Round robin over the slots that have a read to issue; the choice stands
  // until it is taken. When none waits, a read goes out in the cycle in which it
  // becomes known. With TimingCuts a register has the choice before the read is
  // fetched from its slot, and another takes the read.
  logic [SlotW-1:0] turn_q, issue_slot, held_slot_q;
  logic             held_q, early, issue, taken;
  mem_rreq_t        rreq;
  // What kind of read a slot issues: known before the slot is chosen.
  typedef struct packed {
    logic directory;  // of the device directory
    logic dc;         // a device context
    logic pair;       // of two doublewords
  } read_kind_t;
  function automatic read_kind_t kind_of(input read_e rd);
    return '{directory: rd inside {RdDdt, RdDc}, dc: rd == RdDc, pair: rd inside {RdPc, RdMsi}};
  endfunction
  read_kind_t [Slots-1:0] kinds_d, kinds;
  always_comb for (int unsigned i = 0; i < Slots; i++) kinds_d[i] = kind_of(walk_q[i].rd);
  iommu_cut #(.T(read_kind_t [Slots-1:0]), .Cut(TimingCuts)) u_cut_kinds (.clk_i, .d_i(kinds_d), .q_o(kinds));
  // What is issued: the fields of the slot, or of the step's result.
  read_kind_t       issue_kind;
  logic [PaW-1:0]   issue_addr;
  mem_user_t        issue_user;
  assign early = !TimingCuts && (want == '0) && step_valid && (state_next == WkReq);
  always_comb begin
    issue_slot = step_slot;
    issue_kind = kind_of(nxt.rd);
    issue_addr = nxt.addr;
    issue_user = '{mcid: cur_dc.mcid, rcid: cur_dc.rcid};
    if (!early) begin
      issue_slot = (TimingCuts || held_q) ? held_slot_q : next_of(want, turn_q);
      issue_kind = kinds[issue_slot];
      issue_addr = walk_q[issue_slot].addr;
      issue_user = '{mcid: dc_q[issue_slot].mcid, rcid: dc_q[issue_slot].rcid};
    end
  end

  assign issue = (want != '0) || early;
  always_comb begin
    rreq.id   = MemIdWide'(issue_slot);
    rreq.addr = {issue_addr[PaW-1:3], 3'd0};
    if (issue_kind.dc) rreq.len = cfg_i.caps.msi_flat ? 8'd7 : 8'd3;
    else rreq.len = {7'd0, issue_kind.pair};
    // The device directory is read with iommu_qosid, all else as its context says.
    rreq.user = issue_kind.directory ? qosid_i : issue_user;
  end

  // The choice is in its register before its read is fetched.
  logic rreq_room, offered;
  assign offered = issue && (held_q || !TimingCuts);
  assign taken   = offered && rreq_room;
  iommu_slice #(.T(mem_rreq_t), .Cut(TimingCuts)) u_rreq (
      .clk_i, .rst_ni,
      .valid_i(offered),
      .ready_o(rreq_room),
      .data_i (rreq),
      .valid_o(mem_rreq_valid_o),
      .ready_i(mem_rreq_ready_i),
      .data_o (mem_rreq_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q      <= 1'b0;
      held_slot_q <= '0;
      turn_q      <= '0;
    end else begin
      held_q      <= issue && !taken;
      held_slot_q <= (TimingCuts && !held_q) ? next_of(want, turn_q) : issue_slot;
      if (taken) turn_q <= issue_slot;
    end
  end

  // ---------------------------------------------------------------- A/D updates
  logic             amo_busy_q;
  logic [SlotW-1:0] amo_slot_q;
  logic [Slots-1:0] amo_r_q, amo_b_q;  // data and answer have come
  logic             amo_fs, amo_32, amo_be;  // of the first stage; of 4 bytes; big-endian
  logic [PaW-1:0]   amo_addr;
  logic [63:0]      amo_old, amo_new, amo_old_le, amo_new_le;

  // An entry as it lies in memory; one of 4 bytes in the low half.
  function automatic logic [63:0] to_memory(input logic [63:0] pte, input logic be, input logic entry32);
    logic [63:0] swapped;
    swapped = pte;
    if (be) for (int unsigned i = 0; i < 8; i++) swapped[8*i+:8] = pte[8*(7-i)+:8];
    return (be && entry32) ? {32'd0, swapped[63:32]} : swapped;
  endfunction

  // How the entry lies in memory; with TimingCuts it is known before the entry is fetched.
  typedef struct packed {
    logic entry32;
    logic be;
  } amo_shape_t;
  amo_shape_t amo_shape_d, amo_shape;
  iommu_cut #(.T(amo_shape_t), .Cut(TimingCuts)) u_cut_amo_shape (.clk_i, .d_i(amo_shape_d), .q_o(amo_shape));
  assign amo_fs      = walk_q[amo_slot_q].rd == RdFs;
  assign amo_shape_d = '{
          entry32: (amo_fs ? pc_q[amo_slot_q].mode : dc_q[amo_slot_q].gs_mode) == Pt32,
          be: amo_fs ? dc_q[amo_slot_q].sbe : cfg_i.be
      };
  assign amo_32      = amo_shape.entry32;
  assign amo_be      = amo_shape.be;
  assign amo_addr   = walk_q[amo_slot_q].addr;
  assign amo_old_le = walk_q[amo_slot_q].pte;
  assign amo_new_le = amo_old_le | {56'd0, walk_q[amo_slot_q].set_d, 7'b100_0000};
  assign amo_old    = to_memory(amo_old_le, amo_be, amo_32);
  assign amo_new    = to_memory(amo_new_le, amo_be, amo_32);

  mem_wreq_t wreq;
  logic      amo_taken;
  assign amo_taken = mem_wreq_valid_o && mem_wreq_ready_i;
  // It stands until memory has taken it (amo_taken), not only until the register has.
  logic wreq_room, amo_known;
  iommu_settle #(.Cycles(1), .Cut(TimingCuts)) u_settle_amo (
      .clk_i, .rst_ni,
      .there_i(amo_busy_q),
      .taken_i(amo_taken),
      .seen_o (amo_known)
  );
  iommu_slice #(.T(mem_wreq_t), .Cut(TimingCuts)) u_wreq (
      .clk_i, .rst_ni,
      .valid_i(amo_known),
      .ready_o(wreq_room),
      .data_i (wreq),
      .valid_o(mem_wreq_valid_o),
      .ready_i(mem_wreq_ready_i),
      .data_o (mem_wreq_o)
  );
  always_comb begin
    wreq      = '0;
    wreq.id     = MemIdWide'(amo_slot_q);
    wreq.atop   = AtopCompare;
    wreq.wrap   = amo_32 ? amo_addr[2] : amo_addr[3];
    wreq.addr   = amo_addr;
    wreq.len    = amo_32 ? 2'd0 : 2'd1;
    wreq.size   = 3'd3;
    wreq.strb   = 8'hFF;
    wreq.user   = '{mcid: dc_q[amo_slot_q].mcid, rcid: dc_q[amo_slot_q].rcid};
    if (amo_32) begin
      wreq.data[0] = amo_addr[2] ? {amo_old[31:0], amo_new[31:0]} : {amo_new[31:0], amo_old[31:0]};
    end else begin
      wreq.data[0] = amo_old;
      wreq.data[1] = amo_new;
    end
  end

  // The data of an update: it has come, what it is compared with is fetched, put in
  // memory's order, and compared; a cycle each with TimingCuts.
  typedef struct packed {
    logic [63:0] pte;
    logic        fs;    // of the first stage
    logic        fs_32;
    logic        gs_32;
    logic        sbe;
    logic        high;  // in the upper half
  } updated_t;
  typedef struct packed {
    logic [63:0] pte;  // as it lies in memory
    logic        entry32;
    logic        high;
  } expected_t;
  logic             amo_got, amo_ordered, amo_cmp, found_same;
  logic [SlotW-1:0] amo_got_slot, amo_cmp_slot;
  mem_rrsp_t        amo_got_rsp, amo_ordered_rsp, amo_cmp_rsp;
  updated_t         updated_d, updated;
  expected_t        expected_d, expected;
  if (TimingCuts) begin : gen_amo_cut
    logic [2:0] amo_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) amo_q <= '0;
      else amo_q <= {amo_q[1:0], rsp_amo};
    end
    assign {amo_cmp, amo_ordered, amo_got} = amo_q;
  end else begin : gen_amo
    assign amo_got     = rsp_amo;
    assign amo_ordered = rsp_amo;
    assign amo_cmp     = rsp_amo;
  end
  iommu_cut #(.T(mem_rrsp_t), .Cut(TimingCuts)) u_cut_got (.clk_i, .d_i(rsp), .q_o(amo_got_rsp));
  iommu_cut #(.T(mem_rrsp_t), .Cut(TimingCuts)) u_cut_ordered (.clk_i, .d_i(amo_got_rsp), .q_o(amo_ordered_rsp));
  iommu_cut #(.T(mem_rrsp_t), .Cut(TimingCuts)) u_cut_cmp (.clk_i, .d_i(amo_ordered_rsp), .q_o(amo_cmp_rsp));
  iommu_cut #(.T(updated_t), .Cut(TimingCuts)) u_cut_updated (.clk_i, .d_i(updated_d), .q_o(updated));
  iommu_cut #(.T(expected_t), .Cut(TimingCuts)) u_cut_expected (.clk_i, .d_i(expected_d), .q_o(expected));
  assign amo_got_slot = amo_got_rsp.id[SlotW-1:0];
  assign amo_cmp_slot = amo_cmp_rsp.id[SlotW-1:0];
  always_comb begin
    updated_d  = '0;
    expected_d = '0;
    found_same = 1'b0;
    if (TimingCuts || amo_got) begin
      updated_d = '{
          pte: walk_q[amo_got_slot].pte,
          fs: walk_q[amo_got_slot].rd == RdFs,
          fs_32: pc_q[amo_got_slot].mode == Pt32,
          gs_32: dc_q[amo_got_slot].gs_mode == Pt32,
          sbe: dc_q[amo_got_slot].sbe,
          high: walk_q[amo_got_slot].addr[2]
      };
    end
    if (TimingCuts || amo_ordered) begin
      expected_d = '{
          pte: to_memory(updated.pte, updated.fs ? updated.sbe : cfg_i.be, updated.fs ? updated.fs_32 : updated.gs_32),
          entry32: updated.fs ? updated.fs_32 : updated.gs_32,
          high: updated.high
      };
    end
    if (TimingCuts || amo_cmp) begin
      if (!expected.entry32) found_same = amo_cmp_rsp.data == expected.pte;
      else found_same = (expected.high ? amo_cmp_rsp.data[63:32] : amo_cmp_rsp.data[31:0]) == expected.pte[31:0];
    end
  end

  logic             wrsp;
  logic [SlotW-1:0] wrsp_slot;
  assign wrsp      = mem_wrsp_valid_i && (32'(mem_wrsp_id_i) < Slots);
  assign wrsp_slot = mem_wrsp_id_i[SlotW-1:0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      amo_busy_q   <= 1'b0;
      amo_slot_q   <= '0;
      amo_r_q      <= '0;
      amo_b_q      <= '0;
      amo_same_q   <= '0;
      amo_err_q    <= '0;
      amo_poison_q <= '0;
    end else begin
      if (!amo_busy_q) begin
        if (amos != '0) begin
          amo_busy_q <= 1'b1;
          amo_slot_q <= next_of(amos, amo_slot_q);
        end
      end else if (amo_taken) begin
        amo_busy_q <= 1'b0;
      end
      if (step_valid && (state_next == WkAmo)) begin
        amo_r_q[step_slot]      <= 1'b0;
        amo_b_q[step_slot]      <= 1'b0;
        amo_err_q[step_slot]    <= 1'b0;
        amo_poison_q[step_slot] <= 1'b0;
      end
      if (amo_cmp) begin
        amo_r_q[amo_cmp_slot]      <= 1'b1;
        amo_same_q[amo_cmp_slot]   <= found_same;
        amo_poison_q[amo_cmp_slot] <= amo_cmp_rsp.poison && !amo_cmp_rsp.err;
        if (amo_cmp_rsp.err) amo_err_q[amo_cmp_slot] <= 1'b1;
      end
      if (wrsp) begin
        amo_b_q[wrsp_slot] <= 1'b1;
        if (mem_wrsp_err_i) amo_err_q[wrsp_slot] <= 1'b1;
      end
    end
  end

  // ---------------------------------------------------------------- slots
  // A walk that begins, and a step that ends, write their slot. With TimingCuts one of
  // the two in a cycle, from one multiplexer, with enables that are in registers: a
  // walk begins a cycle or two after start_valid_i, what start_* say stands so long.
  logic [Slots-1:0] begin_at, end_at, write_at;  // the slots that are written, by either
  logic [Slots-1:0][7:0] dc_at;  // with TimingCuts: the doublewords of their device contexts
  if (TimingCuts) begin : gen_write_cut
    logic [Slots-1:0] late_q, late_d, begin_q, begin_d, end_q, end_d, write_q;
    logic             deny_q;
    always_comb begin
      late_d  = '0;
      begin_d = late_q;
      end_d   = '0;
      if (start_valid_i) begin
        if (step_phase[PhRange]) late_d[start_slot_i] = 1'b1;
        else begin_d[start_slot_i] = 1'b1;
      end
      if (step_phase[PhRange]) end_d[step_slot] = 1'b1;
    end
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        late_q  <= '0;
        begin_q <= '0;
        end_q   <= '0;
        write_q <= '0;
        dc_at   <= '0;
      end else begin
        late_q  <= late_d;
        begin_q <= begin_d;
        end_q   <= end_d;
        write_q <= begin_d | end_d;
        for (int unsigned i = 0; i < Slots; i++) begin
          dc_at[i] <= begin_d[i] ? '1 : (end_d[i] && nxt_dc_we) ? 8'd1 << cur.beat : '0;
        end
      end
    end
    always_ff @(posedge clk_i) if (start_valid_i) deny_q <= start_i.deny;
    assign begin_at = begin_q;
    assign end_at   = end_q;
    assign write_at = write_q;
    assign starting_next = late_d | begin_d;
    assign denied   = deny_q;
    `IOMMU_ASSERT(WalkOneWrite, $onehot0({begin_q, end_q}))
    `IOMMU_ASSERT(WalkEndsWithItsStep, (end_q != '0) == step_valid)
  end else begin : gen_write
    always_comb begin
      begin_at = '0;
      end_at   = '0;
      if (start_valid_i) begin_at[start_slot_i] = 1'b1;
      if (step_valid) end_at[step_slot] = 1'b1;
    end
    assign write_at = begin_at | end_at;
    assign dc_at    = '0;
    assign starting_next = '0;
    assign denied   = start_i.deny;
  end

  walk_state_e      state_d[Slots];
  logic [Slots-1:0] stale_d;
  always_comb begin
    stale_d = stale_q;
    for (int unsigned i = 0; i < Slots; i++) begin
      state_d[i] = state_q[i];
      if (begin_at[i]) begin
        state_d[i] = denied ? WkDone : step_start ? state_next : WkLook;
        // A slot that goes on from its context keeps its mark.
        if (state_q[i] == WkIdle) stale_d[i] = 1'b0;
      end else if (free_valid_i && (free_slot_i == SlotW'(i))) begin
        state_d[i] = WkIdle;
      end else if (end_at[i]) begin
        state_d[i] = state_next;
      end else if (msi_ready && (msi_slot_q == SlotW'(i))) begin
        state_d[i] = WkLook;
      end else if (amo_taken && (amo_slot_q == SlotW'(i))) begin
        state_d[i] = WkAmoB;
      end else if ((state_q[i] == WkAmoB) && amo_r_q[i] && amo_b_q[i]) begin
        state_d[i] = WkLook;
      end
      if (taken && (issue_slot == SlotW'(i))) state_d[i] = WkWait;
    end
    if (stale_i) stale_d = '1;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Slots; i++) state_q[i] <= WkIdle;
      stale_q <= '0;
    end else begin
      for (int unsigned i = 0; i < Slots; i++) state_q[i] <= state_d[i];
      stale_q <= stale_d;
    end
  end

  // Content; its validity is in state_q.
  if (TimingCuts) begin : gen_content_cut
    logic  ends;
    walk_t walk_d;
    dc_t   dc_d;
    pc_t   pc_d;
    assign ends   = step_phase[PhEnd];
    assign walk_d = ends ? nxt : start_walk;
    assign dc_d   = ends ? nxt_dc : start_dc;
    assign pc_d   = ends ? nxt_pc : start_pc_i;
    for (genvar i = 0; i < Slots; i++) begin : gen_slot
      logic [$bits(dc_t)-1:0] dc_bits, dc_mask;
      always_comb begin
        dc_bits = dc_q[i];
        dc_mask = '0;
        for (int unsigned j = 0; j < 8; j++) if (dc_at[i][j]) dc_mask |= dc_fields(3'(j));
        // Field by field: the others keep their values.
        for (int unsigned j = 0; j < $bits(dc_t); j++) if (dc_mask[j]) dc_bits[j] = dc_d[j];
      end
      always_ff @(posedge clk_i) begin
        if (write_at[i]) walk_q[i] <= walk_d;
        if (begin_at[i]) req_q[i] <= start_req_i;
        dc_q[i] <= dc_bits;
        if (begin_at[i] || (end_at[i] && nxt_pc_we)) pc_q[i] <= pc_d;
      end
    end
  end else begin : gen_content
    always_ff @(posedge clk_i) begin
      if (start_valid_i) begin
        walk_q[start_slot_i] <= start_walk;
        req_q[start_slot_i]  <= start_req_i;
        dc_q[start_slot_i]   <= start_dc;
        pc_q[start_slot_i]   <= start_pc_i;
      end
      if (step_valid) walk_q[step_slot] <= nxt;  // if both are the same slot, the step has begun the walk
      if (step_valid && nxt_dc_we) dc_q[step_slot] <= (cur_dc & ~nxt_dc_fields) | (nxt_dc & nxt_dc_fields);
      if (step_valid && nxt_pc_we) pc_q[step_slot] <= nxt_pc;
    end
  end

  // ---------------------------------------------------------------- view of the slots
  // Faults that locating the device context has found are always reported; the
  // others unless DTF hides them, or ATS answers with success.
  logic [Slots-1:0] reports_d, reports;
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) begin
      reports_d[i] = walk_q[i].deny && !(walk_q[i].dc_valid && dc_q[i].dtf) &&
                     !((req_q[i].kind == KdAts) && ats_silent(walk_q[i].cause));
    end
  end
  // With TimingCuts the states that the pipeline asks for have registers of their own;
  // an end is told a cycle late, with what it reports.
  if (TimingCuts) begin : gen_view_cut
    logic [Slots-1:0] idle_q, ctx_q, done_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        idle_q <= '1;
        ctx_q  <= '0;
        done_q <= '0;
      end else begin
        for (int unsigned i = 0; i < Slots; i++) begin
          idle_q[i] <= (state_d[i] == WkIdle) && !starting_next[i];
          ctx_q[i]  <= (state_d[i] == WkCtx) && !starting_next[i];
          done_q[i] <= (state_d[i] == WkDone) && (state_q[i] == WkDone);
        end
      end
    end
    assign idle_o = idle_q;
    assign ctx_o  = ctx_q;
    assign done_o = done_q;
  end else begin : gen_view
    always_comb begin
      for (int unsigned i = 0; i < Slots; i++) begin
        idle_o[i] = (state_q[i] == WkIdle);
        ctx_o[i]  = (state_q[i] == WkCtx);
        done_o[i] = (state_q[i] == WkDone);
      end
    end
  end
  iommu_cut #(.T(logic [Slots-1:0]), .Cut(TimingCuts)) u_cut_reports (.clk_i, .d_i(reports_d), .q_o(reports));
  assign report_o = done_o & reports;

  assign walk_o     = walk_q[sel_i];
  assign walk_req_o = req_q[sel_i];
  assign walk_dc_o  = dc_q[sel_i];
  assign walk_pc_o  = pc_q[sel_i];
  assign keep_o = !stale_q[sel_i];

  // A walk looks for a context until the pipeline has taken it, then for the
  // next, then for a page. Only device traffic brings pages into the IOTLB.
  typedef struct packed {
    logic alive;  // a walk that looks for the same
    logic did;
    logic pid;
    logic page;
    logic space;
  } same_t;
  same_t [Slots-1:0] same_d, same;
  iommu_cut #(.T(same_t [Slots-1:0]), .Cut(TimingCuts)) u_cut_same (.clk_i, .d_i(same_d), .q_o(same));
  always_comb begin
    same_d = '0;
    if (TimingCuts || find_i) begin
      for (int unsigned i = 0; i < Slots; i++) begin
        same_d[i] = '{
            alive: !idle_o[i] && !stale_q[i] && !walk_q[i].deny && (walk_q[i].stage == find_stage_i),
            did: req_q[i].device_id == find_req_i.device_id,
            pid: req_q[i].process_id == find_req_i.process_id,
            page: (req_q[i].kind == KdDevice) && (find_req_i.kind == KdDevice) &&
                  (req_q[i].iova[58:12] == find_req_i.iova[58:12]),
            space: {dc_q[i].gs_mode, dc_q[i].gscid, pc_q[i].mode, pc_q[i].pscid} == find_space_i
        };
      end
    end
  end
  always_comb begin
    found_o = '0;
    if (find_i) begin
      for (int unsigned i = 0; i < Slots; i++) begin
        if (same[i].alive) begin
          unique case (find_stage_i)
            SgDdt:   found_o[i] = same[i].did;
            SgPdt:   found_o[i] = same[i].did && same[i].pid;
            default: found_o[i] = same[i].page && same[i].space;
          endcase
        end
      end
    end
  end

  assign hpm_o = '{
          ev: {events, 4'd0},
          did: cur_req.device_id,
          pv: cur_req.pv,
          pid: cur_req.process_id,
          gscv: cur.dc_valid && (cur_dc.gs_mode != PtBare),
          gscid: cur_dc.gscid,
          pscv: cur.dc_valid && (cur.stage == SgPage) && (cur_pc.mode != PtBare),
          pscid: cur_pc.pscid
      };

  // ---------------------------------------------------------------- assertions
  `IOMMU_ASSERT(WalkDataForOutstandingRead,
                !rsp_valid || ((32'(rsp.id) < Slots) &&
                               (state_q[rsp_slot] inside {WkWait, WkAmo, WkAmoB})))
  `IOMMU_ASSERT(WalkAnswerForOutstandingUpdate,
                !wrsp || (state_q[wrsp_slot] inside {WkAmo, WkAmoB}))
  `IOMMU_ASSERT(WalkStartsInOwnSlot,
                !start_valid_i || idle_o[start_slot_i] || ctx_o[start_slot_i])
  `IOMMU_ASSERT(WalkFreedWhenServed,
                !free_valid_i || done_o[free_slot_i] || ctx_o[free_slot_i])
  `IOMMU_ASSERT(WalkReadInRange,
                !mem_rreq_valid_o || ((mem_rreq_o.addr & addr_high_i) == '0))
  `IOMMU_ASSERT(WalkUpdateInRange,
                !mem_wreq_valid_o || ((mem_wreq_o.addr & addr_high_i) == '0))
  `IOMMU_ASSERT(WalkGrantOnlyPage,
                !(done_o[sel_i] && !walk_o.deny) || (walk_o.stage == SgPage))
  `IOMMU_ASSERT(WalkMsiIndexForItsSlot,
                !(step_look && (cur.look == LkMsi)) || (msi_busy_q && (step_slot == msi_slot_q)))

  logic unused;
  assign unused = &{1'b0, issue_addr[2:0], find_req_i, rsp.last, amo_got_rsp, amo_ordered_rsp, amo_cmp_rsp, wreq_room, nxt_dc_fields, dc_at, walk_pc_o, write_at, starting_next};

  for (genvar i = 0; i < Slots; i++) begin : gen_fsm
    `IOMMU_FSM(walk_state_e, state_q[i])
    `IOMMU_ARC(WkIdle, WkLook)
    `IOMMU_ARC(WkIdle, WkReq)
    `IOMMU_ARC(WkIdle, WkWait)
    `IOMMU_ARC(WkIdle, WkMsi)
    `IOMMU_ARC(WkIdle, WkDone)
    `IOMMU_ARC(WkLook, WkReq)
    `IOMMU_ARC(WkLook, WkWait)
    `IOMMU_ARC(WkLook, WkMsi)
    `IOMMU_ARC(WkLook, WkAmo)
    `IOMMU_ARC(WkLook, WkDone)
    `IOMMU_ARC(WkReq, WkWait)
    `IOMMU_ARC(WkWait, WkReq)
    `IOMMU_ARC(WkWait, WkMsi)
    `IOMMU_ARC(WkWait, WkAmo)
    `IOMMU_ARC(WkWait, WkCtx)
    `IOMMU_ARC(WkWait, WkDone)
    `IOMMU_ARC(WkMsi, WkLook)
    `IOMMU_ARC(WkAmo, WkAmoB)
    `IOMMU_ARC(WkAmoB, WkLook)
    `IOMMU_ARC(WkCtx, WkIdle)
    `IOMMU_ARC(WkCtx, WkLook)
    `IOMMU_ARC(WkCtx, WkReq)
    `IOMMU_ARC(WkCtx, WkWait)
    `IOMMU_ARC(WkCtx, WkMsi)
    `IOMMU_ARC(WkCtx, WkDone)
    `IOMMU_ARC(WkDone, WkIdle)
  end
endmodule

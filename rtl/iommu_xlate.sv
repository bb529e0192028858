// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Translation of device addresses: the lookup pipeline, its caches (IOTLB,
// device- and process-directory caches), the walk unit and the queue of misses.
//
// Everything that reads or writes a cache, or answers a request, goes through
// the pipeline, one operation a cycle, so that there is one order of events:
//   invalidate   apply a command to the caches, and mark the walks under way
//   done         a walk has ended: answer its request, keep the page, report
//   context      a walk has a device or process context: keep it, look further
//   retry        a request that missed is looked up again
//   new          a new request is looked up, of the bridge or of the core's own
//                clients (ATS, debug)
// in this order of priority; but after each `done` or `context` a `retry` or `new`
// has its turn, so that the next walk begins in a slot as soon as it is free. An
// operation's answer leaves one cycle later. A hit never waits for a walk; all but
// `new` are bounded in number by the requests that missed, so that new ones cannot
// starve either.
//
// With TimingCuts an operation takes LookupCycles more cycles, one at a time: it is
// chosen in its first cycle, and only its last one changes anything. What it reads
// stands still meanwhile, since nothing but operations fills or empties a cache,
// starts or frees a walk, or moves a request that missed. So its registers
// (iommu_cut) need neither enables nor equal numbers on all paths.
//
// Requests and answers: req is valid/ready, ready does not depend on req. Answers
// come in any order, by tag, without back-pressure; tags are unique while
// outstanding.

`include "iommu_macros.svh"

module iommu_xlate
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned IotlbEntries = 64,  // pages in the IOTLB
    parameter int unsigned DdtcEntries  = 16,  // contexts in the device-directory cache
    parameter int unsigned PdtcEntries  = 16,  // contexts in the process-directory cache
    parameter int unsigned FsCache      = 16,  // pointers in the first-stage walk cache
    parameter int unsigned GsCache      = 16,  // pointers in the second-stage walk cache
    parameter int unsigned GsTlb        = 16,  // second-stage leaves kept for walks
    parameter int unsigned NumWalkers   = 8,   // walks in flight, 1 to 16
    parameter int unsigned BridgeSlots  = 32,  // tags of the bridge's reads, and as many of its writes; a power of 2, up to 64
    parameter bit          TimingCuts   = 1'b0  // registers inside lookups and walk steps: more cycles each, a faster clock
) (
    input  logic       clk_i,             // clock
    input  logic       rst_ni,            // asynchronous reset, active low
    input  csr_cfg_t   csr_cfg_i,         // capabilities and feature control
    // new ddtp, held valid until ready: in force for every request accepted
    // later; those accepted before have been answered
    input  logic       ddtp_valid_i,
    input  ddtp_t      ddtp_i,
    output logic       ddtp_ready_o,
    // requests and answers
    input  logic       req_valid_i,
    output logic       req_ready_o,
    input  tr_req_t    req_i,
    output logic       rsp_valid_o,
    output tr_rsp_t    rsp_o,
    // the core's own clients, ATS and debug: after the bridge's requests, in turns
    input  logic       aux_req_valid_i,
    output logic       aux_req_ready_o,
    input  aux_req_t   aux_req_i,
    output logic       aux_rsp_valid_o,
    output aux_rsp_t   aux_rsp_o,
    // what happened, for the HPM
    output hpm_event_t [HpmPorts-1:0] hpm_o,
    // iommu_qosid
    input  mem_user_t  qosid_i,
    // invalidation, held valid until ready: applied, also to walks under way
    input  logic       inv_valid_i,
    output logic       inv_ready_o,
    input  inv_req_t   inv_i,
    // one record for each denied request that reports
    output logic       fault_valid_o,
    input  logic       fault_ready_i,
    output fault_rec_t fault_o,
    // memory reads; ids 0 to NumWalkers-1
    output logic       mem_rreq_valid_o,
    input  logic       mem_rreq_ready_i,
    output mem_rreq_t  mem_rreq_o,
    input  logic       mem_rrsp_valid_i,
    input  mem_rrsp_t  mem_rrsp_i,
    // memory writes: A/D updates, interrupt files, notices
    output logic       mem_wreq_valid_o,
    input  logic       mem_wreq_ready_i,
    output mem_wreq_t  mem_wreq_o,
    input  logic       mem_wrsp_valid_i,
    input  logic       mem_wrsp_err_i,
    input  logic [MemIdWide-1:0] mem_wrsp_id_i,
    output logic       idle_o             // every request accepted is answered, every fault taken
);

  localparam int unsigned SlotW = (NumWalkers > 1) ? $clog2(NumWalkers) : 1;
  typedef logic [SlotW-1:0] slot_t;

  // ---------------------------------------------------------------- configuration
  ddtp_t ddtp_q;

  // Address bits at or above 2^PAS; a physical address never has more than PaW.
  logic [63:0] addr_high_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) addr_high_q <= '1;
    else addr_high_q <= ({64{1'b1}} << csr_cfg_i.caps.pas) | ({64{1'b1}} << PaW);
  end

  // ---------------------------------------------------------------- operation of this cycle
  logic [NumWalkers-1:0] walk_idle, walk_ctx, walk_done, walk_report;
  logic                  woken_valid, blocked_valid, miss_empty;
  logic                  fault_valid_q;

  logic [NumWalkers-1:0] done_ready;  // ended walks that can be answered now
  assign done_ready = walk_done & ~(walk_report & {NumWalkers{fault_valid_q}});

  // Own clients' requests go in turns with the bridge's: at most every other
  // cycle, at least when the bridge has none.
  //   pick_*  chosen in this cycle
  //   is_*    the operation under way
  //   op_*    the same in its last cycle, in which it takes effect
  // Without TimingCuts the three are one.
  typedef struct packed {
    logic inv;
    logic done;
    logic ctx;
    logic retry;
    logic fresh;  // new
    logic aux;    // new, of an own client
    logic ddtp;   // take the new ddtp
  } op_t;
  op_t      pick, is, op;
  logic     busy, commit_next;  // the next cycle is the last one
  logic     new_ready, aux_turn_q, turn_lookup_q, lookup_first, yields, retry_ready;
  logic     in_valid, in_aux_valid;  // requests, behind their registers
  tr_req_t  in_req;
  aux_req_t in_aux;
  logic     empty;
  assign retry_ready  = woken_valid || (blocked_valid && (walk_idle != '0));
  assign lookup_first = turn_lookup_q || ((done_ready == '0) && (walk_ctx == '0));
  assign yields       = turn_lookup_q && (retry_ready || in_valid || in_aux_valid);
  assign new_ready    = !busy && !inv_valid_i && !retry_ready && lookup_first && !(ddtp_valid_i && !TimingCuts);
  always_comb begin
    pick.inv   = !busy && inv_valid_i;
    pick.retry = !busy && !inv_valid_i && retry_ready && lookup_first;
    pick.done  = !busy && !inv_valid_i && !yields && (done_ready != '0);
    pick.ctx   = !busy && !inv_valid_i && !yields && (done_ready == '0) && (walk_ctx != '0);
    pick.aux   = new_ready && in_aux_valid && aux_turn_q;
    pick.fresh = new_ready && ((in_aux_valid && aux_turn_q) || in_valid);
    pick.ddtp  = !busy && !inv_valid_i && ddtp_valid_i && empty && !(TimingCuts && (in_valid || in_aux_valid));
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aux_turn_q    <= 1'b0;
      turn_lookup_q <= 1'b0;
    end else begin
      if (new_ready) aux_turn_q <= !pick.aux;
      if (!busy && !pick.inv) turn_lookup_q <= pick.done || pick.ctx;
    end
  end

  // Cycles from the choice of an operation to its last: registers on its longest way.
  localparam int unsigned LookupCycles = 17;
  if (TimingCuts) begin : g_cut
    op_t                     op_q;
    logic [LookupCycles-1:0] phase_q;
    logic                    commit, busy_q, req_valid_q, aux_valid_q;
    tr_req_t                 req_q;
    aux_req_t                aux_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        busy_q      <= 1'b0;
        phase_q     <= '0;
        op_q        <= '0;
        req_valid_q <= 1'b0;
        aux_valid_q <= 1'b0;
      end else begin
        phase_q <= {phase_q[LookupCycles-2:0], pick != '0};
        if (pick != '0) busy_q <= 1'b1;
        else if (commit) busy_q <= 1'b0;
        if (!busy_q) op_q <= pick;
        req_valid_q <= req_valid_q ? !(pick.fresh && !pick.aux) : (req_valid_i && req_ready_o);
        aux_valid_q <= aux_valid_q ? !pick.aux : (aux_req_valid_i && aux_req_ready_o);
      end
    end
    always_ff @(posedge clk_i) begin
      if (!req_valid_q) req_q <= req_i;
      if (!aux_valid_q) aux_q <= aux_req_i;
    end
    assign busy            = busy_q;
    assign commit          = phase_q[LookupCycles-1];
    assign commit_next     = phase_q[LookupCycles-2];
    assign is              = op_q;
    assign in_valid        = req_valid_q;
    assign in_req          = req_q;
    // What is here when a new ddtp comes is looked up with the old one.
    assign req_ready_o     = !req_valid_q && !ddtp_valid_i;
    assign in_aux_valid    = aux_valid_q;
    assign in_aux          = aux_q;
    assign aux_req_ready_o = !aux_valid_q && !ddtp_valid_i;
    assign inv_ready_o     = op.inv;
    `IOMMU_ASSERT(XlateOneUnderWay, $onehot0(phase_q) && ((phase_q != '0) == busy_q))
  end else begin : g_no_cut
    assign busy            = 1'b0;
    assign commit_next     = 1'b1;
    assign is              = pick;
    assign in_valid        = req_valid_i;
    assign in_req          = req_i;
    assign req_ready_o     = new_ready && !pick.aux;
    assign in_aux_valid    = aux_req_valid_i;
    assign in_aux          = aux_req_i;
    assign aux_req_ready_o = new_ready && aux_turn_q;
    assign inv_ready_o     = 1'b1;
  end
  // Each effect has a register of its own that says so: they lie far apart.
  iommu_pulse #(.T(op_t), .Cut(TimingCuts)) u_pulse_op (
      .clk_i, .rst_ni, .d_i(commit_next ? is : '0), .q_o(op)
  );

  // Slot of done and ctx, in turn; it stands until the next is chosen.
  logic [NumWalkers-1:0] slot_wants;
  slot_t                 turn_q, pick_slot, slot;
  assign slot_wants = (done_ready != '0) ? done_ready : walk_ctx;
  always_comb begin
    pick_slot = turn_q;
    for (int unsigned i = NumWalkers; i > 0; i--) begin
      if (slot_wants[(32'(turn_q) + i) % NumWalkers]) pick_slot = slot_t'((32'(turn_q) + i) % NumWalkers);
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) turn_q <= '0;
    else if (pick.done || pick.ctx) turn_q <= pick_slot;
  end
  assign slot = TimingCuts ? turn_q : pick_slot;

  // ---------------------------------------------------------------- lookup
  // Of the slot; it stands until an operation has taken it.
  walk_t walk_d, walk;
  xreq_t walk_req_d, walk_req;
  dc_t   walk_dc_d, walk_dc;
  pc_t   walk_pc_d, walk_pc;
  iommu_cut #(.T(walk_t), .Cut(TimingCuts)) u_cut_walk (.clk_i, .d_i(walk_d), .q_o(walk));
  iommu_cut #(.T(xreq_t), .Cut(TimingCuts)) u_cut_walk_req (.clk_i, .d_i(walk_req_d), .q_o(walk_req));
  iommu_cut #(.T(dc_t), .Cut(TimingCuts)) u_cut_walk_dc (.clk_i, .d_i(walk_dc_d), .q_o(walk_dc));
  iommu_cut #(.T(pc_t), .Cut(TimingCuts)) u_cut_walk_pc (.clk_i, .d_i(walk_pc_d), .q_o(walk_pc));
  logic   walk_keep;
  xreq_t  head, req, new_req;
  logic   head_waited;
  stage_e head_stage;

  always_comb begin
    new_req = '{
        place: {1'b0, in_req.tag},
        kind: KdDevice,
        device_id: in_req.device_id,
        pv: in_req.pv,
        process_id: in_req.process_id,
        priv: in_req.priv,
        exec: in_req.exec,
        write: in_req.write,
        translated: in_req.translated,
        need_pri: 1'b0,
        iova: in_req.iova
    };
    if (in_aux_valid && aux_turn_q) begin
      new_req = '{
          place: {1'b1, TrTagW'(in_aux.tag)},
          kind: (in_aux.kind == AuxAts) ? KdAts : (in_aux.kind == AuxDebug) ? KdDebug : KdContext,
          device_id: in_aux.device_id,
          pv: in_aux.pv,
          process_id: in_aux.pv ? in_aux.process_id : '0,
          priv: in_aux.priv && in_aux.pv,
          exec: in_aux.exec,
          write: !in_aux.no_write && (in_aux.kind != AuxContext),
          translated: 1'b0,
          need_pri: in_aux.need_pri,
          iova: in_aux.iova
      };
    end
  end

  // The new one is kept when it is chosen; the head stands.
  xreq_t entry;
  if (TimingCuts) begin : g_entry_cut
    xreq_t new_q;
    always_ff @(posedge clk_i) if (!busy) new_q <= new_req;
    assign entry = is.retry ? head : new_q;
  end else begin : g_entry
    assign entry = retry_ready ? head : new_req;
  end

  logic from_walk, look_up;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_from_walk (.clk_i, .d_i(is.done || is.ctx), .q_o(from_walk));
  assign look_up   = is.ctx || is.retry || is.fresh;
  iommu_cut #(.T(xreq_t), .Cut(TimingCuts)) u_cut_req (
      .clk_i, .d_i(from_walk ? walk_req : entry), .q_o(req)
  );

  typedef struct packed {
    logic dc_valid;
    dc_t  dc;
    logic pc_valid;
    pc_t  pc;
  } contexts_t;
  logic      ddtc_hit, pdtc_hit, dc_valid, pc_valid;
  dc_t       ddtc_dc, dc;
  pc_t       pdtc_pc, pc;
  contexts_t contexts_d, contexts;
  assign contexts_d.dc_valid = from_walk ? walk.dc_valid : ddtc_hit;
  assign contexts_d.dc       = from_walk ? walk_dc : ddtc_dc;
  assign contexts_d.pc_valid = (from_walk && (walk.stage != SgDdt)) || pdtc_hit;
  assign contexts_d.pc       = (from_walk && (walk.stage != SgDdt)) ? walk_pc : pdtc_pc;
  iommu_cut #(.T(contexts_t), .Cut(TimingCuts)) u_cut_contexts (.clk_i, .d_i(contexts_d), .q_o(contexts));
  assign dc_valid = contexts.dc_valid;
  assign dc       = contexts.dc;
  assign pc_valid = contexts.pc_valid;
  assign pc       = contexts.pc;

  typedef struct packed {
    logic        same;
    logic        paged;
    logic        uses_dc;
    logic        uses_pc;
    pc_t         fs;
    space_t      space;
    logic        priv;
    walk_start_t start;
  } resolved_t;
  logic            same, paged, uses_dc, uses_pc, priv;
  pc_t             fs;
  space_t          space;
  logic [VpnW-1:0] vpn;
  walk_start_t     start;
  resolved_t       resolved_d, resolved;
  iommu_resolve #(
      .TimingCuts(TimingCuts)
  ) u_resolve (
      .clk_i      (clk_i),
      .msi_flat_i (csr_cfg_i.caps.msi_flat),
      .addr_high_i(addr_high_q),
      .ddtp_i     (ddtp_q),
      .req_i      (req),
      .dc_valid_i (dc_valid),
      .dc_i       (dc),
      .pc_valid_i (pc_valid),
      .pc_i       (pc),
      .same_o     (resolved_d.same),
      .paged_o    (resolved_d.paged),
      .uses_dc_o  (resolved_d.uses_dc),
      .uses_pc_o  (resolved_d.uses_pc),
      .fs_o       (resolved_d.fs),
      .space_o    (resolved_d.space),
      .priv_o     (resolved_d.priv),
      .start_o    (resolved_d.start)
  );
  iommu_cut #(.T(resolved_t), .Cut(TimingCuts)) u_cut_resolved (.clk_i, .d_i(resolved_d), .q_o(resolved));
  assign same    = resolved.same;
  assign paged   = resolved.paged;
  assign uses_dc = resolved.uses_dc;
  assign uses_pc = resolved.uses_pc;
  assign fs      = resolved.fs;
  assign space   = resolved.space;
  assign priv    = resolved.priv;
  assign start   = resolved.start;
  assign vpn     = req.iova[58:12];

  typedef struct packed {
    logic            hit;
    logic [PpnW-1:0] ppn;
    logic [VpnW-1:0] gppn;
    page_attr_t      attr;
  } page_t;
  logic            tlb_lookup, tlb_hit, is_fill, page_ok_d, page_ok;
  logic [PpnW-1:0] tlb_ppn;
  logic [VpnW-1:0] tlb_gppn;
  page_attr_t      tlb_attr;
  page_t           page_d, page;
  assign tlb_lookup = paged && (look_up || is_fill);
  iommu_cut #(.T(page_t), .Cut(TimingCuts)) u_cut_page (.clk_i, .d_i(page_d), .q_o(page));
  assign tlb_hit  = page.hit;
  assign tlb_ppn  = page.ppn;
  assign tlb_gppn = page.gppn;
  assign tlb_attr = page.attr;

  // A second stage takes only addresses that are not wider than a guest's; with
  // SXL of 34 bits, though the page may be cached for a device without SXL.
  logic wide_gpa;
  assign wide_gpa = (space.fs_mode == PtBare) && ((req.iova[63:59] != '0) || (dc.sxl && (req.iova[63:34] != '0)));

  // A cached page that does not grant the access is walked again: what memory
  // says now decides, and names the cause. So is one that was not a virtual
  // interrupt file's for another device, and is for this one. ATS and debug want
  // more than is kept.
  typedef struct packed {
    logic device;    // of a device, and of a width that the page is for
    logic msi;       // an interrupt file's page for both
    logic fs;        // the first stage permits it
    logic gs;        // the second
    logic in_range;  // below 2^PAS
  } page_ok_t;
  page_ok_t parts_d, parts;
  logic     tlb_msi;
  assign tlb_msi = (space.gs_mode != PtBare) && msi_match(dc.msi_on, dc.msi_pattern, dc.msi_mask, 52'(tlb_gppn), '0);
  assign parts_d = '{
          device: paged && tlb_hit && (req.kind == KdDevice) && !wide_gpa,
          msi: tlb_msi == tlb_attr.msi,
          fs: (space.fs_mode == PtBare) || pte_permits(tlb_attr.fs, req.exec, req.write, priv, fs.sum),
          gs: (space.gs_mode == PtBare) || pte_permits(tlb_attr.gs, req.exec, req.write, 1'b0, 1'b0),
          in_range: (tlb_ppn & addr_high_q[PaW-1:12]) == '0
      };
  iommu_cut #(.T(page_ok_t), .Cut(TimingCuts)) u_cut_parts (.clk_i, .d_i(parts_d), .q_o(parts));
  assign page_ok_d = parts == '1;

  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_page_ok (.clk_i, .d_i(page_ok_d), .q_o(page_ok));

  logic is_grant, is_miss;
  assign is_grant = look_up && (same || page_ok);
  assign is_miss  = look_up && !(same || page_ok);

  // A miss: waits for a walk that will bring what it lacks, walks itself, or
  // waits for a slot. Who was blocked first walks first. Denied requests take a
  // slot too, which holds them until their record is taken.
  // A walk may end while the operation is under way; it is there, and who waits
  // for it is woken, as long as no operation serves it.
  // With TimingCuts what does not depend on the page is known in the cycle before.
  typedef struct packed {
    logic  found;       // there is such a walk,
    slot_t found_slot;  // here
    logic  may_wait;
    logic  may_walk;
    slot_t idle_slot;
  } walks_t;
  walks_t                walks_d, walks;
  logic [NumWalkers-1:0] found_d, found;
  slot_t                 found_slot, idle_slot;
  logic                  is_wait, is_walk;
  iommu_cut #(.T(logic [NumWalkers-1:0]), .Cut(TimingCuts)) u_cut_found (.clk_i, .d_i(found_d), .q_o(found));
  iommu_cut #(.T(walks_t), .Cut(TimingCuts)) u_cut_walks (.clk_i, .d_i(walks_d), .q_o(walks));
  always_comb begin
    found_slot = '0;
    idle_slot  = '0;
    for (int unsigned i = NumWalkers; i > 0; i--) begin
      if (found[i-1]) found_slot = slot_t'(i - 1);
      if (walk_idle[i-1]) idle_slot = slot_t'(i - 1);
    end
  end
  assign walks_d = '{
          found: found != '0,
          found_slot: found_slot,
          may_wait: !is.ctx && !start.deny && !(is.retry && head_waited && (head_stage >= start.stage)),
          may_walk: is.ctx || ((walk_idle != '0) && ((is.retry && !woken_valid) || !blocked_valid)),
          idle_slot: idle_slot
      };
  assign is_wait = is_miss && walks.found && walks.may_wait;
  assign is_walk = is_miss && !is_wait && walks.may_walk;

  // The outcome, in the last cycle.
  typedef struct packed {
    logic  grant;
    logic  wait_for;
    slot_t found_slot;
    slot_t walk_slot;
  } outcome_t;
  outcome_t outcome_d, outcome;
  assign outcome_d = '{
          grant: is_grant,
          wait_for: is_wait,
          found_slot: walks.found_slot,
          walk_slot: is.ctx ? slot : walks.idle_slot
      };
  iommu_cut #(.T(outcome_t), .Cut(TimingCuts)) u_cut_outcome (.clk_i, .d_i(outcome_d), .q_o(outcome));

  // What takes effect in it.
  typedef struct packed {
    logic grant;
    logic walk_now;
    logic push;        // waits for a walk, or for a slot
    logic answer;
    logic answer_dev;  // to the bridge
    logic answer_aux;  // to an own client
    logic free;        // the slot
    logic fault;
    logic touch_tlb;
    logic touch_ddtc;
    logic touch_pdtc;
    logic fill_tlb;
    logic fill_ddtc;
    logic fill_pdtc;
  } effect_t;
  effect_t effect_d, effect;
  logic    answer_d, pdtc_fill;
  assign answer_d  = is_grant || is.done;
  assign pdtc_fill = is.ctx && walk_keep && (walk.stage == SgPdt);
  assign effect_d  = '{
          grant: is_grant,
          walk_now: is_walk,
          push: is_miss && !is_walk,
          answer: answer_d,
          answer_dev: answer_d && (req.kind == KdDevice),
          answer_aux: answer_d && (req.kind != KdDevice),
          free: is.done || (is.ctx && is_grant),
          fault: is.done && walk.deny && walk_report[slot],
          touch_tlb: look_up && page_ok,
          touch_ddtc: look_up && !is.ctx && uses_dc,
          touch_pdtc: look_up && !is.ctx && uses_pc,
          fill_tlb: is_fill,
          fill_ddtc: is.ctx && walk_keep && (walk.stage == SgDdt),
          fill_pdtc: pdtc_fill
      };
  iommu_pulse #(.T(effect_t), .Cut(TimingCuts)) u_pulse_effect (
      .clk_i, .rst_ni, .d_i(commit_next ? effect_d : '0), .q_o(effect)
  );

  // ---------------------------------------------------------------- outcome
  logic ended_grant;
  assign ended_grant = op.done && !walk.deny;

  // A page of both stages: the smaller one.
  page_size_t walk_size;
  page_attr_t walk_attr;
  logic       walk_part;  // less than the first stage's
  assign walk_size = walk.fs_size & walk.gs_size;
  assign walk_part = (space.fs_mode != PtBare) &&
                     ((walk.fs_size != walk_size) || ((space.fs_mode == Pt32) && (walk.fs_size != '0)));
  assign walk_attr = '{
          pbmt: (walk.fs_pbmt != '0) ? walk.fs_pbmt : walk.gs_pbmt,
          g: walk.glob,
          msi: walk.msi,
          fs: walk.fs_perm,
          gs: walk.gs_perm
      };
  // Interrupt files in memory are looked up each time.
  assign is_fill  = is.done && !walk.deny && walk_keep && !walk.mrif && (walk_req.kind == KdDevice);

  logic      rsp_valid_q;
  tr_rsp_t   rsp_q, rsp_d;
  mem_user_t qos;
  assign qos = uses_dc ? '{mcid: dc.mcid, rcid: dc.rcid} : qosid_i;
  always_comb begin
    rsp_d.tag       = req.place[TrTagW-1:0];
    rsp_d.grant     = outcome.grant || (is.done && !walk.deny);
    rsp_d.sink      = 1'b0;
    rsp_d.spa       = {tlb_ppn, req.iova[11:0]};
    rsp_d.user      = '{mcid: qos.mcid, rcid: qos.rcid, pbmt: tlb_attr.pbmt};
    rsp_d.mrif      = '0;
    rsp_d.dtf       = 1'b0;
    if (is.done) begin
      rsp_d.spa[PaW-1:12] = walk.addr[PaW-1:12];
      rsp_d.user.pbmt     = walk_attr.pbmt;
      if (walk.mrif && !walk.deny) begin
        rsp_d.sink = 1'b1;
        rsp_d.mrif = '{addr: walk.pte[53:7], nppn: walk.fs_pte[53:10], nid: {walk.fs_pte[60], walk.fs_pte[9:0]}};
        rsp_d.dtf  = dc.dtf;
      end
    end else if (same) begin
      rsp_d.spa       = req.iova[PaW-1:0];
      rsp_d.user.pbmt = '0;
    end
    if (!rsp_d.grant) begin
      rsp_d.spa  = '0;
      rsp_d.user = '0;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rsp_valid_q <= 1'b0;
      rsp_q       <= '0;
    end else begin
      rsp_valid_q <= effect.answer_dev;
      if (TimingCuts || (effect.answer_dev)) rsp_q <= rsp_d;
    end
  end
  assign rsp_valid_o = rsp_valid_q;
  assign rsp_o       = rsp_q;

  // Answers to own clients.
  logic     aux_valid_q;
  aux_rsp_t aux_q, aux_d;
  page_size_t aux_size;
  pte_perm_t  fs_perm, gs_perm;
  logic       has_msi;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_has_msi (
      .clk_i, .d_i(msi_match(dc.msi_on, dc.msi_pattern, dc.msi_mask, walk.gpa[63:12], 52'(page_mask(walk_size)))), .q_o(has_msi)
  );
  always_comb begin
    fs_perm  = (walk_pc.mode == PtBare) ? '1 : walk.fs_perm;
    gs_perm  = (walk_dc.gs_mode == PtBare) ? '1 : walk.gs_perm;
    aux_size = walk_size;
    // A virtual interrupt file in the range has a mapping of its own.
    if (has_msi) aux_size = '0;
    aux_d           = '0;
    aux_d.tag       = req.place[AuxTagW-1:0];
    aux_d.fault     = !(outcome.grant || (is.done && !walk.deny));
    aux_d.cause     = walk.cause;
    aux_d.dc_valid  = dc_valid;
    aux_d.en_pri    = dc.en_pri;
    aux_d.prpr      = dc.prpr;
    aux_d.t2gpa     = dc.t2gpa;
    aux_d.addr      = 64'({walk.addr[PaW-1:12], req.iova[11:0]});
    if ((req.kind == KdAts) && dc.t2gpa) aux_d.addr = walk.gpa;
    aux_d.size_log2 = size_log2(aux_size);
    aux_d.r         = fs_perm.r && gs_perm.r;
    aux_d.w         = fs_perm.w && fs_perm.d && gs_perm.w && gs_perm.d;
    aux_d.x         = req.exec && fs_perm.x && gs_perm.x && aux_d.r &&
                      !((walk_pc.mode != PtBare) && walk.priv && fs_perm.u);
    aux_d.glob      = walk.glob && !walk.msi;
    aux_d.msi       = walk.msi;
    aux_d.mrif      = walk.mrif;
    aux_d.pbmt      = walk_attr.pbmt;
    if (!is.done) begin
      // No table takes part: a range of 1 GiB.
      aux_d.addr      = req.iova;
      aux_d.size_log2 = 6'd30;
      aux_d.r         = 1'b1;
      aux_d.w         = 1'b1;
      aux_d.x         = req.exec;
      aux_d.glob      = 1'b0;
      aux_d.msi       = 1'b0;
      aux_d.mrif      = 1'b0;
      aux_d.pbmt      = '0;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aux_valid_q <= 1'b0;
      aux_q       <= '0;
    end else begin
      aux_valid_q <= effect.answer_aux;
      if (TimingCuts || (effect.answer_aux)) aux_q <= aux_d;
    end
  end
  assign aux_rsp_valid_o = aux_valid_q;
  assign aux_rsp_o       = aux_q;

  // Fault record.
  fault_rec_t fault_q, fault_d;
  always_comb begin
    fault_d.cause   = walk.cause;
    fault_d.pid     = req.pv ? req.process_id : '0;
    fault_d.pv      = req.pv;
    fault_d.priv    = req.pv && req.priv;
    unique case (req.kind)
      KdAts:     fault_d.ttyp = 6'd8;
      KdContext: fault_d.ttyp = 6'd9;
      default:   fault_d.ttyp = {3'd0, req.translated, req.write || !req.exec, req.write || req.exec};
    endcase
    fault_d.did     = req.device_id;
    fault_d.iotval  = req.iova;
    fault_d.iotval2 = walk.guest ? {walk.gpa[63:2], walk.why == WhyFsAd, walk.why != WhyData} : '0;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fault_valid_q <= 1'b0;
      fault_q       <= '0;
    end else begin
      if (effect.fault) fault_valid_q <= 1'b1;
      else if (fault_ready_i) fault_valid_q <= 1'b0;
      if (TimingCuts ? !fault_valid_q : effect.fault) fault_q <= fault_d;
    end
  end
  assign fault_valid_o = fault_valid_q;
  assign fault_o       = fault_q;

  // Requests, counted as they are answered. A debug request counts as untranslated.
  hpm_event_t hpm_rsp_q, hpm_walk;
  logic       walk_paged;  // it was a miss of the IOTLB
  assign walk_paged = (walk_pc.mode != PtBare) || (walk_dc.gs_mode != PtBare);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      hpm_rsp_q <= '0;
    end else begin
      hpm_rsp_q <= '0;
      if (effect.answer && csr_cfg_i.caps.hpm) begin
        hpm_rsp_q.ev[1] <= (req.kind inside {KdDevice, KdDebug}) && !req.translated;
        hpm_rsp_q.ev[2] <= (req.kind == KdDevice) && req.translated;
        hpm_rsp_q.ev[3] <= req.kind == KdAts;
        hpm_rsp_q.ev[4] <= (req.kind != KdContext) && (is.retry || (is.done && (walk.stage == SgPage) && walk_paged));
        hpm_rsp_q.did   <= req.device_id;
        hpm_rsp_q.pv    <= req.pv;
        hpm_rsp_q.pid   <= req.process_id;
        hpm_rsp_q.gscv  <= uses_dc && (dc.gs_mode != PtBare);
        hpm_rsp_q.gscid <= dc.gscid;
        hpm_rsp_q.pscv  <= (paged || is.done) && (space.fs_mode != PtBare);
        hpm_rsp_q.pscid <= space.pscid;
      end
    end
  end
  assign hpm_o[0] = hpm_rsp_q;
  assign hpm_o[1] = hpm_walk;

  // ---------------------------------------------------------------- ddtp
  assign empty        = (&walk_idle) && miss_empty;
  assign ddtp_ready_o = op.ddtp;
  assign idle_o       = empty && (!TimingCuts || !(busy || in_valid || in_aux_valid)) && !rsp_valid_q && !aux_valid_q && !fault_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) ddtp_q <= '{mode: DdtpOff, ppn: '0};
    else if (ddtp_ready_o) ddtp_q <= ddtp_i;
  end

  // ---------------------------------------------------------------- invalidation
  // IODIR leaves what is kept of page tables alone, IOTINVAL the directories. A
  // device context that goes takes its process contexts along. Software
  // invalidates after a change of ddtp; dropping everything costs nothing then.
  inv_req_t inv;  // the command, which stands
  iommu_cut #(.T(inv_req_t), .Cut(TimingCuts)) u_cut_inv (.clk_i, .d_i(inv_i), .q_o(inv));
  logic   inv_vma, inv_gvma, inv_ddt, inv_pdt, leaves_only;
  reach_t reach_fs, reach_gs, reach_tlb;
  assign inv_vma     = op.inv && (inv.kind == InvVma);
  assign inv_gvma    = op.inv && (inv.kind == InvGvma);
  assign inv_ddt     = op.inv && (inv.kind == InvDdt);
  assign inv_pdt     = op.inv && (inv.kind == InvPdt);
  // Without NL an address reaches leaves only.
  assign leaves_only = inv.av && !inv.nl;

  logic [51:0] range;  // address bits that a range leaves open: up to the first 0
  assign range = inv.s ? (inv.addr ^ (inv.addr + 52'd1)) : '0;

  reach_t reach_fs_d, reach_gs_d, reach_tlb_d;
  always_comb begin
    reach_fs_d = '{
        all: is.ddtp,
        guest: inv.gv,
        gscid_en: inv.gv,
        gscid: inv.gscid,
        pscid_en: inv.pscv,
        pscid: inv.pscid,
        addr_en: inv.av,
        vpn: inv.addr[VpnW-1:0],
        range: range[VpnW-1:0]
    };
    reach_gs_d          = reach_fs_d;
    reach_gs_d.guest    = 1'b1;
    reach_gs_d.pscid_en = 1'b0;
    reach_gs_d.addr_en  = inv.av && inv.gv;
    // The IOTLB does not know which guest page a translation came through.
    reach_tlb_d = reach_fs_d;
    if (inv.kind == InvGvma) begin
      reach_tlb_d         = reach_gs_d;
      reach_tlb_d.addr_en = 1'b0;
    end
  end
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_reach_fs (.clk_i, .d_i(reach_fs_d), .q_o(reach_fs));
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_reach_gs (.clk_i, .d_i(reach_gs_d), .q_o(reach_gs));
  iommu_cut #(.T(reach_t), .Cut(TimingCuts)) u_cut_reach_tlb (.clk_i, .d_i(reach_tlb_d), .q_o(reach_tlb));

  iommu_ddtc #(
      .Entries   (DdtcEntries),
      .TimingCuts(TimingCuts)
  ) u_ddtc (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .did_i          (req.device_id),
      .hit_o          (ddtc_hit),
      .dc_o           (ddtc_dc),
      .touch_i        (effect.touch_ddtc),
      .fill_i         (effect.fill_ddtc),
      .fill_dc_i      (walk_dc),
      .inv_i          (inv_ddt || op.ddtp),
      .inv_did_valid_i(!is.ddtp && inv.dv),
      .inv_did_i      (inv.did)
  );

  iommu_pdtc #(
      .Entries   (PdtcEntries),
      .TimingCuts(TimingCuts)
  ) u_pdtc (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .lookup_i       ((look_up || pdtc_fill) && (TimingCuts || dc.pdtv)),
      .did_i          (req.device_id),
      .pid_i          (req.process_id),
      .hit_o          (pdtc_hit),
      .pc_o           (pdtc_pc),
      .touch_i        (effect.touch_pdtc),
      .fill_i         (effect.fill_pdtc),
      .fill_pc_i      (walk_pc),
      .inv_i          (inv_ddt || inv_pdt || op.ddtp),
      .inv_did_valid_i(!is.ddtp && (inv.dv || (inv.kind == InvPdt))),
      .inv_did_i      (inv.did),
      .inv_pid_valid_i(!is.ddtp && (inv.kind == InvPdt)),
      .inv_pid_i      (inv.pid)
  );

  iommu_iotlb #(
      .Entries   (IotlbEntries),
      .TimingCuts(TimingCuts)
  ) u_iotlb (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .lookup_i   (tlb_lookup),
      .space_i    (space),
      .vpn_i      (vpn),
      .hit_o      (page_d.hit),
      .ppn_o      (page_d.ppn),
      .gppn_o     (page_d.gppn),
      .attr_o     (page_d.attr),
      .touch_i    (effect.touch_tlb),
      .fill_i     (effect.fill_tlb),
      .fill_ppn_i (walk.addr[PaW-1:12]),
      .fill_gppn_i(walk.gpa[58:12]),
      .fill_size_i(walk_size),
      .fill_attr_i(walk_attr),
      .fill_part_i(walk_part),
      .inv_i      (inv_vma || inv_gvma || op.ddtp),
      .inv_reach_i(reach_tlb),
      .inv_next_i (is.inv)
  );

  // ---------------------------------------------------------------- walks and misses
  iommu_walker #(
      .Slots  (NumWalkers),
      .FsCache(FsCache),
      .GsCache(GsCache),
      .GsTlb  (GsTlb),
      .TimingCuts(TimingCuts)
  ) u_walker (
      .clk_i           (clk_i),
      .rst_ni          (rst_ni),
      .cfg_i           (csr_cfg_i),
      .qosid_i         (qosid_i),
      .addr_high_i     (addr_high_q[PaW-1:0]),
      .start_valid_i   (effect.walk_now),
      .start_slot_i    (outcome.walk_slot),
      .start_i         (start),
      .start_req_i     (req),
      .start_dc_valid_i(uses_dc),
      .start_dc_i      (dc),
      .start_pc_i      (fs),
      .start_priv_i    (priv),
      .free_valid_i    (effect.free),
      .free_slot_i     (slot),
      .idle_o          (walk_idle),
      .ctx_o           (walk_ctx),
      .done_o          (walk_done),
      .report_o        (walk_report),
      .sel_i           (slot),
      .walk_o          (walk_d),
      .walk_req_o      (walk_req_d),
      .walk_dc_o       (walk_dc_d),
      .walk_pc_o       (walk_pc_d),
      .keep_o          (walk_keep),
      .stale_i         (op.inv),
      .inv_fs_i        ((inv_vma && !leaves_only) || op.ddtp),
      .inv_fs_reach_i  (reach_fs),
      .inv_gs_i        ((inv_gvma && !(leaves_only && inv.gv)) || op.ddtp),
      .inv_gs_reach_i  (reach_gs),
      .inv_leaf_i      (inv_gvma || op.ddtp),
      .inv_leaf_reach_i(reach_gs),
      .find_i          (TimingCuts || is_miss),
      .find_stage_i    (start.stage),
      .find_req_i      (req),
      .find_space_i    (space),
      .found_o         (found_d),
      .hpm_o           (hpm_walk),
      .mem_rreq_valid_o(mem_rreq_valid_o),
      .mem_rreq_ready_i(mem_rreq_ready_i),
      .mem_rreq_o      (mem_rreq_o),
      .mem_rrsp_valid_i(mem_rrsp_valid_i),
      .mem_rrsp_i      (mem_rrsp_i),
      .mem_wreq_valid_o(mem_wreq_valid_o),
      .mem_wreq_ready_i(mem_wreq_ready_i),
      .mem_wreq_o      (mem_wreq_o),
      .mem_wrsp_valid_i(mem_wrsp_valid_i),
      .mem_wrsp_err_i  (mem_wrsp_err_i),
      .mem_wrsp_id_i   (mem_wrsp_id_i)
  );

  iommu_miss_queue #(
      .Slots      (NumWalkers),
      .BridgeSlots(BridgeSlots),
      .TimingCuts (TimingCuts)
  ) u_miss_queue (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .push_i         (effect.push),
      .push_wait_i    (outcome.wait_for),
      .push_slot_i    (outcome.found_slot),
      .push_stage_i   (start.stage),
      .push_req_i     (req),
      .woken_valid_o  (woken_valid),
      .blocked_valid_o(blocked_valid),
      .head_o         (head),
      .head_waited_o  (head_waited),
      .head_stage_o   (head_stage),
      .pop_i          (op.retry),
      .wake_i         (op.done || op.ctx),
      .wake_slot_i    (slot),
      .empty_o        (miss_empty)
  );

  // ---------------------------------------------------------------- assertions
  // Places of requests that are inside.
  logic [Places-1:0] inside_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      inside_q <= '0;
    end else begin
      if (effect.answer) inside_q[req.place] <= 1'b0;
      else if (op.fresh) inside_q[req.place] <= 1'b1;
    end
  end
  `IOMMU_ASSERT(XlateTagUnique, !(op.fresh && inside_q[req.place]))
  `IOMMU_ASSERT(XlateAnswersWhatIsInside, !(effect.answer && !op.fresh) || inside_q[req.place])
  `IOMMU_ASSERT(XlateNothingLost, !empty || (inside_q == '0))
  `IOMMU_ASSERT(XlateOneOperation, $onehot0({pick.inv, pick.done, pick.ctx, pick.retry, pick.fresh, pick.ddtp}))
  `IOMMU_ASSERT(XlateFaultHasRoom, !(effect.fault && fault_valid_q))
  `IOMMU_ASSERT(XlateDeniedNeverGranted, !(same && start.deny))
  `IOMMU_ASSERT(XlateGrantNeedsPermission,
                !(ended_grant && (req.kind == KdDevice)) ||
                (((walk_pc.mode == PtBare) ||
                  pte_permits(walk.fs_perm, req.exec, req.write, walk.priv, walk_pc.sum)) &&
                 ((walk_dc.gs_mode == PtBare) || pte_permits(walk.gs_perm, req.exec, req.write, 1'b0, 1'b0))))
  `IOMMU_ASSERT(XlateGrantInRange,
                !(rsp_valid_q && rsp_q.grant && !rsp_q.sink) || ((rsp_q.spa & addr_high_q[PaW-1:0]) == '0))

  logic unused;
  assign unused = &{1'b0, tlb_attr.g, range[51:VpnW], inv.addr[51:VpnW], walk, csr_cfg_i, fs, gs_perm, op, effect};
endmodule

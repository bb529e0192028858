// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Translation of device addresses: the lookup pipeline, its caches (IOTLB,
// device-directory cache), the walk unit and the queue of misses.
//
// Everything that reads or writes a cache, or answers a request, goes through
// the pipeline, one operation a cycle, so that there is one order of events:
//   invalidate   apply a command to the caches, and mark the walks under way
//   done         a walk has ended: answer its request, keep the page, report
//   context      a walk has its device context: keep it, look the page up
//   retry        a request that missed is looked up again
//   new          a new request is looked up
// in this order of priority. An operation's answer leaves one cycle later. A hit
// never waits for a walk; all but `new` are bounded in number by the requests
// that missed, so that new ones cannot starve either.
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
    parameter int unsigned NumWalkers   = 4    // walks in flight, 1 to 2^WalkIdW
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

  logic op_inv, op_done, op_ctx, op_retry, op_new;
  assign op_inv      = inv_valid_i;
  assign op_done     = !op_inv && (done_ready != '0);
  assign op_ctx      = !op_inv && !op_done && (walk_ctx != '0);
  assign op_retry    = !op_inv && !op_done && !op_ctx && (woken_valid || (blocked_valid && (walk_idle != '0)));
  assign req_ready_o = !op_inv && !op_done && !op_ctx && !op_retry && !ddtp_valid_i;
  assign op_new      = req_ready_o && req_valid_i;
  assign inv_ready_o = 1'b1;

  // Slot of op_done and op_ctx, in turn.
  logic [NumWalkers-1:0] slot_wants;
  slot_t                 turn_q, slot;
  assign slot_wants = op_done ? done_ready : walk_ctx;
  always_comb begin
    slot = turn_q;
    for (int unsigned i = NumWalkers; i > 0; i--) begin
      if (slot_wants[(32'(turn_q) + i) % NumWalkers]) slot = slot_t'((32'(turn_q) + i) % NumWalkers);
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) turn_q <= '0;
    else if (op_done || op_ctx) turn_q <= slot;
  end

  // ---------------------------------------------------------------- lookup
  walk_result_t walk;  // of the slot
  tr_req_t      head, req;
  logic         head_waited;
  assign req = (op_done || op_ctx) ? walk.req : op_retry ? head : req_i;

  logic ddtc_hit, dc_valid;
  dc_t  ddtc_dc, dc;
  assign dc_valid = op_done || op_ctx || ddtc_hit;
  assign dc       = (op_done || op_ctx) ? walk.dc : ddtc_dc;

  logic            same, paged, uses_dc;
  logic [VpnW-1:0] vpn;
  walk_start_t     start;
  iommu_resolve u_resolve (
      .msi_flat_i (csr_cfg_i.caps.msi_flat),
      .addr_high_i(addr_high_q),
      .ddtp_i     (ddtp_q),
      .req_i      (req),
      .dc_valid_i (dc_valid),
      .dc_i       (dc),
      .same_o     (same),
      .paged_o    (paged),
      .vpn_o      (vpn),
      .uses_dc_o  (uses_dc),
      .start_o    (start)
  );

  logic            tlb_hit, page_ok;
  logic [PpnW-1:0] tlb_ppn;
  pte_attr_t       tlb_attr;
  // A cached page that does not grant the access is walked again: what memory
  // says now decides, and names the cause.
  assign page_ok = paged && tlb_hit && pte_permits(tlb_attr.perm, req.exec, req.write, 1'b0, 1'b0) &&
                   ((tlb_ppn & addr_high_q[PaW-1:12]) == '0);

  logic lookup, grant, miss;
  assign lookup = op_ctx || op_retry || op_new;
  assign grant  = lookup && (same || page_ok);
  assign miss   = lookup && !(same || page_ok);

  // A miss: waits for a walk that will bring what it lacks, walks itself, or
  // waits for a slot. Who was blocked first walks first. Denied requests take a
  // slot too, which holds them until their record is taken.
  logic [NumWalkers-1:0] found;
  slot_t                 found_slot, idle_slot;
  logic                  wait_for, walk_now;
  always_comb begin
    found_slot = '0;
    idle_slot  = '0;
    for (int unsigned i = NumWalkers; i > 0; i--) begin
      if (found[i-1]) found_slot = slot_t'(i - 1);
      if (walk_idle[i-1]) idle_slot = slot_t'(i - 1);
    end
  end
  assign wait_for = miss && !op_ctx && !start.deny && (found != '0) && !(op_retry && head_waited);
  assign walk_now = miss && !wait_for &&
                    (op_ctx || ((walk_idle != '0) && ((op_retry && !woken_valid) || !blocked_valid)));

  // ---------------------------------------------------------------- outcome
  logic ended_grant, ended_deny;
  assign ended_grant = op_done && !walk.deny;
  assign ended_deny  = op_done && walk.deny;

  logic [VpnW-1:0] walk_mask;
  logic [PpnW-1:0] walk_ppn;
  assign walk_mask = page_mask(walk.size);
  assign walk_ppn  = walk.ppn | (vpn[PpnW-1:0] & walk_mask[PpnW-1:0]);

  logic    rsp_valid_q;
  tr_rsp_t rsp_q, rsp_d;
  always_comb begin
    rsp_d.tag            = req.tag;
    rsp_d.grant          = grant || ended_grant;
    rsp_d.sink           = 1'b0;
    rsp_d.spa            = {tlb_ppn, req.iova[11:0]};
    rsp_d.user.pbmt      = tlb_attr.pbmt;
    // A Bare ddtp would take iommu_qosid: no QOSID yet, so zero.
    rsp_d.user.rcid      = uses_dc ? dc.rcid : '0;
    rsp_d.user.mcid      = uses_dc ? dc.mcid : '0;
    if (op_done) begin
      rsp_d.spa[PaW-1:12] = walk_ppn;
      rsp_d.user.pbmt     = walk.attr.pbmt;
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
      rsp_valid_q <= grant || op_done;
      if (grant || op_done) rsp_q <= rsp_d;
    end
  end
  assign rsp_valid_o = rsp_valid_q;
  assign rsp_o       = rsp_q;

  // Fault record; iotval2 is for guest-page faults.
  logic       fault_push;
  fault_rec_t fault_q, fault_d;
  assign fault_push = ended_deny && walk_report[slot];
  always_comb begin
    fault_d.cause   = walk.cause;
    fault_d.pid     = req.pv ? req.process_id : '0;
    fault_d.pv      = req.pv;
    fault_d.priv    = req.pv && req.priv;
    fault_d.ttyp    = {3'd0, req.translated, req.write || !req.exec, req.write || req.exec};
    fault_d.did     = req.device_id;
    fault_d.iotval  = req.iova;
    fault_d.iotval2 = '0;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fault_valid_q <= 1'b0;
      fault_q       <= '0;
    end else begin
      if (fault_push) begin
        fault_valid_q <= 1'b1;
        fault_q       <= fault_d;
      end else if (fault_ready_i) begin
        fault_valid_q <= 1'b0;
      end
    end
  end
  assign fault_valid_o = fault_valid_q;
  assign fault_o       = fault_q;

  // ---------------------------------------------------------------- ddtp
  logic empty;
  assign empty        = (&walk_idle) && miss_empty;
  assign ddtp_ready_o = ddtp_valid_i && empty && !op_inv;
  assign idle_o       = empty && !rsp_valid_q && !fault_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) ddtp_q <= '{mode: DdtpOff, ppn: '0};
    else if (ddtp_ready_o) ddtp_q <= ddtp_i;
  end

  // ---------------------------------------------------------------- caches
  // Software invalidates after a change of ddtp; dropping everything costs
  // nothing then.
  logic inv_vma, inv_ddt;
  // GV=1 names address spaces of guests, of which nothing is kept yet. A range
  // (S) is treated as all addresses. IODIR leaves the IOTLB alone, IOTINVAL the
  // directory cache.
  assign inv_vma = op_inv && (inv_i.kind == InvVma) && !inv_i.gv;
  assign inv_ddt = op_inv && (inv_i.kind == InvDdt);

  iommu_ddtc #(
      .Entries(DdtcEntries)
  ) u_ddtc (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .did_i          (req.device_id),
      .hit_o          (ddtc_hit),
      .dc_o           (ddtc_dc),
      .touch_i        (lookup && !op_ctx && uses_dc),
      .fill_i         (op_ctx && !walk.stale),
      .fill_dc_i      (walk.dc),
      .inv_i          (inv_ddt || ddtp_ready_o),
      .inv_did_valid_i(inv_ddt && inv_i.dv),
      .inv_did_i      (inv_i.did)
  );

  iommu_iotlb #(
      .Entries(IotlbEntries)
  ) u_iotlb (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .mode_i     (dc.fs_mode),
      .pscid_i    (dc.pscid),
      .vpn_i      (vpn),
      .hit_o      (tlb_hit),
      .ppn_o      (tlb_ppn),
      .attr_o     (tlb_attr),
      .touch_i    (lookup && page_ok),
      .fill_i     (ended_grant && !walk.stale),
      .fill_ppn_i (walk.ppn),
      .fill_size_i(walk.size),
      .fill_attr_i(walk.attr),
      .flush_i    (ddtp_ready_o),
      .inv_i      (inv_vma),
      .inv_pscv_i (inv_i.pscv),
      .inv_pscid_i(inv_i.pscid),
      .inv_av_i   (inv_i.av && !inv_i.s),
      .inv_vpn_i  (inv_i.addr[VpnW-1:0])
  );

  // ---------------------------------------------------------------- walks and misses
  iommu_walker #(
      .Slots(NumWalkers)
  ) u_walker (
      .clk_i           (clk_i),
      .rst_ni          (rst_ni),
      .cfg_i           (csr_cfg_i),
      .addr_high_i     (addr_high_q[PaW-1:0]),
      .start_valid_i   (walk_now),
      .start_slot_i    (op_ctx ? slot : idle_slot),
      .start_i         (start),
      .free_valid_i    (op_done || (op_ctx && grant)),
      .free_slot_i     (slot),
      .idle_o          (walk_idle),
      .ctx_o           (walk_ctx),
      .done_o          (walk_done),
      .report_o        (walk_report),
      .sel_i           (slot),
      .result_o        (walk),
      .stale_i         (op_inv),
      .find_dc_i       (!dc_valid),
      .find_did_i      (req.device_id),
      .find_mode_i     (dc.fs_mode),
      .find_pscid_i    (dc.pscid),
      .find_vpn_i      (vpn),
      .found_o         (found),
      .mem_rreq_valid_o(mem_rreq_valid_o),
      .mem_rreq_ready_i(mem_rreq_ready_i),
      .mem_rreq_o      (mem_rreq_o),
      .mem_rrsp_valid_i(mem_rrsp_valid_i),
      .mem_rrsp_i      (mem_rrsp_i)
  );

  iommu_miss_queue #(
      .Slots(NumWalkers)
  ) u_miss_queue (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .push_i         (miss && !walk_now),
      .push_wait_i    (wait_for),
      .push_slot_i    (found_slot),
      .push_req_i     (req),
      .woken_valid_o  (woken_valid),
      .blocked_valid_o(blocked_valid),
      .head_o         (head),
      .head_waited_o  (head_waited),
      .pop_i          (op_retry),
      .wake_i         (op_done || op_ctx),
      .wake_slot_i    (slot),
      .empty_o        (miss_empty)
  );

  // ---------------------------------------------------------------- assertions
  // Tags of requests that are inside.
  logic [2**TrTagW-1:0] inside_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      inside_q <= '0;
    end else begin
      if (grant || op_done) inside_q[req.tag] <= 1'b0;
      else if (op_new) inside_q[req.tag] <= 1'b1;
    end
  end
  `IOMMU_ASSERT(XlateTagUnique, !(op_new && inside_q[req_i.tag]))
  `IOMMU_ASSERT(XlateAnswersWhatIsInside, !((grant || op_done) && !op_new) || inside_q[req.tag])
  `IOMMU_ASSERT(XlateNothingLost, !empty || (inside_q == '0))
  `IOMMU_ASSERT(XlateOneOperation, $onehot0({op_inv, op_done, op_ctx, op_retry, op_new}))
  `IOMMU_ASSERT(XlateFaultHasRoom, !(fault_push && fault_valid_q))
  `IOMMU_ASSERT(XlateDeniedNeverGranted, !(same && start.deny))
  `IOMMU_ASSERT(XlateGrantNeedsPermission,
                !ended_grant || pte_permits(walk.attr.perm, req.exec, req.write, 1'b0, 1'b0))
  `IOMMU_ASSERT(XlateGrantInRange,
                !(rsp_valid_q && rsp_q.grant) || ((rsp_q.spa & addr_high_q[PaW-1:0]) == '0))

  // Not served yet.
  assign aux_req_ready_o  = 1'b0;
  assign aux_rsp_valid_o  = 1'b0;
  assign aux_rsp_o        = '0;
  assign hpm_o            = '0;
  assign mem_wreq_valid_o = 1'b0;
  assign mem_wreq_o       = '0;

  logic unused;
  assign unused = &{1'b0, aux_req_valid_i, aux_req_i, qosid_i, mem_wreq_ready_i, mem_wrsp_valid_i, mem_wrsp_err_i,
                    mem_wrsp_id_i, tlb_attr.g, inv_i.nl, inv_i.gscid, inv_i.pid, inv_i.addr[51:VpnW], walk_mask[VpnW-1],
                    csr_cfg_i};
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Order of the bursts of one direction (all reads, or all writes). Bursts of
// one id are forwarded in order and answered in order; a burst behind a refused
// one of its id is forwarded only after the refusal has been answered, so the
// answers that come back for an id are always those of its oldest bursts.
// Bursts of different ids are free of each other. Also watches for a fence.
// Handshake: events are pulses, at most one of each kind a cycle. With TimingCuts
// alloc_id_i stands a cycle before alloc_i, and nothing else enters in that cycle.

`include "iommu_macros.svh"

module iommu_id_order #(
    parameter int unsigned Slots = 32,  // bursts in flight, a power of two
    parameter int unsigned IdW   = 8,   // AXI id, bits
    parameter bit          TimingCuts = 1'b0,  // a burst that enters learns of this cycle's events a cycle later
    localparam int unsigned SlotW = $clog2(Slots)
) (
    input  logic             clk_i,            // clock
    input  logic             rst_ni,           // asynchronous reset, active low
    input  logic             alloc_i,          // a burst enters
    input  logic [SlotW-1:0] alloc_slot_i,     // its slot, not live
    input  logic [IdW-1:0]   alloc_id_i,       // its id
    input  logic             alloc_refused_i,  // it is refused at once
    input  logic             refuse_i,         // a live burst is refused
    input  logic [SlotW-1:0] refuse_slot_i,    // its slot
    input  logic             sink_i,           // a live burst is answered here, but not before its work is done
    input  logic [SlotW-1:0] sink_slot_i,      // its slot; it counts as refused, but a fence waits for it
    input  logic             fwd_i,            // a burst's address goes to m_dev
    input  logic [SlotW-1:0] fwd_slot_i,       // its slot; may_fwd_o must be set
    input  logic             done_i,           // the last answer of a burst that went to m_dev goes to s_dev
    input  logic [SlotW-1:0] done_slot_i,      // its slot; it is live no longer
    input  logic             answered_i,       // the same of a refused one, not in the same cycle
    input  logic [SlotW-1:0] answered_slot_i,
    input  logic [IdW-1:0]   lookup_id_i,      // whose answer came from m_dev?
    output logic             lookup_hit_o,     // a forwarded burst has this id
    output logic [SlotW-1:0] lookup_slot_o,    // the oldest such burst
    output logic [Slots-1:0] live_o,           // between alloc and done
    output logic [Slots-1:0] waiting_o,        // live, neither forwarded nor refused
    output logic [Slots-1:0] refused_o,        // live and refused
    output logic [Slots-1:0] may_fwd_o,        // waiting, and no older of its id stands in the way
    output logic [Slots-1:0] may_refuse_o,     // refused, and the oldest of its id
    input  logic             fence_i,          // watch all bursts that have entered, this cycle's too
    output logic             fence_done_o      // none of those is on its way any more
);
  logic [Slots-1:0] live_q, fwd_q, refused_q;
  logic [Slots-1:0] gone_q;      // refused, and nothing is left to do but to say so
  logic [Slots-1:0] tail_q;      // youngest live burst of its id
  logic [Slots-1:0] fwd_wait_q;  // the next older of its id is not forwarded
  logic [Slots-1:0] rsp_wait_q;  // the next older of its id is not done
  logic [Slots-1:0] watch_q;     // the fence waits for it

  logic [Slots-1:0] alloc_oh, refuse_oh, sink_oh, fwd_oh, done_oh;
  logic [Slots-1:0] same_id_d, same_id, same_tail, older_oh, lookup_oh;
  logic [SlotW-1:0] older_slot;
  logic             older, older_fwd;

  assign alloc_oh  = Slots'(alloc_i) << alloc_slot_i;
  assign refuse_oh = (Slots'(refuse_i) << refuse_slot_i) | (alloc_refused_i ? alloc_oh : '0);
  assign sink_oh   = Slots'(sink_i) << sink_slot_i;
  assign fwd_oh    = Slots'(fwd_i) << fwd_slot_i;
  assign done_oh   = (Slots'(done_i) << done_slot_i) | (Slots'(answered_i) << answered_slot_i);

  // Everything about a slot that is compared with all others: flip-flops, not a memory.
  logic [Slots-1:0] pred_fwd, pred_done;  // its pred_q is forwarded or done now

  // What happened in the cycle before, for the burst that entered in it.
  logic             late_fwd, late_done;
  logic [SlotW-1:0] late_fwd_slot, late_done_slot;
  if (TimingCuts) begin : g_late
    logic             fwd_late_q, done_late_q;
    logic [SlotW-1:0] fwd_slot_q, done_slot_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fwd_late_q  <= 1'b0;
        done_late_q <= 1'b0;
        fwd_slot_q  <= '0;
        done_slot_q <= '0;
      end else begin
        fwd_late_q  <= fwd_i;
        done_late_q <= done_i || answered_i;
        fwd_slot_q  <= fwd_slot_i;
        done_slot_q <= done_i ? done_slot_i : answered_slot_i;
      end
    end
    assign late_fwd       = fwd_late_q;
    assign late_done      = done_late_q;
    assign late_fwd_slot  = fwd_slot_q;
    assign late_done_slot = done_slot_q;
  end else begin : g_in_time
    assign late_fwd       = 1'b0;
    assign late_done      = 1'b0;
    assign late_fwd_slot  = '0;
    assign late_done_slot = '0;
  end

  for (genvar s = 0; s < Slots; s++) begin : g_slot
    logic [IdW-1:0]   id_q;
    logic [SlotW-1:0] pred_q;  // next older burst of the id, while a wait bit is set

    always_ff @(posedge clk_i) begin
      if (alloc_oh[s]) begin
        id_q   <= alloc_id_i;
        pred_q <= older_slot;
      end
    end

    assign same_id_d[s] = id_q == alloc_id_i;
    assign lookup_oh[s] = live_q[s] && fwd_q[s] && !rsp_wait_q[s] && id_q == lookup_id_i;
    assign pred_fwd[s]  = (fwd_i && pred_q == fwd_slot_i) || (late_fwd && pred_q == late_fwd_slot);
    assign pred_done[s] = (done_i && pred_q == done_slot_i) || (answered_i && pred_q == answered_slot_i) ||
                          (late_done && pred_q == late_done_slot);
  end

  iommu_cut #(.T(logic [Slots-1:0]), .Cut(TimingCuts)) u_cut_same (.clk_i, .d_i(same_id_d), .q_o(same_id));
  assign same_tail = tail_q & same_id;
  assign older_oh  = same_tail & (TimingCuts ? '1 : ~done_oh);
  assign older     = |older_oh;
  assign older_fwd = |(older_oh & (fwd_q | (TimingCuts ? '0 : fwd_oh)));

  always_comb begin
    older_slot    = '0;
    lookup_slot_o = '0;
    for (int unsigned s = 0; s < Slots; s++) begin
      if (older_oh[s]) older_slot |= SlotW'(s);
      if (lookup_oh[s]) lookup_slot_o |= SlotW'(s);
    end
  end

  assign lookup_hit_o = |lookup_oh;
  assign live_o       = live_q;
  assign waiting_o    = live_q & ~fwd_q & ~refused_q;
  assign refused_o    = live_q & refused_q;
  assign may_fwd_o    = waiting_o & ~fwd_wait_q;
  assign may_refuse_o = refused_o & ~rsp_wait_q;
  assign fence_done_o = watch_q == '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      live_q     <= '0;
      fwd_q      <= '0;
      refused_q  <= '0;
      gone_q     <= '0;
      tail_q     <= '0;
      fwd_wait_q <= '0;
      rsp_wait_q <= '0;
      watch_q    <= '0;
    end else begin
      live_q    <= (live_q & ~done_oh) | alloc_oh;
      fwd_q     <= (fwd_q & ~alloc_oh) | fwd_oh;
      refused_q <= (refused_q & ~alloc_oh) | refuse_oh | sink_oh;
      tail_q    <= (tail_q & ~done_oh & ~(alloc_i ? same_tail : '0)) | alloc_oh;
      gone_q    <= (gone_q & ~alloc_oh) | refuse_oh;
      watch_q   <= (fence_i ? ((live_q & ~gone_q) | alloc_oh) : watch_q) & ~done_oh & ~refuse_oh;
      fwd_wait_q <= (fwd_wait_q & ~pred_fwd & ~pred_done & ~alloc_oh) |
                    ((older && !older_fwd) ? alloc_oh : '0);
      rsp_wait_q <= (rsp_wait_q & ~pred_done & ~alloc_oh) | (older ? alloc_oh : '0);
    end
  end

  `IOMMU_ASSERT(OneIsDone, !(done_i && answered_i))
  `IOMMU_ASSERT(AllocIsFree, (alloc_oh & live_q) == '0)
  `IOMMU_ASSERT(ComparedInTime, !alloc_i || ((same_id ^ same_id_d) & tail_q) == '0)
  `IOMMU_ASSERT(TailIsLive, (tail_q & ~live_q) == '0)
  `IOMMU_ASSERT(OneTailAnId, !alloc_i || $onehot0(same_tail))
  `IOMMU_ASSERT(OneOldestAnId, $onehot0(lookup_oh))
  `IOMMU_ASSERT(ForwardInOrder, (fwd_oh & ~may_fwd_o) == '0)
  `IOMMU_ASSERT(RefuseUndecided, !refuse_i || waiting_o[refuse_slot_i])
  `IOMMU_ASSERT(SinkUndecided, !sink_i || waiting_o[sink_slot_i])
  `IOMMU_ASSERT(DoneInOrder, (done_oh & ~(live_q & ~rsp_wait_q & (fwd_q | refused_q))) == '0)
endmodule

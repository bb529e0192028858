// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Requests that missed and do not walk themselves. Each is in one of these
// lists, linked through the tags:
//   waiting[s]  for what the walk in slot s will bring
//   woken       their walk has brought it or failed: look up again
//   blocked     for a free walk slot, in order of arrival
// There is a place for every tag in use, so that nothing here is ever full, and a miss
// never stops the requests behind it. The pipeline does one thing in a cycle:
// a request enters or changes list (push, pop), or a waiting list is woken.

`include "iommu_macros.svh"

module iommu_miss_queue
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Slots = 8,  // walk slots
    parameter int unsigned BridgeSlots = 32,  // tags of reads, and as many of writes; a power of 2, up to 64
    parameter bit          TimingCuts = 1'b0,  // registers behind what is read of the head: it stands for some cycles before it is removed
    localparam int unsigned SlotW = (Slots > 1) ? $clog2(Slots) : 1
) (
    input  logic             clk_i,          // clock
    input  logic             rst_ni,         // asynchronous reset, active low
    // put a request at the tail of a list
    input  logic             push_i,
    input  logic             push_wait_i,    // waiting[push_slot_i], else blocked
    input  logic [SlotW-1:0] push_slot_i,
    input  stage_e           push_stage_i,   // what it waits for
    input  xreq_t          push_req_i,
    // first request: of woken, else of blocked
    output logic             woken_valid_o,
    output logic             blocked_valid_o,
    output xreq_t          head_o,          // with TimingCuts a cycle after the lists have changed, like what follows
    output logic             head_waited_o,  // it has waited for another's walk before,
    output stage_e           head_stage_o,   // the last time for this
    input  logic             pop_i,          // remove it; it may be pushed in the same cycle
    // append waiting[wake_slot_i] to woken
    input  logic             wake_i,
    input  logic [SlotW-1:0] wake_slot_i,
    output logic             empty_o         // no request here
);

  // Numbers without the tags that nobody has: {0, write, slot}, or {1, tag of an own client}.
  localparam int unsigned BridgeSlotW = $clog2(BridgeSlots);
  localparam int unsigned TagW = ((BridgeSlotW + 1 > AuxTagW) ? BridgeSlotW + 1 : AuxTagW) + 1;
  localparam int unsigned Tags = 2 ** (TagW - 1) + 2 ** AuxTagW;
  typedef logic [TagW-1:0] tag_t;
  function automatic tag_t tag_of(input logic [PlaceW-1:0] place);
    if (place[PlaceW-1]) return {1'b1, (TagW - 1)'(place[AuxTagW-1:0])};
    return tag_t'({place[TrTagW-1], place[BridgeSlotW-1:0]});
  endfunction

  xreq_t           req_q [Tags];  // requests by tag
  tag_t            next_q[Tags];  // links by tag
  logic [Tags-1:0] waited_q;
  stage_e          stage_q[Tags];

  logic [Slots-1:0] wait_valid_q;
  tag_t             wait_head_q[Slots];
  tag_t             wait_tail_q[Slots];
  logic             woken_valid_q, blocked_valid_q;
  tag_t             woken_head_q, woken_tail_q, blocked_head_q, blocked_tail_q;

  tag_t head_tag, push_tag;
  assign head_tag        = woken_valid_q ? woken_head_q : blocked_head_q;
  assign push_tag        = tag_of(push_req_i.place);
  assign woken_valid_o   = woken_valid_q;
  assign blocked_valid_o = blocked_valid_q;

  tag_t head_next;
  iommu_cut #(.T(xreq_t), .Cut(TimingCuts)) u_cut_head (.clk_i, .d_i(req_q[head_tag]), .q_o(head_o));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_waited (.clk_i, .d_i(waited_q[head_tag]), .q_o(head_waited_o));
  iommu_cut #(.T(stage_e), .Cut(TimingCuts)) u_cut_stage (.clk_i, .d_i(stage_q[head_tag]), .q_o(head_stage_o));
  iommu_cut #(.T(tag_t), .Cut(TimingCuts)) u_cut_next (.clk_i, .d_i(next_q[head_tag]), .q_o(head_next));
  assign empty_o         = !woken_valid_q && !blocked_valid_q && (wait_valid_q == '0);

  logic pop_woken, pop_blocked, push_blocked;
  assign pop_woken    = pop_i && woken_valid_q;
  assign pop_blocked  = pop_i && !woken_valid_q;
  assign push_blocked = push_i && !push_wait_i;

  // One link a cycle: the old tail of the list that grows.
  logic link;
  tag_t link_from, link_to;
  always_comb begin
    link      = 1'b0;
    link_from = woken_tail_q;
    link_to   = wait_head_q[wake_slot_i];
    if (push_i) begin
      link      = push_wait_i ? wait_valid_q[push_slot_i] : blocked_valid_q;
      link_from = push_wait_i ? wait_tail_q[push_slot_i] : blocked_tail_q;
      link_to   = push_tag;
    end else if (wake_i) begin
      link = wait_valid_q[wake_slot_i] && woken_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (link) next_q[link_from] <= link_to;
    if (push_i) req_q[push_tag] <= push_req_i;
    if (push_i && push_wait_i) stage_q[push_tag] <= push_stage_i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      waited_q        <= '0;
      wait_valid_q    <= '0;
      woken_valid_q   <= 1'b0;
      blocked_valid_q <= 1'b0;
      woken_head_q    <= '0;
      woken_tail_q    <= '0;
      blocked_head_q  <= '0;
      blocked_tail_q  <= '0;
      for (int unsigned i = 0; i < Slots; i++) begin
        wait_head_q[i] <= '0;
        wait_tail_q[i] <= '0;
      end
    end else begin
      if (pop_woken) begin
        woken_head_q <= head_next;
        if (woken_head_q == woken_tail_q) woken_valid_q <= 1'b0;
      end
      if (pop_blocked) begin
        blocked_head_q <= head_next;
        if (blocked_head_q == blocked_tail_q) blocked_valid_q <= 1'b0;
      end
      if (push_blocked) begin
        if (!blocked_valid_q) blocked_head_q <= push_tag;
        blocked_tail_q  <= push_tag;
        blocked_valid_q <= 1'b1;
      end
      if (push_i) begin
        // A request that has waited in vain for something walks for it itself.
        waited_q[push_tag] <= push_wait_i || (pop_i && head_waited_o);
        if (push_wait_i) begin
          if (!wait_valid_q[push_slot_i]) wait_head_q[push_slot_i] <= push_tag;
          wait_tail_q[push_slot_i]  <= push_tag;
          wait_valid_q[push_slot_i] <= 1'b1;
        end
      end
      if (wake_i && wait_valid_q[wake_slot_i]) begin
        if (!woken_valid_q) woken_head_q <= wait_head_q[wake_slot_i];
        woken_tail_q              <= wait_tail_q[wake_slot_i];
        woken_valid_q             <= 1'b1;
        wait_valid_q[wake_slot_i] <= 1'b0;
      end
    end
  end

  `IOMMU_ASSERT(MissWakeAlone, !(wake_i && (push_i || pop_i)))
  `IOMMU_ASSERT(MissPopSomething, !pop_i || woken_valid_q || blocked_valid_q)
  `IOMMU_ASSERT(MissBlockedHeadNotBackToBlocked, !(pop_blocked && push_blocked))
  `IOMMU_ASSERT(MissTagKnown, !push_i || push_req_i.place[PlaceW-1] || (32'(push_req_i.place[TrTagW-2:0]) < BridgeSlots))
  `IOMMU_ASSERT(MissPushPoppedOrNew, !(push_i && pop_i) || (push_tag == head_tag))
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Tail of a queue into which the IOMMU writes records (fault queue, page-request
// queue), and whether the queue is active. The registers that software writes are
// in iommu_queue_csr.

`include "iommu_macros.svh"

module iommu_queue_tail
  import iommu_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // slot_o is a cycle behind tail and registers, full_o two
) (
    input  logic        clk_i,     // clock
    input  logic        rst_ni,    // asynchronous reset, active low
    input  queue_cfg_t  cfg_i,     // base, size, head, enable
    input  logic        clear_i,   // pulse: the enable bit goes from 0 to 1
    input  logic        rest_i,    // level: nothing is under way, the queue may be turned off
    input  logic        record_i,  // pulse: a record is in memory
    output logic        on_o,      // the queue is active
    output logic [31:0] tail_o,    // place of the next record
    output logic [31:0] slot_o,    // the same within the size of now, which may change at any time
    output logic        full_o     // there is none
);

  logic        on_q;
  logic [31:0] tail_q, tail_next_d, tail_next, mask, head;
  logic        full_d;

  // Records are further apart than what is late here.
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_mask (.clk_i, .d_i(queue_mask(cfg_i.log2sz_1)), .q_o(mask));
  assign tail_next_d = (tail_q + 32'd1) & mask;
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_next (.clk_i, .d_i(tail_next_d), .q_o(tail_next));
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_head (.clk_i, .d_i(cfg_i.index & mask), .q_o(head));
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_slot (.clk_i, .d_i(tail_q & mask), .q_o(slot_o));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_full (.clk_i, .d_i(full_d), .q_o(full_o));

  // Turned off, the queue first stores what is under way.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      on_q   <= 1'b0;
      tail_q <= '0;
    end else begin
      if (cfg_i.en && !on_q) on_q <= 1'b1;
      if (!cfg_i.en && on_q && rest_i) on_q <= 1'b0;
      if (record_i) tail_q <= tail_next;
      if (clear_i) tail_q <= '0;
    end
  end

  assign on_o   = on_q;
  assign tail_o = tail_q;
  assign full_d = tail_next == head;

  logic unused;
  assign unused = ^{cfg_i.ppn, cfg_i.error, cfg_i.mf};

  `IOMMU_ASSERT(RecordOnlyWhileOn, !record_i || on_q)
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Tail of a queue into which the IOMMU writes records (fault queue, page-request
// queue), and whether the queue is active. The registers that software writes are
// in iommu_queue_csr.

`include "iommu_macros.svh"

module iommu_queue_tail
  import iommu_pkg::*;
(
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
  logic [31:0] tail_q, tail_next, mask;

  assign mask      = queue_mask(cfg_i.log2sz_1);
  assign tail_next = (tail_q + 32'd1) & mask;

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
  assign slot_o = tail_q & mask;
  assign full_o = tail_next == (cfg_i.index & mask);

  logic unused;
  assign unused = ^{cfg_i.ppn, cfg_i.error, cfg_i.mf};

  `IOMMU_ASSERT(RecordOnlyWhileOn, !record_i || on_q)
endmodule

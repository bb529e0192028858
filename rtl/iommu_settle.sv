// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Says when the head of a queue has stood for so many cycles that what is read of
// it, through as many registers (iommu_cut), is its own. Without Cut at once.

module iommu_settle #(
    parameter int unsigned Cycles = 1,    // registers between the head and its reader
    parameter bit          Cut    = 1'b0  // they are there
) (
    input  logic clk_i,    // clock
    input  logic rst_ni,   // asynchronous reset, active low
    input  logic there_i,  // the queue has a head
    input  logic taken_i,  // it goes in this cycle
    output logic seen_o    // what is read is the head's
);
  if (Cut) begin : g_cut
    logic [Cycles-1:0] seen_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) seen_q <= '0;
      else if (taken_i || !there_i) seen_q <= '0;
      else seen_q <= Cycles'({seen_q, 1'b1});
    end
    assign seen_o = seen_q[Cycles-1];
  end else begin : g_wire
    assign seen_o = there_i;
    logic unused;
    assign unused = ^{clk_i, rst_ni, taken_i};
  end
endmodule

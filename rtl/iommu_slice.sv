// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// A register in a valid/ready path, or none: what TimingCuts decides. With Cut
// it takes an item in at most every other cycle, and neither direction passes in
// the same cycle.

module iommu_slice #(
    parameter type T   = logic,  // of an item
    parameter bit  Cut = 1'b0    // a register, else wires
) (
    input  logic clk_i,    // clock
    input  logic rst_ni,   // asynchronous reset, active low
    input  logic valid_i,  // an item is offered
    output logic ready_o,  // there is room
    input  T     data_i,   // the item
    output logic valid_o,  // an item can be taken
    input  logic ready_i,  // it is taken
    output T     data_o    // the item
);
  if (Cut) begin : g_cut
    logic valid_q;
    T     data_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) valid_q <= 1'b0;
      else valid_q <= valid_q ? !ready_i : valid_i;
    end
    always_ff @(posedge clk_i) if (!valid_q) data_q <= data_i;
    assign ready_o = !valid_q;
    assign valid_o = valid_q;
    assign data_o  = data_q;
  end else begin : g_wire
    assign ready_o = ready_i;
    assign valid_o = valid_i;
    assign data_o  = data_i;
    logic unused;
    assign unused = ^{clk_i, rst_ni};
  end
endmodule

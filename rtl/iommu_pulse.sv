// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// iommu_cut for what acts: a register that reset empties, or none.

module iommu_pulse #(
    parameter type T   = logic,  // of what goes through
    parameter bit  Cut = 1'b0    // a register, else a wire
) (
    input  logic clk_i,   // clock
    input  logic rst_ni,  // asynchronous reset, active low
    input  T     d_i,
    output T     q_o      // d_i, a cycle later if Cut
);
  if (Cut) begin : g_cut
    T d_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) d_q <= '0;
      else d_q <= d_i;
    end
    assign q_o = d_q;
  end else begin : g_wire
    assign q_o = d_i;
  end

  logic unused;
  assign unused = ^{clk_i, rst_ni};
endmodule

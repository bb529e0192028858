// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// A register in a path, or none: what TimingCuts decides. It has no enable and
// no reset, so it stands only where the input keeps its value for the cycles
// that the whole path takes, and where somebody else says when the output counts.

module iommu_cut #(
    parameter type T   = logic,  // of what goes through
    parameter bit  Cut = 1'b0    // a register, else a wire
) (
    input  logic clk_i,  // clock
    input  T     d_i,
    output T     q_o     // d_i, a cycle later if Cut
);
  if (Cut) begin : g_cut
    T d_q;
    always_ff @(posedge clk_i) d_q <= d_i;
    assign q_o = d_q;
  end else begin : g_wire
    assign q_o = d_i;
  end

  logic unused;
  assign unused = clk_i;
endmodule

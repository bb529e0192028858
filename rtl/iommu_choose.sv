// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// iommu_pick, or with Cut a choice of the cycle before, which stands until it is
// taken; then a requester, once chosen, must go on asking until then, and not
// ask again in the cycle after unless it wants another turn.

`include "iommu_macros.svh"

module iommu_choose #(
    parameter int unsigned N   = 32,    // requesters, a power of two
    parameter bit          Cut = 1'b0,  // a register behind the choice
    localparam int unsigned IdxW = $clog2(N)
) (
    input  logic            clk_i,    // clock
    input  logic            rst_ni,   // asynchronous reset, active low
    input  logic [N-1:0]    req_i,    // who asks
    input  logic [IdxW-1:0] start_i,  // who is looked at first
    input  logic            take_i,   // what is shown is done with
    output logic            valid_o,  // somebody asks
    output logic [IdxW-1:0] idx_o     // the one picked; without Cut 0 if nobody asks
);
  logic            valid_d;
  logic [IdxW-1:0] idx_d;

  iommu_pick #(.N(N)) u_pick (
      .req_i  (req_i),
      .start_i(start_i),
      .valid_o(valid_d),
      .idx_o  (idx_d)
  );

  if (Cut) begin : g_cut
    logic            valid_q;
    logic [IdxW-1:0] idx_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        valid_q <= 1'b0;
        idx_q   <= '0;
      end else if (!valid_q) begin
        valid_q <= valid_d;
        idx_q   <= idx_d;
      end else if (take_i) begin
        valid_q <= 1'b0;
      end
    end
    assign valid_o = valid_q;
    assign idx_o   = idx_q;
    `IOMMU_ASSERT(ChoiceStands, !valid_q || req_i[idx_q])
  end else begin : g_wire
    assign valid_o = valid_d;
    assign idx_o   = idx_d;
    logic unused;
    assign unused = ^{clk_i, rst_ni, take_i};
  end
endmodule

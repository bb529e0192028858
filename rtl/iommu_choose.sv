// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// iommu_pick, or with Cut a choice among those who asked in the cycle before, in
// a register, which stands until it is taken; then a requester must go on asking
// until then, and not ask again in the cycle after unless it wants another turn.

`include "iommu_macros.svh"

module iommu_choose #(
    parameter int unsigned N   = 32,    // requesters, a power of two
    parameter bit          Cut = 1'b0,  // registers before and behind the choice
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
  if (Cut) begin : g_cut
    logic            valid_q;
    logic            old_q;          // req is of before what was taken
    logic [IdxW-1:0] idx_d, idx_q;
    logic [N-1:0]    req_q, at_q;    // who asked; at or after start_i
    logic [N-1:0]    above, from;
    always_ff @(posedge clk_i) begin
      req_q <= req_i;
      at_q  <= ~N'(0) << start_i;
    end
    // As iommu_pick does, which would make the mask here.
    assign above = req_q & at_q;
    assign from  = (above != '0) ? above : req_q;
    always_comb begin
      idx_d = '0;
      for (int unsigned i = N; i > 0; i--) if (from[i-1]) idx_d = IdxW'(i - 1);
    end
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        valid_q <= 1'b0;
        old_q   <= 1'b1;
        idx_q   <= '0;
      end else begin
        old_q <= valid_q && take_i;
        if (valid_q) begin
          if (take_i) valid_q <= 1'b0;
        end else if (!old_q) begin
          valid_q <= req_q != '0;
          idx_q   <= idx_d;
        end
      end
    end
    assign valid_o = valid_q;
    assign idx_o   = idx_q;
    `IOMMU_ASSERT(ChoiceStands, !valid_q || req_i[idx_q])
  end else begin : g_wire
    iommu_pick #(.N(N)) u_pick (
        .req_i  (req_i),
        .start_i(start_i),
        .valid_o(valid_o),
        .idx_o  (idx_o)
    );
    logic unused;
    assign unused = ^{clk_i, rst_ni, take_i};
  end
endmodule

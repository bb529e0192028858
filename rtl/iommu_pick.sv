// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The first requester at or after start_i, going round. Combinational.

module iommu_pick #(
    parameter int unsigned N = 32,  // requesters, a power of two
    localparam int unsigned IdxW = $clog2(N)
) (
    input  logic [N-1:0]    req_i,    // who asks
    input  logic [IdxW-1:0] start_i,  // who is looked at first
    output logic            valid_o,  // somebody asks
    output logic [IdxW-1:0] idx_o     // the one picked; 0 if nobody asks
);
  logic [N-1:0] above, from;

  assign valid_o = |req_i;
  assign above   = req_i & (~N'(0) << start_i);
  assign from    = (|above) ? above : req_i;

  always_comb begin
    idx_o = '0;
    for (int unsigned i = N; i > 0; i--) begin
      if (from[i-1]) idx_o = IdxW'(i - 1);
    end
  end
endmodule

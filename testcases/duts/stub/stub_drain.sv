// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Waits until the read and the write that are on their way have ended. A pulse
// starts it; busy is high from the next cycle until nothing is waited for.

module stub_drain (
    input  logic clk_i,
    input  logic rst_ni,
    input  logic start_i,    // pulse
    input  logic rd_i,       // wait for the read
    input  logic wr_i,       // wait for the write
    input  logic rd_busy_i,  // a read is between s_dev and its last R
    input  logic rd_last_i,  // pulse: its last R is taken
    input  logic wr_busy_i,  // a write is between s_dev and its B
    input  logic wr_last_i,  // pulse: its B is taken
    output logic busy_o
);
  logic rd_q, wr_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_q <= 1'b0;
      wr_q <= 1'b0;
    end else begin
      if (rd_last_i) rd_q <= 1'b0;
      else if (start_i) rd_q <= rd_i && rd_busy_i;
      if (wr_last_i) wr_q <= 1'b0;
      else if (start_i) wr_q <= wr_i && wr_busy_i;
    end
  end

  assign busy_o = rd_q || wr_q;
endmodule

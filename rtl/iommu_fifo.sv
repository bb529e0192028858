// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// First-in first-out queue. Handshake: valid/ready on both sides; ready_o comes
// from flops only. With FallThrough an item passes an empty queue in the same
// cycle (then valid_o and data_o depend on valid_i and data_i).

`include "iommu_macros.svh"

module iommu_fifo #(
    parameter int unsigned Width       = 8,    // bits of an item
    parameter int unsigned Depth       = 2,    // items held, a power of two
    parameter bit          FallThrough = 1'b0, // an empty queue shows its input
    parameter bit          EarlyWrite  = 1'b0  // what is offered lies in the place of the next before it is taken: for a fast clock
) (
    input  logic             clk_i,    // clock
    input  logic             rst_ni,   // asynchronous reset, active low
    input  logic             valid_i,  // an item is offered
    output logic             ready_o,  // there is room
    input  logic [Width-1:0] data_i,   // the item
    output logic             valid_o,  // an item can be taken
    input  logic             ready_i,  // it is taken
    output logic [Width-1:0] data_o    // the oldest item
);
  localparam int unsigned IdxW = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned CntW = $clog2(Depth + 1);

  logic [Width-1:0] mem_q[Depth];
  logic [IdxW-1:0] rd_q, wr_q;
  logic [CntW-1:0] cnt_q;
  logic empty, push, pop, pass;

  assign empty   = cnt_q == '0;
  assign ready_o = cnt_q != CntW'(Depth);
  assign valid_o = !empty || (FallThrough && valid_i);
  assign data_o  = (FallThrough && empty) ? data_i : mem_q[rd_q];
  assign pass    = FallThrough && empty && valid_i && ready_i;
  assign push    = valid_i && ready_o && !pass;
  assign pop     = !empty && ready_i;

  function automatic logic [IdxW-1:0] next(logic [IdxW-1:0] i);
    return (i == IdxW'(Depth - 1)) ? '0 : i + 1'b1;
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_q  <= '0;
      wr_q  <= '0;
      cnt_q <= '0;
    end else begin
      if (push) wr_q <= next(wr_q);
      if (pop) rd_q <= next(rd_q);
      if (push && !pop) cnt_q <= cnt_q + 1'b1;
      if (pop && !push) cnt_q <= cnt_q - 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (EarlyWrite ? ready_o : push) mem_q[wr_q] <= data_i;
  end

  `IOMMU_ASSERT(NoOverflow, !(push && cnt_q == CntW'(Depth)))
endmodule

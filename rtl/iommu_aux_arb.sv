// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The core's own clients at the second request port of the lookup pipeline:
// ATS translation requests, page requests, invalidation completions, the debug
// interface. They take turns; each holds its request until ready, and its tags
// say whose an answer is.

`include "iommu_macros.svh"

module iommu_aux_arb
  import iommu_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // who is next is chosen a cycle before, an answer goes on a cycle after
) (
    input  logic                clk_i,        // clock
    input  logic                rst_ni,       // asynchronous reset, active low

    // clients: AuxClTranslate to AuxClDebug
    input  logic     [NumAuxCl-1:0] req_valid_i,
    output logic     [NumAuxCl-1:0] req_ready_o,
    input  aux_req_t [NumAuxCl-1:0] req_i,
    output logic     [NumAuxCl-1:0] rsp_valid_o,

    // the pipeline
    output logic                req_valid_o,
    input  logic                req_ready_i,
    output aux_req_t            req_o,
    input  logic                rsp_valid_i,
    input  logic [AuxTagW-1:0]  rsp_tag_i
);

  logic [1:0]          next_q, sel;
  logic [NumAuxCl-1:0] rsp_valid;

  iommu_choose #(
      .N  (NumAuxCl),
      .Cut(TimingCuts)
  ) u_choose (
      .clk_i, .rst_ni,
      .req_i(req_valid_i),
      .start_i(next_q),
      .take_i(req_ready_i),
      .valid_o(req_valid_o),
      .idx_o(sel)
  );

  // Who is shown stays shown until it is taken.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) next_q <= '0;
    else if (req_valid_o) next_q <= req_ready_i ? sel + 2'd1 : sel;
  end

  always_comb begin
    req_o            = req_i[sel];
    req_ready_o      = '0;
    req_ready_o[sel] = req_ready_i && req_valid_o;
    rsp_valid        = '0;
    rsp_valid[aux_client(rsp_tag_i)] = rsp_valid_i;
  end

  iommu_pulse #(.T(logic [NumAuxCl-1:0]), .Cut(TimingCuts)) u_cut_valid (.clk_i, .rst_ni, .d_i(rsp_valid), .q_o(rsp_valid_o));

  `IOMMU_ASSERT(AuxTagIsTheClients, !req_valid_o || aux_client(req_o.tag) == sel)

endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The ATS port of an IOMMU whose capabilities.ATS is 0: a translation request
// is answered with "unsupported request", page requests and invalidation
// completions are taken and ignored, and nothing else is ever sent.
// Valid/ready on each channel; one completion is held until it is taken.

`include "iommu_macros.svh"

module iommu_ats_stub
  import iommu_pkg::*;
(
    input  logic    clk_i,               // clock
    input  logic    rst_ni,              // asynchronous reset, active low
    input  logic    ats_timeout_i,       // tick of the invalidation timer (unused: no request is ever out)
    input  logic    s_ats_tr_valid_i,    // translation request
    output logic    s_ats_tr_ready_o,
    input  ats_tr_t s_ats_tr_data_i,
    input  logic    s_ats_ic_valid_i,    // invalidation completion
    output logic    s_ats_ic_ready_o,
    input  ats_ic_t s_ats_ic_data_i,
    input  logic    s_ats_pr_valid_i,    // page request or stop marker
    output logic    s_ats_pr_ready_o,
    input  ats_pr_t s_ats_pr_data_i,
    output logic    m_ats_tc_valid_o,    // translation completion
    input  logic    m_ats_tc_ready_i,
    output ats_tc_t m_ats_tc_data_o,
    output logic    m_ats_inv_valid_o,   // invalidation request
    input  logic    m_ats_inv_ready_i,
    output ats_inv_t m_ats_inv_data_o,
    output logic    m_ats_prgr_valid_o,  // page request group response
    input  logic    m_ats_prgr_ready_i,
    output ats_prgr_t m_ats_prgr_data_o
);

  localparam logic [2:0] StatusUr = 3'd1;  // unsupported request

  logic       up_q;         // out of reset: ready may be shown
  logic       tc_valid_q;
  logic [9:0] tag_q;

  assign s_ats_tr_ready_o = up_q && !tc_valid_q;
  assign s_ats_ic_ready_o = up_q;
  assign s_ats_pr_ready_o = up_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      up_q       <= 1'b0;
      tc_valid_q <= 1'b0;
      tag_q      <= '0;
    end else begin
      up_q <= 1'b1;
      if (s_ats_tr_valid_i && s_ats_tr_ready_o) begin
        tc_valid_q <= 1'b1;
        tag_q      <= s_ats_tr_data_i.tag;
      end else if (m_ats_tc_ready_i) begin
        tc_valid_q <= 1'b0;
      end
    end
  end

  always_comb begin
    m_ats_tc_data_o        = '0;
    m_ats_tc_data_o.tag    = tag_q;
    m_ats_tc_data_o.status = StatusUr;
    m_ats_tc_data_o.last   = 1'b1;
  end

  assign m_ats_tc_valid_o   = tc_valid_q;
  assign m_ats_inv_valid_o  = 1'b0;
  assign m_ats_inv_data_o   = '0;
  assign m_ats_prgr_valid_o = 1'b0;
  assign m_ats_prgr_data_o  = '0;

  // What an IOMMU without ATS does not look at.
  logic unused;
  assign unused = ^{ats_timeout_i, s_ats_tr_data_i, s_ats_ic_valid_i, s_ats_ic_data_i,
                    s_ats_pr_valid_i, s_ats_pr_data_i, m_ats_inv_ready_i, m_ats_prgr_ready_i};

  `IOMMU_ASSERT(OneCompletionARequest, !(s_ats_tr_ready_o && m_ats_tc_valid_o))

endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The ATS port: translation requests, invalidations and page requests, and the
// page request group responses of both the command queue and the page-request
// queue. With capabilities.ATS 0 it answers translation requests with
// "unsupported request", takes and drops the rest, and sends nothing.
// Valid/ready on each channel; what is sent is held until it is taken.

`include "iommu_macros.svh"

module iommu_ats
  import iommu_pkg::*;
#(
    parameter int unsigned NumItags = 32, // invalidation requests under way, a power of 2, 2 to 32
    parameter bit TimingCuts        = 1'b0  // registers on the longest paths
) (
    input  logic        clk_i,              // clock
    input  logic        rst_ni,             // asynchronous reset, active low
    input  csr_cfg_t    csr_cfg_i,          // capabilities.ATS, fctl.BE
    input  mem_user_t   qosid_i,            // iommu_qosid

    // pins
    input  logic        ats_timeout_i,      // tick of the invalidation timer
    input  logic        s_ats_tr_valid_i,   // translation request
    output logic        s_ats_tr_ready_o,
    input  ats_tr_t     s_ats_tr_data_i,
    input  logic        s_ats_ic_valid_i,   // invalidation completion
    output logic        s_ats_ic_ready_o,
    input  ats_ic_t     s_ats_ic_data_i,
    input  logic        s_ats_pr_valid_i,   // page request or stop marker
    output logic        s_ats_pr_ready_o,
    input  ats_pr_t     s_ats_pr_data_i,
    output logic        m_ats_tc_valid_o,   // translation completion
    input  logic        m_ats_tc_ready_i,
    output ats_tc_t     m_ats_tc_data_o,
    output logic        m_ats_inv_valid_o,  // invalidation request
    input  logic        m_ats_inv_ready_i,
    output ats_inv_t    m_ats_inv_data_o,
    output logic        m_ats_prgr_valid_o, // page request group response
    input  logic        m_ats_prgr_ready_i,
    output ats_prgr_t   m_ats_prgr_data_o,

    // command queue
    input  logic        cmd_inv_valid_i,
    output logic        cmd_inv_ready_o,
    input  ats_inv_t    cmd_inv_i,
    input  logic        cmd_prgr_valid_i,
    output logic        cmd_prgr_ready_o,
    input  ats_prgr_t   cmd_prgr_i,
    output logic        pending_o,          // a message is not sent, or an invalidation not completed
    output logic        timed_out_o,        // an invalidation has timed out
    input  logic        reported_i,         // pulse: that is reported

    // register file, for the page-request queue
    input  queue_cfg_t  pq_cfg_i,
    input  logic        pq_clear_i,
    output logic        pq_on_o,
    output logic [31:0] pq_tail_o,
    output logic        pq_set_of_o,
    output logic        pq_set_mf_o,
    output logic        pq_record_o,

    // lookup pipeline, by client: AuxClTranslate, AuxClPage, AuxClComplete
    output logic     [AuxClComplete:0] req_valid_o,
    input  logic     [AuxClComplete:0] req_ready_i,
    output aux_req_t [AuxClComplete:0] req_o,
    input  logic     [AuxClComplete:0] rsp_valid_i,
    input  aux_rsp_t                   rsp_i,

    // page-request record's write
    output logic        mem_wreq_valid_o,
    input  logic        mem_wreq_ready_i,
    output mem_wreq_t   mem_wreq_o,
    input  logic        mem_wrsp_valid_i,
    input  logic        mem_wrsp_err_i
);

  localparam int unsigned Slots     = 4;  // translation requests under way
  localparam int unsigned PrgrDepth = 4;
  localparam int unsigned CntW = $clog2(PrgrDepth + 1);

  logic      inv_pending;
  logic [Slots-1:0] tr_busy;
  logic      own_valid, own_ready;  // the IOMMU's own response
  ats_prgr_t own;

  // With TimingCuts the pins have registers of their own: ready comes from them alone.
  logic    tr_valid, tr_ready, ic_valid, ic_ready, pr_valid, pr_ready;
  ats_tr_t tr;
  ats_ic_t ic;
  ats_pr_t pr;
  iommu_slice #(.T(ats_tr_t), .Cut(TimingCuts)) u_slice_tr (
      .clk_i, .rst_ni,
      .valid_i(s_ats_tr_valid_i),
      .ready_o(s_ats_tr_ready_o),
      .data_i(s_ats_tr_data_i),
      .valid_o(tr_valid),
      .ready_i(tr_ready),
      .data_o(tr)
  );
  iommu_slice #(.T(ats_ic_t), .Cut(TimingCuts)) u_slice_ic (
      .clk_i, .rst_ni,
      .valid_i(s_ats_ic_valid_i),
      .ready_o(s_ats_ic_ready_o),
      .data_i(s_ats_ic_data_i),
      .valid_o(ic_valid),
      .ready_i(ic_ready),
      .data_o(ic)
  );
  iommu_slice #(.T(ats_pr_t), .Cut(TimingCuts)) u_slice_pr (
      .clk_i, .rst_ni,
      .valid_i(s_ats_pr_valid_i),
      .ready_o(s_ats_pr_ready_o),
      .data_i(s_ats_pr_data_i),
      .valid_o(pr_valid),
      .ready_i(pr_ready),
      .data_o(pr)
  );

  iommu_ats_translate #(
      .Slots(Slots),
      .TimingCuts(TimingCuts)
  ) u_translate (
      .clk_i, .rst_ni,
      .ats_i(csr_cfg_i.caps.ats),
      .tr_valid_i(tr_valid),
      .tr_ready_o(tr_ready),
      .tr_i(tr),
      .tc_valid_o(m_ats_tc_valid_o),
      .tc_ready_i(m_ats_tc_ready_i),
      .tc_o(m_ats_tc_data_o),
      .busy_o(tr_busy),
      .req_valid_o(req_valid_o[AuxClTranslate]),
      .req_ready_i(req_ready_i[AuxClTranslate]),
      .req_o(req_o[AuxClTranslate]),
      .rsp_valid_i(rsp_valid_i[AuxClTranslate]),
      .rsp_i
  );

  iommu_ats_invalidate #(
      .NumItags(NumItags),
      .Slots(Slots),
      .TimingCuts(TimingCuts)
  ) u_invalidate (
      .clk_i, .rst_ni,
      .ats_i(csr_cfg_i.caps.ats),
      .timeout_i(ats_timeout_i),
      .cmd_valid_i(cmd_inv_valid_i),
      .cmd_ready_o(cmd_inv_ready_o),
      .cmd_i(cmd_inv_i),
      .pending_o(inv_pending),
      .timed_out_o,
      .reported_i,
      .tr_busy_i(tr_busy),
      .inv_valid_o(m_ats_inv_valid_o),
      .inv_ready_i(m_ats_inv_ready_i),
      .inv_o(m_ats_inv_data_o),
      .ic_valid_i(ic_valid),
      .ic_ready_o(ic_ready),
      .ic_i(ic),
      .req_valid_o(req_valid_o[AuxClComplete]),
      .req_ready_i(req_ready_i[AuxClComplete]),
      .req_o(req_o[AuxClComplete]),
      .rsp_valid_i(rsp_valid_i[AuxClComplete]),
      .rsp_fault_i(rsp_i.fault)
  );

  iommu_page_queue #(
      .TimingCuts(TimingCuts)
  ) u_page_queue (
      .clk_i, .rst_ni,
      .ats_i(csr_cfg_i.caps.ats),
      .be_i(csr_cfg_i.be),
      .qosid_i,
      .pr_valid_i(pr_valid),
      .pr_ready_o(pr_ready),
      .pr_i(pr),
      .prgr_valid_o(own_valid),
      .prgr_ready_i(own_ready),
      .prgr_o(own),
      .cfg_i(pq_cfg_i),
      .clear_i(pq_clear_i),
      .on_o(pq_on_o),
      .tail_o(pq_tail_o),
      .set_of_o(pq_set_of_o),
      .set_mf_o(pq_set_mf_o),
      .record_o(pq_record_o),
      .req_valid_o(req_valid_o[AuxClPage]),
      .req_ready_i(req_ready_i[AuxClPage]),
      .req_o(req_o[AuxClPage]),
      .rsp_valid_i(rsp_valid_i[AuxClPage]),
      .rsp_i,
      .mem_wreq_valid_o, .mem_wreq_ready_i, .mem_wreq_o, .mem_wrsp_valid_i, .mem_wrsp_err_i
  );

  // ---------------------------------------------------------------- responses
  // Both sources take turns. What the command queue has put in is counted,
  // because IOFENCE.C waits for it.
  logic            turn_own_q;  // both want in: the IOMMU's own is next
  logic            take_cmd, take_own, room, leaves_cmd;
  logic [CntW-1:0] cmd_count_q;

  assign cmd_prgr_ready_o = room && !(own_valid && turn_own_q);
  assign own_ready        = room && !(cmd_prgr_valid_i && !turn_own_q);
  assign take_cmd         = cmd_prgr_valid_i && cmd_prgr_ready_o;
  assign take_own         = own_valid && own_ready;

  logic from_cmd, from_cmd_d;
  assign from_cmd_d = cmd_prgr_valid_i && !(own_valid && turn_own_q);  // if anything is taken
  iommu_fifo #(
      .Width($bits(ats_prgr_t) + 1),
      .Depth(PrgrDepth)
  ) u_responses (
      .clk_i, .rst_ni,
      .valid_i(cmd_prgr_valid_i || own_valid),
      .ready_o(room),
      .data_i({from_cmd_d, from_cmd_d ? cmd_prgr_i : own}),
      .valid_o(m_ats_prgr_valid_o),
      .ready_i(m_ats_prgr_ready_i),
      .data_o({from_cmd, m_ats_prgr_data_o})
  );

  assign leaves_cmd = m_ats_prgr_valid_o && m_ats_prgr_ready_i && from_cmd;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      turn_own_q  <= 1'b0;
      cmd_count_q <= '0;
    end else begin
      if (take_cmd) turn_own_q <= 1'b1;
      if (take_own) turn_own_q <= 1'b0;
      cmd_count_q <= cmd_count_q + CntW'(take_cmd) - CntW'(leaves_cmd);
    end
  end

  assign pending_o = inv_pending || cmd_count_q != '0;

  logic unused;
  assign unused = ^csr_cfg_i;

  `IOMMU_ASSERT(NothingSentWithoutAts,
                csr_cfg_i.caps.ats || !(m_ats_inv_valid_o || m_ats_prgr_valid_o))
  `IOMMU_ASSERT(OneResponseAtATime, !(take_cmd && take_own))
  `IOMMU_ASSERT(ResponseIsTheSources, (!take_cmd || from_cmd_d) && (!take_own || !from_cmd_d))

endmodule

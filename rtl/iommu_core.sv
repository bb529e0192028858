// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The IOMMU core: look-aside translation for the IO bridge, the registers, the
// in-memory queues, interrupts, the ATS port, and the port to memory. Wiring
// only. Translation requests are valid/ready, answers are valid only (the
// bridge has a place for each); the other handshakes are those of the ports.

module iommu_core
  import iommu_pkg::*;
#(
    parameter int unsigned MemIdW = 6,   // m_mem transaction id, bits
    parameter int unsigned NumVec = 16,  // interrupt vectors: 1, 2, 4, 8 or 16
    parameter int unsigned IotlbEntries = 64,  // pages in the IOTLB
    parameter int unsigned DdtcEntries  = 16,  // contexts in the device-directory cache
    parameter int unsigned PdtcEntries  = 16,  // contexts in the process-directory cache
    parameter int unsigned FsCache      = 16,  // pointers in the first-stage walk cache
    parameter int unsigned GsCache      = 16,  // pointers in the second-stage walk cache
    parameter int unsigned GsTlb        = 16,  // second-stage leaves kept for walks
    parameter int unsigned NumWalkers   = 8,   // walks in flight, 1 to 16
    parameter int unsigned BridgeSlots  = 32,  // tags of the bridge's reads, and as many of its writes; a power of 2, up to 64
    parameter int unsigned CmdPrefetch  = 8,   // commands read in a burst at most, a power of 2, up to 32
    parameter int unsigned NumHpm       = 7,   // HPM event counters, 1 to 31
    parameter int unsigned NumItags     = 32,  // ATS invalidations under way, a power of 2, 2 to 32
    parameter bit          TimingCuts   = 1'b0  // registers inside lookups and walk steps: more cycles each, a faster clock
) (
    input  logic                              clk_i,  // clock
    input  logic                              rst_ni,  // asynchronous reset, active low
    input  logic [63:0]                       cfg_caps_i,  // mask of capabilities, static
    input  logic                              ats_timeout_i,  // tick of the ATS invalidation timer

    // translation request from the IO bridge
    input  logic                              tr_req_valid_i,
    output logic                              tr_req_ready_o,
    input  tr_req_t                           tr_req_i,
    // its answer, in any order, by tag
    output logic                              tr_rsp_valid_o,
    output tr_rsp_t                           tr_rsp_o,

    // an MSI of the IO bridge to be stored in an interrupt file
    input  logic                              mrif_req_valid_i,
    output logic                              mrif_req_ready_o,
    input  mrif_req_t                         mrif_req_i,
    output logic                              mrif_rsp_valid_o,
    output logic                              mrif_rsp_err_o,

    // fence over device traffic: a pulse takes the snapshot, done is a level
    output logic                              fence_valid_o,
    output logic                              fence_pr_o,
    output logic                              fence_pw_o,
    input  logic                              fence_done_i,

    // s_reg: AXI4-Lite, register page
    input  logic                              s_reg_awvalid_i,
    output logic                              s_reg_awready_o,
    input  logic [11:0]                       s_reg_awaddr_i,
    input  logic [2:0]                        s_reg_awprot_i,
    input  logic                              s_reg_wvalid_i,
    output logic                              s_reg_wready_o,
    input  logic [63:0]                       s_reg_wdata_i,
    input  logic [7:0]                        s_reg_wstrb_i,
    output logic                              s_reg_bvalid_o,
    input  logic                              s_reg_bready_i,
    output logic [1:0]                        s_reg_bresp_o,
    input  logic                              s_reg_arvalid_i,
    output logic                              s_reg_arready_o,
    input  logic [11:0]                       s_reg_araddr_i,
    input  logic [2:0]                        s_reg_arprot_i,
    output logic                              s_reg_rvalid_o,
    input  logic                              s_reg_rready_i,
    output logic [63:0]                       s_reg_rdata_o,
    output logic [1:0]                        s_reg_rresp_o,

    // m_mem: AXI4 manager, the IOMMU's own accesses
    output logic                              m_mem_awvalid_o,
    input  logic                              m_mem_awready_i,
    output logic [MemIdW-1:0]                 m_mem_awid_o,
    output logic [63:0]                       m_mem_awaddr_o,
    output logic [7:0]                        m_mem_awlen_o,
    output logic [2:0]                        m_mem_awsize_o,
    output logic [1:0]                        m_mem_awburst_o,
    output logic                              m_mem_awlock_o,
    output logic [3:0]                        m_mem_awcache_o,
    output logic [2:0]                        m_mem_awprot_o,
    output logic [3:0]                        m_mem_awqos_o,
    output logic [3:0]                        m_mem_awregion_o,
    output logic [5:0]                        m_mem_awatop_o,
    output logic [$bits(iommu_pkg::mem_user_t)-1:0] m_mem_awuser_o,  // mem_user_t
    output logic                              m_mem_wvalid_o,
    input  logic                              m_mem_wready_i,
    output logic [63:0]                       m_mem_wdata_o,
    output logic [7:0]                        m_mem_wstrb_o,
    output logic                              m_mem_wlast_o,
    input  logic                              m_mem_bvalid_i,
    output logic                              m_mem_bready_o,
    input  logic [MemIdW-1:0]                 m_mem_bid_i,
    input  logic [1:0]                        m_mem_bresp_i,
    output logic                              m_mem_arvalid_o,
    input  logic                              m_mem_arready_i,
    output logic [MemIdW-1:0]                 m_mem_arid_o,
    output logic [63:0]                       m_mem_araddr_o,
    output logic [7:0]                        m_mem_arlen_o,
    output logic [2:0]                        m_mem_arsize_o,
    output logic [1:0]                        m_mem_arburst_o,
    output logic                              m_mem_arlock_o,
    output logic [3:0]                        m_mem_arcache_o,
    output logic [2:0]                        m_mem_arprot_o,
    output logic [3:0]                        m_mem_arqos_o,
    output logic [3:0]                        m_mem_arregion_o,
    output logic [$bits(iommu_pkg::mem_user_t)-1:0] m_mem_aruser_o,  // mem_user_t
    input  logic                              m_mem_rvalid_i,
    output logic                              m_mem_rready_o,
    input  logic [MemIdW-1:0]                 m_mem_rid_i,
    input  logic [63:0]                       m_mem_rdata_i,
    input  logic [1:0]                        m_mem_rresp_i,
    input  logic                              m_mem_rlast_i,
    input  logic                              m_mem_rpoison_i,

    // ATS, one packed struct a beat
    input  logic                              s_ats_tr_valid_i,  // translation request
    output logic                              s_ats_tr_ready_o,
    input  ats_tr_t                s_ats_tr_data_i,
    input  logic                              s_ats_ic_valid_i,  // invalidation completion
    output logic                              s_ats_ic_ready_o,
    input  ats_ic_t                s_ats_ic_data_i,
    input  logic                              s_ats_pr_valid_i,  // page request or stop marker
    output logic                              s_ats_pr_ready_o,
    input  ats_pr_t                s_ats_pr_data_i,
    output logic                              m_ats_tc_valid_o,  // translation completion
    input  logic                              m_ats_tc_ready_i,
    output ats_tc_t                m_ats_tc_data_o,
    output logic                              m_ats_inv_valid_o,  // invalidation request
    input  logic                              m_ats_inv_ready_i,
    output ats_inv_t               m_ats_inv_data_o,
    output logic                              m_ats_prgr_valid_o,  // page request group response
    input  logic                              m_ats_prgr_ready_i,
    output ats_prgr_t              m_ats_prgr_data_o,

    // wire-signalled interrupts, one a vector
    output logic [NumVec-1:0]                 wsi_o
);

  csr_cfg_t   csr_cfg_new, csr_cfg;
  ddtp_mode_e ddtp_mode;
  logic       ddtp_valid, ddtp_ready;
  ddtp_t      ddtp;

  logic       inv_valid, inv_ready;
  inv_req_t   inv;

  queue_cfg_t  cq_cfg, fq_cfg, pq_cfg;
  logic        cq_clear, cq_on, cq_set_mf, cq_set_ill, cq_set_to, cq_set_fence;
  logic        fq_clear, fq_on, fq_set_of, fq_set_mf, fq_record;
  logic        pq_clear, pq_on, pq_set_of, pq_set_mf, pq_record;
  logic [31:0] cq_head, fq_tail, pq_tail;

  // command queue and ATS port
  logic        cmd_inv_valid, cmd_inv_ready, cmd_prgr_valid, cmd_prgr_ready;
  ats_inv_t    cmd_inv;
  ats_prgr_t   cmd_prgr;
  logic        ats_pending, ats_timed_out, ats_reported;

  logic [3:0]        ipsr;
  logic [3:0][3:0]   icvec;
  logic [NumVec-1:0] msi_mask;
  logic              msi_rd;
  logic [3:0]        msi_vec;
  logic [PaW-1:0]    msi_addr;
  logic [31:0]       msi_data;
  logic              msi_busy;

  logic       tr_fault_valid, tr_fault_ready, msi_fault_valid, msi_fault_ready;
  fault_rec_t tr_fault, msi_fault;

  // users of the bridge's fence: [0] IOFENCE.C, [1] ddtp to Off
  logic [1:0] fence_req, fence_pr, fence_pw, fence_done;

  logic      xl_rreq_valid, xl_rreq_ready, xl_rrsp_valid;
  logic      cq_rreq_valid, cq_rreq_ready, cq_rrsp_valid;
  mem_rreq_t xl_rreq, cq_rreq;
  mem_rrsp_t xl_rrsp, cq_rrsp;

  // interrupt files share the walks' read port and their way to the fault queue
  logic       mem_rreq_valid, mem_rreq_ready, mrif_rreq_valid, mrif_rreq_ready, mrif_rrsp_valid;
  mem_rreq_t  mem_rreq, mrif_rreq;
  logic       mrif_fault_valid, mrif_fault_ready, acc_fault_valid, acc_fault_ready;
  fault_rec_t mrif_fault, acc_fault;

  // by writer: WrFence to WrXlate
  logic      [NumWr-1:0] wreq_valid, wreq_ready, wrsp_valid;
  mem_wreq_t             wreq[NumWr];
  logic                  wrsp_err;
  logic [MemIdWide-1:0]  wrsp_id;

  // the core's own clients of the lookup pipeline, and their arbiter's port
  logic     [NumAuxCl-1:0]   cl_req_valid, cl_req_ready, cl_rsp_valid;
  aux_req_t [NumAuxCl-1:0]   cl_req;
  logic                      aux_req_valid, aux_req_ready, aux_rsp_valid;
  aux_req_t                  aux_req;
  aux_rsp_t                  xl_aux_rsp, aux_rsp;
  hpm_event_t [HpmPorts-1:0] hpm;
  mem_user_t                 qosid;  // iommu_qosid

  // Nobody waits for an idle translation path: invalidation and ddtp have
  // their own handshakes.
  logic xl_idle, unused;
  assign unused = xl_idle;

  assign fence_pr[1] = 1'b1;
  assign fence_pw[1] = 1'b1;

  // A write that waits for memory must not change. Software leaves fctl.BE alone
  // while anything is on; if it does not, the new value counts for what begins later.
  logic be_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) be_q <= 1'b0;
    else if (wreq_valid == '0) be_q <= csr_cfg_new.be;
  end
  always_comb begin
    csr_cfg    = csr_cfg_new;
    csr_cfg.be = be_q;
  end

  iommu_regs #(
      .NumVec(NumVec),
      .NumHpm(NumHpm),
      .TimingCuts(TimingCuts)
  ) u_regs (
      .clk_i, .rst_ni, .cfg_caps_i,
      .s_reg_awvalid_i, .s_reg_awready_o, .s_reg_awaddr_i, .s_reg_awprot_i, .s_reg_wvalid_i,
      .s_reg_wready_o, .s_reg_wdata_i, .s_reg_wstrb_i, .s_reg_bvalid_o, .s_reg_bready_i,
      .s_reg_bresp_o, .s_reg_arvalid_i, .s_reg_arready_o, .s_reg_araddr_i, .s_reg_arprot_i,
      .s_reg_rvalid_o, .s_reg_rready_i, .s_reg_rdata_o, .s_reg_rresp_o,
      .csr_cfg_o(csr_cfg_new),
      .qosid_o(qosid),
      .ddtp_mode_o(ddtp_mode),
      .ddtp_valid_o(ddtp_valid),
      .ddtp_o(ddtp),
      .ddtp_ready_i(ddtp_ready),
      .ddtp_fence_o(fence_req[1]),
      .ddtp_fence_done_i(fence_done[1]),
      .cq_cfg_o(cq_cfg),
      .cq_clear_o(cq_clear),
      .cq_on_i(cq_on),
      .cq_head_i(cq_head),
      .cq_set_mf_i(cq_set_mf),
      .cq_set_ill_i(cq_set_ill),
      .cq_set_to_i(cq_set_to),
      .cq_set_fence_i(cq_set_fence),
      .fq_cfg_o(fq_cfg),
      .fq_clear_o(fq_clear),
      .fq_on_i(fq_on),
      .fq_tail_i(fq_tail),
      .fq_set_of_i(fq_set_of),
      .fq_set_mf_i(fq_set_mf),
      .fq_record_i(fq_record),
      .pq_cfg_o(pq_cfg),
      .pq_clear_o(pq_clear),
      .pq_on_i(pq_on),
      .pq_tail_i(pq_tail),
      .pq_set_of_i(pq_set_of),
      .pq_set_mf_i(pq_set_mf),
      .pq_record_i(pq_record),
      .hpm_event_i(hpm),
      .dbg_req_valid_o(cl_req_valid[AuxClDebug]),
      .dbg_req_ready_i(cl_req_ready[AuxClDebug]),
      .dbg_req_o(cl_req[AuxClDebug]),
      .dbg_rsp_valid_i(cl_rsp_valid[AuxClDebug]),
      .dbg_rsp_i(aux_rsp),
      .ipsr_o(ipsr),
      .icvec_o(icvec),
      .msi_mask_o(msi_mask),
      .msi_rd_i(msi_rd),
      .msi_vec_i(msi_vec),
      .msi_addr_o(msi_addr),
      .msi_data_o(msi_data),
      .msi_busy_i(msi_busy)
  );

  iommu_xlate #(
      .IotlbEntries(IotlbEntries),
      .DdtcEntries(DdtcEntries),
      .PdtcEntries(PdtcEntries),
      .FsCache(FsCache),
      .GsCache(GsCache),
      .GsTlb(GsTlb),
      .NumWalkers(NumWalkers),
      .BridgeSlots(BridgeSlots),
      .TimingCuts(TimingCuts)
  ) u_xlate (
      .clk_i, .rst_ni,
      .csr_cfg_i(csr_cfg),
      .ddtp_valid_i(ddtp_valid),
      .ddtp_i(ddtp),
      .ddtp_ready_o(ddtp_ready),
      .req_valid_i(tr_req_valid_i),
      .req_ready_o(tr_req_ready_o),
      .req_i(tr_req_i),
      .rsp_valid_o(tr_rsp_valid_o),
      .rsp_o(tr_rsp_o),
      .aux_req_valid_i(aux_req_valid),
      .aux_req_ready_o(aux_req_ready),
      .aux_req_i(aux_req),
      .aux_rsp_valid_o(aux_rsp_valid),
      .aux_rsp_o(xl_aux_rsp),
      .hpm_o(hpm),
      .qosid_i(qosid),
      .inv_valid_i(inv_valid),
      .inv_ready_o(inv_ready),
      .inv_i(inv),
      .fault_valid_o(tr_fault_valid),
      .fault_ready_i(tr_fault_ready),
      .fault_o(tr_fault),
      .mem_rreq_valid_o(xl_rreq_valid),
      .mem_rreq_ready_i(xl_rreq_ready),
      .mem_rreq_o(xl_rreq),
      .mem_rrsp_valid_i(xl_rrsp_valid),
      .mem_rrsp_i(xl_rrsp),
      .mem_wreq_valid_o(wreq_valid[WrXlate]),
      .mem_wreq_ready_i(wreq_ready[WrXlate]),
      .mem_wreq_o(wreq[WrXlate]),
      .mem_wrsp_valid_i(wrsp_valid[WrXlate]),
      .mem_wrsp_err_i(wrsp_err),
      .mem_wrsp_id_i(wrsp_id),
      .idle_o(xl_idle)
  );

  iommu_cmd_queue #(
      .PrefetchDepth(CmdPrefetch),
      .TimingCuts(TimingCuts)
  ) u_cmd_queue (
      .clk_i, .rst_ni,
      .csr_cfg_i(csr_cfg),
      .qosid_i(qosid),
      .ddtp_mode_i(ddtp_mode),
      .cfg_i(cq_cfg),
      .clear_i(cq_clear),
      .on_o(cq_on),
      .head_o(cq_head),
      .set_mf_o(cq_set_mf),
      .set_ill_o(cq_set_ill),
      .set_to_o(cq_set_to),
      .set_fence_o(cq_set_fence),
      .inv_valid_o(inv_valid),
      .inv_ready_i(inv_ready),
      .inv_o(inv),
      .fence_req_o(fence_req[0]),
      .fence_pr_o(fence_pr[0]),
      .fence_pw_o(fence_pw[0]),
      .fence_done_i(fence_done[0]),
      .ats_inv_valid_o(cmd_inv_valid),
      .ats_inv_ready_i(cmd_inv_ready),
      .ats_inv_o(cmd_inv),
      .ats_prgr_valid_o(cmd_prgr_valid),
      .ats_prgr_ready_i(cmd_prgr_ready),
      .ats_prgr_o(cmd_prgr),
      .ats_pending_i(ats_pending),
      .ats_timed_out_i(ats_timed_out),
      .ats_reported_o(ats_reported),
      .mem_rreq_valid_o(cq_rreq_valid),
      .mem_rreq_ready_i(cq_rreq_ready),
      .mem_rreq_o(cq_rreq),
      .mem_rrsp_valid_i(cq_rrsp_valid),
      .mem_rrsp_i(cq_rrsp),
      .mem_wreq_valid_o(wreq_valid[WrFence]),
      .mem_wreq_ready_i(wreq_ready[WrFence]),
      .mem_wreq_o(wreq[WrFence]),
      .mem_wrsp_valid_i(wrsp_valid[WrFence]),
      .mem_wrsp_err_i(wrsp_err)
  );

  iommu_fence_arb u_fence_arb (
      .clk_i, .rst_ni,
      .req_i(fence_req),
      .pr_i(fence_pr),
      .pw_i(fence_pw),
      .done_o(fence_done),
      .fence_valid_o, .fence_pr_o, .fence_pw_o, .fence_done_i
  );

  iommu_mrif #(
      .TimingCuts(TimingCuts)
  ) u_mrif (
      .clk_i, .rst_ni,
      .amo_i(csr_cfg.caps.amo_mrif),
      .pas_i(csr_cfg.caps.pas),
      .qosid_i(qosid),
      .req_valid_i(mrif_req_valid_i),
      .req_ready_o(mrif_req_ready_o),
      .req_i(mrif_req_i),
      .rsp_valid_o(mrif_rsp_valid_o),
      .rsp_err_o(mrif_rsp_err_o),
      .fault_valid_o(mrif_fault_valid),
      .fault_ready_i(mrif_fault_ready),
      .fault_o(mrif_fault),
      .mem_rreq_valid_o(mrif_rreq_valid),
      .mem_rreq_ready_i(mrif_rreq_ready),
      .mem_rreq_o(mrif_rreq),
      .mem_rrsp_valid_i(mrif_rrsp_valid),
      .mem_rrsp_i(xl_rrsp),
      .mem_wreq_valid_o(wreq_valid[WrMrif]),
      .mem_wreq_ready_i(wreq_ready[WrMrif]),
      .mem_wreq_o(wreq[WrMrif]),
      .mem_wrsp_valid_i(wrsp_valid[WrMrif]),
      .mem_wrsp_err_i(wrsp_err)
  );

  // Its reads go before those of walks, which are many; its faults before theirs.
  assign mem_rreq_valid  = mrif_rreq_valid || xl_rreq_valid;
  assign mem_rreq        = mrif_rreq_valid ? mrif_rreq : xl_rreq;
  assign mrif_rreq_ready = mem_rreq_ready;
  assign xl_rreq_ready   = mem_rreq_ready && !mrif_rreq_valid;

  assign acc_fault_valid  = mrif_fault_valid || tr_fault_valid;
  assign acc_fault        = mrif_fault_valid ? mrif_fault : tr_fault;
  assign mrif_fault_ready = acc_fault_ready;
  assign tr_fault_ready   = acc_fault_ready && !mrif_fault_valid;

  logic       fq_fault_valid, fq_fault_ready;
  fault_rec_t fq_fault;
  iommu_slice #(.T(fault_rec_t), .Cut(TimingCuts)) u_fault_slice (
      .clk_i, .rst_ni,
      .valid_i(acc_fault_valid),
      .ready_o(acc_fault_ready),
      .data_i(acc_fault),
      .valid_o(fq_fault_valid),
      .ready_i(fq_fault_ready),
      .data_o(fq_fault)
  );

  iommu_fault_queue #(
      .TimingCuts(TimingCuts)
  ) u_fault_queue (
      .clk_i, .rst_ni,
      .tr_valid_i(fq_fault_valid),
      .tr_ready_o(fq_fault_ready),
      .tr_fault_i(fq_fault),
      .msi_valid_i(msi_fault_valid),
      .msi_ready_o(msi_fault_ready),
      .msi_fault_i(msi_fault),
      .be_i(csr_cfg.be),
      .qosid_i(qosid),
      .cfg_i(fq_cfg),
      .clear_i(fq_clear),
      .on_o(fq_on),
      .tail_o(fq_tail),
      .set_of_o(fq_set_of),
      .set_mf_o(fq_set_mf),
      .record_o(fq_record),
      .mem_wreq_valid_o(wreq_valid[WrFault]),
      .mem_wreq_ready_i(wreq_ready[WrFault]),
      .mem_wreq_o(wreq[WrFault]),
      .mem_wrsp_valid_i(wrsp_valid[WrFault]),
      .mem_wrsp_err_i(wrsp_err)
  );

  iommu_irq #(
      .NumVec(NumVec),
      .TimingCuts(TimingCuts)
  ) u_irq (
      .clk_i, .rst_ni,
      .wsi_i(csr_cfg.wsi),
      .be_i(csr_cfg.be),
      .qosid_i(qosid),
      .ipsr_i(ipsr),
      .icvec_i(icvec),
      .mask_i(msi_mask),
      .msi_rd_o(msi_rd),
      .msi_vec_o(msi_vec),
      .msi_addr_i(msi_addr),
      .msi_data_i(msi_data),
      .busy_o(msi_busy),
      .wsi_o,
      .fault_valid_o(msi_fault_valid),
      .fault_ready_i(msi_fault_ready),
      .fault_o(msi_fault),
      .mem_wreq_valid_o(wreq_valid[WrMsi]),
      .mem_wreq_ready_i(wreq_ready[WrMsi]),
      .mem_wreq_o(wreq[WrMsi]),
      .mem_wrsp_valid_i(wrsp_valid[WrMsi]),
      .mem_wrsp_err_i(wrsp_err)
  );

  iommu_mem_arb #(
      .MemIdW(MemIdW),
      .TimingCuts(TimingCuts)
  ) u_mem_arb (
      .clk_i, .rst_ni,
      .csr_cfg_i(csr_cfg),
      .xl_rreq_valid_i(mem_rreq_valid),
      .xl_rreq_ready_o(mem_rreq_ready),
      .xl_rreq_i(mem_rreq),
      .xl_rrsp_valid_o(xl_rrsp_valid),
      .mrif_rrsp_valid_o(mrif_rrsp_valid),
      .xl_rrsp_o(xl_rrsp),
      .cq_rreq_valid_i(cq_rreq_valid),
      .cq_rreq_ready_o(cq_rreq_ready),
      .cq_rreq_i(cq_rreq),
      .cq_rrsp_valid_o(cq_rrsp_valid),
      .cq_rrsp_o(cq_rrsp),
      .wreq_valid_i(wreq_valid),
      .wreq_ready_o(wreq_ready),
      .wreq_i(wreq),
      .wrsp_valid_o(wrsp_valid),
      .wrsp_err_o(wrsp_err),
      .wrsp_id_o(wrsp_id),
      .m_mem_awvalid_o, .m_mem_awready_i, .m_mem_awid_o, .m_mem_awaddr_o, .m_mem_awlen_o,
      .m_mem_awsize_o, .m_mem_awburst_o, .m_mem_awlock_o, .m_mem_awcache_o, .m_mem_awprot_o,
      .m_mem_awqos_o, .m_mem_awregion_o, .m_mem_awatop_o, .m_mem_awuser_o, .m_mem_wvalid_o,
      .m_mem_wready_i, .m_mem_wdata_o, .m_mem_wstrb_o, .m_mem_wlast_o, .m_mem_bvalid_i,
      .m_mem_bready_o, .m_mem_bid_i, .m_mem_bresp_i, .m_mem_arvalid_o, .m_mem_arready_i,
      .m_mem_arid_o, .m_mem_araddr_o, .m_mem_arlen_o, .m_mem_arsize_o, .m_mem_arburst_o,
      .m_mem_arlock_o, .m_mem_arcache_o, .m_mem_arprot_o, .m_mem_arqos_o, .m_mem_arregion_o,
      .m_mem_aruser_o, .m_mem_rvalid_i, .m_mem_rready_o, .m_mem_rid_i, .m_mem_rdata_i,
      .m_mem_rresp_i, .m_mem_rlast_i, .m_mem_rpoison_i
  );

  iommu_ats #(
      .NumItags(NumItags),
      .TimingCuts(TimingCuts)
  ) u_ats (
      .clk_i, .rst_ni,
      .csr_cfg_i(csr_cfg),
      .qosid_i(qosid),
      .ats_timeout_i,
      .s_ats_tr_valid_i, .s_ats_tr_ready_o, .s_ats_tr_data_i, .s_ats_ic_valid_i,
      .s_ats_ic_ready_o, .s_ats_ic_data_i, .s_ats_pr_valid_i, .s_ats_pr_ready_o,
      .s_ats_pr_data_i, .m_ats_tc_valid_o, .m_ats_tc_ready_i, .m_ats_tc_data_o,
      .m_ats_inv_valid_o, .m_ats_inv_ready_i, .m_ats_inv_data_o, .m_ats_prgr_valid_o,
      .m_ats_prgr_ready_i, .m_ats_prgr_data_o,
      .cmd_inv_valid_i(cmd_inv_valid),
      .cmd_inv_ready_o(cmd_inv_ready),
      .cmd_inv_i(cmd_inv),
      .cmd_prgr_valid_i(cmd_prgr_valid),
      .cmd_prgr_ready_o(cmd_prgr_ready),
      .cmd_prgr_i(cmd_prgr),
      .pending_o(ats_pending),
      .timed_out_o(ats_timed_out),
      .reported_i(ats_reported),
      .pq_cfg_i(pq_cfg),
      .pq_clear_i(pq_clear),
      .pq_on_o(pq_on),
      .pq_tail_o(pq_tail),
      .pq_set_of_o(pq_set_of),
      .pq_set_mf_o(pq_set_mf),
      .pq_record_o(pq_record),
      .req_valid_o(cl_req_valid[AuxClComplete:0]),
      .req_ready_i(cl_req_ready[AuxClComplete:0]),
      .req_o(cl_req[AuxClComplete:0]),
      .rsp_valid_i(cl_rsp_valid[AuxClComplete:0]),
      .rsp_i(aux_rsp),
      .mem_wreq_valid_o(wreq_valid[WrPage]),
      .mem_wreq_ready_i(wreq_ready[WrPage]),
      .mem_wreq_o(wreq[WrPage]),
      .mem_wrsp_valid_i(wrsp_valid[WrPage]),
      .mem_wrsp_err_i(wrsp_err)
  );

  // With who is answered, which iommu_aux_arb says.
  iommu_cut #(.T(aux_rsp_t), .Cut(TimingCuts)) u_cut_aux_rsp (.clk_i, .d_i(xl_aux_rsp), .q_o(aux_rsp));

  iommu_aux_arb #(
      .TimingCuts(TimingCuts)
  ) u_aux_arb (
      .clk_i, .rst_ni,
      .req_valid_i(cl_req_valid),
      .req_ready_o(cl_req_ready),
      .req_i(cl_req),
      .rsp_valid_o(cl_rsp_valid),
      .req_valid_o(aux_req_valid),
      .req_ready_i(aux_req_ready),
      .req_o(aux_req),
      .rsp_valid_i(aux_rsp_valid),
      .rsp_tag_i(xl_aux_rsp.tag)
  );

endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// RISC-V IOMMU: the IO bridge (device traffic) beside the IOMMU core
// (translation, queues, registers). All handshakes are valid/ready: a payload
// moves in the cycle in which both are high, valid never waits for ready, and
// no output depends on an input of the same cycle.

module iommu #(
    parameter int unsigned DevIdW   = 8,   // s_dev and m_dev transaction id, bits
    parameter int unsigned DevDataW = 64,  // s_dev and m_dev data, bits
    parameter int unsigned MemIdW   = 6,   // m_mem transaction id, bits
    parameter int unsigned NumVec   = 16,  // interrupt vectors: 1, 2, 4, 8 or 16
    parameter int unsigned IotlbEntries = 64,  // pages in the IOTLB
    parameter int unsigned DdtcEntries  = 16,  // contexts in the device-directory cache
    parameter int unsigned PdtcEntries  = 16,  // contexts in the process-directory cache
    parameter int unsigned FsCache      = 16,  // pointers in the first-stage walk cache
    parameter int unsigned GsCache      = 16,  // pointers in the second-stage walk cache
    parameter int unsigned GsTlb        = 16,  // second-stage leaves kept for walks
    parameter int unsigned NumWalkers   = 8,   // walks in flight, 1 to 16
    parameter int unsigned CmdPrefetch  = 8,   // commands read in a burst at most, a power of 2, up to 32
    parameter int unsigned NumHpm       = 7,   // HPM event counters, 1 to 31
    parameter int unsigned NumItags     = 32,  // ATS invalidations under way, a power of 2, 2 to 32
    parameter int unsigned RdSlots      = 32,  // device reads in flight, a power of 2, 2 to 64
    parameter int unsigned WrSlots      = 32,  // device writes in flight, a power of 2, 8 to 64
    parameter int unsigned WrBufBeats   = 64,  // device write buffer, beats, a power of 2
    parameter bit          TimingCuts   = 1'b0  // registers inside lookups and walk steps: more cycles each, a faster clock
) (
    input  logic                              clk_i,  // clock
    input  logic                              rst_ni,  // asynchronous reset, active low
    input  logic [63:0]                       cfg_caps_i,  // mask of capabilities; sampled at reset, tie to ones for synthesis
    input  logic                              ats_timeout_i,  // tick of the ATS invalidation timer

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

    // s_dev: AXI4 subordinate, device traffic
    input  logic                              s_dev_awvalid_i,
    output logic                              s_dev_awready_o,
    input  logic [DevIdW-1:0]                 s_dev_awid_i,
    input  logic [63:0]                       s_dev_awaddr_i,
    input  logic [7:0]                        s_dev_awlen_i,
    input  logic [2:0]                        s_dev_awsize_i,
    input  logic [1:0]                        s_dev_awburst_i,
    input  logic                              s_dev_awlock_i,
    input  logic [3:0]                        s_dev_awcache_i,
    input  logic [2:0]                        s_dev_awprot_i,
    input  logic [3:0]                        s_dev_awqos_i,
    input  logic [3:0]                        s_dev_awregion_i,
    input  logic [5:0]                        s_dev_awatop_i,
    input  logic [23:0]                       s_dev_awmmusid_i,  // device_id
    input  logic                              s_dev_awmmussidv_i,  // process_id is valid
    input  logic [19:0]                       s_dev_awmmussid_i,  // process_id
    input  logic                              s_dev_awmmuatst_i,  // already translated
    input  logic                              s_dev_wvalid_i,
    output logic                              s_dev_wready_o,
    input  logic [DevDataW-1:0]               s_dev_wdata_i,
    input  logic [DevDataW/8-1:0]             s_dev_wstrb_i,
    input  logic                              s_dev_wlast_i,
    output logic                              s_dev_bvalid_o,
    input  logic                              s_dev_bready_i,
    output logic [DevIdW-1:0]                 s_dev_bid_o,
    output logic [1:0]                        s_dev_bresp_o,
    input  logic                              s_dev_arvalid_i,
    output logic                              s_dev_arready_o,
    input  logic [DevIdW-1:0]                 s_dev_arid_i,
    input  logic [63:0]                       s_dev_araddr_i,
    input  logic [7:0]                        s_dev_arlen_i,
    input  logic [2:0]                        s_dev_arsize_i,
    input  logic [1:0]                        s_dev_arburst_i,
    input  logic                              s_dev_arlock_i,
    input  logic [3:0]                        s_dev_arcache_i,
    input  logic [2:0]                        s_dev_arprot_i,
    input  logic [3:0]                        s_dev_arqos_i,
    input  logic [3:0]                        s_dev_arregion_i,
    input  logic [23:0]                       s_dev_armmusid_i,  // device_id
    input  logic                              s_dev_armmussidv_i,  // process_id is valid
    input  logic [19:0]                       s_dev_armmussid_i,  // process_id
    input  logic                              s_dev_armmuatst_i,  // already translated
    output logic                              s_dev_rvalid_o,
    input  logic                              s_dev_rready_i,
    output logic [DevIdW-1:0]                 s_dev_rid_o,
    output logic [DevDataW-1:0]               s_dev_rdata_o,
    output logic [1:0]                        s_dev_rresp_o,
    output logic                              s_dev_rlast_o,

    // m_dev: AXI4 manager, device traffic translated
    output logic                              m_dev_awvalid_o,
    input  logic                              m_dev_awready_i,
    output logic [DevIdW-1:0]                 m_dev_awid_o,
    output logic [63:0]                       m_dev_awaddr_o,
    output logic [7:0]                        m_dev_awlen_o,
    output logic [2:0]                        m_dev_awsize_o,
    output logic [1:0]                        m_dev_awburst_o,
    output logic                              m_dev_awlock_o,
    output logic [3:0]                        m_dev_awcache_o,
    output logic [2:0]                        m_dev_awprot_o,
    output logic [3:0]                        m_dev_awqos_o,
    output logic [3:0]                        m_dev_awregion_o,
    output logic [5:0]                        m_dev_awatop_o,
    output logic [$bits(iommu_pkg::dev_user_t)-1:0] m_dev_awuser_o,  // dev_user_t
    output logic                              m_dev_wvalid_o,
    input  logic                              m_dev_wready_i,
    output logic [DevDataW-1:0]               m_dev_wdata_o,
    output logic [DevDataW/8-1:0]             m_dev_wstrb_o,
    output logic                              m_dev_wlast_o,
    input  logic                              m_dev_bvalid_i,
    output logic                              m_dev_bready_o,
    input  logic [DevIdW-1:0]                 m_dev_bid_i,
    input  logic [1:0]                        m_dev_bresp_i,
    output logic                              m_dev_arvalid_o,
    input  logic                              m_dev_arready_i,
    output logic [DevIdW-1:0]                 m_dev_arid_o,
    output logic [63:0]                       m_dev_araddr_o,
    output logic [7:0]                        m_dev_arlen_o,
    output logic [2:0]                        m_dev_arsize_o,
    output logic [1:0]                        m_dev_arburst_o,
    output logic                              m_dev_arlock_o,
    output logic [3:0]                        m_dev_arcache_o,
    output logic [2:0]                        m_dev_arprot_o,
    output logic [3:0]                        m_dev_arqos_o,
    output logic [3:0]                        m_dev_arregion_o,
    output logic [$bits(iommu_pkg::dev_user_t)-1:0] m_dev_aruser_o,  // dev_user_t
    input  logic                              m_dev_rvalid_i,
    output logic                              m_dev_rready_o,
    input  logic [DevIdW-1:0]                 m_dev_rid_i,
    input  logic [DevDataW-1:0]               m_dev_rdata_i,
    input  logic [1:0]                        m_dev_rresp_i,
    input  logic                              m_dev_rlast_i,

    // m_mem: AXI4 manager with atomics and poison, the IOMMU's own accesses
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

    // ATS, one packed struct a beat (iommu_pkg)
    input  logic                              s_ats_tr_valid_i,  // translation request
    output logic                              s_ats_tr_ready_o,
    input  iommu_pkg::ats_tr_t                s_ats_tr_data_i,
    input  logic                              s_ats_ic_valid_i,  // invalidation completion
    output logic                              s_ats_ic_ready_o,
    input  iommu_pkg::ats_ic_t                s_ats_ic_data_i,
    input  logic                              s_ats_pr_valid_i,  // page request or stop marker
    output logic                              s_ats_pr_ready_o,
    input  iommu_pkg::ats_pr_t                s_ats_pr_data_i,
    output logic                              m_ats_tc_valid_o,  // translation completion
    input  logic                              m_ats_tc_ready_i,
    output iommu_pkg::ats_tc_t                m_ats_tc_data_o,
    output logic                              m_ats_inv_valid_o,  // invalidation request
    input  logic                              m_ats_inv_ready_i,
    output iommu_pkg::ats_inv_t               m_ats_inv_data_o,
    output logic                              m_ats_prgr_valid_o,  // page request group response
    input  logic                              m_ats_prgr_ready_i,
    output iommu_pkg::ats_prgr_t              m_ats_prgr_data_o,

    // wire-signalled interrupts, one a vector
    output logic [15:0]                       wsi_o  // those of vectors that are not there are 0
);

  import iommu_pkg::*;

  logic    tr_req_valid, tr_req_ready, tr_rsp_valid;
  tr_req_t tr_req;
  tr_rsp_t tr_rsp;
  logic      mrif_req_valid, mrif_req_ready, mrif_rsp_valid, mrif_rsp_err;
  mrif_req_t mrif_req;
  logic    fence_valid, fence_pr, fence_pw, fence_done;
  logic [NumVec-1:0] wsi;

  iommu_io_bridge #(
      .DevIdW(DevIdW),
      .DevDataW(DevDataW),
      .RdSlots(RdSlots),
      .WrSlots(WrSlots),
      .WrBufBeats(WrBufBeats),
      .TimingCuts(TimingCuts)
  ) u_io_bridge (
      .clk_i, .rst_ni,
      .s_dev_awvalid_i, .s_dev_awready_o, .s_dev_awid_i, .s_dev_awaddr_i, .s_dev_awlen_i,
      .s_dev_awsize_i, .s_dev_awburst_i, .s_dev_awlock_i, .s_dev_awcache_i, .s_dev_awprot_i,
      .s_dev_awqos_i, .s_dev_awregion_i, .s_dev_awatop_i, .s_dev_awmmusid_i,
      .s_dev_awmmussidv_i, .s_dev_awmmussid_i, .s_dev_awmmuatst_i, .s_dev_wvalid_i,
      .s_dev_wready_o, .s_dev_wdata_i, .s_dev_wstrb_i, .s_dev_wlast_i, .s_dev_bvalid_o,
      .s_dev_bready_i, .s_dev_bid_o, .s_dev_bresp_o, .s_dev_arvalid_i, .s_dev_arready_o,
      .s_dev_arid_i, .s_dev_araddr_i, .s_dev_arlen_i, .s_dev_arsize_i, .s_dev_arburst_i,
      .s_dev_arlock_i, .s_dev_arcache_i, .s_dev_arprot_i, .s_dev_arqos_i, .s_dev_arregion_i,
      .s_dev_armmusid_i, .s_dev_armmussidv_i, .s_dev_armmussid_i, .s_dev_armmuatst_i,
      .s_dev_rvalid_o, .s_dev_rready_i, .s_dev_rid_o, .s_dev_rdata_o, .s_dev_rresp_o,
      .s_dev_rlast_o, .m_dev_awvalid_o, .m_dev_awready_i, .m_dev_awid_o, .m_dev_awaddr_o,
      .m_dev_awlen_o, .m_dev_awsize_o, .m_dev_awburst_o, .m_dev_awlock_o, .m_dev_awcache_o,
      .m_dev_awprot_o, .m_dev_awqos_o, .m_dev_awregion_o, .m_dev_awatop_o, .m_dev_awuser_o,
      .m_dev_wvalid_o, .m_dev_wready_i, .m_dev_wdata_o, .m_dev_wstrb_o, .m_dev_wlast_o,
      .m_dev_bvalid_i, .m_dev_bready_o, .m_dev_bid_i, .m_dev_bresp_i, .m_dev_arvalid_o,
      .m_dev_arready_i, .m_dev_arid_o, .m_dev_araddr_o, .m_dev_arlen_o, .m_dev_arsize_o,
      .m_dev_arburst_o, .m_dev_arlock_o, .m_dev_arcache_o, .m_dev_arprot_o, .m_dev_arqos_o,
      .m_dev_arregion_o, .m_dev_aruser_o, .m_dev_rvalid_i, .m_dev_rready_o, .m_dev_rid_i,
      .m_dev_rdata_i, .m_dev_rresp_i, .m_dev_rlast_i,
      .tr_req_valid_o(tr_req_valid),
      .tr_req_ready_i(tr_req_ready),
      .tr_req_o(tr_req),
      .tr_rsp_valid_i(tr_rsp_valid),
      .tr_rsp_i(tr_rsp),
      .mrif_req_valid_o(mrif_req_valid),
      .mrif_req_ready_i(mrif_req_ready),
      .mrif_req_o(mrif_req),
      .mrif_rsp_valid_i(mrif_rsp_valid),
      .mrif_rsp_err_i(mrif_rsp_err),
      .fence_valid_i(fence_valid),
      .fence_pr_i(fence_pr),
      .fence_pw_i(fence_pw),
      .fence_done_o(fence_done)
  );

  iommu_core #(
      .MemIdW(MemIdW),
      .NumVec(NumVec),
      .IotlbEntries(IotlbEntries),
      .DdtcEntries(DdtcEntries),
      .PdtcEntries(PdtcEntries),
      .FsCache(FsCache),
      .GsCache(GsCache),
      .GsTlb(GsTlb),
      .NumWalkers(NumWalkers),
      .BridgeSlots((RdSlots > WrSlots) ? RdSlots : WrSlots),
      .CmdPrefetch(CmdPrefetch),
      .NumHpm(NumHpm),
      .NumItags(NumItags),
      .TimingCuts(TimingCuts)
  ) u_core (
      .clk_i, .rst_ni, .cfg_caps_i, .ats_timeout_i,
      .tr_req_valid_i(tr_req_valid),
      .tr_req_ready_o(tr_req_ready),
      .tr_req_i(tr_req),
      .tr_rsp_valid_o(tr_rsp_valid),
      .tr_rsp_o(tr_rsp),
      .mrif_req_valid_i(mrif_req_valid),
      .mrif_req_ready_o(mrif_req_ready),
      .mrif_req_i(mrif_req),
      .mrif_rsp_valid_o(mrif_rsp_valid),
      .mrif_rsp_err_o(mrif_rsp_err),
      .fence_valid_o(fence_valid),
      .fence_pr_o(fence_pr),
      .fence_pw_o(fence_pw),
      .fence_done_i(fence_done),
      .s_reg_awvalid_i, .s_reg_awready_o, .s_reg_awaddr_i, .s_reg_awprot_i, .s_reg_wvalid_i,
      .s_reg_wready_o, .s_reg_wdata_i, .s_reg_wstrb_i, .s_reg_bvalid_o, .s_reg_bready_i,
      .s_reg_bresp_o, .s_reg_arvalid_i, .s_reg_arready_o, .s_reg_araddr_i, .s_reg_arprot_i,
      .s_reg_rvalid_o, .s_reg_rready_i, .s_reg_rdata_o, .s_reg_rresp_o, .m_mem_awvalid_o,
      .m_mem_awready_i, .m_mem_awid_o, .m_mem_awaddr_o, .m_mem_awlen_o, .m_mem_awsize_o,
      .m_mem_awburst_o, .m_mem_awlock_o, .m_mem_awcache_o, .m_mem_awprot_o, .m_mem_awqos_o,
      .m_mem_awregion_o, .m_mem_awatop_o, .m_mem_awuser_o, .m_mem_wvalid_o, .m_mem_wready_i,
      .m_mem_wdata_o, .m_mem_wstrb_o, .m_mem_wlast_o, .m_mem_bvalid_i, .m_mem_bready_o,
      .m_mem_bid_i, .m_mem_bresp_i, .m_mem_arvalid_o, .m_mem_arready_i, .m_mem_arid_o,
      .m_mem_araddr_o, .m_mem_arlen_o, .m_mem_arsize_o, .m_mem_arburst_o, .m_mem_arlock_o,
      .m_mem_arcache_o, .m_mem_arprot_o, .m_mem_arqos_o, .m_mem_arregion_o, .m_mem_aruser_o,
      .m_mem_rvalid_i, .m_mem_rready_o, .m_mem_rid_i, .m_mem_rdata_i, .m_mem_rresp_i,
      .m_mem_rlast_i, .m_mem_rpoison_i, .s_ats_tr_valid_i, .s_ats_tr_ready_o,
      .s_ats_tr_data_i, .s_ats_ic_valid_i, .s_ats_ic_ready_o, .s_ats_ic_data_i,
      .s_ats_pr_valid_i, .s_ats_pr_ready_o, .s_ats_pr_data_i, .m_ats_tc_valid_o,
      .m_ats_tc_ready_i, .m_ats_tc_data_o, .m_ats_inv_valid_o, .m_ats_inv_ready_i,
      .m_ats_inv_data_o, .m_ats_prgr_valid_o, .m_ats_prgr_ready_i, .m_ats_prgr_data_o,
      .wsi_o(wsi)
  );

  assign wsi_o = 16'(wsi);

endmodule

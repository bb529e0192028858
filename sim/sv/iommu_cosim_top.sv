// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Simulation top: the pins of sim/include/iommu_pins.h as flat ports round a
// device under test. Handshakes are those of the block itself; nothing is added or
// delayed. The build script names the block and its parameters:
//   IOMMU_DUT_TOP     module name of the block
//   IOMMU_DUT_PARAMS  its parameter assignments, if any: .A(1), .B(2)

`ifndef IOMMU_DUT_TOP
`define IOMMU_DUT_TOP iommu
`endif

module iommu_cosim_top (
    input  logic          clk_i,  // clock
    input  logic          rst_ni,  // asynchronous reset, active low
    input  logic [63:0]   cfg_caps_i,  // mask of capabilities, static
    input  logic          ats_timeout_i,  // tick of the ATS invalidation timer

    // s_reg: AXI4-Lite, the register page
    input  logic          s_reg_awvalid_i,
    output logic          s_reg_awready_o,
    input  logic [11:0]   s_reg_awaddr_i,
    input  logic [2:0]    s_reg_awprot_i,
    input  logic          s_reg_wvalid_i,
    output logic          s_reg_wready_o,
    input  logic [63:0]   s_reg_wdata_i,
    input  logic [7:0]    s_reg_wstrb_i,
    output logic          s_reg_bvalid_o,
    input  logic          s_reg_bready_i,
    output logic [1:0]    s_reg_bresp_o,
    input  logic          s_reg_arvalid_i,
    output logic          s_reg_arready_o,
    input  logic [11:0]   s_reg_araddr_i,
    input  logic [2:0]    s_reg_arprot_i,
    output logic          s_reg_rvalid_o,
    input  logic          s_reg_rready_i,
    output logic [63:0]   s_reg_rdata_o,
    output logic [1:0]    s_reg_rresp_o,

    // s_dev: AXI4 subordinate, device traffic
    input  logic          s_dev_awvalid_i,
    output logic          s_dev_awready_o,
    input  logic [7:0]    s_dev_awid_i,
    input  logic [63:0]   s_dev_awaddr_i,
    input  logic [7:0]    s_dev_awlen_i,
    input  logic [2:0]    s_dev_awsize_i,
    input  logic [1:0]    s_dev_awburst_i,
    input  logic          s_dev_awlock_i,
    input  logic [3:0]    s_dev_awcache_i,
    input  logic [2:0]    s_dev_awprot_i,
    input  logic [3:0]    s_dev_awqos_i,
    input  logic [3:0]    s_dev_awregion_i,
    input  logic [5:0]    s_dev_awatop_i,
    input  logic [23:0]   s_dev_awmmusid_i,
    input  logic          s_dev_awmmussidv_i,
    input  logic [19:0]   s_dev_awmmussid_i,
    input  logic          s_dev_awmmuatst_i,
    input  logic          s_dev_wvalid_i,
    output logic          s_dev_wready_o,
    input  logic [63:0]   s_dev_wdata_i,
    input  logic [7:0]    s_dev_wstrb_i,
    input  logic          s_dev_wlast_i,
    output logic          s_dev_bvalid_o,
    input  logic          s_dev_bready_i,
    output logic [7:0]    s_dev_bid_o,
    output logic [1:0]    s_dev_bresp_o,
    input  logic          s_dev_arvalid_i,
    output logic          s_dev_arready_o,
    input  logic [7:0]    s_dev_arid_i,
    input  logic [63:0]   s_dev_araddr_i,
    input  logic [7:0]    s_dev_arlen_i,
    input  logic [2:0]    s_dev_arsize_i,
    input  logic [1:0]    s_dev_arburst_i,
    input  logic          s_dev_arlock_i,
    input  logic [3:0]    s_dev_arcache_i,
    input  logic [2:0]    s_dev_arprot_i,
    input  logic [3:0]    s_dev_arqos_i,
    input  logic [3:0]    s_dev_arregion_i,
    input  logic [23:0]   s_dev_armmusid_i,
    input  logic          s_dev_armmussidv_i,
    input  logic [19:0]   s_dev_armmussid_i,
    input  logic          s_dev_armmuatst_i,
    output logic          s_dev_rvalid_o,
    input  logic          s_dev_rready_i,
    output logic [7:0]    s_dev_rid_o,
    output logic [63:0]   s_dev_rdata_o,
    output logic [1:0]    s_dev_rresp_o,
    output logic          s_dev_rlast_o,

    // m_dev: AXI4 manager, device traffic translated
    output logic          m_dev_awvalid_o,
    input  logic          m_dev_awready_i,
    output logic [7:0]    m_dev_awid_o,
    output logic [63:0]   m_dev_awaddr_o,
    output logic [7:0]    m_dev_awlen_o,
    output logic [2:0]    m_dev_awsize_o,
    output logic [1:0]    m_dev_awburst_o,
    output logic          m_dev_awlock_o,
    output logic [3:0]    m_dev_awcache_o,
    output logic [2:0]    m_dev_awprot_o,
    output logic [3:0]    m_dev_awqos_o,
    output logic [3:0]    m_dev_awregion_o,
    output logic [5:0]    m_dev_awatop_o,
    output logic [25:0]   m_dev_awuser_o,
    output logic          m_dev_wvalid_o,
    input  logic          m_dev_wready_i,
    output logic [63:0]   m_dev_wdata_o,
    output logic [7:0]    m_dev_wstrb_o,
    output logic          m_dev_wlast_o,
    input  logic          m_dev_bvalid_i,
    output logic          m_dev_bready_o,
    input  logic [7:0]    m_dev_bid_i,
    input  logic [1:0]    m_dev_bresp_i,
    output logic          m_dev_arvalid_o,
    input  logic          m_dev_arready_i,
    output logic [7:0]    m_dev_arid_o,
    output logic [63:0]   m_dev_araddr_o,
    output logic [7:0]    m_dev_arlen_o,
    output logic [2:0]    m_dev_arsize_o,
    output logic [1:0]    m_dev_arburst_o,
    output logic          m_dev_arlock_o,
    output logic [3:0]    m_dev_arcache_o,
    output logic [2:0]    m_dev_arprot_o,
    output logic [3:0]    m_dev_arqos_o,
    output logic [3:0]    m_dev_arregion_o,
    output logic [25:0]   m_dev_aruser_o,
    input  logic          m_dev_rvalid_i,
    output logic          m_dev_rready_o,
    input  logic [7:0]    m_dev_rid_i,
    input  logic [63:0]   m_dev_rdata_i,
    input  logic [1:0]    m_dev_rresp_i,
    input  logic          m_dev_rlast_i,

    // m_mem: AXI4 manager, the IOMMU's own accesses
    output logic          m_mem_awvalid_o,
    input  logic          m_mem_awready_i,
    output logic [5:0]    m_mem_awid_o,
    output logic [63:0]   m_mem_awaddr_o,
    output logic [7:0]    m_mem_awlen_o,
    output logic [2:0]    m_mem_awsize_o,
    output logic [1:0]    m_mem_awburst_o,
    output logic          m_mem_awlock_o,
    output logic [3:0]    m_mem_awcache_o,
    output logic [2:0]    m_mem_awprot_o,
    output logic [3:0]    m_mem_awqos_o,
    output logic [3:0]    m_mem_awregion_o,
    output logic [5:0]    m_mem_awatop_o,
    output logic [23:0]   m_mem_awuser_o,
    output logic          m_mem_wvalid_o,
    input  logic          m_mem_wready_i,
    output logic [63:0]   m_mem_wdata_o,
    output logic [7:0]    m_mem_wstrb_o,
    output logic          m_mem_wlast_o,
    input  logic          m_mem_bvalid_i,
    output logic          m_mem_bready_o,
    input  logic [5:0]    m_mem_bid_i,
    input  logic [1:0]    m_mem_bresp_i,
    output logic          m_mem_arvalid_o,
    input  logic          m_mem_arready_i,
    output logic [5:0]    m_mem_arid_o,
    output logic [63:0]   m_mem_araddr_o,
    output logic [7:0]    m_mem_arlen_o,
    output logic [2:0]    m_mem_arsize_o,
    output logic [1:0]    m_mem_arburst_o,
    output logic          m_mem_arlock_o,
    output logic [3:0]    m_mem_arcache_o,
    output logic [2:0]    m_mem_arprot_o,
    output logic [3:0]    m_mem_arqos_o,
    output logic [3:0]    m_mem_arregion_o,
    output logic [23:0]   m_mem_aruser_o,
    input  logic          m_mem_rvalid_i,
    output logic          m_mem_rready_o,
    input  logic [5:0]    m_mem_rid_i,
    input  logic [63:0]   m_mem_rdata_i,
    input  logic [1:0]    m_mem_rresp_i,
    input  logic          m_mem_rlast_i,
    input  logic          m_mem_rpoison_i,

    // ATS: one packed struct a beat
    input  logic          s_ats_tr_valid_i,
    output logic          s_ats_tr_ready_o,
    input  logic [130:0]  s_ats_tr_data_i,
    input  logic          s_ats_ic_valid_i,
    output logic          s_ats_ic_ready_o,
    input  logic [58:0]   s_ats_ic_data_i,
    input  logic          s_ats_pr_valid_i,
    output logic          s_ats_pr_ready_o,
    input  logic [110:0]  s_ats_pr_data_i,
    output logic          m_ats_tc_valid_o,
    input  logic          m_ats_tc_ready_i,
    output logic [77:0]   m_ats_tc_data_o,
    output logic          m_ats_inv_valid_o,
    input  logic          m_ats_inv_ready_i,
    output logic [114:0]  m_ats_inv_data_o,
    output logic          m_ats_prgr_valid_o,
    input  logic          m_ats_prgr_ready_i,
    output logic [58:0]   m_ats_prgr_data_o,

    // wire-signalled interrupts
    output logic [15:0]   wsi_o
);

  // The harness knows the inputs of a clock before the edge that begins it, and has
  // them taken over at that edge, with which the block's own registers change. So all
  // logic is evaluated once a clock; behind a port it would be once an edge and once
  // more in every call of eval. The reset is no register's: it acts without a clock.
  logic [63:0]    cfg_caps_q;
  logic           ats_timeout_q;
  logic           s_reg_awvalid_q;
  logic [11:0]    s_reg_awaddr_q;
  logic [2:0]     s_reg_awprot_q;
  logic           s_reg_wvalid_q;
  logic [63:0]    s_reg_wdata_q;
  logic [7:0]     s_reg_wstrb_q;
  logic           s_reg_bready_q;
  logic           s_reg_arvalid_q;
  logic [11:0]    s_reg_araddr_q;
  logic [2:0]     s_reg_arprot_q;
  logic           s_reg_rready_q;
  logic           s_dev_awvalid_q;
  logic [7:0]     s_dev_awid_q;
  logic [63:0]    s_dev_awaddr_q;
  logic [7:0]     s_dev_awlen_q;
  logic [2:0]     s_dev_awsize_q;
  logic [1:0]     s_dev_awburst_q;
  logic           s_dev_awlock_q;
  logic [3:0]     s_dev_awcache_q;
  logic [2:0]     s_dev_awprot_q;
  logic [3:0]     s_dev_awqos_q;
  logic [3:0]     s_dev_awregion_q;
  logic [5:0]     s_dev_awatop_q;
  logic [23:0]    s_dev_awmmusid_q;
  logic           s_dev_awmmussidv_q;
  logic [19:0]    s_dev_awmmussid_q;
  logic           s_dev_awmmuatst_q;
  logic           s_dev_wvalid_q;
  logic [63:0]    s_dev_wdata_q;
  logic [7:0]     s_dev_wstrb_q;
  logic           s_dev_wlast_q;
  logic           s_dev_bready_q;
  logic           s_dev_arvalid_q;
  logic [7:0]     s_dev_arid_q;
  logic [63:0]    s_dev_araddr_q;
  logic [7:0]     s_dev_arlen_q;
  logic [2:0]     s_dev_arsize_q;
  logic [1:0]     s_dev_arburst_q;
  logic           s_dev_arlock_q;
  logic [3:0]     s_dev_arcache_q;
  logic [2:0]     s_dev_arprot_q;
  logic [3:0]     s_dev_arqos_q;
  logic [3:0]     s_dev_arregion_q;
  logic [23:0]    s_dev_armmusid_q;
  logic           s_dev_armmussidv_q;
  logic [19:0]    s_dev_armmussid_q;
  logic           s_dev_armmuatst_q;
  logic           s_dev_rready_q;
  logic           m_dev_awready_q;
  logic           m_dev_wready_q;
  logic           m_dev_bvalid_q;
  logic [7:0]     m_dev_bid_q;
  logic [1:0]     m_dev_bresp_q;
  logic           m_dev_arready_q;
  logic           m_dev_rvalid_q;
  logic [7:0]     m_dev_rid_q;
  logic [63:0]    m_dev_rdata_q;
  logic [1:0]     m_dev_rresp_q;
  logic           m_dev_rlast_q;
  logic           m_mem_awready_q;
  logic           m_mem_wready_q;
  logic           m_mem_bvalid_q;
  logic [5:0]     m_mem_bid_q;
  logic [1:0]     m_mem_bresp_q;
  logic           m_mem_arready_q;
  logic           m_mem_rvalid_q;
  logic [5:0]     m_mem_rid_q;
  logic [63:0]    m_mem_rdata_q;
  logic [1:0]     m_mem_rresp_q;
  logic           m_mem_rlast_q;
  logic           m_mem_rpoison_q;
  logic           s_ats_tr_valid_q;
  logic [130:0]   s_ats_tr_data_q;
  logic           s_ats_ic_valid_q;
  logic [58:0]    s_ats_ic_data_q;
  logic           s_ats_pr_valid_q;
  logic [110:0]   s_ats_pr_data_q;
  logic           m_ats_tc_ready_q;
  logic           m_ats_inv_ready_q;
  logic           m_ats_prgr_ready_q;

  always_ff @(posedge clk_i) begin
    cfg_caps_q <= cfg_caps_i;
    ats_timeout_q <= ats_timeout_i;
    s_reg_awvalid_q <= s_reg_awvalid_i;
    s_reg_awaddr_q <= s_reg_awaddr_i;
    s_reg_awprot_q <= s_reg_awprot_i;
    s_reg_wvalid_q <= s_reg_wvalid_i;
    s_reg_wdata_q <= s_reg_wdata_i;
    s_reg_wstrb_q <= s_reg_wstrb_i;
    s_reg_bready_q <= s_reg_bready_i;
    s_reg_arvalid_q <= s_reg_arvalid_i;
    s_reg_araddr_q <= s_reg_araddr_i;
    s_reg_arprot_q <= s_reg_arprot_i;
    s_reg_rready_q <= s_reg_rready_i;
    s_dev_awvalid_q <= s_dev_awvalid_i;
    s_dev_awid_q <= s_dev_awid_i;
    s_dev_awaddr_q <= s_dev_awaddr_i;
    s_dev_awlen_q <= s_dev_awlen_i;
    s_dev_awsize_q <= s_dev_awsize_i;
    s_dev_awburst_q <= s_dev_awburst_i;
    s_dev_awlock_q <= s_dev_awlock_i;
    s_dev_awcache_q <= s_dev_awcache_i;
    s_dev_awprot_q <= s_dev_awprot_i;
    s_dev_awqos_q <= s_dev_awqos_i;
    s_dev_awregion_q <= s_dev_awregion_i;
    s_dev_awatop_q <= s_dev_awatop_i;
    s_dev_awmmusid_q <= s_dev_awmmusid_i;
    s_dev_awmmussidv_q <= s_dev_awmmussidv_i;
    s_dev_awmmussid_q <= s_dev_awmmussid_i;
    s_dev_awmmuatst_q <= s_dev_awmmuatst_i;
    s_dev_wvalid_q <= s_dev_wvalid_i;
    s_dev_wdata_q <= s_dev_wdata_i;
    s_dev_wstrb_q <= s_dev_wstrb_i;
    s_dev_wlast_q <= s_dev_wlast_i;
    s_dev_bready_q <= s_dev_bready_i;
    s_dev_arvalid_q <= s_dev_arvalid_i;
    s_dev_arid_q <= s_dev_arid_i;
    s_dev_araddr_q <= s_dev_araddr_i;
    s_dev_arlen_q <= s_dev_arlen_i;
    s_dev_arsize_q <= s_dev_arsize_i;
    s_dev_arburst_q <= s_dev_arburst_i;
    s_dev_arlock_q <= s_dev_arlock_i;
    s_dev_arcache_q <= s_dev_arcache_i;
    s_dev_arprot_q <= s_dev_arprot_i;
    s_dev_arqos_q <= s_dev_arqos_i;
    s_dev_arregion_q <= s_dev_arregion_i;
    s_dev_armmusid_q <= s_dev_armmusid_i;
    s_dev_armmussidv_q <= s_dev_armmussidv_i;
    s_dev_armmussid_q <= s_dev_armmussid_i;
    s_dev_armmuatst_q <= s_dev_armmuatst_i;
    s_dev_rready_q <= s_dev_rready_i;
    m_dev_awready_q <= m_dev_awready_i;
    m_dev_wready_q <= m_dev_wready_i;
    m_dev_bvalid_q <= m_dev_bvalid_i;
    m_dev_bid_q <= m_dev_bid_i;
    m_dev_bresp_q <= m_dev_bresp_i;
    m_dev_arready_q <= m_dev_arready_i;
    m_dev_rvalid_q <= m_dev_rvalid_i;
    m_dev_rid_q <= m_dev_rid_i;
    m_dev_rdata_q <= m_dev_rdata_i;
    m_dev_rresp_q <= m_dev_rresp_i;
    m_dev_rlast_q <= m_dev_rlast_i;
    m_mem_awready_q <= m_mem_awready_i;
    m_mem_wready_q <= m_mem_wready_i;
    m_mem_bvalid_q <= m_mem_bvalid_i;
    m_mem_bid_q <= m_mem_bid_i;
    m_mem_bresp_q <= m_mem_bresp_i;
    m_mem_arready_q <= m_mem_arready_i;
    m_mem_rvalid_q <= m_mem_rvalid_i;
    m_mem_rid_q <= m_mem_rid_i;
    m_mem_rdata_q <= m_mem_rdata_i;
    m_mem_rresp_q <= m_mem_rresp_i;
    m_mem_rlast_q <= m_mem_rlast_i;
    m_mem_rpoison_q <= m_mem_rpoison_i;
    s_ats_tr_valid_q <= s_ats_tr_valid_i;
    s_ats_tr_data_q <= s_ats_tr_data_i;
    s_ats_ic_valid_q <= s_ats_ic_valid_i;
    s_ats_ic_data_q <= s_ats_ic_data_i;
    s_ats_pr_valid_q <= s_ats_pr_valid_i;
    s_ats_pr_data_q <= s_ats_pr_data_i;
    m_ats_tc_ready_q <= m_ats_tc_ready_i;
    m_ats_inv_ready_q <= m_ats_inv_ready_i;
    m_ats_prgr_ready_q <= m_ats_prgr_ready_i;
  end

  `IOMMU_DUT_TOP
`ifdef IOMMU_DUT_PARAMS
  #(`IOMMU_DUT_PARAMS)
`endif
  u_dut (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .cfg_caps_i(cfg_caps_q),
      .ats_timeout_i(ats_timeout_q),
      .s_reg_awvalid_i(s_reg_awvalid_q),
      .s_reg_awready_o(s_reg_awready_o),
      .s_reg_awaddr_i(s_reg_awaddr_q),
      .s_reg_awprot_i(s_reg_awprot_q),
      .s_reg_wvalid_i(s_reg_wvalid_q),
      .s_reg_wready_o(s_reg_wready_o),
      .s_reg_wdata_i(s_reg_wdata_q),
      .s_reg_wstrb_i(s_reg_wstrb_q),
      .s_reg_bvalid_o(s_reg_bvalid_o),
      .s_reg_bready_i(s_reg_bready_q),
      .s_reg_bresp_o(s_reg_bresp_o),
      .s_reg_arvalid_i(s_reg_arvalid_q),
      .s_reg_arready_o(s_reg_arready_o),
      .s_reg_araddr_i(s_reg_araddr_q),
      .s_reg_arprot_i(s_reg_arprot_q),
      .s_reg_rvalid_o(s_reg_rvalid_o),
      .s_reg_rready_i(s_reg_rready_q),
      .s_reg_rdata_o(s_reg_rdata_o),
      .s_reg_rresp_o(s_reg_rresp_o),
      .s_dev_awvalid_i(s_dev_awvalid_q),
      .s_dev_awready_o(s_dev_awready_o),
      .s_dev_awid_i(s_dev_awid_q),
      .s_dev_awaddr_i(s_dev_awaddr_q),
      .s_dev_awlen_i(s_dev_awlen_q),
      .s_dev_awsize_i(s_dev_awsize_q),
      .s_dev_awburst_i(s_dev_awburst_q),
      .s_dev_awlock_i(s_dev_awlock_q),
      .s_dev_awcache_i(s_dev_awcache_q),
      .s_dev_awprot_i(s_dev_awprot_q),
      .s_dev_awqos_i(s_dev_awqos_q),
      .s_dev_awregion_i(s_dev_awregion_q),
      .s_dev_awatop_i(s_dev_awatop_q),
      .s_dev_awmmusid_i(s_dev_awmmusid_q),
      .s_dev_awmmussidv_i(s_dev_awmmussidv_q),
      .s_dev_awmmussid_i(s_dev_awmmussid_q),
      .s_dev_awmmuatst_i(s_dev_awmmuatst_q),
      .s_dev_wvalid_i(s_dev_wvalid_q),
      .s_dev_wready_o(s_dev_wready_o),
      .s_dev_wdata_i(s_dev_wdata_q),
      .s_dev_wstrb_i(s_dev_wstrb_q),
      .s_dev_wlast_i(s_dev_wlast_q),
      .s_dev_bvalid_o(s_dev_bvalid_o),
      .s_dev_bready_i(s_dev_bready_q),
      .s_dev_bid_o(s_dev_bid_o),
      .s_dev_bresp_o(s_dev_bresp_o),
      .s_dev_arvalid_i(s_dev_arvalid_q),
      .s_dev_arready_o(s_dev_arready_o),
      .s_dev_arid_i(s_dev_arid_q),
      .s_dev_araddr_i(s_dev_araddr_q),
      .s_dev_arlen_i(s_dev_arlen_q),
      .s_dev_arsize_i(s_dev_arsize_q),
      .s_dev_arburst_i(s_dev_arburst_q),
      .s_dev_arlock_i(s_dev_arlock_q),
      .s_dev_arcache_i(s_dev_arcache_q),
      .s_dev_arprot_i(s_dev_arprot_q),
      .s_dev_arqos_i(s_dev_arqos_q),
      .s_dev_arregion_i(s_dev_arregion_q),
      .s_dev_armmusid_i(s_dev_armmusid_q),
      .s_dev_armmussidv_i(s_dev_armmussidv_q),
      .s_dev_armmussid_i(s_dev_armmussid_q),
      .s_dev_armmuatst_i(s_dev_armmuatst_q),
      .s_dev_rvalid_o(s_dev_rvalid_o),
      .s_dev_rready_i(s_dev_rready_q),
      .s_dev_rid_o(s_dev_rid_o),
      .s_dev_rdata_o(s_dev_rdata_o),
      .s_dev_rresp_o(s_dev_rresp_o),
      .s_dev_rlast_o(s_dev_rlast_o),
      .m_dev_awvalid_o(m_dev_awvalid_o),
      .m_dev_awready_i(m_dev_awready_q),
      .m_dev_awid_o(m_dev_awid_o),
      .m_dev_awaddr_o(m_dev_awaddr_o),
      .m_dev_awlen_o(m_dev_awlen_o),
      .m_dev_awsize_o(m_dev_awsize_o),
      .m_dev_awburst_o(m_dev_awburst_o),
      .m_dev_awlock_o(m_dev_awlock_o),
      .m_dev_awcache_o(m_dev_awcache_o),
      .m_dev_awprot_o(m_dev_awprot_o),
      .m_dev_awqos_o(m_dev_awqos_o),
      .m_dev_awregion_o(m_dev_awregion_o),
      .m_dev_awatop_o(m_dev_awatop_o),
      .m_dev_awuser_o(m_dev_awuser_o),
      .m_dev_wvalid_o(m_dev_wvalid_o),
      .m_dev_wready_i(m_dev_wready_q),
      .m_dev_wdata_o(m_dev_wdata_o),
      .m_dev_wstrb_o(m_dev_wstrb_o),
      .m_dev_wlast_o(m_dev_wlast_o),
      .m_dev_bvalid_i(m_dev_bvalid_q),
      .m_dev_bready_o(m_dev_bready_o),
      .m_dev_bid_i(m_dev_bid_q),
      .m_dev_bresp_i(m_dev_bresp_q),
      .m_dev_arvalid_o(m_dev_arvalid_o),
      .m_dev_arready_i(m_dev_arready_q),
      .m_dev_arid_o(m_dev_arid_o),
      .m_dev_araddr_o(m_dev_araddr_o),
      .m_dev_arlen_o(m_dev_arlen_o),
      .m_dev_arsize_o(m_dev_arsize_o),
      .m_dev_arburst_o(m_dev_arburst_o),
      .m_dev_arlock_o(m_dev_arlock_o),
      .m_dev_arcache_o(m_dev_arcache_o),
      .m_dev_arprot_o(m_dev_arprot_o),
      .m_dev_arqos_o(m_dev_arqos_o),
      .m_dev_arregion_o(m_dev_arregion_o),
      .m_dev_aruser_o(m_dev_aruser_o),
      .m_dev_rvalid_i(m_dev_rvalid_q),
      .m_dev_rready_o(m_dev_rready_o),
      .m_dev_rid_i(m_dev_rid_q),
      .m_dev_rdata_i(m_dev_rdata_q),
      .m_dev_rresp_i(m_dev_rresp_q),
      .m_dev_rlast_i(m_dev_rlast_q),
      .m_mem_awvalid_o(m_mem_awvalid_o),
      .m_mem_awready_i(m_mem_awready_q),
      .m_mem_awid_o(m_mem_awid_o),
      .m_mem_awaddr_o(m_mem_awaddr_o),
      .m_mem_awlen_o(m_mem_awlen_o),
      .m_mem_awsize_o(m_mem_awsize_o),
      .m_mem_awburst_o(m_mem_awburst_o),
      .m_mem_awlock_o(m_mem_awlock_o),
      .m_mem_awcache_o(m_mem_awcache_o),
      .m_mem_awprot_o(m_mem_awprot_o),
      .m_mem_awqos_o(m_mem_awqos_o),
      .m_mem_awregion_o(m_mem_awregion_o),
      .m_mem_awatop_o(m_mem_awatop_o),
      .m_mem_awuser_o(m_mem_awuser_o),
      .m_mem_wvalid_o(m_mem_wvalid_o),
      .m_mem_wready_i(m_mem_wready_q),
      .m_mem_wdata_o(m_mem_wdata_o),
      .m_mem_wstrb_o(m_mem_wstrb_o),
      .m_mem_wlast_o(m_mem_wlast_o),
      .m_mem_bvalid_i(m_mem_bvalid_q),
      .m_mem_bready_o(m_mem_bready_o),
      .m_mem_bid_i(m_mem_bid_q),
      .m_mem_bresp_i(m_mem_bresp_q),
      .m_mem_arvalid_o(m_mem_arvalid_o),
      .m_mem_arready_i(m_mem_arready_q),
      .m_mem_arid_o(m_mem_arid_o),
      .m_mem_araddr_o(m_mem_araddr_o),
      .m_mem_arlen_o(m_mem_arlen_o),
      .m_mem_arsize_o(m_mem_arsize_o),
      .m_mem_arburst_o(m_mem_arburst_o),
      .m_mem_arlock_o(m_mem_arlock_o),
      .m_mem_arcache_o(m_mem_arcache_o),
      .m_mem_arprot_o(m_mem_arprot_o),
      .m_mem_arqos_o(m_mem_arqos_o),
      .m_mem_arregion_o(m_mem_arregion_o),
      .m_mem_aruser_o(m_mem_aruser_o),
      .m_mem_rvalid_i(m_mem_rvalid_q),
      .m_mem_rready_o(m_mem_rready_o),
      .m_mem_rid_i(m_mem_rid_q),
      .m_mem_rdata_i(m_mem_rdata_q),
      .m_mem_rresp_i(m_mem_rresp_q),
      .m_mem_rlast_i(m_mem_rlast_q),
      .m_mem_rpoison_i(m_mem_rpoison_q),
      .s_ats_tr_valid_i(s_ats_tr_valid_q),
      .s_ats_tr_ready_o(s_ats_tr_ready_o),
      .s_ats_tr_data_i(s_ats_tr_data_q),
      .s_ats_ic_valid_i(s_ats_ic_valid_q),
      .s_ats_ic_ready_o(s_ats_ic_ready_o),
      .s_ats_ic_data_i(s_ats_ic_data_q),
      .s_ats_pr_valid_i(s_ats_pr_valid_q),
      .s_ats_pr_ready_o(s_ats_pr_ready_o),
      .s_ats_pr_data_i(s_ats_pr_data_q),
      .m_ats_tc_valid_o(m_ats_tc_valid_o),
      .m_ats_tc_ready_i(m_ats_tc_ready_q),
      .m_ats_tc_data_o(m_ats_tc_data_o),
      .m_ats_inv_valid_o(m_ats_inv_valid_o),
      .m_ats_inv_ready_i(m_ats_inv_ready_q),
      .m_ats_inv_data_o(m_ats_inv_data_o),
      .m_ats_prgr_valid_o(m_ats_prgr_valid_o),
      .m_ats_prgr_ready_i(m_ats_prgr_ready_q),
      .m_ats_prgr_data_o(m_ats_prgr_data_o),
      .wsi_o(wsi_o)
  );

  initial iommu_cosim_dpi::cosim_note(iommu_cosim_dpi::NoteDebug, $sformatf("%m is up"));

endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// A small but complete IOMMU with the modes Off and Bare only, made to show that
// the harness runs any block: nothing in common with rtl/ but the pins. One
// transaction a direction at a time, readies that depend on valids, wires for
// interrupts. It passes ids and data through, keeps no state about addresses,
// and does all that version 1.0 asks for when there is nothing to translate with.

module iommu_stub #(
    parameter int unsigned DevIdW   = 8,   // s_dev and m_dev transaction id, bits
    parameter int unsigned DevDataW = 64,  // s_dev and m_dev data, bits
    parameter int unsigned MemIdW   = 6,   // m_mem transaction id, bits
    parameter int unsigned NumVec   = 16   // interrupt wires; four are used
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
    output logic [25:0] m_dev_awuser_o,  // {mcid, rcid, pbmt}
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
    output logic [25:0] m_dev_aruser_o,  // {mcid, rcid, pbmt}
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
    output logic [23:0] m_mem_awuser_o,  // {mcid, rcid}
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
    output logic [23:0] m_mem_aruser_o,  // {mcid, rcid}
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
    input  logic [130:0] s_ats_tr_data_i,
    input  logic                              s_ats_ic_valid_i,  // invalidation completion
    output logic                              s_ats_ic_ready_o,
    input  logic [58:0] s_ats_ic_data_i,
    input  logic                              s_ats_pr_valid_i,  // page request or stop marker
    output logic                              s_ats_pr_ready_o,
    input  logic [110:0] s_ats_pr_data_i,
    output logic                              m_ats_tc_valid_o,  // translation completion
    input  logic                              m_ats_tc_ready_i,
    output logic [77:0] m_ats_tc_data_o,
    output logic                              m_ats_inv_valid_o,  // invalidation request
    input  logic                              m_ats_inv_ready_i,
    output logic [114:0] m_ats_inv_data_o,
    output logic                              m_ats_prgr_valid_o,  // page request group response
    input  logic                              m_ats_prgr_ready_i,
    output logic [58:0] m_ats_prgr_data_o,

    // wire-signalled interrupts, one a vector
    output logic [NumVec-1:0]                 wsi_o
);

  logic [5:0]  pas;
  logic        bare, off_start, off_busy;
  logic        cq_en, cq_clear, cq_stall, cq_on, cq_mf, cq_ill, cq_wip;
  logic        fq_en, fq_clear, fq_stall, fq_on, fq_mf, fq_of, fq_new;
  logic [55:0] cq_base, fq_base;
  logic [31:0] cq_mask, cqt, cqh, fq_mask, fqh, fqt;
  logic        fence_start, fence_pr, fence_pw, fence_busy;
  logic        rd_busy, rd_last, wr_busy, wr_last;
  logic         rd_fault_valid, rd_fault_ready, wr_fault_valid, wr_fault_ready;
  logic [127:0] rd_fault, wr_fault;
  logic [3:0]   wsi;

  assign wsi_o = NumVec'(wsi);

  stub_regs #(
      .Pas   (40),
      .NumVec(4)
  ) u_regs (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .cfg_caps_i (cfg_caps_i),
      .awvalid_i   (s_reg_awvalid_i),
      .awready_o   (s_reg_awready_o),
      .awaddr_i    (s_reg_awaddr_i),
      .wvalid_i    (s_reg_wvalid_i),
      .wready_o    (s_reg_wready_o),
      .wdata_i     (s_reg_wdata_i),
      .wstrb_i     (s_reg_wstrb_i),
      .bvalid_o    (s_reg_bvalid_o),
      .bready_i    (s_reg_bready_i),
      .bresp_o     (s_reg_bresp_o),
      .arvalid_i   (s_reg_arvalid_i),
      .arready_o   (s_reg_arready_o),
      .araddr_i    (s_reg_araddr_i),
      .rvalid_o    (s_reg_rvalid_o),
      .rready_i    (s_reg_rready_i),
      .rdata_o     (s_reg_rdata_o),
      .rresp_o     (s_reg_rresp_o),
      .pas_o       (pas),
      .bare_o      (bare),
      .off_start_o (off_start),
      .off_busy_i  (off_busy),
      .cq_en_o     (cq_en),
      .cq_clear_o  (cq_clear),
      .cq_stall_o  (cq_stall),
      .cq_base_o   (cq_base),
      .cq_mask_o   (cq_mask),
      .cqt_o       (cqt),
      .cqh_i       (cqh),
      .cq_on_i     (cq_on),
      .cq_mf_i     (cq_mf),
      .cq_ill_i    (cq_ill),
      .cq_wip_i    (cq_wip),
      .fq_en_o     (fq_en),
      .fq_clear_o  (fq_clear),
      .fq_stall_o  (fq_stall),
      .fq_base_o   (fq_base),
      .fq_mask_o   (fq_mask),
      .fqh_o       (fqh),
      .fqt_i       (fqt),
      .fq_on_i     (fq_on),
      .fq_mf_i     (fq_mf),
      .fq_of_i     (fq_of),
      .fq_new_i    (fq_new),
      .wsi_o       (wsi)
  );

  // ddtp to Off waits for both directions, IOFENCE.C for what it names.
  stub_drain u_off (
      .clk_i    (clk_i),
      .rst_ni   (rst_ni),
      .start_i  (off_start),
      .rd_i     (1'b1),
      .wr_i     (1'b1),
      .rd_busy_i(rd_busy),
      .rd_last_i(rd_last),
      .wr_busy_i(wr_busy),
      .wr_last_i(wr_last),
      .busy_o   (off_busy)
  );

  stub_drain u_fence (
      .clk_i    (clk_i),
      .rst_ni   (rst_ni),
      .start_i  (fence_start),
      .rd_i     (fence_pr),
      .wr_i     (fence_pw),
      .rd_busy_i(rd_busy),
      .rd_last_i(rd_last),
      .wr_busy_i(wr_busy),
      .wr_last_i(wr_last),
      .busy_o   (fence_busy)
  );

  logic [15:0] m_awattr, m_arattr;
  assign {m_dev_awregion_o, m_dev_awqos_o, m_dev_awprot_o, m_dev_awcache_o, m_dev_awlock_o} = m_awattr;
  assign {m_dev_arregion_o, m_dev_arqos_o, m_dev_arprot_o, m_dev_arcache_o, m_dev_arlock_o} = m_arattr;
  assign m_dev_awatop_o = '0;
  assign m_dev_awuser_o = '0;
  assign m_dev_aruser_o = '0;

  stub_path #(
      .IdW  (DevIdW),
      .DataW(DevDataW)
  ) u_path (
      .clk_i            (clk_i),
      .rst_ni           (rst_ni),
      .pas_i            (pas),
      .bare_i           (bare),
      .s_awvalid_i       (s_dev_awvalid_i),
      .s_awready_o       (s_dev_awready_o),
      .s_awid_i          (s_dev_awid_i),
      .s_awaddr_i        (s_dev_awaddr_i),
      .s_awlen_i         (s_dev_awlen_i),
      .s_awsize_i        (s_dev_awsize_i),
      .s_awburst_i       (s_dev_awburst_i),
      .s_awattr_i        ({s_dev_awregion_i, s_dev_awqos_i, s_dev_awprot_i, s_dev_awcache_i, s_dev_awlock_i}),
      .s_awatop_i        (s_dev_awatop_i),
      .s_awside_i        ({s_dev_awmmuatst_i, s_dev_awmmussid_i, s_dev_awmmussidv_i, s_dev_awmmusid_i}),
      .s_wvalid_i        (s_dev_wvalid_i),
      .s_wready_o        (s_dev_wready_o),
      .s_wdata_i         (s_dev_wdata_i),
      .s_wstrb_i         (s_dev_wstrb_i),
      .s_bvalid_o        (s_dev_bvalid_o),
      .s_bready_i        (s_dev_bready_i),
      .s_bid_o           (s_dev_bid_o),
      .s_bresp_o         (s_dev_bresp_o),
      .s_arvalid_i       (s_dev_arvalid_i),
      .s_arready_o       (s_dev_arready_o),
      .s_arid_i          (s_dev_arid_i),
      .s_araddr_i        (s_dev_araddr_i),
      .s_arlen_i         (s_dev_arlen_i),
      .s_arsize_i        (s_dev_arsize_i),
      .s_arburst_i       (s_dev_arburst_i),
      .s_arattr_i        ({s_dev_arregion_i, s_dev_arqos_i, s_dev_arprot_i, s_dev_arcache_i, s_dev_arlock_i}),
      .s_arside_i        ({s_dev_armmuatst_i, s_dev_armmussid_i, s_dev_armmussidv_i, s_dev_armmusid_i}),
      .s_rvalid_o        (s_dev_rvalid_o),
      .s_rready_i        (s_dev_rready_i),
      .s_rid_o           (s_dev_rid_o),
      .s_rdata_o         (s_dev_rdata_o),
      .s_rresp_o         (s_dev_rresp_o),
      .s_rlast_o         (s_dev_rlast_o),
      .m_awvalid_o       (m_dev_awvalid_o),
      .m_awready_i       (m_dev_awready_i),
      .m_awid_o          (m_dev_awid_o),
      .m_awaddr_o        (m_dev_awaddr_o),
      .m_awlen_o         (m_dev_awlen_o),
      .m_awsize_o        (m_dev_awsize_o),
      .m_awburst_o       (m_dev_awburst_o),
      .m_awattr_o        (m_awattr),
      .m_wvalid_o        (m_dev_wvalid_o),
      .m_wready_i        (m_dev_wready_i),
      .m_wdata_o         (m_dev_wdata_o),
      .m_wstrb_o         (m_dev_wstrb_o),
      .m_wlast_o         (m_dev_wlast_o),
      .m_bvalid_i        (m_dev_bvalid_i),
      .m_bready_o        (m_dev_bready_o),
      .m_bresp_i         (m_dev_bresp_i),
      .m_arvalid_o       (m_dev_arvalid_o),
      .m_arready_i       (m_dev_arready_i),
      .m_arid_o          (m_dev_arid_o),
      .m_araddr_o        (m_dev_araddr_o),
      .m_arlen_o         (m_dev_arlen_o),
      .m_arsize_o        (m_dev_arsize_o),
      .m_arburst_o       (m_dev_arburst_o),
      .m_arattr_o        (m_arattr),
      .m_rvalid_i        (m_dev_rvalid_i),
      .m_rready_o        (m_dev_rready_o),
      .m_rdata_i         (m_dev_rdata_i),
      .m_rresp_i         (m_dev_rresp_i),
      .m_rlast_i         (m_dev_rlast_i),
      .rd_fault_valid_o  (rd_fault_valid),
      .rd_fault_ready_i  (rd_fault_ready),
      .rd_fault_o        (rd_fault),
      .wr_fault_valid_o  (wr_fault_valid),
      .wr_fault_ready_i  (wr_fault_ready),
      .wr_fault_o        (wr_fault),
      .rd_busy_o         (rd_busy),
      .rd_last_o         (rd_last),
      .wr_busy_o         (wr_busy),
      .wr_last_o         (wr_last)
  );

  // One access of each kind at a time: id 0 reads commands, id 1 writes.
  assign m_mem_awid_o     = MemIdW'(1);
  assign m_mem_awburst_o  = 2'b01;
  assign m_mem_awlock_o   = 1'b0;
  assign m_mem_awcache_o  = 4'b0010;
  assign m_mem_awprot_o   = 3'b000;
  assign m_mem_awqos_o    = '0;
  assign m_mem_awregion_o = '0;
  assign m_mem_awatop_o   = '0;
  assign m_mem_awuser_o   = '0;
  assign m_mem_arid_o     = '0;
  assign m_mem_arlen_o    = 8'd1;
  assign m_mem_arsize_o   = 3'd3;
  assign m_mem_arburst_o  = 2'b01;
  assign m_mem_arlock_o   = 1'b0;
  assign m_mem_arcache_o  = 4'b0010;
  assign m_mem_arprot_o   = 3'b000;
  assign m_mem_arqos_o    = '0;
  assign m_mem_arregion_o = '0;
  assign m_mem_aruser_o   = '0;

  stub_queues u_queues (
      .clk_i           (clk_i),
      .rst_ni          (rst_ni),
      .pas_i           (pas),
      .cq_en_i         (cq_en),
      .cq_clear_i      (cq_clear),
      .cq_stall_i      (cq_stall),
      .cq_base_i       (cq_base),
      .cq_mask_i       (cq_mask),
      .cqt_i           (cqt),
      .cqh_o           (cqh),
      .cq_on_o         (cq_on),
      .cq_mf_o         (cq_mf),
      .cq_ill_o        (cq_ill),
      .cq_wip_o        (cq_wip),
      .fq_en_i         (fq_en),
      .fq_clear_i      (fq_clear),
      .fq_stall_i      (fq_stall),
      .fq_base_i       (fq_base),
      .fq_mask_i       (fq_mask),
      .fqh_i           (fqh),
      .fqt_o           (fqt),
      .fq_on_o         (fq_on),
      .fq_mf_o         (fq_mf),
      .fq_of_o         (fq_of),
      .fq_new_o        (fq_new),
      .rd_fault_valid_i(rd_fault_valid),
      .rd_fault_ready_o(rd_fault_ready),
      .rd_fault_i      (rd_fault),
      .wr_fault_valid_i(wr_fault_valid),
      .wr_fault_ready_o(wr_fault_ready),
      .wr_fault_i      (wr_fault),
      .fence_start_o   (fence_start),
      .fence_pr_o      (fence_pr),
      .fence_pw_o      (fence_pw),
      .fence_busy_i    (fence_busy),
      .awvalid_o       (m_mem_awvalid_o),
      .awready_i       (m_mem_awready_i),
      .awaddr_o        (m_mem_awaddr_o),
      .awlen_o         (m_mem_awlen_o),
      .awsize_o        (m_mem_awsize_o),
      .wvalid_o        (m_mem_wvalid_o),
      .wready_i        (m_mem_wready_i),
      .wdata_o         (m_mem_wdata_o),
      .wstrb_o         (m_mem_wstrb_o),
      .wlast_o         (m_mem_wlast_o),
      .bvalid_i        (m_mem_bvalid_i),
      .bready_o        (m_mem_bready_o),
      .bresp_i         (m_mem_bresp_i),
      .arvalid_o       (m_mem_arvalid_o),
      .arready_i       (m_mem_arready_i),
      .araddr_o        (m_mem_araddr_o),
      .rvalid_i        (m_mem_rvalid_i),
      .rready_o        (m_mem_rready_o),
      .rdata_i         (m_mem_rdata_i),
      .rresp_i         (m_mem_rresp_i),
      .rlast_i         (m_mem_rlast_i),
      .rpoison_i       (m_mem_rpoison_i)
  );

  // No ATS: a translation request is answered with Unsupported Request, what
  // else comes is dropped.
  logic       tc_valid_q;
  logic [9:0] tc_tag_q;

  assign s_ats_tr_ready_o = !tc_valid_q;
  assign s_ats_ic_ready_o = 1'b1;
  assign s_ats_pr_ready_o = 1'b1;
  assign m_ats_tc_valid_o = tc_valid_q;
  assign m_ats_tc_data_o  = {tc_tag_q, 3'd1, 1'b1, 64'd0};  // tag, status, last
  assign m_ats_inv_valid_o  = 1'b0;
  assign m_ats_inv_data_o   = '0;
  assign m_ats_prgr_valid_o = 1'b0;
  assign m_ats_prgr_data_o  = '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      tc_valid_q <= 1'b0;
      tc_tag_q   <= '0;
    end else if (!tc_valid_q) begin
      tc_valid_q <= s_ats_tr_valid_i;
      tc_tag_q   <= s_ats_tr_data_i[130:121];
    end else if (m_ats_tc_ready_i) begin
      tc_valid_q <= 1'b0;
    end
  end

  // With one transaction at a time the ids of responses and WLAST say nothing new.
  logic unused;
  assign unused = ^{ats_timeout_i, s_reg_awprot_i, s_reg_arprot_i, s_dev_wlast_i, m_dev_bid_i, m_dev_rid_i,
                    m_mem_bid_i, m_mem_rid_i, s_ats_tr_data_i[120:0], s_ats_ic_valid_i, s_ats_ic_data_i,
                    s_ats_pr_valid_i, s_ats_pr_data_i, m_ats_inv_ready_i, m_ats_prgr_ready_i};
endmodule

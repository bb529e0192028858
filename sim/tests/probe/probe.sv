// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// No IOMMU: a block with its pins whose behaviour the tests of sim/ command
// through cfg_caps_i (none of the handshakes is used, all outputs but seven are
// tied low).

module probe #(
    parameter int unsigned Step = 1  // what the counter adds each clock
) (
    input  logic          clk_i,
    input  logic          rst_ni,
    input  logic [63:0]   cfg_caps_i,
    input  logic          ats_timeout_i,
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
    output logic [15:0]   wsi_o
);
  typedef enum logic [7:0] {
    CmdNone        = 8'd0,
    CmdAssert      = 8'd1,   // a concurrent assertion fails
    CmdFatal       = 8'd2,   // $fatal
    CmdFinish      = 8'd3,   // $finish
    CmdDisplay     = 8'd4,   // $display
    CmdWarning     = 8'd5,   // $warning
    CmdNote        = 8'd6,   // a note through DPI
    CmdDiverge     = 8'd7,   // a loop without a fixed point
    CmdStop        = 8'd8,   // $stop
    CmdErrors      = 8'd9,   // two $error in one clock, one of two lines
    CmdFinalAssert = 8'd10  // the assertion of the final block fails
  } cmd_e;

  logic [7:0] cmd;
  assign cmd = cfg_caps_i[7:0];

  // s_reg_rdata_o: counts clocks, from zero at reset
  logic [63:0] count_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= count_q + 64'(Step);
  end
  assign s_reg_rdata_o = count_q;

  // m_dev_awaddr_o: never written but by CmdNote, so random from the start
  logic [63:0] left_alone_q;
  always_ff @(posedge clk_i) begin
    if (cmd == CmdNote) left_alone_q <= '0;
  end
  assign m_dev_awaddr_o = left_alone_q;

  // m_dev_araddr_o: a flip-flop of s_reg_araddr_i; m_dev_awid_o: s_reg_araddr_i without one
  logic [11:0] seen_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) seen_q <= '0;
    else seen_q <= s_reg_araddr_i;
  end
  assign m_dev_araddr_o = 64'(seen_q);
  assign m_dev_awid_o   = s_reg_araddr_i[7:0];

  // m_ats_tc_data_o, wsi_o: the low and the high end of a port of several words
  assign m_ats_tc_data_o = s_ats_tr_data_i[77:0];
  assign wsi_o           = s_ats_tr_data_i[130:115];

  // m_dev_arlock_o: flips as long as the command stands
  /* verilator lint_off UNOPTFLAT */
  logic flip;
  assign flip = (cmd == CmdDiverge) ? ~flip : 1'b0;
  /* verilator lint_on UNOPTFLAT */
  assign m_dev_arlock_o = flip;

  logic armed_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) armed_q <= 1'b0;
    else if (cmd == CmdFinalAssert) armed_q <= 1'b1;
  end

  a_not_told: assert property (@(posedge clk_i) disable iff (!rst_ni) cmd != CmdAssert)
  else $error("told to fail at count %0d", count_q);
  c_count: cover property (@(posedge clk_i) count_q == 64'd8);

  initial begin
    a_step: assert (Step != 0) else $error("Step must not be 0");
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (cmd == CmdFatal) $fatal(1, "told to die");
      if (cmd == CmdFinish) $finish;
      if (cmd == CmdDisplay) $display("count is %0d", count_q);
      if (cmd == CmdWarning) $warning("count is still %0d", count_q);
      if (cmd == CmdStop) $stop;
      if (cmd == CmdErrors) begin
        $error("first line\nsecond line");
        $error("another");
      end
`ifdef IOMMU_COSIM_DPI
      if (cmd == CmdNote) begin
        iommu_cosim_dpi::cosim_note(iommu_cosim_dpi::NoteWarning, $sformatf("noted at %0d", count_q));
      end
`endif
    end
  end

  final begin
    a_final: assert (!armed_q) else $error("left armed");
  end

  assign s_reg_awready_o = '0;
  assign s_reg_wready_o = '0;
  assign s_reg_bvalid_o = '0;
  assign s_reg_bresp_o = '0;
  assign s_reg_arready_o = '0;
  assign s_reg_rvalid_o = '0;
  assign s_reg_rresp_o = '0;
  assign s_dev_awready_o = '0;
  assign s_dev_wready_o = '0;
  assign s_dev_bvalid_o = '0;
  assign s_dev_bid_o = '0;
  assign s_dev_bresp_o = '0;
  assign s_dev_arready_o = '0;
  assign s_dev_rvalid_o = '0;
  assign s_dev_rid_o = '0;
  assign s_dev_rdata_o = '0;
  assign s_dev_rresp_o = '0;
  assign s_dev_rlast_o = '0;
  assign m_dev_awvalid_o = '0;
  assign m_dev_awlen_o = '0;
  assign m_dev_awsize_o = '0;
  assign m_dev_awburst_o = '0;
  assign m_dev_awlock_o = '0;
  assign m_dev_awcache_o = '0;
  assign m_dev_awprot_o = '0;
  assign m_dev_awqos_o = '0;
  assign m_dev_awregion_o = '0;
  assign m_dev_awatop_o = '0;
  assign m_dev_awuser_o = '0;
  assign m_dev_wvalid_o = '0;
  assign m_dev_wdata_o = '0;
  assign m_dev_wstrb_o = '0;
  assign m_dev_wlast_o = '0;
  assign m_dev_bready_o = '0;
  assign m_dev_arvalid_o = '0;
  assign m_dev_arid_o = '0;
  assign m_dev_arlen_o = '0;
  assign m_dev_arsize_o = '0;
  assign m_dev_arburst_o = '0;
  assign m_dev_arcache_o = '0;
  assign m_dev_arprot_o = '0;
  assign m_dev_arqos_o = '0;
  assign m_dev_arregion_o = '0;
  assign m_dev_aruser_o = '0;
  assign m_dev_rready_o = '0;
  assign m_mem_awvalid_o = '0;
  assign m_mem_awid_o = '0;
  assign m_mem_awaddr_o = '0;
  assign m_mem_awlen_o = '0;
  assign m_mem_awsize_o = '0;
  assign m_mem_awburst_o = '0;
  assign m_mem_awlock_o = '0;
  assign m_mem_awcache_o = '0;
  assign m_mem_awprot_o = '0;
  assign m_mem_awqos_o = '0;
  assign m_mem_awregion_o = '0;
  assign m_mem_awatop_o = '0;
  assign m_mem_awuser_o = '0;
  assign m_mem_wvalid_o = '0;
  assign m_mem_wdata_o = '0;
  assign m_mem_wstrb_o = '0;
  assign m_mem_wlast_o = '0;
  assign m_mem_bready_o = '0;
  assign m_mem_arvalid_o = '0;
  assign m_mem_arid_o = '0;
  assign m_mem_araddr_o = '0;
  assign m_mem_arlen_o = '0;
  assign m_mem_arsize_o = '0;
  assign m_mem_arburst_o = '0;
  assign m_mem_arlock_o = '0;
  assign m_mem_arcache_o = '0;
  assign m_mem_arprot_o = '0;
  assign m_mem_arqos_o = '0;
  assign m_mem_arregion_o = '0;
  assign m_mem_aruser_o = '0;
  assign m_mem_rready_o = '0;
  assign s_ats_tr_ready_o = '0;
  assign s_ats_ic_ready_o = '0;
  assign s_ats_pr_ready_o = '0;
  assign m_ats_tc_valid_o = '0;
  assign m_ats_inv_valid_o = '0;
  assign m_ats_inv_data_o = '0;
  assign m_ats_prgr_valid_o = '0;
  assign m_ats_prgr_data_o = '0;

  logic unused;
  assign unused = ^{ats_timeout_i, s_reg_awvalid_i, s_reg_awaddr_i, s_reg_awprot_i, s_reg_wvalid_i,
                    s_reg_wdata_i, s_reg_wstrb_i, s_reg_bready_i, s_reg_arvalid_i,
                    s_reg_arprot_i, s_reg_rready_i, s_dev_awvalid_i, s_dev_awid_i,
                    s_dev_awaddr_i, s_dev_awlen_i, s_dev_awsize_i, s_dev_awburst_i,
                    s_dev_awlock_i, s_dev_awcache_i, s_dev_awprot_i, s_dev_awqos_i,
                    s_dev_awregion_i, s_dev_awatop_i, s_dev_awmmusid_i,
                    s_dev_awmmussidv_i, s_dev_awmmussid_i, s_dev_awmmuatst_i,
                    s_dev_wvalid_i, s_dev_wdata_i, s_dev_wstrb_i, s_dev_wlast_i,
                    s_dev_bready_i, s_dev_arvalid_i, s_dev_arid_i, s_dev_araddr_i,
                    s_dev_arlen_i, s_dev_arsize_i, s_dev_arburst_i, s_dev_arlock_i,
                    s_dev_arcache_i, s_dev_arprot_i, s_dev_arqos_i, s_dev_arregion_i,
                    s_dev_armmusid_i, s_dev_armmussidv_i, s_dev_armmussid_i,
                    s_dev_armmuatst_i, s_dev_rready_i, m_dev_awready_i, m_dev_wready_i,
                    m_dev_bvalid_i, m_dev_bid_i, m_dev_bresp_i, m_dev_arready_i,
                    m_dev_rvalid_i, m_dev_rid_i, m_dev_rdata_i, m_dev_rresp_i,
                    m_dev_rlast_i, m_mem_awready_i, m_mem_wready_i, m_mem_bvalid_i,
                    m_mem_bid_i, m_mem_bresp_i, m_mem_arready_i, m_mem_rvalid_i,
                    m_mem_rid_i, m_mem_rdata_i, m_mem_rresp_i, m_mem_rlast_i,
                    m_mem_rpoison_i, s_ats_tr_valid_i, s_ats_ic_valid_i, s_ats_ic_data_i,
                    s_ats_pr_valid_i, s_ats_pr_data_i, m_ats_tc_ready_i,
                    m_ats_inv_ready_i, m_ats_prgr_ready_i};
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// IO bridge: device traffic in at s_dev, translated traffic out at m_dev. For
// each burst it asks the core for one translation (look-aside); granted bursts
// go on with nothing changed but the page, refused ones are answered here with
// SLVERR. Reads and writes are independent but for the request port, which they
// share in turns.
// Handshake: valid/ready; s_dev and m_dev outputs come from flops only.
// tr_req_* depends on s_dev of the same cycle, so that a hit costs two cycles
// (not with TimingCuts: a request waits a cycle, an answer two);
// tr_rsp has no ready, each request sent has its slot waiting.

`include "iommu_macros.svh"

module iommu_io_bridge
  import iommu_pkg::*;
#(
    parameter int unsigned DevIdW     = 8,   // s_dev and m_dev transaction id, bits
    parameter int unsigned DevDataW   = 64,  // s_dev and m_dev data, bits
    parameter int unsigned RdSlots    = 32,  // read bursts in flight, a power of two, 2 to 64
    parameter int unsigned WrSlots    = 32,  // write bursts in flight, a power of two, 8 to 64
    parameter int unsigned WrBufBeats = 64,  // write buffer, beats, a power of two, 2 to 4096
    parameter int unsigned TrQueue    = 2,   // translation requests of a direction that wait for the core, a power of two
    parameter bit          TimingCuts = 1'b0  // registers on the way to and from translation: more cycles, a faster clock
) (
    input  logic                  clk_i,   // clock
    input  logic                  rst_ni,  // asynchronous reset, active low

    // s_dev: AXI4 subordinate, device traffic
    input  logic                  s_dev_awvalid_i,
    output logic                  s_dev_awready_o,
    input  logic [DevIdW-1:0]     s_dev_awid_i,
    input  logic [63:0]           s_dev_awaddr_i,
    input  logic [7:0]            s_dev_awlen_i,
    input  logic [2:0]            s_dev_awsize_i,
    input  logic [1:0]            s_dev_awburst_i,
    input  logic                  s_dev_awlock_i,
    input  logic [3:0]            s_dev_awcache_i,
    input  logic [2:0]            s_dev_awprot_i,
    input  logic [3:0]            s_dev_awqos_i,
    input  logic [3:0]            s_dev_awregion_i,
    input  logic [5:0]            s_dev_awatop_i,
    input  logic [23:0]           s_dev_awmmusid_i,  // device_id
    input  logic                  s_dev_awmmussidv_i,  // process_id is valid
    input  logic [19:0]           s_dev_awmmussid_i,  // process_id
    input  logic                  s_dev_awmmuatst_i,  // already translated
    input  logic                  s_dev_wvalid_i,
    output logic                  s_dev_wready_o,
    input  logic [DevDataW-1:0]   s_dev_wdata_i,
    input  logic [DevDataW/8-1:0] s_dev_wstrb_i,
    input  logic                  s_dev_wlast_i,
    output logic                  s_dev_bvalid_o,
    input  logic                  s_dev_bready_i,
    output logic [DevIdW-1:0]     s_dev_bid_o,
    output logic [1:0]            s_dev_bresp_o,
    input  logic                  s_dev_arvalid_i,
    output logic                  s_dev_arready_o,
    input  logic [DevIdW-1:0]     s_dev_arid_i,
    input  logic [63:0]           s_dev_araddr_i,
    input  logic [7:0]            s_dev_arlen_i,
    input  logic [2:0]            s_dev_arsize_i,
    input  logic [1:0]            s_dev_arburst_i,
    input  logic                  s_dev_arlock_i,
    input  logic [3:0]            s_dev_arcache_i,
    input  logic [2:0]            s_dev_arprot_i,
    input  logic [3:0]            s_dev_arqos_i,
    input  logic [3:0]            s_dev_arregion_i,
    input  logic [23:0]           s_dev_armmusid_i,  // device_id
    input  logic                  s_dev_armmussidv_i,  // process_id is valid
    input  logic [19:0]           s_dev_armmussid_i,  // process_id
    input  logic                  s_dev_armmuatst_i,  // already translated
    output logic                  s_dev_rvalid_o,
    input  logic                  s_dev_rready_i,
    output logic [DevIdW-1:0]     s_dev_rid_o,
    output logic [DevDataW-1:0]   s_dev_rdata_o,
    output logic [1:0]            s_dev_rresp_o,
    output logic                  s_dev_rlast_o,

    // m_dev: AXI4 manager, device traffic translated
    output logic                  m_dev_awvalid_o,
    input  logic                  m_dev_awready_i,
    output logic [DevIdW-1:0]     m_dev_awid_o,
    output logic [63:0]           m_dev_awaddr_o,
    output logic [7:0]            m_dev_awlen_o,
    output logic [2:0]            m_dev_awsize_o,
    output logic [1:0]            m_dev_awburst_o,
    output logic                  m_dev_awlock_o,
    output logic [3:0]            m_dev_awcache_o,
    output logic [2:0]            m_dev_awprot_o,
    output logic [3:0]            m_dev_awqos_o,
    output logic [3:0]            m_dev_awregion_o,
    output logic [5:0]            m_dev_awatop_o,
    output logic [$bits(iommu_pkg::dev_user_t)-1:0] m_dev_awuser_o,  // dev_user_t
    output logic                  m_dev_wvalid_o,
    input  logic                  m_dev_wready_i,
    output logic [DevDataW-1:0]   m_dev_wdata_o,
    output logic [DevDataW/8-1:0] m_dev_wstrb_o,
    output logic                  m_dev_wlast_o,
    input  logic                  m_dev_bvalid_i,
    output logic                  m_dev_bready_o,
    input  logic [DevIdW-1:0]     m_dev_bid_i,
    input  logic [1:0]            m_dev_bresp_i,
    output logic                  m_dev_arvalid_o,
    input  logic                  m_dev_arready_i,
    output logic [DevIdW-1:0]     m_dev_arid_o,
    output logic [63:0]           m_dev_araddr_o,
    output logic [7:0]            m_dev_arlen_o,
    output logic [2:0]            m_dev_arsize_o,
    output logic [1:0]            m_dev_arburst_o,
    output logic                  m_dev_arlock_o,
    output logic [3:0]            m_dev_arcache_o,
    output logic [2:0]            m_dev_arprot_o,
    output logic [3:0]            m_dev_arqos_o,
    output logic [3:0]            m_dev_arregion_o,
    output logic [$bits(iommu_pkg::dev_user_t)-1:0] m_dev_aruser_o,  // dev_user_t
    input  logic                  m_dev_rvalid_i,
    output logic                  m_dev_rready_o,
    input  logic [DevIdW-1:0]     m_dev_rid_i,
    input  logic [DevDataW-1:0]   m_dev_rdata_i,
    input  logic [1:0]            m_dev_rresp_i,
    input  logic                  m_dev_rlast_i,

    // translation request: stays until taken
    output logic                  tr_req_valid_o,
    input  logic                  tr_req_ready_i,
    output tr_req_t               tr_req_o,
    // its answer, in any order, by tag
    input  logic                  tr_rsp_valid_i,
    input  tr_rsp_t               tr_rsp_i,

    // an MSI to be stored in an interrupt file: held until ready, answered in order
    output logic                  mrif_req_valid_o,
    input  logic                  mrif_req_ready_i,
    output mrif_req_t             mrif_req_o,
    input  logic                  mrif_rsp_valid_i,
    input  logic                  mrif_rsp_err_i,

    // fence: a pulse, not while one is under way
    input  logic                  fence_valid_i,  // watch what s_dev has accepted, in this cycle too
    input  logic                  fence_pr_i,     // the reads
    input  logic                  fence_pw_i,     // the writes
    output logic                  fence_done_o    // level, from the cycle after: all have had their last R or B from m_dev or are refused
);
  logic    rd_req_valid, rd_req_ready, wr_req_valid, wr_req_ready;
  tr_req_t rd_req, wr_req;
  logic    rd_fence_done, wr_fence_done;

  // Read data owed to refused atomics
  logic              atomic_valid, atomic_ready;
  logic [DevIdW-1:0] atomic_id;
  logic [7:0]        atomic_len;

  // ---------------------------------------------------------------- request port, in turns
  logic hold_q;  // a request is out and not yet taken
  logic turn_q;  // writes go first
  logic pick_wr;

  if (TimingCuts) begin : g_pick_cut
    iommu_choose #(
        .N  (2),
        .Cut(1'b1)
    ) u_choose (
        .clk_i, .rst_ni,
        .req_i  ({wr_req_valid, rd_req_valid}),
        .start_i(turn_q),
        .take_i (tr_req_ready_i),
        .valid_o(tr_req_valid_o),
        .idx_o  (pick_wr)
    );
  end else begin : g_pick
    logic pick_q;  // what is held
    always_comb begin
      if (hold_q) pick_wr = pick_q;
      else pick_wr = wr_req_valid && (turn_q || !rd_req_valid);
    end
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) pick_q <= 1'b0;
      else pick_q <= pick_wr;
    end
    assign tr_req_valid_o = pick_wr ? wr_req_valid : rd_req_valid;
  end

  assign tr_req_o       = pick_wr ? wr_req : rd_req;
  assign rd_req_ready   = tr_req_ready_i && !pick_wr && (tr_req_valid_o || !TimingCuts);
  assign wr_req_ready   = tr_req_ready_i && pick_wr && (tr_req_valid_o || !TimingCuts);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      hold_q <= 1'b0;
      turn_q <= 1'b0;
    end else begin
      hold_q <= tr_req_valid_o && !tr_req_ready_i;
      if (tr_req_valid_o && tr_req_ready_i) turn_q <= !pick_wr;
    end
  end

  // With TimingCuts a cycle late, but not of the fence before.
  iommu_pulse #(.Cut(TimingCuts)) u_cut_fence (
      .clk_i, .rst_ni, .d_i(rd_fence_done && wr_fence_done && !(TimingCuts && fence_valid_i)), .q_o(fence_done_o)
  );

  iommu_bridge_read #(
      .IdW     (DevIdW),
      .DataW   (DevDataW),
      .Slots   (RdSlots),
      .TrQueue (TrQueue),
      .TimingCuts(TimingCuts)
  ) u_read (
      .clk_i               (clk_i),
      .rst_ni              (rst_ni),
      .s_dev_arvalid_i     (s_dev_arvalid_i),
      .s_dev_arready_o     (s_dev_arready_o),
      .s_dev_arid_i        (s_dev_arid_i),
      .s_dev_araddr_i      (s_dev_araddr_i),
      .s_dev_arlen_i       (s_dev_arlen_i),
      .s_dev_arsize_i      (s_dev_arsize_i),
      .s_dev_arburst_i     (s_dev_arburst_i),
      .s_dev_arlock_i      (s_dev_arlock_i),
      .s_dev_arcache_i     (s_dev_arcache_i),
      .s_dev_arprot_i      (s_dev_arprot_i),
      .s_dev_arqos_i       (s_dev_arqos_i),
      .s_dev_arregion_i    (s_dev_arregion_i),
      .s_dev_armmusid_i    (s_dev_armmusid_i),
      .s_dev_armmussidv_i  (s_dev_armmussidv_i),
      .s_dev_armmussid_i   (s_dev_armmussid_i),
      .s_dev_armmuatst_i   (s_dev_armmuatst_i),
      .s_dev_rvalid_o      (s_dev_rvalid_o),
      .s_dev_rready_i      (s_dev_rready_i),
      .s_dev_rid_o         (s_dev_rid_o),
      .s_dev_rdata_o       (s_dev_rdata_o),
      .s_dev_rresp_o       (s_dev_rresp_o),
      .s_dev_rlast_o       (s_dev_rlast_o),
      .m_dev_arvalid_o     (m_dev_arvalid_o),
      .m_dev_arready_i     (m_dev_arready_i),
      .m_dev_arid_o        (m_dev_arid_o),
      .m_dev_araddr_o      (m_dev_araddr_o),
      .m_dev_arlen_o       (m_dev_arlen_o),
      .m_dev_arsize_o      (m_dev_arsize_o),
      .m_dev_arburst_o     (m_dev_arburst_o),
      .m_dev_arlock_o      (m_dev_arlock_o),
      .m_dev_arcache_o     (m_dev_arcache_o),
      .m_dev_arprot_o      (m_dev_arprot_o),
      .m_dev_arqos_o       (m_dev_arqos_o),
      .m_dev_arregion_o    (m_dev_arregion_o),
      .m_dev_aruser_o      (m_dev_aruser_o),
      .m_dev_rvalid_i      (m_dev_rvalid_i),
      .m_dev_rready_o      (m_dev_rready_o),
      .m_dev_rid_i         (m_dev_rid_i),
      .m_dev_rdata_i       (m_dev_rdata_i),
      .m_dev_rresp_i       (m_dev_rresp_i),
      .m_dev_rlast_i       (m_dev_rlast_i),
      .tr_req_valid_o      (rd_req_valid),
      .tr_req_ready_i      (rd_req_ready),
      .tr_req_o            (rd_req),
      .tr_rsp_valid_i      (tr_rsp_valid_i && !tr_rsp_i.tag[TrTagW-1]),
      .tr_rsp_i            (tr_rsp_i),
      .atomic_valid_i      (atomic_valid),
      .atomic_ready_o      (atomic_ready),
      .atomic_id_i         (atomic_id),
      .atomic_len_i        (atomic_len),
      .fence_i             (fence_valid_i && fence_pr_i),
      .fence_done_o        (rd_fence_done)
  );

  iommu_bridge_write #(
      .IdW     (DevIdW),
      .DataW   (DevDataW),
      .Slots   (WrSlots),
      .BufBeats(WrBufBeats),
      .TrQueue (TrQueue),
      .TimingCuts(TimingCuts)
  ) u_write (
      .clk_i               (clk_i),
      .rst_ni              (rst_ni),
      .s_dev_awvalid_i     (s_dev_awvalid_i),
      .s_dev_awready_o     (s_dev_awready_o),
      .s_dev_awid_i        (s_dev_awid_i),
      .s_dev_awaddr_i      (s_dev_awaddr_i),
      .s_dev_awlen_i       (s_dev_awlen_i),
      .s_dev_awsize_i      (s_dev_awsize_i),
      .s_dev_awburst_i     (s_dev_awburst_i),
      .s_dev_awlock_i      (s_dev_awlock_i),
      .s_dev_awcache_i     (s_dev_awcache_i),
      .s_dev_awprot_i      (s_dev_awprot_i),
      .s_dev_awqos_i       (s_dev_awqos_i),
      .s_dev_awregion_i    (s_dev_awregion_i),
      .s_dev_awatop_i      (s_dev_awatop_i),
      .s_dev_awmmusid_i    (s_dev_awmmusid_i),
      .s_dev_awmmussidv_i  (s_dev_awmmussidv_i),
      .s_dev_awmmussid_i   (s_dev_awmmussid_i),
      .s_dev_awmmuatst_i   (s_dev_awmmuatst_i),
      .s_dev_wvalid_i      (s_dev_wvalid_i),
      .s_dev_wready_o      (s_dev_wready_o),
      .s_dev_wdata_i       (s_dev_wdata_i),
      .s_dev_wstrb_i       (s_dev_wstrb_i),
      .s_dev_wlast_i       (s_dev_wlast_i),
      .s_dev_bvalid_o      (s_dev_bvalid_o),
      .s_dev_bready_i      (s_dev_bready_i),
      .s_dev_bid_o         (s_dev_bid_o),
      .s_dev_bresp_o       (s_dev_bresp_o),
      .m_dev_awvalid_o     (m_dev_awvalid_o),
      .m_dev_awready_i     (m_dev_awready_i),
      .m_dev_awid_o        (m_dev_awid_o),
      .m_dev_awaddr_o      (m_dev_awaddr_o),
      .m_dev_awlen_o       (m_dev_awlen_o),
      .m_dev_awsize_o      (m_dev_awsize_o),
      .m_dev_awburst_o     (m_dev_awburst_o),
      .m_dev_awlock_o      (m_dev_awlock_o),
      .m_dev_awcache_o     (m_dev_awcache_o),
      .m_dev_awprot_o      (m_dev_awprot_o),
      .m_dev_awqos_o       (m_dev_awqos_o),
      .m_dev_awregion_o    (m_dev_awregion_o),
      .m_dev_awatop_o      (m_dev_awatop_o),
      .m_dev_awuser_o      (m_dev_awuser_o),
      .m_dev_wvalid_o      (m_dev_wvalid_o),
      .m_dev_wready_i      (m_dev_wready_i),
      .m_dev_wdata_o       (m_dev_wdata_o),
      .m_dev_wstrb_o       (m_dev_wstrb_o),
      .m_dev_wlast_o       (m_dev_wlast_o),
      .m_dev_bvalid_i      (m_dev_bvalid_i),
      .m_dev_bready_o      (m_dev_bready_o),
      .m_dev_bid_i         (m_dev_bid_i),
      .m_dev_bresp_i       (m_dev_bresp_i),
      .tr_req_valid_o      (wr_req_valid),
      .tr_req_ready_i      (wr_req_ready),
      .tr_req_o            (wr_req),
      .tr_rsp_valid_i      (tr_rsp_valid_i && tr_rsp_i.tag[TrTagW-1]),
      .tr_rsp_i            (tr_rsp_i),
      .atomic_valid_o      (atomic_valid),
      .atomic_ready_i      (atomic_ready),
      .atomic_id_o         (atomic_id),
      .atomic_len_o        (atomic_len),
      .mrif_req_valid_o    (mrif_req_valid_o),
      .mrif_req_ready_i    (mrif_req_ready_i),
      .mrif_req_o          (mrif_req_o),
      .mrif_rsp_valid_i    (mrif_rsp_valid_i),
      .mrif_rsp_err_i      (mrif_rsp_err_i),
      .fence_i             (fence_valid_i && fence_pw_i),
      .fence_done_o        (wr_fence_done)
  );

  `IOMMU_ASSERT(RequestHeld, !hold_q || tr_req_valid_o)
  `IOMMU_ASSERT(FenceNotBusy, !fence_valid_i || fence_done_o)
endmodule

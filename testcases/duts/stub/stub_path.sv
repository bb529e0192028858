// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Data path of the stub IOMMU: one read and one write at a time. Addresses are
// stored and shown at m_dev in the next cycle; R, W and B pass through without a
// flop. A refused burst is answered here; what is to be recorded waits in one
// place a direction.

module stub_path #(
    parameter int unsigned IdW   = 8,
    parameter int unsigned DataW = 64
) (
    input  logic               clk_i,
    input  logic               rst_ni,
    input  logic [5:0]         pas_i,
    input  logic               bare_i,      // Bare, else Off
    // s_dev
    input  logic               s_awvalid_i,
    output logic               s_awready_o,
    input  logic [IdW-1:0]     s_awid_i,
    input  logic [63:0]        s_awaddr_i,
    input  logic [7:0]         s_awlen_i,
    input  logic [2:0]         s_awsize_i,
    input  logic [1:0]         s_awburst_i,
    input  logic [15:0]        s_awattr_i,  // region, qos, prot, cache, lock, carried only
    input  logic [5:0]         s_awatop_i,
    input  logic [45:0]        s_awside_i,  // {translated, process_id, valid, device_id}
    input  logic               s_wvalid_i,
    output logic               s_wready_o,
    input  logic [DataW-1:0]   s_wdata_i,
    input  logic [DataW/8-1:0] s_wstrb_i,
    output logic               s_bvalid_o,
    input  logic               s_bready_i,
    output logic [IdW-1:0]     s_bid_o,
    output logic [1:0]         s_bresp_o,
    input  logic               s_arvalid_i,
    output logic               s_arready_o,
    input  logic [IdW-1:0]     s_arid_i,
    input  logic [63:0]        s_araddr_i,
    input  logic [7:0]         s_arlen_i,
    input  logic [2:0]         s_arsize_i,
    input  logic [1:0]         s_arburst_i,
    input  logic [15:0]        s_arattr_i,
    input  logic [45:0]        s_arside_i,
    output logic               s_rvalid_o,
    input  logic               s_rready_i,
    output logic [IdW-1:0]     s_rid_o,
    output logic [DataW-1:0]   s_rdata_o,
    output logic [1:0]         s_rresp_o,
    output logic               s_rlast_o,
    // m_dev
    output logic               m_awvalid_o,
    input  logic               m_awready_i,
    output logic [IdW-1:0]     m_awid_o,
    output logic [63:0]        m_awaddr_o,
    output logic [7:0]         m_awlen_o,
    output logic [2:0]         m_awsize_o,
    output logic [1:0]         m_awburst_o,
    output logic [15:0]        m_awattr_o,
    output logic               m_wvalid_o,
    input  logic               m_wready_i,
    output logic [DataW-1:0]   m_wdata_o,
    output logic [DataW/8-1:0] m_wstrb_o,
    output logic               m_wlast_o,
    input  logic               m_bvalid_i,
    output logic               m_bready_o,
    input  logic [1:0]         m_bresp_i,
    output logic               m_arvalid_o,
    input  logic               m_arready_i,
    output logic [IdW-1:0]     m_arid_o,
    output logic [63:0]        m_araddr_o,
    output logic [7:0]         m_arlen_o,
    output logic [2:0]         m_arsize_o,
    output logic [1:0]         m_arburst_o,
    output logic [15:0]        m_arattr_o,
    input  logic               m_rvalid_i,
    output logic               m_rready_o,
    input  logic [DataW-1:0]   m_rdata_i,
    input  logic [1:0]         m_rresp_i,
    input  logic               m_rlast_i,
    // faults: held valid until ready
    output logic               rd_fault_valid_o,
    input  logic               rd_fault_ready_i,
    output logic [127:0]       rd_fault_o,  // {iotval, first doubleword of the record}
    output logic               wr_fault_valid_o,
    input  logic               wr_fault_ready_i,
    output logic [127:0]       wr_fault_o,
    // for fences
    output logic               rd_busy_o,
    output logic               rd_last_o,
    output logic               wr_busy_o,
    output logic               wr_last_o
);
  localparam logic [1:0] SlvErr = 2'b10;

  // ---------------------------------------------------------------- rules
  // AXI shape of a burst that stays in its 4 KiB.
  function automatic logic shape_ok(logic [11:0] addr, logic [7:0] len, logic [2:0] size, logic [1:0] burst);
    logic [12:0] first_beat, last_beat;
    logic [11:0] span;
    logic fits;
    fits       = (8 << size) <= DataW;
    span       = 12'd1 << size;
    first_beat = {1'b0, addr >> size};
    last_beat  = first_beat + {5'd0, len};
    unique case (burst)
      2'b00:   return fits && len[7:4] == 4'd0;
      2'b01:   return fits && (32'(last_beat) << size) < 32'd4096;
      2'b10:   return fits && (len == 8'd1 || len == 8'd3 || len == 8'd7 || len == 8'd15) &&
                      (addr & (span - 12'd1)) == 12'd0;
      default: return 1'b0;
    endcase
  endfunction

  // Cause of the fault, 0 if there is none.
  function automatic logic [11:0] cause_of(logic bare, logic translated, logic too_high, logic exec, logic write);
    if (!bare) return 12'd256;
    if (translated) return 12'd260;
    if (too_high) return exec ? 12'd1 : write ? 12'd7 : 12'd5;
    return 12'd0;
  endfunction

  function automatic logic [127:0] record(logic [11:0] cause, logic [45:0] side, logic priv, logic exec,
                                          logic write, logic [63:0] iova);
    logic [5:0] ttyp;
    logic       pv;
    pv   = side[24];
    ttyp = {3'd0, side[45], write ? 2'd3 : exec ? 2'd1 : 2'd2};
    return {iova, side[23:0], ttyp, pv && priv, pv, pv ? side[44:25] : 20'd0, cause};
  endfunction

  // ---------------------------------------------------------------- read
  typedef enum logic [1:0] {RIdle, RAddr, RData, RError} rstate_e;
  rstate_e           rstate_q;
  logic [IdW-1:0]    rid_q;
  logic [63:0]       raddr_q;
  logic [7:0]        rlen_q;
  logic [2:0]        rsize_q;
  logic [1:0]        rburst_q;
  logic [15:0]       rattr_q;
  logic              rtake, rok, rexec;
  logic [11:0]       rcause;
  // A refused atomic is owed read data; it is sent from here.
  logic              atomic_q, atomic_take;
  logic [7:0]        atomic_len_q;
  logic [IdW-1:0]    wid_q;

  assign atomic_take = atomic_q && rstate_q == RIdle;
  assign s_arready_o = s_arvalid_i && rstate_q == RIdle && !rd_fault_valid_o && !atomic_q;
  assign rtake  = s_arready_o;
  assign rexec  = s_arattr_i[7];
  assign rok    = shape_ok(s_araddr_i[11:0], s_arlen_i, s_arsize_i, s_arburst_i);
  assign rcause = cause_of(bare_i, s_arside_i[45], (s_araddr_i >> pas_i) != 64'd0, rexec, 1'b0);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rstate_q         <= RIdle;
      rd_fault_valid_o <= 1'b0;
      rd_fault_o       <= '0;
      rid_q            <= '0;
      raddr_q          <= '0;
      rlen_q           <= '0;
      rsize_q          <= '0;
      rburst_q         <= '0;
      rattr_q          <= '0;
    end else begin
      if (rd_fault_ready_i) rd_fault_valid_o <= 1'b0;
      unique case (rstate_q)
        RIdle: begin
          if (atomic_q) begin
            rid_q    <= wid_q;
            rlen_q   <= atomic_len_q;
            rstate_q <= RError;
          end else if (rtake) begin
            rid_q    <= s_arid_i;
            raddr_q  <= s_araddr_i;
            rlen_q   <= s_arlen_i;
            rsize_q  <= s_arsize_i;
            rburst_q <= s_arburst_i;
            rattr_q  <= s_arattr_i;
            rstate_q <= (rok && rcause == 12'd0) ? RAddr : RError;
            rd_fault_valid_o <= rok && rcause != 12'd0;
            rd_fault_o <= record(rcause, s_arside_i, s_arattr_i[5], rexec, 1'b0, s_araddr_i);
          end
        end
        RAddr: if (m_arready_i) rstate_q <= RData;
        RData: if (rd_last_o) rstate_q <= RIdle;
        default: begin
          if (s_rready_i) begin
            rlen_q <= rlen_q - 8'd1;
            if (rlen_q == 8'd0) rstate_q <= RIdle;
          end
        end
      endcase
    end
  end

  assign m_arvalid_o = rstate_q == RAddr;
  assign m_arid_o    = rid_q;
  assign m_araddr_o  = raddr_q;
  assign m_arlen_o   = rlen_q;
  assign m_arsize_o  = rsize_q;
  assign m_arburst_o = rburst_q;
  assign m_arattr_o  = rattr_q;
  assign m_rready_o  = rstate_q == RData && s_rready_i;
  assign s_rvalid_o  = (rstate_q == RData && m_rvalid_i) || rstate_q == RError;
  assign s_rid_o     = rid_q;
  assign s_rdata_o   = (rstate_q == RData) ? m_rdata_i : '0;
  assign s_rresp_o   = (rstate_q == RData) ? m_rresp_i : SlvErr;
  assign s_rlast_o   = (rstate_q == RData) ? m_rlast_i : rlen_q == 8'd0;
  assign rd_busy_o   = rstate_q == RAddr || rstate_q == RData;
  assign rd_last_o   = rstate_q == RData && m_rvalid_i && s_rready_i && m_rlast_i;

  // ---------------------------------------------------------------- write
  typedef enum logic [2:0] {WIdle, WForward, WAnswer, WDrain, WError} wstate_e;
  wstate_e     wstate_q;
  logic [63:0] waddr_q;
  logic [7:0]  wlen_q, wbeat_q;
  logic [2:0]  wsize_q;
  logic [1:0]  wburst_q;
  logic [15:0] wattr_q;
  logic        aw_done_q, w_done_q, wtake, wok, wbeat, wlast;
  logic [11:0] wcause;
  logic        wbare;

`ifdef STUB_BUG_STALE_MODE
  // The bug of `stub-bug`: the write half has its own copy of the mode, which
  // follows only when a write passes. The first write after a change still sees
  // the mode of before: after Bare to Off it is let through.
  logic wbare_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) wbare_q <= 1'b0;
    else if (wtake) wbare_q <= bare_i;
  end
  assign wbare = wbare_q;
`else
  assign wbare = bare_i;
`endif

  assign s_awready_o = s_awvalid_i && wstate_q == WIdle && !wr_fault_valid_o && !atomic_q;
  assign wtake  = s_awready_o;
  assign wok    = shape_ok(s_awaddr_i[11:0], s_awlen_i, s_awsize_i, s_awburst_i) && s_awatop_i == 6'd0;
  assign wcause = cause_of(wbare, s_awside_i[45], (s_awaddr_i >> pas_i) != 64'd0, 1'b0, 1'b1);
  assign wbeat  = s_wvalid_i && s_wready_o;
  assign wlast  = wbeat_q == wlen_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wstate_q         <= WIdle;
      wr_fault_valid_o <= 1'b0;
      wr_fault_o       <= '0;
      atomic_q         <= 1'b0;
      atomic_len_q     <= '0;
      wid_q            <= '0;
      waddr_q          <= '0;
      wlen_q           <= '0;
      wbeat_q          <= '0;
      wsize_q          <= '0;
      wburst_q         <= '0;
      wattr_q          <= '0;
      aw_done_q        <= 1'b0;
      w_done_q         <= 1'b0;
    end else begin
      if (wr_fault_ready_i) wr_fault_valid_o <= 1'b0;
      if (atomic_take) atomic_q <= 1'b0;
      if (wbeat) wbeat_q <= wbeat_q + 8'd1;
      unique case (wstate_q)
        WIdle: begin
          aw_done_q <= 1'b0;
          w_done_q  <= 1'b0;
          wbeat_q   <= '0;
          if (wtake) begin
            wid_q    <= s_awid_i;
            waddr_q  <= s_awaddr_i;
            wlen_q   <= s_awlen_i;
            wsize_q  <= s_awsize_i;
            wburst_q <= s_awburst_i;
            wattr_q  <= s_awattr_i;
            wstate_q <= (wok && wcause == 12'd0) ? WForward : WDrain;
            wr_fault_valid_o <= wok && wcause != 12'd0;
            wr_fault_o <= record(wcause, s_awside_i, s_awattr_i[5], 1'b0, 1'b1, s_awaddr_i);
            atomic_q <= s_awatop_i[5];
            // AtomicCompare gets back half of what it sends.
            atomic_len_q <= (s_awatop_i == 6'b110001) ? s_awlen_i >> 1 : s_awlen_i;
          end
        end
        WForward: begin
          if (m_awready_i) aw_done_q <= 1'b1;
          if (wbeat && wlast) w_done_q <= 1'b1;
          if ((aw_done_q || m_awready_i) && (w_done_q || (wbeat && wlast))) wstate_q <= WAnswer;
        end
        WAnswer: if (wr_last_o) wstate_q <= WIdle;
        WDrain:  if (wbeat && wlast) wstate_q <= WError;
        default: if (s_bready_i) wstate_q <= WIdle;
      endcase
    end
  end

  assign m_awvalid_o = wstate_q == WForward && !aw_done_q;
  assign m_awid_o    = wid_q;
  assign m_awaddr_o  = waddr_q;
  assign m_awlen_o   = wlen_q;
  assign m_awsize_o  = wsize_q;
  assign m_awburst_o = wburst_q;
  assign m_awattr_o  = wattr_q;
  assign m_wvalid_o  = wstate_q == WForward && !w_done_q && s_wvalid_i;
  assign m_wdata_o   = s_wdata_i;
  assign m_wstrb_o   = s_wstrb_i;
  assign m_wlast_o   = wlast;
  assign s_wready_o  = (wstate_q == WForward && !w_done_q && m_wready_i) || wstate_q == WDrain;
  assign m_bready_o  = wstate_q == WAnswer && s_bready_i;
  assign s_bvalid_o  = (wstate_q == WAnswer && m_bvalid_i) || wstate_q == WError;
  assign s_bid_o     = wid_q;
  assign s_bresp_o   = (wstate_q == WAnswer) ? m_bresp_i : SlvErr;
  assign wr_busy_o   = wstate_q == WForward || wstate_q == WAnswer;
  assign wr_last_o   = wstate_q == WAnswer && m_bvalid_i && s_bready_i;
endmodule

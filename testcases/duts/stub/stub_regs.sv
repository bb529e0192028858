// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Register page of the stub IOMMU. A write is taken when AW and W are both
// there, in one cycle; a read is answered in the next cycle. The readies depend
// on the valids of the same cycle.

module stub_regs #(
    parameter int unsigned Pas    = 40,  // physical address size, bits
    parameter int unsigned NumVec = 4    // interrupt vectors, a power of two up to 16
) (
    input  logic        clk_i,
    input  logic        rst_ni,
    input  logic [63:0] cfg_caps_i,
    // AXI4-Lite
    input  logic        awvalid_i,
    output logic        awready_o,
    input  logic [11:0] awaddr_i,
    input  logic        wvalid_i,
    output logic        wready_o,
    input  logic [63:0] wdata_i,
    input  logic [7:0]  wstrb_i,
    output logic        bvalid_o,
    input  logic        bready_i,
    output logic [1:0]  bresp_o,
    input  logic        arvalid_i,
    output logic        arready_o,
    input  logic [11:0] araddr_i,
    output logic        rvalid_o,
    input  logic        rready_i,
    output logic [63:0] rdata_o,
    output logic [1:0]  rresp_o,
    // what the registers say
    output logic [5:0]  pas_o,            // effective physical address size
    output logic        bare_o,           // ddtp.iommu_mode is Bare, else it is Off
    output logic        off_start_o,      // pulse: ddtp has gone to Off
    input  logic        off_busy_i,       // traffic of before is on its way
    output logic        cq_en_o,
    output logic        cq_clear_o,       // pulse: cqen rises
    output logic        cq_stall_o,       // an error bit is set
    output logic [55:0] cq_base_o,
    output logic [31:0] cq_mask_o,        // of an index
    output logic [31:0] cqt_o,
    input  logic [31:0] cqh_i,
    input  logic        cq_on_i,
    input  logic        cq_mf_i,          // pulse: memory fault
    input  logic        cq_ill_i,         // pulse: illegal command
    input  logic        cq_wip_i,         // pulse: fence asks for an interrupt
    output logic        fq_en_o,
    output logic        fq_clear_o,       // pulse: fqen rises
    output logic        fq_stall_o,       // an error bit is set
    output logic [55:0] fq_base_o,
    output logic [31:0] fq_mask_o,
    output logic [31:0] fqh_o,
    input  logic [31:0] fqt_i,
    input  logic        fq_on_i,
    input  logic        fq_mf_i,          // pulse: memory fault
    input  logic        fq_of_i,          // pulse: overflow
    input  logic        fq_new_i,         // pulse: new record
    output logic [NumVec-1:0] wsi_o
);
  localparam int unsigned VecW = $clog2(NumVec);

  // ---------------------------------------------------------------- registers
  logic        bare_q;
  logic [43:0] ddt_ppn_q, cq_ppn_q, fq_ppn_q;
  logic [4:0]  cq_sz_q, fq_sz_q;
  logic [31:0] cqt_q, fqh_q;
  logic        cqen_q, cie_q, cqmf_q, cmd_ill_q, wip_q;
  logic        fqen_q, fie_q, fqmf_q, fqof_q;
  logic        cip_q, fip_q;
  logic [VecW-1:0] civ_q, fiv_q, pmiv_q, piv_q;

  logic cq_busy, fq_busy;
  assign cq_busy = cqen_q != cq_on_i;
  assign fq_busy = fqen_q != fq_on_i;

  function automatic logic [31:0] mask_of(logic [4:0] log2sz_1);
    return ~(32'hffff_fffe << log2sz_1);
  endfunction

  // ---------------------------------------------------------------- capabilities
  // Version 1.0, wires only, nothing to translate with. The mask takes away
  // what it can; version and wires stay.
  logic [5:0] pas;
  assign pas = (cfg_caps_i[37:32] < 6'(Pas)) ? cfg_caps_i[37:32] : 6'(Pas);

  logic unused;
  assign unused = ^{cfg_caps_i[63:38], cfg_caps_i[31:0], araddr_i[2]};

  // ---------------------------------------------------------------- write
  logic        go, pair, ok, lo, hi;
  logic [8:0]  word;

  assign awready_o = awvalid_i && wvalid_i && !bvalid_o;
  assign wready_o  = awready_o;
  assign go        = awready_o && awvalid_i;
  assign word      = awaddr_i[11:3];

  // Two 4-byte registers in a word: no 8-byte access to it.
  always_comb begin
    unique case (word)
      9'd1, 9'd4, 9'd6, 9'd8, 9'd9, 9'd10, 9'd11, 9'd78: pair = 1'b1;
      default: pair = awaddr_i[11:8] == 4'd3 && awaddr_i[3];  // msi_cfg_tbl: data, control
    endcase
  end

  always_comb begin
    unique case (wstrb_i)
      8'h0f:   ok = awaddr_i[2:0] == 3'd0;
      8'hf0:   ok = awaddr_i[1:0] == 2'd0;
      8'hff:   ok = awaddr_i[2:0] == 3'd0 && !pair;
      default: ok = 1'b0;
    endcase
  end
  assign lo = go && ok && wstrb_i[0];
  assign hi = go && ok && wstrb_i[7];

  logic wr_cqcsr, wr_fqcsr, wr_mode;
  logic [1:0] ip_clear;
  assign wr_cqcsr   = lo && word == 9'd9 && !cq_busy;
  assign wr_fqcsr   = hi && word == 9'd9 && !fq_busy;
  assign wr_mode    = lo && word == 9'd2 && !off_busy_i && wdata_i[3:1] == 3'd0;
  assign ip_clear   = (hi && word == 9'd10) ? wdata_i[33:32] : 2'b00;
  assign cq_clear_o = wr_cqcsr && wdata_i[0] && !cqen_q;
  assign fq_clear_o = wr_fqcsr && wdata_i[32] && !fqen_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bvalid_o    <= 1'b0;
      bresp_o     <= 2'b00;
      bare_q      <= 1'b0;
      off_start_o <= 1'b0;
      ddt_ppn_q   <= '0;
      cq_ppn_q    <= '0;
      fq_ppn_q    <= '0;
      cq_sz_q     <= '0;
      fq_sz_q     <= '0;
      cqt_q       <= '0;
      fqh_q       <= '0;
      cqen_q      <= 1'b0;
      cie_q       <= 1'b0;
      cqmf_q      <= 1'b0;
      cmd_ill_q   <= 1'b0;
      wip_q       <= 1'b0;
      fqen_q      <= 1'b0;
      fie_q       <= 1'b0;
      fqmf_q      <= 1'b0;
      fqof_q      <= 1'b0;
      cip_q       <= 1'b0;
      fip_q       <= 1'b0;
      civ_q       <= '0;
      fiv_q       <= '0;
      pmiv_q      <= '0;
      piv_q       <= '0;
    end else begin
      if (go) begin
        bvalid_o <= 1'b1;
        bresp_o  <= ok ? 2'b00 : 2'b10;
      end else if (bready_i) begin
        bvalid_o <= 1'b0;
      end

      // A mode that is not there leaves the mode as it is.
      off_start_o <= wr_mode && !wdata_i[0];
      if (wr_mode) bare_q <= wdata_i[0];
      if (word == 9'd2 && !off_busy_i) begin
        if (lo) ddt_ppn_q[21:0] <= wdata_i[31:10];
        if (hi) ddt_ppn_q[43:22] <= wdata_i[53:32];
      end
      if (word == 9'd3) begin
        if (lo) begin
          cq_ppn_q[21:0] <= wdata_i[31:10];
          cq_sz_q        <= wdata_i[4:0];
          cqt_q          <= cqt_q & mask_of(wdata_i[4:0]);
        end
        if (hi) cq_ppn_q[43:22] <= wdata_i[53:32];
      end
      if (word == 9'd5) begin
        if (lo) begin
          fq_ppn_q[21:0] <= wdata_i[31:10];
          fq_sz_q        <= wdata_i[4:0];
          fqh_q          <= fqh_q & mask_of(wdata_i[4:0]);
        end
        if (hi) fq_ppn_q[43:22] <= wdata_i[53:32];
      end
      if (hi && word == 9'd4) cqt_q <= wdata_i[63:32] & mask_of(cq_sz_q);
      if (lo && word == 9'd6) fqh_q <= wdata_i[31:0] & mask_of(fq_sz_q);
      if (lo && word == 9'd95) begin
        civ_q  <= wdata_i[0+:VecW];
        fiv_q  <= wdata_i[4+:VecW];
        pmiv_q <= wdata_i[8+:VecW];
        piv_q  <= wdata_i[12+:VecW];
      end

      if (wr_cqcsr) begin
        cqen_q <= wdata_i[0];
        cie_q  <= wdata_i[1];
        if (wdata_i[8] || cq_clear_o) cqmf_q <= 1'b0;
        if (wdata_i[10] || cq_clear_o) cmd_ill_q <= 1'b0;
        if (wdata_i[11] || cq_clear_o) wip_q <= 1'b0;
      end
      if (cq_mf_i) cqmf_q <= 1'b1;
      if (cq_ill_i) cmd_ill_q <= 1'b1;
      if (cq_wip_i) wip_q <= 1'b1;

      if (wr_fqcsr) begin
        fqen_q <= wdata_i[32];
        fie_q  <= wdata_i[33];
        if (wdata_i[40] || fq_clear_o) fqmf_q <= 1'b0;
        if (wdata_i[41] || fq_clear_o) fqof_q <= 1'b0;
      end
      if (fq_mf_i) fqmf_q <= 1'b1;
      if (fq_of_i) fqof_q <= 1'b1;

      // A pending bit falls when software says so, and rises again in the next
      // cycle if its cause stands. A new record is an event: it is not lost.
      if (ip_clear[0]) cip_q <= 1'b0;
      else if (cie_q && (cqmf_q || cmd_ill_q || wip_q)) cip_q <= 1'b1;
      if (fq_new_i && fie_q) fip_q <= 1'b1;
      else if (ip_clear[1]) fip_q <= 1'b0;
      else if (fie_q && (fqmf_q || fqof_q)) fip_q <= 1'b1;
    end
  end

  // ---------------------------------------------------------------- read
  logic [63:0] value;

  assign arready_o = arvalid_i && (!rvalid_o || rready_i);

  always_comb begin
    value = 64'd0;
    unique case (araddr_i[11:3])
      9'd0: begin
        value[7:0]   = 8'h10;
        value[29:28] = 2'd1;
        value[37:32] = pas;
      end
      9'd1:  value[1] = 1'b1;  // fctl.WSI
      9'd2:  value = {10'd0, ddt_ppn_q, 5'd0, off_busy_i || off_start_o, 3'd0, bare_q};
      9'd3:  value = {10'd0, cq_ppn_q, 5'd0, cq_sz_q};
      9'd4:  value = {cqt_q, cqh_i};
      9'd5:  value = {10'd0, fq_ppn_q, 5'd0, fq_sz_q};
      9'd6:  value = {fqt_i, fqh_q};
      9'd9: begin
        value[1:0]   = {cie_q, cqen_q};
        value[8]     = cqmf_q;
        value[10]    = cmd_ill_q;
        value[11]    = wip_q;
        value[17:16] = {cq_busy, cq_on_i};
        value[33:32] = {fie_q, fqen_q};
        value[41:40] = {fqof_q, fqmf_q};
        value[49:48] = {fq_busy, fq_on_i};
      end
      9'd10: value[33:32] = {fip_q, cip_q};
      9'd95: value[15:0] = {4'(piv_q), 4'(pmiv_q), 4'(fiv_q), 4'(civ_q)};
      default: ;
    endcase
    if (araddr_i[1:0] != 2'd0) value = 64'd0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rvalid_o <= 1'b0;
      rdata_o  <= '0;
      rresp_o  <= 2'b00;
    end else if (arready_o) begin
      rvalid_o <= 1'b1;
      rdata_o  <= value;
      rresp_o  <= (araddr_i[1:0] != 2'd0) ? 2'b10 : 2'b00;
    end else if (rready_i) begin
      rvalid_o <= 1'b0;
    end
  end

  // ---------------------------------------------------------------- out
  assign pas_o      = pas;
  assign bare_o     = bare_q;
  assign cq_en_o    = cqen_q;
  assign cq_stall_o = cqmf_q || cmd_ill_q;
  assign cq_base_o  = {cq_ppn_q, 12'd0};
  assign cq_mask_o  = mask_of(cq_sz_q);
  assign cqt_o      = cqt_q;
  assign fq_en_o    = fqen_q;
  assign fq_stall_o = fqmf_q || fqof_q;
  assign fq_base_o  = {fq_ppn_q, 12'd0};
  assign fq_mask_o  = mask_of(fq_sz_q);
  assign fqh_o      = fqh_q;

  always_comb begin
    wsi_o = '0;
    if (cip_q) wsi_o[civ_q] = 1'b1;
    if (fip_q) wsi_o[fiv_q] = 1'b1;
  end
endmodule

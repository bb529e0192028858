// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The register page: an AXI4-Lite subordinate and the registers behind it.
// AW and W are taken in either order into one place each; a write takes effect
// in the cycle after the later of them, its B follows, so any read that is
// accepted after B sees it. Reads and writes do not wait for each other.
//
// Legal writes: 4 bytes (WSTRB 0x0F or 0xF0) to any register or half of one,
// 8 bytes (0xFF) to an 8-byte register. Anything else, and a read whose address
// is not a multiple of 4, gets SLVERR and changes nothing. Offsets without a
// register read 0 and ignore writes.

`include "iommu_macros.svh"

module iommu_regs
  import iommu_pkg::*;
#(
    parameter int unsigned NumVec = 16  // interrupt vectors: 1, 2, 4, 8 or 16
) (
    input  logic        clk_i,            // clock
    input  logic        rst_ni,           // asynchronous reset, active low
    input  logic [63:0] cfg_caps_i,       // mask of capabilities, static

    // AXI4-Lite, 12-bit address, 64-bit data
    input  logic        s_reg_awvalid_i,
    output logic        s_reg_awready_o,
    input  logic [11:0] s_reg_awaddr_i,
    input  logic [2:0]  s_reg_awprot_i,
    input  logic        s_reg_wvalid_i,
    output logic        s_reg_wready_o,
    input  logic [63:0] s_reg_wdata_i,
    input  logic [7:0]  s_reg_wstrb_i,
    output logic        s_reg_bvalid_o,
    input  logic        s_reg_bready_i,
    output logic [1:0]  s_reg_bresp_o,
    input  logic        s_reg_arvalid_i,
    output logic        s_reg_arready_o,
    input  logic [11:0] s_reg_araddr_i,
    input  logic [2:0]  s_reg_arprot_i,
    output logic        s_reg_rvalid_o,
    input  logic        s_reg_rready_i,
    output logic [63:0] s_reg_rdata_o,
    output logic [1:0]  s_reg_rresp_o,

    // configuration, to everybody
    output csr_cfg_t    csr_cfg_o,
    output ddtp_mode_e  ddtp_mode_o,      // ddtp.iommu_mode as it reads

    // ddtp hand-over: valid and ddtp held until ready; to Off then also waits
    // for a fence over device reads and writes
    output logic        ddtp_valid_o,
    output ddtp_t       ddtp_o,
    input  logic        ddtp_ready_i,
    output logic        ddtp_fence_o,     // fence wanted, held until done
    input  logic        ddtp_fence_done_i,

    // command queue
    output queue_cfg_t  cq_cfg_o,         // index is cqt
    output logic        cq_clear_o,       // pulse: cqen goes from 0 to 1
    input  logic        cq_on_i,          // cqcsr.cqon
    input  logic [31:0] cq_head_i,        // cqh
    input  logic        cq_set_mf_i,      // pulse: memory fault
    input  logic        cq_set_ill_i,     // pulse: illegal command
    input  logic        cq_set_fence_i,   // pulse: IOFENCE.C with WSI completed

    // fault queue
    output queue_cfg_t  fq_cfg_o,         // index is fqh
    output logic        fq_clear_o,       // pulse: fqen goes from 0 to 1
    input  logic        fq_on_i,          // fqcsr.fqon
    input  logic [31:0] fq_tail_i,        // fqt
    input  logic        fq_set_of_i,      // pulse: overflow
    input  logic        fq_set_mf_i,      // pulse: memory fault
    input  logic        fq_record_i,      // pulse: a record is in memory and fqt has moved

    // interrupts
    output logic [3:0]       ipsr_o,      // {pip, pmip, fip, cip}
    output logic [3:0][3:0]  icvec_o,     // vector of each, same order
    output logic [NumVec-1:0] msi_mask_o, // msi_vec_ctl.M
    input  logic [3:0]       msi_vec_i,   // entry wanted
    output logic [PaW-1:0]   msi_addr_o,  // its address
    output logic [31:0]      msi_data_o,  // its data
    input  logic             msi_busy_i   // a message is being sent
);

  localparam logic [1:0] RespOkay   = 2'b00;
  localparam logic [1:0] RespSlvErr = 2'b10;

  // Offsets of 8-byte words of the page, as address bits 11:3.
  localparam logic [8:0] WordCaps  = 9'(0 / 8);
  localparam logic [8:0] WordFctl  = 9'(8 / 8);
  localparam logic [8:0] WordDdtp  = 9'(16 / 8);
  localparam logic [8:0] WordCqb   = 9'(24 / 8);
  localparam logic [8:0] WordCqht  = 9'(32 / 8);   // cqh, cqt
  localparam logic [8:0] WordFqb   = 9'(40 / 8);
  localparam logic [8:0] WordFqht  = 9'(48 / 8);   // fqh, fqt
  localparam logic [8:0] WordPqht  = 9'(64 / 8);   // pqh, pqt
  localparam logic [8:0] WordCsr   = 9'(72 / 8);   // cqcsr, fqcsr
  localparam logic [8:0] WordIpsr  = 9'(80 / 8);   // pqcsr, ipsr
  localparam logic [8:0] WordIoCnt = 9'(88 / 8);   // iocountovf, iocountinh
  localparam logic [8:0] WordQos   = 9'(624 / 8);  // iommu_qosid
  localparam logic [8:0] WordIcvec = 9'(760 / 8);
  localparam logic [3:0] MsiPage   = 4'd3;         // address bits 11:8 of msi_cfg_tbl

  localparam logic [3:0] VecMask = 4'(NumVec - 1);

  // ---------------------------------------------------------------- capabilities
  // What this RTL can do.
  function automatic caps_t own_caps();
    caps_t c;
    c          = '0;
    c.version  = 8'h10;
    c.sv39     = 1'b1;
    c.sv48     = 1'b1;
    c.sv57     = 1'b1;
    c.msi_flat = 1'b1;
    c.igs      = IgsBoth;
    c.pas      = 6'(PaW);
    return c;
  endfunction

  localparam caps_t OwnCaps = own_caps();

  caps_t mask_in;
  caps_t caps_d, caps_q;
  logic  up_q;  // out of reset and capabilities sampled

  assign mask_in = caps_t'(cfg_caps_i);

  always_comb begin
    caps_d         = caps_t'(OwnCaps & mask_in);
    caps_d.version = OwnCaps.version;
    caps_d.pas     = (mask_in.pas < OwnCaps.pas) ? mask_in.pas : OwnCaps.pas;
    unique case (mask_in.igs)
      IgsMsi:  caps_d.igs = IgsMsi;
      IgsWsi:  caps_d.igs = IgsWsi;
      default: caps_d.igs = IgsBoth;
    endcase
  end

  // The mask is static, so the first edge after reset samples what stood there
  // in reset; until then everything is Off and the port is closed.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      up_q   <= 1'b0;
      caps_q <= '0;
    end else begin
      up_q <= 1'b1;
      if (!up_q) caps_q <= caps_d;
    end
  end

  // ---------------------------------------------------------------- write port
  logic        aw_full_q, w_full_q, b_valid_q, b_wait_q;
  logic [11:0] awaddr_q;
  logic [63:0] wdata_q;
  logic [7:0]  wstrb_q;
  logic [1:0]  bresp_q;

  logic       wr;       // a write takes effect in this cycle (if legal)
  logic [8:0] wr_word;
  logic       wr_lo, wr_hi, wr_legal, wr_pair, wr_is_msi;
  logic [1:0] wr_en;    // legal write of {high, low} half
  logic [31:0] wr_data_lo, wr_data_hi;

  assign s_reg_awready_o = up_q && !aw_full_q;
  assign s_reg_wready_o  = up_q && !w_full_q;
  assign s_reg_bvalid_o  = b_valid_q;
  assign s_reg_bresp_o   = bresp_q;

  assign wr         = aw_full_q && w_full_q && !b_wait_q && !b_valid_q;
  assign wr_word    = awaddr_q[11:3];
  assign wr_data_lo = wdata_q[31:0];
  assign wr_data_hi = wdata_q[63:32];
  assign wr_is_msi  = awaddr_q[11:8] == MsiPage;

  // Words made of two 4-byte registers: no 8-byte access.
  function automatic logic is_pair(input logic [8:0] word);
    unique case (word)
      WordFctl, WordCqht, WordFqht, WordPqht, WordCsr, WordIpsr, WordIoCnt, WordQos:
        return 1'b1;
      default:
        // data and vector control of an msi_cfg_tbl entry
        return (word[8:5] == MsiPage) && word[0];
    endcase
  endfunction

  assign wr_pair = is_pair(wr_word);

  always_comb begin
    wr_lo    = 1'b0;
    wr_hi    = 1'b0;
    wr_legal = 1'b0;
    if (awaddr_q[1:0] == 2'b00) begin
      unique case (wstrb_q)
        8'h0F: begin
          wr_legal = !awaddr_q[2];
          wr_lo    = 1'b1;
        end
        8'hF0: begin
          wr_legal = 1'b1;
          wr_hi    = 1'b1;
        end
        8'hFF: begin
          wr_legal = !awaddr_q[2] && !wr_pair;
          wr_lo    = 1'b1;
          wr_hi    = 1'b1;
        end
        default: wr_legal = 1'b0;
      endcase
    end
  end

  assign wr_en = {wr_hi, wr_lo} & {2{wr && wr_legal}};

  // B of a write to the MSI table waits until no message is under way, so that
  // after it no message of before can still appear.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aw_full_q <= 1'b0;
      w_full_q  <= 1'b0;
      b_valid_q <= 1'b0;
      b_wait_q  <= 1'b0;
      awaddr_q  <= '0;
      wdata_q   <= '0;
      wstrb_q   <= '0;
      bresp_q   <= '0;
    end else begin
      if (s_reg_awvalid_i && s_reg_awready_o) begin
        aw_full_q <= 1'b1;
        awaddr_q  <= s_reg_awaddr_i;
      end
      if (s_reg_wvalid_i && s_reg_wready_o) begin
        w_full_q <= 1'b1;
        wdata_q  <= s_reg_wdata_i;
        wstrb_q  <= s_reg_wstrb_i;
      end
      if (b_valid_q && s_reg_bready_i) b_valid_q <= 1'b0;
      if (wr) begin
        bresp_q   <= wr_legal ? RespOkay : RespSlvErr;
        b_wait_q  <= wr_is_msi;
        b_valid_q <= !wr_is_msi;
        aw_full_q <= 1'b0;
        w_full_q  <= 1'b0;
      end
      if (b_wait_q && !msi_busy_i) begin
        b_wait_q  <= 1'b0;
        b_valid_q <= 1'b1;
      end
    end
  end

  // ---------------------------------------------------------------- fctl
  logic wsi_q;  // meaningful when both methods are there
  logic wsi;

  assign wsi = (caps_q.igs == IgsBoth) ? wsi_q : (caps_q.igs == IgsWsi);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) wsi_q <= 1'b0;
    else if (wr_en[0] && wr_word == WordFctl) wsi_q <= wr_data_lo[1];
  end

  always_comb begin
    csr_cfg_o      = '0;
    csr_cfg_o.caps = caps_q;
    csr_cfg_o.wsi  = wsi;
  end

  // ---------------------------------------------------------------- ddtp
  typedef enum logic [1:0] {
    DdtpStable,
    DdtpHandOver,  // the translation path takes it
    DdtpDrain      // to Off: what it had granted reaches memory
  } ddtp_state_e;

  ddtp_state_e     ddtp_state_q;
  ddtp_mode_e      ddtp_mode_q;
  logic [PpnW-1:0] ddtp_ppn_q;
  logic            ddtp_busy;

  assign ddtp_busy    = ddtp_state_q != DdtpStable;
  assign ddtp_valid_o = ddtp_state_q == DdtpHandOver;
  assign ddtp_o       = '{mode: ddtp_mode_q, ppn: ddtp_ppn_q};
  assign ddtp_fence_o = ddtp_state_q == DdtpDrain;
  assign ddtp_mode_o  = ddtp_mode_q;

  // A write while busy is ignored. An unknown mode leaves the field as it was.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ddtp_state_q <= DdtpStable;
      ddtp_mode_q  <= DdtpOff;
      ddtp_ppn_q   <= '0;
    end else begin
      unique case (ddtp_state_q)
        DdtpHandOver: begin
          if (ddtp_ready_i) ddtp_state_q <= (ddtp_mode_q == DdtpOff) ? DdtpDrain : DdtpStable;
        end
        DdtpDrain: if (ddtp_fence_done_i) ddtp_state_q <= DdtpStable;
        default: begin
          if (wr_word == WordDdtp) begin
            if (wr_en[1]) ddtp_ppn_q[43:22] <= wr_data_hi[21:0];
            if (wr_en[0]) begin
              ddtp_ppn_q[21:0] <= wr_data_lo[31:10];
              if (wr_data_lo[3:0] <= 4'(Ddtp3Lvl)) ddtp_mode_q <= ddtp_mode_e'(wr_data_lo[3:0]);
              ddtp_state_q <= DdtpHandOver;
            end
          end
        end
      endcase
    end
  end

  // ---------------------------------------------------------------- queue bases and software's indices
  logic [4:0]      cq_log2sz_1_q, fq_log2sz_1_q;
  logic [PpnW-1:0] cq_ppn_q, fq_ppn_q;
  logic [31:0]     cqt_q, fqh_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cq_log2sz_1_q <= '0;
      fq_log2sz_1_q <= '0;
      cq_ppn_q      <= '0;
      fq_ppn_q      <= '0;
      cqt_q         <= '0;
      fqh_q         <= '0;
    end else begin
      if (wr_word == WordCqb) begin
        if (wr_en[1]) cq_ppn_q[43:22] <= wr_data_hi[21:0];
        if (wr_en[0]) begin
          cq_ppn_q[21:0] <= wr_data_lo[31:10];
          cq_log2sz_1_q  <= wr_data_lo[4:0];
          cqt_q          <= cqt_q & queue_mask(wr_data_lo[4:0]);
        end
      end
      if (wr_word == WordFqb) begin
        if (wr_en[1]) fq_ppn_q[43:22] <= wr_data_hi[21:0];
        if (wr_en[0]) begin
          fq_ppn_q[21:0] <= wr_data_lo[31:10];
          fq_log2sz_1_q  <= wr_data_lo[4:0];
          fqh_q          <= fqh_q & queue_mask(wr_data_lo[4:0]);
        end
      end
      if (wr_word == WordCqht && wr_en[1]) cqt_q <= wr_data_hi & queue_mask(cq_log2sz_1_q);
      if (wr_word == WordFqht && wr_en[0]) fqh_q <= wr_data_lo & queue_mask(fq_log2sz_1_q);
    end
  end

  // ---------------------------------------------------------------- cqcsr, fqcsr
  logic cqen_q, cie_q, cqmf_q, cmd_ill_q, fence_w_ip_q;
  logic fqen_q, fie_q, fqmf_q, fqof_q;
  logic cq_busy, fq_busy, wr_cqcsr, wr_fqcsr;

  assign cq_busy = cqen_q != cq_on_i;
  assign fq_busy = fqen_q != fq_on_i;

  // A write while busy is ignored.
  assign wr_cqcsr   = wr_word == WordCsr && wr_en[0] && !cq_busy;
  assign wr_fqcsr   = wr_word == WordCsr && wr_en[1] && !fq_busy;
  assign cq_clear_o = wr_cqcsr && wr_data_lo[0] && !cqen_q;
  assign fq_clear_o = wr_fqcsr && wr_data_hi[0] && !fqen_q;

  // An event in the cycle of a clearing write comes after it: the bit stays.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cqen_q       <= 1'b0;
      cie_q        <= 1'b0;
      cqmf_q       <= 1'b0;
      cmd_ill_q    <= 1'b0;
      fence_w_ip_q <= 1'b0;
      fqen_q       <= 1'b0;
      fie_q        <= 1'b0;
      fqmf_q       <= 1'b0;
      fqof_q       <= 1'b0;
    end else begin
      if (wr_cqcsr) begin
        cqen_q <= wr_data_lo[0];
        cie_q  <= wr_data_lo[1];
        if (cq_clear_o || wr_data_lo[8]) cqmf_q <= 1'b0;
        if (cq_clear_o || wr_data_lo[10]) cmd_ill_q <= 1'b0;
        if (cq_clear_o || wr_data_lo[11]) fence_w_ip_q <= 1'b0;
      end
      if (cq_set_mf_i) cqmf_q <= 1'b1;
      if (cq_set_ill_i) cmd_ill_q <= 1'b1;
      if (cq_set_fence_i) fence_w_ip_q <= 1'b1;
      if (!wsi) fence_w_ip_q <= 1'b0;  // reserved then
      if (wr_fqcsr) begin
        fqen_q <= wr_data_hi[0];
        fie_q  <= wr_data_hi[1];
        if (fq_clear_o || wr_data_hi[8]) fqmf_q <= 1'b0;
        if (fq_clear_o || wr_data_hi[9]) fqof_q <= 1'b0;
      end
      if (fq_set_mf_i) fqmf_q <= 1'b1;
      if (fq_set_of_i) fqof_q <= 1'b1;
    end
  end

  assign cq_cfg_o = '{
    en: cqen_q,
    error: cqmf_q || cmd_ill_q,
    index: cqt_q,
    log2sz_1: cq_log2sz_1_q,
    ppn: cq_ppn_q
  };
  assign fq_cfg_o = '{
    en: fqen_q,
    error: fqmf_q || fqof_q,
    index: fqh_q,
    log2sz_1: fq_log2sz_1_q,
    ppn: fq_ppn_q
  };

  // ---------------------------------------------------------------- ipsr
  // A bit that software clears is 0 for a cycle at least and rises again if
  // its condition stands: that edge is a new message. pmip and pip have no
  // source in this slice.
  logic [1:0] ipsr_q;    // {fip, cip}
  logic       record_q;  // a new record, not yet seen by fip
  logic [1:0] ipsr_clr, ipsr_set;

  assign ipsr_clr = (wr_word == WordIpsr && wr_en[1]) ? (wr_data_hi[1:0] & ipsr_q) : 2'b00;
  assign ipsr_set[0] = cie_q && (cqmf_q || cmd_ill_q || fence_w_ip_q);
  assign ipsr_set[1] = (fie_q && (fqmf_q || fqof_q)) || record_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ipsr_q   <= '0;
      record_q <= 1'b0;
    end else begin
      ipsr_q   <= (ipsr_q | ipsr_set) & ~ipsr_clr;
      record_q <= (fq_record_i && fie_q) || (record_q && ipsr_clr[1]);
    end
  end

  assign ipsr_o = {2'b00, ipsr_q};

  // ---------------------------------------------------------------- icvec
  logic [3:0][3:0] icvec_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) icvec_q <= '0;
    else if (wr_word == WordIcvec && wr_en[0]) icvec_q <= wr_data_lo[15:0] & {4{VecMask}};
  end

  assign icvec_o = icvec_q;

  // ---------------------------------------------------------------- msi_cfg_tbl
  logic [NumVec-1:0][53:0] msi_addr_q;  // bits 55:2
  logic [NumVec-1:0][31:0] msi_data_q;
  logic [NumVec-1:0]       msi_mask_q;
  logic                    wr_msi;
  logic [3:0]              wr_vec;

  assign wr_msi = wr_is_msi && caps_q.igs != IgsWsi;
  assign wr_vec = awaddr_q[7:4];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      msi_addr_q <= '0;
      msi_data_q <= '0;
      msi_mask_q <= '0;
    end else if (wr_msi) begin
      for (int unsigned v = 0; v < NumVec; v++) begin
        if (wr_vec == 4'(v)) begin
          if (!awaddr_q[3]) begin
            if (wr_en[0]) msi_addr_q[v][29:0] <= wr_data_lo[31:2];
            if (wr_en[1]) msi_addr_q[v][53:30] <= wr_data_hi[23:0];
          end else begin
            if (wr_en[0]) msi_data_q[v] <= wr_data_lo;
            if (wr_en[1]) msi_mask_q[v] <= wr_data_hi[0];
          end
        end
      end
    end
  end

  assign msi_mask_o = msi_mask_q;

  always_comb begin
    msi_addr_o = '0;
    msi_data_o = '0;
    for (int unsigned v = 0; v < NumVec; v++) begin
      if (msi_vec_i == 4'(v)) begin
        msi_addr_o = {msi_addr_q[v], 2'b00};
        msi_data_o = msi_data_q[v];
      end
    end
  end

  // ---------------------------------------------------------------- read port
  logic        ar_full_q, r_valid_q;
  logic [11:0] araddr_q;
  logic [63:0] rdata_q, rd_data;
  logic [1:0]  rresp_q;
  logic [8:0]  rd_word;

  assign s_reg_arready_o = up_q && !ar_full_q;
  assign s_reg_rvalid_o  = r_valid_q;
  assign s_reg_rdata_o   = rdata_q;
  assign s_reg_rresp_o   = rresp_q;
  assign rd_word         = araddr_q[11:3];

  always_comb begin
    rd_data = '0;
    unique case (rd_word)
      WordCaps: rd_data = 64'(caps_q);
      WordFctl: rd_data[1] = wsi;
      WordDdtp: begin
        rd_data[53:10] = ddtp_ppn_q;
        rd_data[4]     = ddtp_busy;
        rd_data[3:0]   = 4'(ddtp_mode_q);
      end
      WordCqb: begin
        rd_data[53:10] = cq_ppn_q;
        rd_data[4:0]   = cq_log2sz_1_q;
      end
      WordCqht: rd_data = {cqt_q, cq_head_i};
      WordFqb: begin
        rd_data[53:10] = fq_ppn_q;
        rd_data[4:0]   = fq_log2sz_1_q;
      end
      WordFqht: rd_data = {fq_tail_i, fqh_q};
      WordCsr: begin
        rd_data[0]  = cqen_q;
        rd_data[1]  = cie_q;
        rd_data[8]  = cqmf_q;
        rd_data[10] = cmd_ill_q;
        rd_data[11] = fence_w_ip_q;
        rd_data[16] = cq_on_i;
        rd_data[17] = cq_busy;
        rd_data[32] = fqen_q;
        rd_data[33] = fie_q;
        rd_data[40] = fqmf_q;
        rd_data[41] = fqof_q;
        rd_data[48] = fq_on_i;
        rd_data[49] = fq_busy;
      end
      WordIpsr:  rd_data[33:32] = ipsr_q;
      WordIcvec: rd_data[15:0] = icvec_q;
      default: begin
        if (araddr_q[11:8] == MsiPage) begin
          for (int unsigned v = 0; v < NumVec; v++) begin
            if (araddr_q[7:4] == 4'(v)) begin
              rd_data = araddr_q[3] ? {31'd0, msi_mask_q[v], msi_data_q[v]}
                                    : {8'd0, msi_addr_q[v], 2'b00};
            end
          end
        end
      end
    endcase
    if (araddr_q[1:0] != 2'b00) rd_data = '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ar_full_q <= 1'b0;
      r_valid_q <= 1'b0;
      araddr_q  <= '0;
      rdata_q   <= '0;
      rresp_q   <= '0;
    end else begin
      if (s_reg_arvalid_i && s_reg_arready_o) begin
        ar_full_q <= 1'b1;
        araddr_q  <= s_reg_araddr_i;
      end
      if (r_valid_q && s_reg_rready_i) r_valid_q <= 1'b0;
      if (ar_full_q && !r_valid_q) begin
        ar_full_q <= 1'b0;
        r_valid_q <= 1'b1;
        rdata_q   <= rd_data;
        rresp_q   <= (araddr_q[1:0] == 2'b00) ? RespOkay : RespSlvErr;
      end
    end
  end

  // AxPROT is not looked at: who may reach the page is the interconnect's affair.
  // A read returns both halves, whichever ARADDR[2] selects.
  logic unused;
  assign unused = ^{s_reg_awprot_i, s_reg_arprot_i, araddr_q[2]};

  `IOMMU_ASSERT(WriteAnsweredOnce, !(b_wait_q && b_valid_q))
  `IOMMU_ASSERT(CommandQueueStopsOnError, !(cq_set_mf_i && cq_set_ill_i))
  `IOMMU_ASSERT(EventsOnlyWhileOn,
                cq_on_i || !(cq_set_mf_i || cq_set_ill_i || cq_set_fence_i))
  `IOMMU_ASSERT(RecordsOnlyWhileOn, fq_on_i || !(fq_set_mf_i || fq_set_of_i || fq_record_i))
  `IOMMU_ASSERT(IndicesInsideQueues,
                (cqt_q & ~queue_mask(cq_log2sz_1_q)) == '0 &&
                (fqh_q & ~queue_mask(fq_log2sz_1_q)) == '0)

endmodule

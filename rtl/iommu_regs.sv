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
// register read 0 and ignore writes. Counters and the debug interface are
// modules of their own behind this port.

`include "iommu_macros.svh"

module iommu_regs
  import iommu_pkg::*;
#(
    parameter int unsigned NumVec = 16,  // interrupt vectors: 1, 2, 4, 8 or 16
    parameter int unsigned NumHpm = 7,   // HPM event counters, 1 to 31
    parameter bit TimingCuts = 1'b0      // an access is decoded a cycle before it is done
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
    output mem_user_t   qosid_o,          // iommu_qosid; 0 without QOSID
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
    input  logic        cq_set_to_i,      // pulse: IOFENCE.C found a time-out
    input  logic        cq_set_fence_i,   // pulse: IOFENCE.C with WSI completed

    // fault queue
    output queue_cfg_t  fq_cfg_o,         // index is fqh
    output logic        fq_clear_o,       // pulse: fqen goes from 0 to 1
    input  logic        fq_on_i,          // fqcsr.fqon
    input  logic [31:0] fq_tail_i,        // fqt
    input  logic        fq_set_of_i,      // pulse: overflow
    input  logic        fq_set_mf_i,      // pulse: memory fault
    input  logic        fq_record_i,      // pulse: a record is in memory and fqt has moved

    // page-request queue
    output queue_cfg_t  pq_cfg_o,         // index is pqh
    output logic        pq_clear_o,       // pulse: pqen goes from 0 to 1
    input  logic        pq_on_i,          // pqcsr.pqon
    input  logic [31:0] pq_tail_i,        // pqt
    input  logic        pq_set_of_i,      // pulse: overflow
    input  logic        pq_set_mf_i,      // pulse: memory fault
    input  logic        pq_record_i,      // pulse: a record is in memory and pqt has moved

    // events that the HPM counts
    input  hpm_event_t  [HpmPorts-1:0] hpm_event_i,

    // debug interface's request: held until ready; one answer follows
    output logic        dbg_req_valid_o,
    input  logic        dbg_req_ready_i,
    output aux_req_t    dbg_req_o,
    input  logic        dbg_rsp_valid_i,
    input  aux_rsp_t    dbg_rsp_i,

    // interrupts
    output logic [3:0]       ipsr_o,      // {pip, pmip, fip, cip}
    output logic [3:0][3:0]  icvec_o,     // vector of each, same order
    output logic [NumVec-1:0] msi_mask_o, // msi_vec_ctl.M
    input  logic             msi_rd_i,    // the entry is taken in this cycle
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
  localparam logic [8:0] WordPqb   = 9'(56 / 8);
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
    c.sv39x4   = 1'b1;
    c.sv48x4   = 1'b1;
    c.sv57x4   = 1'b1;
    c.pd8      = 1'b1;
    c.pd17     = 1'b1;
    c.pd20     = 1'b1;
    c.sv32     = 1'b1;
    c.sv32x4   = 1'b1;
    c.svpbmt   = 1'b1;
    c.svrsw60t59b = 1'b1;
    c.amo_hwad = 1'b1;
    c.msi_mrif = 1'b1;
    c.amo_mrif = 1'b1;
    c.nl       = 1'b1;
    c.s        = 1'b1;
    c.qosid    = 1'b1;
    c.igs      = IgsBoth;
    c.endi     = 1'b1;
    c.ats      = 1'b1;
    c.t2gpa    = 1'b1;
    c.hpm      = 1'b1;
    c.dbg      = 1'b1;
    c.pas      = 6'(PaW);
    return c;
  endfunction

  localparam caps_t OwnCaps = own_caps();

  caps_t mask_in;
  caps_t caps_d, caps_q;
  logic  up_q;  // out of reset and capabilities sampled

  // fctl.GXL can be written if there are schemes of 32 bits.
  logic gxl_wr;
  assign gxl_wr = caps_q.sv32 || caps_q.sv32x4;

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

  logic       wr_due;   // a write is there
  logic       wr;       // it takes effect in this cycle (if legal)
  logic [8:0] wr_word;
  logic       wr_lo, wr_hi, wr_legal_d, wr_legal, wr_pair, wr_is_msi;
  logic [1:0] wr_en;    // legal write of {high, low} half
  logic [31:0] wr_data_lo, wr_data_hi;

  // Not before capabilities are known, which with TimingCuts they are when a write is looked at.
  assign s_reg_awready_o = (up_q || TimingCuts) && !aw_full_q;
  assign s_reg_wready_o  = (up_q || TimingCuts) && !w_full_q;
  assign s_reg_bvalid_o  = b_valid_q;
  assign s_reg_bresp_o   = bresp_q;

  assign wr_due     = aw_full_q && w_full_q && !b_wait_q && !b_valid_q;
  assign wr_word    = awaddr_q[11:3];
  assign wr_data_lo = wdata_q[31:0];
  assign wr_data_hi = wdata_q[63:32];
  assign wr_is_msi  = awaddr_q[11:8] == MsiPage;

  // Words made of two 4-byte registers: no 8-byte access.
  function automatic logic is_pair(input logic [8:0] word);
    unique case (word)
      WordFctl, WordCqht, WordFqht, WordPqht, WordCsr, WordIpsr, WordIoCnt, WordQos:
        is_pair = 1'b1;
      default:
        // data and vector control of an msi_cfg_tbl entry
        is_pair = (word[8:5] == MsiPage) && word[0];
    endcase
  endfunction

  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_pair (.clk_i, .d_i(is_pair(wr_word)), .q_o(wr_pair));

  always_comb begin
    wr_lo    = 1'b0;
    wr_hi    = 1'b0;
    wr_legal_d = 1'b0;
    if (awaddr_q[1:0] == 2'b00) begin
      unique case (wstrb_q)
        8'h0F: begin
          wr_legal_d = !awaddr_q[2];
          wr_lo      = 1'b1;
        end
        8'hF0: begin
          wr_legal_d = 1'b1;
          wr_hi      = 1'b1;
        end
        8'hFF: begin
          wr_legal_d = !awaddr_q[2] && !wr_pair;
          wr_lo      = 1'b1;
          wr_hi      = 1'b1;
        end
        default: wr_legal_d = 1'b0;
      endcase
    end
  end

  if (TimingCuts) begin : gen_wr_cut
    logic       due_q, wr_q;
    logic [1:0] wr_en_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        due_q   <= 1'b0;
        wr_q    <= 1'b0;
        wr_en_q <= '0;
      end else begin
        due_q   <= wr_due;
        wr_q    <= wr_due && due_q && !wr_q;
        wr_en_q <= {wr_hi, wr_lo} & {2{wr_due && due_q && !wr_q && wr_legal_d}};
      end
    end
    assign wr    = wr_q;
    assign wr_en = wr_en_q;
  end else begin : gen_wr
    assign wr    = wr_due;
    assign wr_en = {wr_hi, wr_lo} & {2{wr && wr_legal}};
  end

  // The registers that the write is for, and whether it is legal: with TimingCuts of the
  // cycle before wr, in which the write was there already.
  typedef struct packed {
    logic fctl, qos, ddtp, cqb, cqht, csr, fqb, fqht, pqb, pqht, ipsr, icvec;
    logic msi;                // any word of msi_cfg_tbl
    logic [NumVec-1:0] vec;   // the vector, if there are messages
  } written_t;
  written_t at_d, at;
  always_comb begin
    at_d = '{
      fctl: wr_word == WordFctl, qos: wr_word == WordQos, ddtp: wr_word == WordDdtp, cqb: wr_word == WordCqb,
      cqht: wr_word == WordCqht, csr: wr_word == WordCsr, fqb: wr_word == WordFqb, fqht: wr_word == WordFqht,
      pqb: wr_word == WordPqb && caps_q.ats, pqht: wr_word == WordPqht && caps_q.ats, ipsr: wr_word == WordIpsr,
      icvec: wr_word == WordIcvec, msi: wr_is_msi, vec: '0
    };
    for (int unsigned v = 0; v < NumVec; v++) at_d.vec[v] = wr_is_msi && caps_q.igs != IgsWsi && awaddr_q[7:4] == 4'(v);
  end
  iommu_cut #(.T(written_t), .Cut(TimingCuts)) u_cut_at (.clk_i, .d_i(at_d), .q_o(at));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_legal (.clk_i, .d_i(wr_legal_d), .q_o(wr_legal));

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
        b_wait_q  <= at.msi;
        b_valid_q <= !at.msi;
        aw_full_q <= 1'b0;
        w_full_q  <= 1'b0;
      end
      if (b_wait_q && !msi_busy_i) begin
        b_wait_q  <= 1'b0;
        b_valid_q <= 1'b1;
      end
    end
  end

  // ---------------------------------------------------------------- fctl, iommu_qosid
  logic      be_q, gxl_q;
  logic      wsi_q;  // meaningful when both methods are there
  logic      wsi;
  mem_user_t qosid_q;

  assign wsi = (caps_q.igs == IgsBoth) ? wsi_q : (caps_q.igs == IgsWsi);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      be_q    <= 1'b0;
      wsi_q   <= 1'b0;
      gxl_q   <= 1'b0;
      qosid_q <= '0;
    end else if (wr_en[0]) begin
      if (at.fctl) begin
        be_q  <= wr_data_lo[0] && caps_q.endi;
        wsi_q <= wr_data_lo[1];
        gxl_q <= wr_data_lo[2] && gxl_wr;
      end
      if (at.qos && caps_q.qosid) qosid_q <= '{mcid: wr_data_lo[27:16], rcid: wr_data_lo[11:0]};
    end
  end

  always_comb begin
    csr_cfg_o        = '0;
    csr_cfg_o.caps   = caps_q;
    csr_cfg_o.be     = be_q;
    csr_cfg_o.wsi    = wsi;
    csr_cfg_o.gxl    = gxl_q;
    csr_cfg_o.be_wr  = caps_q.endi;
    csr_cfg_o.gxl_wr = gxl_wr;
  end

  assign qosid_o = qosid_q;

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
          if (at.ddtp) begin
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

  // ---------------------------------------------------------------- cqb, cqt, cqcsr
  logic [4:0]      cq_log2sz_1_q;
  logic [PpnW-1:0] cq_ppn_q;
  logic [31:0]     cqt_q;
  logic            cqen_q, cie_q, cqmf_q, cmd_to_q, cmd_ill_q, fence_w_ip_q;
  logic            cq_busy, wr_cqcsr, cip_set;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cq_log2sz_1_q <= '0;
      cq_ppn_q      <= '0;
      cqt_q         <= '0;
    end else begin
      if (at.cqb) begin
        if (wr_en[1]) cq_ppn_q[43:22] <= wr_data_hi[21:0];
        if (wr_en[0]) begin
          cq_ppn_q[21:0] <= wr_data_lo[31:10];
          cq_log2sz_1_q  <= wr_data_lo[4:0];
          cqt_q          <= cqt_q & queue_mask(wr_data_lo[4:0]);
        end
      end
      if (at.cqht && wr_en[1]) cqt_q <= wr_data_hi & queue_mask(cq_log2sz_1_q);
    end
  end

  // A write while busy is ignored.
  assign cq_busy    = cqen_q != cq_on_i;
  assign wr_cqcsr   = at.csr && wr_en[0] && !cq_busy;
  assign cq_clear_o = wr_cqcsr && wr_data_lo[0] && !cqen_q;

  // An event in the cycle of a clearing write comes after it: the bit stays.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cqen_q       <= 1'b0;
      cie_q        <= 1'b0;
      cqmf_q       <= 1'b0;
      cmd_to_q     <= 1'b0;
      cmd_ill_q    <= 1'b0;
      fence_w_ip_q <= 1'b0;
    end else begin
      if (wr_cqcsr) begin
        cqen_q <= wr_data_lo[0];
        cie_q  <= wr_data_lo[1];
        if (cq_clear_o || wr_data_lo[8]) cqmf_q <= 1'b0;
        if (cq_clear_o || wr_data_lo[9]) cmd_to_q <= 1'b0;
        if (cq_clear_o || wr_data_lo[10]) cmd_ill_q <= 1'b0;
        if (cq_clear_o || wr_data_lo[11]) fence_w_ip_q <= 1'b0;
      end
      if (cq_set_mf_i) cqmf_q <= 1'b1;
      if (cq_set_to_i) cmd_to_q <= 1'b1;
      if (cq_set_ill_i) cmd_ill_q <= 1'b1;
      if (cq_set_fence_i) fence_w_ip_q <= 1'b1;
      if (!wsi) fence_w_ip_q <= 1'b0;  // reserved then
    end
  end

  assign cip_set  = cie_q && (cqmf_q || cmd_to_q || cmd_ill_q || fence_w_ip_q);
  assign cq_cfg_o = '{
    en: cqen_q,
    error: cqmf_q || cmd_to_q || cmd_ill_q,
    mf: cqmf_q,
    index: cqt_q,
    log2sz_1: cq_log2sz_1_q,
    ppn: cq_ppn_q
  };

  // ---------------------------------------------------------------- fault queue, page-request queue
  logic [63:0] fqb, pqb;
  logic [31:0] fqcsr, pqcsr;
  logic        fip_set, pip_set;
  logic [3:0]  ipsr_q, ipsr_clr, ipsr_set;  // {pip, pmip, fip, cip}

  iommu_queue_csr u_fq_csr (
      .clk_i, .rst_ni,
      .wr_base_i(wr_en & {2{at.fqb}}),
      .wr_head_i(wr_en[0] && at.fqht),
      .wr_csr_i(wr_en[1] && at.csr),
      .base_i(wdata_q),
      .head_i(wr_data_lo),
      .csr_i(wr_data_hi),
      .base_o(fqb),
      .csr_o(fqcsr),
      .cfg_o(fq_cfg_o),
      .clear_o(fq_clear_o),
      .on_i(fq_on_i),
      .set_of_i(fq_set_of_i),
      .set_mf_i(fq_set_mf_i),
      .record_i(fq_record_i),
      .irq_set_o(fip_set),
      .irq_clr_i(ipsr_clr[1])
  );

  // There without ATS too, but then nothing writes it: it stays off and 0.
  iommu_queue_csr u_pq_csr (
      .clk_i, .rst_ni,
      .wr_base_i(wr_en & {2{at.pqb}}),
      .wr_head_i(wr_en[0] && at.pqht),
      .wr_csr_i(wr_en[0] && at.ipsr && caps_q.ats),
      .base_i(wdata_q),
      .head_i(wr_data_lo),
      .csr_i(wr_data_lo),
      .base_o(pqb),
      .csr_o(pqcsr),
      .cfg_o(pq_cfg_o),
      .clear_o(pq_clear_o),
      .on_i(pq_on_i),
      .set_of_i(pq_set_of_i),
      .set_mf_i(pq_set_mf_i),
      .record_i(pq_record_i),
      .irq_set_o(pip_set),
      .irq_clr_i(ipsr_clr[3])
  );

  // ---------------------------------------------------------------- HPM, debug interface
  logic        rd_due;   // a read is there
  logic        rd_look, rd_look_at;  // a read begins in this cycle, an aligned one
  logic        rd;       // a register is read in this cycle
  logic [8:0]  rd_word;
  logic [63:0] hpm_rdata, dbg_rdata;
  logic        hpm_overflow, overflow_q;

  iommu_hpm #(
      .NumCtr(NumHpm),
      .TimingCuts(TimingCuts)
  ) u_hpm (
      .clk_i, .rst_ni,
      .present_i(caps_q.hpm),
      .event_i(hpm_event_i),
      .wr_en_i(wr_en),
      .wr_word_i(wr_word),
      .wr_data_i(wdata_q),
      .rd_en_i(rd_look_at),
      .rd_word_i(rd_word),
      .rd_data_o(hpm_rdata),
      .overflow_o(hpm_overflow)
  );

  iommu_debug #(
      .TimingCuts(TimingCuts)
  ) u_debug (
      .clk_i, .rst_ni,
      .present_i(caps_q.dbg),
      .wr_en_i(wr_en),
      .wr_word_i(wr_word),
      .wr_data_i(wdata_q),
      .rd_en_i(rd_look_at),
      .rd_word_i(rd_word),
      .rd_data_o(dbg_rdata),
      .req_valid_o(dbg_req_valid_o),
      .req_ready_i(dbg_req_ready_i),
      .req_o(dbg_req_o),
      .rsp_valid_i(dbg_rsp_valid_i),
      .rsp_i(dbg_rsp_i)
  );

  // ---------------------------------------------------------------- ipsr
  // A bit that software clears is 0 for a cycle at least and rises again if
  // its condition stands: that edge is a new message. Records and overflows of
  // counters are events: one that meets a clearing write is kept for the cycle after.
  assign ipsr_clr = (at.ipsr && wr_en[1]) ? (wr_data_hi[3:0] & ipsr_q) : 4'b0000;
  assign ipsr_set = {pip_set, overflow_q, fip_set, cip_set};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ipsr_q     <= '0;
      overflow_q <= 1'b0;
    end else begin
      ipsr_q     <= (ipsr_q | ipsr_set) & ~ipsr_clr;
      overflow_q <= hpm_overflow || (overflow_q && ipsr_clr[2]);
    end
  end

  assign ipsr_o = ipsr_q;

  // ---------------------------------------------------------------- icvec
  logic [3:0][3:0] icvec_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) icvec_q <= '0;
    else if (at.icvec && wr_en[0]) icvec_q <= wr_data_lo[15:0] & {4{VecMask}};
  end

  assign icvec_o = icvec_q;

  // ---------------------------------------------------------------- msi_cfg_tbl
  logic [53:0]             msi_addr_q[NumVec];  // bits 55:2
  logic [31:0]             msi_data_q[NumVec];
  logic [NumVec-1:0]       msi_mask_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned v = 0; v < NumVec; v++) begin
        msi_addr_q[v] <= '0;
        msi_data_q[v] <= '0;
      end
      msi_mask_q <= '0;
    end else if (at.msi && wr_en != '0) begin
      for (int unsigned v = 0; v < NumVec; v++) begin
        if (at.vec[v]) begin
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
    if (msi_rd_i) begin
      for (int unsigned v = 0; v < NumVec; v++) begin
        if (msi_vec_i == 4'(v)) begin
          msi_addr_o = {msi_addr_q[v], 2'b00};
          msi_data_o = msi_data_q[v];
        end
      end
    end
  end

  // ---------------------------------------------------------------- read port
  logic        ar_full_q, r_valid_q;
  logic [11:0] araddr_q;
  logic [63:0] rdata_q, rd_data, plain_d, plain;
  logic [1:0]  rresp_q;

  assign s_reg_arready_o = (up_q || TimingCuts) && !ar_full_q;
  assign s_reg_rvalid_o  = r_valid_q;
  assign s_reg_rdata_o   = rdata_q;
  assign s_reg_rresp_o   = rresp_q;
  assign rd_word         = araddr_q[11:3];
  assign rd_due          = ar_full_q && !r_valid_q;

  // Words of msi_cfg_tbl, HPM, debug interface and of all others: 0 in all but one of them.
  // With TimingCuts the word is decoded, then read, then joined with the rest, a cycle each.
  typedef struct packed {
    logic caps, fctl, ddtp, cqb, cqht, fqb, fqht, pqb, pqht, csr, ipsr, qos, icvec;
  } read_t;
  read_t             rd_at_d, rd_at;
  logic [NumVec-1:0] rd_addr_d, rd_addr, rd_info_d, rd_info;  // halves of an entry of msi_cfg_tbl
  logic [63:0]       msi_rdata, msi_word, hpm_word, dbg_word, other;

  assign rd_look_at = rd_look && araddr_q[1:0] == 2'b00;
  always_comb begin
    rd_at_d = '0;
    rd_addr_d = '0;
    rd_info_d = '0;
    if (TimingCuts || rd_look) begin
      if (araddr_q[1:0] == 2'b00) begin
        rd_at_d = '{
          caps: rd_word == WordCaps, fctl: rd_word == WordFctl, ddtp: rd_word == WordDdtp, cqb: rd_word == WordCqb,
          cqht: rd_word == WordCqht, fqb: rd_word == WordFqb, fqht: rd_word == WordFqht, pqb: rd_word == WordPqb,
          pqht: rd_word == WordPqht, csr: rd_word == WordCsr, ipsr: rd_word == WordIpsr, qos: rd_word == WordQos,
          icvec: rd_word == WordIcvec
        };
        for (int unsigned v = 0; v < NumVec; v++) begin
          rd_addr_d[v] = araddr_q[11:8] == MsiPage && araddr_q[7:3] == {4'(v), 1'b0};
          rd_info_d[v] = araddr_q[11:8] == MsiPage && araddr_q[7:3] == {4'(v), 1'b1};
        end
      end
    end
  end
  iommu_cut #(.T(read_t), .Cut(TimingCuts)) u_cut_rd_at (.clk_i, .d_i(rd_at_d), .q_o(rd_at));
  iommu_cut #(.T(logic [NumVec-1:0]), .Cut(TimingCuts)) u_cut_addr (.clk_i, .d_i(rd_addr_d), .q_o(rd_addr));
  iommu_cut #(.T(logic [NumVec-1:0]), .Cut(TimingCuts)) u_cut_info (.clk_i, .d_i(rd_info_d), .q_o(rd_info));

  always_comb begin
    msi_rdata = '0;
    if (TimingCuts || rd_addr != '0 || rd_info != '0) begin
      for (int unsigned v = 0; v < NumVec; v++) begin
        msi_rdata |= {8'd0, msi_addr_q[v], 2'b00} & {64{rd_addr[v]}};
        msi_rdata |= {31'd0, msi_mask_q[v], msi_data_q[v]} & {64{rd_info[v]}};
      end
    end
  end
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_msi (.clk_i, .d_i(msi_rdata), .q_o(msi_word));
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_hpm (.clk_i, .d_i(hpm_rdata), .q_o(hpm_word));
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_dbg (.clk_i, .d_i(dbg_rdata), .q_o(dbg_word));
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_other (
      .clk_i, .d_i(msi_word | hpm_word | dbg_word), .q_o(other)
  );
  if (TimingCuts) begin : gen_rd_cut
    logic [2:0] rd_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) rd_q <= '0;
      else rd_q <= {rd_q[1:0], rd_look};
    end
    assign rd_look = rd_due && (rd_q == '0);
    assign rd      = rd_q[2];
  end else begin : gen_rd
    assign rd_look = rd_due;
    assign rd      = rd_due;
  end

  // Nothing moves here unless a register is read: simulation time.
  always_comb begin
    plain_d = '0;
    if (TimingCuts || rd_at != '0) begin
      plain_d |= 64'(caps_q) & {64{rd_at.caps}};
      plain_d |= 64'({gxl_q, wsi, be_q}) & {64{rd_at.fctl}};
      plain_d |= {10'd0, ddtp_ppn_q, 5'd0, ddtp_busy, 4'(ddtp_mode_q)} & {64{rd_at.ddtp}};
      plain_d |= {10'd0, cq_ppn_q, 5'd0, cq_log2sz_1_q} & {64{rd_at.cqb}};
      plain_d |= {cqt_q, cq_head_i} & {64{rd_at.cqht}};
      plain_d |= fqb & {64{rd_at.fqb}};
      plain_d |= {fq_tail_i, fq_cfg_o.index} & {64{rd_at.fqht}};
      plain_d |= pqb & {64{rd_at.pqb}};
      plain_d |= {pq_tail_i, pq_cfg_o.index} & {64{rd_at.pqht}};
      plain_d |= {fqcsr, 14'd0, cq_busy, cq_on_i, 4'd0, fence_w_ip_q, cmd_ill_q, cmd_to_q, cqmf_q, 6'd0, cie_q, cqen_q} &
                 {64{rd_at.csr}};
      plain_d |= {28'd0, ipsr_q, pqcsr} & {64{rd_at.ipsr}};
      plain_d |= 64'({4'd0, qosid_q.mcid, 4'd0, qosid_q.rcid}) & {64{rd_at.qos}};
      plain_d |= 64'(icvec_q) & {64{rd_at.icvec}};
    end
  end
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_plain (.clk_i, .d_i(plain_d), .q_o(plain));
  assign rd_data = plain | other;

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
      if (rd) begin
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
  `IOMMU_ASSERT(CommandQueueStopsOnError, $onehot0({cq_set_mf_i, cq_set_ill_i, cq_set_to_i}))
  `IOMMU_ASSERT(EventsOnlyWhileOn,
                cq_on_i || !(cq_set_mf_i || cq_set_ill_i || cq_set_to_i || cq_set_fence_i))
  `IOMMU_ASSERT(TailInsideQueue, (cqt_q & ~queue_mask(cq_log2sz_1_q)) == '0)

  `IOMMU_FSM(ddtp_state_e, ddtp_state_q)
  `IOMMU_ARC(DdtpStable, DdtpHandOver)
  `IOMMU_ARC(DdtpHandOver, DdtpDrain)
  `IOMMU_ARC(DdtpHandOver, DdtpStable)
  `IOMMU_ARC(DdtpDrain, DdtpStable)
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Command queue and fault queue of the stub IOMMU, and the memory port that
// they share. One command at a time, fetched when the one before has ended;
// there are no caches, so invalidations have nothing to do.

module stub_queues (
    input  logic         clk_i,
    input  logic         rst_ni,
    input  logic [5:0]   pas_i,
    // command queue, from and to the registers
    input  logic         cq_en_i,
    input  logic         cq_clear_i,
    input  logic         cq_stall_i,
    input  logic [55:0]  cq_base_i,
    input  logic [31:0]  cq_mask_i,
    input  logic [31:0]  cqt_i,
    output logic [31:0]  cqh_o,
    output logic         cq_on_o,
    output logic         cq_mf_o,
    output logic         cq_ill_o,
    output logic         cq_wip_o,
    // fault queue, from and to the registers
    input  logic         fq_en_i,
    input  logic         fq_clear_i,
    input  logic         fq_stall_i,
    input  logic [55:0]  fq_base_i,
    input  logic [31:0]  fq_mask_i,
    input  logic [31:0]  fqh_i,
    output logic [31:0]  fqt_o,
    output logic         fq_on_o,
    output logic         fq_mf_o,
    output logic         fq_of_o,
    output logic         fq_new_o,
    // faults of the data path
    input  logic         rd_fault_valid_i,
    output logic         rd_fault_ready_o,
    input  logic [127:0] rd_fault_i,
    input  logic         wr_fault_valid_i,
    output logic         wr_fault_ready_o,
    input  logic [127:0] wr_fault_i,
    // IOFENCE.C
    output logic         fence_start_o,  // pulse
    output logic         fence_pr_o,
    output logic         fence_pw_o,
    input  logic         fence_busy_i,
    // memory
    output logic         awvalid_o,
    input  logic         awready_i,
    output logic [63:0]  awaddr_o,
    output logic [7:0]   awlen_o,
    output logic [2:0]   awsize_o,
    output logic         wvalid_o,
    input  logic         wready_i,
    output logic [63:0]  wdata_o,
    output logic [7:0]   wstrb_o,
    output logic         wlast_o,
    input  logic         bvalid_i,
    output logic         bready_o,
    input  logic [1:0]   bresp_i,
    output logic         arvalid_o,
    input  logic         arready_i,
    output logic [63:0]  araddr_o,
    input  logic         rvalid_i,
    output logic         rready_o,
    input  logic [63:0]  rdata_i,
    input  logic [1:0]   rresp_i,
    input  logic         rlast_i,
    input  logic         rpoison_i
);
  // Whether an address is beyond the physical address size.
  function automatic logic beyond(logic [63:0] addr, logic [5:0] pas);
    return (addr >> pas) != 64'd0;
  endfunction

  // ---------------------------------------------------------------- commands
  typedef enum logic [2:0] {CIdle, CAddr, CData, CExec, CFence, CWait, CWrite} cstate_e;
  cstate_e      cstate_q;
  logic [127:0] cmd_q;
  logic         second_q, bad_q;
  logic         cq_run, legal, is_fence, complete, store_go, store_done, store_bad;
  logic [63:0]  cmd_addr, store_addr;

  assign cmd_addr   = {8'd0, cq_base_i} + {28'd0, cqh_o, 4'd0};
  assign store_addr = {cmd_q[125:64], 2'b00};
  assign cq_run     = cq_on_o && cq_en_i && !cq_stall_i && cqh_o != cqt_i;
  assign is_fence   = cmd_q[6:0] == 7'd2;

  always_comb begin
    legal = 1'b0;
    unique case (cmd_q[6:0])
      // IOTINVAL.VMA, .GVMA: no NL, no S; GVMA knows no PSCID.
      7'd1: legal = cmd_q[9:8] == 2'd0 && !(cmd_q[7] && cmd_q[32]) && !cmd_q[11] &&
                    cmd_q[43:34] == '0 && cmd_q[63:60] == '0 && cmd_q[73:64] == '0 && cmd_q[127:126] == '0;
      // IOFENCE.C
      7'd2: legal = cmd_q[9:7] == 3'd0 && cmd_q[31:14] == '0 && cmd_q[127:126] == '0;
      // IODIR.INVAL_DDT; INVAL_PDT is unsupported, there are no process directories.
      7'd3: legal = cmd_q[9:7] == 3'd0 && cmd_q[32:10] == '0 && cmd_q[39:34] == '0 && cmd_q[127:64] == '0;
      default: ;
    endcase
  end

  assign complete = (cstate_q == CExec && !bad_q && legal && !is_fence) ||
                    (cstate_q == CWait && !fence_busy_i && !cmd_q[10]) ||
                    (cstate_q == CWrite && store_done && !store_bad);
  assign cq_mf_o  = (cstate_q == CIdle && cq_run && beyond(cmd_addr, pas_i)) ||
                    (cstate_q == CExec && bad_q) ||
                    (cstate_q == CWait && !fence_busy_i && cmd_q[10] && beyond(store_addr, pas_i)) ||
                    (cstate_q == CWrite && store_done && store_bad);
  assign cq_ill_o = cstate_q == CExec && !bad_q && !legal;
  assign cq_wip_o = complete && is_fence && cmd_q[11];

  assign fence_start_o = cstate_q == CFence;
  assign fence_pr_o    = cmd_q[12];
  assign fence_pw_o    = cmd_q[13];
  assign store_go      = cstate_q == CWrite;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cstate_q <= CIdle;
      cmd_q    <= '0;
      second_q <= 1'b0;
      bad_q    <= 1'b0;
      cqh_o    <= '0;
      cq_on_o  <= 1'b0;
    end else begin
      if (cq_clear_i) cqh_o <= '0;
      else if (complete) cqh_o <= (cqh_o + 32'd1) & cq_mask_i;
      // Off only when nothing is under way.
      if (cstate_q == CIdle) cq_on_o <= cq_en_i;
      unique case (cstate_q)
        CIdle: begin
          second_q <= 1'b0;
          bad_q    <= 1'b0;
          if (cq_run && !cq_mf_o) cstate_q <= CAddr;
        end
        CAddr: if (arready_i) cstate_q <= CData;
        CData: begin
          if (rvalid_i) begin
            second_q <= 1'b1;
            bad_q    <= bad_q || rresp_i[1] || rpoison_i;
            if (second_q) cmd_q[127:64] <= rdata_i;
            else cmd_q[63:0] <= rdata_i;
            if (rlast_i) cstate_q <= CExec;
          end
        end
        CExec:  cstate_q <= (!bad_q && legal && is_fence) ? CFence : CIdle;
        CFence: cstate_q <= CWait;
        CWait: begin
          if (!fence_busy_i) cstate_q <= (cmd_q[10] && !beyond(store_addr, pas_i)) ? CWrite : CIdle;
        end
        default: if (store_done) cstate_q <= CIdle;
      endcase
    end
  end

  assign arvalid_o = cstate_q == CAddr;
  assign araddr_o  = cmd_addr;
  assign rready_o  = cstate_q == CData;

  // ---------------------------------------------------------------- fault records
  typedef enum logic [1:0] {FIdle, FStore} fstate_e;
  fstate_e      fstate_q;
  logic [127:0] fault_q;
  logic         any_fault, keep, turn_q, pick_wr, full, record_done, record_bad;
  logic [63:0]  record_addr;

  assign any_fault   = rd_fault_valid_i || wr_fault_valid_i;
  assign pick_wr     = wr_fault_valid_i && (turn_q || !rd_fault_valid_i);
  assign full        = ((fqt_o + 32'd1) & fq_mask_i) == fqh_i;
  assign record_addr = {8'd0, fq_base_i} + {27'd0, fqt_o, 5'd0};
  // A queue that is off or stands on an error drops what comes.
  assign keep        = fq_on_o && fq_en_i && !fq_stall_i;

  assign rd_fault_ready_o = fstate_q == FIdle && any_fault && !pick_wr;
  assign wr_fault_ready_o = fstate_q == FIdle && any_fault && pick_wr;
  assign fq_of_o  = fstate_q == FIdle && any_fault && keep && full;
  assign fq_mf_o  = (fstate_q == FIdle && any_fault && keep && !full && beyond(record_addr, pas_i)) ||
                    (fstate_q == FStore && record_done && record_bad);
  assign fq_new_o = fstate_q == FStore && record_done && !record_bad;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fstate_q <= FIdle;
      fault_q  <= '0;
      turn_q   <= 1'b0;
      fqt_o    <= '0;
      fq_on_o  <= 1'b0;
    end else begin
      if (fq_clear_i) fqt_o <= '0;
      else if (fq_new_o) fqt_o <= (fqt_o + 32'd1) & fq_mask_i;
      if (fstate_q == FIdle) begin
        fq_on_o <= fq_en_i;  // off only when no record is under way
        if (any_fault) begin
          turn_q  <= !pick_wr;
          fault_q <= pick_wr ? wr_fault_i : rd_fault_i;
          if (keep && !full && !beyond(record_addr, pas_i)) fstate_q <= FStore;
        end
      end else if (record_done) begin
        fstate_q <= FIdle;
      end
    end
  end

  // ---------------------------------------------------------------- stores, records first
  typedef enum logic [1:0] {SIdle, SSend, SAnswer} sstate_e;
  sstate_e    sstate_q;
  logic       for_record_q, aw_done_q, w_done_q, answered;
  logic [1:0] beat_q;
  logic       upper;

  assign answered    = sstate_q == SAnswer && bvalid_i;
  assign record_done = answered && for_record_q;
  assign store_done  = answered && !for_record_q;
  assign record_bad  = bresp_i[1];
  assign store_bad   = bresp_i[1];
  assign upper       = store_addr[2];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sstate_q     <= SIdle;
      for_record_q <= 1'b0;
      aw_done_q    <= 1'b0;
      w_done_q     <= 1'b0;
      beat_q       <= '0;
    end else begin
      unique case (sstate_q)
        SIdle: begin
          aw_done_q    <= 1'b0;
          w_done_q     <= 1'b0;
          beat_q       <= '0;
          for_record_q <= fstate_q == FStore;
          if (fstate_q == FStore || store_go) sstate_q <= SSend;
        end
        SSend: begin
          if (awready_i) aw_done_q <= 1'b1;
          if (wvalid_o && wready_i) begin
            beat_q <= beat_q + 2'd1;
            if (wlast_o) w_done_q <= 1'b1;
          end
          if ((aw_done_q || awready_i) && (w_done_q || (wready_i && wlast_o))) sstate_q <= SAnswer;
        end
        default: if (bvalid_i) sstate_q <= SIdle;
      endcase
    end
  end

  assign awvalid_o = sstate_q == SSend && !aw_done_q;
  assign awaddr_o  = for_record_q ? record_addr : store_addr;
  assign awlen_o   = for_record_q ? 8'd3 : 8'd0;
  assign awsize_o  = for_record_q ? 3'd3 : 3'd2;
  assign wvalid_o  = sstate_q == SSend && !w_done_q;
  assign wlast_o   = !for_record_q || beat_q == 2'd3;
  assign wstrb_o   = for_record_q ? 8'hff : upper ? 8'hf0 : 8'h0f;
  assign bready_o  = sstate_q == SAnswer;

  always_comb begin
    wdata_o = 64'd0;  // custom, reserved, iotval2
    if (!for_record_q) wdata_o = upper ? {cmd_q[63:32], 32'd0} : {32'd0, cmd_q[63:32]};
    else if (beat_q == 2'd0) wdata_o = fault_q[63:0];
    else if (beat_q == 2'd2) wdata_o = fault_q[127:64];
  end

  // SLVERR and DECERR have bit 1 set.
  logic unused;
  assign unused = rresp_i[0] ^ bresp_i[0];
endmodule

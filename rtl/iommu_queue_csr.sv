// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Registers of a queue into which the IOMMU writes records (fault queue,
// page-request queue): base, software's head, control and status. Sections
// "Fault queue base", "Fault queue head", "Fault queue CSR" and those of the
// page-request queue, which are the same.
//
// A write of the CSR while it is busy is ignored. An event in the cycle of a
// clearing write comes after it: the bit stays.

`include "iommu_macros.svh"

module iommu_queue_csr
  import iommu_pkg::*;
(
    input  logic        clk_i,         // clock
    input  logic        rst_ni,        // asynchronous reset, active low

    // writes, for a cycle each
    input  logic [1:0]  wr_base_i,     // {high, low} half of the base register
    input  logic        wr_head_i,
    input  logic        wr_csr_i,
    input  logic [63:0] base_i,        // value of a base write
    input  logic [31:0] head_i,        // of a head write
    input  logic [31:0] csr_i,         // of a CSR write

    // read values
    output logic [63:0] base_o,
    output logic [31:0] csr_o,

    // the queue
    output queue_cfg_t  cfg_o,         // base, size, head, enable
    output logic        clear_o,       // pulse: the enable bit goes from 0 to 1
    input  logic        on_i,          // it is active
    input  logic        set_of_i,      // pulse: overflow
    input  logic        set_mf_i,      // pulse: memory fault
    input  logic        record_i,      // pulse: a record is in memory and the tail has moved

    // interrupt pending
    output logic        irq_set_o,     // its condition holds
    input  logic        irq_clr_i      // software clears it in this cycle
);

  logic            en_q, ie_q, mf_q, of_q;
  logic            record_q;  // a new record, not yet seen by the interrupt
  logic [4:0]      log2sz_1_q;
  logic [PpnW-1:0] ppn_q;
  logic [31:0]     head_q;
  logic            busy, wr_csr;

  assign busy    = en_q != on_i;
  assign wr_csr  = wr_csr_i && !busy;
  assign clear_o = wr_csr && csr_i[0] && !en_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      log2sz_1_q <= '0;
      ppn_q      <= '0;
      head_q     <= '0;
    end else begin
      if (wr_base_i[1]) ppn_q[43:22] <= base_i[53:32];
      if (wr_base_i[0]) begin
        ppn_q[21:0] <= base_i[31:10];
        log2sz_1_q  <= base_i[4:0];
        head_q      <= head_q & queue_mask(base_i[4:0]);
      end
      if (wr_head_i) head_q <= head_i & queue_mask(log2sz_1_q);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      en_q     <= 1'b0;
      ie_q     <= 1'b0;
      mf_q     <= 1'b0;
      of_q     <= 1'b0;
      record_q <= 1'b0;
    end else begin
      if (wr_csr) begin
        en_q <= csr_i[0];
        ie_q <= csr_i[1];
        if (clear_o || csr_i[8]) mf_q <= 1'b0;
        if (clear_o || csr_i[9]) of_q <= 1'b0;
      end
      if (set_mf_i) mf_q <= 1'b1;
      if (set_of_i) of_q <= 1'b1;
      record_q <= (record_i && ie_q) || (record_q && irq_clr_i);
    end
  end

  assign irq_set_o = (ie_q && (mf_q || of_q)) || record_q;
  assign cfg_o     = '{en: en_q, error: mf_q || of_q, mf: mf_q, index: head_q, log2sz_1: log2sz_1_q, ppn: ppn_q};

  always_comb begin
    base_o        = '0;
    base_o[53:10] = ppn_q;
    base_o[4:0]   = log2sz_1_q;
    csr_o         = '0;
    csr_o[0]      = en_q;
    csr_o[1]      = ie_q;
    csr_o[8]      = mf_q;
    csr_o[9]      = of_q;
    csr_o[16]     = on_i;
    csr_o[17]     = busy;
  end

  // Reserved bits.
  logic unused;
  assign unused = ^{base_i[63:54], base_i[9:5], csr_i[31:10], csr_i[7:2]};

  `IOMMU_ASSERT(RecordsOnlyWhileOn, on_i || !(set_mf_i || set_of_i || record_i))
  `IOMMU_ASSERT(HeadInsideQueue, (head_q & ~queue_mask(log2sz_1_q)) == '0)

endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Process-directory cache: process contexts that have passed their checks, fully
// associative by device_id and process_id. Lookup is combinational; a fill
// overwrites the entry that the lookup of the same cycle hits, or the victim.
// The pipeline does a lookup, a fill or an invalidation in a cycle.

`include "iommu_macros.svh"

module iommu_pdtc
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16  // process contexts kept
) (
    input  logic                  clk_i,      // clock
    input  logic                  rst_ni,     // asynchronous reset, active low
    input  logic                  lookup_i,   // look up; without it nothing hits
    input  logic [DeviceIdW-1:0]  did_i,      // looked up, and filled
    input  logic [ProcessIdW-1:0] pid_i,
    output logic                  hit_o,
    output pc_t                   pc_o,       // valid when hit
    input  logic                  touch_i,    // the hit is used
    input  logic                  fill_i,     // keep fill_pc_i for did_i, pid_i
    input  pc_t                   fill_pc_i,
    input  logic                  inv_i,      // invalidate: every entry,
    input  logic                  inv_did_valid_i,  // or those of this device,
    input  logic [DeviceIdW-1:0]  inv_did_i,
    input  logic                  inv_pid_valid_i,  // or of this process of it
    input  logic [ProcessIdW-1:0] inv_pid_i
);

  logic [Entries-1:0]                 valid_q, valid_d;
  logic [Entries-1:0]                 used_q, used_d;  // recently
  logic [Entries-1:0][DeviceIdW-1:0]  did_q;
  logic [Entries-1:0][ProcessIdW-1:0] pid_q;
  pc_t                                pc_q[Entries];

  logic [Entries-1:0] match, victim, write;

  always_comb begin
    match = '0;
    if (lookup_i && (valid_q != '0)) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match[i] = valid_q[i] && (did_q[i] == did_i) && (pid_q[i] == pid_i);
      end
    end
  end
  assign hit_o = |match;

  always_comb begin
    pc_o = '0;
    for (int unsigned i = 0; i < Entries; i++) if (match[i]) pc_o = pc_o | pc_q[i];
  end

  // Victim: the first free entry, else the first not used recently.
  logic [Entries-1:0] candidate;
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  assign victim    = candidate & (~candidate + 1'b1);
  assign write     = fill_i ? (hit_o ? match : victim) : '0;

  always_comb begin
    valid_d = valid_q | write;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if ((!inv_did_valid_i || (did_q[i] == inv_did_i)) && (!inv_pid_valid_i || (pid_q[i] == inv_pid_i))) begin
          valid_d[i] = 1'b0;
        end
      end
    end
    used_d = used_q | write | (touch_i ? match : '0);
    if (&used_d) used_d = write | (touch_i ? match : '0);
    if (&used_d) used_d = '0;  // a single entry
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      used_q  <= '0;
    end else begin
      valid_q <= valid_d;
      used_q  <= used_d;
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Entries; i++) begin
      if (write[i]) begin
        did_q[i] <= did_i;
        pid_q[i] <= pid_i;
        pc_q[i]  <= fill_pc_i;
      end
    end
  end

  `IOMMU_ASSERT(PdtcHitOneHot, $onehot0(match))
  `IOMMU_ASSERT(PdtcFillXorInvalidate, !(fill_i && inv_i))
  `IOMMU_ASSERT(PdtcVictimExists, !fill_i || (write != '0))
endmodule

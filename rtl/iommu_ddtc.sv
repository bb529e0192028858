// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Device-directory cache: device contexts that have passed their checks, fully
// associative by device_id. Lookup is combinational; a fill overwrites the
// entry that the lookup of the same cycle hits, or the victim. Lookup, fill and
// invalidation of one cycle never disagree: the pipeline does one of them.

`include "iommu_macros.svh"

module iommu_ddtc
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16  // device contexts kept
) (
    input  logic                 clk_i,      // clock
    input  logic                 rst_ni,     // asynchronous reset, active low
    input  logic [DeviceIdW-1:0] did_i,      // looked up, and filled
    output logic                 hit_o,
    output dc_t                  dc_o,       // valid when hit
    input  logic                 touch_i,    // the hit is used
    input  logic                 fill_i,     // keep fill_dc_i for did_i
    input  dc_t                  fill_dc_i,
    input  logic                 inv_i,      // invalidate: every entry,
    input  logic                 inv_did_valid_i,  // or that of
    input  logic [DeviceIdW-1:0] inv_did_i
);

  logic [Entries-1:0]                valid_q, valid_d;
  logic [Entries-1:0]                used_q, used_d;  // recently
  logic [Entries-1:0][DeviceIdW-1:0] did_q;
  dc_t                               dc_q[Entries];

  logic [Entries-1:0] match, victim, write;

  always_comb begin
    for (int unsigned i = 0; i < Entries; i++) match[i] = valid_q[i] && (did_q[i] == did_i);
  end
  assign hit_o = |match;

  always_comb begin
    dc_o = '0;
    for (int unsigned i = 0; i < Entries; i++) if (match[i]) dc_o = dc_o | dc_q[i];
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
        if (!inv_did_valid_i || (did_q[i] == inv_did_i)) valid_d[i] = 1'b0;
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
        dc_q[i]  <= fill_dc_i;
      end
    end
  end

  `IOMMU_ASSERT(DdtcHitOneHot, $onehot0(match))
  `IOMMU_ASSERT(DdtcFillXorInvalidate, !(fill_i && inv_i))
  `IOMMU_ASSERT(DdtcVictimExists, !fill_i || (write != '0))
endmodule

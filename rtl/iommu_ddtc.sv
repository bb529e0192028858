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
    parameter int unsigned Entries    = 16,   // device contexts kept
    parameter bit          TimingCuts = 1'b0  // registers behind the comparison and before the reading; inputs stand for those cycles too
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

  localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1;

  logic [DeviceIdW-1:0] did_q[Entries];
  dc_t                  dc_q [Entries];

  logic [Entries-1:0] valid, match_d, match, same_did_d, same_did, drop;
  logic [IndexW-1:0]  hit_index, fill_index;
  logic               fill_now;

  always_comb begin
    for (int unsigned i = 0; i < Entries; i++) match_d[i] = valid[i] && (did_q[i] == did_i);
  end
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_match (.clk_i, .d_i(match_d), .q_o(match));
  assign hit_o = |match;
  assign dc_o  = dc_q[hit_index];

  always_comb begin
    same_did_d = '0;
    if (TimingCuts || inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) same_did_d[i] = !inv_did_valid_i || (did_q[i] == inv_did_i);
    end
  end
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_drop (.clk_i, .d_i(same_did_d), .q_o(same_did));
  assign drop = inv_i ? same_did : '0;

  iommu_replace #(
      .Entries(Entries),
      .Cut    (TimingCuts)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (match),
      .hit_index_o (hit_index),
      .touch_i     (touch_i),
      .fill_i      (fill_i),
      .same_i      (match),
      .fill_o      (fill_now),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  always_ff @(posedge clk_i) begin
    if (fill_now) begin
      did_q[fill_index] <= did_i;
      dc_q[fill_index]  <= fill_dc_i;
    end
  end

  `IOMMU_ASSERT(DdtcFillXorInvalidate, !(fill_i && inv_i))
endmodule

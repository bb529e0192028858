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
    parameter int unsigned Entries    = 16,   // process contexts kept
    parameter bit          TimingCuts = 1'b0  // registers behind the comparison and before the reading; inputs stand for those cycles too
) (
    input  logic                  clk_i,      // clock
    input  logic                  rst_ni,     // asynchronous reset, active low
    input  logic                  lookup_i,   // look up; without it nothing hits, or with TimingCuts what hits is not used
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

  localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1;

  logic [DeviceIdW-1:0]  did_q[Entries];
  logic [ProcessIdW-1:0] pid_q[Entries];
  pc_t                   pc_q [Entries];

  logic [Entries-1:0] valid, match_d, match, reached_d, reached, drop;
  logic [IndexW-1:0]  hit_index, fill_index;
  logic               fill_now;

  always_comb begin
    match_d = '0;
    if (TimingCuts || (lookup_i && (valid != '0))) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match_d[i] = valid[i] && (did_q[i] == did_i) && (pid_q[i] == pid_i);
      end
    end
  end
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_match (.clk_i, .d_i(match_d), .q_o(match));
  assign hit_o = |match;
  assign pc_o  = pc_q[hit_index];

  always_comb begin
    reached_d = '0;
    if (TimingCuts || inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        reached_d[i] = (!inv_did_valid_i || (did_q[i] == inv_did_i)) && (!inv_pid_valid_i || (pid_q[i] == inv_pid_i));
      end
    end
  end
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_drop (.clk_i, .d_i(reached_d), .q_o(reached));
  assign drop = inv_i ? reached : '0;

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
      pid_q[fill_index] <= pid_i;
      pc_q[fill_index]  <= fill_pc_i;
    end
  end

  `IOMMU_ASSERT(PdtcFillXorInvalidate, !(fill_i && inv_i))
endmodule

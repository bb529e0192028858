// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Walk cache of one stage: non-leaf PTEs that walks have read, fully associative
// by address space, level and the part of the address above it. A lookup gives
// the lowest table that is known. Combinational; the step pipeline does a lookup
// or a fill in a cycle, invalidation goes before both. With TimingCuts there is a
// register behind the comparison: a lookup's answer, and a fill, come a cycle
// after lookup_i or fill_i, for space_i, vpn_i and fill_* that stand still.

`include "iommu_macros.svh"

module iommu_walk_cache
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16,  // pointers kept
    parameter bit Second = 1'b0,          // of the second stage: the first stage is no part of the tag
    parameter bit TimingCuts = 1'b0       // a register between comparison and answer
) (
    input  logic              clk_i,      // clock
    input  logic              rst_ni,     // asynchronous reset, active low
    input  space_t            space_i,    // looked up, and filled
    input  logic [VpnW-1:0]   vpn_i,
    input  logic              lookup_i,   // look up; without it nothing hits
    output logic              hit_o,
    output logic [LevelW-1:0] level_o,    // of the table at ppn_o; all valid when hit
    output logic [PpnW-1:0]   ppn_o,
    output logic              glob_o,
    input  logic              fill_i,     // keep a pointer
    input  logic [LevelW-1:0] fill_level_i,  // of the table that it points to
    input  logic [PpnW-1:0]   fill_ppn_i,
    input  logic              fill_glob_i,
    input  logic              inv_i,
    input  reach_t            inv_reach_i
);

  localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1;
  localparam int unsigned Levels = 4;  // of tables that a pointer leads to

  // The tag, which all entries compare at once.
  logic [1:0]         level_q[Entries];
  space_t             space_q[Entries];
  logic [VpnW-1:0]    vpn_q  [Entries];  // zero in the bits below
  logic [Entries-1:0] glob_q;

  // Read and written by index.
  logic [PpnW-1:0]    ppn_q[Entries];

  space_t   space;
  pt_mode_e mode;
  always_comb begin
    space = space_i;
    if (Second) begin
      space.fs_mode = PtBare;
      space.pscid   = '0;
    end
  end
  assign mode = Second ? space.gs_mode : space.fs_mode;

  logic [Entries-1:0] valid, best, same, drop;
  logic [IndexW-1:0]  hit_index, fill_index;

  // Entries that match the address; by level, and the one of the lowest level.
  logic [Entries-1:0] match_d, match, at_level[Levels];
  logic [VpnW-1:0]    below[Levels];
  always_comb begin
    match_d = '0;
    for (int unsigned l = 0; l < Levels; l++) below[l] = '0;
    if (lookup_i && (valid != '0)) begin
      for (int unsigned l = 0; l < Levels; l++) below[l] = table_mask(mode, LevelW'(l));
      for (int unsigned i = 0; i < Entries; i++) begin
        match_d[i] = valid[i] && (space_q[i] == space) && (((vpn_q[i] ^ vpn_i) & ~below[level_q[i]]) == '0);
      end
    end
  end
  always_comb begin
    best = '0;
    for (int unsigned l = 0; l < Levels; l++) at_level[l] = '0;
    if (match != '0) begin
      for (int unsigned i = 0; i < Entries; i++) at_level[level_q[i]][i] = match[i];
      for (int unsigned l = Levels; l > 0; l--) begin
        if (at_level[l-1] != '0) best = at_level[l-1] & (~at_level[l-1] + 1'b1);
      end
    end
  end
  assign hit_o   = |best;
  assign level_o = LevelW'(level_q[hit_index]);
  assign ppn_o   = ppn_q[hit_index];
  assign glob_o  = glob_q[hit_index];

  // A fill replaces the pointer of the same place.
  logic               fill, fill_now;
  logic [Entries-1:0] same_d;
  logic [VpnW-1:0]    fill_vpn;
  assign fill     = fill_now && !inv_i;
  assign fill_vpn = vpn_i & ~table_mask(mode, fill_level_i);
  always_comb begin
    same_d = '0;
    if (fill_i && (TimingCuts || !inv_i)) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        same_d[i] = valid[i] && (space_q[i] == space) && (level_q[i] == fill_level_i[1:0]) && (vpn_q[i] == fill_vpn);
      end
    end
  end

  if (TimingCuts) begin : gen_cut
    logic               fill_q;
    logic [Entries-1:0] match_q, same_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fill_q  <= 1'b0;
        match_q <= '0;
        same_q  <= '0;
      end else begin
        fill_q  <= fill_i;
        match_q <= match_d;
        same_q  <= same_d;
      end
    end
    // An invalidation may have come in between.
    assign fill_now = fill_q;
    assign match    = match_q & valid;
    assign same     = same_q & valid;
  end else begin : gen_no_cut
    assign fill_now = fill_i;
    assign match    = match_d;
    assign same     = same_d;
  end

  always_comb begin
    drop = '0;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        drop[i] = reaches(inv_reach_i, space_q[i], glob_q[i], vpn_q[i],
                          table_mask(Second ? space_q[i].gs_mode : space_q[i].fs_mode, LevelW'(level_q[i])));
      end
    end
  end

  iommu_replace #(
      .Entries(Entries)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (best),
      .hit_index_o (hit_index),
      .touch_i     (1'b1),
      .fill_i      (fill),
      .same_i      (same),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  always_ff @(posedge clk_i) begin
    if (fill) begin
      level_q[fill_index] <= fill_level_i[1:0];
      space_q[fill_index] <= space;
      vpn_q[fill_index]   <= fill_vpn;
      ppn_q[fill_index]   <= fill_ppn_i;
      glob_q[fill_index]  <= fill_glob_i;
    end
  end

  `IOMMU_ASSERT(WalkCacheLookupXorFill, !(lookup_i && fill_i))
  `IOMMU_ASSERT(WalkCacheLevel, !fill_i || (fill_level_i < LevelW'(Levels)))
endmodule

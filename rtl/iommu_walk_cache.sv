// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Walk cache of one stage: non-leaf PTEs that walks have read, fully associative
// by address space, level and the part of the address above it. A lookup gives
// the lowest table that is known. Combinational; the step pipeline does a lookup
// or a fill in a cycle, invalidation goes before both. With TimingCuts space_i and
// vpn_i are compared in every cycle, part by part into registers, and stand from the
// cycle before lookup_i or fill_i on: the answer is there two cycles after it, a fill
// is written three after it. An invalidation drops entries two cycles after inv_i,
// and with them all fills that are under way; inv_reach_i stands for a cycle longer.

`include "iommu_macros.svh"

module iommu_walk_cache
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16,  // pointers kept
    parameter bit Second = 1'b0,          // of the second stage: the first stage is no part of the tag
    parameter bit TimingCuts = 1'b0       // registers between comparison and answer
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
  logic               fill, write;  // a fill has found its place; it is written

  // Entries that match the address, and the one of the same place, which a fill replaces.
  typedef logic [Entries-1:0] set_t;
  set_t            match_d, match, same_d;
  logic [VpnW-1:0] fill_vpn;
  assign fill_vpn = vpn_i & ~table_mask(mode, fill_level_i);
  if (TimingCuts) begin : gen_compare_cut
    // One comparison for both, part by part. What an entry leaves open follows from its
    // own mode, which is the one looked up where the address space is the same.
    set_t            same_space_q, same_vpn_q;
    logic [VpnW-1:0] open_bits[Entries];
    for (genvar i = 0; i < Entries; i++) begin : gen_open
      iommu_cut #(.T(logic [VpnW-1:0]), .Cut(1'b1)) u_cut (
          .clk_i, .d_i(table_mask(Second ? space_q[i].gs_mode : space_q[i].fs_mode, LevelW'(level_q[i]))), .q_o(open_bits[i])
      );
    end
    always_ff @(posedge clk_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        same_space_q[i] <= space_q[i] == space;
        same_vpn_q[i]   <= ((vpn_q[i] ^ vpn_i) & ~open_bits[i]) == '0;
      end
    end
    always_comb begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match_d[i] = lookup_i && valid[i] && same_space_q[i] && same_vpn_q[i];
        same_d[i]  = fill_i && valid[i] && same_space_q[i] && same_vpn_q[i] && (level_q[i] == fill_level_i[1:0]);
      end
    end
  end else begin : gen_compare
    logic [VpnW-1:0] below[Levels];
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
      same_d = '0;
      if (fill_i && !inv_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          same_d[i] = valid[i] && (space_q[i] == space) && (level_q[i] == fill_level_i[1:0]) && (vpn_q[i] == fill_vpn);
        end
      end
    end
  end
  // The one of the lowest level.
  if (TimingCuts) begin : gen_best_cut
    // Who goes before whom is known before the lookup: levels change with fills only.
    set_t before_q[Entries];
    for (genvar i = 0; i < Entries; i++) begin : gen_entry
      set_t before_d;
      always_comb begin
        for (int unsigned j = 0; j < Entries; j++) begin
          before_d[j] = {level_q[j], IndexW'(j)} < {level_q[i], IndexW'(i)};
        end
      end
      always_ff @(posedge clk_i) before_q[i] <= before_d;
      assign best[i] = match[i] && ((match & before_q[i]) == '0);
    end
  end else begin : gen_best
    set_t at_level[Levels];
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
  end
  assign level_o = LevelW'(level_q[hit_index]);
  assign ppn_o   = ppn_q[hit_index];
  assign glob_o  = glob_q[hit_index];

  if (TimingCuts) begin : gen_cut
    logic [1:0] fill_q, inv_q;
    logic       hit_q;
    set_t       match_q, same_q;
    reached_t   reached_q[Entries];
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fill_q  <= '0;
        inv_q   <= '0;
        match_q <= '0;
        same_q  <= '0;
        hit_q   <= 1'b0;
      end else begin
        fill_q  <= inv_i ? '0 : {fill_q[0], fill_i};
        inv_q   <= {inv_q[0], inv_i};
        match_q <= match_d;
        same_q  <= same_d;
        hit_q   <= best != '0;
      end
    end
    // An invalidation may have come in between.
    assign fill  = fill_q[1] && !inv_i;
    assign match = match_q & valid;
    assign same  = same_q & valid;
    assign hit_o = hit_q;

    // The parts of `reaches` a cycle before they meet.
    always_ff @(posedge clk_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        reached_q[i] <= reached_parts(inv_reach_i, space_q[i], glob_q[i], vpn_q[i],
                                      table_mask(Second ? space_q[i].gs_mode : space_q[i].fs_mode, LevelW'(level_q[i])));
      end
    end
    always_comb begin
      drop = '0;
      for (int unsigned i = 0; i < Entries; i++) drop[i] = inv_q[1] && (&reached_q[i]);
    end
    `IOMMU_ASSERT(WalkCacheNoWriteIntoDrop, !(write && (inv_q != '0)))
  end else begin : gen_no_cut
    assign fill  = fill_i && !inv_i;
    assign match = match_d;
    assign same  = same_d;
    assign hit_o = best != '0;
    always_comb begin
      drop = '0;
      if (inv_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          drop[i] = reaches(inv_reach_i, space_q[i], glob_q[i], vpn_q[i],
                            table_mask(Second ? space_q[i].gs_mode : space_q[i].fs_mode, LevelW'(level_q[i])));
        end
      end
    end
  end

  iommu_replace #(
      .Entries(Entries),
      .Cut    (TimingCuts)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (best),
      .hit_index_o (hit_index),
      .touch_i     (1'b1),
      .fill_i      (fill),
      .same_i      (same),
      .fill_o      (write),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  always_ff @(posedge clk_i) begin
    if (write) begin
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

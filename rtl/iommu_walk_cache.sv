// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Walk cache of one stage: non-leaf PTEs that walks have read, fully associative
// by address space, level and the part of the address above it. A lookup gives
// the lowest table that is known. Combinational; the step pipeline does a lookup
// or a fill in a cycle, invalidation goes before both.

`include "iommu_macros.svh"

module iommu_walk_cache
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16,  // pointers kept
    parameter bit Second = 1'b0           // of the second stage: the first stage is no part of the tag
) (
    input  logic              clk_i,      // clock
    input  logic              rst_ni,     // asynchronous reset, active low
    input  space_t            space_i,    // looked up, and filled
    input  logic [VpnW-1:0]   vpn_i,
    input  logic              lookup_i,   // look up; without it nothing hits
    output logic              hit_o,
    output logic [LevelW-1:0] level_o,    // of the table at ppn_o
    output logic [PpnW-1:0]   ppn_o,
    output logic              glob_o,
    input  logic              fill_i,     // keep a pointer
    input  logic [LevelW-1:0] fill_level_i,  // of the table that it points to
    input  logic [PpnW-1:0]   fill_ppn_i,
    input  logic              fill_glob_i,
    input  logic              inv_i,
    input  reach_t            inv_reach_i
);

  localparam int unsigned Levels = 4;  // of tables that a pointer leads to

  typedef struct packed {
    logic [1:0]        level;
    space_t            space;
    logic [VpnW-1:0]   vpn;   // zero in the bits below
    logic [PpnW-1:0]   ppn;
    logic              glob;
  } entry_t;

  logic   [Entries-1:0] valid_q, valid_d;
  logic   [Entries-1:0] used_q, used_d;  // recently
  entry_t               entry_q[Entries];

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

  // Entries that match the address, and the one of the lowest level.
  logic [Entries-1:0] match, best, hit;
  always_comb begin
    match = '0;
    best  = '0;
    hit   = '0;
    if (lookup_i && (valid_q != '0)) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match[i] = valid_q[i] && (entry_q[i].space == space) &&
                   (((entry_q[i].vpn ^ vpn_i) & ~table_mask(mode, LevelW'(entry_q[i].level))) == '0);
      end
      for (int unsigned l = Levels; l > 0; l--) begin
        hit = '0;
        for (int unsigned i = 0; i < Entries; i++) hit[i] = match[i] && (entry_q[i].level == 2'(l - 1));
        if (hit != '0) best = hit & (~hit + 1'b1);
      end
    end
    hit_o   = |best;
    level_o = '0;
    ppn_o   = '0;
    glob_o  = 1'b0;
    if (lookup_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (best[i]) begin
          level_o = level_o | LevelW'(entry_q[i].level);
          ppn_o   = ppn_o | entry_q[i].ppn;
          glob_o  = glob_o | entry_q[i].glob;
        end
      end
    end
  end

  // A fill replaces the pointer of the same place, or the victim: the first free
  // entry, else the first not used recently.
  logic [VpnW-1:0]    fill_vpn;
  logic [Entries-1:0] same, candidate, victim, write;
  assign fill_vpn  = vpn_i & ~table_mask(mode, fill_level_i);
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  assign victim    = candidate & (~candidate + 1'b1);
  always_comb begin
    same  = '0;
    write = '0;
    if (fill_i && !inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        same[i] = valid_q[i] && (entry_q[i].space == space) && (entry_q[i].level == fill_level_i[1:0]) &&
                  (entry_q[i].vpn == fill_vpn);
      end
      write = (same != '0) ? same : victim;
    end
  end

  always_comb begin
    valid_d = valid_q | write;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (reaches(inv_reach_i, entry_q[i].space, entry_q[i].glob, entry_q[i].vpn,
                    table_mask(Second ? entry_q[i].space.gs_mode : entry_q[i].space.fs_mode,
                               LevelW'(entry_q[i].level)))) begin
          valid_d[i] = 1'b0;
        end
      end
    end
    used_d = used_q | write | best;
    if (&used_d) used_d = write | best;
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
        entry_q[i] <= '{level: fill_level_i[1:0], space: space, vpn: fill_vpn, ppn: fill_ppn_i, glob: fill_glob_i};
      end
    end
  end

  `IOMMU_ASSERT(WalkCacheSameOneHot, $onehot0(same))
  `IOMMU_ASSERT(WalkCacheLevel, !fill_i || (fill_level_i < LevelW'(Levels)))
endmodule

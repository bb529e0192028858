// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Second-stage leaf PTEs that walks have read, by guest and guest-physical page,
// of any size: most of all those of the pages that hold first-stage tables and
// process directories. Combinational; the step pipeline does a lookup or a fill
// in a cycle, invalidation goes before both. With TimingCuts there is a register
// behind the comparison: a lookup's answer, and a fill, come a cycle after
// lookup_i or fill_i, for space_i, vpn_i and fill_* that stand still.

`include "iommu_macros.svh"

module iommu_gs_tlb
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16,  // pages kept
    parameter bit TimingCuts = 1'b0       // a register between comparison and answer
) (
    input  logic              clk_i,      // clock
    input  logic              rst_ni,     // asynchronous reset, active low
    input  space_t            space_i,    // looked up, and filled; the first stage is no part of the tag
    input  logic [VpnW-1:0]   vpn_i,      // guest-physical page
    input  logic              lookup_i,   // look up; without it nothing hits
    output logic              hit_o,
    output logic [PpnW-1:0]   ppn_o,      // of the 4 KiB page vpn_i; like the rest, valid when hit
    output page_size_t        size_o,
    output logic [1:0]        pbmt_o,
    output pte_perm_t         perm_o,
    input  logic              fill_i,
    input  logic [PpnW-1:0]   fill_ppn_i, // of the 4 KiB page vpn_i
    input  page_size_t        fill_size_i,
    input  logic [1:0]        fill_pbmt_i,
    input  pte_perm_t         fill_perm_i,
    input  logic              inv_i,
    input  reach_t            inv_reach_i
);

  localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1;

  // The tag, which all entries compare at once.
  space_t             space_q[Entries];
  logic [VpnW-1:0]    vpn_q  [Entries];  // zero in the bits inside the page, and so is ppn
  page_size_t         size_q [Entries];

  // The rest is read and written by index.
  logic [PpnW-1:0]    ppn_q [Entries];
  logic [1:0]         pbmt_q[Entries];
  pte_perm_t          perm_q[Entries];

  space_t space;
  always_comb begin
    space         = space_i;
    space.fs_mode = PtBare;
    space.pscid   = '0;
  end

  // Several pages may cover an address when software changed a table without
  // invalidating; any of them is right.
  logic [Entries-1:0] valid, match_d, match, first, drop;
  logic [IndexW-1:0]  hit_index, fill_index;
  logic [VpnW-1:0]    mask;
  always_comb begin
    match_d = '0;
    if ((lookup_i || fill_i) && (valid != '0)) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match_d[i] = valid[i] && (space_q[i] == space) && (((vpn_q[i] ^ vpn_i) & ~page_mask(size_q[i])) == '0);
      end
    end
  end

  logic look_now, fill_now;
  if (TimingCuts) begin : gen_cut
    logic               look_q, fill_q;
    logic [Entries-1:0] match_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        look_q  <= 1'b0;
        fill_q  <= 1'b0;
        match_q <= '0;
      end else begin
        look_q  <= lookup_i;
        fill_q  <= fill_i;
        match_q <= match_d;
      end
    end
    // An invalidation may have come in between.
    assign look_now = look_q;
    assign fill_now = fill_q;
    assign match    = match_q & valid;
  end else begin : gen_no_cut
    assign look_now = lookup_i;
    assign fill_now = fill_i;
    assign match    = match_d;
  end

  assign first  = match & (~match + 1'b1);
  assign hit_o  = look_now && (match != '0);
  assign size_o = size_q[hit_index];
  assign pbmt_o = pbmt_q[hit_index];
  assign perm_o = perm_q[hit_index];
  assign mask   = page_mask(size_o);
  assign ppn_o  = ppn_q[hit_index] | (vpn_i[PpnW-1:0] & mask[PpnW-1:0]);

  always_comb begin
    drop = '0;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        // Both halves of a 4 MiB page go.
        drop[i] = reaches(inv_reach_i, space_q[i], 1'b0, vpn_q[i], page_mask(size_q[i]) | VpnW'({
                          (space_q[i].gs_mode == Pt32) && (size_q[i] != '0), 9'd0}));
      end
    end
  end

  logic fill;
  assign fill = fill_now && !inv_i;
  iommu_replace #(
      .Entries(Entries)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (first),
      .hit_index_o (hit_index),
      .touch_i     (1'b1),
      .fill_i      (fill),
      .same_i      (first),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  logic [VpnW-1:0] fill_mask;
  assign fill_mask = page_mask(fill_size_i);
  always_ff @(posedge clk_i) begin
    if (fill) begin
      space_q[fill_index] <= space;
      vpn_q[fill_index]   <= vpn_i & ~fill_mask;
      size_q[fill_index]  <= fill_size_i;
      ppn_q[fill_index]   <= fill_ppn_i & ~fill_mask[PpnW-1:0];
      pbmt_q[fill_index]  <= fill_pbmt_i;
      perm_q[fill_index]  <= fill_perm_i;
    end
  end

  `IOMMU_ASSERT(GsTlbLookupXorFill, !(lookup_i && fill_i))

  logic unused;
  assign unused = &{1'b0, mask[VpnW-1:PpnW], fill_mask[VpnW-1:PpnW]};
endmodule

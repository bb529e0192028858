// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Second-stage leaf PTEs that walks have read, by guest and guest-physical page,
// of any size: most of all those of the pages that hold first-stage tables and
// process directories. Combinational; the step pipeline does a lookup or a fill
// in a cycle, invalidation goes before both. With TimingCuts there are registers
// as in iommu_walk_cache, at the same times.

`include "iommu_macros.svh"

module iommu_gs_tlb
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16,  // pages kept
    parameter bit TimingCuts = 1'b0       // registers between comparison and answer
) (
    input  logic              clk_i,      // clock
    input  logic              rst_ni,     // asynchronous reset, active low
    input  space_t            space_i,    // looked up, and filled; the first stage is no part of the tag
    input  logic [VpnW-1:0]   vpn_i,      // guest-physical page
    input  logic              lookup_i,   // look up; without it nothing hits
    output logic              hit_o,
    output logic [PpnW-1:0]   ppn_o,      // of the page, 0 in the bits inside it; like the rest, valid when hit
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
  typedef logic [Entries-1:0] set_t;
  set_t              valid, same_space_d, same_space, same_vpn_d, same_vpn, match_d, match, first, drop;
  logic [IndexW-1:0] hit_index, fill_index;
  logic              fill, write;  // a fill has found its place; it is written
  always_comb begin
    same_space_d = '0;
    same_vpn_d   = '0;
    if (TimingCuts || ((lookup_i || fill_i) && (valid != '0))) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        same_space_d[i] = space_q[i] == space;
        same_vpn_d[i]   = ((vpn_q[i] ^ vpn_i) & ~page_mask(size_q[i])) == '0;
      end
    end
  end
  iommu_cut #(.T(set_t), .Cut(TimingCuts)) u_cut_space (.clk_i, .d_i(same_space_d), .q_o(same_space));
  iommu_cut #(.T(set_t), .Cut(TimingCuts)) u_cut_vpn (.clk_i, .d_i(same_vpn_d), .q_o(same_vpn));
  assign match_d = (lookup_i || fill_i) ? valid & same_space & same_vpn : '0;

  // Both halves of a 4 MiB page go.
  function automatic logic [VpnW-1:0] open_bits(input pt_mode_e mode, input page_size_t size);
    return page_mask(size) | VpnW'({(mode == Pt32) && (size != '0), 9'd0});
  endfunction

  if (TimingCuts) begin : gen_cut
    logic [1:0] fill_q, inv_q;
    logic       hit_q;
    set_t       match_q;
    reached_t   reached_q[Entries];
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fill_q  <= '0;
        inv_q   <= '0;
        match_q <= '0;
        hit_q   <= 1'b0;
      end else begin
        fill_q  <= inv_i ? '0 : {fill_q[0], fill_i};
        inv_q   <= {inv_q[0], inv_i};
        match_q <= match_d;
        hit_q   <= match != '0;
      end
    end
    // An invalidation may have come in between.
    assign fill  = fill_q[1] && !inv_i;
    assign match = match_q & valid;
    assign hit_o = hit_q;

    // The parts of `reaches` a cycle before they meet.
    always_ff @(posedge clk_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        reached_q[i] <= reached_parts(inv_reach_i, space_q[i], 1'b0, vpn_q[i],
                                      open_bits(space_q[i].gs_mode, size_q[i]));
      end
    end
    always_comb begin
      drop = '0;
      for (int unsigned i = 0; i < Entries; i++) drop[i] = inv_q[1] && (&reached_q[i]);
    end
    `IOMMU_ASSERT(GsTlbNoWriteIntoDrop, !(write && (inv_q != '0)))
  end else begin : gen_no_cut
    assign fill  = fill_i && !inv_i;
    assign match = match_d;
    assign hit_o = lookup_i && (match != '0);
    always_comb begin
      drop = '0;
      if (inv_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          drop[i] = reaches(inv_reach_i, space_q[i], 1'b0, vpn_q[i], open_bits(space_q[i].gs_mode, size_q[i]));
        end
      end
    end
  end

  assign first  = match & (~match + 1'b1);
  assign size_o = size_q[hit_index];
  assign pbmt_o = pbmt_q[hit_index];
  assign perm_o = perm_q[hit_index];
  assign ppn_o  = ppn_q[hit_index];

  iommu_replace #(
      .Entries(Entries),
      .Cut    (TimingCuts)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (first),
      .hit_index_o (hit_index),
      .touch_i     (1'b1),
      .fill_i      (fill),
      .same_i      (first),
      .fill_o      (write),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  logic [VpnW-1:0] fill_mask;
  assign fill_mask = page_mask(fill_size_i);
  always_ff @(posedge clk_i) begin
    if (write) begin
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
  assign unused = &{1'b0, fill_mask[VpnW-1:PpnW], inv_reach_i.pscid};
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Second-stage leaf PTEs that walks have read, by guest and guest-physical page,
// of any size: most of all those of the pages that hold first-stage tables and
// process directories. Combinational; the step pipeline does a lookup or a fill
// in a cycle, invalidation goes before both.

`include "iommu_macros.svh"

module iommu_gs_tlb
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 16  // pages kept
) (
    input  logic              clk_i,      // clock
    input  logic              rst_ni,     // asynchronous reset, active low
    input  space_t            space_i,    // looked up, and filled; the first stage is no part of the tag
    input  logic [VpnW-1:0]   vpn_i,      // guest-physical page
    input  logic              lookup_i,   // look up; without it nothing hits
    output logic              hit_o,
    output logic [PpnW-1:0]   ppn_o,      // of the 4 KiB page vpn_i
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

  typedef struct packed {
    space_t            space;
    logic [VpnW-1:0]   vpn;   // zero in the bits inside the page, and so is ppn
    page_size_t        size;
    logic [PpnW-1:0]   ppn;
    logic [1:0]        pbmt;
    pte_perm_t         perm;
  } entry_t;

  logic   [Entries-1:0] valid_q, valid_d;
  logic   [Entries-1:0] used_q, used_d;  // recently
  entry_t               entry_q[Entries];

  space_t space;
  always_comb begin
    space         = space_i;
    space.fs_mode = PtBare;
    space.pscid   = '0;
  end

  // Several pages may cover an address when software changed a table without
  // invalidating; any of them is right.
  logic [Entries-1:0] match, first;
  logic [PpnW-1:0]    ppn;
  logic [VpnW-1:0]    mask;
  always_comb begin
    match = '0;
    if ((lookup_i || fill_i) && (valid_q != '0)) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match[i] = valid_q[i] && (entry_q[i].space == space) &&
                   (((entry_q[i].vpn ^ vpn_i) & ~page_mask(entry_q[i].size)) == '0);
      end
    end
    first  = match & (~match + 1'b1);
    ppn    = '0;
    size_o = '0;
    pbmt_o = '0;
    perm_o = '0;
    if (match != '0) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (first[i]) begin
          ppn    = ppn | entry_q[i].ppn;
          size_o = size_o | entry_q[i].size;
          pbmt_o = pbmt_o | entry_q[i].pbmt;
          perm_o = perm_o | entry_q[i].perm;
        end
      end
    end
    mask  = page_mask(size_o);
    ppn_o = ppn | (vpn_i[PpnW-1:0] & mask[PpnW-1:0]);
    hit_o = lookup_i && (match != '0);
  end

  logic [Entries-1:0] candidate, victim, write;
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  assign victim    = candidate & (~candidate + 1'b1);
  assign write     = (!fill_i || inv_i) ? '0 : (match != '0) ? first : victim;

  always_comb begin
    valid_d = valid_q | write;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (reaches(inv_reach_i, entry_q[i].space, 1'b0, entry_q[i].vpn, page_mask(entry_q[i].size))) valid_d[i] = 1'b0;
      end
    end
    used_d = used_q | write | first;
    if (&used_d) used_d = write | first;
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

  logic [VpnW-1:0] fill_mask;
  assign fill_mask = page_mask(fill_size_i);
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Entries; i++) begin
      if (write[i]) begin
        entry_q[i] <= '{
            space: space,
            vpn: vpn_i & ~fill_mask,
            size: fill_size_i,
            ppn: fill_ppn_i & ~fill_mask[PpnW-1:0],
            pbmt: fill_pbmt_i,
            perm: fill_perm_i
        };
      end
    end
  end

  `IOMMU_ASSERT(GsTlbLookupXorFill, !(lookup_i && fill_i))

  logic unused;
  assign unused = &{1'b0, mask[VpnW-1:PpnW], fill_mask[VpnW-1:PpnW]};
endmodule

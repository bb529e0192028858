// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// IOTLB: translations of both stages together, from the device's address to the
// physical one, of any page size (the smaller of the stages' pages), fully
// associative, tagged by address space and virtual page. Lookup is
// combinational; a fill overwrites the entry that the lookup of the same cycle
// hits, or the victim. The pipeline does a lookup, a fill or an invalidation in
// a cycle.

`include "iommu_macros.svh"

module iommu_iotlb
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter int unsigned Entries = 64  // pages kept
) (
    input  logic              clk_i,        // clock
    input  logic              rst_ni,       // asynchronous reset, active low
    // lookup, and tag of a fill
    input  logic              lookup_i,     // look up; without it nothing hits
    input  space_t            space_i,
    input  logic [VpnW-1:0]   vpn_i,
    output logic              hit_o,
    output logic [PpnW-1:0]   ppn_o,        // of the 4 KiB page vpn_i; valid when hit
    output logic [VpnW-1:0]   gppn_o,       // its guest-physical page, if there is a second stage
    output page_attr_t        attr_o,       // valid when hit
    input  logic              touch_i,      // the hit is used
    // fill; page numbers are those of the 4 KiB page vpn_i
    input  logic              fill_i,
    input  logic [PpnW-1:0]   fill_ppn_i,
    input  logic [VpnW-1:0]   fill_gppn_i,
    input  page_size_t        fill_size_i,
    input  page_attr_t        fill_attr_i,
    // invalidation
    input  logic              inv_i,
    input  reach_t            inv_reach_i
);

  // Page numbers are zero in the bits inside the page, so that hits can be ORed.
  typedef struct packed {
    space_t            space;
    logic [VpnW-1:0]   vpn;
    page_size_t        size;
    logic [PpnW-1:0]   ppn;
    logic [VpnW-1:0]   gppn;
    page_attr_t        attr;
  } entry_t;

  logic   [Entries-1:0] valid_q, valid_d;
  logic   [Entries-1:0] used_q, used_d;  // recently
  entry_t               entry_q[Entries];

  logic [Entries-1:0] match, first, victim, write;

  always_comb begin
    match = '0;
    if (lookup_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match[i] = valid_q[i] && (((entry_q[i].vpn ^ vpn_i) & ~page_mask(entry_q[i].size)) == '0) &&
                   (entry_q[i].space == space_i);
      end
    end
  end
  assign hit_o = |match;
  // Pages of several sizes may cover one address when software changed a table
  // without invalidating; any of them is right, a mixture is not.
  assign first = match & (~match + 1'b1);

  page_size_t      hit_size;
  logic [PpnW-1:0] hit_ppn;
  logic [VpnW-1:0] hit_gppn, hit_mask;
  always_comb begin
    hit_size = '0;
    hit_ppn  = '0;
    hit_gppn = '0;
    attr_o   = '0;
    for (int unsigned i = 0; i < Entries; i++) begin
      if (first[i]) begin
        hit_size = hit_size | entry_q[i].size;
        hit_ppn  = hit_ppn | entry_q[i].ppn;
        hit_gppn = hit_gppn | entry_q[i].gppn;
        attr_o   = attr_o | entry_q[i].attr;
      end
    end
  end
  assign hit_mask = page_mask(hit_size);
  assign ppn_o    = hit_ppn | (vpn_i[PpnW-1:0] & hit_mask[PpnW-1:0]);
  assign gppn_o   = hit_gppn | (vpn_i & hit_mask);

  // Victim: the first free entry, else the first not used recently.
  logic [Entries-1:0] candidate;
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  assign victim    = candidate & (~candidate + 1'b1);
  assign write     = fill_i ? (hit_o ? first : victim) : '0;

  always_comb begin
    valid_d = valid_q | write;
    if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (reaches(inv_reach_i, entry_q[i].space, entry_q[i].attr.g, entry_q[i].vpn, page_mask(entry_q[i].size))) begin
          valid_d[i] = 1'b0;
        end
      end
    end
    used_d = used_q | write | (touch_i ? first : '0);
    if (&used_d) used_d = write | (touch_i ? first : '0);
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

  entry_t          fill_entry;
  logic [VpnW-1:0] fill_mask;
  assign fill_mask  = page_mask(fill_size_i);
  assign fill_entry = '{
          space: space_i,
          vpn: vpn_i & ~fill_mask,
          size: fill_size_i,
          ppn: fill_ppn_i & ~fill_mask[PpnW-1:0],
          gppn: fill_gppn_i & ~fill_mask,
          attr: fill_attr_i
      };

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Entries; i++) begin
      if (write[i]) entry_q[i] <= fill_entry;
    end
  end

  `IOMMU_ASSERT(IotlbFillXorInvalidate, !(fill_i && inv_i))
  `IOMMU_ASSERT(IotlbVictimExists, !fill_i || (write != '0))

  logic unused;
  assign unused = &{1'b0, hit_mask[VpnW-1:PpnW]};
endmodule

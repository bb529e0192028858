// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// IOTLB: valid first-stage leaf PTEs of any page size, fully associative, tagged
// by mode, PSCID and virtual page. Every entry belongs to the host (second stage
// Bare); GSCID joins the tag with the second stage. Lookup is combinational; a
// fill overwrites the entry that the lookup of the same cycle hits, or the
// victim. The pipeline does a lookup, a fill or an invalidation in a cycle.

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
    input  fs_mode_e          mode_i,
    input  logic [PscidW-1:0] pscid_i,
    input  logic [VpnW-1:0]   vpn_i,
    output logic              hit_o,
    output logic [PpnW-1:0]   ppn_o,        // of the 4 KiB page vpn_i; valid when hit
    output pte_attr_t         attr_o,       // valid when hit
    input  logic              touch_i,      // the hit is used
    // fill
    input  logic              fill_i,
    input  logic [PpnW-1:0]   fill_ppn_i,   // base of the page
    input  page_size_t        fill_size_i,
    input  pte_attr_t         fill_attr_i,
    // invalidation
    input  logic              flush_i,      // everything
    input  logic              inv_i,        // IOTINVAL.VMA of the host's address spaces:
    input  logic              inv_pscv_i,   // only this one, but not global pages
    input  logic [PscidW-1:0] inv_pscid_i,
    input  logic              inv_av_i,     // only the page that holds this address
    input  logic [VpnW-1:0]   inv_vpn_i
);

  // vpn and ppn are zero in the bits inside the page, so that hits can be ORed.
  typedef struct packed {
    fs_mode_e          mode;
    logic [PscidW-1:0] pscid;
    logic [VpnW-1:0]   vpn;
    page_size_t        size;
    logic [PpnW-1:0]   ppn;
    pte_attr_t         attr;
  } entry_t;

  logic   [Entries-1:0] valid_q, valid_d;
  logic   [Entries-1:0] used_q, used_d;  // recently
  entry_t               entry_q[Entries];

  logic [Entries-1:0] match, first, victim, write;

  always_comb begin
    for (int unsigned i = 0; i < Entries; i++) begin
      match[i] = valid_q[i] && (((entry_q[i].vpn ^ vpn_i) & ~page_mask(entry_q[i].size)) == '0) &&
                 (entry_q[i].pscid == pscid_i) && (entry_q[i].mode == mode_i);
    end
  end
  assign hit_o = |match;
  // Pages of several sizes may cover one address when software changed a table
  // without invalidating; any of them is right, a mixture is not.
  assign first = match & (~match + 1'b1);

  page_size_t      hit_size;
  logic [PpnW-1:0] hit_ppn;
  logic [VpnW-1:0] hit_mask;
  always_comb begin
    hit_size = '0;
    hit_ppn  = '0;
    attr_o   = '0;
    for (int unsigned i = 0; i < Entries; i++) begin
      if (first[i]) begin
        hit_size = hit_size | entry_q[i].size;
        hit_ppn  = hit_ppn | entry_q[i].ppn;
        attr_o   = attr_o | entry_q[i].attr;
      end
    end
  end
  assign hit_mask = page_mask(hit_size);
  assign ppn_o    = hit_ppn | (vpn_i[PpnW-1:0] & hit_mask[PpnW-1:0]);

  // Victim: the first free entry, else the first not used recently.
  logic [Entries-1:0] candidate;
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  assign victim    = candidate & (~candidate + 1'b1);
  assign write     = fill_i ? (hit_o ? first : victim) : '0;

  always_comb begin
    valid_d = valid_q | write;
    if (flush_i) begin
      valid_d = '0;
    end else if (inv_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if ((!inv_pscv_i || ((entry_q[i].pscid == inv_pscid_i) && !entry_q[i].attr.g)) &&
            (!inv_av_i || (((entry_q[i].vpn ^ inv_vpn_i) & ~page_mask(entry_q[i].size)) == '0))) begin
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
          mode: mode_i,
          pscid: pscid_i,
          vpn: vpn_i & ~fill_mask,
          size: fill_size_i,
          ppn: fill_ppn_i & ~fill_mask[PpnW-1:0],
          attr: fill_attr_i
      };

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Entries; i++) begin
      if (write[i]) entry_q[i] <= fill_entry;
    end
  end

  `IOMMU_ASSERT(IotlbFillXorInvalidate, !(fill_i && (inv_i || flush_i)))
  `IOMMU_ASSERT(IotlbFillGrantsSomething, !fill_i || fill_attr_i.perm.r || fill_attr_i.perm.x)
  `IOMMU_ASSERT(IotlbVictimExists, !fill_i || (write != '0))

  logic unused;
  assign unused = &{1'b0, hit_mask[VpnW-1]};
endmodule

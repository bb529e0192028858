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
    parameter int unsigned Entries    = 64,   // pages kept
    parameter bit          TimingCuts = 1'b0  // four registers from comparison to answer; inputs stand for those cycles too
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
    input  logic              fill_part_i,  // the first stage's page is larger than what is kept
    // invalidation
    input  logic              inv_i,
    input  reach_t            inv_reach_i,
    input  logic              inv_next_i    // with TimingCuts: the pipeline is at an invalidation, not at a lookup or a fill
);

  localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1;

  // The tag, which all entries compare at once. Page numbers are zero in the bits
  // inside the page.
  space_t             space_q[Entries];
  logic [VpnW-1:0]    vpn_q  [Entries];
  page_size_t         size_q [Entries];
  logic [Entries-1:0] glob_q;
  logic [Entries-1:0] part_q;

  // The rest is read and written by index.
  logic [PpnW-1:0]    ppn_q [Entries];
  logic [VpnW-1:0]    gppn_q[Entries];
  page_attr_t         attr_q[Entries];

  logic [Entries-1:0] valid, match, first_d, first, reached_d, reached, drop;
  logic [IndexW-1:0]  hit_index, fill_index;
  logic               fill_now;

  if (TimingCuts) begin : gen_compare_cut
    // One comparison part by part serves lookups and invalidations: each part into a
    // register, then what they say together.
    typedef logic [Entries-1:0] set_t;
    typedef struct packed {
      logic [VpnW-1:0] vpn;
      logic [VpnW-1:0] range;
    } wanted_t;
    typedef struct packed {
      set_t vpn;
      set_t gscid;
      set_t pscid;
      set_t modes;
      set_t two_stages;
      set_t one_stage;
    } same_t;
    wanted_t wanted_d, wanted;
    same_t   same_d, same;
    assign wanted_d = inv_next_i ? '{vpn: inv_reach_i.vpn, range: inv_reach_i.range} : '{vpn: vpn_i, range: '0};
    // The address space is known last.
    logic [GscidW-1:0] gscid;
    logic [PscidW-1:0] pscid;
    assign gscid = inv_next_i ? inv_reach_i.gscid : space_i.gscid;
    assign pscid = inv_next_i ? inv_reach_i.pscid : space_i.pscid;
    iommu_cut #(.T(wanted_t), .Cut(1'b1)) u_cut_wanted (.clk_i, .d_i(wanted_d), .q_o(wanted));
    iommu_cut #(.T(same_t), .Cut(1'b1)) u_cut_same (.clk_i, .d_i(same_d), .q_o(same));
    always_comb begin
      for (int unsigned i = 0; i < Entries; i++) begin
        same_d.vpn[i]        = valid[i] && ((vpn_q[i] ^ wanted.vpn) & ~page_mask(size_q[i]) & ~wanted.range) == '0;
        same_d.gscid[i]      = space_q[i].gscid == gscid;
        same_d.pscid[i]      = space_q[i].pscid == pscid;
        same_d.modes[i]      = (space_q[i].gs_mode == space_i.gs_mode) && (space_q[i].fs_mode == space_i.fs_mode);
        same_d.two_stages[i] = space_q[i].gs_mode != PtBare;
        same_d.one_stage[i]  = space_q[i].fs_mode != PtBare;
      end
    end
    assign match = same.vpn & same.gscid & same.pscid & same.modes;
    // As `reaches` says.
    set_t in_space, in_range;
    assign in_space  = ~(same.two_stages ^ {Entries{inv_reach_i.guest}}) & (same.gscid | {Entries{!inv_reach_i.gscid_en}}) &
                       ((same.pscid & same.one_stage & ~glob_q) | {Entries{!inv_reach_i.pscid_en}});
    assign in_range  = same.vpn | part_q | {Entries{!inv_reach_i.addr_en}};
    assign reached_d = (in_space & in_range) | {Entries{inv_reach_i.all}};
  end else begin : gen_compare
    always_comb begin
      match   = '0;
      reached_d = '0;
      if (lookup_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          match[i] = valid[i] && (space_q[i] == space_i) && (((vpn_q[i] ^ vpn_i) & ~page_mask(size_q[i])) == '0);
        end
      end
      if (inv_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          reached_d[i] = reaches(inv_reach_i, space_q[i], glob_q[i], vpn_q[i], page_mask(size_q[i]) | {VpnW{part_q[i]}});
        end
      end
    end
    logic unused_next;
    assign unused_next = inv_next_i;
  end
  // Pages of several sizes may cover one address when software changed a table
  // without invalidating; any of them is right, a mixture is not.
  // Whether to look at all is told late: behind the comparison.
  logic look;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_look (.clk_i, .d_i(lookup_i), .q_o(look));
  assign first_d = look ? match & (~match + 1'b1) : '0;
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_first (.clk_i, .d_i(first_d), .q_o(first));
  assign hit_o = |first;

  page_size_t      hit_size;
  logic [PpnW-1:0] hit_ppn;
  logic [VpnW-1:0] hit_gppn, hit_mask;
  iommu_cut #(.T(page_size_t), .Cut(TimingCuts)) u_cut_size (.clk_i, .d_i(size_q[hit_index]), .q_o(hit_size));
  iommu_cut #(.T(logic [PpnW-1:0]), .Cut(TimingCuts)) u_cut_ppn (.clk_i, .d_i(ppn_q[hit_index]), .q_o(hit_ppn));
  iommu_cut #(.T(logic [VpnW-1:0]), .Cut(TimingCuts)) u_cut_gppn (.clk_i, .d_i(gppn_q[hit_index]), .q_o(hit_gppn));
  iommu_cut #(.T(page_attr_t), .Cut(TimingCuts)) u_cut_attr (.clk_i, .d_i(attr_q[hit_index]), .q_o(attr_o));
  assign hit_mask = page_mask(hit_size);
  assign ppn_o    = hit_ppn | (vpn_i[PpnW-1:0] & hit_mask[PpnW-1:0]);
  assign gppn_o   = hit_gppn | (vpn_i & hit_mask);

  // An address of an invalidation names the first stage's leaf, which may have left
  // several pieces of its page here: how far that reached is not known (part_q), so
  // all of them go.
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(TimingCuts)) u_cut_drop (.clk_i, .d_i(reached_d), .q_o(reached));
  assign drop = inv_i ? reached : '0;

  iommu_replace #(
      .Entries(Entries),
      .Cut    (TimingCuts)
  ) u_replace (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .valid_o     (valid),
      .hit_i       (first),
      .hit_index_o (hit_index),
      .touch_i     (touch_i),
      .fill_i      (fill_i),
      .same_i      (first),
      .fill_o      (fill_now),
      .fill_index_o(fill_index),
      .drop_i      (drop)
  );

  logic [VpnW-1:0] fill_mask;
  assign fill_mask = page_mask(fill_size_i);

  always_ff @(posedge clk_i) begin
    if (fill_now) begin
      space_q[fill_index] <= space_i;
      vpn_q[fill_index]   <= vpn_i & ~fill_mask;
      size_q[fill_index]  <= fill_size_i;
      glob_q[fill_index]  <= fill_attr_i.g;
      part_q[fill_index]  <= fill_part_i;
      ppn_q[fill_index]   <= fill_ppn_i & ~fill_mask[PpnW-1:0];
      gppn_q[fill_index]  <= fill_gppn_i & ~fill_mask;
      attr_q[fill_index]  <= fill_attr_i;
    end
  end

  `IOMMU_ASSERT(IotlbFillXorInvalidate, !(fill_i && inv_i))

  logic unused;
  assign unused = &{1'b0, hit_mask[VpnW-1:PpnW]};
endmodule

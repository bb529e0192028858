// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Validity and replacement of a fully associative cache: which entries are
// valid, where the one that a lookup hits lies, and which one a fill overwrites:
// the one of the same tag, else the first free one, else the first not used
// recently. Combinational from hit and same to the indices. With Cut they come a
// cycle later, a fill is written a cycle after fill_i, and the next one must not find its
// place for three more.

`include "iommu_macros.svh"

module iommu_replace #(
    parameter int unsigned Entries = 16,  // of the cache
    parameter bit          Cut     = 1'b0,  // registers before the indices, and before what changes
    localparam int unsigned IndexW = (Entries > 1) ? $clog2(Entries) : 1
) (
    input  logic               clk_i,    // clock
    input  logic               rst_ni,   // asynchronous reset, active low
    output logic [Entries-1:0] valid_o,  // entries that hold something
    input  logic [Entries-1:0] hit_i,    // the entry that is hit, one-hot, or none
    output logic [IndexW-1:0]  hit_index_o,   // its number; 0 if there is none
    input  logic               touch_i,  // the hit counts as a use
    input  logic               fill_i,   // an entry is written:
    input  logic [Entries-1:0] same_i,   // the one of that tag, one-hot; or none has it
    output logic               fill_o,        // write the entry
    output logic [IndexW-1:0]  fill_index_o,  // of this number
    input  logic [Entries-1:0] drop_i    // entries that are invalid from the next cycle on, the filled one too
);

  logic [Entries-1:0] valid_q, valid_d;
  logic [Entries-1:0] used_q, used_d;  // recently

  // Entries whose number has bit `digit` set.
  function automatic logic [Entries-1:0] numbers_with(input int unsigned digit);
    for (int unsigned i = 0; i < Entries; i++) numbers_with[i] = ((i >> digit) % 2) == 1;
  endfunction

  logic [Entries-1:0] candidate, victim, place_d, place, write, used_now;
  logic [IndexW-1:0]  hit_index_d, place_index;
  assign candidate = (&valid_q) ? ~used_q : ~valid_q;
  iommu_cut #(.T(logic [Entries-1:0]), .Cut(Cut)) u_cut_victim (.clk_i, .d_i(candidate & (~candidate + 1'b1)), .q_o(victim));
  assign place_d   = (same_i != '0) ? same_i : victim;
  assign valid_o   = valid_q;

  for (genvar b = 0; b < IndexW; b++) begin : g_index
    localparam logic [Entries-1:0] Numbers = numbers_with(b);
    assign hit_index_d[b]  = |(hit_i & Numbers);
    assign place_index[b] = |(place & Numbers);
  end

  iommu_cut #(.T(logic [Entries-1:0]), .Cut(Cut)) u_cut_place (.clk_i, .d_i(place_d), .q_o(place));
  iommu_cut #(.T(logic [IndexW-1:0]), .Cut(Cut)) u_cut_index (.clk_i, .d_i(hit_index_d), .q_o(hit_index_o));

  // What changes.
  logic [Entries-1:0] write_d, touched_d, touched;
  assign write_d   = fill_i ? place : '0;
  assign touched_d = touch_i ? hit_i : '0;
  if (Cut) begin : g_cut
    logic               fill_q;
    logic [IndexW-1:0]  index_q;
    logic [Entries-1:0] write_q, touched_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        fill_q    <= 1'b0;
        write_q   <= '0;
        touched_q <= '0;
      end else begin
        fill_q    <= fill_i;
        write_q   <= write_d;
        touched_q <= touched_d;
      end
    end
    always_ff @(posedge clk_i) index_q <= place_index;
    assign fill_o       = fill_q;
    assign fill_index_o = index_q;
    assign write        = write_q;
    assign touched      = touched_q;
  end else begin : g_no_cut
    assign fill_o       = fill_i;
    assign fill_index_o = place_index;
    assign write        = write_d;
    assign touched      = touched_d;
  end

  assign valid_d  = (valid_q | write) & ~drop_i;
  assign used_now = write | touched;
  always_comb begin
    used_d = used_q | used_now;
    if (&used_d) used_d = used_now;
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

  `IOMMU_ASSERT(ReplaceHitOneHot, $onehot0(hit_i))
  `IOMMU_ASSERT(ReplaceSameOneHot, $onehot0(same_i))
  `IOMMU_ASSERT(ReplaceValid, !(touch_i || fill_i) || (((hit_i | same_i) & ~valid_q) == '0))
  `IOMMU_ASSERT(ReplaceVictimExists, !fill_o || (write != '0))
endmodule

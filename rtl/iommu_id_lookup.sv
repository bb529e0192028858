// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Answers of m_dev on their way to s_dev: to which burst (iommu_id_order) does
// one belong? Wires without Cut. With it two items wait before the question, so
// that ready comes from a flop and a burst's beats go on one a cycle, and the
// burst found is in a register; after a last beat, which may change what is found,
// the next question waits until that beat has gone.
// Handshake: valid/ready on both sides.

`include "iommu_macros.svh"

module iommu_id_lookup #(
    parameter type         T     = logic,  // of an answer
    parameter int unsigned IdW   = 8,      // AXI id, bits
    parameter int unsigned SlotW = 5,      // number of a burst, bits
    parameter bit          Cut   = 1'b0    // registers, else wires
) (
    input  logic             clk_i,          // clock
    input  logic             rst_ni,         // asynchronous reset, active low
    input  logic             valid_i,        // an answer is there
    output logic             ready_o,        // there is room
    input  T                 data_i,         // the answer
    input  logic [IdW-1:0]   id_i,           // its id
    input  logic             last_i,         // its burst ends with it
    output logic [IdW-1:0]   lookup_id_o,    // whose is it?
    input  logic             lookup_hit_i,   // somebody waits for this id
    input  logic [SlotW-1:0] lookup_slot_i,  // who
    output logic             valid_o,        // an answer can be taken
    input  logic             ready_i,        // it is taken
    output T                 data_o,         // the answer
    output logic             known_o,        // somebody waits for it
    output logic [SlotW-1:0] slot_o          // who
);
  if (Cut) begin : g_cut
    typedef struct packed {
      logic [IdW-1:0] id;
      logic           last;
      T               data;
    } item_t;
    item_t            in, first_q, second_q;
    logic             first_valid_q, second_valid_q;
    logic             found_valid_q, known_q, last_q;
    logic [SlotW-1:0] slot_q;
    T                 data_q;
    logic             move;  // the first goes on

    assign in   = '{id: id_i, last: last_i, data: data_i};
    assign move = first_valid_q && (!found_valid_q || (ready_i && !last_q));

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        first_valid_q  <= 1'b0;
        second_valid_q <= 1'b0;
        found_valid_q  <= 1'b0;
      end else begin
        found_valid_q <= move || (found_valid_q && !ready_i);
        if (!first_valid_q || move) begin
          first_valid_q  <= second_valid_q || valid_i;
          second_valid_q <= 1'b0;
        end else begin
          second_valid_q <= second_valid_q || valid_i;
        end
      end
    end
    always_ff @(posedge clk_i) begin
      if (!first_valid_q || move) first_q <= second_valid_q ? second_q : in;
      if (!second_valid_q) second_q <= in;
      if (!found_valid_q || ready_i) begin
        data_q  <= first_q.data;
        last_q  <= first_q.last;
        known_q <= lookup_hit_i;
        slot_q  <= lookup_slot_i;
      end
    end

    assign ready_o     = !second_valid_q;
    assign lookup_id_o = first_q.id;
    assign valid_o     = found_valid_q;
    assign data_o      = data_q;
    assign known_o     = known_q;
    assign slot_o      = slot_q;
    `IOMMU_ASSERT(SecondBehindFirst, first_valid_q || !second_valid_q)
  end else begin : g_wire
    assign ready_o     = ready_i;
    assign lookup_id_o = id_i;
    assign valid_o     = valid_i;
    assign data_o      = data_i;
    assign known_o     = lookup_hit_i;
    assign slot_o      = lookup_slot_i;
    logic unused;
    assign unused = ^{clk_i, rst_ni, last_i};
  end
endmodule

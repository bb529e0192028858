// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Whether an AXI4 burst may be translated as one: legal in AXI4 and inside one
// 4 KiB page, so that the translation of its first byte holds for all of it.
// Combinational.

module iommu_burst_check #(
    parameter int unsigned DataW = 64  // data bus, bits
) (
    input  logic [11:0] addr_i,   // page offset of the first byte
    input  logic [7:0]  len_i,    // beats minus one
    input  logic [2:0]  size_i,   // log2 of the bytes of a beat
    input  logic [1:0]  burst_i,  // FIXED, INCR, WRAP, reserved
    output logic        ok_o      // may be translated
);
  localparam logic [2:0] MaxSize = 3'($clog2(DataW / 8));

  logic [11:0] low;      // bits of the address inside a beat
  logic [12:0] aligned;  // first beat, aligned to its size
  logic [15:0] bytes;    // of the whole burst
  logic        size_ok;

  assign low     = ~(12'hfff << size_i);
  assign aligned = {1'b0, addr_i & ~low};
  assign bytes   = 16'({8'b0, len_i} + 16'd1) << size_i;
  assign size_ok = size_i <= MaxSize;

  always_comb begin
    unique case (burst_i)
      2'b00:   ok_o = size_ok && len_i <= 8'd15;  // FIXED: 1 to 16 beats
      2'b01:   ok_o = size_ok && (17'({4'b0, aligned}) + {1'b0, bytes}) <= 17'd4096;
      2'b10: begin  // WRAP: 2, 4, 8 or 16 beats, first address aligned
        ok_o = size_ok && (addr_i & low) == '0 && len_i inside {8'd1, 8'd3, 8'd7, 8'd15};
      end
      default: ok_o = 1'b0;  // reserved
    endcase
  end
endmodule

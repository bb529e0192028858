// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Steps 3 to 10 of the virtual address translation process for one first-stage
// PTE (Sv39, Sv48 and Sv57, Svnapot). Combinational.

module iommu_pte_check
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
(
    input  logic              svpbmt_i,        // capabilities.Svpbmt
    input  logic              svrsw_i,         // capabilities.Svrsw60t59b
    input  logic [PpnW-1:0]   ppn_high_i,      // PPN bits at or above 2^PAS
    input  logic [63:0]       pte_i,           // little-endian
    input  logic [LevelW-1:0] level_i,         // 0: last
    input  logic [VpnW-1:0]   vpn_i,           // page asked for
    input  logic              exec_i,          // access type; neither: read
    input  logic              write_i,
    input  logic              global_i,        // a PTE above has G=1
    output logic              page_fault_o,    // before access_fault_o
    output logic              access_fault_o,  // next table or page is at or above 2^PAS
    output logic              leaf_o,
    output logic [PpnW-1:0]   ppn_o,           // next table, or base of the page
    output page_size_t        size_o,
    output pte_attr_t         attr_o
);

  logic v, r, w, x, u, a, d, n;
  assign {d, a} = pte_i[7:6];
  assign {u, x, w, r, v} = pte_i[4:0];
  assign n = pte_i[63];

  logic [PpnW-1:0] ppn;
  assign ppn = pte_i[53:10];

  assign leaf_o = r || x;

  // Bits and encodings that are reserved in any valid PTE.
  logic reserved;
  assign reserved = (!r && w) || (pte_i[58:54] != '0) || (!svrsw_i && (pte_i[60:59] != '0)) ||
                    (svpbmt_i ? (pte_i[62:61] == 2'd3) : (pte_i[62:61] != '0));
  // A pointer has neither A, D, U, nor N and PBMT.
  logic reserved_pointer;
  assign reserved_pointer = d || a || u || n || (pte_i[62:61] != '0);
  // N only in a last-level PTE, and only for 64 KiB.
  logic reserved_napot;
  assign reserved_napot = n && ((level_i != '0) || (ppn[3:0] != 4'b1000));

  always_comb begin
    unique case (level_i)
      3'd0:    size_o = n ? 5'b00001 : 5'b00000;
      3'd1:    size_o = 5'b00011;
      3'd2:    size_o = 5'b00111;
      3'd3:    size_o = 5'b01111;
      default: size_o = 5'b11111;
    endcase
  end

  logic [VpnW-1:0] mask;
  assign mask = page_mask(size_o);

  logic misaligned;
  assign misaligned = (level_i != '0) && ((ppn & mask[PpnW-1:0]) != '0);

  assign attr_o = '{pbmt: pte_i[62:61], g: pte_i[5] || global_i, perm: '{d: d, u: u, x: x, w: w, r: r}};

  always_comb begin
    if (!v || reserved) page_fault_o = 1'b1;
    else if (!leaf_o) page_fault_o = reserved_pointer || (level_i == '0);
    // Until process contexts come, every first-stage access has user privilege.
    else page_fault_o = reserved_napot || misaligned || !a || !pte_permits(attr_o.perm, exec_i, write_i, 1'b0, 1'b0);
  end

  assign ppn_o = leaf_o ? (ppn & ~mask[PpnW-1:0]) : ppn;

  logic [PpnW-1:0] reached;  // page of the access, or table
  assign reached        = leaf_o ? (ppn_o | (vpn_i[PpnW-1:0] & mask[PpnW-1:0])) : ppn;
  assign access_fault_o = (reached & ppn_high_i) != '0;

  logic unused;
  assign unused = &{1'b0, pte_i[9:8], vpn_i[VpnW-1], mask[VpnW-1]};
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Steps 3 to 9 of the virtual address translation process for one PTE of either
// stage (Sv32, Sv39, Sv48 and Sv57, Svnapot, Svpbmt). Combinational, but fault_o
// and update_o are behind a register with TimingCuts: inputs stand.

module iommu_pte_check
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // a register between the rules and the verdict
) (
    input  logic              clk_i,      // clock
    input  logic              svpbmt_i,   // capabilities.Svpbmt
    input  logic              svrsw_i,    // capabilities.Svrsw60t59b
    input  pt_mode_e          mode_i,     // not Bare
    input  logic              gs_i,       // a PTE of the second stage: user access, G is ignored
    input  logic [63:0]       pte_i,      // little-endian; of Sv32 zero-extended
    input  logic [LevelW-1:0] level_i,    // 0: last
    input  logic [VpnW-1:0]   vpn_i,      // page asked for
    // the access: exec, else write, else read
    input  logic              exec_i,
    input  logic              write_i,
    input  logic              priv_i,     // supervisor privilege
    input  logic              sum_i,
    input  logic              any_i,      // ATS: whatever is permitted beside R is an answer
    input  logic              ade_i,      // A and D may be updated
    output logic              fault_o,    // page fault
    output logic              leaf_o,
    output logic              update_o,   // a leaf whose A, or D, must be set first
    output logic              set_d_o,    // the update sets D
    output logic [PpnW-1:0]   ppn_o,      // next table, or 4 KiB page of vpn_i
    output page_size_t        size_o,
    output logic [1:0]        pbmt_o,
    output logic              g_o,
    output pte_perm_t         perm_o
);

  logic v, r, w, x, u, a, d, n, sv32;
  assign {d, a} = pte_i[7:6];
  assign {u, x, w, r, v} = pte_i[4:0];
  assign n = pte_i[63];
  assign sv32 = mode_i == Pt32;

  logic [PpnW-1:0] ppn;
  assign ppn = pte_i[53:10];

  assign leaf_o = r || x;

  // Bits and encodings that are reserved in any valid PTE; Sv32 has none above.
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
  assign mask = page_mask(size_o) | VpnW'({sv32 && (level_i != '0), 9'd0});

  logic misaligned;
  assign misaligned = (level_i != '0) && ((ppn & mask[PpnW-1:0]) != '0);

  logic permitted, user_ok;
  assign user_ok   = gs_i ? u : priv_i ? (!u || (sum_i && !(exec_i && !any_i))) : u;
  // Without R an ATS translation request is granted nothing: the walk ends here, and accesses nothing.
  assign permitted = user_ok && (any_i ? r : write_i ? w : exec_i ? x : r);

  // What is wrong with it, and what it lacks.
  typedef struct packed {
    logic encoding;  // not valid, or reserved bits
    logic pointer;   // bits or a level that no pointer has
    logic napot;
    logic misaligned;
    logic denied;
    logic a;         // A is not set
    logic d;         // D is needed by a write that the page permits, and not set
  } rules_t;
  rules_t rules_d, rules;
  assign rules_d = '{
          encoding: !v || reserved,
          pointer: reserved_pointer || (level_i == '0),
          napot: reserved_napot,
          misaligned: misaligned,
          denied: !permitted,
          a: !a,
          d: write_i && w && !d
      };
  iommu_cut #(.T(rules_t), .Cut(TimingCuts)) u_cut_rules (.clk_i, .d_i(rules_d), .q_o(rules));
  assign update_o = !fault_o && leaf_o && (rules.a || rules.d) && ade_i;
  assign set_d_o  = write_i && w;

  always_comb begin
    if (rules.encoding) fault_o = 1'b1;
    else if (!leaf_o) fault_o = rules.pointer;
    else fault_o = rules.napot || rules.misaligned || rules.denied || (!ade_i && (rules.a || (rules.d && !any_i)));
  end

  assign ppn_o  = leaf_o ? ((ppn & ~mask[PpnW-1:0]) | (vpn_i[PpnW-1:0] & mask[PpnW-1:0])) : ppn;
  assign pbmt_o = pte_i[62:61];
  assign g_o    = pte_i[5] && !gs_i;
  assign perm_o = '{d: d, u: u, x: x, w: w, r: r};

  logic unused;
  assign unused = &{1'b0, pte_i[9:8], vpn_i[VpnW-1:PpnW], mask[VpnW-1:PpnW]};
endmodule

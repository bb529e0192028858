// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Device-context configuration checks (section of that name), one doubleword
// at a time, in memory order. A rule that needs two doublewords is evaluated at
// the later one. The verdict counts only when tc.V is 1. Combinational, but the
// verdict is behind a register with TimingCuts: inputs stand.

module iommu_dc_check
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // a register between the rules and the verdict
) (
    input  logic        clk_i,   // clock
    input  csr_cfg_t    cfg_i,   // capabilities and feature control
    input  logic [2:0]  beat_i,  // which doubleword
    input  logic [63:0] data_i,  // its value, little-endian
    // from the doublewords before; ignored at the first
    input  dc_t         dc_i,
    input  verdict_t    verdict_i,
    output dc_t         dc_o,       // the fields of this doubleword (dc_fields); in others anything
    output verdict_t    verdict_o
);

  localparam logic [3:0] ModeBare = 4'd0;

  // Encodings of pdtp.MODE; pd: which of PD20, PD17, PD8 are supported.
  function automatic logic pd_mode_ok(input logic [3:0] mode, input logic [2:0] pd);
    unique case (mode)
      ModeBare: pd_mode_ok = 1'b1;
      4'd1:     pd_mode_ok = pd[0];
      4'd2:     pd_mode_ok = pd[1];
      4'd3:     pd_mode_ok = pd[2];
      default:  pd_mode_ok = 1'b0;
    endcase
  endfunction

  // Guest-physical addresses are MGPAW bits wide.
  logic [5:0] mgpaw;
  always_comb begin
    if (cfg_i.caps.sv57x4) mgpaw = 6'd59;
    else if (cfg_i.caps.sv48x4) mgpaw = 6'd50;
    else if (cfg_i.caps.sv39x4) mgpaw = 6'd41;
    else if (cfg_i.caps.sv32x4) mgpaw = 6'd34;
    else mgpaw = cfg_i.caps.pas;
  end
  // Bits of an address, shifted right by 12, that MGPAW leaves reserved.
  logic [63:0] above_mgpaw;
  iommu_cut #(.T(logic [63:0]), .Cut(TimingCuts)) u_cut_mgpaw (.clk_i, .d_i({64{1'b1}} << mgpaw), .q_o(above_mgpaw));

  logic [3:0] mode;  // MODE field of iohgatp, iosatp, pdtp and msiptp
  assign mode = data_i[63:60];

  pt_mode_e gs_mode;
  iommu_cut #(.T(pt_mode_e), .Cut(TimingCuts)) u_cut_mode (.clk_i, .d_i(decode_mode(mode, cfg_i.gxl)), .q_o(gs_mode));

  assign dc_o = '{
          en_ats: data_i[1],
          en_pri: data_i[2],
          t2gpa: data_i[3],
          dtf: data_i[4],
          pdtv: data_i[5],
          prpr: data_i[6],
          gade: data_i[7],
          sade: data_i[8],
          dpe: data_i[9],
          sbe: data_i[10],
          sxl: data_i[11],
          gs_mode: gs_mode,
          gs_ppn: data_i[PpnW-1:0],
          gscid: (mode == ModeBare) ? '0 : data_i[59:44],
          pscid: data_i[31:12],
          rcid: data_i[51:40],
          mcid: data_i[63:52],
          fs_ppn: data_i[PpnW-1:0],
          fs_mode: mode,
          msi_on: mode == 4'd1,
          msi_ppn: data_i[PpnW-1:0],
          msi_mask: data_i[51:0],
          msi_pattern: data_i[51:0]
      };

  // By doubleword: reserved bits and the like, and modes.
  logic [7:0] bad_d, bad;
  logic [2:0] bad_mode_d, bad_mode;
  always_comb begin
    bad_d      = '0;
    bad_mode_d = '0;
    unique case (beat_i)
      3'd0: begin  // tc
        bad_d[beat_i] =
            // reserved bits
            (data_i[23:12] != '0) || (data_i[63:32] != '0) ||
            // EN_ATS, EN_PRI or PRPR without ATS
            (!cfg_i.caps.ats && (data_i[1] || data_i[2] || data_i[6])) ||
            // T2GPA or EN_PRI without EN_ATS, PRPR without EN_PRI
            (!data_i[1] && (data_i[3] || data_i[2])) || (!data_i[2] && data_i[6]) ||
            (!cfg_i.caps.t2gpa && data_i[3]) ||
            // DPE without PDTV
            (!data_i[5] && data_i[9]) ||
            // GADE or SADE without AMO_HWAD
            (!cfg_i.caps.amo_hwad && (data_i[7] || data_i[8])) ||
            // SBE: END=0, or fctl.BE is not writable
            ((!cfg_i.caps.endi || !cfg_i.be_wr) && (data_i[10] != cfg_i.be)) ||
            // SXL: 1 when GXL is 1; 0 when GXL is hardwired to 0
            (cfg_i.gxl ? !data_i[11] : (!cfg_i.gxl_wr && data_i[11]));
      end
      3'd1: begin  // iohgatp
        bad_mode_d[0] = !mode_ok(mode, cfg_i.gxl, cfg_i.caps.sv32x4,
                                 {cfg_i.caps.sv57x4, cfg_i.caps.sv48x4, cfg_i.caps.sv39x4});
        bad_d[beat_i] =
            // T2GPA with a Bare second stage
            (dc_i.t2gpa && (mode == ModeBare)) ||
            // root not aligned to 16 KiB
            ((mode != ModeBare) && (data_i[1:0] != '0));
      end
      3'd2: begin  // ta; all 12 bits of RCID and MCID are supported
        bad_d[beat_i] = (data_i[11:0] != '0) || (data_i[39:32] != '0) ||
                        (!cfg_i.caps.qosid && (data_i[63:40] != '0));
      end
      3'd3: begin  // fsc: pdtp or iosatp
        bad_d[beat_i] = data_i[59:44] != '0;
        bad_mode_d[1] =
            !(dc_i.pdtv
                ? pd_mode_ok(mode, {cfg_i.caps.pd20, cfg_i.caps.pd17, cfg_i.caps.pd8})
                : mode_ok(mode, dc_i.sxl, cfg_i.caps.sv32, {cfg_i.caps.sv57, cfg_i.caps.sv48, cfg_i.caps.sv39}));
      end
      3'd4: begin  // msiptp: Off or Flat; Off when the second stage is Bare
        bad_d[beat_i] = data_i[59:44] != '0;
        bad_mode_d[2] = (mode > 4'd1) || ((dc_i.gs_mode == PtBare) && (mode != 4'd0));
      end
      3'd5, 3'd6: begin  // msi_addr_mask, msi_addr_pattern
        bad_d[beat_i] = (data_i[63:52] != '0) || ((data_i[51:0] & above_mgpaw[63:12]) != '0);
      end
      default: begin  // reserved doubleword
        bad_d[beat_i] = (data_i != '0);
      end
    endcase
  end
  iommu_cut #(.T(logic [7:0]), .Cut(TimingCuts)) u_cut_bad (.clk_i, .d_i(bad_d), .q_o(bad));
  iommu_cut #(.T(logic [2:0]), .Cut(TimingCuts)) u_cut_bad_mode (.clk_i, .d_i(bad_mode_d), .q_o(bad_mode));
  assign verdict_o.v   = (beat_i == 3'd0) ? data_i[0] : verdict_i.v;
  assign verdict_o.bad = (bad != '0) || (bad_mode != '0) || ((beat_i != 3'd0) && verdict_i.bad);

  logic unused;
  assign unused = &{1'b0, cfg_i, dc_i, above_mgpaw[11:0]};
endmodule

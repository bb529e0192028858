// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The process to translate an IOVA, up to the tables (section of that name):
// from the request, ddtp and the device context, if it is known, to what comes
// next: denied, passed with its own address, looked up in the IOTLB, or a walk
// of the device directory. Combinational.

module iommu_resolve
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
(
    input  logic            msi_flat_i,    // capabilities.MSI_FLAT: device contexts have 64 bytes
    input  logic [63:0]     addr_high_i,   // address bits at or above 2^PAS
    input  ddtp_t           ddtp_i,
    input  tr_req_t         req_i,
    input  logic            dc_valid_i,    // dc_i is the context of req_i's device
    input  dc_t             dc_i,
    output logic            same_o,        // granted, the physical address is the IOVA
    output logic            paged_o,       // translated by the first stage: IOTLB, else walk
    output logic [VpnW-1:0] vpn_o,         // page to look up
    output logic            uses_dc_o,     // dc_i took part
    output walk_start_t     start_o        // if neither grants: what to walk, or deny
);

  // device_id, partitioned
  logic [8:0] ddi1, ddi2;
  logic [6:0] ddi0;
  assign ddi0 = msi_flat_i ? {1'b0, req_i.device_id[5:0]} : req_i.device_id[6:0];
  assign ddi1 = msi_flat_i ? req_i.device_id[14:6] : req_i.device_id[15:7];
  assign ddi2 = msi_flat_i ? req_i.device_id[23:15] : {1'b0, req_i.device_id[23:16]};

  logic wide;  // device_id is wider than the mode supports
  assign wide = ((ddtp_i.mode == Ddtp2Lvl) && (ddi2 != '0)) ||
                ((ddtp_i.mode == Ddtp1Lvl) && ((ddi2 != '0) || (ddi1 != '0)));

  logic out_of_range;  // the IOVA, taken as a physical address
  assign out_of_range = (req_i.iova & addr_high_i) != '0;

  // Address bits above the mode's width equal its highest bit.
  logic canonical;
  always_comb begin
    unique case (dc_i.fs_mode)
      FsSv39:  canonical = (req_i.iova[63:38] == '0) || (&req_i.iova[63:38]);
      FsSv48:  canonical = (req_i.iova[63:47] == '0) || (&req_i.iova[63:47]);
      FsSv57:  canonical = (req_i.iova[63:56] == '0) || (&req_i.iova[63:56]);
      default: canonical = 1'b1;
    endcase
  end

  assign vpn_o = req_i.iova[56:12];

  // First entry of each walk.
  phase_e            ddt_phase;
  logic [LevelW-1:0] ddt_level, pt_level;
  logic [PaW-1:0]    ddt_addr, pt_addr;
  always_comb begin
    ddt_phase = PhDdt;
    unique case (ddtp_i.mode)
      Ddtp3Lvl: begin
        ddt_level = 3'd2;
        ddt_addr  = {ddtp_i.ppn, ddi2, 3'b000};
      end
      Ddtp2Lvl: begin
        ddt_level = 3'd1;
        ddt_addr  = {ddtp_i.ppn, ddi1, 3'b000};
      end
      default: begin
        ddt_phase = PhDc;
        ddt_level = 3'd0;
        ddt_addr  = {ddtp_i.ppn, msi_flat_i ? {ddi0[5:0], 6'd0} : {ddi0, 5'd0}};
      end
    endcase
    unique case (dc_i.fs_mode)
      FsSv57: begin
        pt_level = 3'd4;
        pt_addr  = {dc_i.fs_ppn, req_i.iova[56:48], 3'b000};
      end
      FsSv48: begin
        pt_level = 3'd3;
        pt_addr  = {dc_i.fs_ppn, req_i.iova[47:39], 3'b000};
      end
      default: begin
        pt_level = 3'd2;
        pt_addr  = {dc_i.fs_ppn, req_i.iova[38:30], 3'b000};
      end
    endcase
  end

  always_comb begin
    same_o            = 1'b0;
    paged_o           = 1'b0;
    uses_dc_o         = 1'b0;
    start_o.req       = req_i;
    start_o.dc_valid  = 1'b0;
    start_o.dc        = dc_i;
    start_o.deny      = 1'b0;
    start_o.cause     = access_cause(req_i.exec, req_i.write);
    start_o.phase     = ddt_phase;
    start_o.level     = ddt_level;
    start_o.addr      = ddt_addr;

    if (ddtp_i.mode == DdtpOff) begin
      start_o.deny  = 1'b1;
      start_o.cause = CauseAllDisallow;
    end else if (ddtp_i.mode == DdtpBare) begin
      if (req_i.translated) begin
        start_o.deny  = 1'b1;
        start_o.cause = CauseTypeDisallow;
      end else if (out_of_range) begin
        start_o.deny = 1'b1;
      end else begin
        same_o = 1'b1;
      end
    end else if (wide) begin
      start_o.deny  = 1'b1;
      start_o.cause = CauseTypeDisallow;
    end else if (!dc_valid_i) begin
      if ((ddt_addr & addr_high_i[PaW-1:0]) != '0) begin
        start_o.deny  = 1'b1;
        start_o.cause = CauseDdtAccess;
      end
    end else begin
      uses_dc_o        = 1'b1;
      start_o.dc_valid = 1'b1;
      start_o.phase    = PhPt;
      start_o.level    = pt_level;
      start_o.addr     = pt_addr;
      // A process_id with PDTV=1 meets pdtp.MODE Bare only: no other mode passes
      // the context's checks before process contexts come.
      if ((req_i.translated && !dc_i.en_ats) || (req_i.pv && !dc_i.pdtv)) begin
        start_o.deny  = 1'b1;
        start_o.cause = CauseTypeDisallow;
      end else if (req_i.translated || (dc_i.fs_mode == FsBare)) begin
        // T2GPA needs a second stage: a translated address is physical.
        start_o.deny = out_of_range;
        same_o       = !out_of_range;
      end else if (!canonical) begin
        start_o.deny  = 1'b1;
        start_o.cause = page_cause(req_i.exec, req_i.write);
      end else begin
        // The verdict on the root counts when a walk is needed.
        paged_o      = 1'b1;
        start_o.deny = (pt_addr & addr_high_i[PaW-1:0]) != '0;
      end
    end
  end

endmodule

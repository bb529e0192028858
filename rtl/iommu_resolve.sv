// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The process to translate an IOVA, up to the tables (section of that name):
// from the request, ddtp and the contexts that are known to what comes next:
// denied, passed with its own address, looked up in the IOTLB, or a walk of the
// device or process directory. Combinational, but for TimingCuts.

module iommu_resolve
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // a register between the contexts and the outcome; inputs stand for that cycle too
) (
    input  logic            clk_i,         // clock
    input  logic            msi_flat_i,    // capabilities.MSI_FLAT: device contexts have 64 bytes
    input  logic [63:0]     addr_high_i,   // address bits at or above 2^PAS
    input  ddtp_t           ddtp_i,
    input  xreq_t           req_i,
    input  logic            dc_valid_i,    // dc_i is the context of req_i's device
    input  dc_t             dc_i,
    input  logic            pc_valid_i,    // pc_i is that of its process
    input  pc_t             pc_i,
    output logic            same_o,        // granted, the physical address is the IOVA
    output logic            paged_o,       // translated: IOTLB, else walk
    output logic            uses_dc_o,     // dc_i took part
    output logic            uses_pc_o,     // pc_i took part
    output pc_t             fs_o,          // first-stage context; valid when paged
    output space_t          space_o,       // address space; valid when paged
    output logic            priv_o,        // privilege in the first stage
    output walk_start_t     start_o        // if nothing grants: what to walk, or deny
);

  // device_id, partitioned
  logic [8:0] ddi1, ddi2;
  logic [6:0] ddi0;
  assign ddi0 = msi_flat_i ? {1'b0, req_i.device_id[5:0]} : req_i.device_id[6:0];
  assign ddi1 = msi_flat_i ? req_i.device_id[14:6] : req_i.device_id[15:7];
  assign ddi2 = msi_flat_i ? req_i.device_id[23:15] : {1'b0, req_i.device_id[23:16]};

  // What follows from the contexts and the address one by one.
  typedef struct packed {
    logic wide;
    logic pd_wide;
    logic out_of_range;
    logic ddt_out_of_range;
    logic needs_pc;
    pc_t  fs;
  } found_t;
  found_t found_d, found;
  iommu_cut #(.T(found_t), .Cut(TimingCuts)) u_cut (.clk_i, .d_i(found_d), .q_o(found));

  logic wide;  // device_id is wider than the mode supports
  assign wide = found.wide;
  assign found_d.wide = ((ddtp_i.mode == Ddtp2Lvl) && (ddi2 != '0)) ||
                        ((ddtp_i.mode == Ddtp1Lvl) && ((ddi2 != '0) || (ddi1 != '0)));

  // pdtp.MODE: 1 PD8, 2 PD17, 3 PD20
  logic pd_bare, pd_wide;  // process_id is wider than the mode supports
  assign pd_bare = dc_i.fs_mode[1:0] == 2'd0;
  assign pd_wide = found.pd_wide;
  assign found_d.pd_wide = ((dc_i.fs_mode[1:0] == 2'd1) && (req_i.process_id[19:8] != '0)) ||
                           ((dc_i.fs_mode[1:0] == 2'd2) && (req_i.process_id[19:17] != '0));

  read_e             ddt_rd;
  logic [LevelW-1:0] ddt_level;
  logic [PaW-1:0]    ddt_addr;
  logic out_of_range;  // the IOVA, taken as a physical address
  assign out_of_range = found.out_of_range;
  assign found_d.out_of_range     = (req_i.iova & addr_high_i) != '0;
  assign found_d.ddt_out_of_range = (ddt_addr & addr_high_i[PaW-1:0]) != '0;

  logic ats;  // uses ATS, whatever it wants
  assign ats = req_i.translated || (req_i.kind inside {KdAts, KdContext});

  // Root of the device directory.
  always_comb begin
    ddt_rd = RdDdt;
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
        ddt_rd    = RdDc;
        ddt_level = 3'd0;
        ddt_addr  = {ddtp_i.ppn, msi_flat_i ? {ddi0[5:0], 6'd0} : {ddi0, 5'd0}};
      end
    endcase
  end

  // First stage: of the process, of the device, or none.
  logic needs_pc, own_address;
  assign own_address = req_i.translated && !dc_i.t2gpa;
  assign needs_pc    = found.needs_pc;
  assign fs_o        = found.fs;
  // Variables of their own: a block that reads one field of a structure and writes
  // another is not always evaluated again by Verilator when the first changes.
  logic needs_pc_d;
  pc_t  fs_d;
  assign needs_pc_d       = dc_i.pdtv && (req_i.pv || dc_i.dpe) && !pd_bare && !req_i.translated;
  assign found_d.needs_pc = needs_pc_d;
  assign found_d.fs       = fs_d;
  always_comb begin
    fs_d = '0;
    if (needs_pc_d) begin
      fs_d = pc_i;
    end else if (!dc_i.pdtv && !req_i.translated) begin
      fs_d.mode  = decode_mode(dc_i.fs_mode, dc_i.sxl);
      fs_d.ppn   = dc_i.fs_ppn;
      fs_d.pscid = (fs_d.mode == PtBare) ? '0 : dc_i.pscid;
    end
  end
  assign priv_o  = req_i.priv && needs_pc;
  assign space_o = '{gs_mode: dc_i.gs_mode, gscid: dc_i.gscid, fs_mode: fs_o.mode, pscid: fs_o.pscid};

  // Which sentence of the process decides.
  typedef enum logic [2:0] {
    ByOff,       // ddtp.MODE
    ByBare,      // ddtp.MODE
    ByType,      // the transaction is not allowed
    ByDdt,       // the device context is not known
    ByContext,   // only its verdict is asked for
    ByPdt,       // the process context is not known
    ByAddress,   // the IOVA is the physical address
    ByPage       // page tables
  } by_e;
  by_e by_d;
  always_comb begin
    if (ddtp_i.mode == DdtpOff) by_d = ByOff;
    else if (ddtp_i.mode == DdtpBare) by_d = ats ? ByType : ByBare;
    else if (wide) by_d = ByType;
    else if (!dc_valid_i) by_d = ByDdt;
    else if (req_i.kind == KdContext) by_d = ByContext;
    else if ((ats && !dc_i.en_ats) || (req_i.pv && (!dc_i.pdtv || pd_wide))) by_d = ByType;
    else if (needs_pc && !pc_valid_i) by_d = ByPdt;
    else if (needs_pc && req_i.priv && !pc_i.ens) by_d = ByType;
    else if (own_address || ((fs_o.mode == PtBare) && (dc_i.gs_mode == PtBare))) by_d = ByAddress;
    else by_d = ByPage;
  end

  // Address bits above the mode's width equal its highest bit, or are 0.
  logic canonical_d;
  always_comb begin
    unique case (fs_o.mode)
      Pt32:    canonical_d = req_i.iova[63:32] == '0;
      Pt39:    canonical_d = (req_i.iova[63:38] == '0) || (&req_i.iova[63:38]);
      Pt48:    canonical_d = (req_i.iova[63:47] == '0) || (&req_i.iova[63:47]);
      Pt57:    canonical_d = (req_i.iova[63:56] == '0) || (&req_i.iova[63:56]);
      default: canonical_d = 1'b1;
    endcase
  end

  typedef struct packed {
    by_e  by;
    logic canonical;
    logic has_dc;  // the device context is known, and took part
    logic pc_took; // so did the process context
  } decided_t;
  decided_t decided_d, decided;
  logic     has_dc_d;
  assign has_dc_d  = (ddtp_i.mode != DdtpOff) && (ddtp_i.mode != DdtpBare) && !wide && dc_valid_i;
  assign decided_d = '{
          by: by_d,
          canonical: canonical_d,
          has_dc: has_dc_d,
          pc_took: has_dc_d && needs_pc && pc_valid_i && (req_i.kind != KdContext) &&
                   !((ats && !dc_i.en_ats) || (req_i.pv && (!dc_i.pdtv || pd_wide)))
      };
  iommu_cut #(.T(decided_t), .Cut(TimingCuts)) u_cut_decided (.clk_i, .d_i(decided_d), .q_o(decided));

  always_comb begin
    same_o        = 1'b0;
    paged_o       = 1'b0;
    uses_dc_o     = decided.has_dc;
    uses_pc_o     = decided.pc_took;
    start_o.deny  = 1'b0;
    start_o.cause = access_cause(req_i.exec, req_i.write);
    start_o.stage = SgDdt;
    start_o.rd    = ddt_rd;
    start_o.level = ddt_level;
    start_o.addr  = ddt_addr;
    unique case (decided.by)
      ByOff: begin
        start_o.deny  = 1'b1;
        start_o.cause = CauseAllDisallow;
      end
      ByType: begin
        start_o.deny  = 1'b1;
        start_o.cause = CauseTypeDisallow;
      end
      ByDdt: begin
        start_o.deny = found.ddt_out_of_range;
        if (found.ddt_out_of_range) start_o.cause = CauseDdtAccess;
      end
      ByContext: begin
        start_o.deny  = !dc_i.en_ats || (req_i.need_pri && !dc_i.en_pri);
        start_o.cause = CauseTypeDisallow;
        same_o        = !start_o.deny;
      end
      ByPdt:   start_o.stage = SgPdt;
      ByBare, ByAddress: begin
        start_o.deny = out_of_range;
        same_o       = !out_of_range;
      end
      default: begin  // ByPage
        start_o.deny = !decided.canonical;
        paged_o      = decided.canonical;
        if (!decided.canonical) start_o.cause = page_cause(req_i.exec, req_i.write);
      end
    endcase
    if (decided.pc_took || (decided.by inside {ByAddress, ByPage})) start_o.stage = SgPage;
  end

  logic unused;
  assign unused = &{1'b0, req_i, dc_i};
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Memory-resident interrupt files: stores an MSI that a device has written to a
// page in MRIF mode, and sends the notice (AIA, "MSI PTE, MRIF mode"). One MSI at
// a time: set its pending bit, by AtomicLoad (whose data tells an error from
// corruption) or, without AMO_MRIF, by reading and writing its doubleword; when that is visible, write the notice; then
// answer.
//
// Handshake: a request is valid/ready and answered once, in order, by a pulse.
// Writes are held until ready. Faults are valid/ready.

`include "iommu_macros.svh"

module iommu_mrif
  import iommu_pkg::*;
  import iommu_xlate_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // the address is compared with 2^PAS before it is used
) (
    input  logic                 clk_i,          // clock
    input  logic                 rst_ni,         // asynchronous reset, active low
    input  logic                 amo_i,          // capabilities.AMO_MRIF
    input  logic [5:0]           pas_i,          // capabilities.PAS
    input  mem_user_t            qosid_i,        // iommu_qosid, for the notice
    // an MSI to be stored
    input  logic                 req_valid_i,
    output logic                 req_ready_o,
    input  mrif_req_t            req_i,
    output logic                 rsp_valid_o,    // it has been stored and noticed, or has failed
    output logic                 rsp_err_o,      // failed: nothing was stored
    // faults
    output logic                 fault_valid_o,
    input  logic                 fault_ready_i,
    output fault_rec_t           fault_o,
    // memory
    output logic                 mem_rreq_valid_o,
    input  logic                 mem_rreq_ready_i,
    output mem_rreq_t            mem_rreq_o,
    input  logic                 mem_rrsp_valid_i,  // data of this read
    input  mem_rrsp_t            mem_rrsp_i,
    output logic                 mem_wreq_valid_o,
    input  logic                 mem_wreq_ready_i,
    output mem_wreq_t            mem_wreq_o,
    input  logic                 mem_wrsp_valid_i,  // answer to this write
    input  logic                 mem_wrsp_err_i
);

  typedef enum logic [3:0] {
    StIdle,
    StRead,     // read of the doubleword offered
    StData,     // its data awaited
    StUpdate,   // update offered
    StUpdateB,  // its answer awaited, and an atomic's data
    StNotice,
    StNoticeB,
    StFault,    // record offered
    StDone
  } state_e;

  state_e      state_q, state_d;
  logic        notice_q;    // state_q is StNotice: many bits hang on it
  mrif_req_t   req_q;
  logic [63:0] old_q;       // doubleword as read; 0 for an atomic
  logic        err_q;       // nothing was stored
  logic [11:0] cause_q, cause_d;
  logic        b_q, b_err_q;  // the update's answer has come
  logic        r_q, r_err_q, r_poison_q;  // an atomic's data has come
  logic        updated, failed;
  logic        beyond_d, beyond;  // the file is at or above 2^PAS
  logic        compared;     // beyond is of this file

  always_comb begin
    state_d = state_q;
    cause_d = cause_q;
    unique case (state_q)
      StIdle:  if (req_valid_i) state_d = amo_i ? StUpdate : StRead;
      StRead:  if (mem_rreq_ready_i) state_d = StData;
      StData: begin
        if (mem_rrsp_valid_i) begin
          state_d = StUpdate;
          if (mem_rrsp_i.err || mem_rrsp_i.poison) begin
            cause_d = mem_rrsp_i.err ? CauseMrifAccess : CauseMrifCorrupt;
            state_d = req_q.dtf ? StDone : StFault;
          end
        end
      end
      StUpdate: begin
        // No answer with data would come for an atomic that never reaches memory.
        if (!compared) begin
          state_d = StUpdate;
        end else if (beyond) begin
          cause_d = CauseMrifAccess;
          state_d = req_q.dtf ? StDone : StFault;
        end else if (mem_wreq_ready_i) begin
          state_d = StUpdateB;
        end
      end
      StUpdateB: begin
        if (updated) begin
          state_d = StNotice;
          if (failed) begin
            cause_d = (r_poison_q && !r_err_q) ? CauseMrifCorrupt : CauseMrifAccess;
            state_d = req_q.dtf ? StDone : StFault;
          end
        end
      end
      StNotice:  if (mem_wreq_ready_i) state_d = StNoticeB;
      StNoticeB: begin
        if (mem_wrsp_valid_i) begin
          cause_d = CauseOwnMsi;
          state_d = mem_wrsp_err_i ? StFault : StDone;
        end
      end
      StFault: if (fault_ready_i) state_d = StDone;
      default: state_d = StIdle;
    endcase
  end

  assign updated = b_q && (r_q || !amo_i);
  assign failed  = b_err_q || r_err_q || r_poison_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      b_q        <= 1'b0;
      b_err_q    <= 1'b0;
      r_q        <= 1'b0;
      r_err_q    <= 1'b0;
      r_poison_q <= 1'b0;
    end else if (!(state_q inside {StUpdate, StUpdateB})) begin
      b_q        <= 1'b0;
      b_err_q    <= 1'b0;
      r_q        <= 1'b0;
      r_err_q    <= 1'b0;
      r_poison_q <= 1'b0;
    end else begin
      if (mem_wrsp_valid_i) begin
        b_q     <= 1'b1;
        b_err_q <= mem_wrsp_err_i;
      end
      if (mem_rrsp_valid_i) begin
        r_q        <= 1'b1;
        r_err_q    <= mem_rrsp_i.err;
        r_poison_q <= mem_rrsp_i.poison;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      notice_q <= 1'b0;
      req_q    <= '0;
      old_q    <= '0;
      err_q    <= 1'b0;
      cause_q  <= '0;
    end else begin
      state_q  <= state_d;
      notice_q <= state_d == StNotice;
      cause_q  <= cause_d;
      if (state_q == StIdle && req_valid_i) begin
        req_q <= req_i;
        old_q <= '0;
        err_q <= 1'b0;
      end
      if (state_q == StData && mem_rrsp_valid_i) begin
        old_q <= mem_rrsp_i.data;
        err_q <= mem_rrsp_i.err || mem_rrsp_i.poison;
      end
      if (state_q == StUpdate && compared && beyond) err_q <= 1'b1;
      if (state_q == StUpdateB && updated) err_q <= failed;
    end
  end

  assign req_ready_o = state_q == StIdle;
  assign rsp_valid_o = state_q == StDone;
  assign rsp_err_o   = err_q;

  // Pending bits of 64 identities a doubleword, enable bits between them.
  logic [PaW-1:0] word;
  logic [63:0]    pending;
  logic [PaW-1:0] notice;
  assign word    = {req_q.mrif.addr, req_q.identity[10:6], 4'd0};
  assign pending = 64'd1 << req_q.identity[5:0];
  assign notice  = {req_q.mrif.nppn, 12'd0};
  logic [PaW-1:0] above;  // bits that must be 0: PAS is static
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_above (.clk_i, .d_i({PaW{1'b1}} << pas_i), .q_o(above));
  assign beyond_d = (word & above) != '0;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_beyond (.clk_i, .d_i(beyond_d), .q_o(beyond));
  iommu_settle #(.Cycles(1), .Cut(TimingCuts)) u_compared (
      .clk_i, .rst_ni, .there_i(state_q == StUpdate), .taken_i(1'b0), .seen_o(compared)
  );

  assign mem_rreq_valid_o = state_q == StRead;
  assign mem_rreq_o       = '{id: MemIdWide'(MemIdMrif), addr: word, len: 8'd0, user: req_q.user};
  assign mem_wreq_valid_o = (state_q == StUpdate && compared && !beyond) || state_q == StNotice;
  always_comb begin
    mem_wreq_o = '0;
    if (notice_q) begin
      mem_wreq_o.id      = MemIdWide'(MemIdNotice);
      mem_wreq_o.device  = 1'b1;
      mem_wreq_o.addr    = notice;
      mem_wreq_o.size    = 3'd2;
      mem_wreq_o.strb    = 8'h0F;
      mem_wreq_o.data[0] = {2{21'd0, req_q.mrif.nid}};
      mem_wreq_o.user    = qosid_i;
    end else begin
      mem_wreq_o.id      = MemIdWide'(MemIdMrif);
      mem_wreq_o.atop    = amo_i ? AtopLoadSet : AtopNone;
      mem_wreq_o.addr    = word;
      mem_wreq_o.size    = 3'd3;
      mem_wreq_o.strb    = 8'hFF;
      mem_wreq_o.data[0] = old_q | pending;
      mem_wreq_o.user    = req_q.user;
    end
  end

  // A failed notice is a fault of the IOMMU's own message, not of the access.
  assign fault_valid_o = state_q == StFault;
  always_comb begin
    fault_o       = '0;
    fault_o.cause = cause_q;
    if (cause_q == CauseOwnMsi) begin
      fault_o.iotval = 64'(notice);
    end else begin
      fault_o.pid    = req_q.req.pv ? req_q.req.process_id : '0;
      fault_o.pv     = req_q.req.pv;
      fault_o.priv   = req_q.req.pv && req_q.req.priv;
      fault_o.ttyp   = {3'd0, req_q.req.translated, 2'b11};
      fault_o.did    = req_q.req.device_id;
      fault_o.iotval = req_q.req.iova;
    end
  end

  logic unused;
  assign unused = &{1'b0, req_q, mem_rrsp_i.id, mem_rrsp_i.last};

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StUpdate)
  `IOMMU_ARC(StIdle, StRead)
  `IOMMU_ARC(StRead, StData)
  `IOMMU_ARC(StData, StUpdate)
  `IOMMU_ARC(StData, StDone)
  `IOMMU_ARC(StData, StFault)
  `IOMMU_ARC(StUpdate, StDone)
  `IOMMU_ARC(StUpdate, StFault)
  `IOMMU_ARC(StUpdate, StUpdateB)
  `IOMMU_ARC(StUpdateB, StNotice)
  `IOMMU_ARC(StUpdateB, StDone)
  `IOMMU_ARC(StUpdateB, StFault)
  `IOMMU_ARC(StNotice, StNoticeB)
  `IOMMU_ARC(StNoticeB, StDone)
  `IOMMU_ARC(StNoticeB, StFault)
  `IOMMU_ARC(StFault, StDone)
  `IOMMU_ARC(StDone, StIdle)
endmodule

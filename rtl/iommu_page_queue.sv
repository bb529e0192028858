// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Page requests and stop markers: asks the lookup pipeline whether the device
// may send them (EN_ATS, EN_PRI), writes the record into the page-request
// queue, or answers in software's place with a page request group response
// (sections "PCIe ATS Page Request handling" and "Page-Request-Queue"). One
// message at a time, in order; pqt moves when its record's write is answered.
// Without ATS messages are taken and dropped.

`include "iommu_macros.svh"

module iommu_page_queue
  import iommu_pkg::*;
#(
    parameter int unsigned Depth = 4,  // messages waiting, a power of 2
    parameter bit TimingCuts = 1'b0    // the oldest message and its record's address are read before they are used
) (
    input  logic        clk_i,         // clock
    input  logic        rst_ni,        // asynchronous reset, active low
    input  logic        ats_i,         // capabilities.ATS
    input  logic        be_i,          // fctl.BE: records are big-endian
    input  mem_user_t   qosid_i,       // iommu_qosid

    // page requests and stop markers
    input  logic        pr_valid_i,
    output logic        pr_ready_o,
    input  ats_pr_t     pr_i,
    // the IOMMU's own responses: held until ready
    output logic        prgr_valid_o,
    input  logic        prgr_ready_i,
    output ats_prgr_t   prgr_o,

    // register file
    input  queue_cfg_t  cfg_i,         // base, size, pqh, enable
    input  logic        clear_i,       // pulse: pqen goes from 0 to 1
    output logic        on_o,          // pqcsr.pqon
    output logic [31:0] tail_o,        // pqt
    output logic        set_of_o,      // pulse: overflow
    output logic        set_mf_o,      // pulse: memory fault
    output logic        record_o,      // pulse: a record is in memory and pqt has moved

    // request to the lookup pipeline: held until ready; one answer follows
    output logic        req_valid_o,
    input  logic        req_ready_i,
    output aux_req_t    req_o,
    input  logic        rsp_valid_i,
    input  aux_rsp_t    rsp_i,

    // record's write: held until ready; one answer follows
    output logic        mem_wreq_valid_o,
    input  logic        mem_wreq_ready_i,
    output mem_wreq_t   mem_wreq_o,
    input  logic        mem_wrsp_valid_i,
    input  logic        mem_wrsp_err_i
);

  localparam logic [63:0] MessageCode      = 64'h04;  // PCIe: Page Request
  localparam logic [11:0] CauseDisallowed  = 12'd260;
  localparam logic [3:0]  ResponseSuccess  = 4'b0000;
  localparam logic [3:0]  ResponseInvalid  = 4'b0001;
  localparam logic [3:0]  ResponseFailure  = 4'b1111;

  typedef enum logic [2:0] {
    StIdle,
    StAsk,     // may the device send it? offered to the pipeline
    StWait,    // its answer awaited
    StQueue,   // the device may: is there a place?
    StWrite,   // the record's write is offered
    StWriteB,  // its answer awaited
    StRespond  // a response is offered
  } state_e;

  state_e      state_q, state_d;
  logic        up_q;
  logic        q_full;
  logic [31:0] slot;                  // of the record
  logic        msg_valid, room, pop;
  ats_pr_t     msg_d, msg;
  logic        prpr_q;                // of the device context
  logic [3:0]  response_q, response_d;
  logic        last, marker, wants_response;

  iommu_fifo #(
      .Width($bits(ats_pr_t)),
      .Depth(Depth)
  ) u_messages (
      .clk_i, .rst_ni,
      .valid_i(pr_valid_i && pr_ready_o),
      .ready_o(room),
      .data_i(pr_i),
      .valid_o(msg_valid),
      .ready_i(pop),
      .data_o(msg_d)
  );
  // Not looked at in the cycle in which it becomes the oldest: that is StIdle's.
  iommu_cut #(.T(ats_pr_t), .Cut(TimingCuts)) u_cut_msg (.clk_i, .d_i(msg_d), .q_o(msg));

  // Behind a register, with TimingCuts, nothing comes before capabilities are known.
  assign pr_ready_o = (up_q || TimingCuts) && room;

  assign last           = msg.payload[2];
  assign marker         = msg.payload[2:0] == 3'b100;
  assign wants_response = last && !marker;

  iommu_queue_tail #(
      .TimingCuts(TimingCuts)
  ) u_tail (
      .clk_i, .rst_ni,
      .cfg_i   (cfg_i),
      .clear_i (clear_i),
      .rest_i  (!(state_q inside {StWrite, StWriteB})),
      .record_i(record_o),
      .on_o    (on_o),
      .tail_o  (tail_o),
      .slot_o  (slot),
      .full_o  (q_full)
  );

  always_comb begin
    state_d    = state_q;
    response_d = response_q;
    pop        = 1'b0;
    set_of_o   = 1'b0;
    set_mf_o   = 1'b0;
    record_o   = 1'b0;
    unique case (state_q)
      StIdle: begin
        if (msg_valid) begin
          pop = !ats_i;
          if (ats_i) state_d = StAsk;
        end
      end
      StAsk: if (req_ready_i) state_d = StWait;
      StWait: begin
        if (rsp_valid_i) begin
          response_d = (rsp_i.cause == CauseDisallowed) ? ResponseInvalid : ResponseFailure;
          state_d    = rsp_i.fault ? StRespond : StQueue;
        end
      end
      StQueue: begin
        state_d = StRespond;
        if (!on_o || !cfg_i.en || cfg_i.mf) begin
          response_d = ResponseFailure;
        end else if (cfg_i.error || q_full) begin
          response_d = ResponseSuccess;
          set_of_o   = !cfg_i.error;
        end else begin
          state_d = StWrite;
        end
      end
      StWrite: if (mem_wreq_ready_i) state_d = StWriteB;
      StWriteB: begin
        if (mem_wrsp_valid_i) begin
          response_d = ResponseFailure;
          set_mf_o   = mem_wrsp_err_i;
          record_o   = !mem_wrsp_err_i;
          pop        = !mem_wrsp_err_i;
          state_d    = mem_wrsp_err_i ? StRespond : StIdle;
        end
      end
      StRespond: begin
        if (!wants_response || prgr_ready_i) begin
          pop     = 1'b1;
          state_d = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q    <= StIdle;
      up_q       <= 1'b0;
      prpr_q     <= 1'b0;
      response_q <= '0;
    end else begin
      state_q    <= state_d;
      up_q       <= 1'b1;
      response_q <= response_d;
      if (rsp_valid_i) prpr_q <= rsp_i.dc_valid && rsp_i.prpr;
    end
  end

  // ---------------------------------------------------------------- outputs
  assign req_valid_o = state_q == StAsk;

  always_comb begin
    req_o            = '0;
    req_o.tag        = AuxTagPage;
    req_o.kind       = AuxContext;
    req_o.device_id  = msg.device_id;
    req_o.pv         = msg.pv;
    req_o.process_id = msg.pv ? msg.process_id : '0;
    req_o.priv       = msg.pv && msg.priv;
    req_o.need_pri   = 1'b1;
    req_o.iova       = MessageCode;
  end

  assign prgr_valid_o = state_q == StRespond && wants_response;

  always_comb begin
    prgr_o           = '0;
    prgr_o.device_id = msg.device_id;
    prgr_o.dsv       = 1'b1;
    prgr_o.prgi      = msg.payload[11:3];
    prgr_o.response  = response_q;
    if (msg.pv && (prpr_q || response_q == ResponseFailure)) begin
      prgr_o.pv         = 1'b1;
      prgr_o.process_id = msg.process_id;
    end
  end

  logic [1:0][63:0] record;
  logic [PaW-1:0]   addr;
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_addr (
      .clk_i, .d_i({cfg_i.ppn, 12'd0} + (PaW'(slot) << 4)), .q_o(addr)
  );

  assign mem_wreq_valid_o = state_q == StWrite;

  always_comb begin
    record           = '0;
    record[0][63:40] = msg.device_id;
    record[1]        = msg.payload;
    if (msg.pv) record[0][34:12] = {msg.exec, msg.priv, 1'b1, msg.process_id};

    mem_wreq_o      = '0;
    mem_wreq_o.id   = MemIdWide'(MemIdPage);
    mem_wreq_o.addr = addr;
    mem_wreq_o.len  = 2'd1;
    mem_wreq_o.size = 3'd3;
    mem_wreq_o.strb = 8'hFF;
    mem_wreq_o.user = qosid_i;
    for (int unsigned d = 0; d < 2; d++) mem_wreq_o.data[d] = endian64(be_i, record[d]);
  end

  logic unused;
  assign unused = ^rsp_i;

  `IOMMU_ASSERT(PageRecordOnlyWhileOn, !mem_wreq_valid_o || (on_o && !cfg_i.error))
  `IOMMU_ASSERT(MessageHeld, state_q == StIdle || (msg_valid && msg == msg_d))
  `IOMMU_ASSERT(NoResponseToAMarker, !(prgr_valid_o && marker))

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StAsk)
  `IOMMU_ARC(StAsk, StWait)
  `IOMMU_ARC(StWait, StRespond)
  `IOMMU_ARC(StWait, StQueue)
  `IOMMU_ARC(StQueue, StRespond)
  `IOMMU_ARC(StQueue, StWrite)
  `IOMMU_ARC(StWrite, StWriteB)
  `IOMMU_ARC(StWriteB, StRespond)
  `IOMMU_ARC(StWriteB, StIdle)
  `IOMMU_ARC(StRespond, StIdle)
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// PCIe ATS translation requests: each goes to the lookup pipeline, and its
// answer becomes one translation completion with one range (section "PCIe ATS
// translation request handling"). Several are under way; completions leave in
// the order of the pipeline's answers. Without ATS each is answered
// "unsupported request" at once. Valid/ready on all ports; a place for its
// completion is reserved before a request is taken.

`include "iommu_macros.svh"

module iommu_ats_translate
  import iommu_pkg::*;
#(
    parameter int unsigned Slots = 4,  // requests under way, 1 to 4, a power of 2
    parameter bit TimingCuts = 1'b0    // a completion is made a cycle after its answer
) (
    input  logic     clk_i,        // clock
    input  logic     rst_ni,       // asynchronous reset, active low
    input  logic     ats_i,        // capabilities.ATS

    // translation requests
    input  logic     tr_valid_i,
    output logic     tr_ready_o,
    input  ats_tr_t  tr_i,
    // translation completions
    output logic     tc_valid_o,
    input  logic     tc_ready_i,
    output ats_tc_t  tc_o,
    output logic [Slots-1:0] busy_o,  // slots from a request to its completion's leaving

    // request to the lookup pipeline: held until ready; one answer follows
    output logic     req_valid_o,
    input  logic     req_ready_i,
    output aux_req_t req_o,
    input  logic     rsp_valid_i,
    input  aux_rsp_t rsp_i
);

  localparam int unsigned SlotW = (Slots > 1) ? $clog2(Slots) : 1;

  localparam logic [2:0] StatusSuccess = 3'd0;
  localparam logic [2:0] StatusUr      = 3'd1;  // unsupported request
  localparam logic [2:0] StatusCa      = 3'd4;  // completer abort

  // What the completion needs of its request.
  typedef struct packed {
    logic [9:0] tag;
    logic       pv;
    logic       priv;
    logic       cxl;
  } slot_t;

  logic             up_q;        // out of reset: ready may be shown
  logic [Slots-1:0] busy_q;      // taken, and the completion has not left
  slot_t            slot_q [Slots];
  logic             req_valid_q;
  aux_req_t         req_q;
  logic             take, complete;
  aux_rsp_t         rsp;         // as a completion is made of it
  logic             rsp_valid;
  logic [SlotW-1:0] free, back;  // slot for a new request; slot that is answered
  logic [SlotW-1:0] leaving;     // slot of the completion that is shown

  always_comb begin
    free = '0;
    for (int unsigned i = Slots; i > 0; i--) if (!busy_q[i-1]) free = SlotW'(i - 1);
  end

  assign tr_ready_o  = (up_q || TimingCuts) && !(&busy_q) && !req_valid_q;
  assign take        = tr_valid_i && tr_ready_o;
  assign complete    = tc_valid_o && tc_ready_i;
  assign back        = SlotW'(rsp.tag);
  assign req_valid_o = req_valid_q;
  assign req_o       = req_q;
  assign busy_o      = busy_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      up_q        <= 1'b0;
      busy_q      <= '0;
      req_valid_q <= 1'b0;
      req_q       <= '0;
    end else begin
      up_q <= 1'b1;
      if (req_ready_i) req_valid_q <= 1'b0;
      if (complete) busy_q[leaving] <= 1'b0;
      if (take) busy_q[free] <= 1'b1;
      if (take && ats_i) req_valid_q <= 1'b1;
      // It follows what is offered until that is taken: no enable but its own valid.
      if (!req_valid_q) begin
        req_q            <= '0;
        req_q.tag        <= AuxTagW'(free);
        req_q.kind       <= AuxAts;
        req_q.device_id  <= tr_i.device_id;
        req_q.pv         <= tr_i.pv;
        req_q.process_id <= tr_i.pv ? tr_i.process_id : '0;
        req_q.priv       <= tr_i.pv && tr_i.priv;
        req_q.exec       <= tr_i.exec;
        req_q.no_write   <= tr_i.no_write;
        req_q.iova       <= {tr_i.addr[63:12], 12'd0};
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (take && ats_i) slot_q[free] <= '{tag: tr_i.tag, pv: tr_i.pv, priv: tr_i.pv && tr_i.priv, cxl: tr_i.cxl};
  end

  // ---------------------------------------------------------------- completion
  // Status by the cause of the fault.
  function automatic logic [2:0] status(input logic [11:0] cause);
    unique case (cause)
      12'd256, 12'd257, 12'd258, 12'd259, 12'd260:
        status = StatusUr;
      12'd12, 12'd13, 12'd15, 12'd20, 12'd21, 12'd23, 12'd262, 12'd266:
        status = StatusSuccess;  // without any permission
      // access faults, misconfigured entries; corrupt data too (docs/freedoms.md)
      default:
        status = StatusCa;
    endcase
  endfunction

  logic [5:0]  pages_log2_d;
  logic [51:0] below;  // ones
  logic        range;  // larger than a page
  // The answer, the ones below its range, and its slot.
  assign pages_log2_d = rsp_i.size_log2 - 6'd12;
  iommu_cut #(.T(aux_rsp_t), .Cut(TimingCuts)) u_cut_rsp (.clk_i, .d_i(rsp_i), .q_o(rsp));
  iommu_cut #(.T(logic [51:0]), .Cut(TimingCuts)) u_cut_below (.clk_i, .d_i(~({52{1'b1}} << pages_log2_d)), .q_o(below));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_range (.clk_i, .d_i(pages_log2_d != '0), .q_o(range));
  iommu_pulse #(.Cut(TimingCuts)) u_cut_valid (.clk_i, .rst_ni, .d_i(rsp_valid_i), .q_o(rsp_valid));

  // A range larger than 4 KiB: 2^n pages are n-1 ones below a zero.
  slot_t       slot;
  logic        some, is_large;
  ats_tc_t     tc;

  assign slot     = slot_q[back];
  assign some     = !rsp.fault && (rsp.r || rsp.w || rsp.x);
  assign is_large = some && !rsp.mrif && range;

  always_comb begin
    tc        = '0;
    tc.last   = 1'b1;
    tc.tag    = slot.tag;
    tc.status = rsp.fault ? status(rsp.cause) : StatusSuccess;
    if (tc.status == StatusSuccess) begin
      tc.priv   = slot.priv;
      tc.cxl_io = slot.cxl && ((rsp.dc_valid && rsp.t2gpa) || (!rsp.fault && (rsp.msi || rsp.pbmt != '0)));
    end
    if (!rsp.fault) begin
      tc.r    = rsp.r;
      tc.w    = rsp.w;
      tc.x    = rsp.x;
      tc.u    = rsp.mrif;
      tc.glob = rsp.glob && slot.pv && !rsp.msi;
    end
    if (some) begin
      tc.s    = is_large;
      tc.addr = is_large ? (rsp.addr[63:12] & ~below) | (below >> 1) : rsp.addr[63:12];
    end
    // Without ATS nothing is asked.
    if (!ats_i) begin
      tc        = '0;
      tc.last   = 1'b1;
      tc.tag    = tr_i.tag;
      tc.status = StatusUr;
    end
  end

  // Never full: there is a place a slot.
  logic fifo_ready;
  iommu_fifo #(
      .Width(SlotW + $bits(ats_tc_t)),
      .Depth(Slots)
  ) u_completions (
      .clk_i, .rst_ni,
      .valid_i(ats_i ? rsp_valid : take),
      .ready_o(fifo_ready),
      .data_i({ats_i ? back : free, tc}),
      .valid_o(tc_valid_o),
      .ready_i(tc_ready_i),
      .data_o({leaving, tc_o})
  );

  // One range is always allowed, however many are asked for.
  logic unused;
  assign unused = ^{tr_i.length, tr_i.addr[11:0], rsp, fifo_ready};

  `IOMMU_ASSERT(CompletionHasRoom, !rsp_valid || fifo_ready)
  `IOMMU_ASSERT(AnswerIsAwaited, !rsp_valid || busy_q[back])
  `IOMMU_ASSERT(ExecuteNeedsRead, !(tc_valid_o && tc_o.x) || tc_o.r)

endmodule

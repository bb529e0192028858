// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// PCIe ATS invalidations: gives each request of the command queue an ITag and
// sends it, and follows its completions. A request is not sent before the
// completions of translation requests that were under way when the command
// queue gave it: they may hold what is being revoked. An ITag is in use from then on until
// as many completions have come for it as they announce, or until the time-out;
// tags are given in turn, so that a late completion meets no new request soon.
//
// A completion counts if its device may send it (tc.EN_ATS, asked at the lookup
// pipeline, which also records the fault) and if it answers a request that was
// sent to that device; others are dropped.

`include "iommu_macros.svh"

module iommu_ats_invalidate
  import iommu_pkg::*;
#(
    parameter int unsigned NumItags = 32, // invalidation requests under way, a power of 2, 2 to 32
    parameter int unsigned Slots    = 4,  // translation requests under way
    parameter bit TimingCuts        = 1'b0  // registers behind the choice and comparison of ITags and before pending_o
) (
    input  logic     clk_i,         // clock
    input  logic     rst_ni,        // asynchronous reset, active low
    input  logic     ats_i,         // capabilities.ATS
    input  logic     timeout_i,     // tick: all that was sent before has timed out

    // from the command queue; the ITag is given here
    input  logic     cmd_valid_i,
    output logic     cmd_ready_o,
    input  ats_inv_t cmd_i,
    output logic     pending_o,     // a request has not completed or timed out
    output logic     timed_out_o,   // one has timed out since the last report
    input  logic     reported_i,    // pulse: the report

    // translation requests under way
    input  logic [Slots-1:0] tr_busy_i,

    // invalidation requests
    output logic     inv_valid_o,
    input  logic     inv_ready_i,
    output ats_inv_t inv_o,
    // invalidation completions
    input  logic     ic_valid_i,
    output logic     ic_ready_o,
    input  ats_ic_t  ic_i,

    // request to the lookup pipeline: held until ready; one answer follows
    output logic     req_valid_o,
    input  logic     req_ready_i,
    output aux_req_t req_o,
    input  logic     rsp_valid_i,
    input  logic     rsp_fault_i
);

  localparam int unsigned TagW = $clog2(NumItags);
  localparam logic [63:0] MessageCode = 64'h02;  // PCIe: Invalidate Completion

  // ---------------------------------------------------------------- requests
  logic [NumItags-1:0] busy_q, sent_q;
  logic [NumItags-1:0][2:0] got_q;             // completions so far
  logic [DeviceIdW-1:0] device_q [NumItags];
  logic [NumItags-1:0]  dsv_q;
  logic [TagW-1:0]      next_q, tag;
  logic                 up_q, some_free, take, send;
  ats_inv_t             with_tag, next_inv, inv_q;
  logic                 fifo_ready, next_valid, next_ready, inv_valid_q;
  logic [Slots-1:0]     older_q;               // translation requests to wait for
  logic                 apply;                 // a completion counts in this cycle
  logic [NumItags-1:0]  done;                  // completed in this cycle
  logic [NumItags-1:0]  hit;                   // a completion for it in this cycle

  iommu_choose #(
      .N(NumItags),
      .Cut(TimingCuts)
  ) u_choose (
      .clk_i, .rst_ni,
      .req_i(~busy_q),
      .start_i(next_q),
      .take_i(take),
      .valid_o(some_free),
      .idx_o(tag)
  );

  assign cmd_ready_o = some_free;
  assign take        = cmd_valid_i && cmd_ready_o;
  assign send        = inv_valid_o && inv_ready_i;

  always_comb begin
    with_tag      = cmd_i;
    with_tag.itag = 5'(tag);
  end

  // A place for each ITag: a port that takes nothing stops the command queue
  // only when all are in use.
  iommu_fifo #(
      .Width($bits(ats_inv_t)),
      .Depth(NumItags)
  ) u_requests (
      .clk_i, .rst_ni,
      .valid_i(take),
      .ready_o(fifo_ready),
      .data_i(with_tag),
      .valid_o(next_valid),
      .ready_i(next_ready),
      .data_o(next_inv)
  );

  assign next_ready  = older_q == '0 && (!inv_valid_q || inv_ready_i);
  assign inv_valid_o = inv_valid_q;
  assign inv_o       = inv_q;

  logic timed_out_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      up_q        <= 1'b0;
      busy_q      <= '0;
      sent_q      <= '0;
      got_q       <= '0;
      dsv_q       <= '0;
      next_q      <= '0;
      timed_out_q <= 1'b0;
      inv_valid_q <= 1'b0;
      inv_q       <= '0;
      older_q     <= '0;
    end else begin
      if (inv_ready_i) inv_valid_q <= 1'b0;
      if (next_valid && next_ready) begin
        inv_valid_q <= 1'b1;
        inv_q       <= next_inv;
      end
      older_q <= (older_q | {Slots{take}}) & tr_busy_i;
      up_q <= 1'b1;
      if (apply || timeout_i) begin
        for (int unsigned i = 0; i < NumItags; i++) begin
          if (hit[i]) got_q[i] <= got_q[i] + 1'b1;
          if (done[i] || (timeout_i && sent_q[i])) begin
            busy_q[i] <= 1'b0;
            sent_q[i] <= 1'b0;
          end
        end
      end
      if (reported_i) timed_out_q <= 1'b0;
      if (timeout_i && (sent_q & ~done) != '0) timed_out_q <= 1'b1;
      if (take) begin
        busy_q[tag] <= 1'b1;
        got_q[tag]  <= '0;
        dsv_q[tag]  <= cmd_i.dsv;
        next_q      <= tag + 1'b1;
      end
      if (send) sent_q[TagW'(inv_o.itag)] <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) device_q[tag] <= cmd_i.device_id;
  end

  // Late to fall, but never to rise: the command queue looks in the cycle after it gave one.
  if (TimingCuts) begin : gen_pending_cut
    logic pending_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) pending_q <= 1'b0;
      else pending_q <= take || (busy_q != '0);
    end
    assign pending_o = pending_q;
  end else begin : gen_pending
    assign pending_o = busy_q != '0;
  end
  assign timed_out_o = timed_out_q;

  // ---------------------------------------------------------------- completions
  typedef enum logic [1:0] {
    StIdle,
    StAsk,  // may the device send it? offered to the pipeline
    StWait  // its answer awaited
  } state_e;

  state_e  state_q;
  logic    ic_valid, ic_room, ic_pop;
  ats_ic_t ic_d, ic;

  iommu_fifo #(
      .Width($bits(ats_ic_t)),
      .Depth(2)
  ) u_completions (
      .clk_i, .rst_ni,
      .valid_i(ic_valid_i && ic_ready_o),
      .ready_o(ic_room),
      .data_i(ic_i),
      .valid_o(ic_valid),
      .ready_i(ic_pop),
      .data_o(ic_d)
  );
  // Not looked at in the cycle in which it becomes the oldest: that is StIdle's.
  iommu_cut #(.T(ats_ic_t), .Cut(TimingCuts)) u_cut_ic (.clk_i, .d_i(ic_d), .q_o(ic));
  assign ic_ready_o = (up_q || TimingCuts) && ic_room;

  // The pipeline's answer; one is awaited at a time, so that it may be late.
  logic rsp_valid, rsp_fault;
  iommu_pulse #(.T(logic), .Cut(TimingCuts)) u_cut_rsp_valid (.clk_i, .rst_ni, .d_i(rsp_valid_i), .q_o(rsp_valid));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_rsp_fault (.clk_i, .d_i(rsp_fault_i), .q_o(rsp_fault));
  assign apply  = state_q == StWait && rsp_valid && !rsp_fault;
  assign ic_pop = (state_q == StWait && rsp_valid) || (state_q == StIdle && !ats_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
    end else begin
      unique case (state_q)
        StAsk:   if (req_ready_i) state_q <= StWait;
        StWait:  if (rsp_valid) state_q <= StIdle;
        default: if (ic_valid && ats_i) state_q <= StAsk;
      endcase
    end
  end

  assign req_valid_o = state_q == StAsk;

  always_comb begin
    req_o           = '0;
    req_o.tag       = AuxTagComplete;
    req_o.kind      = AuxContext;
    req_o.device_id = ic.device_id;
    req_o.iova      = MessageCode;
  end

  // A request without a segment went to the requester id alone. A count of 0
  // stands for 8.
  // The completion stands while the pipeline is asked, for several cycles.
  logic [NumItags-1:0] same_d, same;  // to that device
  logic [NumItags-1:0] last_d, last;  // with this one it has as many as are to come
  always_comb begin
    same_d = '0;
    last_d = '0;
    if (TimingCuts || apply) begin
      for (int unsigned i = 0; i < NumItags; i++) begin
        same_d[i] = ic.itag_vector[i] && device_q[i][15:0] == ic.device_id[15:0] &&
                    (!dsv_q[i] || device_q[i][23:16] == ic.device_id[23:16]);
        last_d[i] = (got_q[i] + 3'd1) == ic.count;
      end
    end
  end
  iommu_cut #(.T(logic [NumItags-1:0]), .Cut(TimingCuts)) u_cut_same (.clk_i, .d_i(same_d), .q_o(same));
  iommu_cut #(.T(logic [NumItags-1:0]), .Cut(TimingCuts)) u_cut_last (.clk_i, .d_i(last_d), .q_o(last));
  always_comb begin
    hit  = '0;
    done = '0;
    if (apply) begin
      for (int unsigned i = 0; i < NumItags; i++) begin
        hit[i]  = same[i] && sent_q[i];
        done[i] = hit[i] && last[i];
      end
    end
  end

  logic unused;
  assign unused = ^{ic, inv_q};

  `IOMMU_ASSERT(CompletionStands, !apply || ic == ic_d)
  `IOMMU_ASSERT(ItagIsFree, !take || !busy_q[tag])
  `IOMMU_ASSERT(RequestHasRoom, !take || fifo_ready)
  `IOMMU_ASSERT(OnlyTheBusyIsSent, (sent_q & ~busy_q) == '0)

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StAsk)
  `IOMMU_ARC(StAsk, StWait)
  `IOMMU_ARC(StWait, StIdle)
endmodule

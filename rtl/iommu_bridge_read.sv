// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Read half of the IO bridge. An AR takes a slot; its translation request leaves
// in the same cycle if it can. A granted burst goes to m_dev as soon as its id's
// order allows; a refused one is answered here with SLVERR and zero data, beat
// by beat, once all older bursts of its id have been answered.
// Handshake: valid/ready; s_dev and m_dev outputs come from flops only.

`include "iommu_macros.svh"

module iommu_bridge_read
  import iommu_pkg::*;
#(
    parameter int unsigned IdW     = 8,   // transaction id, bits
    parameter int unsigned DataW   = 64,  // data, bits
    parameter int unsigned Slots   = 32,  // bursts in flight, a power of two, at most 64
    parameter int unsigned TrQueue = 2,   // translation requests that wait for the core, a power of two
    parameter bit          TimingCuts = 1'b0  // registers before a translation request and behind choices of slots
) (
    input  logic             clk_i,   // clock
    input  logic             rst_ni,  // asynchronous reset, active low
    // s_dev read channels
    input  logic             s_dev_arvalid_i,
    output logic             s_dev_arready_o,
    input  logic [IdW-1:0]   s_dev_arid_i,
    input  logic [63:0]      s_dev_araddr_i,
    input  logic [7:0]       s_dev_arlen_i,
    input  logic [2:0]       s_dev_arsize_i,
    input  logic [1:0]       s_dev_arburst_i,
    input  logic             s_dev_arlock_i,
    input  logic [3:0]       s_dev_arcache_i,
    input  logic [2:0]       s_dev_arprot_i,
    input  logic [3:0]       s_dev_arqos_i,
    input  logic [3:0]       s_dev_arregion_i,
    input  logic [23:0]      s_dev_armmusid_i,    // device_id
    input  logic             s_dev_armmussidv_i,  // process_id is valid
    input  logic [19:0]      s_dev_armmussid_i,   // process_id
    input  logic             s_dev_armmuatst_i,   // already translated
    output logic             s_dev_rvalid_o,
    input  logic             s_dev_rready_i,
    output logic [IdW-1:0]   s_dev_rid_o,
    output logic [DataW-1:0] s_dev_rdata_o,
    output logic [1:0]       s_dev_rresp_o,
    output logic             s_dev_rlast_o,
    // m_dev read channels
    output logic             m_dev_arvalid_o,
    input  logic             m_dev_arready_i,
    output logic [IdW-1:0]   m_dev_arid_o,
    output logic [63:0]      m_dev_araddr_o,
    output logic [7:0]       m_dev_arlen_o,
    output logic [2:0]       m_dev_arsize_o,
    output logic [1:0]       m_dev_arburst_o,
    output logic             m_dev_arlock_o,
    output logic [3:0]       m_dev_arcache_o,
    output logic [2:0]       m_dev_arprot_o,
    output logic [3:0]       m_dev_arqos_o,
    output logic [3:0]       m_dev_arregion_o,
    output dev_user_t        m_dev_aruser_o,
    input  logic             m_dev_rvalid_i,
    output logic             m_dev_rready_o,
    input  logic [IdW-1:0]   m_dev_rid_i,
    input  logic [DataW-1:0] m_dev_rdata_i,
    input  logic [1:0]       m_dev_rresp_i,
    input  logic             m_dev_rlast_i,
    // translation; the request depends on s_dev_ar* of the same cycle (not with TimingCuts)
    output logic             tr_req_valid_o,
    input  logic             tr_req_ready_i,
    output tr_req_t          tr_req_o,
    input  logic             tr_rsp_valid_i,  // an answer to a read
    input  tr_rsp_t          tr_rsp_i,
    // a refused atomic (write half) that is owed read data
    input  logic             atomic_valid_i,
    output logic             atomic_ready_o,
    input  logic [IdW-1:0]   atomic_id_i,
    input  logic [7:0]       atomic_len_i,    // beats minus one
    // fence over reads
    input  logic             fence_i,         // pulse: watch all reads accepted so far
    output logic             fence_done_o     // level: those need nothing more from m_dev
);
  localparam int unsigned SlotW = $clog2(Slots);
  localparam logic [1:0] RespOkay   = 2'b00;
  localparam logic [1:0] RespSlvErr = 2'b10;

  typedef struct packed {
    logic [IdW-1:0] id;
    logic [11:0]    offset;  // in the page
    logic [7:0]     len;
    logic [2:0]     size;
    logic [1:0]     burst;
    logic           lock;
    logic [3:0]     cache;
    logic [2:0]     prot;
    logic [3:0]     qos;
    logic [3:0]     region;
  } burst_t;

  typedef struct packed {
    logic [PpnW-1:0] ppn;
    dev_user_t       user;
  } target_t;

  typedef struct packed {
    logic [IdW-1:0]   id;
    logic [DataW-1:0] data;
    logic [1:0]       resp;
    logic             last;
  } beat_t;

  burst_t  burst_q [Slots];  // as accepted
  target_t target_q[Slots];  // as translated

  // ---------------------------------------------------------------- acceptance
  logic [Slots-1:0] live, may_fwd, may_refuse;
  logic             free, accept, legal, trq_ready, may_accept_d, may_accept, may_enter;
  logic [SlotW-1:0] new_slot_d, new_slot;
  burst_t           new_burst;
  tr_req_t          new_req;

  iommu_pick #(.N(Slots)) u_free (
      .req_i  (~live),
      .start_i('0),
      .valid_o(free),
      .idx_o  (new_slot_d)
  );

  // Only what enters takes the place of the next, so with TimingCuts there is a cycle for this.
  assign may_accept_d = free && trq_ready;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_accept (.clk_i, .d_i(may_accept_d), .q_o(may_accept));
  iommu_cut #(.T(logic [SlotW-1:0]), .Cut(TimingCuts)) u_cut_new (.clk_i, .d_i(new_slot_d), .q_o(new_slot));

  // What an AR is made into before it gets a slot.
  typedef struct packed {
    logic    legal;
    burst_t  burst;
    tr_req_t req;   // without tag
  } asked_t;
  asked_t asked_d, asked;
  logic   asked_valid;

  iommu_burst_check #(.DataW(DataW)) u_check (
      .addr_i (s_dev_araddr_i[11:0]),
      .len_i  (s_dev_arlen_i),
      .size_i (s_dev_arsize_i),
      .burst_i(s_dev_arburst_i),
      .ok_o   (asked_d.legal)
  );

  iommu_slice #(
      .T  (asked_t),
      .Cut(TimingCuts)
  ) u_slice (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(s_dev_arvalid_i),
      .ready_o(s_dev_arready_o),
      .data_i (asked_d),
      .valid_o(asked_valid),
      .ready_i(may_enter),
      .data_o (asked)
  );
  logic asked_seen;
  iommu_settle #(.Cycles(1), .Cut(TimingCuts)) u_asked_seen (
      .clk_i, .rst_ni, .there_i(asked_valid), .taken_i(accept), .seen_o(asked_seen)
  );
  assign may_enter = may_accept && (asked_seen || !TimingCuts);
  assign accept    = (TimingCuts ? asked_seen : asked_valid) && may_accept;
  assign legal     = asked.legal;
  assign new_burst = asked.burst;
  always_comb begin
    new_req     = asked.req;
    new_req.tag = TrTagW'(new_slot);
  end

  assign asked_d.burst = '{
          id: s_dev_arid_i,
          offset: s_dev_araddr_i[11:0],
          len: s_dev_arlen_i,
          size: s_dev_arsize_i,
          burst: s_dev_arburst_i,
          lock: s_dev_arlock_i,
          cache: s_dev_arcache_i,
          prot: s_dev_arprot_i,
          qos: s_dev_arqos_i,
          region: s_dev_arregion_i
      };

  // Without a process_id a request is a user's, whatever the device claims.
  assign asked_d.req = '{
          tag: '0,
          device_id: s_dev_armmusid_i,
          pv: s_dev_armmussidv_i,
          process_id: s_dev_armmussidv_i ? s_dev_armmussid_i : '0,
          priv: s_dev_arprot_i[0] && s_dev_armmussidv_i,
          exec: s_dev_arprot_i[2],
          write: 1'b0,
          translated: s_dev_armmuatst_i,
          iova: s_dev_araddr_i
      };

  iommu_fifo #(
      .Width      ($bits(tr_req_t)),
      .Depth      (TrQueue),
      .FallThrough(!TimingCuts),
      .EarlyWrite (TimingCuts)
  ) u_trq (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(accept && legal),
      .ready_o(trq_ready),
      .data_i (new_req),
      .valid_o(tr_req_valid_o),
      .ready_i(tr_req_ready_i),
      .data_o (tr_req_o)
  );

  // ---------------------------------------------------------------- forwarding
  logic [Slots-1:0] granted_q, stored, rsp_oh, fwd_oh;
  logic [SlotW-1:0] rsp_slot, stored_slot, fwd_slot, fwd_last_q;
  logic             rsp_grant, rsp_refuse, any_stored, fwd;
  target_t          rsp_target, fwd_target, out_target_q;
  burst_t           out_burst_q;
  logic             out_valid_q;

  logic             rsp_valid;
  tr_rsp_t          rsp;
  iommu_cut #(.T(tr_rsp_t), .Cut(TimingCuts)) u_cut_rsp (.clk_i, .d_i(tr_rsp_i), .q_o(rsp));
  iommu_pulse #(.Cut(TimingCuts)) u_cut_rsp_valid (.clk_i, .rst_ni, .d_i(tr_rsp_valid_i), .q_o(rsp_valid));

  assign rsp_slot   = rsp.tag[SlotW-1:0];
  assign rsp_grant  = rsp_valid && rsp.grant && !rsp.sink;
  assign rsp_refuse = rsp_valid && (!rsp.grant || rsp.sink);
  assign rsp_oh     = Slots'(rsp_grant) << rsp_slot;
  assign rsp_target = '{ppn: rsp.spa[PaW-1:12], user: rsp.user};
  assign stored     = granted_q & may_fwd;

  iommu_choose #(
      .N  (Slots),
      .Cut(TimingCuts)
  ) u_fwd (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .req_i  (stored),
      .start_i(fwd_last_q + 1'b1),
      .take_i (fwd),
      .valid_o(any_stored),
      .idx_o  (stored_slot)
  );

  // An answer is forwarded as it comes, unless an earlier one waits; with
  // TimingCuts it is stored first.
  assign fwd = (!out_valid_q || m_dev_arready_i) &&
               (any_stored || (!TimingCuts && rsp_grant && may_fwd[rsp_slot]));
  assign fwd_slot = (TimingCuts || any_stored) ? stored_slot : rsp_slot;
  assign fwd_target = (TimingCuts || any_stored) ? target_q[stored_slot] : rsp_target;
  assign fwd_oh = Slots'(fwd) << fwd_slot;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      granted_q   <= '0;
      fwd_last_q  <= '0;
      out_valid_q <= 1'b0;
    end else begin
      granted_q <= (granted_q | rsp_oh) & ~fwd_oh;
      if (fwd) fwd_last_q <= fwd_slot;
      if (fwd) out_valid_q <= 1'b1;
      else if (m_dev_arready_i) out_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) burst_q[new_slot] <= new_burst;
    if (rsp_grant) target_q[rsp_slot] <= rsp_target;
    if (fwd) begin
      out_burst_q  <= burst_q[fwd_slot];
      out_target_q <= fwd_target;
    end
  end

  assign m_dev_arvalid_o  = out_valid_q;
  assign m_dev_arid_o     = out_burst_q.id;
  assign m_dev_araddr_o   = 64'({out_target_q.ppn, out_burst_q.offset});
  assign m_dev_arlen_o    = out_burst_q.len;
  assign m_dev_arsize_o   = out_burst_q.size;
  assign m_dev_arburst_o  = out_burst_q.burst;
  assign m_dev_arlock_o   = out_burst_q.lock;
  assign m_dev_arcache_o  = out_burst_q.cache;
  assign m_dev_arprot_o   = out_burst_q.prot;
  assign m_dev_arqos_o    = out_burst_q.qos;
  assign m_dev_arregion_o = out_burst_q.region;
  assign m_dev_aruser_o   = out_target_q.user;

  // ---------------------------------------------------------------- refusal
  // An interrupt file in memory reads as zero, 4 bytes at a time; all other reads
  // of its page are errors.
  logic [Slots-1:0] zero_q;
  burst_t           rsp_burst;
  logic             rsp_zero, zero_shape_d, zero_shape;
  assign rsp_burst    = burst_q[tr_rsp_i.tag[SlotW-1:0]];
  assign zero_shape_d = (rsp_burst.len == '0) && (rsp_burst.size == 3'd2) && (rsp_burst.offset[1:0] == '0) && !rsp_burst.lock;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_shape (.clk_i, .d_i(zero_shape_d), .q_o(zero_shape));
  assign rsp_zero = rsp.grant && zero_shape;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      zero_q <= '0;
    end else begin
      if (accept) zero_q[new_slot] <= 1'b0;
      if (rsp_refuse) zero_q[rsp_slot] <= rsp_zero;
    end
  end

  logic             err_valid_q, err_start, err_push, err_last_q, any_refuse;
  logic             err_turn_q;  // m_dev went first last time
  logic             err_zero_q;  // no error after all
  logic             err_atomic_q, err_atomic_d;  // it answers an atomic, not a slot
  logic [SlotW-1:0] err_slot_q, err_slot_d;
  logic [IdW-1:0]   err_id_q;
  logic [7:0]       err_left_q;  // beats after this one

  // Chosen while none is being answered.
  iommu_choose #(
      .N  (Slots),
      .Cut(TimingCuts)
  ) u_refuse (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .req_i  (may_refuse & ~{Slots{TimingCuts && err_valid_q && !err_atomic_q}}),
      .start_i(err_slot_q + 1'b1),
      .take_i (err_start && !err_atomic_d),
      .valid_o(any_refuse),
      .idx_o  (err_slot_d)
  );

  assign err_start = !err_valid_q && (any_refuse || atomic_valid_i);
  assign err_atomic_d = atomic_valid_i && (!any_refuse || !err_atomic_q);  // in turns
  assign atomic_ready_o = !err_valid_q && err_atomic_d;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      err_valid_q  <= 1'b0;
      err_turn_q   <= 1'b0;
      err_atomic_q <= 1'b0;
      err_zero_q   <= 1'b0;
      err_slot_q   <= '0;
      err_id_q     <= '0;
      err_left_q   <= '0;
      err_last_q     <= 1'b0;
    end else begin
      err_turn_q <= err_valid_q && !err_push;
      if (err_start) begin
        err_valid_q  <= 1'b1;
        err_atomic_q <= err_atomic_d;
        err_zero_q   <= !err_atomic_d && zero_q[err_slot_d];
        if (err_atomic_d) begin
          err_id_q   <= atomic_id_i;
          err_left_q <= atomic_len_i;
          err_last_q   <= atomic_len_i == '0;
        end else begin
          err_slot_q <= err_slot_d;
          err_id_q   <= burst_q[err_slot_d].id;
          err_left_q <= burst_q[err_slot_d].len;
          err_last_q   <= burst_q[err_slot_d].len == '0;
        end
      end else if (err_push) begin
        err_left_q <= err_left_q - 1'b1;
        err_last_q   <= err_left_q == 8'd1;
        if (err_last_q) err_valid_q <= 1'b0;
      end
    end
  end

  // ---------------------------------------------------------------- answers
  logic             rq_ready, m_valid, m_ready, m_take, m_push, rsp_known, lookup_hit;
  logic [IdW-1:0]   lookup_id;
  logic [SlotW-1:0] m_slot, lookup_slot;
  beat_t            rq_in, rq_out, m_beat;

  iommu_id_lookup #(
      .T    (beat_t),
      .IdW  (IdW),
      .SlotW(SlotW),
      .Cut  (TimingCuts)
  ) u_lookup (
      .clk_i        (clk_i),
      .rst_ni       (rst_ni),
      .valid_i      (m_dev_rvalid_i),
      .ready_o      (m_dev_rready_o),
      .data_i       ({m_dev_rid_i, m_dev_rdata_i, m_dev_rresp_i, m_dev_rlast_i}),
      .id_i         (m_dev_rid_i),
      .last_i       (m_dev_rlast_i),
      .lookup_id_o  (lookup_id),
      .lookup_hit_i (lookup_hit),
      .lookup_slot_i(lookup_slot),
      .valid_o      (m_valid),
      .ready_i      (m_ready),
      .data_o       (m_beat),
      .known_o      (rsp_known),
      .slot_o       (m_slot)
  );

  assign m_ready        = rq_ready && !err_turn_q;
  assign m_take         = m_valid && m_ready;
  assign m_push         = m_take && rsp_known;  // nobody waits for any other
  assign err_push       = err_valid_q && rq_ready && !m_take;

  logic m_from;  // if anything goes in, it is m_dev's
  assign m_from = m_valid && !err_turn_q;

  always_comb begin
    rq_in = '{id: err_id_q, data: '0, resp: err_zero_q ? RespOkay : RespSlvErr, last: err_last_q};
    if (m_from) rq_in = m_beat;
  end

  iommu_fifo #(
      .Width($bits(beat_t)),
      .Depth(2)
  ) u_rq (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(m_push || err_push),
      .ready_o(rq_ready),
      .data_i (rq_in),
      .valid_o(s_dev_rvalid_o),
      .ready_i(s_dev_rready_i),
      .data_o (rq_out)
  );

  assign s_dev_rid_o   = rq_out.id;
  assign s_dev_rdata_o = rq_out.data;
  assign s_dev_rresp_o = rq_out.resp;
  assign s_dev_rlast_o = rq_out.last;

  // ---------------------------------------------------------------- order
  logic [Slots-1:0] waiting, refused;
  logic             done, answered;

  assign done     = m_push && m_beat.last;
  assign answered = err_push && err_last_q && !err_atomic_q;

  iommu_id_order #(
      .Slots(Slots),
      .IdW  (IdW),
      .TimingCuts(TimingCuts)
  ) u_order (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .alloc_i        (accept),
      .alloc_slot_i   (new_slot),
      .alloc_id_i     (new_burst.id),
      .alloc_refused_i(!legal),
      .refuse_i       (rsp_refuse),
      .refuse_slot_i  (rsp_slot),
      .sink_i         (1'b0),
      .sink_slot_i    ('0),
      .fwd_i          (fwd),
      .fwd_slot_i     (fwd_slot),
      .done_i         (done),
      .done_slot_i    (m_slot),
      .answered_i     (answered),
      .answered_slot_i(err_slot_q),
      .lookup_id_i    (lookup_id),
      .lookup_hit_o   (lookup_hit),
      .lookup_slot_o  (lookup_slot),
      .live_o         (live),
      .waiting_o      (waiting),
      .refused_o      (refused),
      .may_fwd_o      (may_fwd),
      .may_refuse_o   (may_refuse),
      .fence_i        (fence_i),
      .fence_done_o   (fence_done_o)
  );

  logic unused;
  assign unused = &{1'b0, asked, asked_seen, rsp, rsp_burst, refused, rsp.tag[TrTagW-1:SlotW], rsp.spa[11:0]};

  `IOMMU_ASSERT(AnswerWanted, !rsp_valid || (waiting[rsp_slot] && !granted_q[rsp_slot]))
  `IOMMU_ASSERT(EntersAsAsked, !accept || asked_valid)
  `IOMMU_ASSERT(EntersWhereThereIsRoom, !accept || (free && trq_ready && !live[new_slot]))
  `IOMMU_ASSERT(RefusedNotForwarded, (fwd_oh & refused) == '0)
  `IOMMU_ASSERT(GrantedIsWaiting, (granted_q & ~waiting) == '0)
endmodule

// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Write half of the IO bridge. An AW takes the next slot of a ring; its
// translation request leaves in the same cycle if it can. W beats are stored in
// order in a buffer that is a ring too: the place of a burst's beats follows
// from the lengths of the AWs before it, so W may come before its AW. The oldest
// undecided burst is forwarded as soon as it is granted and its data streams
// through; a younger one of another id may overtake it once all of its data is
// in the buffer. Beats of a refused burst are dropped; when the last is in, and
// all older bursts of its id have been answered, its B says SLVERR. An MSI to an
// interrupt file in memory (sink) does not go to m_dev either: when its data has
// come, and it is the oldest of its id, it is handed to iommu_mrif. Device
// atomics are refused; read data owed to one is sent, as errors, by the read half.
// Handshake: valid/ready; s_dev and m_dev outputs come from flops only.

`include "iommu_macros.svh"

module iommu_bridge_write
  import iommu_pkg::*;
#(
    parameter int unsigned IdW      = 8,   // transaction id, bits
    parameter int unsigned DataW    = 64,  // data, bits
    parameter int unsigned Slots    = 32,  // bursts in flight, a power of two, at most 64
    parameter int unsigned BufBeats = 64,  // write buffer, beats, a power of two, at most 4096
    parameter int unsigned TrQueue  = 2,   // translation requests that wait for the core, a power of two
    parameter bit          TimingCuts = 1'b0  // registers before a translation request and behind choices of slots
) (
    input  logic               clk_i,   // clock
    input  logic               rst_ni,  // asynchronous reset, active low
    // s_dev write channels
    input  logic               s_dev_awvalid_i,
    output logic               s_dev_awready_o,
    input  logic [IdW-1:0]     s_dev_awid_i,
    input  logic [63:0]        s_dev_awaddr_i,
    input  logic [7:0]         s_dev_awlen_i,
    input  logic [2:0]         s_dev_awsize_i,
    input  logic [1:0]         s_dev_awburst_i,
    input  logic               s_dev_awlock_i,
    input  logic [3:0]         s_dev_awcache_i,
    input  logic [2:0]         s_dev_awprot_i,
    input  logic [3:0]         s_dev_awqos_i,
    input  logic [3:0]         s_dev_awregion_i,
    input  logic [5:0]         s_dev_awatop_i,
    input  logic [23:0]        s_dev_awmmusid_i,    // device_id
    input  logic               s_dev_awmmussidv_i,  // process_id is valid
    input  logic [19:0]        s_dev_awmmussid_i,   // process_id
    input  logic               s_dev_awmmuatst_i,   // already translated
    input  logic               s_dev_wvalid_i,
    output logic               s_dev_wready_o,
    input  logic [DataW-1:0]   s_dev_wdata_i,
    input  logic [DataW/8-1:0] s_dev_wstrb_i,
    input  logic               s_dev_wlast_i,
    output logic               s_dev_bvalid_o,
    input  logic               s_dev_bready_i,
    output logic [IdW-1:0]     s_dev_bid_o,
    output logic [1:0]         s_dev_bresp_o,
    // m_dev write channels
    output logic               m_dev_awvalid_o,
    input  logic               m_dev_awready_i,
    output logic [IdW-1:0]     m_dev_awid_o,
    output logic [63:0]        m_dev_awaddr_o,
    output logic [7:0]         m_dev_awlen_o,
    output logic [2:0]         m_dev_awsize_o,
    output logic [1:0]         m_dev_awburst_o,
    output logic               m_dev_awlock_o,
    output logic [3:0]         m_dev_awcache_o,
    output logic [2:0]         m_dev_awprot_o,
    output logic [3:0]         m_dev_awqos_o,
    output logic [3:0]         m_dev_awregion_o,
    output logic [5:0]         m_dev_awatop_o,
    output dev_user_t          m_dev_awuser_o,
    output logic               m_dev_wvalid_o,
    input  logic               m_dev_wready_i,
    output logic [DataW-1:0]   m_dev_wdata_o,
    output logic [DataW/8-1:0] m_dev_wstrb_o,
    output logic               m_dev_wlast_o,
    input  logic               m_dev_bvalid_i,
    output logic               m_dev_bready_o,
    input  logic [IdW-1:0]     m_dev_bid_i,
    input  logic [1:0]         m_dev_bresp_i,
    // translation; the request depends on s_dev_aw* of the same cycle (not with TimingCuts)
    output logic               tr_req_valid_o,
    input  logic               tr_req_ready_i,
    output tr_req_t            tr_req_o,
    input  logic               tr_rsp_valid_i,  // an answer to a write
    input  tr_rsp_t            tr_rsp_i,
    // a refused atomic that is owed read data
    output logic               atomic_valid_o,
    input  logic               atomic_ready_i,
    output logic [IdW-1:0]     atomic_id_o,
    output logic [7:0]         atomic_len_o,    // beats of read data minus one
    // an MSI to be stored in an interrupt file: held until ready, answered in order
    output logic               mrif_req_valid_o,
    input  logic               mrif_req_ready_i,
    output mrif_req_t          mrif_req_o,
    input  logic               mrif_rsp_valid_i,
    input  logic               mrif_rsp_err_i,
    // fence over writes
    input  logic               fence_i,         // pulse: watch all writes accepted so far
    output logic               fence_done_o     // level: those need nothing more from m_dev
);
  localparam int unsigned SlotW = $clog2(Slots);
  localparam int unsigned BufW = $clog2(BufBeats);
  // Beats are counted modulo 2^CntW; no two counts in use are half of that apart.
  localparam int unsigned CntW = SlotW + 10;
  localparam logic [1:0] RespOkay   = 2'b00;
  localparam logic [1:0] RespSlvErr = 2'b10;

  typedef struct packed {
    logic [IdW-1:0] id;
    logic [11:0]    offset;  // in the page
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
    logic [CntW-1:0] start;  // count of the first beat
    logic [7:0]      len;
  } place_t;

  typedef struct packed {
    logic [DataW-1:0]   data;
    logic [DataW/8-1:0] strb;
  } wbeat_t;

  typedef struct packed {
    logic [IdW-1:0] id;
    logic [1:0]     resp;
  } rsp_t;

  burst_t  burst_q [Slots];  // as accepted
  place_t  place_q [Slots];  // where the data is
  target_t target_q[Slots];  // as translated

  function automatic logic [CntW-1:0] after(place_t p);
    return p.start + CntW'(p.len) + 1'b1;
  endfunction

  // ---------------------------------------------------------------- acceptance
  logic [Slots-1:0] live, waiting, refused, may_fwd, may_refuse;
  logic [SlotW:0]   head_q, drain_q, fill_q, new_q;  // oldest slot in use, with data to go, with data to come, free
  logic [SlotW-1:0] new_slot, head_slot, drain_slot, fill_slot;
  logic             accept, trq_ready;
  logic [CntW-1:0]  start_q;  // count of the next AW's first beat
  burst_t           new_burst;
  place_t           new_place;
  tr_req_t          new_req;

  assign new_slot   = new_q[SlotW-1:0];
  assign head_slot  = head_q[SlotW-1:0];
  assign drain_slot = drain_q[SlotW-1:0];
  assign fill_slot  = fill_q[SlotW-1:0];

  // What an AW is made into before it gets a slot.
  typedef struct packed {
    logic       permitted;    // device atomics are not supported
    logic       atomic_read;  // AWATOP[5] says that read data follows, AtomicCompare's is half as long
    logic [7:0] atomic_len;
    burst_t     burst;
    logic [7:0] len;
    tr_req_t    req;          // without tag
  } asked_t;
  asked_t asked_d, asked;
  logic   asked_valid, asked_seen, legal, permitted, may_accept_d, may_accept, may_enter;

  iommu_burst_check #(.DataW(DataW)) u_check (
      .addr_i (s_dev_awaddr_i[11:0]),
      .len_i  (s_dev_awlen_i),
      .size_i (s_dev_awsize_i),
      .burst_i(s_dev_awburst_i),
      .ok_o   (legal)
  );
  assign asked_d.permitted   = legal && s_dev_awatop_i == '0;
  assign asked_d.atomic_read = s_dev_awatop_i[5];
  assign asked_d.atomic_len  = (s_dev_awatop_i == AtopCompare) ? s_dev_awlen_i >> 1 : s_dev_awlen_i;
  assign asked_d.len         = s_dev_awlen_i;

  iommu_slice #(
      .T  (asked_t),
      .Cut(TimingCuts)
  ) u_slice (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(s_dev_awvalid_i),
      .ready_o(s_dev_awready_o),
      .data_i (asked_d),
      .valid_o(asked_valid),
      .ready_i(may_enter),
      .data_o (asked)
  );
  iommu_settle #(.Cycles(1), .Cut(TimingCuts)) u_asked_seen (
      .clk_i, .rst_ni, .there_i(asked_valid), .taken_i(accept), .seen_o(asked_seen)
  );
  assign may_enter = may_accept && (asked_seen || !TimingCuts);
  assign accept    = (TimingCuts ? asked_seen : asked_valid) && may_accept;
  assign permitted = asked.permitted;

  logic atomic_ready;

  iommu_fifo #(
      .Width(IdW + 8),
      .Depth(2)
  ) u_atomic (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(accept && asked.atomic_read),
      .ready_o(atomic_ready),
      .data_i ({asked.burst.id, asked.atomic_len}),
      .valid_o(atomic_valid_o),
      .ready_i(atomic_ready_i),
      .data_o ({atomic_id_o, atomic_len_o})
  );

  // Only what enters takes the place of the next, so with TimingCuts there is a cycle for this.
  assign may_accept_d = trq_ready && atomic_ready && (new_q - head_q) != (SlotW + 1)'(Slots);
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_accept (.clk_i, .d_i(may_accept_d), .q_o(may_accept));

  assign new_burst     = asked.burst;
  assign asked_d.burst = '{
          id: s_dev_awid_i,
          offset: s_dev_awaddr_i[11:0],
          size: s_dev_awsize_i,
          burst: s_dev_awburst_i,
          lock: s_dev_awlock_i,
          cache: s_dev_awcache_i,
          prot: s_dev_awprot_i,
          qos: s_dev_awqos_i,
          region: s_dev_awregion_i
      };
  assign new_place = '{start: start_q, len: asked.len};

  // Without a process_id a request is a user's, whatever the device claims.
  always_comb begin
    new_req     = asked.req;
    new_req.tag = {1'b1, (TrTagW - 1)'(new_slot)};
  end
  assign asked_d.req = '{
          tag: '0,
          device_id: s_dev_awmmusid_i,
          pv: s_dev_awmmussidv_i,
          process_id: s_dev_awmmussidv_i ? s_dev_awmmussid_i : '0,
          priv: s_dev_awprot_i[0] && s_dev_awmmussidv_i,
          exec: 1'b0,
          write: 1'b1,
          translated: s_dev_awmmuatst_i,
          iova: s_dev_awaddr_i
      };

  iommu_fifo #(
      .Width      ($bits(tr_req_t)),
      .Depth      (TrQueue),
      .FallThrough(!TimingCuts),
      .EarlyWrite (TimingCuts)
  ) u_trq (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(accept && permitted),
      .ready_o(trq_ready),
      .data_i (new_req),
      .valid_o(tr_req_valid_o),
      .ready_i(tr_req_ready_i),
      .data_o (tr_req_o)
  );

  // ---------------------------------------------------------------- data in
  wbeat_t           buf_q[BufBeats];
  logic [CntW-1:0]  beats_q;   // beats taken so far
  logic [CntW-1:0]  tail_q;    // oldest beat that the buffer still needs
  logic [Slots-1:0] filled_q;  // all data of the burst has come
  logic             w_take, fill;
  place_t           fill_place;
  logic [CntW-1:0]  fill_end;
  logic             fill_seen, fill_come_d, fill_come;

  // Whether the beats up to (not including) `c` have come.
  function automatic logic come(logic [CntW-1:0] c, logic [CntW-1:0] beats);
    logic [CntW-1:0] d;
    d = beats - c;
    return !d[CntW-1];
  endfunction

  // With TimingCuts as it was a cycle before, with room for the beat of that cycle.
  if (TimingCuts) begin : g_room_cut
    logic room_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) room_q <= 1'b0;
      else room_q <= (BufW + 1)'(beats_q - tail_q) < (BufW + 1)'(BufBeats - 1);
    end
    assign s_dev_wready_o = room_q;
  end else begin : g_room
    assign s_dev_wready_o = (beats_q - tail_q) != CntW'(BufBeats);
  end
  assign w_take      = s_dev_wvalid_i && s_dev_wready_o;
  assign fill_come_d = come(fill_end, beats_q);
  assign fill        = fill_seen && fill_come;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_fill_come (.clk_i, .d_i(fill_come_d), .q_o(fill_come));
  iommu_cut #(.T(place_t), .Cut(TimingCuts)) u_cut_fill (.clk_i, .d_i(place_q[fill_slot]), .q_o(fill_place));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_fill_end (.clk_i, .d_i(after(fill_place)), .q_o(fill_end));
  iommu_settle #(.Cycles(3), .Cut(TimingCuts)) u_fill_seen (
      .clk_i, .rst_ni, .there_i(fill_q != new_q), .taken_i(fill), .seen_o(fill_seen)
  );

  // ---------------------------------------------------------------- MSIs to interrupt files
  typedef struct packed {
    mrif_t     mrif;
    logic      dtf;
    mem_user_t user;
  } sink_t;

  tr_req_t          req_q  [Slots];   // as asked, for a fault record
  sink_t            sink_q [Slots];
  logic [31:0]      msi_q  [Slots];   // data
  logic [Slots-1:0] is_sink_q;        // it is one
  logic [Slots-1:0] msi_full_q;       // with all strobes
  logic [Slots-1:0] msi_come_q;       // its data is here
  logic [Slots-1:0] msi_end_q;        // it has been stored, discarded, or has failed
  logic [Slots-1:0] msi_err_q;        // it has failed
  logic             rsp_valid, rsp_sink, sink_shape_d, sink_shape;
  tr_rsp_t          rsp;
  burst_t           rsp_burst;
  logic [SlotW-1:0] rsp_slot;

  // 4 bytes, aligned, nothing else; the strobes are looked at when they come.
  assign rsp_burst    = burst_q[tr_rsp_i.tag[SlotW-1:0]];
  assign sink_shape_d = (place_q[tr_rsp_i.tag[SlotW-1:0]].len == '0) && (rsp_burst.size == 3'd2) &&
                        (rsp_burst.offset[1:0] == '0) && !rsp_burst.lock;

  // The answer, and what it depends on in its slot.
  iommu_cut #(.T(tr_rsp_t), .Cut(TimingCuts)) u_cut_rsp (.clk_i, .d_i(tr_rsp_i), .q_o(rsp));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_shape (.clk_i, .d_i(sink_shape_d), .q_o(sink_shape));
  iommu_pulse #(.Cut(TimingCuts)) u_cut_rsp_valid (.clk_i, .rst_ni, .d_i(tr_rsp_valid_i), .q_o(rsp_valid));

  // The oldest data in the buffer, as it leaves.
  place_t                 drain_place;
  logic                   drain;
  localparam int unsigned LaneW = $clog2(DataW / 32);
  logic                   msi_take;
  wbeat_t                 msi_beat;
  logic [LaneW-1:0]       msi_lane;
  logic                   msi_take_d;
  logic [SlotW-1:0]       msi_from;  // its slot
  iommu_cut #(.T(wbeat_t), .Cut(TimingCuts)) u_cut_beat (
      .clk_i, .d_i(buf_q[drain_place.start[BufW-1:0]]), .q_o(msi_beat)
  );
  iommu_cut #(.T(logic [LaneW-1:0]), .Cut(TimingCuts)) u_cut_lane (
      .clk_i, .d_i(burst_q[drain_slot].offset[2+:LaneW]), .q_o(msi_lane)
  );
  iommu_cut #(.T(logic [SlotW-1:0]), .Cut(TimingCuts)) u_cut_from (.clk_i, .d_i(drain_slot), .q_o(msi_from));
  iommu_pulse #(.Cut(TimingCuts)) u_cut_take (.clk_i, .rst_ni, .d_i(msi_take_d), .q_o(msi_take));

  // One at a time goes to be stored, in the order of its id.
  logic             msi_any, msi_seen, msi_busy_q, msi_sent_q, msi_full, msi_discard_d, msi_discard;
  logic             msi_drop, msi_over;  // discarded, answered in this cycle
  logic [SlotW-1:0] msi_pick, msi_slot_q, msi_slot;
  logic [31:0]      msi_word, msi_data_d;
  logic [10:0]      msi_data;
  logic [11:2]      msi_offset;
  iommu_choose #(
      .N  (Slots),
      .Cut(TimingCuts)
  ) u_msi (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .req_i  (may_refuse & is_sink_q & msi_come_q & ~msi_end_q),
      .start_i(msi_slot_q + 1'b1),
      .take_i (TimingCuts ? msi_drop || msi_over : !msi_busy_q && msi_any),
      .valid_o(msi_any),
      .idx_o  (msi_pick)
  );
  // With TimingCuts it stays the one chosen until it has been stored or discarded: what it
  // is made of is read, and then looked at, before anything happens.
  assign msi_slot = (msi_busy_q && !TimingCuts) ? msi_slot_q : msi_pick;
  iommu_settle #(.Cycles(2), .Cut(TimingCuts)) u_msi_seen (
      .clk_i, .rst_ni, .there_i(msi_any), .taken_i(msi_drop || msi_over), .seen_o(msi_seen)
  );
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_word (.clk_i, .d_i(msi_q[msi_slot]), .q_o(msi_word));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_full (.clk_i, .d_i(msi_full_q[msi_slot]), .q_o(msi_full));
  iommu_cut #(.T(logic [11:2]), .Cut(TimingCuts)) u_cut_offset (
      .clk_i, .d_i(burst_q[msi_slot].offset[11:2]), .q_o(msi_offset)
  );
  // "in big-endian byte order if bit 2 of the destination address is one"
  assign msi_data_d    = msi_offset[2] ? {<<8{msi_word}} : msi_word;
  assign msi_discard_d = (msi_offset[11:3] != '0) || (msi_data_d[31:11] != '0) || !msi_full;
  iommu_cut #(.T(logic [10:0]), .Cut(TimingCuts)) u_cut_data (.clk_i, .d_i(msi_data_d[10:0]), .q_o(msi_data));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_discard (.clk_i, .d_i(msi_discard_d), .q_o(msi_discard));
  assign msi_drop = !msi_busy_q && msi_any && msi_seen && msi_discard;
  assign msi_over = msi_busy_q && mrif_rsp_valid_i;

  assign mrif_req_valid_o = msi_busy_q && !msi_sent_q;
  assign mrif_req_o = '{
          req: req_q[msi_slot],
          mrif: sink_q[msi_slot].mrif,
          dtf: sink_q[msi_slot].dtf,
          user: sink_q[msi_slot].user,
          identity: msi_data
      };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      is_sink_q  <= '0;
      msi_full_q <= '0;
      msi_come_q <= '0;
      msi_end_q  <= '0;
      msi_err_q  <= '0;
      msi_busy_q <= 1'b0;
      msi_sent_q <= 1'b0;
      msi_slot_q <= '0;
    end else begin
      if (accept) begin
        is_sink_q[new_slot]  <= 1'b0;
        msi_come_q[new_slot] <= 1'b0;
        msi_end_q[new_slot]  <= 1'b0;
      end
      if (rsp_sink) is_sink_q[rsp_slot] <= 1'b1;
      if (msi_take) begin
        msi_come_q[msi_from] <= 1'b1;
        msi_full_q[msi_from] <= &msi_beat.strb[4*msi_lane+:4];
      end
      if (!msi_busy_q) begin
        msi_slot_q <= msi_pick;
        msi_sent_q <= 1'b0;
        if (msi_any && msi_seen) begin
          if (msi_drop) begin
            msi_end_q[msi_pick] <= 1'b1;
            msi_err_q[msi_pick] <= !msi_full_q[msi_pick];
          end else begin
            msi_busy_q <= 1'b1;
          end
        end
      end else begin
        if (mrif_req_ready_i) msi_sent_q <= 1'b1;
        if (msi_over) begin
          msi_busy_q            <= 1'b0;
          msi_end_q[msi_slot_q] <= 1'b1;
          msi_err_q[msi_slot_q] <= mrif_rsp_err_i;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) req_q[new_slot] <= new_req;
    if (rsp_sink) begin
      sink_q[rsp_slot] <= '{
          mrif: rsp.mrif,
          dtf: rsp.dtf,
          user: '{mcid: rsp.user.mcid, rcid: rsp.user.rcid}
      };
    end
    if (msi_take) msi_q[msi_from] <= msi_beat.data[32*msi_lane+:32];
  end

  // ---------------------------------------------------------------- forwarding
  logic [Slots-1:0] granted_q, ready_fwd, stored, rsp_oh, fwd_oh, oldest_oh_d, oldest_oh;
  logic [SlotW-1:0] stored_slot, fwd_slot, oldest_slot;
  logic             rsp_grant, rsp_refuse, any_stored, any_waiting, fwd;
  target_t          rsp_target, fwd_target, out_target_q;
  burst_t           out_burst_q;
  logic [7:0]       out_len_q;
  logic             out_valid_q;

  assign rsp_slot   = rsp.tag[SlotW-1:0];
  assign rsp_grant  = rsp_valid && rsp.grant && !rsp.sink;
  assign rsp_sink   = rsp_valid && rsp.grant && rsp.sink && sink_shape;
  assign rsp_refuse = rsp_valid && (!rsp.grant || (rsp.sink && !sink_shape));
  assign rsp_oh     = Slots'(rsp_grant) << rsp_slot;
  assign rsp_target = '{ppn: rsp.spa[PaW-1:12], user: rsp.user};

  // Once the oldest that waits, always that until it waits no longer: what is late here,
  // by up to three cycles, is true or not looked at. A slot is not used again so soon.
  logic [Slots-1:0] waiting_r;
  logic [SlotW-1:0] head_r, oldest_slot_d;
  logic             any_waiting_d;
  iommu_cut #(.T(logic [Slots-1:0]), .Cut(TimingCuts)) u_cut_waiting (.clk_i, .d_i(waiting), .q_o(waiting_r));
  iommu_cut #(.T(logic [SlotW-1:0]), .Cut(TimingCuts)) u_cut_head (.clk_i, .d_i(head_slot), .q_o(head_r));
  iommu_pick #(.N(Slots)) u_oldest (
      .req_i  (waiting_r),
      .start_i(head_r),
      .valid_o(any_waiting_d),
      .idx_o  (oldest_slot_d)
  );
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_any (.clk_i, .d_i(any_waiting_d), .q_o(any_waiting));
  iommu_cut #(.T(logic [SlotW-1:0]), .Cut(TimingCuts)) u_cut_slot (.clk_i, .d_i(oldest_slot_d), .q_o(oldest_slot));
  assign oldest_oh_d = Slots'(any_waiting) << oldest_slot;
  iommu_cut #(.T(logic [Slots-1:0]), .Cut(TimingCuts)) u_cut_oldest (.clk_i, .d_i(oldest_oh_d), .q_o(oldest_oh));

  // Overtaking with data that is still to come could wait for data behind it.
  assign ready_fwd = may_fwd & (filled_q | oldest_oh);
  assign stored    = granted_q & ready_fwd;

  iommu_choose #(
      .N  (Slots),
      .Cut(TimingCuts)
  ) u_fwd (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .req_i  (stored),
      .start_i(head_slot),
      .take_i (fwd),
      .valid_o(any_stored),
      .idx_o  (stored_slot)
  );

  assign fwd = (!out_valid_q || m_dev_awready_i) &&
               (any_stored || (!TimingCuts && rsp_grant && ready_fwd[rsp_slot]));
  assign fwd_slot = (TimingCuts || any_stored) ? stored_slot : rsp_slot;
  assign fwd_target = (TimingCuts || any_stored) ? target_q[stored_slot] : rsp_target;
  assign fwd_oh = Slots'(fwd) << fwd_slot;

  assign m_dev_awvalid_o  = out_valid_q;
  assign m_dev_awid_o     = out_burst_q.id;
  assign m_dev_awaddr_o   = 64'({out_target_q.ppn, out_burst_q.offset});
  assign m_dev_awlen_o    = out_len_q;
  assign m_dev_awsize_o   = out_burst_q.size;
  assign m_dev_awburst_o  = out_burst_q.burst;
  assign m_dev_awlock_o   = out_burst_q.lock;
  assign m_dev_awcache_o  = out_burst_q.cache;
  assign m_dev_awprot_o   = out_burst_q.prot;
  assign m_dev_awqos_o    = out_burst_q.qos;
  assign m_dev_awregion_o = out_burst_q.region;
  assign m_dev_awatop_o   = '0;
  assign m_dev_awuser_o   = out_target_q.user;

  // ---------------------------------------------------------------- data out, in the order of forwarding
  logic             sq_ready, send_there, send_valid, send, send_last, send_come;
  logic [SlotW-1:0] send_slot_d, send_slot;
  place_t           send_place;
  logic [CntW-1:0]  send_cnt;
  logic [7:0]       send_beat_q;
  logic [Slots-1:0] sent_q;  // all data of the burst has gone
  wbeat_t           wout_q;
  logic             wout_valid_q, wout_last_q;

  iommu_fifo #(
      .Width(SlotW),
      .Depth(Slots)
  ) u_send (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(fwd),
      .ready_o(sq_ready),
      .data_i (fwd_slot),
      .valid_o(send_there),
      .ready_i(send && send_last),
      .data_o (send_slot_d)
  );

  // With TimingCuts its place is read, its first beat counted, and whether that has come
  // looked at, before it begins; then all of it goes a beat ahead.
  if (TimingCuts) begin : g_send_cut
    place_t           place_r_q;
    logic [SlotW-1:0] slot_q;
    logic [CntW-1:0]  cnt_q, next_q, after_next;  // of the beat, of the one after it
    logic [7:0]       beat_next;
    logic             come_q, last_q;             // the beat has come, is the last
    iommu_settle #(.Cycles(3), .Cut(1'b1)) u_seen (
        .clk_i, .rst_ni, .there_i(send_there), .taken_i(send && send_last), .seen_o(send_valid)
    );
    assign after_next = beats_q + ~next_q;  // beats_q - (next_q + 1)
    assign beat_next  = send_beat_q + 1'b1;
    always_ff @(posedge clk_i) begin
      slot_q    <= send_slot_d;
      place_r_q <= place_q[send_slot_d];
      if (!send_valid) begin
        cnt_q  <= place_r_q.start;
        next_q <= place_r_q.start + 1'b1;
      end else if (send) begin
        cnt_q  <= next_q;
        next_q <= next_q + 1'b1;
      end
      come_q <= send ? !after_next[CntW-1] : come(next_q, beats_q);
      last_q <= (send ? beat_next : send_beat_q) == place_r_q.len;
    end
    assign send_slot  = slot_q;
    assign send_place = place_r_q;
    assign send_cnt   = cnt_q;
    assign send_last  = last_q;
    assign send_come  = come_q;
    `IOMMU_ASSERT(BeatHasCome, !send || come(cnt_q + 1'b1, beats_q))
    `IOMMU_ASSERT(LastIsLast, !send || last_q == (send_beat_q == place_q[send_slot_d].len))
  end else begin : g_send
    assign send_valid = send_there;
    assign send_slot  = send_slot_d;
    assign send_place = place_q[send_slot];
    assign send_cnt   = send_place.start + CntW'(send_beat_q);
    assign send_last  = send_beat_q == send_place.len;
    assign send_come  = come(send_cnt + 1'b1, beats_q);
  end
  assign send = send_valid && send_come && (!wout_valid_q || m_dev_wready_i);

  assign m_dev_wvalid_o = wout_valid_q;
  assign m_dev_wdata_o  = wout_q.data;
  assign m_dev_wstrb_o  = wout_q.strb;
  assign m_dev_wlast_o  = wout_last_q;

  // ---------------------------------------------------------------- buffer space, in the order of acceptance
  logic [CntW-1:0] tail_d, drain_end;
  logic            drain_seen, drain_come_d, drain_come;
  logic            drain_refused, drain_send;  // no drain: beats are dropped, are sent
  iommu_cut #(.T(place_t), .Cut(TimingCuts)) u_cut_drain (.clk_i, .d_i(place_q[drain_slot]), .q_o(drain_place));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_drain_end (
      .clk_i, .d_i(after(drain_place)), .q_o(drain_end)
  );
  iommu_settle #(.Cycles(3), .Cut(TimingCuts)) u_drain_seen (
      .clk_i, .rst_ni, .there_i(drain_q != new_q), .taken_i(drain), .seen_o(drain_seen)
  );

  assign drain_come_d = come(drain_end, beats_q);
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_drain_come (.clk_i, .d_i(drain_come_d), .q_o(drain_come));

  // Of its slot: all sent, refused, answered, for an interrupt file.
  typedef struct packed {
    logic sent, refused, live, sink;
  } status_t;
  status_t status_d, status;
  assign status_d = '{sent: sent_q[drain_slot], refused: refused[drain_slot], live: live[drain_slot], sink: is_sink_q[drain_slot]};
  iommu_cut #(.T(status_t), .Cut(TimingCuts)) u_cut_status (.clk_i, .d_i(status_d), .q_o(status));

  assign drain         = drain_seen && (status.sent || (status.refused && drain_come) || !status.live);
  assign drain_refused = drain_seen && !drain && status.refused;
  assign drain_send    = drain_seen && !drain && !status.refused && send_valid && send_slot == drain_slot;
  assign msi_take_d    = drain && status.sink;

  // With TimingCuts room is seen a cycle later. That all of a refused burst has come is known
  // a cycle late too, but before a beat behind it can have come.
  if (TimingCuts) begin : g_tail_cut
    logic            drain_r_q, refused_q, send_q;
    logic [CntW-1:0] end_q, beats_r_q, cnt_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) {drain_r_q, refused_q, send_q} <= '0;
      else {drain_r_q, refused_q, send_q} <= {drain, drain_refused, drain_send};
    end
    always_ff @(posedge clk_i) begin
      end_q     <= drain_end;
      beats_r_q <= beats_q;
      cnt_q     <= send_cnt;
    end
    assign tail_d = drain_r_q ? end_q : refused_q ? beats_r_q : send_q ? cnt_q : tail_q;
    `IOMMU_ASSERT(DropsItsOwnBeats, !drain_refused || !come(drain_end + 1'b1, beats_q))
  end else begin : g_tail
    assign tail_d = drain ? drain_end : drain_refused ? beats_q : drain_send ? send_cnt : tail_q;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q       <= '0;
      drain_q      <= '0;
      fill_q       <= '0;
      new_q        <= '0;
      start_q      <= '0;
      beats_q      <= '0;
      tail_q       <= '0;
      filled_q     <= '0;
      sent_q       <= '0;
      granted_q    <= '0;
      out_valid_q  <= 1'b0;
      wout_valid_q <= 1'b0;
      send_beat_q  <= '0;
    end else begin
      if (accept) begin
        new_q              <= new_q + 1'b1;
        start_q            <= after(new_place);
        filled_q[new_slot] <= 1'b0;
        sent_q[new_slot]   <= 1'b0;
      end
      if (w_take) beats_q <= beats_q + 1'b1;
      if (fill) begin
        filled_q[fill_slot] <= 1'b1;
        fill_q              <= fill_q + 1'b1;
      end
      tail_q <= tail_d;
      if (drain) drain_q <= drain_q + 1'b1;
      if (head_q != drain_q && !live[head_slot]) head_q <= head_q + 1'b1;

      granted_q <= (granted_q | rsp_oh) & ~fwd_oh;
      if (fwd) out_valid_q <= 1'b1;
      else if (m_dev_awready_i) out_valid_q <= 1'b0;

      if (send) begin
        wout_valid_q <= 1'b1;
        send_beat_q  <= send_last ? '0 : send_beat_q + 1'b1;
        if (send_last) sent_q[send_slot] <= 1'b1;
      end else if (m_dev_wready_i) begin
        wout_valid_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      burst_q[new_slot] <= new_burst;
      place_q[new_slot] <= new_place;
    end
    if (w_take) buf_q[beats_q[BufW-1:0]] <= '{data: s_dev_wdata_i, strb: s_dev_wstrb_i};
    if (rsp_grant) target_q[rsp_slot] <= rsp_target;
    if (fwd) begin
      out_burst_q  <= burst_q[fwd_slot];
      out_len_q    <= place_q[fwd_slot].len;
      out_target_q <= fwd_target;
    end
    if (send) begin
      wout_q      <= buf_q[send_cnt[BufW-1:0]];
      wout_last_q <= send_last;
    end
  end

  // ---------------------------------------------------------------- answers
  logic             any_refuse, err_push, err_turn_q, bq_ready, m_valid, m_ready, m_take, m_push, rsp_known, lookup_hit;
  logic             m_from;  // if anything is answered, m_dev's burst is
  logic [IdW-1:0]   lookup_id;
  logic [SlotW-1:0] err_slot, m_slot, lookup_slot;
  rsp_t             bq_in, bq_out, m_rsp;

  iommu_id_lookup #(
      .T    (rsp_t),
      .IdW  (IdW),
      .SlotW(SlotW),
      .Cut  (TimingCuts)
  ) u_lookup (
      .clk_i        (clk_i),
      .rst_ni       (rst_ni),
      .valid_i      (m_dev_bvalid_i),
      .ready_o      (m_dev_bready_o),
      .data_i       ({m_dev_bid_i, m_dev_bresp_i}),
      .id_i         (m_dev_bid_i),
      .last_i       (1'b1),
      .lookup_id_o  (lookup_id),
      .lookup_hit_i (lookup_hit),
      .lookup_slot_i(lookup_slot),
      .valid_o      (m_valid),
      .ready_i      (m_ready),
      .data_o       (m_rsp),
      .known_o      (rsp_known),
      .slot_o       (m_slot)
  );

  iommu_choose #(
      .N  (Slots),
      .Cut(TimingCuts)
  ) u_refuse (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .take_i (err_push),
      .req_i  (may_refuse & ((is_sink_q & msi_end_q) | (~is_sink_q & filled_q))),
      .start_i(head_slot),
      .valid_o(any_refuse),
      .idx_o  (err_slot)
  );

  // The two sources take turns when both have something.
  assign m_ready        = bq_ready && !err_turn_q;
  assign m_from         = m_valid && !err_turn_q;
  assign m_take         = m_valid && m_ready;
  assign m_push         = m_take && rsp_known;  // nobody waits for any other
  assign err_push       = any_refuse && bq_ready && !m_take;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) err_turn_q <= 1'b0;
    else err_turn_q <= any_refuse && !err_push;
  end

  assign bq_in = m_from ? m_rsp :
                          '{id: burst_q[err_slot].id,
                            resp: (is_sink_q[err_slot] && !msi_err_q[err_slot]) ? RespOkay : RespSlvErr};

  iommu_fifo #(
      .Width($bits(rsp_t)),
      .Depth(2)
  ) u_bq (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(m_push || err_push),
      .ready_o(bq_ready),
      .data_i (bq_in),
      .valid_o(s_dev_bvalid_o),
      .ready_i(s_dev_bready_i),
      .data_o (bq_out)
  );

  assign s_dev_bid_o   = bq_out.id;
  assign s_dev_bresp_o = bq_out.resp;

  // ---------------------------------------------------------------- order
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
      .alloc_refused_i(!permitted),
      .refuse_i       (rsp_refuse),
      .refuse_slot_i  (rsp_slot),
      .sink_i         (rsp_sink),
      .sink_slot_i    (rsp_slot),
      .fwd_i          (fwd),
      .fwd_slot_i     (fwd_slot),
      .done_i         (m_push),
      .done_slot_i    (m_slot),
      .answered_i     (err_push),
      .answered_slot_i(err_slot),
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
  assign unused = &{1'b0, asked, asked_seen, send_place, rsp, rsp_burst, s_dev_wlast_i, sq_ready, rsp.tag[TrTagW-1:SlotW], rsp.spa[11:0]};

  `IOMMU_ASSERT(AnswerWanted, !rsp_valid || (waiting[rsp_slot] && !granted_q[rsp_slot]))
  `IOMMU_ASSERT(EntersAsAsked, !accept || asked_valid)
  `IOMMU_ASSERT(EntersWhereThereIsRoom, !accept || may_accept_d)
  `IOMMU_ASSERT(EntersAsNotTheOldest, !TimingCuts || !accept || !oldest_oh[new_slot])
  `IOMMU_ASSERT(RefusedNotForwarded, (fwd_oh & refused) == '0)
  `IOMMU_ASSERT(GrantedIsWaiting, (granted_q & ~waiting) == '0)
  `IOMMU_ASSERT(SendQueueRoom, !fwd || sq_ready)
  `IOMMU_ASSERT(DrainedFromItsStart, !drain_seen || come(drain_place.start, beats_q))
  `IOMMU_ASSERT(BufferNoOverflow, (beats_q - tail_q) <= CntW'(BufBeats))
endmodule

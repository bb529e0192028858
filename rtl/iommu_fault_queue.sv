// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The fault queue: a few places in front of it, then one record at a time
// into memory. fqt moves, and the interrupt is told, when the record's write
// has been answered. A record that cannot be stored is dropped, so the queue
// never holds up its sources longer than the memory does: queue off, full
// (fqof), or an error bit set. Valid/ready towards each source.

`include "iommu_macros.svh"

module iommu_fault_queue
  import iommu_pkg::*;
#(
    parameter int unsigned Depth = 4,  // places in front of the queue, a power of 2, 2 at least
    parameter bit TimingCuts = 1'b0    // the oldest record and its address are read before they are used
) (
    input  logic        clk_i,             // clock
    input  logic        rst_ni,            // asynchronous reset, active low

    // sources: translation, and the IOMMU's own messages
    input  logic        tr_valid_i,
    output logic        tr_ready_o,
    input  fault_rec_t  tr_fault_i,
    input  logic        msi_valid_i,
    output logic        msi_ready_o,
    input  fault_rec_t  msi_fault_i,

    // register file
    input  logic        be_i,              // fctl.BE: records are big-endian
    input  mem_user_t   qosid_i,           // iommu_qosid
    input  queue_cfg_t  cfg_i,             // base, size, fqh, enable
    input  logic        clear_i,           // pulse: fqen goes from 0 to 1
    output logic        on_o,              // fqcsr.fqon
    output logic [31:0] tail_o,            // fqt
    output logic        set_of_o,          // pulse: overflow
    output logic        set_mf_o,          // pulse: memory fault
    output logic        record_o,          // pulse: a record is in memory and fqt has moved

    // record's write: held until ready; one answer follows
    output logic        mem_wreq_valid_o,
    input  logic        mem_wreq_ready_i,
    output mem_wreq_t   mem_wreq_o,
    input  logic        mem_wrsp_valid_i,
    input  logic        mem_wrsp_err_i
);

  localparam int unsigned PtrW = $clog2(Depth);

  // ---------------------------------------------------------------- places in front
  fault_rec_t      fifo_q [Depth];
  logic [PtrW:0]   wr_q, rd_q;     // one bit more than the index: full and empty differ in it
  logic            empty, full, room;
  logic            turn_msi_q;     // both sources want in: this one is next
  logic            take_tr, take_msi;
  logic            keep;           // what is taken is put into a place
  logic            from_msi;       // where it comes from, if anything is taken
  logic            pop;
  fault_rec_t      head_rec;

  // With TimingCuts as it was a cycle before, and not in the cycle after one was kept.
  if (TimingCuts) begin : gen_room_cut
    logic room_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) room_q <= 1'b0;
      else room_q <= !full && !keep;
    end
    assign room = room_q;
  end else begin : gen_room
    assign room = !full;
  end

  assign empty = wr_q == rd_q;
  assign full  = wr_q == {~rd_q[PtrW], rd_q[PtrW-1:0]};

  // The sources take turns; no source's own valid is in its ready.
  assign tr_ready_o  = room && !(msi_valid_i && turn_msi_q);
  assign msi_ready_o = room && !(tr_valid_i && !turn_msi_q);
  assign take_tr     = tr_valid_i && tr_ready_o;
  assign take_msi    = msi_valid_i && msi_ready_o;
  assign keep        = (tr_valid_i || msi_valid_i) && room && cfg_i.en;  // one of them is taken then
  assign from_msi    = msi_valid_i && (!tr_valid_i || turn_msi_q);
  iommu_cut #(.T(fault_rec_t), .Cut(TimingCuts)) u_cut_head (.clk_i, .d_i(fifo_q[rd_q[PtrW-1:0]]), .q_o(head_rec));

  // The places' contents need no reset: empty until written.
  always_ff @(posedge clk_i) begin
    if (keep) fifo_q[wr_q[PtrW-1:0]] <= from_msi ? msi_fault_i : tr_fault_i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_q       <= '0;
      rd_q       <= '0;
      turn_msi_q <= 1'b0;
    end else begin
      if (keep) wr_q <= wr_q + 1'b1;
      if (pop) rd_q <= rd_q + 1'b1;
      if (take_tr) turn_msi_q <= 1'b1;
      if (take_msi) turn_msi_q <= 1'b0;
    end
  end

  // ---------------------------------------------------------------- the queue
  typedef enum logic [1:0] {
    StIdle,
    StWrite,  // the write is offered
    StWriteB  // its answer awaited
  } state_e;

  state_e      state_q, state_d;
  logic        q_full;
  logic        there;  // there is a record, and q_full is of now
  logic [31:0] slot;   // of the record

  iommu_settle #(.Cycles(3), .Cut(TimingCuts)) u_there (
      .clk_i, .rst_ni, .there_i(!empty && state_q == StIdle), .taken_i(pop), .seen_o(there)
  );

  iommu_queue_tail #(
      .TimingCuts(TimingCuts)
  ) u_tail (
      .clk_i, .rst_ni,
      .cfg_i   (cfg_i),
      .clear_i (clear_i),
      .rest_i  (empty && (state_q == StIdle)),
      .record_i(record_o),
      .on_o    (on_o),
      .tail_o  (tail_o),
      .slot_o  (slot),
      .full_o  (q_full)
  );

  always_comb begin
    state_d  = state_q;
    pop      = 1'b0;
    set_of_o = 1'b0;
    set_mf_o = 1'b0;
    record_o = 1'b0;
    unique case (state_q)
      StIdle: begin
        if (on_o && there) begin
          if (cfg_i.error) begin
            pop = 1'b1;
          end else if (q_full) begin
            pop      = 1'b1;
            set_of_o = 1'b1;
          end else begin
            state_d = StWrite;
          end
        end
      end
      StWrite: if (mem_wreq_ready_i) state_d = StWriteB;
      StWriteB: begin
        if (mem_wrsp_valid_i) begin
          pop      = 1'b1;
          set_mf_o = mem_wrsp_err_i;
          record_o = !mem_wrsp_err_i;
          state_d  = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
    end else begin
      state_q <= state_d;
    end
  end

  // ---------------------------------------------------------------- the record
  logic [3:0][63:0] record;
  logic [PaW-1:0]   addr;
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_addr (
      .clk_i, .d_i({cfg_i.ppn, 12'd0} + (PaW'(slot) << 5)), .q_o(addr)
  );

  assign mem_wreq_valid_o = state_q == StWrite;

  always_comb begin
    record           = '0;
    record[0][11:0]  = head_rec.cause;
    record[0][31:12] = head_rec.pid;
    record[0][32]    = head_rec.pv;
    record[0][33]    = head_rec.priv;
    record[0][39:34] = head_rec.ttyp;
    record[0][63:40] = head_rec.did;
    record[2]        = head_rec.iotval;
    record[3]        = head_rec.iotval2;

    mem_wreq_o      = '0;
    mem_wreq_o.id   = MemIdWide'(MemIdFault);
    mem_wreq_o.addr = addr;
    mem_wreq_o.len  = 2'd3;
    mem_wreq_o.size = 3'd3;
    mem_wreq_o.strb = 8'hFF;
    mem_wreq_o.user = qosid_i;
    for (int unsigned d = 0; d < 4; d++) mem_wreq_o.data[d] = endian64(be_i, record[d]);
  end

  logic unused;
  assign unused = cfg_i.mf;

  `IOMMU_ASSERT(PlacesNotOverrun, !(keep && full))
  `IOMMU_ASSERT(PlacesNotUnderrun, !(pop && empty))
  `IOMMU_ASSERT(OneSourceAtATime, !(take_tr && take_msi))
  `IOMMU_ASSERT(KeptIsTaken, keep == ((take_tr || take_msi) && cfg_i.en) && (!keep || from_msi == take_msi))
  `IOMMU_ASSERT(OffersTheOldest, !mem_wreq_valid_o || head_rec == fifo_q[rd_q[PtrW-1:0]])
  `IOMMU_ASSERT(NoRecordWhileError, !mem_wreq_valid_o || !cfg_i.error)
  `IOMMU_ASSERT(NoWriteWhileOff, state_q == StIdle || on_o)

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StWrite)
  `IOMMU_ARC(StWrite, StWriteB)
  `IOMMU_ARC(StWriteB, StIdle)
endmodule

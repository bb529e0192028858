// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The command queue: fetches commands from memory, executes them in order and
// moves cqh on. A command counts as executed when what it asked for is done:
// an invalidation when every cache has taken it, IOFENCE.C when its fence has
// drained and its write has been answered. cqh moves only then, so at an error
// it stands on the command that caused it. ATS commands are executed when the
// ATS port has taken their message; IOFENCE.C waits for what comes back.
//
// Up to PrefetchDepth commands are read in one burst; what is left of them is
// dropped at an error or when the queue is turned off, because software may
// change commands before it sets the queue going again.

`include "iommu_macros.svh"

module iommu_cmd_queue
  import iommu_pkg::*;
#(
    parameter int unsigned PrefetchDepth = 8,  // commands read in a burst at most: a power of 2, up to 32
    parameter bit TimingCuts = 1'b0  // registers in front of what starts a burst and of a command's decoding
) (
    input  logic        clk_i,             // clock
    input  logic        rst_ni,            // asynchronous reset, active low
    input  csr_cfg_t    csr_cfg_i,         // configuration
    input  mem_user_t   qosid_i,           // iommu_qosid
    input  ddtp_mode_e  ddtp_mode_i,       // bounds the DID operand

    // register file
    input  queue_cfg_t  cfg_i,             // base, size, cqt, enable
    input  logic        clear_i,           // pulse: cqen goes from 0 to 1
    output logic        on_o,              // cqcsr.cqon
    output logic [31:0] head_o,            // cqh
    output logic        set_mf_o,          // pulse: memory fault
    output logic        set_ill_o,         // pulse: illegal command
    output logic        set_to_o,          // pulse: IOFENCE.C found a time-out
    output logic        set_fence_o,       // pulse: IOFENCE.C with WSI completed

    // invalidation: held until ready, which says that it is done
    output logic        inv_valid_o,
    input  logic        inv_ready_i,       // looked at only with inv_valid_o
    output inv_req_t    inv_o,

    // fence over device traffic: held until the done pulse
    output logic        fence_req_o,
    output logic        fence_pr_o,        // reads
    output logic        fence_pw_o,        // writes
    input  logic        fence_done_i,

    // ATS messages: held until ready, unless the queue is turned off
    output logic        ats_inv_valid_o,
    input  logic        ats_inv_ready_i,
    output ats_inv_t    ats_inv_o,         // the ATS port gives the ITag
    output logic        ats_prgr_valid_o,
    input  logic        ats_prgr_ready_i,
    output ats_prgr_t   ats_prgr_o,
    input  logic        ats_pending_i,     // messages not sent, or invalidations not completed
    input  logic        ats_timed_out_i,   // an invalidation has timed out
    output logic        ats_reported_o,    // pulse: that is reported

    // command fetch: one burst at a time
    output logic        mem_rreq_valid_o,
    input  logic        mem_rreq_ready_i,
    output mem_rreq_t   mem_rreq_o,
    input  logic        mem_rrsp_valid_i,
    input  mem_rrsp_t   mem_rrsp_i,

    // IOFENCE.C's write: held until ready; one answer follows
    output logic        mem_wreq_valid_o,
    input  logic        mem_wreq_ready_i,
    output mem_wreq_t   mem_wreq_o,
    input  logic        mem_wrsp_valid_i,
    input  logic        mem_wrsp_err_i
);

  localparam int unsigned PtrW = (PrefetchDepth > 1) ? $clog2(PrefetchDepth) : 1;
  localparam int unsigned CntW = $clog2(PrefetchDepth + 1);

  // ---------------------------------------------------------------- commands
  typedef enum logic [6:0] {
    OpIotinval = 7'd1,
    OpIofence  = 7'd2,
    OpIodir    = 7'd3,
    OpAts      = 7'd4
  } opcode_e;

  // IOTINVAL
  typedef struct packed {
    logic [1:0]        rsvd5;   // 127:126
    logic [51:0]       addr;
    logic              s;
    logic [8:0]        rsvd4;   // 72:64
    logic [3:0]        rsvd3;   // 63:60
    logic [GscidW-1:0] gscid;
    logic [8:0]        rsvd2;   // 43:35
    logic              nl;
    logic              gv;
    logic              pscv;
    logic [PscidW-1:0] pscid;
    logic              rsvd1;   // 11
    logic              av;
    logic [2:0]        func3;
    logic [6:0]        opcode;
  } cmd_inval_t;

  // IOFENCE
  typedef struct packed {
    logic [1:0]  rsvd2;         // 127:126
    logic [61:0] addr;          // ADDR[63:2]
    logic [31:0] data;
    logic [17:0] rsvd1;         // 31:14
    logic        pw;
    logic        pr;
    logic        wsi;
    logic        av;
    logic [2:0]  func3;
    logic [6:0]  opcode;
  } cmd_fence_t;

  // IODIR
  typedef struct packed {
    logic [63:0]           rsvd4;
    logic [DeviceIdW-1:0]  did;
    logic [5:0]            rsvd3;  // 39:34
    logic                  dv;
    logic                  rsvd2;  // 32
    logic [ProcessIdW-1:0] pid;
    logic [1:0]            rsvd1;  // 11:10
    logic [2:0]            func3;
    logic [6:0]            opcode;
  } cmd_dir_t;

  // ATS
  typedef struct packed {
    logic [63:0]           payload;
    logic [7:0]            dseg;
    logic [15:0]           rid;
    logic [5:0]            rsvd2;  // 39:34
    logic                  dsv;
    logic                  pv;
    logic [ProcessIdW-1:0] pid;
    logic [1:0]            rsvd1;  // 11:10
    logic [2:0]            func3;
    logic [6:0]            opcode;
  } cmd_ats_t;

  // ---------------------------------------------------------------- state
  typedef enum logic [2:0] {
    StFetch,    // take the next command, or wait for one
    StInval,    // invalidation offered to the caches
    StAts,      // message offered to the ATS port
    StAtsWait,  // IOFENCE.C: what the ATS port has under way
    StFence,    // device traffic of before draining
    StWrite,    // IOFENCE.C's write offered
    StWriteB,   // its answer awaited
    StStopped   // an error bit is set
  } state_e;

  state_e       state_q, state_d;
  logic         on_q;
  logic [31:0]  head_q;
  logic [127:0] cmd_q;        // command being executed

  // Prefetch buffer: filled by one burst, emptied in order.
  logic [127:0]             buf_q[PrefetchDepth];
  logic [PrefetchDepth-1:0] buf_err_q;
  logic [PtrW-1:0]  rd_q;        // next to execute
  logic [CntW-1:0]  count_q;     // whole commands in the buffer
  logic [PtrW-1:0]  wr_q;        // next to be filled
  logic             half_q;      // first doubleword has come
  logic [63:0]      low_q;       // it
  logic             low_err_q;
  logic             drop_q;      // what the burst still brings is not wanted
  logic             req_q;       // burst offered
  logic             fetching_q;  // burst offered or under way
  logic [PaW-1:0]   req_addr_q;
  logic [7:0]       req_len_q;

  // ---------------------------------------------------------------- fetch
  logic [31:0]     mask, avail_d, avail, to_end_d, to_end, slot_d, slot;
  logic [8:0]      to_page;
  logic [CntW-1:0] avail_n_d, avail_n, end_n_d, end_n, page_n_d, page_n;  // the same, PrefetchDepth at most
  logic [CntW-1:0] burst_d, burst;  // commands of the next burst
  logic [PaW-1:0]  fetch_addr_d, fetch_addr;
  logic            settled;     // these count: head_q has not just moved
  logic            start;       // make a burst
  logic            flush;       // forget what was prefetched
  logic            empty_d, empty;  // no command to execute
  logic            beat_err;
  logic [63:0]     data;        // of the beat, in order of bits
  logic            push, pop, done;  // done: the command has completed

  assign avail_d      = (cfg_i.index - head_q) & mask;  // commands in the queue
  assign to_end_d     = ~head_q & mask;                 // to the end of the ring, minus one
  assign slot_d       = head_q & mask;                  // masked again: cqb may be rewritten at any time
  assign fetch_addr_d = {cfg_i.ppn, 12'd0} + (PaW'(slot) << 4);
  assign to_page      = 9'd256 - 9'(slot[7:0]);

  assign avail_n_d = (avail < PrefetchDepth) ? CntW'(avail) : CntW'(PrefetchDepth);
  assign end_n_d   = (to_end < PrefetchDepth) ? CntW'(to_end + 32'd1) : CntW'(PrefetchDepth);
  assign page_n_d  = (32'(to_page) < PrefetchDepth) ? CntW'(to_page) : CntW'(PrefetchDepth);

  always_comb begin
    burst_d = avail_n;
    if (end_n < burst_d) burst_d = end_n;
    if (page_n < burst_d) burst_d = page_n;
  end

  assign empty_d  = avail_n == '0;
  assign data     = endian64(csr_cfg_i.be, mem_rrsp_i.data);
  assign beat_err = mem_rrsp_i.err || mem_rrsp_i.poison;
  assign push     = mem_rrsp_valid_i && half_q && !drop_q && !flush;

  // On a queue that is on the error bits are 0 here: they come with StStopped, and go
  // before it is left. So it does not matter that with TimingCuts error is late.
  logic error;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_error (.clk_i, .d_i(cfg_i.error), .q_o(error));
  assign start = on_q && cfg_i.en && !error && state_q == StFetch && settled && !fetching_q &&
                 count_q == '0 && !empty;

  assign mem_rreq_valid_o = req_q;
  always_comb begin
    mem_rreq_o      = '0;
    mem_rreq_o.addr = req_addr_q;
    mem_rreq_o.len  = req_len_q;
    mem_rreq_o.user = qosid_i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_q       <= '0;
      wr_q       <= '0;
      count_q    <= '0;
      half_q     <= 1'b0;
      low_q      <= '0;
      low_err_q  <= 1'b0;
      drop_q     <= 1'b0;
      req_q      <= 1'b0;
      fetching_q <= 1'b0;
      req_addr_q <= '0;
      req_len_q  <= '0;
    end else begin
      if (start) begin
        req_q      <= 1'b1;
        fetching_q <= 1'b1;
        drop_q     <= 1'b0;
        half_q     <= 1'b0;
        rd_q       <= '0;
        wr_q       <= '0;
        req_addr_q <= fetch_addr;
        req_len_q  <= 8'({burst, 1'b0}) - 8'd1;
      end
      if (req_q && mem_rreq_ready_i) req_q <= 1'b0;
      if (mem_rrsp_valid_i) begin
        half_q    <= !half_q;
        low_q     <= data;
        low_err_q <= beat_err;
        if (mem_rrsp_i.last) fetching_q <= 1'b0;
      end
      if (push) begin
        wr_q <= wr_q + 1'b1;
      end
      if (pop) rd_q <= rd_q + 1'b1;
      count_q <= count_q + CntW'(push) - CntW'(pop);
      if (flush) begin
        count_q <= '0;
        drop_q  <= 1'b1;
      end
    end
  end

  // No reset: nothing is read before it is written.
  always_ff @(posedge clk_i) begin
    if (push) begin
      buf_q[wr_q]     <= {data, low_q};
      buf_err_q[wr_q] <= beat_err || low_err_q;
    end
  end

  // ---------------------------------------------------------------- decode
  logic [127:0] next_cmd;
  logic         next_err, have_next;
  cmd_inval_t   nx_inval;
  cmd_fence_t   nx_fence;
  cmd_dir_t     nx_dir;
  cmd_ats_t     nx_ats;
  logic         nx_legal_d, nx_legal;

  // What makes a command legal.
  typedef struct packed {
    logic inval, fence, ats;  // each in full
    logic rsvd, did, pid_0, pid;  // IODIR: reserved bits, DID, PID of INVAL_DDT, of INVAL_PDT
  } legal_t;
  legal_t       parts_d, parts;

  assign nx_inval = cmd_inval_t'(next_cmd);
  assign nx_fence = cmd_fence_t'(next_cmd);
  assign nx_dir   = cmd_dir_t'(next_cmd);
  assign nx_ats   = cmd_ats_t'(next_cmd);

  // Width of device_id in the directory's present shape, and of process_id.
  logic [DeviceIdW-1:0]  did_over_d, did_over;
  logic [ProcessIdW-1:0] pid_over_d, pid_over;
  caps_t                 caps;

  assign caps = csr_cfg_i.caps;

  always_comb begin
    unique case (ddtp_mode_i)
      Ddtp1Lvl: did_over_d = caps.msi_flat ? 24'hFF_FFC0 : 24'hFF_FF80;
      Ddtp2Lvl: did_over_d = caps.msi_flat ? 24'hFF_8000 : 24'hFF_0000;
      default:  did_over_d = '0;
    endcase
    // Without process directories no width is defined: any PID is taken, and
    // there is nothing to invalidate (docs/freedoms.md).
    if (caps.pd20) pid_over_d = '0;
    else if (caps.pd17) pid_over_d = 20'hE_0000;
    else if (caps.pd8) pid_over_d = 20'hF_FF00;
    else pid_over_d = '0;
  end
  iommu_cut #(.T(logic [DeviceIdW-1:0]), .Cut(TimingCuts)) u_cut_did (.clk_i, .d_i(did_over_d), .q_o(did_over));
  iommu_cut #(.T(logic [ProcessIdW-1:0]), .Cut(TimingCuts)) u_cut_pid (.clk_i, .d_i(pid_over_d), .q_o(pid_over));

  assign parts_d.inval = nx_inval.func3 <= 3'd1 &&
                         !(nx_inval.func3 == 3'd1 && nx_inval.pscv) &&
                         (caps.nl || !nx_inval.nl) && (caps.s || !nx_inval.s) &&
                         {nx_inval.rsvd1, nx_inval.rsvd2, nx_inval.rsvd3, nx_inval.rsvd4,
                          nx_inval.rsvd5} == '0;
  assign parts_d.fence = nx_fence.func3 == 3'd0 && (csr_cfg_i.wsi || !nx_fence.wsi) &&
                         {nx_fence.rsvd1, nx_fence.rsvd2} == '0;
  assign parts_d.ats   = caps.ats && nx_ats.func3 <= 3'd1 && {nx_ats.rsvd1, nx_ats.rsvd2} == '0;
  assign parts_d.rsvd  = {nx_dir.rsvd1, nx_dir.rsvd2, nx_dir.rsvd3, nx_dir.rsvd4} == '0;
  assign parts_d.did   = !(nx_dir.dv && (nx_dir.did & did_over) != '0);
  assign parts_d.pid_0 = nx_dir.func3 == 3'd0 && nx_dir.pid == '0;
  assign parts_d.pid   = nx_dir.func3 == 3'd1 && nx_dir.dv && (nx_dir.pid & pid_over) == '0;
  iommu_cut #(.T(legal_t), .Cut(TimingCuts)) u_cut_parts (.clk_i, .d_i(parts_d), .q_o(parts));

  always_comb begin
    unique case (nx_inval.opcode)
      OpIotinval: nx_legal_d = parts.inval;
      OpIofence:  nx_legal_d = parts.fence;
      OpIodir:    nx_legal_d = parts.rsvd && parts.did && (parts.pid_0 || parts.pid);
      OpAts:      nx_legal_d = parts.ats;
      default:    nx_legal_d = 1'b0;  // reserved, custom
    endcase
  end

  if (TimingCuts) begin : gen_cuts
    logic       empty_q, settled_q;
    logic [1:0] moved_q;
    logic [2:0] have_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        empty_q   <= 1'b1;
        settled_q <= 1'b1;
        moved_q   <= '0;
        have_q    <= '0;
      end else begin
        empty_q   <= empty_d;
        settled_q <= !(done || clear_i) && moved_q == '0;
        moved_q   <= {moved_q[0], done || clear_i};
        have_q    <= (pop || flush) ? '0 : {have_q[1:0], count_q != '0};
      end
    end
    assign empty     = empty_q;
    assign settled   = settled_q;
    assign have_next = have_q[2];
  end else begin : gen_no_cuts
    assign empty     = empty_d;
    assign settled   = 1'b1;
    assign have_next = count_q != '0;
  end

  // With TimingCuts what starts a burst is three cycles behind head_q and the queue's
  // registers, the next command's decoding three behind the buffer.
  logic [PaW-1:0] slot_addr;
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_mask (.clk_i, .d_i(queue_mask(cfg_i.log2sz_1)), .q_o(mask));
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_place (.clk_i, .d_i(slot_d), .q_o(slot));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_avail_n (.clk_i, .d_i(avail_n_d), .q_o(avail_n));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_end_n (.clk_i, .d_i(end_n_d), .q_o(end_n));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_page_n (.clk_i, .d_i(page_n_d), .q_o(page_n));
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_avail (.clk_i, .d_i(avail_d), .q_o(avail));
  iommu_cut #(.T(logic [31:0]), .Cut(TimingCuts)) u_cut_to_end (.clk_i, .d_i(to_end_d), .q_o(to_end));
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_slot (.clk_i, .d_i(fetch_addr_d), .q_o(slot_addr));
  iommu_cut #(.T(logic [PaW-1:0]), .Cut(TimingCuts)) u_cut_fetch (.clk_i, .d_i(slot_addr), .q_o(fetch_addr));
  iommu_cut #(.T(logic [CntW-1:0]), .Cut(TimingCuts)) u_cut_burst (.clk_i, .d_i(burst_d), .q_o(burst));
  iommu_cut #(.T(logic [127:0]), .Cut(TimingCuts)) u_cut_next (.clk_i, .d_i(buf_q[rd_q]), .q_o(next_cmd));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_err (.clk_i, .d_i(buf_err_q[rd_q]), .q_o(next_err));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_legal (.clk_i, .d_i(nx_legal_d), .q_o(nx_legal));
  logic nx_is_fence, nx_is_ats;
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_is_fence (.clk_i, .d_i(nx_inval.opcode == OpIofence), .q_o(nx_is_fence));
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_is_ats (.clk_i, .d_i(nx_inval.opcode == OpAts), .q_o(nx_is_ats));

  // ---------------------------------------------------------------- execute
  cmd_inval_t cmd_inval;
  cmd_fence_t cmd_fence;
  cmd_dir_t   cmd_dir;
  cmd_ats_t   cmd_ats;
  logic       fault;       // its memory access failed
  logic       av_range_ok; // IOFENCE.C's address has no bit above the bus

  assign cmd_inval   = cmd_inval_t'(cmd_q);
  assign cmd_fence   = cmd_fence_t'(cmd_q);
  assign cmd_dir     = cmd_dir_t'(cmd_q);
  assign cmd_ats     = cmd_ats_t'(cmd_q);
  assign av_range_ok = cmd_fence.addr[61:PaW-2] == '0;

  // Where IOFENCE.C goes when ATS has nothing under way: drain, write, or done.
  function automatic state_e after_ats(input logic drain, input logic av);
    after_ats = drain ? StFence : av ? StWrite : StFetch;
  endfunction

  always_comb begin
    state_d = state_q;
    pop     = 1'b0;
    done    = 1'b0;
    fault   = 1'b0;
    set_ill_o = 1'b0;
    set_to_o  = 1'b0;
    unique case (state_q)
      StFetch: begin
        if (on_q && cfg_i.en && !error && have_next && settled && !empty) begin
          pop = 1'b1;
          if (next_err) begin
            fault   = 1'b1;
            state_d = StStopped;
          end else if (!nx_legal) begin
            set_ill_o = 1'b1;
            state_d   = StStopped;
          end else begin
            if (nx_is_fence) begin
              state_d = (ats_pending_i || ats_timed_out_i) ? StAtsWait : after_ats(nx_fence.pr || nx_fence.pw, nx_fence.av);
              done    = state_d == StFetch;
            end else begin
              state_d = nx_is_ats ? StAts : StInval;
            end
          end
        end
      end
      StInval: begin
        if (inv_ready_i && inv_valid_o) begin
          done    = 1'b1;
          state_d = StFetch;
        end
      end
      // A device that does not answer, or takes nothing, does not keep the queue on.
      StAts: begin
        if ((cmd_ats.func3 == 3'd0) ? ats_inv_ready_i : ats_prgr_ready_i) begin
          done    = 1'b1;
          state_d = StFetch;
        end else if (!cfg_i.en) begin
          state_d = StFetch;
        end
      end
      StAtsWait: begin
        if (!cfg_i.en) begin
          state_d = StFetch;
        end else if (!ats_pending_i) begin
          set_to_o = ats_timed_out_i;
          state_d  = ats_timed_out_i ? StStopped : after_ats(cmd_fence.pr || cmd_fence.pw, cmd_fence.av);
          done     = state_d == StFetch;
        end
      end
      StFence: begin
        if (fence_done_i) begin
          done    = !cmd_fence.av;
          state_d = cmd_fence.av ? StWrite : StFetch;
        end
      end
      StWrite: begin
        if (!av_range_ok) begin
          fault   = 1'b1;
          state_d = StStopped;
        end else if (mem_wreq_ready_i) begin
          state_d = StWriteB;
        end
      end
      StWriteB: begin
        if (mem_wrsp_valid_i) begin
          done    = !mem_wrsp_err_i;
          fault   = mem_wrsp_err_i;
          state_d = mem_wrsp_err_i ? StStopped : StFetch;
        end
      end
      StStopped: begin
        // The error bit stands from the first cycle here; it is gone when
        // software has cleared it or enabled the queue anew.
        if (!cfg_i.error || !on_q) state_d = StFetch;
      end
      default: state_d = StFetch;
    endcase
  end

  // A fence without PR, PW and AV completes as it is popped.
  logic fence_wsi;
  assign fence_wsi   = (state_q == StFetch) ? nx_fence.wsi : (cmd_fence.wsi && cmd_fence.opcode == OpIofence);
  assign set_mf_o    = fault;
  assign set_fence_o = done && fence_wsi;

  // Off: nothing of the queue is under way any more.
  logic turn_off;
  assign turn_off = on_q && !cfg_i.en && !fetching_q &&
                    (state_q == StFetch || state_q == StStopped);
  assign flush = (state_q == StStopped) || !on_q || !cfg_i.en || (empty && settled && state_q == StFetch);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StFetch;
      on_q    <= 1'b0;
      head_q  <= '0;
      cmd_q   <= '0;
    end else begin
      state_q <= state_d;
      if (pop || (TimingCuts && state_q == StFetch)) cmd_q <= next_cmd;  // nobody looks at it then
      if (cfg_i.en && !on_q) on_q <= 1'b1;
      if (turn_off) on_q <= 1'b0;
      if (done) head_q <= (head_q + 32'd1) & mask;
      if (clear_i) head_q <= '0;
    end
  end

  assign on_o   = on_q;
  assign head_o = head_q;

  // ---------------------------------------------------------------- outputs
  if (TimingCuts) begin : gen_inv_cut
    logic inv_valid_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) inv_valid_q <= 1'b0;
      else inv_valid_q <= state_q == StInval && !(inv_ready_i && inv_valid_q);
    end
    assign inv_valid_o = inv_valid_q;
  end else begin : gen_inv
    assign inv_valid_o = state_q == StInval;
  end

  always_comb begin
    inv_o = '0;
    if (cmd_inval.opcode == OpIodir) begin
      inv_o.kind = (cmd_dir.func3 == 3'd0) ? InvDdt : InvPdt;
      inv_o.dv   = cmd_dir.dv;
      inv_o.did  = cmd_dir.did;
      inv_o.pid  = cmd_dir.pid;
    end else begin
      inv_o.kind  = (cmd_inval.func3 == 3'd0) ? InvVma : InvGvma;
      inv_o.av    = cmd_inval.av;
      inv_o.nl    = cmd_inval.nl;
      inv_o.s     = cmd_inval.s;
      inv_o.pscv  = cmd_inval.pscv;
      inv_o.gv    = cmd_inval.gv;
      inv_o.pscid = cmd_inval.pscid;
      inv_o.gscid = cmd_inval.gscid;
      inv_o.addr  = cmd_inval.addr;
    end
  end

  // Without DSV there is no segment, without PV no process_id.
  assign ats_inv_valid_o  = state_q == StAts && cmd_ats.func3 == 3'd0;
  assign ats_prgr_valid_o = state_q == StAts && cmd_ats.func3 != 3'd0;
  assign ats_reported_o   = set_to_o;

  always_comb begin
    ats_inv_o             = '0;
    ats_inv_o.device_id   = {cmd_ats.dsv ? cmd_ats.dseg : 8'd0, cmd_ats.rid};
    ats_inv_o.dsv         = cmd_ats.dsv;
    ats_inv_o.pv          = cmd_ats.pv;
    ats_inv_o.process_id  = cmd_ats.pv ? cmd_ats.pid : '0;
    ats_inv_o.payload     = cmd_ats.payload;
    ats_prgr_o.device_id  = ats_inv_o.device_id;
    ats_prgr_o.dsv        = cmd_ats.dsv;
    ats_prgr_o.pv         = cmd_ats.pv;
    ats_prgr_o.process_id = ats_inv_o.process_id;
    ats_prgr_o.prgi       = cmd_ats.payload[40:32];
    ats_prgr_o.response   = cmd_ats.payload[47:44];
  end

  assign fence_req_o = state_q == StFence;
  assign fence_pr_o  = cmd_fence.pr;
  assign fence_pw_o  = cmd_fence.pw;

  assign mem_wreq_valid_o = state_q == StWrite && av_range_ok;

  always_comb begin
    mem_wreq_o         = '0;
    mem_wreq_o.id      = MemIdWide'(MemIdFence);
    mem_wreq_o.device  = 1'b1;
    mem_wreq_o.addr    = {cmd_fence.addr[PaW-3:0], 2'b00};
    mem_wreq_o.size    = 3'd2;
    mem_wreq_o.strb    = cmd_fence.addr[0] ? 8'hF0 : 8'h0F;
    mem_wreq_o.data[0] = {2{endian32(csr_cfg_i.be, cmd_fence.data)}};
    mem_wreq_o.user    = qosid_i;
  end

  // Three views of a command: each has fields that only the others use. The
  // answer's id is the arbiter's; a client with one burst needs none.
  logic unused;
  assign unused = ^{mem_rrsp_i.id, cfg_i.mf, csr_cfg_i, caps, nx_inval, nx_fence, nx_dir, nx_ats, cmd_inval,
                    cmd_fence, cmd_dir, cmd_ats};

  `IOMMU_ASSERT(PrefetchFits, !(push && count_q == CntW'(PrefetchDepth)))
  `IOMMU_ASSERT(DataOnlyWhileFetching, !mem_rrsp_valid_i || (fetching_q && !req_q))
  `IOMMU_ASSERT(BurstNotEmpty, !start || burst != '0)
  `IOMMU_ASSERT(BurstInsidePage,
                !req_q || 12'(req_addr_q[11:3]) + 12'(req_len_q) < 12'd512)
  `IOMMU_ASSERT(InvalidationHeld, !inv_valid_o || (on_q && state_q == StInval))
  `IOMMU_ASSERT(NoErrorWhileFetching, state_q != StFetch || !on_q || !cfg_i.error)
  `IOMMU_ASSERT(DecodesTheNext, !pop || (next_cmd == buf_q[rd_q] && nx_is_fence == (nx_inval.opcode == OpIofence)))
  `IOMMU_ASSERT(HeadStaysOnError, !((set_mf_o || set_ill_o || set_to_o) && done))
  `IOMMU_ASSERT(FenceHasNothingUnderWay,
                !(set_fence_o || mem_wreq_valid_o) || !ats_pending_i)

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StFetch, StInval)
  `IOMMU_ARC(StFetch, StAts)
  `IOMMU_ARC(StFetch, StAtsWait)
  `IOMMU_ARC(StFetch, StFence)
  `IOMMU_ARC(StFetch, StWrite)
  `IOMMU_ARC(StFetch, StStopped)
  `IOMMU_ARC(StInval, StFetch)
  `IOMMU_ARC(StAts, StFetch)
  `IOMMU_ARC(StAtsWait, StFetch)
  `IOMMU_ARC(StAtsWait, StFence)
  `IOMMU_ARC(StAtsWait, StWrite)
  `IOMMU_ARC(StAtsWait, StStopped)
  `IOMMU_ARC(StFence, StWrite)
  `IOMMU_ARC(StFence, StFetch)
  `IOMMU_ARC(StWrite, StStopped)
  `IOMMU_ARC(StWrite, StWriteB)
  `IOMMU_ARC(StWriteB, StFetch)
  `IOMMU_ARC(StWriteB, StStopped)
  `IOMMU_ARC(StStopped, StFetch)
endmodule

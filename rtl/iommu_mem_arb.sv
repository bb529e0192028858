// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The clients' reads and writes onto m_mem, the IOMMU's own AXI4 port.
//
// Reads: a request is taken in the cycle in which AR can hold it (registered),
// answers go to the client in the cycle of the R handshake. Any number may be
// under way, told apart by id. Clients take turns.
// Writes: one burst at a time on AW and W, which start together and end apart;
// B goes to the client by id, so each id may have one write under way. A
// client holds its write until ready, which comes with the last handshake. Read
// data of an atomic comes by its id, as a read of that id would.
//
// An access at or above 2^PAS never reaches the port: it is answered with an
// error here.
//
// With TimingCuts answers and a write's ready reach the client a cycle after the
// handshake at the port, and W shows what was fetched from the client.

`include "iommu_macros.svh"

module iommu_mem_arb
  import iommu_pkg::*;
#(
    parameter int unsigned MemIdW = 6,  // m_mem transaction id, bits: 5 at least
    parameter bit TimingCuts = 1'b0     // an access is chosen, fetched and checked, a cycle each
) (
    input  logic      clk_i,               // clock
    input  logic      rst_ni,              // asynchronous reset, active low
    input  csr_cfg_t  csr_cfg_i,           // capabilities.PAS

    // reads of the translation path: any id but the command queue's
    input  logic      xl_rreq_valid_i,
    output logic      xl_rreq_ready_o,
    input  mem_rreq_t xl_rreq_i,
    output logic      xl_rrsp_valid_o,
    output logic      mrif_rrsp_valid_o,   // in its place, data of an interrupt file
    output mem_rrsp_t xl_rrsp_o,

    // reads of the command queue: id 16
    input  logic      cq_rreq_valid_i,
    output logic      cq_rreq_ready_o,
    input  mem_rreq_t cq_rreq_i,
    output logic      cq_rrsp_valid_o,
    output mem_rrsp_t cq_rrsp_o,

    // writes, by client (WrFence to WrMrif)
    input  logic      [NumWr-1:0]     wreq_valid_i,
    output logic      [NumWr-1:0]     wreq_ready_o,
    input  mem_wreq_t                 wreq_i[NumWr],
    output logic      [NumWr-1:0]     wrsp_valid_o,
    output logic                      wrsp_err_o,   // with any of them
    output logic      [MemIdWide-1:0] wrsp_id_o,    // id of the write that is answered

    // m_mem
    output logic              m_mem_awvalid_o,
    input  logic              m_mem_awready_i,
    output logic [MemIdW-1:0] m_mem_awid_o,
    output logic [63:0]       m_mem_awaddr_o,
    output logic [7:0]        m_mem_awlen_o,
    output logic [2:0]        m_mem_awsize_o,
    output logic [1:0]        m_mem_awburst_o,
    output logic              m_mem_awlock_o,
    output logic [3:0]        m_mem_awcache_o,
    output logic [2:0]        m_mem_awprot_o,
    output logic [3:0]        m_mem_awqos_o,
    output logic [3:0]        m_mem_awregion_o,
    output logic [5:0]        m_mem_awatop_o,
    output mem_user_t         m_mem_awuser_o,
    output logic              m_mem_wvalid_o,
    input  logic              m_mem_wready_i,
    output logic [63:0]       m_mem_wdata_o,
    output logic [7:0]        m_mem_wstrb_o,
    output logic              m_mem_wlast_o,
    input  logic              m_mem_bvalid_i,
    output logic              m_mem_bready_o,
    input  logic [MemIdW-1:0] m_mem_bid_i,
    input  logic [1:0]        m_mem_bresp_i,
    output logic              m_mem_arvalid_o,
    input  logic              m_mem_arready_i,
    output logic [MemIdW-1:0] m_mem_arid_o,
    output logic [63:0]       m_mem_araddr_o,
    output logic [7:0]        m_mem_arlen_o,
    output logic [2:0]        m_mem_arsize_o,
    output logic [1:0]        m_mem_arburst_o,
    output logic              m_mem_arlock_o,
    output logic [3:0]        m_mem_arcache_o,
    output logic [2:0]        m_mem_arprot_o,
    output logic [3:0]        m_mem_arqos_o,
    output logic [3:0]        m_mem_arregion_o,
    output mem_user_t         m_mem_aruser_o,
    input  logic              m_mem_rvalid_i,
    output logic              m_mem_rready_o,
    input  logic [MemIdW-1:0] m_mem_rid_i,
    input  logic [63:0]       m_mem_rdata_i,
    input  logic [1:0]        m_mem_rresp_i,
    input  logic              m_mem_rlast_i,
    input  logic              m_mem_rpoison_i
);

  localparam logic [1:0] BurstIncr   = 2'b01;
  localparam logic [1:0] BurstWrap   = 2'b10;
  localparam logic [3:0] CacheNormal = 4'b1111;  // queues and tables: write-back, allocate
  localparam logic [3:0] CacheDevice = 4'b0000;  // IOFENCE.C and messages: to the end point
  localparam logic [2:0] ProtOwn     = 3'b011;   // privileged, non-secure, data

  localparam int unsigned WrW = $clog2(NumWr);

  // Whose write has this id?
  function automatic logic [WrW-1:0] writer(input logic [MemIdWide-1:0] id);
    unique case (id)
      MemIdWide'(MemIdFence): writer = WrW'(WrFence);
      MemIdWide'(MemIdFault): writer = WrW'(WrFault);
      MemIdWide'(MemIdMsi):   writer = WrW'(WrMsi);
      MemIdWide'(MemIdPage):  writer = WrW'(WrPage);
      MemIdWide'(MemIdMrif):  writer = WrW'(WrMrif);
      MemIdWide'(MemIdNotice): writer = WrW'(WrMrif);
      default:                writer = WrW'(WrXlate);
    endcase
  endfunction

  // Bits that must be 0 in an address, registered: PAS is static.
  logic [PaW-1:0] beyond_q;
  logic           up_q;  // out of reset

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beyond_q <= '1;
      up_q     <= 1'b0;
    end else begin
      beyond_q <= {PaW{1'b1}} << csr_cfg_i.caps.pas;
      up_q     <= 1'b1;
    end
  end

  // ---------------------------------------------------------------- reads
  logic               ar_valid_q;
  logic [MemIdW-1:0]  ar_id_q;
  logic [PaW-1:0]     ar_addr_q;
  logic [7:0]         ar_len_q;
  mem_user_t          ar_user_q;
  logic               turn_cq_q;   // both clients want in: the command queue is next
  logic               choose_cq;   // client that is chosen
  logic               sel_cq;      // client of rreq
  mem_rreq_t          rreq_d, rreq;
  logic               rreq_valid, rreq_ready, rreq_beyond;

  // The one burst that is answered here.
  logic               err_q;
  logic               err_cq_q;
  logic [MemIdWide-1:0] err_id_q;
  logic [7:0]         err_left_q;

  // With TimingCuts whatever is there: only ar_valid_q says that it counts.
  logic ar_load;
  assign ar_load     = (!ar_valid_q || m_mem_arready_i) && (TimingCuts || (rreq_valid && !rreq_beyond));
  assign choose_cq   = cq_rreq_valid_i && (!xl_rreq_valid_i || turn_cq_q);
  assign rreq_d      = choose_cq ? cq_rreq_i : xl_rreq_i;
  assign rreq_ready  = rreq_beyond ? !err_q : (!ar_valid_q || m_mem_arready_i);

  if (TimingCuts) begin : gen_rreq_cut
    logic      valid_q, checked_q, beyond_rd_q, cq_q;  // taken, and compared with 2^PAS
    mem_rreq_t rreq_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        valid_q   <= 1'b0;
        checked_q <= 1'b0;
      end else begin
        valid_q   <= valid_q ? !(checked_q && rreq_ready) : (cq_rreq_valid_i || xl_rreq_valid_i);
        checked_q <= valid_q && !(checked_q && rreq_ready);
      end
    end
    always_ff @(posedge clk_i) begin
      if (!valid_q) begin
        cq_q   <= choose_cq;
        rreq_q <= rreq_d;
      end
      beyond_rd_q <= (rreq_q.addr & beyond_q) != '0;
    end
    assign sel_cq          = cq_q;
    assign rreq            = rreq_q;
    assign rreq_valid      = checked_q;
    assign rreq_beyond     = beyond_rd_q;
    assign cq_rreq_ready_o = choose_cq && !valid_q;
    assign xl_rreq_ready_o = !choose_cq && !valid_q;
  end else begin : gen_rreq
    assign sel_cq          = choose_cq;
    assign rreq            = rreq_d;
    assign rreq_valid      = cq_rreq_valid_i || xl_rreq_valid_i;
    assign rreq_beyond     = (rreq.addr & beyond_q) != '0;
    assign cq_rreq_ready_o = choose_cq && rreq_ready;
    assign xl_rreq_ready_o = !choose_cq && rreq_ready;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ar_valid_q <= 1'b0;
      ar_id_q    <= '0;
      ar_addr_q  <= '0;
      ar_len_q   <= '0;
      ar_user_q  <= '0;
      turn_cq_q  <= 1'b0;
      err_q      <= 1'b0;
      err_cq_q   <= 1'b0;
      err_id_q   <= '0;
      err_left_q <= '0;
    end else begin
      if (m_mem_arready_i) ar_valid_q <= 1'b0;
      if (err_q) begin
        err_left_q <= err_left_q - 1'b1;
        if (err_left_q == '0) err_q <= 1'b0;
      end
      if (rreq_valid && rreq_ready) begin
        turn_cq_q <= !sel_cq;
        if (rreq_beyond) begin
          err_q      <= 1'b1;
          err_cq_q   <= sel_cq;
          err_id_q   <= rreq.id;
          err_left_q <= rreq.len;
        end else begin
          ar_valid_q <= 1'b1;
        end
      end
      if (ar_load) begin
        ar_id_q   <= sel_cq ? MemIdW'(MemIdCommand) : MemIdW'(rreq.id);
        ar_addr_q <= rreq.addr;
        ar_len_q  <= rreq.len;
        ar_user_q <= rreq.user;
      end
    end
  end

  assign m_mem_arvalid_o  = ar_valid_q;
  assign m_mem_arid_o     = ar_id_q;
  assign m_mem_araddr_o   = 64'(ar_addr_q);
  assign m_mem_arlen_o    = ar_len_q;
  assign m_mem_arsize_o   = 3'd3;
  assign m_mem_arburst_o  = BurstIncr;
  assign m_mem_arlock_o   = 1'b0;
  assign m_mem_arcache_o  = CacheNormal;
  assign m_mem_arprot_o   = ProtOwn;
  assign m_mem_arqos_o    = '0;
  assign m_mem_arregion_o = '0;
  assign m_mem_aruser_o   = ar_user_q;

  // Answers: from the port, or in its place an error.
  logic      rsp_valid, rsp_cq;
  mem_rrsp_t rsp;

  // A port of flops alone, with TimingCuts: nobody asks for anything before caps are known.
  assign m_mem_rready_o = (up_q || TimingCuts) && !err_q;

  always_comb begin
    if (err_q) begin
      rsp_valid = 1'b1;
      rsp_cq    = err_cq_q;
      rsp       = '{id: err_id_q, data: '0, last: err_left_q == '0, err: 1'b1, poison: 1'b0};
    end else begin
      rsp_valid = m_mem_rvalid_i && m_mem_rready_o;
      rsp_cq    = m_mem_rid_i == MemIdW'(MemIdCommand);
      rsp       = '{
        id: MemIdWide'(m_mem_rid_i),
        data: m_mem_rdata_i,
        last: m_mem_rlast_i,
        err: m_mem_rresp_i[1],
        poison: m_mem_rpoison_i
      };
    end
  end

  logic rsp_mrif;
  assign rsp_mrif = !rsp_cq && rsp.id == MemIdWide'(MemIdMrif);

  iommu_pulse #(.T(logic [2:0]), .Cut(TimingCuts)) u_cut_rrsp (
      .clk_i, .rst_ni,
      .d_i({rsp_mrif, rsp_cq, !rsp_cq && !rsp_mrif} & {3{rsp_valid}}),
      .q_o({mrif_rrsp_valid_o, cq_rrsp_valid_o, xl_rrsp_valid_o})
  );
  iommu_cut #(.T(mem_rrsp_t), .Cut(TimingCuts)) u_cut_rsp (.clk_i, .d_i(rsp), .q_o(xl_rrsp_o));
  assign cq_rrsp_o = xl_rrsp_o;

  // ---------------------------------------------------------------- writes
  typedef enum logic {
    WrIdle,
    WrBusy
  } wr_state_e;

  wr_state_e  wr_state_q;
  logic [WrW-1:0] sel_q, sel_d, sel;  // client on the port, client to take next
  mem_wreq_t  next_d, next;    // what it wants
  mem_wreq_t  shown;           // whose data W shows
  logic [NumWr-1:0] wr_ended;  // the last handshake of its write, or its answer from here
  logic       take;            // it is taken in this cycle, or answered
  logic [MemIdW-1:0] aw_id_q;
  logic [5:0] aw_atop_q;
  logic       aw_wrap_q, aw_device_q;
  logic [PaW-1:0] aw_addr_q;
  logic [1:0] aw_len_q;
  logic [2:0] aw_size_q;
  mem_user_t  aw_user_q;
  logic       aw_valid_q, w_valid_q;
  logic [1:0] beat_q;          // beat that W shows
  logic       aw_done, w_done; // by the end of this cycle
  logic       err_b_q;         // answered here, with an error
  logic [MemIdWide-1:0] err_b_id_q;
  logic       next_beyond;

  // The client after the one before goes first.
  logic [NumWr-1:0] wr_want, wr_after, wr_from;
  logic [NumWr-1:0] behind;  // that client
  iommu_cut #(.T(logic [NumWr-1:0]), .Cut(TimingCuts)) u_cut_behind (.clk_i, .d_i(~NumWr'(1) << sel_q), .q_o(behind));
  assign wr_after = wr_want & behind;
  assign wr_from  = (wr_after != '0) ? wr_after : wr_want;
  always_comb begin
    sel_d = '0;
    for (int unsigned c = NumWr; c > 0; c--) if (wr_from[c-1]) sel_d = WrW'(c - 1);
  end

  assign next_d = wreq_i[sel];
  if (TimingCuts) begin : gen_take_cut
    logic [NumWr-1:0] want_q;  // who wants: whose write has not just been done
    logic [2:0]     phase_q;  // chosen, fetched, checked
    logic [WrW-1:0] choice_q;
    mem_wreq_t      next_q;   // stands while its write is on the port
    logic           next_beyond_q;
    logic [NumWr-1:0] ready_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        phase_q <= '0;
        want_q  <= '0;
        ready_q <= '0;
      end else begin
        ready_q <= wr_ended;
        want_q  <= wreq_valid_i & ~wr_ended & ~ready_q;
        if (take) phase_q <= (next_beyond && err_b_q) ? phase_q : '0;
        else phase_q <= {phase_q[1:0], wr_state_q == WrIdle && want_q != '0 && phase_q == '0};
      end
    end
    always_ff @(posedge clk_i) begin
      if (phase_q == '0 && wr_state_q == WrIdle) choice_q <= sel_d;
      next_q        <= next_d;
      next_beyond_q <= (next_q.addr & beyond_q) != '0;
    end
    assign wr_want     = want_q;
    assign sel         = choice_q;
    assign next        = next_q;
    assign next_beyond = next_beyond_q;
    assign take        = phase_q[2];
    assign wreq_ready_o = ready_q;
    assign shown       = next_q;
    `IOMMU_ASSERT(ReadyIsWanted, (ready_q & ~wreq_valid_i) == '0)
    `IOMMU_ASSERT(ShownIsTheClients, wr_state_q == WrIdle || (choice_q == sel_q && next_q.data == wreq_i[sel_q].data))
  end else begin : gen_take
    assign wr_want     = wreq_valid_i;
    assign sel         = sel_d;
    assign next        = next_d;
    assign next_beyond = (next.addr & beyond_q) != '0;
    assign take        = wr_state_q == WrIdle && wreq_valid_i != '0;
    assign wreq_ready_o = wr_ended;
    assign shown       = wreq_i[sel_q];
  end
  assign aw_done     = !aw_valid_q || m_mem_awready_i;
  assign w_done      = !w_valid_q || (m_mem_wready_i && m_mem_wlast_o);

  always_comb begin
    wr_ended = '0;
    if (wr_state_q == WrIdle) wr_ended[sel] = take && next_beyond && !err_b_q;
    else wr_ended[sel_q] = aw_done && w_done;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_state_q <= WrIdle;
      sel_q      <= '0;
      aw_valid_q <= 1'b0;
      w_valid_q  <= 1'b0;
      beat_q     <= '0;
      err_b_q    <= 1'b0;
      err_b_id_q <= '0;
      aw_id_q    <= '0;
      aw_addr_q  <= '0;
      aw_len_q   <= '0;
      aw_size_q  <= '0;
      aw_user_q  <= '0;
      aw_atop_q  <= '0;
      aw_wrap_q  <= 1'b0;
      aw_device_q <= 1'b0;
    end else begin
      // An error waits for a cycle in which memory answers nothing.
      if (!m_mem_bvalid_i) err_b_q <= 1'b0;
      if (wr_state_q == WrIdle) begin
        if (take || TimingCuts) begin
          aw_id_q     <= MemIdW'(next.id);
          aw_addr_q   <= next.addr;
          aw_len_q    <= next.len;
          aw_size_q   <= next.size;
          aw_user_q   <= next.user;
          aw_atop_q   <= next.atop;
          aw_wrap_q   <= next.wrap;
          aw_device_q <= next.device;
        end
        if (take) begin
          sel_q  <= sel;
          beat_q <= '0;
          if (next_beyond) begin
            if (!err_b_q) begin
              err_b_q    <= 1'b1;
              err_b_id_q <= next.id;
            end
          end else begin
            wr_state_q <= WrBusy;
            aw_valid_q <= 1'b1;
            w_valid_q  <= 1'b1;
          end
        end
      end else begin
        if (m_mem_awready_i) aw_valid_q <= 1'b0;
        if (w_valid_q && m_mem_wready_i) begin
          beat_q <= beat_q + 1'b1;
          if (m_mem_wlast_o) w_valid_q <= 1'b0;
        end
        if (aw_done && w_done) wr_state_q <= WrIdle;
      end
    end
  end

  // The client holds its write, so W shows its data from there. The address
  // is kept here: a queue's is made from registers that software can write.
  assign m_mem_awvalid_o  = aw_valid_q;
  assign m_mem_awid_o     = aw_id_q;
  assign m_mem_awaddr_o   = 64'(aw_addr_q);
  assign m_mem_awlen_o    = 8'(aw_len_q);
  assign m_mem_awsize_o   = aw_size_q;
  assign m_mem_awburst_o  = aw_wrap_q ? BurstWrap : BurstIncr;
  assign m_mem_awlock_o   = 1'b0;
  assign m_mem_awcache_o  = aw_device_q ? CacheDevice : CacheNormal;
  assign m_mem_awprot_o   = ProtOwn;
  assign m_mem_awqos_o    = '0;
  assign m_mem_awregion_o = '0;
  assign m_mem_awatop_o   = aw_atop_q;
  assign m_mem_awuser_o   = aw_user_q;
  assign m_mem_wvalid_o   = w_valid_q;
  assign m_mem_wdata_o    = shown.data[beat_q];
  assign m_mem_wstrb_o    = shown.strb;
  assign m_mem_wlast_o    = beat_q == aw_len_q;
  assign m_mem_bready_o   = up_q || TimingCuts;

  logic                 wrsp_err_d;
  logic [MemIdWide-1:0] wrsp_id_d;
  logic [NumWr-1:0]     wrsp_valid_d;
  always_comb begin
    wrsp_id_d    = m_mem_bvalid_i ? MemIdWide'(m_mem_bid_i) : err_b_id_q;
    wrsp_err_d   = m_mem_bvalid_i ? m_mem_bresp_i[1] : 1'b1;
    wrsp_valid_d = '0;
    wrsp_valid_d[writer(wrsp_id_d)] = (m_mem_bvalid_i && m_mem_bready_o) || err_b_q;
  end
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_err (.clk_i, .d_i(wrsp_err_d), .q_o(wrsp_err_o));
  iommu_cut #(.T(logic [MemIdWide-1:0]), .Cut(TimingCuts)) u_cut_id (.clk_i, .d_i(wrsp_id_d), .q_o(wrsp_id_o));
  iommu_pulse #(.T(logic [NumWr-1:0]), .Cut(TimingCuts)) u_cut_wrsp (.clk_i, .rst_ni, .d_i(wrsp_valid_d), .q_o(wrsp_valid_o));

  logic unused;
  assign unused = ^{csr_cfg_i, next, shown, m_mem_rresp_i[0], m_mem_bresp_i[0]};

  `IOMMU_ASSERT(ReadInsidePas, !m_mem_arvalid_o || (ar_addr_q & beyond_q) == '0)
  `IOMMU_ASSERT(WriteInsidePas, !m_mem_awvalid_o || (aw_addr_q & beyond_q) == '0)
  `IOMMU_ASSERT(ReadAligned, !m_mem_arvalid_o || ar_addr_q[2:0] == 3'd0)
  `IOMMU_ASSERT(ReadInsidePage,
                !m_mem_arvalid_o || 12'(ar_addr_q[11:3]) + 12'(ar_len_q) < 12'd512)
  `IOMMU_ASSERT(WriteHeld, wr_state_q == WrIdle || wreq_valid_i[sel_q])

  `IOMMU_FSM(wr_state_e, wr_state_q)
  `IOMMU_ARC(WrIdle, WrBusy)
  `IOMMU_ARC(WrBusy, WrIdle)
endmodule

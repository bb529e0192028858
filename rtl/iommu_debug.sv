// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The translation-request interface for debug: tr_req_iova, tr_req_ctl and
// tr_response (sections of those names, and "Debug support"). Go puts one
// request to the lookup pipeline; Busy falls when its answer is in
// tr_response. Writes while Busy are ignored.

`include "iommu_macros.svh"

module iommu_debug
  import iommu_pkg::*;
#(
    parameter bit TimingCuts = 1'b0  // what is read is there a cycle after rd_en_i; an answer counts a cycle late
) (
    input  logic        clk_i,        // clock
    input  logic        rst_ni,       // asynchronous reset, active low
    input  logic        present_i,    // capabilities.DBG

    // register access: the word is an address divided by 8
    input  logic [1:0]  wr_en_i,      // write of {high, low} half
    input  logic [8:0]  wr_word_i,
    input  logic [63:0] wr_data_i,
    input  logic        rd_en_i,
    input  logic [8:0]  rd_word_i,
    output logic [63:0] rd_data_o,    // 0 for a word that is not here

    // request to the lookup pipeline: held until ready; one answer follows
    output logic        req_valid_o,
    input  logic        req_ready_i,
    output aux_req_t    req_o,
    input  logic        rsp_valid_i,
    input  aux_rsp_t    rsp_i
);

  localparam logic [8:0] WordIova = 9'(600 / 8);
  localparam logic [8:0] WordCtl  = 9'(608 / 8);
  localparam logic [8:0] WordRsp  = 9'(616 / 8);

  typedef enum logic [1:0] {
    StIdle,
    StAsk,  // the request is offered
    StWait  // its answer awaited
  } state_e;

  state_e                state_q;
  logic [51:0]           vpn_q;
  logic                  priv_q, exe_q, nw_q, pv_q;
  logic [ProcessIdW-1:0] pid_q;
  logic [DeviceIdW-1:0]  did_q;
  logic                  fault_q, s_q;
  logic [1:0]            pbmt_q;
  logic [PpnW-1:0]       ppn_q;
  logic                  idle;

  assign idle = state_q == StIdle;

  // The size of a range larger than a page stands in the low bits of its PPN:
  // 2^n pages are n-1 ones below a zero.
  logic [5:0]      pages_log2;
  logic [PpnW-1:0] below;  // ones
  aux_rsp_t        rsp;
  logic            rsp_valid, range;
  logic [PpnW-1:0] napot;

  assign pages_log2 = rsp_i.size_log2 - 6'd12;
  iommu_cut #(.T(aux_rsp_t), .Cut(TimingCuts)) u_cut_rsp (.clk_i, .d_i(rsp_i), .q_o(rsp));
  iommu_pulse #(.Cut(TimingCuts)) u_cut_valid (.clk_i, .rst_ni, .d_i(rsp_valid_i), .q_o(rsp_valid));
  iommu_cut #(.T(logic [PpnW-1:0]), .Cut(TimingCuts)) u_cut_below (
      .clk_i, .d_i(~({PpnW{1'b1}} << pages_log2)), .q_o(below)
  );
  iommu_cut #(.T(logic), .Cut(TimingCuts)) u_cut_range (.clk_i, .d_i(pages_log2 != '0), .q_o(range));
  assign napot      = (rsp.addr[PaW-1:12] & ~below) | (below >> 1);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      vpn_q   <= '0;
      priv_q  <= 1'b0;
      exe_q   <= 1'b0;
      nw_q    <= 1'b0;
      pv_q    <= 1'b0;
      pid_q   <= '0;
      did_q   <= '0;
      fault_q <= 1'b0;
      s_q     <= 1'b0;
      pbmt_q  <= '0;
      ppn_q   <= '0;
    end else begin
      unique case (state_q)
        StAsk: if (req_ready_i) state_q <= StWait;
        StWait: begin
          if (rsp_valid) begin
            state_q <= StIdle;
            fault_q <= rsp.fault;
            s_q     <= !rsp.fault && range;
            pbmt_q  <= rsp.fault ? '0 : rsp.pbmt;
            ppn_q   <= rsp.fault ? '0 : napot;
          end
        end
        default: begin
          if (present_i && wr_word_i == WordCtl && wr_en_i[0] && wr_data_i[0]) state_q <= StAsk;
        end
      endcase
      if (present_i && idle) begin
        if (wr_word_i == WordIova && wr_en_i[0]) vpn_q[19:0] <= wr_data_i[31:12];
        if (wr_word_i == WordIova && wr_en_i[1]) vpn_q[51:20] <= wr_data_i[63:32];
        if (wr_word_i == WordCtl && wr_en_i[0]) begin
          priv_q <= wr_data_i[1];
          exe_q  <= wr_data_i[2];
          nw_q   <= wr_data_i[3];
          pid_q  <= wr_data_i[31:12];
        end
        if (wr_word_i == WordCtl && wr_en_i[1]) begin
          pv_q  <= wr_data_i[32];
          did_q <= wr_data_i[63:40];
        end
      end
    end
  end

  assign req_valid_o = state_q == StAsk;

  always_comb begin
    req_o            = '0;
    req_o.tag        = AuxTagDebug;
    req_o.kind       = AuxDebug;
    req_o.device_id  = did_q;
    req_o.pv         = pv_q;
    req_o.process_id = pv_q ? pid_q : '0;
    req_o.priv       = pv_q && priv_q;
    req_o.exec       = exe_q;
    req_o.no_write   = nw_q;
    req_o.iova       = {vpn_q, 12'd0};
  end

  logic [2:0] rd_at_d, rd_at;  // tr_response, tr_req_ctl, tr_req_iova
  assign rd_at_d = {rd_word_i == WordRsp, rd_word_i == WordCtl, rd_word_i == WordIova} & {3{rd_en_i && present_i}};
  iommu_cut #(.T(logic [2:0]), .Cut(TimingCuts)) u_cut_rd_at (.clk_i, .d_i(rd_at_d), .q_o(rd_at));

  always_comb begin
    rd_data_o = '0;
    if (TimingCuts || rd_at != '0) begin
      rd_data_o |= {vpn_q, 12'd0} & {64{rd_at[0]}};
      rd_data_o |= {did_q, 7'd0, pv_q, pid_q, 8'd0, nw_q, exe_q, priv_q, !idle} & {64{rd_at[1]}};
      rd_data_o |= {10'd0, ppn_q, s_q, pbmt_q, 6'd0, fault_q} & {64{rd_at[2]}};
    end
  end

  logic unused;
  assign unused = ^{rsp, wr_data_i};

  `IOMMU_ASSERT(DebugAnswerIsAwaited, !rsp_valid_i || state_q == StWait)
  `IOMMU_ASSERT(DebugRangeHoldsAPage, !rsp_valid_i || rsp_i.fault || rsp_i.size_log2 >= 6'd12)

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StAsk)
  `IOMMU_ARC(StAsk, StWait)
  `IOMMU_ARC(StWait, StIdle)
endmodule

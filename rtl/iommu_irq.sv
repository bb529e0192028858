// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Interrupts: the bits of ipsr become wires (fctl.WSI=1) or messages. A
// message belongs to a bit's step from 0 to 1 and to the vector that icvec gave
// it then; while that vector is masked it stays pending. One message is under
// way at a time; a failed one becomes a fault record (cause 273), offered with
// valid/ready, and is not tried again.

`include "iommu_macros.svh"

module iommu_irq
  import iommu_pkg::*;
#(
    parameter int unsigned NumVec = 16,  // interrupt vectors: 1, 2, 4, 8 or 16
    parameter bit TimingCuts = 1'b0      // a message is chosen the cycle before its entry is read
) (
    input  logic              clk_i,             // clock
    input  logic              rst_ni,            // asynchronous reset, active low

    // register file
    input  logic              wsi_i,             // fctl.WSI
    input  logic              be_i,              // fctl.BE: messages are big-endian
    input  mem_user_t         qosid_i,           // iommu_qosid
    input  logic [3:0]        ipsr_i,            // {pip, pmip, fip, cip}
    input  logic [3:0][3:0]   icvec_i,           // vector of each, same order
    input  logic [NumVec-1:0] mask_i,            // msi_vec_ctl.M
    output logic              msi_rd_o,          // the entry is taken in this cycle
    output logic [3:0]        msi_vec_o,         // msi_cfg_tbl entry wanted
    input  logic [PaW-1:0]    msi_addr_i,        // its address
    input  logic [31:0]       msi_data_i,        // its data
    output logic              busy_o,            // a message is being sent

    output logic [NumVec-1:0] wsi_o,             // the wires

    // a message that failed
    output logic              fault_valid_o,
    input  logic              fault_ready_i,
    output fault_rec_t        fault_o,

    // message's write: held until ready; one answer follows
    output logic              mem_wreq_valid_o,
    input  logic              mem_wreq_ready_i,
    output mem_wreq_t         mem_wreq_o,
    input  logic              mem_wrsp_valid_i,
    input  logic              mem_wrsp_err_i
);

  localparam logic [11:0] CauseMsiWrite = 12'd273;

  // ---------------------------------------------------------------- wires
  logic [NumVec-1:0] wsi_d, wsi_q;

  always_comb begin
    wsi_d = '0;
    if (wsi_i && ipsr_i != '0) begin
      for (int unsigned c = 0; c < 4; c++) begin
        for (int unsigned v = 0; v < NumVec; v++) begin
          if (ipsr_i[c] && icvec_i[c] == 4'(v)) wsi_d[v] = 1'b1;
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) wsi_q <= '0;
    else wsi_q <= wsi_d;
  end

  assign wsi_o = wsi_q;

  // ---------------------------------------------------------------- messages
  typedef enum logic [1:0] {
    StIdle,
    StWrite,   // the write is offered
    StWriteB,  // its answer awaited
    StFault    // its failure is offered to the fault queue
  } state_e;

  state_e          state_q, state_d;
  logic [3:0]      ipsr_prev_q;
  logic [3:0]      pend_q;      // message owed, one bit a cause
  logic [3:0][3:0] vec_q;       // its vector
  logic [3:0]      rise, ready_to_send;
  logic [1:0]      pick_d, pick;
  logic            launch;
  logic [PaW-1:0]  addr_q;
  logic [31:0]     data_q;

  assign rise = ipsr_i & ~ipsr_prev_q & {4{!wsi_i}};

  always_comb begin
    ready_to_send = '0;
    if (pend_q != '0) begin
      for (int unsigned c = 0; c < 4; c++) begin
        for (int unsigned v = 0; v < NumVec; v++) begin
          if (vec_q[c] == 4'(v)) ready_to_send[c] = pend_q[c] && !mask_i[v];
        end
      end
    end
    pick_d = 2'd0;
    for (int unsigned c = 4; c > 0; c--) begin
      if (ready_to_send[c-1]) pick_d = 2'(c - 1);
    end
  end

  // The mask is looked at in the cycle of the launch too: it may just have been set.
  if (TimingCuts) begin : gen_cut
    logic              go_q;
    logic [1:0]        pick_q;
    logic [3:0]        vec_go_q;
    logic [15:0]       mask_all;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        go_q     <= 1'b0;
        pick_q   <= '0;
        vec_go_q <= '0;
      end else begin
        go_q     <= state_q == StIdle && ready_to_send != '0 && rise == '0 && !wsi_i && !launch;
        pick_q   <= pick_d;
        vec_go_q <= vec_q[pick_d];
      end
    end
    assign mask_all  = 16'(mask_i);
    assign launch    = go_q && !mask_all[vec_go_q];
    assign pick      = pick_q;
    assign msi_vec_o = vec_go_q;
    `IOMMU_ASSERT(LaunchIsOwed, !launch || (state_q == StIdle && pend_q[pick_q] && vec_q[pick_q] == vec_go_q))
  end else begin : gen_no_cut
    assign launch    = state_q == StIdle && ready_to_send != '0;
    assign pick      = pick_d;
    assign msi_vec_o = vec_q[pick];
  end
  assign msi_rd_o = launch;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:   if (launch) state_d = StWrite;
      StWrite:  if (mem_wreq_ready_i) state_d = StWriteB;
      StWriteB: if (mem_wrsp_valid_i) state_d = mem_wrsp_err_i ? StFault : StIdle;
      StFault:  if (fault_ready_i) state_d = StIdle;
      default:  state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q     <= StIdle;
      ipsr_prev_q <= '0;
      pend_q      <= '0;
      vec_q       <= '0;
      addr_q      <= '0;
      data_q      <= '0;
    end else begin
      state_q     <= state_d;
      ipsr_prev_q <= ipsr_i;
      for (int unsigned c = 0; c < 4; c++) begin
        if (launch && pick == 2'(c)) pend_q[c] <= 1'b0;
        if (rise[c]) begin
          pend_q[c] <= 1'b1;
          vec_q[c]  <= icvec_i[c];
        end
        if (wsi_i) pend_q[c] <= 1'b0;
      end
      if (launch) begin
        addr_q <= msi_addr_i;
        data_q <= msi_data_i;
      end
    end
  end

  assign busy_o           = state_q == StWrite || state_q == StWriteB;
  assign mem_wreq_valid_o = state_q == StWrite;
  assign fault_valid_o    = state_q == StFault;

  always_comb begin
    mem_wreq_o         = '0;
    mem_wreq_o.id      = MemIdWide'(MemIdMsi);
    mem_wreq_o.device  = 1'b1;
    mem_wreq_o.addr    = addr_q;
    mem_wreq_o.size    = 3'd2;
    mem_wreq_o.strb    = addr_q[2] ? 8'hF0 : 8'h0F;
    mem_wreq_o.data[0] = {2{endian32(be_i, data_q)}};
    mem_wreq_o.user    = qosid_i;
    fault_o            = '0;
    fault_o.cause      = CauseMsiWrite;
    fault_o.iotval     = 64'(addr_q);
  end

  `IOMMU_ASSERT(MaskedIsNotSent, !launch || ((mask_i >> msi_vec_o) & NumVec'(1)) == '0)
  `IOMMU_ASSERT(MessageAligned, !mem_wreq_valid_o || addr_q[1:0] == 2'b00)

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StWrite)
  `IOMMU_ARC(StWrite, StWriteB)
  `IOMMU_ARC(StWriteB, StFault)
  `IOMMU_ARC(StWriteB, StIdle)
  `IOMMU_ARC(StFault, StIdle)
endmodule

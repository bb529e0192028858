// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Shares the IO bridge's fence between its two users: IOFENCE.C and a ddtp
// change to Off. A user holds `req` with its operands until `done` pulses; the
// fence then covered everything that the bridge had accepted when it began,
// which is after `req` rose.

`include "iommu_macros.svh"

module iommu_fence_arb (
    input  logic       clk_i,          // clock
    input  logic       rst_ni,         // asynchronous reset, active low
    input  logic [1:0] req_i,          // wanted, held until done
    input  logic [1:0] pr_i,           // wait for reads
    input  logic [1:0] pw_i,           // wait for writes
    output logic [1:0] done_o,         // pulse: the fence is complete
    output logic       fence_valid_o,  // to the bridge: one cycle, take the snapshot
    output logic       fence_pr_o,     // held until the fence is complete
    output logic       fence_pw_o,
    input  logic       fence_done_i    // level, from the cycle after fence_valid_o: the snapshot has drained
);

  typedef enum logic [1:0] {
    StIdle,
    StStart,  // fence_valid_o is high; the bridge's done belongs to the fence before
    StWait
  } state_e;

  state_e state_q, state_d;
  logic   sel_q, sel_d;  // user being served

  always_comb begin
    state_d = state_q;
    sel_d   = sel_q;
    done_o  = '0;
    unique case (state_q)
      StIdle: begin
        // The one not served last goes first.
        if (req_i[!sel_q]) begin
          sel_d   = !sel_q;
          state_d = StStart;
        end else if (req_i[sel_q]) begin
          state_d = StStart;
        end
      end
      StStart: state_d = StWait;
      StWait: begin
        if (fence_done_i) begin
          done_o[sel_q] = 1'b1;
          state_d       = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      sel_q   <= 1'b0;
    end else begin
      state_q <= state_d;
      sel_q   <= sel_d;
    end
  end

  assign fence_valid_o = state_q == StStart;
  assign fence_pr_o    = pr_i[sel_q];
  assign fence_pw_o    = pw_i[sel_q];

  `IOMMU_ASSERT(RequestHeld, state_q == StIdle || req_i[sel_q])

  `IOMMU_FSM(state_e, state_q)
  `IOMMU_ARC(StIdle, StStart)
  `IOMMU_ARC(StStart, StWait)
  `IOMMU_ARC(StWait, StIdle)
endmodule

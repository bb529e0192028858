module t (input logic clk, input logic rst_n, output logic [3:0] q);
  typedef enum logic [1:0] {Idle, Busy, Done} state_e;
  state_e state_q, state_d;
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      Idle: if (q[0]) state_d = Busy;
      Busy: state_d = Done;
      default: state_d = Idle;
    endcase
  end
  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin state_q <= Idle; q <= '0; end
    else begin
      state_q <= state_d;
      if (q == 4'd9) q <= '0; else q <= q + 4'd1;
    end
  end
endmodule
module top;
  logic clk = 0, rst_n = 0; logic [3:0] q;
  t u_t (.clk, .rst_n, .q);
  t u_t2 (.clk, .rst_n(1'b0), .q());
  always #1 clk = ~clk;
  initial begin #5 rst_n = 1; #40 $write("%s\n", "done"); $finish; end
endmodule

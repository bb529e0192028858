// One Verilated model as a Model. The build script compiles it once a model, with
//   MODEL          class of the model
//   MODEL_FACTORY  name of the function that makes one
//   MODEL_TRACE    1 if the model can write waveforms
// and with constants port_width_<port> that it reads from the model's header.
#include <mutex>
#include <stdexcept>

#include "model.h"
#include "verilated.h"
#include "verilated_cov.h"
#if MODEL_TRACE
#include "verilated_fst_c.h"
#endif

namespace iommu_sim {

// Making a model draws from generators that all models share (Verilator 5.006).
extern std::mutex construction;

namespace {

// The one port whose name is not its pin's name with a suffix.
#define rst_n_i rst_ni
constexpr int port_width_rst_n_i = port_width_rst_ni;

// The wrapper's ports are the pins, bit for bit.
#define CHECK_IN(ctype, name, width)                                                   \
    static_assert(port_width_##name##_i == width, "width of port " #name "_i");        \
    static_assert(sizeof(MODEL::name##_i) == sizeof(ctype), "type of port " #name "_i");
#define CHECK_IN_WIDE(name, width, words)                                              \
    static_assert(port_width_##name##_i == width, "width of port " #name "_i");        \
    static_assert(sizeof(MODEL::name##_i) == sizeof(uint32_t[words]), "type of port " #name "_i");
#define CHECK_OUT(ctype, name, width)                                                  \
    static_assert(port_width_##name##_o == width, "width of port " #name "_o");        \
    static_assert(sizeof(MODEL::name##_o) == sizeof(ctype), "type of port " #name "_o");
#define CHECK_OUT_WIDE(name, width, words)                                             \
    static_assert(port_width_##name##_o == width, "width of port " #name "_o");        \
    static_assert(sizeof(MODEL::name##_o) == sizeof(uint32_t[words]), "type of port " #name "_o");
IOMMU_PINS_IN(CHECK_IN, CHECK_IN_WIDE)
IOMMU_PINS_OUT(CHECK_OUT, CHECK_OUT_WIDE)

#define COUNT(ctype, name, width) +1
#define COUNT_WIDE(name, width, words) +1
static_assert(port_count == 1 /* the clock */ IOMMU_PINS_IN(COUNT, COUNT_WIDE) IOMMU_PINS_OUT(COUNT, COUNT_WIDE),
              "the wrapper has ports that are no pins");

class Verilated1 final : public Model {
  public:
    explicit Verilated1(int32_t seed) {
        const std::lock_guard<std::mutex> guard(construction);
        const Listen listen(report_);
        Verilated::threadContextp(&context_);
        context_.randReset(2);
        context_.randSeed(seed);
        context_.traceEverOn(MODEL_TRACE);
        model_ = std::make_unique<MODEL>(&context_, "TOP");
        // Ports start random too. Initial blocks run here, in reset.
        drive(PinsIn{});
        model_->rst_ni = 0;
        model_->clk_i = 0;
        model_->eval();
        // Released once, so that the first reset is an edge.
        unheard([this] {
            model_->rst_ni = 1;
            model_->eval();
        });
    }

    ~Verilated1() override {
        const std::lock_guard<std::mutex> guard(construction);
        const Listen listen(report_);
        Verilated::threadContextp(&context_);
        try {
            close_trace();
        } catch (...) {
        }
        model_.reset();
    }

    void step(const PinsIn& in, PinsOut& out) override {
        const Listen listen(report_);
        Verilated::threadContextp(&context_);
        context_.time(ClockPeriod * cycle_);
        drive(in);
        // The edge that ends the clock before: flip-flops and assertions sample that
        // clock, and the wrapper takes over the inputs of this one.
        model_->clk_i = 1;
        if (cycle_ != 0) {
            model_->eval();
        } else {
            unheard([this] { model_->eval(); });
            context_.coveragep()->zero();
        }
        if (model_->rst_ni != in.rst_n) {
            model_->rst_ni = in.rst_n;
            model_->eval();
        }
        dump();
        sample(out);
        context_.timeInc(ClockPeriod / 2);
        model_->clk_i = 0;
        model_->eval();
        dump();
        ++cycle_;
    }

    void open_trace(const std::string& path) override {
#if MODEL_TRACE
        const Listen listen(report_);
        Verilated::threadContextp(&context_);
        close_trace();
        if (!trace_) {
            trace_ = std::make_unique<VerilatedFstC>();
            model_->trace(trace_.get(), 99);
        }
        trace_->open(path.c_str());
        if (!trace_->isOpen()) throw std::runtime_error("the waveform writer could not open it");
#else
        throw std::runtime_error("this model has no waveforms: " + path);
#endif
    }

    void close_trace() override {
#if MODEL_TRACE
        if (trace_ && trace_->isOpen()) trace_->close();
#endif
    }

    void save_coverage(const std::string& path) override {
        context_.coveragep()->write(path.c_str());
    }

    void run_final() override {
        if (final_done_) return;
        final_done_ = true;
        const Listen listen(report_);
        Verilated::threadContextp(&context_);
        // The edge that ends the last clock.
        context_.time(ClockPeriod * cycle_);
        model_->clk_i = 1;
        if (cycle_ != 0) model_->eval();
        model_->final();
    }

  private:
    // Clock n begins with the edge at 10 n.
    static constexpr uint64_t ClockPeriod = 10;

    // What the random state does to assertions before the first reset is not the
    // design's fault.
    template <typename Act>
    void unheard(Act act) {
        const iommu_cosim::Report said = report_;
        context_.assertOn(false);
        act();
        context_.assertOn(true);
        report_ = said;
    }

    // All inputs but the reset.
    void drive(const PinsIn& in) {
        MODEL& m = *model_;
#define DRIVE(ctype, name, width) m.name##_i = in.name & mask<ctype>(width);
#define DRIVE_WIDE(name, width, words)                                       \
    for (int w = 0; w < words; ++w) m.name##_i[w] = in.name[w];              \
    m.name##_i[words - 1] &= mask<uint32_t>(width - 32 * (words - 1));
        const auto reset = m.rst_ni;
        IOMMU_PINS_IN(DRIVE, DRIVE_WIDE)
        m.rst_ni = reset;
    }

    void sample(PinsOut& out) const {
        const MODEL& m = *model_;
#define SAMPLE(ctype, name, width) out.name = m.name##_o;
#define SAMPLE_WIDE(name, width, words) \
    for (int w = 0; w < words; ++w) out.name[w] = m.name##_o[w];
        IOMMU_PINS_OUT(SAMPLE, SAMPLE_WIDE)
    }

    // Verilator takes for granted that bits above a port's width are zero.
    template <typename T>
    static constexpr T mask(int width) {
        return width >= static_cast<int>(8 * sizeof(T)) ? static_cast<T>(~T{0})
                                                        : static_cast<T>((uint64_t{1} << width) - 1);
    }

    void dump() {
#if MODEL_TRACE
        if (trace_ && trace_->isOpen()) trace_->dump(context_.time());
#endif
    }

    VerilatedContext context_;
#if MODEL_TRACE
    std::unique_ptr<VerilatedFstC> trace_;
#endif
    std::unique_ptr<MODEL> model_;
    uint64_t cycle_ = 0;
    bool final_done_ = false;
};

}  // namespace

std::unique_ptr<Model> MODEL_FACTORY(int32_t seed) { return std::make_unique<Verilated1>(seed); }

}  // namespace iommu_sim

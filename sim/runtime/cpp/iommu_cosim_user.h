// Where the model of a thread reports to. Included ahead of every Verilated
// source, so that the text and the ends of a simulation reach the harness.
#ifndef IOMMU_COSIM_USER_H
#define IOMMU_COSIM_USER_H

#include <cstdint>
#include <string>

namespace iommu_cosim {

enum class End : uint8_t {
    None,
    Stop,    // $error, $fatal, a failed assertion, $stop
    Finish,  // $finish
    Fatal,   // the run-time library gave up, e.g. no convergence
};

// What happened in a model since the harness last asked.
struct Report {
    std::string text;  // printed by $display, $warning, ...
    bool said = false;  // text or end is to be looked at
    End end = End::None;  // the first one counts
    std::string end_text;  // what was printed with it
    std::string file;
    int line = 0;
    uint32_t more = 0;  // further ends in the same step
};

// Report of the model that this thread is evaluating; null outside.
extern __thread Report* report;

// Replaces printf in the run-time library and in the models.
void print(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace iommu_cosim

#define VL_PRINTF ::iommu_cosim::print

#endif

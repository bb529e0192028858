// A Verilated model behind one class, whatever the device under test and the
// kind of model. Free of Verilator's headers, so that the bridge compiles fast.
#ifndef IOMMU_SIM_MODEL_H
#define IOMMU_SIM_MODEL_H

#include <cstdint>
#include <memory>
#include <string>

#include "iommu_cosim_user.h"
#include "iommu_pins.h"

namespace iommu_sim {

class Model {
  public:
    virtual ~Model() = default;

    // One clock.
    virtual void step(const PinsIn& in, PinsOut& out) = 0;
    // Opens a waveform; the file exists and can be written.
    virtual void open_trace(const std::string& path) = 0;
    virtual void close_trace() = 0;
    // Writes the coverage counted so far, as Verilator's coverage.dat.
    virtual void save_coverage(const std::string& path) = 0;
    // Runs the `final` blocks, once.
    virtual void run_final() = 0;

    iommu_cosim::Report& report() { return report_; }
    const iommu_cosim::Report& report() const { return report_; }

  protected:
    // Everything that the model says while this object lives goes to its report.
    class Listen {
      public:
        explicit Listen(iommu_cosim::Report& report) : before_(iommu_cosim::report) { iommu_cosim::report = &report; }
        ~Listen() { iommu_cosim::report = before_; }
        Listen(const Listen&) = delete;
        Listen& operator=(const Listen&) = delete;

      private:
        iommu_cosim::Report* before_;
    };

    iommu_cosim::Report report_;
};

using Factory = std::unique_ptr<Model> (*)(int32_t seed);

}  // namespace iommu_sim

#endif

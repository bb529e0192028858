// What the cxx bridge (src/bridge.rs) calls. A C++ exception becomes an error value there.
#ifndef IOMMU_SIM_SHIM_H
#define IOMMU_SIM_SHIM_H

#include "model.h"
#include "rust/cxx.h"

namespace iommu_sim {

// Makes model number `index` of the build script's list, in a random initial
// state drawn from `seed` (not 0).
std::unique_ptr<Model> new_model(size_t index, int32_t seed);

// One clock. True if there is something in the report.
inline bool tick(Model& model, const PinsIn& in, PinsOut& out) {
    model.step(in, out);
    return model.report().said;
}

inline void trace_start(Model& model, rust::Str path) { model.open_trace(std::string(path)); }
inline void trace_stop(Model& model) { model.close_trace(); }
inline void write_coverage(Model& model, rust::Str path) { model.save_coverage(std::string(path)); }
inline void finish(Model& model) { model.run_final(); }

inline bool has_report(const Model& model) { return model.report().said; }
inline uint8_t end(const Model& model) { return static_cast<uint8_t>(model.report().end); }
inline rust::String end_text(const Model& model) { return rust::String::lossy(model.report().end_text); }
inline rust::String end_file(const Model& model) { return rust::String::lossy(model.report().file); }
inline int32_t end_line(const Model& model) { return model.report().line; }
inline uint32_t end_more(const Model& model) { return model.report().more; }
inline rust::String text(const Model& model) { return rust::String::lossy(model.report().text); }
inline void clear_report(Model& model) { model.report() = {}; }

}  // namespace iommu_sim

#endif

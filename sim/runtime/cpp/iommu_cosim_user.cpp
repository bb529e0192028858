// The ends of a simulation, as reports to the harness instead of exits.
#include "iommu_cosim_user.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <stdexcept>

namespace iommu_cosim {

__thread Report* report = nullptr;

// A model that prints without end must not eat the memory of the harness.
static constexpr size_t TextLimit = 1 << 20;

void print(const char* format, ...) {
    va_list args;
    va_start(args, format);
    char small[512];
    const int needed = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (needed < 0) return;
    std::string text(small, static_cast<size_t>(needed) < sizeof(small) ? needed : sizeof(small) - 1);
    if (static_cast<size_t>(needed) >= sizeof(small)) {
        text.resize(static_cast<size_t>(needed) + 1);
        va_start(args, format);
        vsnprintf(&text[0], text.size(), format, args);
        va_end(args);
        text.resize(static_cast<size_t>(needed));
    }
    if (!report) {
        fputs(text.c_str(), stderr);
        return;
    }
    report->said = true;
    if (report->text.size() + text.size() <= TextLimit) report->text += text;
}

// Index past the last occurrence's first character; 0 if there is none.
static size_t find_last(const std::string& text, const char* what) {
    const size_t at = text.rfind(what);
    return at == std::string::npos ? 0 : at + 1;
}

static void ended(End end, const char* file, int line, const char* what) {
    if (!report) throw std::runtime_error(std::string("outside of a model: ") + what);
    report->said = true;
    // The text printed just before belongs to this end: from the marker on, as
    // the message may have several lines.
    std::string text = what;
    std::string& all = report->text;
    if (end == End::Stop) {
        const size_t marker = std::max(find_last(all, "] %Error: "), find_last(all, "] %Fatal: "));
        const size_t start = marker ? all.rfind('[', marker - 1) : std::string::npos;
        if (start != std::string::npos) {
            text = all.substr(start);
            while (!text.empty() && text.back() == '\n') text.pop_back();
            all.erase(start);
        }
    }
    if (report->end != End::None) {
        ++report->more;
        return;
    }
    report->end = end;
    report->end_text = text;
    report->file = file ? file : "";
    report->line = line;
}

}  // namespace iommu_cosim

using iommu_cosim::End;

// Called by Verilator's code: see VL_USER_FINISH, VL_USER_STOP, VL_USER_FATAL.
// The rest of the time step runs on after a stop or a finish, so that no other
// check of that step is lost.
void vl_finish(const char* file, int line, const char*) { iommu_cosim::ended(End::Finish, file, line, "$finish"); }

void vl_stop(const char* file, int line, const char*) { iommu_cosim::ended(End::Stop, file, line, "$stop"); }

// The library cannot go on after this one (it would loop for ever where a
// design does not converge), so the step ends here.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    iommu_cosim::ended(End::Fatal, file, line, message);
    throw std::runtime_error(message);
}

// The header in C++: it compiles by itself, and what C++ sees links.
#include "iommu_golden.h"

#include <type_traits>

static_assert(std::is_trivially_copyable<IommuConfig>::value, "a plain structure");
static_assert(std::is_standard_layout<IommuResponse>::value, "a plain structure");
static_assert(sizeof(IommuStatus) == 4, "32 bits in C and C++");

int main() {
    IommuConfig config;
    IommuGolden *iommu = nullptr;
    if (iommu_config_init(&config, sizeof config) != IOMMU_STATUS_OK) return 1;
    config.capabilities |= IOMMU_CAP_SV48;  // without Sv39
    if (iommu_create(&config, &iommu) != IOMMU_STATUS_CONFIG || iommu != nullptr) return 2;
    config.capabilities |= IOMMU_CAP_SV39;
    if (iommu_create(&config, &iommu) != IOMMU_STATUS_OK) return 3;
    return iommu_destroy(iommu) == IOMMU_STATUS_OK ? 0 : 4;
}

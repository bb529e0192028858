// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// From RTL to the harness: notes that stand in a run's log with their cycle. RTL
// that calls it does so under `ifdef IOMMU_COSIM_DPI, which only models define:
//   iommu_cosim_dpi::cosim_note(iommu_cosim_dpi::NoteInfo, $sformatf(...));
// A note never fails a run; what must hold is an assertion.

package iommu_cosim_dpi;

  // Levels of a note
  parameter int NoteDebug   = 0;
  parameter int NoteInfo    = 1;
  parameter int NoteWarning = 2;

  import "DPI-C" function void cosim_note(
    input int level,
    input string message
  );

endpackage

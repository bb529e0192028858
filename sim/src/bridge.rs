//! What Rust calls in C++ (cpp/shim.h). Exceptions arrive as errors.

#[cxx::bridge]
pub mod ffi {
    unsafe extern "C++" {
        include!("shim.h");

        type PinsIn = crate::pins::PinsIn;
        type PinsOut = crate::pins::PinsOut;

        /// A Verilated model.
        #[namespace = "iommu_sim"]
        type Model;

        /// Makes model `index` of the list in the initial state that `seed` (not 0) stands for.
        #[namespace = "iommu_sim"]
        fn new_model(index: usize, seed: i32) -> Result<UniquePtr<Model>>;
        /// One clock; true if there is a report.
        #[namespace = "iommu_sim"]
        fn tick(model: Pin<&mut Model>, inputs: &PinsIn, outputs: &mut PinsOut) -> Result<bool>;
        /// Runs the `final` blocks.
        #[namespace = "iommu_sim"]
        fn finish(model: Pin<&mut Model>) -> Result<()>;
        /// Opens a waveform.
        #[namespace = "iommu_sim"]
        fn trace_start(model: Pin<&mut Model>, path: &str) -> Result<()>;
        /// Closes the waveform.
        #[namespace = "iommu_sim"]
        fn trace_stop(model: Pin<&mut Model>) -> Result<()>;
        /// Writes the coverage counters.
        #[namespace = "iommu_sim"]
        fn write_coverage(model: Pin<&mut Model>, path: &str) -> Result<()>;

        /// Whether the model said or ended anything.
        #[namespace = "iommu_sim"]
        fn has_report(model: &Model) -> bool;
        /// `iommu_cosim::End` as a number.
        #[namespace = "iommu_sim"]
        fn end(model: &Model) -> u8;
        /// Text printed with the end.
        #[namespace = "iommu_sim"]
        fn end_text(model: &Model) -> String;
        /// Where the end is in the RTL.
        #[namespace = "iommu_sim"]
        fn end_file(model: &Model) -> String;
        /// Where the end is in the RTL.
        #[namespace = "iommu_sim"]
        fn end_line(model: &Model) -> i32;
        /// Further ends in the same clock.
        #[namespace = "iommu_sim"]
        fn end_more(model: &Model) -> u32;
        /// Other text that was printed.
        #[namespace = "iommu_sim"]
        fn text(model: &Model) -> String;
        /// Forgets the report.
        #[namespace = "iommu_sim"]
        fn clear_report(model: Pin<&mut Model>);
    }
}

// SAFETY: a model refers to nothing of the thread that made it; what Verilator keeps for a thread
// is set anew at each call.
unsafe impl Send for ffi::Model {}

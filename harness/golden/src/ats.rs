//! ATS messages between the IOMMU and devices.

use crate::command::AtsMessage;

/// Invalidation requests in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AtsState {
    /// ITags in use, a bit each.
    tags: u32,
    /// An invalidation timed out since the last fence.
    timed_out: bool,
    /// Messages to be sent.
    messages: Vec<AtsOut>,
}

/// A message that the IOMMU sends to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtsOut {
    /// "Invalidation Request" with the ITag it uses.
    Invalidation {
        /// 5-bit tag, free until the completion or time-out.
        itag: u8,
        /// Target and body.
        message: AtsMessage,
    },
    /// "Page Request Group Response".
    PageResponse(AtsMessage),
}

impl AtsState {
    pub(crate) fn outstanding(&self) -> bool {
        self.tags != 0
    }

    pub(crate) fn take_timeout(&mut self) -> bool {
        std::mem::take(&mut self.timed_out)
    }

    /// Whether a tag was free.
    pub(crate) fn send_invalidation(&mut self, message: AtsMessage) -> bool {
        let itag = self.tags.trailing_ones();
        if itag >= 32 {
            return false;
        }
        self.tags |= 1 << itag;
        self.messages.push(AtsOut::Invalidation {
            itag: itag as u8,
            message,
        });
        true
    }

    pub(crate) fn send_response(&mut self, message: AtsMessage) {
        self.messages.push(AtsOut::PageResponse(message));
    }

    pub(crate) fn take(&mut self) -> Vec<AtsOut> {
        std::mem::take(&mut self.messages)
    }

    /// The tags of `vector` completed.
    pub(crate) fn complete(&mut self, vector: u32) {
        self.tags &= !vector;
    }

    pub(crate) fn time_out(&mut self) {
        if self.tags != 0 {
            self.timed_out = true;
            self.tags = 0;
        }
    }

    /// Commands in flight are aborted with the queue.
    pub(crate) fn forget(&mut self) {
        self.timed_out = false;
    }
}

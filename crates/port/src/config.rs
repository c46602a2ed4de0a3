//! What a port is told once.

use crate::Error;

/// How the socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The kernel copies each frame (`XDP_COPY`); the XDP program, if any, runs in the driver. Right for veth.
    Copy,
    /// The driver works in the UMEM itself (`XDP_ZEROCOPY`); opening fails where the driver cannot.
    ZeroCopy,
    /// As [`Mode::Copy`], with the XDP program attached in generic mode: attaching is the loader's business.
    Generic,
}

/// One port of one queue of one interface.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the interface, in the network namespace of the calling thread.
    pub interface: String,
    /// Number of the queue, from 0.
    pub queue: u32,
    /// Frames for sending, at least 1. They are never used for receiving, so a flood cannot stop what is sent.
    pub tx_frames: u32,
    /// Frames for receiving; 0 where nothing is received.
    pub rx_frames: u32,
    /// Bytes per frame, [`Config::HEADROOM`] included: 2048 or 4096.
    pub frame_len: u32,
    /// How the socket is bound.
    pub mode: Mode,
}

impl Config {
    /// Bytes at the start of each frame that belong to XDP (`XDP_PACKET_HEADROOM`): a packet has `frame_len` less these.
    pub const HEADROOM: u32 = 256;
    /// Most frames of a port, sending and receiving together: 512 MiB of frames of 4096 bytes.
    pub const FRAMES_MAX: u32 = 131_072;
    /// Slots of a ring that is not used: the kernel wants every ring to have some.
    const RING_SLOTS_MIN: u32 = 64;

    /// Checks the numbers and derives the sizes of the rings.
    pub(crate) fn sizes(&self) -> Result<Sizes, Error> {
        if self.frame_len != 2048 && self.frame_len != 4096 {
            return Err(Error::FrameLen {
                frame_len: self.frame_len,
            });
        }
        let frames = self
            .tx_frames
            .checked_add(self.rx_frames)
            .filter(|frames| *frames <= Self::FRAMES_MAX);
        let (Some(frames), true) = (frames, self.tx_frames > 0) else {
            return Err(Error::FrameCount {
                tx_frames: self.tx_frames,
                rx_frames: self.rx_frames,
                max: Self::FRAMES_MAX,
            });
        };
        let ring = |frames: u32| frames.max(Self::RING_SLOTS_MIN).next_power_of_two();
        Ok(Sizes {
            frames,
            transmit: ring(self.tx_frames),
            receive: ring(self.rx_frames),
        })
    }
}

/// Sizes derived from a checked [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Frames of the UMEM.
    pub(crate) frames: u32,
    /// Slots of the tx ring and of the completion ring: every frame for sending fits into either, so neither can
    /// overflow.
    pub(crate) transmit: u32,
    /// Slots of the fill ring and of the rx ring: likewise for receiving.
    pub(crate) receive: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tx_frames: u32, rx_frames: u32, frame_len: u32) -> Config {
        Config {
            interface: "any0".into(),
            queue: 0,
            tx_frames,
            rx_frames,
            frame_len,
            mode: Mode::Copy,
        }
    }

    #[test]
    fn rings_hold_every_frame_of_their_side() {
        let sizes = config(3000, 100, 2048).sizes().unwrap();
        assert_eq!(
            sizes,
            Sizes {
                frames: 3100,
                transmit: 4096,
                receive: 128
            }
        );
        assert_eq!(
            config(1, 0, 4096).sizes().unwrap(),
            Sizes {
                frames: 1,
                transmit: 64,
                receive: 64
            }
        );
    }

    #[test]
    fn senseless_numbers_are_refused() {
        assert!(matches!(
            config(64, 64, 3000).sizes(),
            Err(Error::FrameLen { frame_len: 3000 })
        ));
        assert!(matches!(
            config(0, 64, 2048).sizes(),
            Err(Error::FrameCount { .. })
        ));
        assert!(matches!(
            config(u32::MAX, 1, 2048).sizes(),
            Err(Error::FrameCount { .. })
        ));
        assert!(matches!(
            config(Config::FRAMES_MAX, 1, 2048).sizes(),
            Err(Error::FrameCount { .. })
        ));
    }
}

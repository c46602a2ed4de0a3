//! What the programs count, as user space reads it: a value for each processor.

use std::borrow::Borrow;

use abi::counter::Counter;
use aya::maps::{MapData, MapError, PerCpuArray};

/// One counter, summed over all processors.
///
/// # Errors
///
/// Where the kernel refuses the look-up.
pub fn total<T: Borrow<MapData>>(
    map: &PerCpuArray<T, u64>,
    counter: Counter,
) -> Result<u64, MapError> {
    let values = map.get(&(counter as u32), 0)?;
    Ok(values.iter().sum())
}

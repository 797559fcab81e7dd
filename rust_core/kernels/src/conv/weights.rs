//! Weights, packed once: `[group][oc block][ic block][tap][channel][oc]`.

use super::element::{Element, Source};
use super::shape::{CHANNEL_BLOCK, ConvShape};

/// Where the weight of an output and an input channel (both counted in the group) stands in the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightStrides {
    pub group: usize,
    pub out_channel: usize,
    pub in_channel: usize,
}

impl WeightStrides {
    /// Conv: `[groups * out][in][taps]`.
    pub(super) fn conv(shape: &ConvShape) -> WeightStrides {
        let out_channel = shape.in_channels * shape.taps();
        WeightStrides { group: shape.out_channels * out_channel, out_channel, in_channel: shape.taps() }
    }

    /// ConvTranspose: `[groups * in][out][taps]`.
    pub(super) fn transposed(shape: &ConvShape) -> WeightStrides {
        let in_channel = shape.out_channels * shape.taps();
        WeightStrides { group: shape.in_channels * in_channel, out_channel: shape.taps(), in_channel }
    }
}

/// The packed form: blocks of `block` output channels, the last one cut to a multiple of `lanes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    pub block: usize,
    pub lanes: usize,
    /// Terms of a chain: taps times elements.
    pub terms: usize,
    pub out_channels: usize,
}

impl Packing {
    pub(super) fn blocks(&self) -> usize {
        self.out_channels.div_ceil(self.block)
    }

    /// Packed elements of a group.
    pub(super) fn group(&self) -> usize {
        self.out_channels.next_multiple_of(self.lanes) * self.terms
    }

    /// First packed element of a block of a group.
    pub(super) fn block_start(&self, group: usize, block: usize) -> usize {
        group * self.group() + block * self.block * self.terms
    }

    /// Output channels that block `block` has room for: `block`, less in the last one.
    pub(super) fn width(&self, block: usize) -> usize {
        (self.out_channels - block * self.block).min(self.block).next_multiple_of(self.lanes)
    }

    /// Packs `weights`; `zeros` holds one zero point, or one for each of the groups' output channels.
    pub(super) fn pack<S: Source>(
        &self,
        shape: &ConvShape,
        strides: WeightStrides,
        weights: &[S],
        zeros: &[S::Zero],
        packed: &mut [S::Element],
    ) {
        let elements = shape.in_channels.div_ceil(S::Element::CHANNELS);
        let mut slots = packed.iter_mut();
        for group in 0..shape.groups {
            for block in 0..self.blocks() {
                for unit in (0..elements).step_by(CHANNEL_BLOCK) {
                    for tap in 0..shape.taps() {
                        for e in unit..(unit + CHANNEL_BLOCK).min(elements) {
                            for lane in 0..self.width(block) {
                                let oc = block * self.block + lane;
                                let at = |ic: usize| {
                                    weights[group * strides.group
                                        + oc * strides.out_channel
                                        + ic * strides.in_channel
                                        + tap]
                                };
                                let ic = e * S::Element::CHANNELS;
                                let value = (oc < shape.out_channels).then(|| {
                                    let zero = zeros[(group * shape.out_channels + oc) % zeros.len()];
                                    let second =
                                        (S::Element::CHANNELS == 2 && ic + 1 < shape.in_channels).then(|| at(ic + 1));
                                    S::element(at(ic), second, zero)
                                });
                                if let Some(slot) = slots.next() {
                                    *slot = value.unwrap_or_default();
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

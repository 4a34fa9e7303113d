//! The pins: every wheel that set-up fetches, with its checksum.
//!
//! Torch 2.11.0's own metadata fixes the versions of the NVIDIA libraries; the checksums are those of the files that
//! pip resolved from it. Wheels are zip files to us: one Python tag is chosen, whatever Python the user has.

/// One file of the Python package index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// The project's name.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The platform tag that pip must be told to find this file.
    pub(crate) platform: &'static str,
    pub(crate) sha256: &'static str,
    /// The file's size.
    pub(crate) bytes: u64,
}

/// The LibTorch version that tch 0.24.0 binds.
pub(crate) const LIBTORCH_VERSION: &str = "2.11.0";

/// The wheels that hold LibTorch for one processor architecture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LibTorchWheels {
    pub(crate) torch: Wheel,
    /// The two NVIDIA libraries that even `libtorch_cpu.so` is linked to.
    pub(crate) stubs: [Wheel; 2],
    /// The rest of them, for CUDA.
    pub(crate) cuda: &'static [Wheel],
}

/// The wheels for the architecture this program was compiled for, if there are any.
pub(crate) fn libtorch() -> Option<&'static LibTorchWheels> {
    match std::env::consts::ARCH {
        "x86_64" => Some(&X86_64),
        "aarch64" => Some(&AARCH64),
        _ => None,
    }
}

/// MTCNN's trained weights (MIT).
pub(crate) const MTCNN: Wheel =
    wheel("mtcnn", "0.1.1", "any", "fd69d2f4dd10647dd7481a53b9586e805f35a17c61ac78ba472a7f53766eb86e", 2_260_416);

/// The package whose sample pictures hold NASA's portrait of Eileen Collins (public domain). The picture is the same in
/// the wheels of all platforms.
pub(crate) const SCIKIT_IMAGE: Wheel = wheel(
    "scikit-image",
    "0.25.2",
    "manylinux2014_x86_64",
    "a17e17eb8562660cc0d31bb55643a4da996a81944b82c54805c91b3fe66f4824",
    15_003_435,
);

static X86_64: LibTorchWheels = LibTorchWheels {
    torch: wheel(
        "torch",
        "2.11.0",
        "manylinux_2_28_x86_64",
        "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
        530_712_279,
    ),
    stubs: [
        wheel(
            "nvidia-cuda-cupti",
            "13.0.85",
            "manylinux_2_25_x86_64",
            "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            10_715_597,
        ),
        wheel(
            "nvidia-cuda-runtime",
            "13.0.96",
            "manylinux_2_17_x86_64",
            "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            2_243_632,
        ),
    ],
    cuda: &[
        wheel(
            "nvidia-cublas",
            "13.1.0.3",
            "manylinux_2_27_x86_64",
            "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
            423_133_236,
        ),
        wheel(
            "nvidia-cuda-nvrtc",
            "13.0.88",
            "manylinux_2_12_x86_64",
            "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
            90_215_200,
        ),
        wheel(
            "nvidia-cudnn-cu13",
            "9.19.0.56",
            "manylinux_2_27_x86_64",
            "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
            366_066_321,
        ),
        wheel(
            "nvidia-cufft",
            "12.0.0.61",
            "manylinux_2_17_x86_64",
            "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
            214_085_489,
        ),
        wheel(
            "nvidia-cufile",
            "1.15.1.6",
            "manylinux_2_17_x86_64",
            "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
            1_223_672,
        ),
        wheel(
            "nvidia-curand",
            "10.4.0.35",
            "manylinux_2_27_x86_64",
            "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
            59_544_258,
        ),
        wheel(
            "nvidia-cusolver",
            "12.0.4.66",
            "manylinux_2_27_x86_64",
            "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
            200_941_980,
        ),
        wheel(
            "nvidia-cusparse",
            "12.6.3.3",
            "manylinux_2_17_x86_64",
            "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
            145_942_937,
        ),
        wheel(
            "nvidia-cusparselt-cu13",
            "0.8.0",
            "manylinux2014_x86_64",
            "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd",
            169_884_119,
        ),
        wheel(
            "nvidia-nccl-cu13",
            "2.28.9",
            "manylinux_2_18_x86_64",
            "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
            196_493_177,
        ),
        wheel(
            "nvidia-nvjitlink",
            "13.0.88",
            "manylinux_2_12_x86_64",
            "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
            40_713_933,
        ),
        wheel(
            "nvidia-nvshmem-cu13",
            "3.4.5",
            "manylinux_2_17_x86_64",
            "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
            60_412_546,
        ),
        wheel(
            "nvidia-nvtx",
            "13.0.85",
            "manylinux_2_5_x86_64",
            "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
            148_047,
        ),
    ],
};

static AARCH64: LibTorchWheels = LibTorchWheels {
    torch: wheel(
        "torch",
        "2.11.0",
        "manylinux_2_28_aarch64",
        "f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f",
        419_731_115,
    ),
    stubs: [
        wheel(
            "nvidia-cuda-cupti",
            "13.0.85",
            "manylinux_2_25_aarch64",
            "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
            10_310_827,
        ),
        wheel(
            "nvidia-cuda-runtime",
            "13.0.96",
            "manylinux_2_17_aarch64",
            "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
            2_261_060,
        ),
    ],
    cuda: &[
        wheel(
            "nvidia-cublas",
            "13.1.0.3",
            "manylinux_2_27_aarch64",
            "c86fc7f7ae36d7528288c5d88098edcb7b02c633d262e7ddbb86b0ad91be5df2",
            542_851_226,
        ),
        wheel(
            "nvidia-cuda-nvrtc",
            "13.0.88",
            "manylinux_2_17_aarch64",
            "d27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b",
            43_015_449,
        ),
        wheel(
            "nvidia-cudnn-cu13",
            "9.19.0.56",
            "manylinux_2_27_aarch64",
            "6ed29ffaee1176c612daf442e4dd6cfeb6a0caa43ddcbeb59da94953030b1be4",
            433_781_201,
        ),
        wheel(
            "nvidia-cufft",
            "12.0.0.61",
            "manylinux_2_17_aarch64",
            "2708c852ef8cd89d1d2068bdbece0aa188813a0c934db3779b9b1faa8442e5f5",
            214_053_554,
        ),
        wheel(
            "nvidia-cufile",
            "1.15.1.6",
            "manylinux_2_27_aarch64",
            "bdc0deedc61f548bddf7733bdc216456c2fdb101d020e1ab4b88d232d5e2f6d1",
            1_136_992,
        ),
        wheel(
            "nvidia-curand",
            "10.4.0.35",
            "manylinux_2_27_aarch64",
            "133df5a7509c3e292aaa2b477afd0194f06ce4ea24d714d616ff36439cee349a",
            61_962_106,
        ),
        wheel(
            "nvidia-cusolver",
            "12.0.4.66",
            "manylinux_2_27_aarch64",
            "02c2457eaa9e39de20f880f4bd8820e6a1cfb9f9a34f820eb12a155aa5bc92d2",
            223_467_760,
        ),
        wheel(
            "nvidia-cusparse",
            "12.6.3.3",
            "manylinux_2_17_aarch64",
            "80bcc4662f23f1054ee334a15c72b8940402975e0eab63178fc7e670aa59472c",
            162_155_568,
        ),
        wheel(
            "nvidia-cusparselt-cu13",
            "0.8.0",
            "manylinux2014_aarch64",
            "400c6ed1cf6780fc6efedd64ec9f1345871767e6a1a0a552a1ea0578117ea77c",
            220_791_277,
        ),
        wheel(
            "nvidia-nccl-cu13",
            "2.28.9",
            "manylinux_2_18_aarch64",
            "01c873ba1626b54caa12272ed228dc5b2781545e0ae8ba3f432a8ef1c6d78643",
            196_561_677,
        ),
        wheel(
            "nvidia-nvjitlink",
            "13.0.88",
            "manylinux_2_17_aarch64",
            "e931536ccc7d467a98ba1d8b89ff7fa7f1fa3b13f2b0069118cd7f47bff07d0c",
            38_768_748,
        ),
        wheel(
            "nvidia-nvshmem-cu13",
            "3.4.5",
            "manylinux_2_17_aarch64",
            "6dc2a197f38e5d0376ad52cd1a2a3617d3cdc150fd5966f4aee9bcebb1d68fe9",
            60_215_947,
        ),
        wheel(
            "nvidia-nvtx",
            "13.0.85",
            "manylinux_2_17_aarch64",
            "cb7780edb6b14107373c835bf8b72e7a178bac7367e23da7acb108f973f157a6",
            148_878,
        ),
    ],
};

const fn wheel(
    name: &'static str,
    version: &'static str,
    platform: &'static str,
    sha256: &'static str,
    bytes: u64,
) -> Wheel {
    Wheel { name, version, platform, sha256, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_whole_checksum() {
        let mut all = vec![MTCNN, SCIKIT_IMAGE];
        for set in [&X86_64, &AARCH64] {
            all.push(set.torch);
            all.extend(set.stubs);
            all.extend(set.cuda);
        }
        for wheel in all {
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.name);
            assert!(wheel.sha256.chars().all(|c| c.is_ascii_hexdigit()), "{}", wheel.name);
            assert!(wheel.bytes > 0, "{}", wheel.name);
        }
        assert_eq!(X86_64.torch.version, LIBTORCH_VERSION);
        assert_eq!(AARCH64.torch.version, LIBTORCH_VERSION);
    }
}

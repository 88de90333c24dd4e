"""What a profiler says of what others launch."""

from bench.cuda.contenders import of_attention


def test_of_what_a_profiler_saw_the_kernels_of_attention_are_kept():
    seen = [
        "Activity Buffer Request",
        "Memset (Device)",
        "cudaLaunchKernel",
        "cuLaunchKernelEx",
        "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<unsigned char> >(int)",
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float> >(at::native::ReduceOp<float>)",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_64x64x128_1x4x1_cga1x1x1_kernel0_0",
        "void cudnn::fusion::compute_dot_do_o_specialized<true, 128>(void const*, void const*)",
        "fmha_cutlassF_f32_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<float, 64>::Params)",
        f"void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<{'128, ' * 20}> >(pytorch_flash::Params)",
        "void (anonymous namespace)::softmax_warp_forward<float, float, float, 8, false, false>(float*, float const*)",
    ]
    assert of_attention(seen) == [
        "cudnn::fusion::compute_dot_do_o_specialized<true, 128>",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_",
        "fmha_cutlassF_f32_aligned_64x64_rf_sm80",
        "pytorch_flash::flash_fwd_kernel",
        "softmax_warp_forward<float, float, float, 8, false, false>",
    ]

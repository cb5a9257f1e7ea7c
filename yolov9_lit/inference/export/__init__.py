"""Deployable files out: ONNX, OpenVINO, TorchScript, torch.export."""

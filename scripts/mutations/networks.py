from .mutation import Mutation

MUTATIONS = [
    # networks
    Mutation("running statistics move once a step", "src/nn/norm.cpp",
             "  batch_mean_.reset();\n", "",
             "test_nn", "BatchNorm.*"),
    Mutation("batch normalisation evaluates with its running statistics", "src/nn/norm.cpp",
             "  if (!is_training()) {", "  if (false) {",
             "test_nn", "BatchNorm.*"),
    Mutation("weights are normalised over output units", "src/nn/layer.cpp",
             "torch::_weight_norm(weight_, length_, out_dim())", "torch::_weight_norm(weight_, length_, 0)",
             "test_nn", "Layer.*"),
    Mutation("spectral normalisation divides by sigma", "src/nn/layer.cpp",
             "return weight_ / sigma;", "return weight_ / sigma.detach().clamp_min(1);",
             "test_nn", "Layer.*"),
    Mutation("the power iteration renews v before u", "src/nn/layer.cpp",
             "  v_.copy_(unit(torch::mv(matrix.t(), u_)));\n"
             "  u_.copy_(unit(torch::mv(matrix, v_)));\n",
             "  u_.copy_(unit(torch::mv(matrix, v_)));\n"
             "  v_.copy_(unit(torch::mv(matrix.t(), u_)));\n",
             "test_nn", "Layer.*"),
    Mutation("a residual block leaves the identity path alone", "src/nn/resnet.cpp",
             "shortcut_ ? shortcut_->forward(h) : x;", "shortcut_ ? shortcut_->forward(h) : h;",
             "test_nn", "Resnet.*"),
    Mutation("the decoder's shortcut is enlarged too", "src/nn/resnet.cpp",
             "if (resize_ == Resize::twice) h = torch::upsample_nearest2d(h, {2 * h.size(2), 2 * h.size(3)});",
             "if (resize_ == Resize::twice) h = torch::upsample_bilinear2d(h, {2 * h.size(2), 2 * h.size(3)}, false);",
             "test_nn", "Resnet.*"),
    Mutation("the kernel of 2 has no padding", "src/nn/conv64.cpp",
             ".padding = (kernel - 2) / 2", ".padding = (kernel - 1) / 2 + (kernel == 2 ? 1 : 0)",
             "test_nn", "Conv64.*"),
    Mutation("the generator normalises its projection", "src/nn/dcgan.cpp",
             "h = activate(norms_.front()->forward(h), config_.activation);", "h = activate(h, config_.activation);",
             "test_nn", "Dcgan.*"),
]

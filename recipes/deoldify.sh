#!/usr/bin/env bash
# Pretrains DeOldify from a folder of colour photographs, in the four parts of its author:
#
#   recipes/deoldify.sh PHOTOS [LightningCLI arguments for all parts]
#
# Such as --model.init_args.perceptual_weights vgg16_bn.pth. Needs pip install '.[train]'. Each call has
# a folder of its own below runs/; it ends by naming the weights. The adversarial part is not here yet.
set -euo pipefail
here=$(dirname "$0")
photos=${1:?say which photographs: recipes/deoldify.sh PHOTOS}
shift
runs=runs/deoldify.$(date +%Y%m%d-%H%M%S).$$
weights=
while read -r part side batch rate freeze share; do
  deepcolor train fit --config "$here/deoldify.yaml" --data.path "$photos" \
    --data.size "$side" --data.batch_size "$batch" --model.init_args.lr "$rate" \
    --model.init_args.freeze_body "$freeze" --trainer.limit_train_batches "$share" \
    ${weights:+--warm_start "$weights"} "$@" --trainer.default_root_dir "$runs" --name "$part" \
    < /dev/null
  weights=$runs/$part/version_0/model.safetensors  # the folder is new: there is no other version
done << 'PARTS'
64-fixed 64 88 1e-3 true 1.0
64 64 88 3e-4 false 1.0
128 128 20 1e-4 false 1.0
192 192 8 5e-5 false 0.5
PARTS
echo "$weights"
